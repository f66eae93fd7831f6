"""Studies: strict files, verdicts that can be worked out by hand, bands, flip points, and the twenty questions."""

import copy
import importlib.util
import json
import math
import sys
import tomllib
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest

from sim.assumed import RANGES, assumptions, drawn, held, is_whole
from sim.cli import main
from sim.experiment import Cell, Runs, StudyError
from sim.figures import BEFORE_START, Replication
from sim.kpis import RunFacts, compute
from sim.scenario import Scenario, ScenarioError, load, resolved
from sim.simulation import run as simulate
from sim.statistics import Interval
from sim.study import Answer, answer, between, rank_correlation, told
from sim.studychart import draw
from sim.studyfile import PROFILES, Study, blank_of, blanks, load_study, study_files, toml_value
from sim.trace import MODEL_VERSION

ROOT = Path(__file__).parent.parent
STUDIES = sorted(study_files())

ONE_OR_TWO = """
question = "Does a second robot help?"
base = "tiny"
seed = 3
replications = 4

[[cells]]
name = "one robot"

[[cells]]
name = "two robots"
sets = { "robots.count" = 2 }

[measures.cycle]
words = "time of an order"
kpi = "order_cycle_time_s"

[decides]
kind = "best"
measure = "cycle"
matters = 0.5

[answers]
wins = "{best} wins over {runner up} by {difference}: {two robots} and {one robot}."

[[relies_on]]
part = "orders"
key = "demand.orders_per_day"
off = 0

[picture]
caption = "Time of an order"
"""

LIMITED = """
question = "How many boxes on board keep orders within 20 s?"
base = "tiny"
replications = 3

[[cells]]
name = "one"
sets = { "robots.carry" = 1 }

[[cells]]
name = "two"
sets = { "robots.carry" = 2 }

[[cells]]
name = "three"
sets = { "robots.carry" = 3 }

[measures.cycle]
words = "time of an order"
kpi = "order_cycle_time_s"

[decides]
kind = "limit"
measure = "cycle"
limit = 20

[answers]
crossed = "{last within} keeps {limit}, {first beyond} does not: {at last within}, {at first beyond}; {within}; {beyond}."

[[relies_on]]
part = "orders"
key = "demand.orders_per_day"
off = 0

[picture]
caption = "Time of an order"
"""


def written(tmp_path: Path, text: str, name: str = "asked.toml") -> str:
    path = tmp_path / name
    path.write_text(text, encoding="utf-8")
    return str(path)


class Stated(Runs):
    """Replications whose only measures are stated by a function of scenario and number, not simulated."""

    def __init__(self, time_s: Callable[[dict[str, Any], int], float | None], before: float = 0.0) -> None:
        super().__init__()
        self.time_s, self.before, self.asked = time_s, before, 0

    def get(self, wanted: Sequence[tuple[int, Cell, int]], seed: int) -> list[Any]:
        self.asked += len(wanted)
        return [
            Replication(
                number, seed + number, "", "", 0,
                {"order_cycle_time_s": self.time_s(cell.resolved, number), BEFORE_START: self.before}, {},
            )
            for _, cell, number in wanted
        ]  # fmt: skip


def asked(tmp_path: Path, text: str, time_s: Callable[..., float | None], **how: Any) -> Answer:
    return answer(load_study(written(tmp_path, text)), Stated(time_s, how.pop("before", 0.0)), **how)


def by_robots(one: float, two: float, noise: float = 0.1) -> Callable[[dict[str, Any], int], float]:
    """`one` or `two` seconds by the number of robots, with noise that differs between the two."""

    def time_s(values: dict[str, Any], number: int) -> float:
        second = values["robots"]["count"] == 2
        return (two if second else one) + noise * (1 if number % 2 else -1) * (1 if second else 2)

    return time_s


def mistakes(tmp_path: Path, text: str) -> list[str]:
    with pytest.raises(ScenarioError) as caught:
        load_study(written(tmp_path, text))
    return [line.replace(f"{tmp_path}/", "") for line in caught.value.lines]


# --- files


