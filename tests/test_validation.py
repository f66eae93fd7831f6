"""The checks against theory: exact ones whole, random ones small, and that a wrong model fails them."""

import json
import math
from itertools import pairwise

import numpy as np
import pytest

from sim import exact, validation
from sim.scenario import load
from sim.simulation import build_layout
from sim.travel import Travel
from sim.validation import CHECKS, Check, driven_waits_ms, recursion_waits_ms, run_checks


def by_name(checks: list[Check]) -> dict[str, Check]:
    return {check.name: check for check in checks}


def failed(checks: list[Check]) -> list[Check]:
    return [check for check in checks if not check.ok]


@pytest.fixture
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    """Random cases of a hundredth of their size: intervals ten times as wide, so width does not count."""
    monkeypatch.setattr(validation, "_VISITS", 2000)
    monkeypatch.setattr(validation, "_LANES", 400)
    monkeypatch.setattr(validation, "_WARM_UP", 1000)
    monkeypatch.setattr(validation, "_STEPS", 4000)
    monkeypatch.setattr(validation, "HALF_WIDTH", 0.2)


# -- The cases ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("case", ["rack-a", "acr", "bozer-white", "littles-law"])
def test_exact_cases(case: str) -> None:
    """Every exact case agrees with theory."""
    checks = run_checks([case])
    assert checks
    assert failed(checks) == []


def test_default_robot_figures() -> None:
    """The default robot takes 40.047 s and 62.959 s for single and dual commands on one face of 13 x 5."""
    checks = by_name(run_checks(["acr"]))
    assert len(checks) == 4
    for name, check in checks.items():
        assert round(check.expected, 3) == (62.959 if "dual" in name else 40.047)
        assert abs(check.found - check.expected) < 0.001


def test_small_queues(small: None) -> None:
    """Short runs of one and two robots agree with Pollaczek, Khinchine and Erlang."""
    checks = run_checks(["pollaczek-khinchine", "m-m-2"])
    assert len(checks) == 6
    assert failed(checks) == []
    assert all("2,000 visits, none of them with another wait" in check.note for check in checks)


def test_small_occupancy(monkeypatch: pytest.MonkeyPatch) -> None:
    """Five slots and few boxes through the allocator agree with Erlang, slot by slot, for both stays."""
    rng = np.random.default_rng(7)
    scenario = load("rack_a", ["layout.columns=5", "layout.levels=1"]).scenario
    layout = build_layout(scenario)
    way_ms = Travel(layout, scenario.robots).one_way_ms(layout.inbound)
    for stays in (lambda boxes: rng.exponential(1.0, boxes), np.ones):
        shares, excess = validation._shares_taken(rng, layout, way_ms, 2.0, stays, 100_000)
        assert shares.shape == (100, 5)
        for slot, expected in enumerate(exact.ordered_hunting(5, 2.0)):
            assert expected in validation._controlled(shares[:, slot], excess, 0.9999)


@pytest.mark.slow
@pytest.mark.timeout(1200)
@pytest.mark.parametrize("seed", range(11, 16))
def test_all_checks(seed: int) -> None:
    """All checks are green on fresh seeds, every interval as narrow as it has to be."""
    checks = run_checks(seed=seed)
    assert failed(checks) == []
    assert len({check.name for check in checks}) == len(checks)


# -- What the cases rest on -----------------------------------------------------------------------------


def test_rack_a_is_rack_a() -> None:
    """The scenario `rack_a` has the slots of rack A's definition, from column 0 and level 0, and its port."""
    layout = build_layout(load("rack_a").scenario)
    x_m, z_m = validation._rack_a_m()
    assert layout.x_mm[: layout.slots].tolist() == [round(1000 * x) for x in x_m]
    assert layout.z_mm[: layout.slots].tolist() == [round(1000 * z) for z in z_m]
    assert (layout.x_mm[layout.inbound], layout.z_mm[layout.inbound]) == (0, 0)
    assert layout.inbound == layout.outbound
    assert set(layout.capacity) == {1}


