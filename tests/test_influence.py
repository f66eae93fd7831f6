"""What share of a result's variance each factor explains, and how far it moves the result."""

import itertools
import math

import numpy as np
import pytest
from scipy.stats import sobol_indices

from sim.designs import Choice, Range, Whole
from sim.influence import Morris, Saltelli

ANGLES = {name: Range(-math.pi, math.pi) for name in ("x", "y", "z")}


def ishigami(cell):
    return math.sin(cell["x"]) + 7 * math.sin(cell["y"]) ** 2 + 0.1 * cell["z"] ** 4 * math.sin(cell["x"])


class TestSaltelli:
    def test_known_indices(self):
        """The Ishigami function has known first and total indices; the intervals hold them."""
        design = Saltelli(ANGLES, 4096, seed=1)
        assert len(design.cells) == 4096 * 5
        found = design.indices([ishigami(cell) for cell in design.cells], level=0.999)
        known = {"x": (0.3139, 0.5576), "y": (0.4424, 0.4424), "z": (0.0, 0.2437)}
        assert list(found) == list(known)
        for name, (first, total) in known.items():
            assert found[name].first.mean == pytest.approx(first, abs=0.03)
            assert found[name].total.mean == pytest.approx(total, abs=0.01)
            assert first in found[name].first
            assert total in found[name].total
            assert found[name].first.n == 4096

    def test_same_as_scipy(self):
        """The estimates are those of scipy, from the same cells."""
        design = Saltelli(ANGLES, 64, seed=2)
        values = [ishigami(cell) for cell in design.cells]
        a, b, *ab = np.split(np.array(values), 5)
        theirs = sobol_indices(func={"f_A": a[None], "f_B": b[None], "f_AB": np.array(ab)[:, None]}, n=64)
        ours = design.indices(values).values()
        assert [each.first.mean for each in ours] == pytest.approx(theirs.first_order.tolist(), rel=1e-12)
        assert [each.total.mean for each in ours] == pytest.approx(theirs.total_order.tolist(), rel=1e-12)

    def test_cells_are_mixed(self):
        """Each mixed cell has one value from B and all others from A."""
        design = Saltelli({"a": Range(0.0, 1.0), "b": Whole(1, 100), "c": Range(5.0, 6.0)}, 8, seed=3)
        sets = [design.cells[8 * i : 8 * (i + 1)] for i in range(5)]
        for name, mixed in zip("abc", sets[2:], strict=True):
            for a, b, ab in zip(sets[0], sets[1], mixed, strict=True):
                assert ab == {**a, name: b[name]}

    def test_shares_of_a_sum(self):
        """In a sum each factor explains its own part: here 16/21, 4/21 and 1/21, and nothing together."""
        # Variances of uniform ranges of width 4, 2 and 1 are in proportion 16 : 4 : 1.
        factors = {"a": Range(0.0, 4.0), "b": Range(0.0, 2.0), "c": Range(0.0, 1.0)}
        design = Saltelli(factors, 1024, seed=4)
        found = design.indices([sum(cell.values()) for cell in design.cells])
        for name, share in (("a", 16 / 21), ("b", 4 / 21), ("c", 1 / 21)):
            assert found[name].first.mean == pytest.approx(share, abs=0.01)
            assert found[name].total.mean == pytest.approx(share, abs=0.01)

    def test_choice_that_does_nothing(self):
        """A factor that is never looked at has no total influence whatever."""
        design = Saltelli({"a": Choice(("s", "m", "l")), "b": Range(0.0, 1.0)}, 256, seed=5)
        found = design.indices([{"s": 0.0, "m": 1.0, "l": 5.0}[cell["a"]] for cell in design.cells])
        assert found["b"].total == (0.0, 0.0, 0.0, 256)
        assert found["a"].total.mean == pytest.approx(1.0, abs=0.05)
        assert 1.0 in found["a"].total

    def test_nothing_varies(self):
        """A result that is the same everywhere is influenced by nothing."""
        design = Saltelli({"a": Range(0.0, 1.0), "b": Range(0.0, 1.0)}, 4, seed=6)
        for each in design.indices([3.0] * 16).values():
            assert each == ((0.0, 0.0, 0.0, 4), (0.0, 0.0, 0.0, 4))

    def test_intervals_repeat(self):
        """The same design and results give the same intervals; a higher level wider ones."""
        one, other = (Saltelli(ANGLES, 32, seed=7) for _ in range(2))
        values = [ishigami(cell) for cell in one.cells]
        assert one.cells == other.cells
        narrow, wide = one.indices(values, 0.5), other.indices(values, 0.99)
        assert one.indices(values, 0.5) == narrow
        for name in ANGLES:
            assert (
                wide[name].first.low
                < narrow[name].first.low
                < narrow[name].first.high
                < wide[name].first.high
            )

    def test_senseless_input_is_refused(self):
        """Base points that are no power of 2, no factors, and results that do not fit are errors in words."""
        with pytest.raises(ValueError, match="a power of 2 base points, from 2, found 6"):
            Saltelli(ANGLES, 6, seed=1)
        with pytest.raises(ValueError, match="at least one factor, found none"):
            Saltelli({}, 8, seed=1)
        with pytest.raises(ValueError, match="expected 10 results, one a cell, found 9"):
            Saltelli(ANGLES, 2, seed=1).indices([1.0] * 9)
        with pytest.raises(ValueError, match="finite numbers"):
            Saltelli(ANGLES, 2, seed=1).indices([math.nan] * 10)