@pytest.mark.parametrize(
    ("before", "after", "line"),
    [
        ("seed = 3", "sed = 3", (
                "asked.toml:4: sed: expected 'number', 'question', 'base', 'sets', 'seed', 'replications', 'horizon',"
                " 'cells', 'groups', 'measures', 'costs', 'decides', 'answers', 'with_costs', 'missing', 'relies_on',"
                " 'ranges', 'leave', 'bands', 'profiles' or 'picture', found 'sed', did you mean 'seed'?"
            )),
        (
            'kpi = "order_cycle_time_s"',
            'kpi = "order_cycle_tim_s"',
            ("asked.toml:16: measures.cycle.kpi: expected a KPI, found 'order_cycle_tim_s', did you mean"
            " 'order_cycle_time_s'?"),
        ),
        (
            "{two robots}",
            "{three robots}",
            ("asked.toml:24: answers.wins: expected a cell, a measure of a cell, or one of best, runner up,"
            " difference, last within, first beyond, within, beyond, limit, replications, days, count, found the"
            " blank 'three robots'"),
        ),
        (
            "wins =",
            "won =",
            "asked.toml:24: answers.won: expected 'wins', 'equal' or 'open' under kind = 'best', found 'won'",
        ),
        (
            'measure = "cycle"',
            'measure = "time"',
            "asked.toml:20: decides.measure: expected 'cycle', found 'time'",
        ),
        (
            'name = "two robots"',
            'name = "one robot"',
            "asked.toml:11: cells[1].name: expected another name than the others, found 'one robot'",
        ),
        (
            "matters = 0.5",
            "limit = 3",
            "asked.toml:21: decides.limit: expected a number under kind = 'limit' only, found 3.0",
        ),
        (
            '"robots.count" = 2',
            '"robots.coutn" = 2',
            ("asked.toml:10: cells[1]: two robots: robots.coutn: expected a key of robots, found 'coutn', did you"
            " mean 'count'?"),
        ),
        ("replications = 4", "replications = 1", ("asked.toml:5: replications: expected a whole number from 2 to"
         " 1,000, found 1")),
        (
            'words = "time of an order"',
            'wordz = "time of an order"',
            ("asked.toml:15: measures.cycle.wordz: expected 'words', 'kpi', 'times', 'per', 'factor', 'unit',"
            " 'cost' or 'weeks_below', found 'wordz', did you mean 'words'?"),
        ),
    ],
)  # fmt: skip
def test_a_mistake_is_a_line(tmp_path: Path, before: str, after: str, line: str) -> None:
    """Every mistake of a study file names its line, what was expected and what was found."""
    assert ONE_OR_TWO.count(before) >= 1
    assert line in mistakes(tmp_path, ONE_OR_TWO.replace(before, after, 1))


def test_an_unknown_study_is_named(tmp_path: Path) -> None:
    """A name that is no study lists those there are, and the near one."""
    with pytest.raises(
        ScenarioError, match=r"q06_second_robo: expected a study file, a number .* found neither, did"
    ):
        load_study("q06_second_robo")
    with pytest.raises(ScenarioError, match=r"none\.toml: expected a study file, found none"):
        load_study(str(tmp_path / "none.toml"))


def test_whole_weeks_under_cyclic(tmp_path: Path) -> None:
    """A study of weeks that repeat is refused where run and warm-up are no whole weeks."""
    line = mistakes(tmp_path, ONE_OR_TWO.replace("seed = 3", 'seed = 3\nhorizon = "cyclic"'))[0]
    assert line == (
        "asked.toml:5: horizon: expected whole weeks of run and warm-up under 'cyclic', found 2 and 0 days in one"
        " robot"
    )


def test_sets_reach_every_cell(tmp_path: Path) -> None:
    """A value set from outside is put into every cell, under what the cell itself sets."""
    study = load_study(written(tmp_path, ONE_OR_TWO), ["robots.pick_s=7", "robots.count=3"])
    made = [study.scenario(cell).robots for cell in study.cells()]
    assert [(robots.pick_s, robots.count) for robots in made] == [(7.0, 3), (7.0, 2)]


@pytest.mark.parametrize("value", [True, 3, 2.5, "a 'b' \"c\"", [1, "x"], {"a": [{"b": 1.0}]}, float("inf")])
def test_values_are_written_as_toml(value: object) -> None:
    """A value written on one line is the same when TOML is read."""
    assert tomllib.loads(f"x = {toml_value(value)}")["x"] == value


# --- verdicts


def test_the_best_wins(tmp_path: Path) -> None:
    """The cell with the shorter time wins when the paired interval leaves out 0."""
    found = asked(tmp_path, ONE_OR_TWO, by_robots(10.0, 8.0), bands=False)
    assert (found.status, found.decided) == ("wins", True)
    # Differences are 8 - 10 = -2, and -0.1 or +0.1 with it: s = 0.2 / sqrt(3) = 0.115, s / 2 x 3.182 = 0.184.
    # Each cell alone: two robots s = 0.115, half-width 0.184; one robot twice that.
    assert found.answer == (
        "two robots wins over one robot by -2.00 (-2.18 to -1.82) s: 8.00 (7.82 to 8.18) s and 10.0 (9.6 to 10.4) s."
    )
    row = found.paired[0]
    assert (row["a"], row["b"], row["difference"]) == ("one robot", "two robots", 2.0)
    # Unpaired variance is 0.0133 + 0.0533 = 0.0667, paired 0.0133: 1 / sqrt(5) of the width. Student's t is 3.182
    # with 3 degrees of freedom; Welch's are 0.0667^2 x 3 / (0.0133^2 + 0.0533^2) = 4.41, for which it is 2.678.
    assert row["unpaired_ratio"] == pytest.approx(3.182 / 2.678 / 5**0.5, rel=1e-3)


