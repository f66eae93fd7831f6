"""Which system is selected, after how many replications, and the constants behind it."""

import math

import numpy as np
import pytest

from sim.selection import KN, PROCEDURES, Rinott, kn_eta, rinott_h


@pytest.mark.parametrize(
    ("systems", "n0", "eta"),
    [(2, 10, 0.3341), (5, 10, 0.6350), (10, 10, 0.8591), (2, 20, 0.1371), (5, 20, 0.2372), (10, 20, 0.3029)],
)
def test_known_eta(systems, n0, eta):
    """The constant of KN is that of the table of Kim and Nelson, for 95 %."""
    assert kn_eta(systems, 0.95, n0) == pytest.approx(eta, abs=5.1e-5)


@pytest.mark.parametrize(
    ("n0", "published"),
    [
        (10, (2.614, 3.166, 3.693, 4.290, 4.829)),
        (20, (2.452, 2.937, 3.385, 3.875, 4.302)),
        (50, (2.373, 2.828, 3.242, 3.687, 4.067)),
    ],
)
def test_known_rinott_constants(n0, published):
    """The constant of Rinott is that of the tables, for 95 % and 2, 3, 5, 10 and 20 systems."""
    found = [rinott_h(systems, 0.95, n0) for systems in (2, 3, 5, 10, 20)]
    assert found == pytest.approx(published, abs=5.1e-4)


def test_rinott_constant_of_two_values():
    """With two first replications and two systems the constant is known in closed form."""
    # One degree of freedom: 1/X + 1/Y, X and Y squares of normals, is 4/W with W chi square of one degree too (the
    # sum of two Levy variables), so P = E[Phi(h |N| / 2)] = 1/2 + atan(h / 2) / pi: h = 2 tan(0.45 pi) = 12.6275.
    assert rinott_h(2, 0.95, 2) == pytest.approx(2 * math.tan(0.45 * math.pi), abs=1e-6)


class TestKN:
    def test_equal_spread_by_hand(self):
        """Two systems that differ by a pattern are told apart after the replications that the bound says."""
        # Differences 0.5, 1.5, 0.5, 1.5: S2 = 1/3. n0 = 4, two systems, 95 %: eta = (0.1^(-2/3) - 1) / 2 = 1.82079,
        # h2 = 6 eta = 10.92477. With delta = 1 the sum of differences, r, must exceed (h2 S2 - r) / 2 =
        # (3.64159 - r) / 2: so it does at r = 4, where nothing is allowed.
        kn = KN(2, 1.0, n0=4)
        for difference in (0.5, 1.5, 0.5):
            kn.add({0: 0.0, 1: difference})
            assert kn.selected is None
            assert kn.most_replications is None
        kn.add({0: 0.0, 1: 1.5})
        assert (kn.selected, kn.contenders, kn.wanted) == (1, (1,), ())
        # With delta = 0.25 it is (58.2654 x 0.25 - 0.25 r) / 2 against r: from r = 14.5666 / 2.25 = 6.47 on.
        kn = KN(2, 0.25, n0=4)
        for r in range(1, 8):
            kn.add({0: 0.0, 1: 0.5 if r % 2 else 1.5})
            assert kn.contenders == ((0, 1) if r < 7 else (1,))
            if r == 4:
                # Floor of 10.92477 x (1/3) / 0.0625 = 58.27, and one.
                assert kn.most_replications == 59
        assert kn.replications == 7

    def test_smallest_is_best(self):
        """Where less is better the smallest mean is selected, after as many replications."""
        rng = np.random.default_rng(1)
        rows = (rng.normal(size=(2000, 4)) * 2 + [0, 0.5, 1, 1.5]).tolist()
        up, down = KN(4, 0.5), KN(4, 0.5, largest=False)
        for row in rows:
            if up.selected is None:
                up.add(dict(enumerate(row)))
            if down.selected is None:
                down.add({system: -value for system, value in enumerate(row)})
        assert up.selected == down.selected == 3
        assert up.replications == down.replications

    def test_order_does_not_matter(self):
        """Systems numbered the other way round drop out after the same replications."""
        rng = np.random.default_rng(2)
        rows = (rng.normal(size=(3000, 5)) * [1, 1.5, 2, 2.5, 3] + [0, 0.2, 0.4, 0.6, 0.8]).tolist()
        one, other = KN(5, 0.3), KN(5, 0.3)
        for row in rows:
            if one.selected is not None:
                break
            one.add(dict(enumerate(row)))
            other.add({4 - system: value for system, value in enumerate(row)})
            assert other.contenders == tuple(sorted(4 - system for system in one.contenders))
        assert one.selected is not None

    def test_replications_are_bounded(self):
        """Systems that are equal but for noise are told apart after the most replications at the latest."""
        rng = np.random.default_rng(3)
        kn = KN(3, 0.5)
        while kn.selected is None:
            kn.add(dict(enumerate(rng.normal(size=3).tolist())))
            if kn.most_replications is not None:
                assert kn.replications <= kn.most_replications
        assert kn.most_replications == kn.replications

    def test_same_values_take_the_first(self):
        """Of systems that never differ the first is selected, as soon as there are n0 replications."""
        kn = KN(3, 0.5, n0=3)
        for value in (1.0, 4.0, 2.0):
            assert kn.contenders == (0, 1, 2)
            kn.add({0: value, 1: value, 2: value})
        assert (kn.selected, kn.replications) == (0, 3)

    def test_common_random_numbers_save_replications(self):
        """What all systems share costs nothing when it is shared, and much when it is not."""
        rng = np.random.default_rng(4)
        shared, separate = KN(3, 0.5), KN(3, 0.5)
        for _ in range(4000):
            own, common = rng.normal(size=3), rng.normal(size=3) * 4
            if shared.selected is None:
                shared.add(dict(enumerate((own + common[0] + [0, 0, 1]).tolist())))
            if separate.selected is None:
                separate.add(dict(enumerate((own + common + [0, 0, 1]).tolist())))
        assert shared.selected == separate.selected == 2
        # The variance of differences is 2 against 34.
        assert shared.replications * 4 < separate.replications


