"""What many runs show: measures, figures, paired differences and verdicts, with numbers worked out by hand."""

import math

import pytest

from sim.figures import (
    Difference,
    Frame,
    MeasureError,
    Replication,
    all_pairs,
    bare_text,
    check_found,
    check_measures,
    default_horizon,
    differences,
    figure,
    figures,
    frame_of,
    from_first,
    measures_of,
    span_text,
    title_of,
    values_of,
    verdict,
)

KPI = "order_cycle_time_s"
ONCE = Frame()


def made(*values: float | None, kpi: str = KPI, weeks: dict[int, list[float | None]] | None = None):
    """Replications with one measure, and its weeks where a replication has any."""
    return [
        Replication(
            k, k + 1, f"facts {k}", f"demand {k}", 9, {kpi: value},
            {kpi: weeks[k]} if weeks and k in weeks else {},
        )
        for k, value in enumerate(values)
    ]  # fmt: skip


# --- measures --------------------------------------------------------------------------------------------


def test_measures_are_values_percentiles_and_parts():
    """A KPI gives its value, its percentiles and its numbers by part; a split once more is left out."""
    kpis = {
        "order_cycle_time_s": {"value": 80, "p50": 70.5, "p95": 140.0, "n": 9, "unit": "s"},
        "time_by_cause_s": {"value": 9.0, "parts": {"travel": 4, "idle": 5.0}, "unit": "s"},
        "task_time_by_cause_s": {"value": None, "parts": {"by_class": {"count": 1}}, "unit": "s"},
    }
    assert measures_of(kpis) == {
        "order_cycle_time_s": 80.0,
        "order_cycle_time_s.p50": 70.5,
        "order_cycle_time_s.p95": 140.0,
        "time_by_cause_s": 9.0,
        "time_by_cause_s.travel": 4.0,
        "time_by_cause_s.idle": 5.0,
        "task_time_by_cause_s": None,
    }


def test_unknown_measures_are_lines():
    """Every name whose KPI there is not is a line with the near miss; parts are judged by what runs have."""
    check_measures("--kpi", ["orders", "time_by_cause_s.travel"])
    with pytest.raises(MeasureError) as caught:
        check_measures("--kpi", ["ordres", "orders", "late_order.p95"])
    wanted = "--kpi: expected a KPI (`meterhouse list kpis`), or one with .p50, .p95 or a part of it"
    assert caught.value.lines == [
        f"{wanted}, found 'ordres', did you mean 'orders'?",
        f"{wanted}, found 'late_order.p95', did you mean 'late_orders'?",
    ]
    runs = [Replication(0, 1, "", "", 1, {"orders": 1.0, "orders.released": 1.0}, {})]
    check_found("--kpi", ["orders.released"], runs)
    with pytest.raises(
        MeasureError, match=r"expected orders or orders\.released, found 'orders\.relesed', did you"
    ):
        check_found("--kpi", ["orders.relesed"], runs)


def test_titles_are_words():
    """A measure in words has no unit, and its percentile or part behind a comma."""
    assert title_of("order_cycle_time_s") == "order cycle time"
    assert title_of("order_cycle_time_s.p95") == "order cycle time, 95th percentile"
    assert title_of("time_by_cause_s.no_work") == "time by cause, no work"


# --- figures ---------------------------------------------------------------------------------------------


def test_terminating_takes_one_value_a_replication():
    """The values 2, 4, 6, 8: mean 5, standard deviation sqrt(20 / 3), t(3) = 3.1824."""
    found = figure(KPI, made(2.0, 4.0, None, 6.0, 8.0), ONCE)
    # 3.1824 * sqrt(20 / 3) / sqrt(4) = 4.1085
    assert (found.mean, found.n, found.unit) == (5.0, 4, "s")
    assert (found.method, found.observations) == ("t", "replications")
    assert found.low == pytest.approx(5.0 - 4.1085, abs=1e-4)
    assert found.high == pytest.approx(5.0 + 4.1085, abs=1e-4)