def test_no_difference_that_matters(tmp_path: Path) -> None:
    """Two cells are equal when the whole interval lies within what matters."""
    found = asked(tmp_path, ONE_OR_TWO, by_robots(10.0, 9.9), bands=False)
    assert (found.status, found.decided) == ("equal", True)
    assert found.answer == (
        "Between two robots and one robot there is no difference that matters: -0.10 (-0.28 to 0.08) s."
    )


def test_noise_leaves_it_open(tmp_path: Path) -> None:
    """Nothing is decided where the interval holds 0 and more than what matters."""
    found = asked(tmp_path, ONE_OR_TWO, by_robots(10.0, 9.9, noise=1.0), bands=True)
    assert (found.status, found.decided) == ("open", False)
    assert found.answer.startswith(
        "4 runs do not decide between two robots and one robot: -0.10 (-1.94 to 1.74) s"
    )
    assert "assumptions" not in found.bands


THREE = """
[[cells]]
name = "three robots"
sets = { "robots.count" = 3 }

[measures.cycle]"""


def test_differences_hold_together(tmp_path: Path) -> None:
    """The band of noise and the differences in a sentence are as wide as all comparisons together need."""
    text = ONE_OR_TWO.replace("\n[measures.cycle]", THREE).replace(
        "{two robots} and {one robot}",
        "{two robots - one robot}, {two robots off one robot}, {two robots / one robot}",
    )

    def time_s(values: dict[str, Any], number: int) -> float:
        count = values["robots"]["count"]
        return {1: 10.0, 2: 8.0, 3: 9.5}[count] + {1: -0.1, 2: 0.1, 3: 0.3}[count] * (1 if number % 2 else -1)

    found = asked(tmp_path, text, time_s, bands=False)
    # Two robots less three: -1.5 -+ 0.2, so s = 0.2 x sqrt(4 / 3) = 0.2309 and s / sqrt(4) = 0.1155. Three
    # comparisons: 1 - 0.05 / 3 = 98.33 % each, for which Student's t with 3 degrees of freedom is 4.857.
    noise = found.bands["noise"]
    assert noise["level"] == pytest.approx(1 - 0.05 / 3)
    assert (noise["mean"], noise["low"], noise["high"]) == pytest.approx(
        (-1.5, -1.5 - 0.561, -1.5 + 0.561), abs=5e-4
    )
    assert [noise[key] for key in ("low", "high")] == [found.verdicts[0][key] for key in ("low", "high")]
    # Two robots less one: -2 +- 0.2, the same width. Ratios 7.9 / 10.1 = 0.7822 and 8.1 / 9.9 = 0.8182: by the
    # logarithms -0.2457 and -0.2007, mean -0.2232 (0.800), half-width 4.857 x 0.02598 / 2 = 0.0631.
    assert found.answer == (
        "two robots wins over three robots by -1.50 (-2.06 to -0.94) s: -2.00 (-2.56 to -1.44) s,"
        " -20.0 (-24.9 to -14.8) %, 0.80 (0.75 to 0.85)."
    )
    assert found.notes[1] == (
        "Intervals of differences hold together with 95 %, corrected for 3 comparisons (Bonferroni); those of"
        " single cells hold with 95 % each."
    )


def test_noise_against_a_limit_is_corrected(tmp_path: Path) -> None:
    """Against a limit the band of noise is as wide as the cells together need; an estimate needs no more."""
    times = {1: 8.0, 2: 16.0, 3: 24.0}
    found = asked(
        tmp_path,
        LIMITED,
        lambda values, number: times[values["robots"]["carry"]] + 0.01 * number,
        bands=False,
    )
    noise = found.bands["noise"]
    # 16, 16.01 and 16.02 less 20: -3.99, s = 0.01. Three cells: 98.33 % each, Student's t with 2 degrees of
    # freedom 7.649; 7.649 x 0.01 / sqrt(3) = 0.0442.
    assert (noise["mean"], noise["low"], noise["high"]) == pytest.approx((-3.99, -4.0342, -3.9458), abs=1e-4)
    text = ONE_OR_TWO.replace('kind = "best"', 'kind = "estimate"\nprecision = 0.05').replace(
        'wins = "{best} wins over {runner up} by {difference}:', 'known = "It is'
    )
    noise = asked(tmp_path, text, by_robots(10.0, 8.0), bands=False).bands["noise"]
    # 10 -+ 0.2: s = 0.2309, Student's t with 3 degrees of freedom at 95 % is 3.182: 3.182 x 0.1155 = 0.3674.
    assert (noise["level"], noise["high"] - noise["mean"]) == pytest.approx((0.95, 0.3674), abs=1e-3)


