"""The checks against theory: exact ones whole, random ones small, and that a wrong model fails them."""

import json
import math
from itertools import pairwise

import numpy as np
import pytest

from sim import exact, validation
from sim.checks import Check
from sim.layout import Layout
from sim.scenario import build_layout, load
from sim.travel import Travel
from sim.turnover import CLASS_BORDERS, Turnover
from sim.validation import CHECKS, driven_waits_ms, recursion_waits_ms, run_checks


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
    monkeypatch.setattr("sim.checks.HALF_WIDTH", 0.2)


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


@pytest.mark.parametrize("stays", validation.STAYS)
@pytest.mark.parametrize("load_a_slot", [0.2, 0.8, 1.6])
def test_small_occupancy(stays: str, load_a_slot: float) -> None:
    """The allocator does as the textbook, box by box, and its five slots fill by Erlang, whatever the stays."""
    rng, draw = np.random.default_rng(7), validation.STAYS[stays]
    layout, way_ms = five_slots()
    more, unequal = validation._driven_hunt(rng, layout, way_ms, 5 * load_a_slot, draw, 5000)
    assert (more.shape, unequal) == ((100, 5), 0)
    assert not more.any()
    hunt = validation._Hunt(load_a_slot, (), 5000, lanes=200, before=300, counted=3000)
    shares, excess = validation._long_hunt(rng, 5, 5 * load_a_slot, draw, hunt)
    assert shares.shape == (200, 5)
    for slot, expected in enumerate(exact.ordered_hunting(5, 5 * load_a_slot)):
        assert expected in validation._controlled(shares[:, slot], excess, 0.9999)


def five_slots() -> tuple[Layout, np.ndarray]:
    """Five slots of rack A and the ways to them."""
    scenario = load("rack_a", ["layout.columns=5", "layout.levels=1"]).scenario
    layout = build_layout(scenario)
    return layout, Travel(layout, scenario.robots).one_way_ms(layout.inbound)


@pytest.fixture
def small_racks(monkeypatch: pytest.MonkeyPatch) -> None:
    """One small rack to be filled, and one in small use: wider intervals, so width does not count."""
    monkeypatch.setattr(validation, "_CURVES", {"20/60": (50,)})
    monkeypatch.setattr(validation, "_BORDER_ITEMS", 1000)
    for name, value in (("_RACK", 50), ("_ITEMS", 400), ("_MOVES_BEFORE", 5000), ("_MOVES", 20_000)):
        monkeypatch.setattr(validation, name, value)
    monkeypatch.setattr("sim.checks.HALF_WIDTH", 0.1)


def test_small_racks(small_racks: None) -> None:
    """Small racks agree with Hausman, Schwarz and Graves, full and in use."""
    full, in_use = run_checks(["full-racks"]), run_checks(["rack-in-use"])
    assert failed(full) == failed(in_use) == []
    assert [check.name.partition(", ")[2] for check in full] == [
        "50 x 50, 2 zones", "50 x 50, 3 zones", "50 x 50, turnover", "50 x 50, optimal-turnover",
        "50 x 50, dedicated", "borders of 2 zones", "borders of 3 zones",
    ]  # fmt: skip
    # 20/60: full turnover is 4s / (5s + 1) with s = ln 0.6 / ln 0.2 = 0.317394, so 0.490758.
    assert full[2].expected == pytest.approx(0.490758, abs=1e-6)
    assert [check.expected for check in full[2:5]] == [full[2].expected] * 3
    assert len(in_use) == 5


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


