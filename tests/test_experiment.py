"""Many runs: cells, replications, comparisons, sweeps, selection and sensitivity, and the folder they stay in."""

import json
import math
from pathlib import Path

import numpy as np
import pytest

import sim
from sim.experiment import (
    Runs,
    StudyError,
    cell_of,
    compare,
    factor_of,
    grid_cells,
    name_of,
    open_runs,
    refuse_study_folder,
    replicate,
    select,
    sensitivity,
    sweep,
)
from sim.figures import MeasureError, Replication
from sim.jobs import run_job
from sim.scenario import ScenarioError, load
from sim.simulation import run

KPI = "order_cycle_time_s"
ALLOCATION = "policy.allocation"
SHARE = "share_of_issues_from_before_start"


class Told(Runs):
    """Replications that a function of the cell's values and the number gives, and no simulation."""

    def __init__(self, value, *, weeks=None, demand=None, share=0.0, broken=()):
        super().__init__()
        self.value, self.weeks, self.demand, self.share = value, weeks, demand, share
        self.broken = broken
        self.asked = []

    def get(self, wanted, seed):
        from sim.engines import Failed

        found = []
        for _, cell, number in wanted:
            self.asked.append((cell.name, number))
            if (cell.name, number) in self.broken:
                found.append(Failed("0" * 24, "ValueError: the roof\nfell in", 1))
                continue
            weeks = {} if self.weeks is None else {KPI: self.weeks(cell, number)}
            if callable(self.share):
                weeks[SHARE] = self.share(cell)
            share = self.share if not callable(self.share) else 0.9
            found.append(
                Replication(
                    number,
                    seed + number,
                    f"facts of {cell.name} {number}",
                    self.demand(cell, number) if self.demand else f"demand {number}",
                    5,
                    {KPI: self.value(cell, number), SHARE: share},
                    weeks,
                )
            )
        return found


def carry(cell):
    return cell.resolved["robots"]["carry"]


NOISE = [0.0, 3.0, -2.0, 1.0, -1.0, 2.0, -3.0]
"""What every cell meets in a replication, seven of them in turn."""


def steps(cell, number):
    """10 s more for each box on board, and what the replication brings."""
    return 100.0 + 10.0 * carry(cell) + NOISE[number % 7] + 0.01 * carry(cell) * (number % 3)


# --- cells -----------------------------------------------------------------------------------------------


def test_cells_are_the_grid():
    """Every combination is a cell; the key named last changes fastest, and cells say what sets them apart."""
    cells = grid_cells(load("tiny"), {"robots.carry": [1, 2], ALLOCATION: ["random", "closest-open"]})
    assert [cell.name for cell in cells] == [
        f"robots.carry={boxes}, policy.allocation={rule}"
        for boxes in (1, 2)
        for rule in ("random", "closest-open")
    ]
    assert cells[2].sets == {"robots.carry": 2, ALLOCATION: "random"}
    assert (cells[2].resolved["robots"]["carry"], cells[2].resolved["policy"]["allocation"]) == (2, "random")
    assert cells[0].days == 2


def test_a_cell_is_what_set_makes():
    """A value by dotted path gives the scenario that --set gives, also in a list."""
    made = cell_of(load("tiny"), {"skus.0.share": 0.5, "skus.1.share": 0.5, "robots.carry": 3})
    from sim.scenario import resolved

    sets = ["skus.0.share=0.5", "skus.1.share=0.5", "robots.carry=3"]
    assert made.resolved == resolved(load("tiny", sets).scenario)


def test_names_are_short():
    """One word stands for itself; numbers stand with their key."""
    assert name_of({ALLOCATION: "random"}) == "random"
    assert name_of({"robots.carry": 2}) == "robots.carry=2"
    assert name_of({"a.b": 1 / 3, "c": [1, 2]}) == "a.b=0.333333, c=[1, 2]"