def test_infinity_is_read_back(tmp_path: Path) -> None:
    """A cell that sets a value to infinity says so in the document, in a form that a scenario takes back."""
    text = ONE_OR_TWO.replace(
        '"robots.count" = 2', '"robots.count" = 2, "robots.acceleration_m_per_s2" = inf'
    )
    document = asked(tmp_path, text, by_robots(10.0, 8.0), bands=False).to_json()
    sets = json.loads(json.dumps(document, allow_nan=False))["cells"][1]["set"]
    assert sets == {"robots.count": 2, "robots.acceleration_m_per_s2": "inf"}
    assert load("tiny").with_(sets).scenario.robots.acceleration_m_per_s2 == math.inf


class Weekly(Stated):
    """Stated replications whose weeks begin high for cells of one robot, and are alike later."""

    def get(self, wanted: Sequence[tuple[int, Cell, int]], seed: int) -> list[Any]:
        return [
            made._replace(weeks={"order_cycle_time_s": self.weeks(cell.resolved, made.replication)})
            for made, (_, cell, _) in zip(super().get(wanted, seed), wanted, strict=True)
        ]

    @staticmethod
    def weeks(values: dict[str, Any], number: int) -> list[float | None]:
        alike = [10.0 + 0.1 * ((number + week) % 3) for week in range(20)]
        return [90.0] * 4 + list(alike[4:]) if values["robots"]["count"] == 1 else alike


@pytest.mark.parametrize(
    ("horizon", "warmup", "many"), [("cyclic", 7, 1), ("cyclic", 28, 0), ("terminating", 7, 0)]
)
def test_a_short_warmup_is_told(tmp_path: Path, horizon: str, warmup: int, many: int) -> None:
    """Where weeks are alike a study names the cells whose warm-up ends before they are."""
    text = ONE_OR_TWO.replace(
        "seed = 3",
        f'seed = 3\nhorizon = "{horizon}"\nsets = {{ "time.days" = 140, "time.warmup_days" = {warmup} }}',
    )
    found = answer(load_study(written(tmp_path, text)), Weekly(by_robots(10.0, 8.0)), bands=False)
    words = "MSER over 20 weeks cuts 4 weeks: the warm-up of 1 week is too short."
    assert found.warnings == [f"one robot, order cycle time: {words}"] * many
    assert found.to_json()["warnings"] == found.warnings


def test_a_baseline_may_be_best(tmp_path: Path) -> None:
    """Against a baseline that is better than all others, the baseline wins."""
    text = ONE_OR_TWO.replace("matters = 0.5", 'baseline = "one robot"')
    found = asked(tmp_path, text, by_robots(8.0, 10.0), bands=False)
    assert found.answer.startswith("one robot wins over two robots by -2.00 (-2.18 to -1.82) s")


def test_more_can_be_better(tmp_path: Path) -> None:
    """Where more is better the cell with more wins."""
    text = ONE_OR_TWO.replace("matters = 0.5", 'better = "more"')
    assert asked(tmp_path, text, by_robots(10.0, 8.0), bands=False).answer.startswith("one robot wins")


def test_a_limit_is_crossed(tmp_path: Path) -> None:
    """The last cell within a limit and the first beyond it are named, with their values."""
    found = asked(
        tmp_path, LIMITED, lambda values, number: 8.0 * values["robots"]["carry"] + 0.01 * number, bands=False
    )
    assert found.status == "crossed"
    # 8, 16 and 24 s plus 0, 0.01 and 0.02: s = 0.01, half-width 0.01 / sqrt(3) x 4.303 = 0.025.
    assert found.answer == (
        "two keeps 20 s, three does not: 16.0 (16.0 to 16.0) s, 24.0 (24.0 to 24.0) s; one and two; three."
    )


@pytest.mark.parametrize(("factor", "status"), [(1.0, "within"), (30.0, "beyond")])
def test_a_limit_is_kept_or_broken_by_all(tmp_path: Path, factor: float, status: str) -> None:
    """Where all cells are on one side of a limit the answer says which."""
    found = asked(
        tmp_path,
        LIMITED,
        lambda values, number: factor * values["robots"]["carry"] + 0.01 * number,
        bands=False,
    )
    assert found.status == status


def test_a_limit_of_another_cell(tmp_path: Path) -> None:
    """A limit may be a multiple of another cell's value, run by run."""
    text = LIMITED.replace("limit = 20", 'limit = 2.5\nrelative_to = "one"')
    found = asked(
        tmp_path, text, lambda values, number: (8.0 + number) * values["robots"]["carry"], bands=False
    )
    # Twice and three times the first cell, in each run: the gap of 2.5 is met by two, not by three.
    assert [each["sides"] for each in found.verdicts] == [
        {"one": "within", "two": "within", "three": "beyond"}
    ]


def test_an_estimate_must_be_narrow(tmp_path: Path) -> None:
    """An estimate is known when its half-width is within the wished precision."""
    text = ONE_OR_TWO.replace('kind = "best"', 'kind = "estimate"\nprecision = 0.05').replace(
        'wins = "{best} wins over {runner up} by {difference}:', 'known = "It is'
    )
    assert asked(tmp_path, text, by_robots(10.0, 8.0), bands=False).status == "known"
    assert asked(tmp_path, text, by_robots(10.0, 8.0, noise=1.0), bands=False).status == "open"