def test_recursion_by_hand() -> None:
    """Waits by the textbook's recursion, worked out by hand."""
    at = np.array([0, 1, 2, 10, 10])
    services = np.array([4, 4, 4, 1, 1])
    # One server: free at 4, 8, 12, 13, 14. Two: the third customer takes the server that is free at 4.
    assert recursion_waits_ms(at, services, 1).tolist() == [0, 3, 6, 2, 3]
    assert recursion_waits_ms(at, services, 2).tolist() == [0, 0, 2, 0, 0]


def test_long_run_is_the_recursion(monkeypatch: pytest.MonkeyPatch) -> None:
    """The run in lanes gives the mean wait and the share of the recursion in each lane."""
    for name, value in (("_LANES", 3), ("_WARM_UP", 0), ("_STEPS", 200), ("_BLOCK", 50)):
        monkeypatch.setattr(validation, name, value)
    services = np.random.default_rng(1).integers(1, 1800, (200, 3))
    gaps = np.random.default_rng(2).integers(0, 1000, (200, 3))

    class Drawn:
        taken = 0

        def exponential(self, mean: float, shape: tuple[int, int]) -> np.ndarray:
            self.taken += shape[0]
            return gaps[self.taken - shape[0] : self.taken]

    drawn = Drawn()
    for servers in (1, 2):
        drawn.taken = 0
        long = validation._long_run(
            drawn, servers, 500.0, lambda shape: services[drawn.taken - 50 : drawn.taken], 0.99
        )
        lanes = [
            recursion_waits_ms(np.cumsum(gaps[:, lane]), services[:, lane], servers) for lane in range(3)
        ]
        assert long.mean_s.mean == pytest.approx(np.mean(lanes) / 1000)
        assert long.share.mean == pytest.approx(np.mean(np.array(lanes) > 0))