def test_wrong_cells_are_lines():
    """Each mistake is a line, once, whatever the number of cells that have it."""
    with pytest.raises(ScenarioError) as caught:
        grid_cells(load("tiny"), {"robots.cary": [1], "robots.carry": [1, 99, 2]})
    assert caught.value.lines == [
        "robots.cary: expected a key of robots, found 'cary', did you mean 'carry'?",
        "robots.carry: expected a whole number from 1 to 16, found 99",
    ]
    with pytest.raises(ScenarioError, match=r"^seed\.x: expected a value of the scenario, found 'seed\.x'$"):
        cell_of(load("tiny"), {"seed.x": 1})
    with pytest.raises(ScenarioError, match=r"^skus\.7\.share: expected a value of the scenario"):
        cell_of(load("tiny"), {"skus.7.share": 1})
    with pytest.raises(StudyError, match="expected a value at least, found none"):
        grid_cells(load("tiny"), {})
    with pytest.raises(StudyError, match="expected at most 100,000 cells, found 250,000"):
        grid_cells(load("tiny"), {"seed": range(500), "robots.carry": range(500)})


def test_factors_know_what_is_whole():
    """A range of a whole number is one of whole numbers; what is no number, or no range, is refused."""
    from sim.designs import Range, Whole

    assert factor_of("robots.speed_m_per_s", 1, 2.5) == Range(1, 2.5)
    assert factor_of("robots.carry", 1, 4) == Whole(1, 4)
    assert factor_of("skus.0.share", 0.1, 0.9) == Range(0.1, 0.9)
    for key, low, high, words in (
        ("robots.carry", 1.5, 3, "robots.carry: expected whole numbers, found 1.5..3"),
        ("robots.carry", 3, 3, "robots.carry: expected low..high with low below high, found 3..3"),
        (ALLOCATION, 1, 2, "expected a number of the scenario, found a value of type string"),
        ("operation", 1, 2, "operation: expected a number of the scenario, found a choice"),
        ("robots.cary", 1, 2, "found no such value, did you mean 'robots.carry'?"),
    ):
        with pytest.raises(StudyError) as caught:
            factor_of(key, low, high)
        assert words in str(caught.value)


# --- replicate -------------------------------------------------------------------------------------------


def test_replications_are_the_runs_of_their_seeds():
    """Replication k is the run of the seed k further, whoever asks; its figures are means over them."""
    found = replicate("tiny", 3, seed=5)
    assert [each.seed for each in found.cell.replications] == [5, 6, 7]
    second = run(load("tiny"), 6)
    assert found.cell.replications[1].digest == second.digest
    assert found.cell.replications[1].measures["box_moves"] == second.kpis()["box_moves"]["value"]
    moves = [each.measures["box_moves"] for each in found.cell.replications]
    assert found.cell.figures["box_moves"].mean == pytest.approx(sum(moves) / 3)
    document = found.to_json()
    assert document["scenario_id"] == replicate(load("tiny").scenario, 1).cell.scenario_id
    assert document["runs"][2]["kpis"]["box_moves"] == moves[2]
    json.dumps(document, allow_nan=False)


def test_precision_stops_with_its_look_ahead():
    """Values of little spread stop at once, after 10 and the 5 of the look-ahead."""
    told = Told(steps)
    found = replicate("tiny", 1000, precision=0.05, runs=told)
    assert found.precision.to_json() == {
        "wish": 0.05, "reached": True, "replications": 15, "half_widths": {KPI: found.precision.half_widths[KPI]},
    }  # fmt: skip
    assert len(found.cell.replications) == 15
    figure = found.cell.figures[KPI]
    assert found.precision.half_widths[KPI] == pytest.approx((figure.high - figure.mean) / figure.mean)
    assert found.precision.half_widths[KPI] < 0.05


def test_precision_uses_what_it_needs_only():
    """The number depends on the values alone: what was run beyond it is left out."""
    from sim.statistics import Precision

    told = Told(lambda _, number: 100.0 + 8 * NOISE[number % 7])
    found = replicate("tiny", 1000, precision=0.05, runs=told)
    values = [100.0 + 8 * NOISE[number % 7] for number in range(1000)]
    wanted = Precision(0.05).stops_at(values)
    assert 15 < wanted == found.precision.replications == len(found.cell.replications) < 1000
    assert len(told.asked) < 3 * wanted