def test_no_verdict_on_allocation_too_soon(tmp_path: Path) -> None:
    """While more than a tenth of the boxes stood there at time 0 there is no verdict on allocation."""
    text = ONE_OR_TWO.replace('"robots.count" = 2', '"robots.count" = 2, "policy.allocation" = "random"')
    early = asked(tmp_path, text, by_robots(10.0, 8.0), before=0.11)
    assert (early.status, early.decided, early.paired == []) == ("open", False, False)
    assert early.answer.startswith(
        "No verdict on allocation: up to 11% of the boxes served stood in the store"
    )
    assert asked(tmp_path, text, by_robots(10.0, 8.0), before=0.10, bands=False).status == "wins"


def test_costs_have_no_default(tmp_path: Path) -> None:
    """A measure in money is there only with its costs; those of a cell are added to it."""
    text = ONE_OR_TWO.replace(
        'sets = { "robots.count" = 2 }', 'sets = { "robots.count" = 2 }\ncosts = ["robot"]'
    )
    text = text.replace(
        "[decides]",
        '[measures.money]\nwords = "money"\nkpi = "order_cycle_time_s"\nunit = "yuan"\ncost = "second"\n\n[costs]\n'
        'second = "money a second"\nrobot = "money a robot"\n\n[decides]',
    )
    text = 'with_costs = "It costs {two robots: money}."\n' + text
    without = asked(tmp_path, text, by_robots(10.0, 8.0), bands=False)
    assert [cell["kpis"]["money"]["mean"] for cell in without.cells] == [None, None]
    assert "It costs" not in without.answer
    found = asked(tmp_path, text, by_robots(10.0, 8.0), bands=False, costs={"second": 2.0, "robot": 100.0})
    # 10 s x 2; 8 s x 2 + 100.
    assert [cell["kpis"]["money"]["mean"] for cell in found.cells] == [20.0, 116.0]
    assert "It costs 116 (116 to 116) yuan." in found.answer
    with pytest.raises(ScenarioError, match="--cost: expected second, robot, found 'wage'"):
        asked(tmp_path, text, by_robots(10.0, 8.0), costs={"wage": 1.0})


def test_where_a_difference_crosses(tmp_path: Path) -> None:
    """A crossing lies on the straight line between the situations in which the sign changes."""
    groups = "".join(
        f'[[groups]]\nname = "{x} orders"\nx = {x}\nsets = {{ "demand.orders_per_day" = {x} }}\n\n'
        for x in (2, 6)
    )
    text = ONE_OR_TWO.replace("[measures.cycle]", f"{groups}[measures.cycle]")
    text = text.replace("matters = 0.5", 'focus = "6 orders"')
    text = text.replace("{two robots} and {one robot}", "from {crossing one robot - two robots} on")

    def time_s(values: dict[str, Any], number: int) -> float:
        two = values["robots"]["count"] == 2
        return (5.0 if two else values["demand"]["orders_per_day"]) + 0.01 * number * two

    # One robot takes as many seconds as there are orders, two take 5.015 on average: even at 5.015.
    assert "from 5.01 on" in asked(tmp_path, text, time_s, bands=False).answer


# --- bands and flip points


def on_pick(other: float, carry: float = 0.0) -> Callable[[dict[str, Any], int], float]:
    """Two robots take as long as a pick (and a little for each box on board), one robot `other` seconds."""

    def time_s(values: dict[str, Any], number: int) -> float:
        robots = values["robots"]
        noise = 0.001 * (1 if number % 2 else -1)
        if robots["count"] == 1:
            return other + noise
        return float(robots["pick_s"]) + carry * robots["carry"] - noise

    return time_s


def test_the_band_of_assumptions(tmp_path: Path) -> None:
    """Drawn from their ranges, assumptions move the difference as far as they can; the sign holds."""
    found = asked(tmp_path, ONE_OR_TWO, on_pick(10.0))
    band = found.bands["assumptions"]
    assert found.decided
    # A pick takes 5 to 8 s: two robots - one robot is -5 to -2; 18 of 20 draws, one in each 0.15 s.
    assert -5.0 <= band["least"] < band["low"] < -4.7
    assert -2.3 < band["high"] < band["most"] <= -2.0
    assert (band["draws"], band["within"], band["opposite"]) == (20, 18, 0)
    assert band["inputs"]["robots.pick_s"]["influence"] > 0.99
    assert "That holds over the stated ranges" in found.answer
    assert "in 18 of 20 draws" in found.answer
    assert found.flips[0]["input"] == "robots.pick_s"
    assert (found.flips[0]["at"], found.flips[0]["text"]) == (
        None,
        "nowhere for robots.pick_s from 5 s to 8 s",
    )