@pytest.mark.parametrize(("sets", "services"), [((), 5), (validation._TWO_AT_HAND, 60_000)])
def test_robots_keep_the_textbook_queue(sets: tuple[str, ...], services: int) -> None:
    """Visit by visit, one robot and two wait as the recursion says, also when visits arrive at once."""
    scenario = load("rack_a", [*sets, *validation._TIRELESS, *validation._NO_FLOW]).scenario
    robots = scenario.robots.count
    layout = build_layout(scenario)
    rng = np.random.default_rng(3)
    at = np.sort(rng.integers(0, 500 * (8000 + services // 2) // robots, 500)) // 2000 * 2000
    slots = np.arange(500) % layout.slots
    handling = rng.integers(0, services, 500)
    services_ms = handling + 2 * Travel(layout, scenario.robots).one_way_ms(layout.inbound)[slots]
    driven = driven_waits_ms(scenario, at, slots, handling)
    assert len(set(at.tolist())) < 500
    assert driven.max() > 10_000
    assert driven.tolist() == recursion_waits_ms(at, services_ms, robots).tolist()


@pytest.mark.parametrize("b", [1.0, 0.7, 0.5, 0.2])
def test_bounds_of_cells(b: float) -> None:
    """Coarse racks of cells stay within the bounds that are derived for them, and use half of them."""
    for n in (2, 4, 5, 8, 10, 20, 40):
        for dual, (expected, found) in enumerate(
            zip(exact.bozer_white(b), exact.cell_centres(n, b), strict=True)
        ):
            below, above = validation._cell_bounds(n, b, dual=bool(dual))
            assert -below - 1e-6 <= found - expected <= above + 1e-6
            assert below < 1.0 / n**2 * (2.5 if dual else 0.6)


def test_controlled_mean_by_hand() -> None:
    """A control that explains all leaves no spread; one that explains nothing leaves the mean as it is."""
    control = np.array([-2.0, 0.0, 1.0, 3.0])
    found = validation._controlled(5.0 + 2.0 * control, control, 0.99)
    assert found.mean == pytest.approx(5.0)
    assert found.high - found.low == pytest.approx(0.0, abs=1e-9)
    # Values 1, 3, 3, 1 on controls -1, -1, 1, 1: slope 0, mean 2, squares 4 on 2 degrees of freedom over 4.
    found = validation._controlled(np.array([1.0, 3.0, 3.0, 1.0]), np.array([-1.0, -1.0, 1.0, 1.0]), 0.95)
    assert found.mean == 2.0
    assert found.high - found.mean == pytest.approx(4.30265 * math.sqrt(4 / 2 / 4), abs=1e-4)


def test_little_by_hand() -> None:
    """Item 0 is inside from 0 to 10, item 1 from 5 to the end at 20: 25 / 20 on average, 2 stays of 12.5."""
    moves = validation._Moves(*map(np.array, ([0, 5, 10], [0, 1, 0], [-1, -1, 0], [0, 0, -1])))
    check = validation._little("shelf", 0, moves, 20)
    assert (check.expected, check.found, check.ok) == (1.25, 1.25, True)


# -- A wrong model fails -----------------------------------------------------------------------------------


def test_little_sees_lost_items() -> None:
    """An item that leaves a buffer in which it is not makes the two ways differ."""
    lost = validation._Moves(*map(np.array, ([0, 5, 10], [0, 1, 0], [-1, -1, 1], [0, 0, -1])))
    assert not validation._little("shelf", 0, lost, 20).ok
    below = validation._Moves(*map(np.array, ([5], [0], [0], [-1])))
    assert not validation._little("shelf", 0, below, 20).ok


def test_slow_robot_fails_exact_cases(monkeypatch: pytest.MonkeyPatch) -> None:
    """Three milliseconds too much on every way are seen."""
    drive = Travel.between_ms
    monkeypatch.setattr(Travel, "between_ms", lambda *args: drive(*args) + 3)
    assert len(failed(run_checks(["acr"]))) == 4


def test_slow_robot_fails_queues(small: None, monkeypatch: pytest.MonkeyPatch) -> None:
    """With a robot 0.3 s slower a visit, waits are longer than in theory, whatever the recursion says."""
    monkeypatch.setattr(
        validation, "load", lambda name, sets: load(name, [*sets, "robots.positioning_s=0.15"])
    )
    monkeypatch.setattr(validation, "HALF_WIDTH", math.inf)
    checks = run_checks(["pollaczek-khinchine"])
    assert all(check.found > check.expected for check in checks)
    assert not checks[-1].ok
    assert not any("none of them" in check.note for check in checks)


def test_wrong_allocator_fails_occupancy(monkeypatch: pytest.MonkeyPatch) -> None:
    """A rule that is not closest-open does not fill the slots in Erlang's order."""
    monkeypatch.setitem(validation.POLICIES, "closest-open", validation.POLICIES["random"])
    rng = np.random.default_rng(7)
    scenario = load("rack_a", ["layout.columns=5", "layout.levels=1"]).scenario
    layout = build_layout(scenario)
    way_ms = Travel(layout, scenario.robots).one_way_ms(layout.inbound)
    shares, excess = validation._shares_taken(rng, layout, way_ms, 2.0, np.ones, 20_000)
    assert exact.ordered_hunting(5, 2.0)[0] not in validation._controlled(shares[:, 0], excess, 0.9999)


# -- How one asks -----------------------------------------------------------------------------------------


def test_cases_have_sentences() -> None:
    """Every case says in one sentence what it compares."""
    for case in CHECKS.values():
        assert case.__doc__
        assert case.__doc__.splitlines()[0].endswith(".")


def test_unknown_case() -> None:
    """A case that does not exist is refused with the near miss."""
    with pytest.raises(ValueError, match=r"^expected 'rack-a', .* found 'rackA', did you mean 'rack-a'\?$"):
        run_checks(["rackA"])


def test_progress_rises_to_one() -> None:
    """Progress is told as a share that never falls and ends at 1."""
    shares: list[float] = []
    run_checks(["littles-law", "bozer-white"], progress=shares.append)
    assert all(a <= b for a, b in pairwise(shares))
    assert shares[-1] == 1.0


def test_cases_draw_their_own_numbers() -> None:
    """A case gives the same whichever others run; another seed gives another run."""
    alone = run_checks(["littles-law"], seed=3)
    both = run_checks(["littles-law", "bozer-white"], seed=3)
    assert both[-len(alone) :] == alone
    assert run_checks(["littles-law"], seed=4) != alone


def test_checks_are_json() -> None:
    """Checks are plain numbers and words, ready for JSON."""
    for check in run_checks(["bozer-white", "littles-law", "acr"]):
        values = check._asdict()
        assert json.loads(json.dumps(values, allow_nan=False)) == values
        assert type(check.ok) is bool