def test_precision_that_is_not_reached_says_so():
    """With too few replications allowed all of them are used, and the wish stays open."""
    found = replicate("tiny", 20, precision=0.001, runs=Told(steps))
    assert (found.precision.reached, found.precision.replications) == (False, 20)
    with pytest.raises(StudyError, match="--precision: expected a half-width above 0, found 0"):
        replicate("tiny", 20, precision=0.0, runs=Told(steps))


def test_broken_replications_are_left_out_and_told():
    """A replication that came to nothing is named with its seed and its reason; the others count."""
    found = replicate("tiny", 4, seed=7, runs=Told(steps, broken={("tiny", 2)}))
    assert found.cell.figures[KPI].n == 3
    assert [each.to_json() for each in found.broken] == [
        {"cell": "tiny", "replication": 2, "seed": 9, "reason": "ValueError: the roof\nfell in"}
    ]
    (line,) = found.to_json()["warnings"]
    assert line.startswith(
        "1 replication left out that came to nothing, the first: tiny, replication 2 (seed 9)"
    )
    assert line.endswith(": ValueError: the roof fell in")


def test_wrong_input_is_refused():
    """Unknown measures and seeds beyond all bounds are refused before anything runs."""
    told = Told(steps)
    with pytest.raises(MeasureError, match="did you mean 'orders'"):
        replicate("tiny", 2, kpi="oders", runs=told)
    with pytest.raises(StudyError, match="--seed: expected a whole number from 0"):
        replicate("tiny", 2, seed=2**62, runs=told)
    assert told.asked == []
    # Which parts a KPI has is known after one run, not after all.
    with pytest.raises(MeasureError, match=f"expected {KPI}, found '{KPI}.travel'"):
        replicate("tiny", 50, kpi=f"{KPI}.travel", runs=told)
    assert told.asked == [("tiny", 0)]


# --- compare ---------------------------------------------------------------------------------------------


def test_cells_share_seeds_and_demand():
    """Each cell runs the same seeds; the demand is the same whatever the store does with it."""
    found = compare("tiny", {"robots.carry": [1, 2, 3]}, 4)
    assert [[each.seed for each in cell.replications] for cell in found.cells] == [[1, 2, 3, 4]] * 3
    assert (found.other_demand, len(found.demand_digest)) == ([], 64)
    assert {cell.demand_digest for cell in found.cells} == {found.demand_digest}
    assert len({each.digest for cell in found.cells for each in cell.replications}) == 12
    # In every replication: the times of cell 1 less those of cell 2.
    one, two = (np.array([each.measures[KPI] for each in cell.replications]) for cell in found.cells[:2])
    row = found.difference(KPI, "robots.carry=1", "robots.carry=2")
    assert row.difference == pytest.approx((one - two).mean())
    json.dumps(found.to_json(), allow_nan=False)


def test_other_demand_is_said():
    """Where what varies changes what is asked of the store, the cells that differ are named."""
    found = compare("tiny", {"demand.orders_per_day": [6, 6.5], "robots.carry": [2]}, 2)
    assert found.demand_digest is None
    assert found.other_demand == ["demand.orders_per_day=6.5, robots.carry=2"]
    assert found.to_json()["other_demand"] == found.other_demand


def test_deciding_measure_has_all_pairs():
    """The deciding KPI is compared between all pairs, the others with the first, corrected for their number."""
    found = compare("tiny", {"robots.carry": [1, 2, 3]}, 7, runs=Told(steps))
    pairs = [(row.a, row.b) for row in found.paired if row.kpi == KPI]
    assert pairs == [("robots.carry=1", "robots.carry=2"), ("robots.carry=1", "robots.carry=3"),
                     ("robots.carry=2", "robots.carry=3")]  # fmt: skip
    assert {row.comparisons for row in found.paired if row.kpi == KPI} == {3}
    others = [row for row in found.paired if row.kpi != KPI]
    assert {(row.a, row.comparisons) for row in others} == {("robots.carry=1", 2)}
    assert found.verdict.best == "robots.carry=1"
    assert found.verdict.sentence.startswith("order cycle time: robots.carry=1 is shorter by 10.0")
    # What every cell meets falls out of the differences: hundredths are left of a spread of 2.
    assert max(row.unpaired_ratio for row in found.paired if row.kpi == KPI) < 0.02