@pytest.mark.parametrize("share", [0.5, 0.6, 0.8])
@pytest.mark.parametrize("n", [5, 10, 20, 60])
def test_bounds_of_zones(share: float, n: int) -> None:
    """Zones of cell centres stay within the bounds derived for them, wherever zones end, and use much of them."""
    s = exact.abc_exponent(0.2, share)
    ways = np.sort(((np.arange(n * n) // n).clip(min=np.arange(n * n) % n) + 0.5) / n)
    rng, used = np.random.default_rng(n), 0.0
    for zones in (1, 2, 3, n, n * n):
        for _ in range(20):
            ends = np.sort(rng.choice(np.arange(1, n * n), zones - 1, replace=False))
            ends = np.array([0, *ends, n * n])
            demand = np.diff([exact.abc_demand(s, end / n**2) for end in ends])
            found = sum(d * ways[a:b].mean() for d, (a, b) in zip(demand, pairwise(ends), strict=True))
            stock = np.diff(ends) / n**2
            below, above = validation._rack_bounds(demand, stock, n)
            more = found - exact.zones_mean(demand, stock)
            assert -below - 1e-12 <= more <= above
            used = max(used, more / above, -more / below)
    assert used > 0.5


def test_filled_rack_by_hand(monkeypatch: pytest.MonkeyPatch) -> None:
    """Four SKUs of one box in 2 x 2 cells, s = 1/3: the fastest has half of the demand and the near cell."""
    monkeypatch.setattr(validation, "_BOXES_A_SKU", 1)
    # Cells are 1/4, 3/4, 3/4, 3/4 of the longest way off; SKUs have 1/2, .21, .16, .13 of the demand.
    for rule in ("turnover", "optimal-turnover", "dedicated"):
        found, demand, stock = validation.filled_rack(rule, 1 / 3, 2)
        assert found == pytest.approx(1 / 2 * 1 / 4 + 1 / 2 * 3 / 4)
        assert demand == pytest.approx(np.diff(np.sqrt([0, 1 / 4, 2 / 4, 3 / 4, 1])))
        assert stock == pytest.approx([1 / 4] * 4)
    # Two zones are best cut after the first SKU, which gives the same.
    found, demand, stock = validation.filled_rack("class-based", 1 / 3, 2, 2)
    assert found == pytest.approx(1 / 2)
    assert (demand, stock) == (pytest.approx([1 / 2, 1 / 2]), pytest.approx([1 / 4, 3 / 4]))


def test_long_hunt_is_the_textbook(monkeypatch: pytest.MonkeyPatch) -> None:
    """In each lane a box takes the first slot that is free, or is lost; worked out slot by slot."""
    monkeypatch.setattr(validation, "_BLOCK", 50)
    gaps = np.random.default_rng(1).exponential(0.5, (200, 4))
    stays = np.random.default_rng(2).exponential(1.0, (200, 4))

    class Drawn:
        taken = 0

        def random(self, shape: tuple[int, int]) -> np.ndarray:
            return np.zeros(shape)

        def exponential(self, mean: float, shape: tuple[int, int]) -> np.ndarray:
            self.taken += shape[0]
            return gaps[self.taken - shape[0] : self.taken]

    drawn = Drawn()

    def draw(_: Drawn, shape: tuple[int, ...]) -> np.ndarray:
        return np.ones(shape) if shape[0] == 4 else stays[drawn.taken - 50 : drawn.taken]

    hunt = validation._Hunt(1.0, (), 0, lanes=4, before=50, counted=150)
    shares, excess = validation._long_hunt(drawn, 3, 2.0, draw, hunt)
    for lane in range(4):
        free_at, taken, now = [0.0] * 3, [0.0] * 3, 0.0
        for number, (gap, stay) in enumerate(zip(gaps[:, lane], stays[:, lane], strict=True)):
            now += gap
            slot = next((slot for slot in range(3) if free_at[slot] <= now), None)
            if slot is not None:
                free_at[slot] = now + stay
                taken[slot] += stay if number >= 50 else 0.0
        lasted = gaps[50:, lane].sum()
        assert shares[lane] == pytest.approx(np.array(taken) / lasted)
        assert excess[lane] == pytest.approx(stays[50:, lane].sum() / lasted - 2.0)


def test_mixed_stays_by_hand() -> None:
    """A share p of short or long stays, each of half the time: mean 1, and variance 4."""
    p = validation._SLOW_SHARE
    slow, fast = 0.5 / p, 0.5 / (1 - p)
    assert p * slow + (1 - p) * fast == pytest.approx(1.0)
    assert 2 * (p * slow**2 + (1 - p) * fast**2) - 1.0 == pytest.approx(4.0)
    drawn = validation.STAYS["mixed"](np.random.default_rng(1), (400_000,))
    assert drawn.mean() == pytest.approx(1.0, abs=5 * 2 / 400_000**0.5)
    assert drawn.var() == pytest.approx(4.0, rel=0.1)


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
    monkeypatch.setattr("sim.checks.HALF_WIDTH", math.inf)
    checks = run_checks(["pollaczek-khinchine"])
    assert all(check.found > check.expected for check in checks)
    assert not checks[-1].ok
    assert not any("none of them" in check.note for check in checks)


@pytest.mark.parametrize("wrong", ["random", "farthest-open"])
def test_wrong_allocator_fails_occupancy(wrong: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """A rule that is not closest-open does not fill the slots in Erlang's order, nor as the textbook does."""
    monkeypatch.setitem(validation.POLICIES, "closest-open", validation.POLICIES[wrong])
    hunt = validation._Hunt(0.8, ((1, 1), (5, 5)), 20_000, lanes=200, before=200, counted=2000)
    monkeypatch.setattr(validation, "HUNTS", {5: (hunt,)})
    monkeypatch.setattr("sim.checks.HALF_WIDTH", math.inf)
    checks = run_checks(["ordered-hunting"])
    assert len(checks) == 9
    assert failed(checks) == checks
    assert not any("none of them" in check.note for check in checks)


@pytest.mark.parametrize(
    ("rule", "wrong"),
    [
        ("class-based", "closest-open"),
        ("class-based", "farthest-open"),
        ("turnover", "random"),
        ("turnover", "closest-open"),
        ("optimal-turnover", "closest-open"),
        ("dedicated", "class-based"),
    ],
)
def test_wrong_rules_fail_full_racks(
    rule: str, wrong: str, small_racks: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A rule that does as another one does not reach its closed form."""
    monkeypatch.setitem(validation.POLICIES, rule, validation.POLICIES[wrong])
    names = [check.name for check in failed(run_checks(["full-racks"]))]
    words = ["2 zones", "3 zones"] if rule == "class-based" else [rule]
    assert names == [f"20/60, 50 x 50, {word}" for word in words]


def test_wrong_borders_fail(small_racks: None, monkeypatch: pytest.MonkeyPatch) -> None:
    """Classes that always end at 2/3 and 9/10 of the demand are not the best ones, and that is seen."""
    monkeypatch.setattr(Turnover, "borders", lambda self, zones: list(CLASS_BORDERS[: zones - 1]))
    words = ("50 x 50, 2 zones", "50 x 50, 3 zones", "borders of 2 zones", "borders of 3 zones")
    assert [check.name for check in failed(run_checks(["full-racks"]))] == [
        f"20/60, {word}" for word in words
    ]


@pytest.mark.parametrize(
    ("rule", "wrong", "seen"),
    [
        ("random", "closest-open", ["random"]),
        ("class-based", "random", ["2 zones", "3 zones", "order of rules"]),
        ("class-based", "turnover", ["2 zones", "3 zones", "order of rules"]),
        ("turnover", "random", ["full turnover", "order of rules"]),
        ("turnover", "farthest-open", ["full turnover", "order of rules"]),
    ],
)
def test_wrong_rules_fail_in_use(
    rule: str, wrong: str, seen: list[str], small_racks: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A rule that does as another one is seen in a rack in use, by its mean way and in the order of rules."""
    monkeypatch.setitem(validation.POLICIES, rule, validation.POLICIES[wrong])
    names = [check.name for check in failed(run_checks(["rack-in-use"]))]
    assert names == [f"20/60 in use, {words}" for words in seen]


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