class TestRinott:
    def test_replications_by_hand(self):
        """Each system gets as many replications as its own spread demands."""
        # n0 = 10, five systems, 95 %: h = 3.693. Values +-s: S2 = 10/9 s2. delta = 1, s = 2: 3.6926^2 x 4.4444 = 60.6;
        # s = 1: 15.15; s = 0.5: 3.8, so n0 will do.
        rinott = Rinott(5, 1.0)
        deviations = [2.0, 1.0, 0.5, 0.0, 1.0]
        for i in range(10):
            assert rinott.needed is None
            assert rinott.wanted == (0, 1, 2, 3, 4)
            rinott.add({system: (-1) ** i * s for system, s in enumerate(deviations)})
        assert rinott.needed == (61, 16, 10, 10, 16)
        assert rinott.wanted == (0, 1, 4)
        for _ in range(6):
            rinott.add({0: 0.0, 1: 0.0, 4: 8.0})
        assert rinott.wanted == (0,)
        for _ in range(45):
            assert rinott.selected is None
            rinott.add({0: 1.0})
        # Means 45 / 61 = 0.74, 0, 0, 0 and 6 x 8 / 16 = 3.
        assert (rinott.selected, rinott.contenders, rinott.wanted) == (4, (4,), ())

    def test_first_stage_can_be_enough(self):
        """Systems without spread need no second stage; of equal ones the first is selected."""
        rinott = Rinott(3, 1.0, n0=2, largest=False)
        rinott.add({0: 5.0, 1: 3.0, 2: 3.0})
        rinott.add({0: 5.0, 1: 3.0, 2: 3.0})
        assert rinott.selected == 1

    def test_screening_drops_what_is_behind(self):
        """Half of the risk buys the right to drop clear losers after the first stage."""
        screened, plain = Rinott(3, 0.5, screen=True), Rinott(3, 0.5)
        for i in range(10):
            values = {0: float((-1) ** i), 1: 1.0 + (-1) ** i, 2: -9.0 + (-1) ** i}
            screened.add(values)
            plain.add(values)
        # t(9, 0.975^(1/2)) = 2.68: means may be behind by 2.68 x sqrt(2 x 1.111 / 10) - 0.5 = 0.76 at most.
        assert screened.contenders == (1,)
        assert screened.selected == 1
        assert plain.contenders == (0, 1, 2)
        # What stays in is held to a confidence of 97.5 %.
        screened = Rinott(3, 0.5, screen=True)
        for i in range(10):
            screened.add({0: float((-1) ** i), 1: 0.7 + (-1) ** i, 2: -9.0 + (-1) ** i})
        assert screened.contenders == (0, 1)
        needed = math.ceil((rinott_h(3, 0.975, 10) / 0.5) ** 2 * 10 / 9)
        assert screened.needed == (needed, needed, 10)


class TestAnyProcedure:
    """What all procedures have in common."""

    @pytest.mark.parametrize("name", PROCEDURES)
    def test_values_of_others_are_ignored(self, name):
        """Values of systems that are out, or done, change nothing."""
        rng = np.random.default_rng(5)
        one, other = (PROCEDURES[name](4, 0.5, 0.9, 5, largest=False) for _ in range(2))
        while one.selected is None:
            values = dict(enumerate(rng.normal(loc=[3, 2, 1, 0]).tolist()))
            one.add({system: values[system] for system in one.wanted})
            other.add({**values, 17: math.nan})
            assert (one.contenders, one.wanted) == (other.contenders, other.wanted)
        assert one.selected == 3

    @pytest.mark.parametrize("name", PROCEDURES)
    def test_missing_and_late_values(self, name):
        """A wanted value that is missing or no number, and one too many, are errors in words."""
        procedure = PROCEDURES[name](3, 0.5, 0.9, 2)
        with pytest.raises(ValueError, match=r"every system in \[0, 1, 2\], found none of \[1\]"):
            procedure.add({0: 1.0, 2: 1.0})
        with pytest.raises(ValueError, match="finite value of system 2, found nan"):
            procedure.add({0: 1.0, 1: 1.0, 2: math.nan})
        for _ in range(2):
            procedure.add({0: 1.0, 1: 2.0, 2: 3.0})
        assert procedure.selected == 2
        with pytest.raises(ValueError, match="no further replication: one system is selected"):
            procedure.add({0: 1.0, 1: 2.0, 2: 3.0})

    @pytest.mark.parametrize("name", PROCEDURES)
    @pytest.mark.parametrize(
        ("given", "text"),
        [
            ((1, 0.5, 0.95, 10), "at least 2 systems to select from, found 1"),
            ((2, 0.0, 0.95, 10), r"difference that matters above 0, found 0\.0"),
            ((4, 0.5, 0.25, 10), r"confidence above 1/4 and below 1, found 0\.25"),
            ((4, 0.5, 1.0, 10), r"confidence above 1/4 and below 1, found 1\.0"),
            ((4, 0.5, 0.95, 1), "at least 2 replications to start with, found 1"),
        ],
    )
    def test_senseless_input_is_refused(self, name, given, text):
        """Promises that cannot be made are errors in words."""
        with pytest.raises(ValueError, match=text):
            PROCEDURES[name](*given)