def test_broken_replication_drops_its_pair():
    """A replication that came to nothing in one cell is left out of every difference, not of other cells."""
    told = Told(steps, broken={("robots.carry=2", 3)})
    found = compare("tiny", {"robots.carry": [1, 2]}, 7, runs=told)
    assert [len(cell.replications) for cell in found.cells] == [7, 6]
    assert {row.n for row in found.paired if row.kpi == KPI} == {6}
    assert [each.cell for each in found.broken] == ["robots.carry=2"]


def test_allocation_needs_a_settled_store():
    """While much of what leaves stood there at time 0 there is no verdict on allocation, and a way out is tried."""
    # The share is above a twentieth for 5 weeks in one cell and for 6 in the other.
    settled = {"random": 6, "closest-open": 5}

    def shares(cell):
        weeks = cell.days // 7
        return [0.9 if week < settled[cell.name] else 0.05 for week in range(weeks)]

    told = Told(lambda _, number: float(number), share=shares)
    found = compare("tiny", {ALLOCATION: ["random", "closest-open"]}, 3, runs=told)
    assert (found.verdict.decided, found.verdict.best) == (False, None)
    assert found.verdict.sentence == (
        "not decided: 90 % of the boxes that random issued stood in the store at time 0; a verdict on allocation "
        "wants at most 10 %. A longer warm-up gives one: --set time.warmup_days=42 --set time.days=44; from day 42 "
        "on it was at most 5 % a week in a trial of every cell."
    )
    # What is no question of allocation is decided all the same.
    assert compare("tiny", {"robots.carry": [1, 2]}, 3, runs=Told(steps, share=0.9)).verdict.decided


