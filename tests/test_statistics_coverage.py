"""Promises are kept: a smaller version of `make statistics`, and what it wrote."""

import importlib
import json
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import pytest

from sim.statistics import share_interval

DOCS = Path(__file__).resolve().parents[1] / "docs"
TRIALS = {
    "intervals": 1_000,
    "long runs": 400,
    "stopping": 400,
    "families": 400,
    "warm-ups": 400,
    "selection": 400,
    "influence": 256,
}


@pytest.fixture(scope="module")
def measured() -> Iterator[ModuleType]:
    sys.path.insert(0, str(DOCS))
    try:
        yield importlib.import_module("make_statistics")
    finally:
        sys.path.remove(str(DOCS))


def stored():
    return json.loads((DOCS / "studies" / "statistics.json").read_text(encoding="utf-8"))


@pytest.mark.parametrize("case", TRIALS)
def test_promises_are_kept(measured, case):
    """Intervals hold as often, and the best is selected as often, as promised or known."""
    rows = measured.measure(case, TRIALS[case])
    assert rows
    assert [row for row in rows if not row.ok] == []


def test_all_cases_are_tried(measured):
    """No case is left out of the test."""
    assert list(TRIALS) == list(measured.CASES)


def test_broken_promises_fail(measured):
    """A share that is not what it should be fails, on the side that matters."""
    found = share_interval(900, 1000, 0.999)
    verdicts = {
        relation: [
            measured.Row("", 0.95, relation, expected, found).ok for expected in (0.80, 0.89, 0.91, 0.95)
        ]
        for relation in ("=", ">=", "<=")
    }
    # The interval is 0.866 to 0.928.
    assert verdicts == {
        "=": [False, True, True, False],
        ">=": [True, True, True, False],
        "<=": [False, True, True, True],
    }


def test_document_is_what_is_measured(measured):
    """The stored rows are those of the program, from its seeds; all of them hold."""
    document = stored()
    assert (document["seed"], document["level"]) == (measured.SEED, measured.LEVEL)
    rows = {row["what"]: row for row in document["rows"]}
    assert [what for what, row in rows.items() if not row["ok"]] == []
    names = [row.what for case in measured.CASES for row in measured.measure(case, 40)]
    names += [row.what for row in measured.store_rows(dict.fromkeys(measured.STORES, range(20)))]
    assert list(rows) == names
    for case in ("intervals", "warm-ups"):
        for row in measured.measure(case):
            assert rows[row.what] == row.to_json(), "run `make statistics`"


class TestStore:
    def test_coverage_by_hand(self, measured):
        """Of three groups of two, the intervals of two hold the mean of all."""
        # The mean is 4. 3 and 4: 3.5 +- 12.7 x 0.707 / 1.414 = 6.35; 4 and 6 hold it; 3.5 and 3.5 do not.
        found = measured.coverage_of_store([3.0, 4.0, 4.0, 6.0, 3.5, 3.5, 99.0], group=2)
        assert found == share_interval(2, 3, 0.999)

    def test_too_few_runs(self, measured):
        """Nine runs are no two groups of five."""
        with pytest.raises(ValueError, match="at least 10 values, found 9"):
            measured.coverage_of_store([1.0] * 9, group=5)

    def test_rare_events_are_not_covered(self, measured):
        """Where one run in thirty is thirty times worse, most groups of ten do not know of it."""
        values = [30.0 if run % 30 == 0 else 1.0 + run % 3 / 100 for run in range(600)]
        row = next(measured.store_rows({"two days of the tiny store": values}))
        # Of every three groups one holds the bad run, and its interval is wide enough.
        assert row.found.mean == pytest.approx(1 / 3)
        assert row.warning
        assert row.ok

    def test_tiny_store(self, measured):
        """Runs of the store give the 95th percentile of the order cycle time, one a seed."""
        (first,) = measured.simulate(("two days of the tiny store", [1]))
        assert measured.simulate(("two days of the tiny store", [2, 1]))[1] == first
        assert first == pytest.approx(107.69745)