class TestMorris:
    def test_one_factor_at_a_time(self):
        """Along a trajectory each factor moves once, by two of the three steps between four levels."""
        design = Morris({"a": Range(0.0, 3.0), "b": Range(0.0, 3.0), "c": Range(0.0, 3.0)}, 20, seed=1)
        assert len(design.cells) == 20 * 4
        orders = set()
        for start in range(0, 80, 4):
            moved = []
            for before, after in itertools.pairwise(design.cells[start : start + 4]):
                changes = {name: after[name] - before[name] for name in "abc" if after[name] != before[name]}
                assert [abs(change) for change in changes.values()] == pytest.approx([2.0])
                moved += changes
            assert sorted(moved) == ["a", "b", "c"]
            orders.add(tuple(moved))
        assert len(orders) > 3
        assert {round(cell["a"], 9) for cell in design.cells} == {0.0, 1.0, 2.0, 3.0}

    def test_effects_of_a_plane(self):
        """In a plane every move over the whole range is the slope times the width, without spread."""
        design = Morris({"a": Range(0.0, 10.0), "b": Range(1.0, 2.0), "c": Range(0.0, 1.0)}, 5, seed=2)
        found = design.effects([3 * cell["a"] - 4 * cell["b"] for cell in design.cells])
        assert [each.mean for each in found.values()] == pytest.approx([30.0, -4.0, 0.0])
        assert [each.size.mean for each in found.values()] == pytest.approx([30.0, 4.0, 0.0])
        assert [each.spread for each in found.values()] == pytest.approx([0.0, 0.0, 0.0], abs=1e-9)
        assert found["a"].size.n == 5

    def test_every_move_of_the_grid(self):
        """Mean and spread are near those over all moves that the grid allows, each counted once."""
        values = [-math.pi, -math.pi / 3, math.pi / 3, math.pi]
        moves = {name: [] for name in ANGLES}
        for corner in itertools.product(range(4), repeat=3):
            cell = dict(zip(ANGLES, (values[i] for i in corner), strict=True))
            for name, i in zip(ANGLES, corner, strict=True):
                if i < 2:
                    moves[name].append((ishigami({**cell, name: values[i + 2]}) - ishigami(cell)) / (2 / 3))
        design = Morris(ANGLES, 800, seed=3)
        found = design.effects([ishigami(cell) for cell in design.cells], level=0.999)
        for name, each in moves.items():
            size = sum(map(abs, each)) / len(each)
            assert found[name].size.low - 1e-9 <= size <= found[name].size.high + 1e-9
            assert found[name].spread == pytest.approx(float(np.std(each)), rel=0.06)
        # sin(y)^2 is 0 at both ends of the range and 3/4 between: each move is 7 x 3/4 / (2/3) = 7.875 up or down.
        assert found["y"].size.mean == pytest.approx(7.875)

    def test_choices_and_numbers(self):
        """Factors of few values keep to them, and all of them come up."""
        design = Morris({"n": Whole(1, 2), "rule": Choice(("a", "b", "c"))}, 30, seed=4)
        assert {cell["n"] for cell in design.cells} == {1, 2}
        assert {cell["rule"] for cell in design.cells} == {"a", "b", "c"}
        # Half of the levels is one of two: each move is a whole one, by 2/3 of the range.
        assert design.effects([float(cell["n"]) for cell in design.cells])["n"].size.mean == pytest.approx(
            1.5
        )

    def test_a_seed_is_a_design(self):
        """The same seed gives the same cells, another seed others."""
        assert Morris(ANGLES, 4, seed=5).cells == Morris(ANGLES, 4, seed=5).cells
        assert Morris(ANGLES, 4, seed=5).cells != Morris(ANGLES, 4, seed=6).cells

    @pytest.mark.parametrize(
        ("given", "text"),
        [
            ((ANGLES, 1, 1), "at least 2 trajectories, found 1"),
            ((ANGLES, 4, 1, 3), "an even number of levels from 2, found 3"),
            (({}, 4, 1), "at least one factor, found none"),
            (({"a": Whole(2, 2)}, 4, 1), "a: expected a low end below the high end, found 2 and 2"),
        ],
    )
    def test_senseless_input_is_refused(self, given, text):
        """Designs that cannot be are errors in words."""
        with pytest.raises(ValueError, match=text):
            Morris(*given)