def test_store_that_never_settles_is_told():
    """If no length that was tried would do, that is what is said."""
    told = Told(lambda _, number: float(number), share=lambda cell: [0.5] * (cell.days // 7))
    found = compare("tiny", {ALLOCATION: ["random", "closest-open"]}, 3, runs=told)
    assert found.verdict.sentence.endswith(
        "No warm-up would do in a trial of every cell over 728 days: what stood in the store at time 0 keeps being "
        "issued."
    )


def test_way_out_is_true():
    """What the refusal says to set gives a verdict: with it, at most a tenth stood there at time 0."""
    import re

    refused = compare("tiny", {ALLOCATION: ["random", "closest-open"]}, 2)
    warmup, days = map(int, re.findall(r"--set time\.\w+=(\d+)", refused.verdict.sentence))
    base = load("tiny", [f"time.warmup_days={warmup}", f"time.days={days}"])
    found = compare(base, {ALLOCATION: ["random", "closest-open"]}, 2)
    assert refused.cells[0].figures[SHARE].mean > 0.1
    assert max(cell.figures[SHARE].mean or 0.0 for cell in found.cells) <= 0.1
    assert "stood in the store at time 0" not in found.verdict.sentence


def test_weeks_judge_the_warm_up():
    """Weeks that fall for 8 weeks and a warm-up of 2 give a warning, and the weeks to draw."""

    def weeks(cell, number):
        return [50.0 - 5 * min(week, 8) + 0.1 * ((week + number) % 2) for week in range(30)]

    base = load("tiny", ["time.days=210", "time.warmup_days=14"])
    found = compare(base, {"robots.carry": [1, 2]}, 3, runs=Told(steps, weeks=weeks))
    assert found.horizon == "cyclic"
    one = found.warmup[0]
    assert (one.cell, one.kpi, one.warmup_weeks, one.enough) == ("robots.carry=1", KPI, 2, False)
    assert one.cut_weeks in (7, 8)
    assert len(one.weeks) == 30
    assert found.warnings[0].startswith("robots.carry=1, order cycle time: MSER over 30 weeks cuts ")
    assert found.warnings[0].endswith("the warm-up of 2 weeks is too short.")
    settled = load("tiny", ["time.days=210", "time.warmup_days=56"])
    assert compare(settled, {"robots.carry": [1, 2]}, 3, runs=Told(steps, weeks=weeks)).warnings == []


def test_comparison_needs_two_cells():
    """One cell, or the same twice, is no comparison."""
    with pytest.raises(StudyError, match="expected at least 2 cells to compare, found 1"):
        compare("tiny", {"robots.carry": [1]}, 2, runs=Told(steps))
    with pytest.raises(StudyError, match=r"expected cells that differ, found 'robots\.carry=1' twice"):
        compare("tiny", {"robots.carry": [1, 1]}, 2, runs=Told(steps))


# --- sweep, select, sensitivity ---------------------------------------------------------------------------


def test_sweep_has_a_row_a_cell():
    """One row a cell, with what is set and the figures; in JSON the parts of KPIs that were asked for."""
    kpis = [KPI, "time_by_cause_s.travel"]
    found = sweep("tiny", {"robots.carry": [1, 2], "initial.fill": [0.4, 0.6]}, 2, kpi=kpis)
    rows = found.to_json()["cells"]
    assert [row["set"] for row in rows] == [
        {"robots.carry": boxes, "initial.fill": fill} for boxes in (1, 2) for fill in (0.4, 0.6)
    ]
    assert "time_by_cause_s.travel" in rows[0]["kpis"]
    assert "time_by_cause_s.idle" not in rows[0]["kpis"]
    assert f"{KPI}.p95" in rows[0]["kpis"]
    table = found.table()
    assert table["robots.carry"].tolist() == [1, 1, 2, 2]
    assert table[KPI].tolist() == [row["kpis"][KPI]["mean"] for row in rows]
    assert table[f"{KPI} low"][0] < table[KPI][0] < table[f"{KPI} high"][0]
    assert found._repr_html_().count("<tr>") == 5


def test_selection_drops_what_is_behind():
    """Ten seconds apart, 2 s matter: the first 10 replications tell; the promise stands in the answer."""
    told = Told(steps)
    found = select("tiny", {"robots.carry": [3, 1, 2]}, 2.0, runs=told)
    assert (found.selected, found.contenders) == ("robots.carry=1", ["robots.carry=1"])
    assert found.left_after == {"robots.carry=3": 10, "robots.carry=2": 10}
    assert [len(cell.replications) for cell in found.cells] == [10, 10, 10]
    assert found.sentence == (
        "robots.carry=1 has the lowest order cycle time, or is within 2 s of it, with a probability of at least "
        "95 %; 10 replications"
    )
    assert max(number for _, number in told.asked) == 9


def test_selection_goes_on_with_contenders_only():
    """A cell far behind is dropped at once; the two that are close need more replications."""

    def close(cell, number):
        spread = 4.0 * NOISE[number % 7] if carry(cell) == 2 else NOISE[number % 7]
        return {1: 100.0, 2: 104.0, 3: 400.0}[carry(cell)] + spread

    told = Told(close)
    found = select("tiny", {"robots.carry": [1, 2, 3]}, 2.0, runs=told)
    assert found.selected == "robots.carry=1"
    assert found.left_after["robots.carry=3"] == 10 < found.left_after["robots.carry=2"]
    assert max(number for name, number in told.asked if name == "robots.carry=3") == 9
    # The same as the procedure gives when it is fed one replication after the other.
    from sim.selection import KN

    procedure = KN(3, 2.0, largest=False)
    cells = grid_cells(load("tiny"), {"robots.carry": [1, 2, 3]})
    while procedure.wanted:
        number = procedure.replications
        procedure.add({at: close(cells[at], number) for at in procedure.wanted})
    assert len(found.cells[0].replications) == procedure.replications


def test_selection_may_not_come_to_an_end():
    """With as many replications as allowed and no cell alone, none is selected; wrong wishes are refused."""
    found = select(
        "tiny", {"robots.carry": [1, 2]}, 0.01, most=12,
        runs=Told(lambda cell, number: NOISE[(number * carry(cell)) % 7]),
    )  # fmt: skip
    assert (found.selected, len(found.contenders)) == (None, 2)
    assert found.sentence.startswith("not selected: 'robots.carry=1', 'robots.carry=2' are still in after 12")
    with pytest.raises(StudyError, match="expected a difference that matters above 0, found 0"):
        select("tiny", {"robots.carry": [1, 2]}, 0.0, runs=Told(steps))
    with pytest.raises(
        StudyError, match="expected a KPI of which more or less is better, found 'fill_boxes'"
    ):
        select("tiny", {"robots.carry": [1, 2]}, 1.0, kpi="fill_boxes", runs=Told(steps))
    with pytest.raises(StudyError, match="the roof fell in"):
        select("tiny", {"robots.carry": [1, 2]}, 1.0, runs=Told(steps, broken={("robots.carry=1", 4)}))


def test_sensitivity_finds_what_matters():
    """Of y = 10 x with a second factor that does nothing, x explains all and moves it by 10 times its range."""

    def line(cell, number):
        return 10.0 * cell.resolved["robots"]["speed_m_per_s"]

    factors = {key: factor_of(key, low, high) for key, low, high in (
        ("robots.pick_s", 1, 9), ("robots.speed_m_per_s", 1, 2))}  # fmt: skip
    sobol = sensitivity("tiny", factors, points=64, runs=Told(line))
    assert [row["factor"] for row in sobol.factors] == ["robots.speed_m_per_s", "robots.pick_s"]
    assert sobol.factors[0]["total"]["mean"] == pytest.approx(1.0, abs=0.05)
    assert sobol.factors[1]["total"]["mean"] == 0.0
    assert sobol.cells == 64 * 4
    morris = sensitivity("tiny", factors, method="morris", runs=Told(line))
    assert morris.factors[0]["mean"] == pytest.approx(10.0)
    assert morris.factors[0]["size"]["mean"] == pytest.approx(10.0)
    assert morris.factors[1]["spread"] == 0.0
    assert list(morris.table()) == [
        "factor",
        "low",
        "high",
        "mean",
        "size mean",
        "size low",
        "size high",
        "spread",
    ]
    json.dumps(sobol.to_json(), allow_nan=False)
    with pytest.raises(StudyError, match="expected a power of 2 base points, from 2, found 7"):
        sensitivity("tiny", factors, points=7, runs=Told(line))


# --- the folder of a study ---------------------------------------------------------------------------------


@pytest.fixture
def counted(monkeypatch):
    """The keys of the jobs that are run in this process."""
    keys = []

    def counting(job):
        keys.append(job.key)
        return run_job(job)

    monkeypatch.setattr("sim.experiment.run_job", counting)
    return keys


def test_the_same_again_runs_what_is_missing(tmp_path, counted):
    """A study that is asked for again runs nothing; more replications run what is new, and nothing differs."""
    vary = {"robots.carry": [1, 2]}
    with open_runs(tmp_path / "s", workers=None) as runs:
        first = compare("tiny", vary, 3, runs=runs).to_json()
    assert len(counted) == 6
    with open_runs(tmp_path / "s", workers=None) as runs:
        assert compare("tiny", vary, 3, runs=runs).to_json() == first
    assert len(counted) == 6
    with open_runs(tmp_path / "s", workers=None) as runs:
        more = compare("tiny", vary, 5, runs=runs)
    assert len(counted) == len(set(counted)) == 10
    assert more.to_json() == compare("tiny", vary, 5).to_json()


def test_processes_give_the_same():
    """Two processes give what this one gives, to the last digest."""
    with open_runs(workers=2) as runs:
        assert replicate("tiny", 3, runs=runs).to_json() == replicate("tiny", 3).to_json()


def test_another_study_is_refused(tmp_path):
    """A folder holds one study: other cells, another seed or another command are refused in words."""
    place = tmp_path / "s"
    with open_runs(place, workers=1) as runs:
        compare("tiny", {"robots.carry": [1, 2]}, 2, runs=runs)

    def again(call):
        with pytest.raises(StudyError) as caught, open_runs(place) as runs:
            call(runs)
        return str(caught.value).removeprefix(f"{place}: expected the study that it holds, ")

    one, two, three = (f"'robots.carry={boxes}'" for boxes in (1, 2, 3))
    assert again(lambda runs: compare("tiny", {"robots.carry": [1, 3]}, 2, runs=runs)) == (
        f"of {one}, {two}, found {one}, {three}"
    )
    assert again(lambda runs: compare("tiny", {"robots.carry": [1, 2]}, 2, seed=4, runs=runs)) == (
        "with seed 1, found seed 4"
    )
    assert again(lambda runs: sweep("tiny", {"robots.carry": [1, 2]}, 2, runs=runs)) == (
        "with kind 'compare', found kind 'sweep'"
    )
    base = load("tiny", ["initial.fill=0.4"])
    assert again(lambda runs: compare(base, {"robots.carry": [1, 2]}, 2, runs=runs)) == (
        "found one with other values of the scenario"
    )


def test_folders_of_others_are_left_alone(tmp_path):
    """What is no study's folder is refused before anything is written; what nothing came of is removed."""
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "precious.txt").write_text("mine")
    with pytest.raises(StudyError, match="expected a new, empty or study folder, found other files in it"):
        refuse_study_folder(tmp_path / "mine", "study.db")
    (tmp_path / "mine" / "result.json").write_text("{}")
    with pytest.raises(StudyError, match="expected a new, empty or study folder, found the result of a run"):
        refuse_study_folder(tmp_path / "mine", "study.db")
    with pytest.raises(StudyError, match="expected a folder, found a file"):
        refuse_study_folder(tmp_path / "mine" / "precious.txt", "study.db")
    with pytest.raises(StudyError, match=r"found that .*precious\.txt is a file"):
        refuse_study_folder(tmp_path / "mine" / "precious.txt" / "deep", "study.db")
    with pytest.raises(MeasureError), open_runs(tmp_path / "new") as runs:
        replicate("tiny", 2, kpi="nothing", runs=runs)
    assert not (tmp_path / "new").exists()
    (tmp_path / "empty").mkdir()
    with pytest.raises(MeasureError), open_runs(tmp_path / "empty") as runs:
        replicate("tiny", 2, kpi="nothing", runs=runs)
    assert list((tmp_path / "empty").iterdir()) == []


def test_engines_and_addresses_are_checked(tmp_path):
    """An engine that there is not is refused, and an address for one that has none."""
    with (
        pytest.raises(
            StudyError, match="--engine: expected 'local' or 'dask', found 'daks', did you mean 'dask'"
        ),
        open_runs(engine="daks"),
    ):
        pass
    address = "tcp://127.0.0.1:1"
    words = "--address: expected the engine 'dask' with it, found 'local'"
    with pytest.raises(StudyError, match=words), open_runs(tmp_path / "s", address=address):
        pass
    assert not (tmp_path / "s").exists()


def test_stopped_study_goes_on(tmp_path, monkeypatch):
    """What was finished when a study was stopped is kept; the same again runs the rest, with the same result."""
    done = []

    def stopping(job):
        if len(done) == 3:
            raise KeyboardInterrupt
        done.append(job.key)
        return run_job(job)

    with monkeypatch.context() as patched:
        patched.setattr("sim.experiment.run_job", stopping)
        with pytest.raises(KeyboardInterrupt), open_runs(tmp_path / "s") as runs:
            compare("tiny", {"robots.carry": [1, 2]}, 3, runs=runs)
    rest = []
    monkeypatch.setattr("sim.experiment.run_job", lambda job: rest.append(job.key) or run_job(job))
    with open_runs(tmp_path / "s") as runs:
        found = compare("tiny", {"robots.carry": [1, 2]}, 3, runs=runs)
    assert len(rest) == 3
    assert not set(rest) & set(done)
    assert found.to_json() == compare("tiny", {"robots.carry": [1, 2]}, 3).to_json()


# --- from Python -------------------------------------------------------------------------------------------


def test_notebook_names():
    """The package offers the experiments, and tables of plain columns."""
    assert (sim.compare, sim.replicate, sim.sweep) == (compare, replicate, sweep)
    found = sim.replicate(load("tiny"), 2)
    table = found.table()
    assert list(table) == ["measure", "mean", "low", "high", "n", "unit"]
    at = table["measure"].tolist().index("box_moves")
    assert table["mean"][at] == found.cell.figures["box_moves"].mean
    assert math.isnan(table["mean"][table["measure"].tolist().index("recall_time_h")])
    assert "<td>box_moves</td>" in found._repr_html_()
    assert isinstance(Path(sim.__file__), Path)