def test_a_band_that_spans_zero(tmp_path: Path) -> None:
    """Where draws change the sign it is not decided by what is known, and bisection finds the flip point."""
    found = asked(tmp_path, ONE_OR_TWO, on_pick(7.1))
    assert found.status == "wins"
    assert not found.decided
    assert found.answer.startswith("Not decided by what is known: over the stated ranges of ")
    flip = found.flips[0]
    assert flip["input"] == "robots.pick_s"
    # 5 halvings of 5 to 8 s: within 3 / 64 of 7.1.
    assert flip["at"] == pytest.approx(7.1, abs=3 / 64 + 0.01)
    assert flip["text"] == "where robots.pick_s is over 7.11 s"
    assert found.answer.endswith("It flips where robots.pick_s is over 7.11 s.")


def test_whole_numbers_flip_between_two(tmp_path: Path) -> None:
    """The flip point of a whole number is the last with the answer of the default."""
    text = ONE_OR_TWO.replace("[answers]", "[bands]\ndraws = 40\nruns = 1\n\n[answers]")
    # 6 + 0.5 x carry < 9.2 up to 6 boxes on board, not from 7 on (pick at its default of 6 s; tiny carries 2).
    found = asked(tmp_path, text, on_pick(9.2, carry=0.5))
    flip = next(flip for flip in found.flips if flip["input"] == "robots.carry")
    assert (flip["at"], flip["text"]) == (6.0, "where robots.carry is over 6 boxes")


def test_what_the_question_sets_stays_fixed(tmp_path: Path) -> None:
    """What cells set, what has no range and what its part switches off is not drawn, and why is said."""
    scenario = resolved(load("tiny").scenario)
    chosen, fixed = drawn([scenario], ["robots.pick_s", "initial"], {"robots.turn_s": (2.0, 6.0)})
    assert "robots.place_s" in chosen
    assert chosen["robots.turn_s"].low == 2.0
    assert {key: fixed[key] for key in ("robots.pick_s", "initial.fill", "robots.transfer_s")} == {
        "robots.pick_s": "set by the question",
        "initial.fill": "set by the question",
        "robots.transfer_s": "no stated range",
    }
    assert fixed["faults.minor_stop_share"] == "its part of the model is off"
    # tiny asks for 6 orders a day, the stated range begins at 6.4.
    assert fixed["demand.orders_per_day"] == "set outside its stated range"
    assert set(assumptions(scenario)) == set(chosen) | set(fixed)


@pytest.mark.parametrize("path", RANGES)
def test_ranges_hold_their_defaults(path: str) -> None:
    """A stated range is that of an assumption, holds its default, and both ends are allowed."""
    values = resolved(Scenario())
    each = RANGES[path]
    assert path in assumptions(values)
    assert each.low <= held(values, path) <= each.high
    assert is_whole(path) == isinstance(held(values, path), int)
    for end in (each.low, each.high):
        load("luoyang", [f"{path}={int(end) if is_whole(path) else end}"])


def test_rank_correlation_by_hand() -> None:
    """Spearman's correlation is 1 for what rises, and counts ties by their mean rank."""
    assert rank_correlation([1, 2, 3], [10, 100, 1000]) == pytest.approx(1.0)
    assert rank_correlation([1, 2, 3], [3, 2, 1]) == pytest.approx(-1.0)
    # Ranks 0, 1, 2 and 0.5, 0.5, 2: covariance 1.5, variances 2 and 1.5.
    assert rank_correlation([1, 2, 3], [5, 5, 9]) == pytest.approx(1.5 / 3**0.5)
    assert rank_correlation([1, 1, 1], [1, 2, 3]) == 0.0


def test_profiles_are_compared(tmp_path: Path) -> None:
    """The answer is repeated for the five slot profiles; those with another outcome are named."""
    text = ONE_OR_TWO.replace('base = "tiny"', 'base = "luoyang"')

    def time_s(values: dict[str, Any], number: int) -> float:
        turned = values["layout"]["profile"] == "zoned_165"
        return by_robots(8.0, 10.0)(values, number) if turned else by_robots(10.0, 8.0)(values, number)

    found = asked(tmp_path, text, time_s, bands=False, profiles=True)
    assert [each["profile"] for each in found.profiles] == list(PROFILES)
    assert [each["same"] for each in found.profiles] == [True, True, True, False, True]
    assert found.answer.endswith("It is the same for 4 of 5 slot profiles, other for zoned_165.")


# --- with the model


def test_an_answer_of_real_runs(tmp_path: Path) -> None:
    """The figures of an answer are those of the same runs alone."""
    found = answer(load_study(written(tmp_path, ONE_OR_TWO)), bands=False)
    alone = [simulate(load("tiny"), seed).kpis()["order_cycle_time_s"]["value"] for seed in (3, 4, 5, 6)]
    assert found.cells[0]["kpis"]["cycle"]["mean"] == pytest.approx(sum(alone) / 4)
    assert found.cells[0]["kpis"]["cycle"]["n"] == 4


