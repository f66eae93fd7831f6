"""The stated ranges of what the model assumes: how far an assumption can be from its default.

A scenario value says whether it is an assumption; here stands from where to where it may lie, and on what
that rests. An assumption that is not listed has no stated range: studies leave it fixed and say so. A
choice of equipment or layout is listed only where makers differ in it, not where it is a question of its own.
"""

from collections.abc import Iterable, Mapping
from typing import Any, Final, NamedTuple

from sim.scenario import field_facts


class Range(NamedTuple):
    """From where to where an assumption may lie, what that rests on, and what must be on for it to matter.

    `needs` names a value of the scenario and what it must not be: else the input has no effect.
    """

    low: float
    high: float
    source: str
    needs: tuple[str, object] | None = None


_ROBOT: Final = ("operation", "manual")
_SLOW_FAST: Final = "slow and fast case-handling robots"

RANGES: Final[dict[str, Range]] = {
    "robots.speed_m_per_s": Range(1.0, 1.8, _SLOW_FAST, _ROBOT),
    "robots.acceleration_m_per_s2": Range(0.5, 1.0, _SLOW_FAST, _ROBOT),
    "robots.lift_speed_m_per_s": Range(0.3, 0.8, _SLOW_FAST, _ROBOT),
    "robots.lift_acceleration_m_per_s2": Range(0.3, 0.8, _SLOW_FAST, _ROBOT),
    "robots.pick_s": Range(5.0, 8.0, _SLOW_FAST, _ROBOT),
    "robots.place_s": Range(5.0, 8.0, _SLOW_FAST, _ROBOT),
    "robots.positioning_s": Range(1.0, 2.0, _SLOW_FAST, _ROBOT),
    "robots.carry": Range(1, 8, _SLOW_FAST, _ROBOT),
    "initial.fill": Range(0.5, 0.9, "mean stays of 45 to 81 days"),
    "demand.orders_per_day": Range(6.4, 21.3, "30 to 100 % of the city's meters come through this store"),
    "supply.truck_boxes": Range(60, 150, "trucks of 60 to 150 boxes"),
    "people.carry_per_h": Range(30.0, 60.0, "case picking from the floor and with a man-up truck"),
    "faults.minor_stop_share": Range(
        0.0001, 0.002, "one stop in 500 to 10,000 missions", ("faults.scale", 0)
    ),
}
"""The ranges by dotted path; those of whole numbers are whole."""


def is_whole(path: str) -> bool:
    """Whether a value of the scenario is a whole number."""
    return bool(field_facts(_keys(path)).get("type") == "integer")


def drawn(
    values: Iterable[Mapping[str, Any]],
    taken: Iterable[str],
    own: Mapping[str, tuple[float, float]] | None = None,
) -> tuple[dict[str, Range], dict[str, str]]:
    """The assumptions that can be drawn, with their ranges; and those that stay fixed, with why.

    Parameters
    ----------
    values : resolved scenarios, alike in what is not `taken`.
    taken : dotted paths that the question sets, which are therefore no assumptions in it.
    own : ranges that the question states itself, which come before those of `RANGES`.
    """
    scenarios, asked = list(values), set(taken)
    known = {
        **RANGES,
        **{path: Range(*limits, "stated by the study") for path, limits in (own or {}).items()},
    }
    chosen, fixed = {}, {}
    for path in [*assumptions(scenarios[0]), *(path for path in (own or {}))]:
        if path in chosen or path in fixed:
            continue
        if any(path == other or path.startswith(f"{other}.") for other in asked):
            fixed[path] = "set by the question"
        elif path not in known:
            fixed[path] = "no stated range"
        elif not any(_matters(known[path], each) for each in scenarios):
            fixed[path] = "its part of the model is off"
        elif not known[path].low <= held(scenarios[0], path) <= known[path].high:
            fixed[path] = "set outside its stated range"
        else:
            chosen[path] = known[path]
    return chosen, fixed


def assumptions(values: Mapping[str, Any]) -> list[str]:
    """The dotted paths of a resolved scenario whose default is an assumption."""
    found: list[str] = []
    _walk(values, (), found)
    return found


def held(values: Mapping[str, Any], path: str) -> Any:
    """What stands at a dotted path of a resolved scenario; None where a table on the way is not given."""
    value: Any = values
    for key in path.split("."):
        value = value.get(key) if isinstance(value, Mapping) else None
    return value


def _walk(values: Mapping[str, Any], above: tuple[str, ...], found: list[str]) -> None:
    for key, value in values.items():
        path = (*above, key)
        if isinstance(value, Mapping):
            _walk(value, path, found)
        elif field_facts(path).get("origin") == "assumption":
            found.append(".".join(path))


def _matters(stated: Range, values: Mapping[str, Any]) -> bool:
    return stated.needs is None or held(values, stated.needs[0]) != stated.needs[1]


def _keys(path: str) -> tuple[str, ...]:
    return tuple(path.split("."))
