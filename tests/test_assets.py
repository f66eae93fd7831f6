"""Asset numbers and asset states."""

import re
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sim import assets


@pytest.mark.parametrize(
    ("digits", "check"),
    [
        # 629104150021: from the right 1*3+2+0+0+5*3+1+4*3... = 3+2+0+0+15+1+12+0+3... GS1's own example: 3
        ("629104150021", "3"),
        # 7*3 = 21, to the next ten: 9
        ("7", "9"),
        # 3*3 + 2*1 + 1*3 = 14, to the next ten: 6
        ("123", "6"),
        ("0000", "0"),
    ],
)
def test_check_digit_by_hand(digits: str, check: str) -> None:
    """The check digit completes the weighted sum to a multiple of ten."""
    assert assets.check_digit(digits) == check


def test_number_of_meter_17() -> None:
    """Meter 17 carries unit, type, serial and check digit."""
    # 99300 01 00000000000017: weights 3, 1, 3, ... from the right: 7*3 + 1*1 = 22; the 1 of the type is
    # 15th from the right (odd place): 1*3 = 3; 3 of the unit is 19th: 3*3 = 9; the 9s are 20th and 21st:
    # 9 + 27 = 36; 22 + 3 + 9 + 36 = 70: check digit 0.
    assert assets.asset_number(17) == "9930001000000000000170"


@given(st.integers(0, 10**14 - 1))
def test_numbers_read_back(meter: int) -> None:
    """Every asset number gives its meter back."""
    assert assets.meter_of(assets.asset_number(meter)) == meter


@given(st.integers(0, 10**14 - 1), st.integers(0, 21), st.integers(1, 9))
def test_one_wrong_digit_is_found(meter: int, at: int, change: int) -> None:
    """No single wrong digit passes."""
    number = assets.asset_number(meter)
    wrong = number[:at] + str((int(number[at]) + change) % 10) + number[at + 1 :]
    with pytest.raises(assets.AssetError):
        assets.meter_of(wrong)


@pytest.mark.parametrize(
    ("asset", "message"),
    [
        ("", "expected an asset number of 22 digits, found ''"),
        ("12345", "expected an asset number of 22 digits, found 5 in '12345'"),
        ("9930001000000000000l70", "expected an asset number of 22 digits, found '9930001000000000000l70'"),
        ("٣٣", "expected an asset number of 22 digits, found '٣٣'"),
        ("9930001000000000000171", "expected check digit 0, found 1 in '9930001000000000000171'"),
        # unit 41300 instead of 99300: 1 + 4*3 = 13 instead of 36 at places 20 and 21: 70 - 23 = 47
        (
            "4130001000000000000173",
            "expected unit code 99300 (of this model), found 41300 in '4130001000000000000173'",
        ),
        # type 05 instead of 01: 5*3 = 15 instead of 3: 82
        ("9930005000000000000178", "expected asset type 01 (meter), found 05 in '9930005000000000000178'"),
    ],
)
def test_bad_numbers_refused(asset: str, message: str) -> None:
    """A wrong number is refused with what was expected and what was found."""
    with pytest.raises(assets.AssetError, match=f"^{re.escape(message)}$"):
        assets.meter_of(asset)


@pytest.mark.parametrize("meter", [-1, 10**14])
def test_meter_out_of_range(meter: int) -> None:
    """A serial has 14 digits and no sign."""
    with pytest.raises(
        assets.AssetError, match=f"^expected a meter from 0 to 99999999999999, found {meter}$"
    ):
        assets.asset_number(meter)


def test_check_digit_needs_digits() -> None:
    """Letters have no check digit."""
    with pytest.raises(assets.AssetError, match=r"^expected digits 0-9, found '12a'$"):
        assets.check_digit("12a")


def test_whole_life_is_legal() -> None:
    """A meter goes from the maker to scrap through the states of the trade."""
    life = [
        "new_held", "pending_verification", "in_verification", "qualified_in_stock", "reserved",
        "issued_pending_install", "installed", "removed_pending_return", "returned_pending_sort",
        "pending_scrap", "scrapped",
    ]  # fmt: skip
    assert [assets.move(old, new) for old, new in pairwise(life)] == life[1:]


def test_all_other_moves_refused() -> None:
    """What the table does not list is an error that names both states."""
    for old in assets.STATES:
        for new in assets.STATES:
            if new not in assets.TRANSITIONS[old]:
                with pytest.raises(assets.IllegalMove, match=rf"after '{old}' expected .*, found '{new}'$"):
                    assets.move(old, new)


def test_only_qualified_stock_is_reserved() -> None:
    """Overdue, quarantined and new meters may not be reserved."""
    assert [old for old, news in assets.TRANSITIONS.items() if "reserved" in news] == ["qualified_in_stock"]


def test_scrap_is_the_end() -> None:
    """Nothing follows scrap, and the message says so."""
    with pytest.raises(
        assets.IllegalMove,
        match=r"^asset state: after 'scrapped' expected nothing, found 'installed'$",
    ):
        assets.move("scrapped", "installed")


def test_unknown_state_refused() -> None:
    """A state that nobody knows is refused in the list of all states."""
    with pytest.raises(
        assets.IllegalMove, match=r"^asset state: expected one of .*, found 'sold' -> 'lost'$"
    ):
        assets.move("sold", "lost")


def test_states_are_closed() -> None:
    """Every state that may follow is a state, can be reached, and codes and Chinese names are unique."""
    reached = frozenset().union(*assets.TRANSITIONS.values())
    assert reached | {"in_transit"} == set(assets.STATES)
    assert [assets.STATES[code] for code in assets.STATE_CODES.values()] == list(assets.STATES)
    assert len(set(assets.CHINESE.values())) == len(assets.STATES) == 19