def test_a_failed_run_is_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A replication that comes to nothing ends the study with its cell, its number and the reason."""
    from sim import experiment

    def broken(job: Any) -> Any:
        raise RuntimeError(f"no room at seed {job.seed}")

    monkeypatch.setattr(experiment, "run_job", broken)
    with pytest.raises(StudyError) as caught:
        answer(load_study(written(tmp_path, ONE_OR_TWO)), replications=2, bands=False)
    assert caught.value.lines[0] == "one robot, replication 0: RuntimeError: no room at seed 3"
    assert len(caught.value.lines) == 4


def command(capsys: pytest.CaptureFixture[str], *words: str) -> tuple[int, str, str]:
    code = main(["study", *words])
    told_, errors = capsys.readouterr()
    return code, told_, errors


def test_the_command_prints_json(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The command gives one JSON object; kept in a folder, the same again runs nothing."""
    path, out = written(tmp_path, ONE_OR_TWO), tmp_path / "kept"
    words = (path, "--json", "--no-bands", "--replications", "2", "--workers", "1", "--out", str(out))
    code, first, _ = command(capsys, *words)
    document = json.loads(first)
    assert code == 0
    wanted = {"question", "answer", "decided", "cells", "paired", "bands", "flips"}
    assert wanted <= set(document)
    book = (out / "study.db").read_bytes()
    assert command(capsys, *words)[1] == first
    assert (out / "study.db").read_bytes() == book
    assert sorted(each.name for each in out.iterdir()) == [
        "picture.svg", "replications.parquet", "report.html", "result.json", "study.db",
    ]  # fmt: skip
    assert (out / "picture.svg").read_text(encoding="utf-8") == draw(document)


def test_the_command_prints_a_sentence(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """People see the question, a line a cell, the answer, and what it relies on."""
    code, shown, _ = command(capsys, written(tmp_path, ONE_OR_TWO), "--no-bands", "--workers", "1")
    assert code == 0
    text = " ".join(shown.split())
    for words in (
        "Does a second robot help?",
        "4 runs a cell, seeds from 3",
        "two robots",
        "It relies on orders.",
    ):
        assert words in text


@pytest.mark.parametrize(
    ("words", "line"),
    [
        (["--cost", "wage"], "--cost: expected name=money, found 'wage'"),
        (["--cost", "wage=3"], "--cost: expected no costs, found 'wage'"),
        (["--set", "robots.count"], "--set: expected a.b=value, found 'robots.count'"),
    ],
)
def test_wrong_input_ends_with_2(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], words: list[str], line: str
) -> None:
    """Wrong input is a line on standard error and exit code 2."""
    code, _, errors = command(capsys, written(tmp_path, ONE_OR_TWO), *words)
    assert (code, errors.strip()) == (2, line)


def test_words_of_figures() -> None:
    """Seconds are minutes or hours when there are many, shares are per cent, three digits say enough."""
    assert told(Interval(150.0, 120.0, 180.0, 3), "s") == "2.50 (2.00 to 3.00) min"
    assert told(Interval(0.5, 0.4, 0.625, 3), "share") == "50.0 (40.0 to 62.5) %"
    assert told(Interval(12345.6, 12000.0, 13000.0, 3), "meters") == "12,346 (12,000 to 13,000) meters"
    assert told(None, "s") == "nothing observed"
    assert between(-200.0, -30.0, "s") == "-3.33 to -0.50 min"


def test_the_gate_reads_what_theory_says() -> None:
    """One pass reads a box whole with the chance that all 15 tags answer; passes that miss nothing all."""
    perfect = [
        "records.scale=1",
        "records.short_packed=0",
        "reads.dead=0",
        "reads.box_miss=0",
        "faults.scale=1",
    ]
    sets = [*perfect, "reads.gate_passes=1", "reads.correlation=0"]
    found = compute(RunFacts.of(simulate(load("luoyang", sets), 1)))["gate_read_whole"]
    # 0.99^15 = 0.8601; some 800 boxes: a standard error of 0.0123, and five of them.
    assert found["n"] > 600
    assert found["value"] == pytest.approx(0.99**15, abs=5 * 0.0123)
    never = compute(RunFacts.of(simulate(load("luoyang", [*perfect, "reads.meter_miss=0"]), 1)))
    assert never["gate_read_whole"]["value"] == 1.0
    off = compute(RunFacts.of(simulate(load("luoyang", ["time.days=2"]), 1)))
    assert (off["gate_read_whole"]["value"], off["gate_read_whole"]["n"]) == (None, 0)


# --- the twenty questions


def test_twenty_questions_ship() -> None:
    """Each of the twenty questions has one study."""
    numbers = sorted(load_study(name).params.number or 0 for name in STUDIES)
    assert numbers == list(range(1, 21))
    assert load_study("6").name == "q06_second_robot"