def test_one_replication_has_no_bounds():
    """A single value has a mean and no interval; no value has nothing."""
    assert figure(KPI, made(3.0), ONCE).to_json() == {
        "mean": 3.0, "low": None, "high": None, "n": 1, "unit": "s", "method": "t", "observations": "replications",
    }  # fmt: skip
    assert figure(KPI, made(None, None), ONCE).to_json() == {
        "mean": None, "low": None, "high": None, "n": 0, "unit": "s", "method": "t", "observations": "replications",
    }  # fmt: skip


def test_cyclic_takes_whole_weeks_after_warm_up():
    """Of each replication the weeks after the warm-up are averaged; a week without a value is left out."""
    frame = Frame("cyclic", 2)
    runs = made(99.0, 99.0, weeks={0: [50.0, 40.0, 1.0, 3.0], 1: [60.0, 70.0, None, 4.0]})
    assert values_of(KPI, runs, frame) == [2.0, 4.0]
    found = figure(KPI, runs, frame)
    assert (found.mean, found.n, found.method, found.observations) == (3.0, 2, "t", "whole weeks")


def test_percentiles_stay_one_value_a_replication():
    """What has no weeks keeps the value of its run, also where weeks count."""
    runs = made(7.0, 9.0, kpi="order_cycle_time_s.p95")
    found = figure("order_cycle_time_s.p95", runs, Frame("cyclic", 1))
    assert (found.mean, found.observations) == (8.0, "replications")


def test_one_replication_of_weeks_is_batches():
    """One cyclic replication: each week is a batch; a steady one joins 40 weeks to 20 batches of 2."""
    weeks = [100.0, *[float(week % 4) for week in range(40)]]
    cyclic = figure(KPI, made(0.0, weeks={0: list(weeks)}), Frame("cyclic", 1))
    steady = figure(KPI, made(0.0, weeks={0: list(weeks)}), Frame("steady", 1))
    assert (cyclic.mean, cyclic.n, cyclic.method) == (1.5, 40, "batch-means")
    assert (steady.mean, steady.n, steady.method) == (1.5, 20, "batch-means")
    # Batches of 0, 1 and of 2, 3 in turn: 0.5 and 2.5, standard deviation sqrt(20 / 19), t(19) = 2.0930.
    assert steady.high == pytest.approx(1.5 + 2.0930 * math.sqrt(20 / 19) / math.sqrt(20), abs=1e-4)


def test_figures_stand_in_order_of_reading():
    """Every measure of any replication, in the order of the KPIs."""
    runs = [Replication(0, 1, "", "", 1, {"box_moves": 1.0, "orders.released": 2.0, "orders": 3.0}, {})]
    assert list(figures(runs, ONCE)) == ["orders.released", "orders", "box_moves"]


def test_horizon_is_by_length():
    """Below 8 weeks a run is terminating; the warm-up is rounded up to weeks, and has to leave one."""
    assert (default_horizon(55), default_horizon(56)) == ("terminating", "cyclic")
    assert frame_of("cyclic", 63, 8) == Frame("cyclic", 2)
    assert frame_of("terminating", 2, 1) == Frame("terminating", 1)
    with pytest.raises(
        MeasureError, match="expected a whole week after the warm-up for a horizon 'cyclic', found 13"
    ):
        frame_of("cyclic", 13, 7)


# --- differences -----------------------------------------------------------------------------------------


