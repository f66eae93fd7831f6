"""Keys that somebody has set and that change nothing, as the other values stand.

A run that ignores a key without a word gives a wrong answer: `records.wrong_slot` is nothing while
`records.scale` is 0. Judged are keys of the scenario's own file and of the command line, not those of the
files that it extends. What a key does in a store where it does act is no matter here.
"""

from collections.abc import Callable, Iterator
from typing import Final, NamedTuple

from sim.counting import PLANS
from sim.scenario import Loaded, Scenario


class Rule(NamedTuple):
    """Keys of a table, when they act, and what stands in their way; `*` means all, `-key` all but that."""

    table: str
    keys: tuple[str, ...]
    acts: Callable[[Scenario], bool]
    reason: str


def _counts(scenario: Scenario) -> bool:
    return PLANS[scenario.counting.plan].counts


def _misreads(scenario: Scenario) -> bool:
    return scenario.records.scale > 0 or _counts(scenario)


def _takes_removed(scenario: Scenario) -> bool:
    return scenario.returns.share_here > 0


_ANY: Final = ("*",)
_PACE: Final = ("cyclic", "abc", "location-risk")

RULES: Final = (
    Rule("records", _ANY, lambda s: s.records.scale > 0, "records.scale = 0"),
    Rule(
        "records", ("wrong_slot_by_hand", "bad_choice_by_hand"),
        lambda s: s.operation == "manual" or s.faults.scale > 0, "operation = 'robot' and faults.scale = 0",
    ),
    Rule("records", ("wrong_slot",), lambda s: s.operation == "robot", "operation = 'manual'"),
    Rule(
        "records", ("wrong_slot", "wrong_slot_by_hand", "lost_message", "resend_h"),
        lambda s: s.robots.access == "direct", "robots.access = 'stack_lifo'",
    ),
    Rule("reads", _ANY, _misreads, "records.scale = 0 and a plan without counts"),
    Rule("counting", _ANY, _counts, "a counting.plan that counts nothing"),
    Rule("counting", ("slots_per_day",), lambda s: s.counting.plan in _PACE, "this counting.plan"),
    Rule("counting", ("every_accesses",), lambda s: s.counting.plan == "on-access", "this counting.plan"),
    Rule(
        "counting", ("interval_days",), lambda s: s.counting.plan in ("full", "certify"), "this counting.plan"
    ),
    Rule("counting", ("certify",), lambda s: s.counting.plan == "certify", "this counting.plan"),
    Rule("faults", _ANY, lambda s: s.faults.scale > 0, "faults.scale = 0"),
    Rule("fallback", _ANY, lambda s: s.faults.scale > 0, "faults.scale = 0"),
    Rule("fallback", _ANY, lambda s: s.operation == "robot", "operation = 'manual'"),
    Rule(
        "returns", ("unused_days_min", "unused_days_max"), lambda s: s.returns.unused_share > 0,
        "returns.unused_share = 0",
    ),
    Rule(
        "returns", ("arrive_at",),
        lambda s: s.returns.share_here > 0 or s.returns.unused_share > 0 or s.empties.track,
        "no returns and no empties.track",
    ),
    Rule(
        "returns", ("*", "-unused_share", "-unused_days_min", "-unused_days_max", "-arrive_at"),
        _takes_removed, "returns.share_here = 0",
    ),
    Rule("reverify", _ANY, lambda s: s.reverify.on, "reverify.on = false"),
    Rule("empties", _ANY, lambda s: s.empties.track, "empties.track = false"),
    Rule("control", ("recall_first",), lambda s: bool(s.control.recalls), "no control.recalls"),
)  # fmt: skip

_SWITCHES: Final = frozenset({
    "records.scale", "faults.scale", "counting.plan", "reverify.on", "empties.track", "returns.share_here",
    "returns.unused_share",
})  # fmt: skip
"""These decide, and are never idle themselves."""


def without_effect(loaded: Loaded) -> list[str]:
    """A line for each key that the scenario's own file or the command line sets and that changes nothing."""
    own = _own_keys(loaded)
    lines = []
    for key in own:
        if key in _SWITCHES:
            continue
        for rule in RULES:
            if _is_of(rule, key) and not rule.acts(loaded.scenario):
                lines.append(f"{key}: no effect with {rule.reason}")
                break
    return lines


def _own_keys(loaded: Loaded) -> Iterator[str]:
    own = {"--set", loaded.shown}
    return (key for key, origin in loaded.origins.items() if origin in own)


def _is_of(rule: Rule, key: str) -> bool:
    table, _, rest = key.partition(".")
    if table != rule.table:
        return False
    name = rest.partition(".")[0]
    return name in rule.keys or ("*" in rule.keys and f"-{name}" not in rule.keys)