def parts() -> list[tuple[str, int]]:
    return [
        (name, at)
        for name, path in study_files().items()
        for at, _ in enumerate(tomllib.loads(path.read_text(encoding="utf-8"))["relies_on"])
    ]


def off_everywhere(data: dict[str, Any], key: str, off: Any) -> None:
    """Switch a part off in all that a study sets."""
    tables = [data.setdefault("sets", {})]
    tables += [each.setdefault("sets", {}) for each in (*data["cells"], *data.get("groups", ()))]
    for table in tables:
        for path in [path for path in table if path == key or path.startswith(f"{key}.")]:
            del table[path]
        for path in [path for path in table if key.startswith(f"{path}.") and isinstance(table[path], dict)]:
            table[path] = {**table[path], key.removeprefix(f"{path}."): off}
    if not any(key.startswith(f"{path}.") for table in tables for path in table):
        tables[0][key] = off


@pytest.mark.parametrize(("name", "at"), parts())
def test_a_part_that_is_off_is_refused(tmp_path: Path, name: str, at: int) -> None:
    """A study in which a part of the model is off that its answer relies on is refused."""
    data = tomllib.loads(study_files()[name].read_text(encoding="utf-8"))
    part = data["relies_on"][at]
    broken = copy.deepcopy(data)
    off_everywhere(broken, part["key"], float("inf") if part["off"] == "inf" else part["off"])
    text = "\n".join(f"{key} = {toml_value(value)}" for key, value in broken.items())
    lines = mistakes(tmp_path, text)
    expected = f"expected {part['key']} other than"
    named = [line for line in lines if expected in line and f"as the answer relies on {part['part']}" in line]
    # Or the scenario itself refuses the value beside the others of the study.
    assert named or all(part["key"].rpartition(".")[0] in line for line in lines), lines


@pytest.fixture(scope="module")
def maker() -> Any:
    spec = importlib.util.spec_from_file_location("make_questions", ROOT / "docs" / "make_questions.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules["make_questions"] = module
    spec.loader.exec_module(module)
    return module


def test_the_page_is_what_was_found(maker: Any) -> None:
    """docs/questions.md is what its program writes from the kept answers."""
    assert (ROOT / "docs" / "questions.md").read_text(encoding="utf-8") == maker.page()


@pytest.mark.parametrize("name", STUDIES)
def test_a_kept_answer_is_of_its_study(maker: Any, name: str) -> None:
    """A kept answer is of this model and of the study as it stands, its picture is drawn from it."""
    document = next(each for each in maker.documents() if each["name"] == name)
    study: Study = load_study(name)
    params = study.params
    assert document["model_version"] == str(MODEL_VERSION)
    assert (document["question"], document["number"]) == (params.question, params.number)
    assert (document["seed"], document["replications"]) == (params.seed, params.replications)
    sets = [json.loads(json.dumps(cell.sets, default=lambda day: day.isoformat())) for cell in study.cells()]
    shown = [each["set"] for each in document["cells"]]
    assert [text(each) for each in shown] == [text(each) for each in sets]
    assert [each["key"] for each in document["relies_on"]] == [part.key for part in params.relies_on]
    template = params.answers.get(document["status"])
    if template is not None:
        # What stands between the blanks is in the answer, in its order.
        pieces = [piece for piece in split(template) if piece.strip()]
        at = 0
        for piece in pieces:
            at = document["answer"].index(piece, at)
    picture = (ROOT / "docs" / "studies" / "questions" / f"{name}.svg").read_text(encoding="utf-8")
    assert picture == draw(document)


def text(sets: dict[str, Any]) -> str:
    return json.dumps(sets, sort_keys=True).replace("Infinity", '"inf"')


def split(template: str) -> list[str]:
    for blank in blanks(template):
        template = template.replace(f"{{{blank}}}", "\x00")
    return template.split("\x00")


@pytest.mark.parametrize("name", STUDIES)
def test_most_questions_have_an_interval(maker: Any, name: str) -> None:
    """What decides has an interval of finite bounds; a study that lacks one says what the model lacks."""
    document = next(each for each in maker.documents() if each["name"] == name)
    noise = document["bands"]["noise"]
    assert document["missing"] or (noise["low"] is not None and noise["high"] is not None)


def test_blanks_by_hand() -> None:
    """A blank names a cell, a measure of it, a pair, or one of the special ones; nothing else."""
    params = load_study("q20_person_hours").params
    year = "the demand of 150,000 meters a year"
    found = blank_of(f"manual - robot | {year}: late", params)
    assert found == ("difference", (("manual", year), ("robot", year)), "late")
    assert blank_of("crossing manual - robot: money", params) == (
        "crossing", (("manual", ""), ("robot", "")), "money",
    )  # fmt: skip
    assert blank_of("robot", params) is None
    assert blank_of(f"at best | {year}", params) == ("at best", (("", year),), "hours")
    assert blank_of("best: nothing", params) is None