def test_differences_are_paired_and_corrected():
    """Differences -1, -2, -3: mean -2, deviation 1; t(2) is 4.3027 for one comparison, 6.2053 for two."""
    values = {"a": [1.0, 2.0, 3.0], "b": [2.0, 4.0, 6.0], "c": [1.0, 2.0, 3.0]}
    (one,) = differences(KPI, values, [("a", "b")], ONCE)
    assert (one.difference, one.n, one.comparisons, one.level) == (-2.0, 3, 1, 0.95)
    assert one.high == pytest.approx(-2 + 4.3027 / math.sqrt(3), abs=1e-4)
    assert not one.differs
    # Welch: variances 1 / 3 and 4 / 3, 2.9412 degrees of freedom, t = 3.2188 (by quadrature).
    width = 2 * 3.2188 * math.sqrt(5 / 3)
    assert one.unpaired_ratio == pytest.approx(2 * 4.3027 / math.sqrt(3) / width, rel=1e-3)
    two, same = differences(KPI, values, from_first(["a", "b", "c"]), ONCE)
    assert (two.comparisons, two.level) == (2, 0.975)
    assert two.low == pytest.approx(-2 - 6.2053 / math.sqrt(3), abs=1e-4)
    assert (same.same, same.differs, same.difference) == (True, False, 0.0)


def test_difference_turns_round():
    """b - a is a - b with the bounds changed over."""
    (row,) = differences(KPI, {"a": [1.0, 2.0, 3.0], "b": [2.0, 4.0, 7.0]}, [("a", "b")], ONCE)
    turned = row.reversed()
    assert (turned.a, turned.b, turned.difference) == ("b", "a", -row.difference)
    assert (turned.low, turned.high) == (-row.high, -row.low)
    assert turned.reversed() == row


def test_missing_values_drop_the_pair():
    """A replication counts when both cells observed something; where none did there is no difference."""
    values = {"a": [1.0, None, 3.0, 5.0], "b": [2.0, 2.0, None, 7.0], "c": [None] * 4}
    rows = differences(KPI, values, from_first(["a", "b", "c"]), ONCE)
    assert [(row.n, row.difference) for row in rows] == [(2, -1.5), (0, None)]
    # The pair without an observation still counts among the comparisons.
    assert rows[0].level == 0.975
    assert rows[0].high == pytest.approx(-1.5 + 25.4517 * math.sqrt(0.5) / math.sqrt(2), abs=1e-3)


def test_pairs_are_in_order():
    """Three cells give three pairs, two of them from the first."""
    assert all_pairs(["a", "b", "c"]) == [("a", "b"), ("a", "c"), ("b", "c")]
    assert from_first(["a", "b", "c"]) == [("a", "b"), ("a", "c")]


# --- verdicts --------------------------------------------------------------------------------------------


def told(kpi: str = KPI, **values: list[float | None]):
    rows = differences(kpi, values, all_pairs(list(values)), ONCE)
    means = {}
    for name, each in values.items():
        there = [value for value in each if value is not None]
        means[name] = sum(there) / len(there) if there else None
    return verdict(kpi, means, rows)


def test_best_is_named_with_its_intervals():
    """The best is held against every other, nearest first, over all pairs."""
    found = told(slow=[20.0, 21.0, 20.5, 20.5], fast=[10.0, 11.1, 10.4, 10.5], mid=[12.0, 13.0, 12.5, 12.6])
    assert (found.decided, found.best, found.comparisons) == (True, "fast", 3)
    assert found.sentence.startswith("order cycle time: fast is shorter by 2.0")
    assert " than mid and by 10.0" in found.sentence
    assert found.sentence.endswith(" than slow, 95 % over 3 comparisons")


def test_more_is_better_where_it_is():
    """Of boxes an hour the highest is best."""
    found = told("boxes_per_hour", few=[10.0, 11.0, 10.0], many=[20.0, 21.1, 20.0])
    assert (found.best, found.comparisons) == ("many", 1)
    assert found.sentence.startswith("boxes per hour: many is higher by 10.0")
    assert found.sentence.endswith(" than few, 95 %")


def test_what_is_close_is_not_decided():
    """Cells that cannot be told apart are named, with how many replications would tell."""
    found = told(a=[10.0, 12.0, 11.0, 14.0], b=[11.0, 12.0, 12.0, 12.0], c=[90.0, 91.0, 90.0, 93.0])
    assert (found.decided, found.best) == (False, None)
    assert found.sentence.startswith(
        "not decided: the order cycle time of a and b cannot be told apart (a less b: 0 s ("
    )
    assert "; a is shorter by " in found.sentence
    # Their means are the same: no number of replications would tell.
    assert found.needed is None


def test_replications_that_would_tell():
    """n (half-width / difference) squared: 4 (t(3) / sqrt(4) * sqrt(8 / 3) / 1) squared, t(3) = 3.1824."""
    found = told(a=[10.0, 10.0, 10.0, 10.0], b=[9.0, 11.0, 13.0, 11.0])
    # Differences 1, -1, -3, -1: mean -1, squares 8, so 4 * (3.1824 / 2)^2 * 8 / 3 = 27.006.
    assert found.needed == 28
    assert found.sentence.endswith("95 %; about 28 replications would tell, were the difference as it looks")


def test_no_difference_is_said():
    """Cells that are the same in every replication do not differ; one replication tells nothing."""
    assert told(a=[1.0, 2.0], b=[1.0, 2.0]).sentence == (
        "no difference: order cycle time is the same in every replication of a and b"
    )
    assert told(a=[1.0], b=[2.0]).sentence == (
        "not decided: one replication shows no spread; more are needed (--replications)"
    )
    assert told(a=[1.0, 2.0], b=[None, None]).sentence == (
        "not decided: nothing was observed of order cycle time in b"
    )


def test_neutral_measures_have_no_best():
    """Where neither more nor less is better the first is held against the others, and none is best."""
    found = told("fill_boxes", a=[0.5, 0.51, 0.5], b=[0.6, 0.61, 0.601])
    assert (found.decided, found.best) == (True, None)
    assert found.sentence.startswith("fill boxes: a is lower by 10.0")
    assert "percentage points" in found.sentence


# --- words -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("numbers", "unit", "text"),
    [
        ((3.13, 2.42, 3.84), "s", "3.1 s (2.4 to 3.8)"),
        ((1.4, -0.5, 3.3), "s", "1.4 s (-0.5 to 3.3)"),
        ((147.2, 138.1, 156.3), "boxes/h", "147 boxes/h (138 to 156)"),
        ((300.0, 240.0, 360.0), "s", "5.0 min (4.0 to 6.0)"),
        ((9000.0, 7200.0, 10800.0), "s", "2.5 h (2.0 to 3.0)"),
        ((0.5, 0.25, 0.75), "h", "30 min (15 to 45)"),
        ((0.0, 0.0, 0.0), "share", "0 %"),
        ((0.125, 0.1, 0.15), "share", "12.5 % (10.0 to 15.0)"),
        ((2.5, None, None), "boxes", "2.5 boxes"),
    ],
)  # fmt: skip
def test_numbers_have_one_unit_and_few_places(numbers, unit, text):
    """A number and its bounds share a unit; the interval says how many places there are."""
    assert span_text(*numbers, unit) == text


def test_bare_numbers_share_a_factor():
    """Without a unit the factor of a line is used for all of it."""
    assert bare_text(3.0, -2.2, 8.2, 1 / 60) == "0.05 (-0.04 to 0.14)"


def test_difference_is_ready_for_json():
    """The document names what it compares, the difference, its bounds and the ratio of widths."""
    (row,) = differences(KPI, {"a": [1.0, 2.0], "b": [1.0, 2.0]}, [("a", "b")], ONCE)
    assert row.to_json() == {
        "kpi": KPI, "a": "a", "b": "b", "difference": 0.0, "low": 0.0, "high": 0.0, "n": 2, "unit": "s",
        "method": "paired-t", "level": 0.95, "comparisons": 1, "unpaired_ratio": 0.0, "differs": False, "same": True,
    }  # fmt: skip
    assert isinstance(row, Difference)
