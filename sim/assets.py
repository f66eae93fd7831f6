"""Meters as assets: their numbers with check digit, and the states that they pass through.

An asset number has 22 digits: 5 unit code, 2 asset type (01: meter), 14 serial, 1 check digit (layout after
Q/GDW 1205-2013; that the check digit is GS1 modulo 10 is inferred from three public sample codes). The
unit code 99300 belongs to nobody, so that no number of the model can be taken for a real asset. Where
a meter is, and who moves it, is not known here.
"""

from typing import Final

UNIT: Final = "99300"
METER_TYPE: Final = "01"
_DIGITS: Final = 22
_SERIAL_DIGITS: Final = 14


class AssetError(ValueError):
    """A text that is no asset number, or none of this model; the text is for people."""


class IllegalMove(ValueError):  # noqa: N818 - it reads as what it is
    """A change of state that the trade does not know."""


def check_digit(digits: str) -> str:
    """The GS1 modulo-10 digit behind `digits`: weights 3, 1, 3, ... from the right.

    Source: GS1 General Specifications, check digit calculation. Raises AssetError when `digits` is not one
    or more of 0-9.
    """
    if not (digits.isascii() and digits.isdigit()):
        raise AssetError(f"expected digits 0-9, found {digits!r}")
    total = sum(int(digit) * (3, 1)[i % 2] for i, digit in enumerate(reversed(digits)))
    return str(-total % 10)


def asset_number(meter: int) -> str:
    """The 22-digit asset number of a meter (0 to 10**14 - 1; meter k of box b is b * meters_per_box + k).

    Raises AssetError when the serial has no room for the meter.
    """
    if not 0 <= meter < 10**_SERIAL_DIGITS:
        raise AssetError(f"expected a meter from 0 to {10**_SERIAL_DIGITS - 1}, found {meter}")
    digits = f"{UNIT}{METER_TYPE}{meter:0{_SERIAL_DIGITS}d}"
    return digits + check_digit(digits)


def check_asset(asset: str) -> None:
    """Refuse with AssetError, in words, a text that is not 22 digits with the right check digit."""
    if not (asset.isascii() and asset.isdigit()):
        raise AssetError(f"expected an asset number of {_DIGITS} digits, found {asset!r}")
    if len(asset) != _DIGITS:
        raise AssetError(f"expected an asset number of {_DIGITS} digits, found {len(asset)} in {asset!r}")
    expected = check_digit(asset[:-1])
    if asset[-1] != expected:
        raise AssetError(f"expected check digit {expected}, found {asset[-1]} in {asset!r}")


def meter_of(asset: str) -> int:
    """The meter behind an asset number of this model.

    Raises AssetError for another length, other characters, a wrong check digit, and for the unit or the
    type of somebody else's asset.
    """
    check_asset(asset)
    if asset[:5] != UNIT:
        raise AssetError(f"expected unit code {UNIT} (of this model), found {asset[:5]} in {asset!r}")
    if asset[5:7] != METER_TYPE:
        raise AssetError(f"expected asset type {METER_TYPE} (meter), found {asset[5:7]} in {asset!r}")
    return int(asset[7:-1])


_LIFE: Final = """
in_transit                 在途       -> new_held qualified_in_stock quarantined lost
new_held                   新购暂管   -> pending_verification qualified_in_stock quarantined to_maker lost
pending_verification       待检定     -> in_verification quarantined lost
in_verification            检定中     -> qualified_in_stock quarantined pending_scrap to_maker lost
qualified_in_stock         合格在库   -> reserved overdue_pending_reverify in_transit quarantined lost
reserved                   已预留     -> qualified_in_stock issued_pending_install quarantined lost
issued_pending_install     领出待装   -> installed qualified_in_stock quarantined lost
installed                  运行       -> removed_pending_return lost
removed_pending_return     拆回待退   -> returned_pending_sort lost
returned_pending_sort      拆回待分拣 -> pending_test pending_reuse_verification pending_scrap to_maker lost
pending_test               待测试     -> pending_reuse_verification pending_scrap to_maker lost
pending_reuse_verification 待利旧检定 -> in_verification pending_scrap lost
pending_scrap              待报废     -> scrapped lost
to_maker                   返厂       -> new_held scrapped lost
scrapped                   已报废     ->
overdue_pending_reverify   超期待复检 -> in_verification quarantined pending_scrap lost
quarantined                隔离       -> qualified_in_stock pending_verification pending_scrap to_maker lost
lost                       盘亏       -> surplus_found
surplus_found              盘盈       -> qualified_in_stock pending_verification quarantined
"""
_LIVES: Final = [line.split() for line in _LIFE.strip().splitlines()]

CHINESE: Final[dict[str, str]] = {state: chinese for state, chinese, *_ in _LIVES}
"""Each state's name on a Chinese list; five of them are sourced, the rest is translated."""

STATES: Final[tuple[str, ...]] = tuple(CHINESE)
"""Every state of an asset, by name: codes differ from system to system, names do not."""

STATE_CODES: Final[dict[str, int]] = {state: code for code, state in enumerate(STATES)}
"""The number that stands for a state in arrays: its place in STATES."""

TRANSITIONS: Final[dict[str, frozenset[str]]] = {state: frozenset(after) for state, _, _, *after in _LIVES}
"""The states that may follow each state. `scrapped` is the end; only `qualified_in_stock` may be reserved."""


def move(old: str, new: str) -> str:
    """The new state, if it may follow the old one; else raises IllegalMove with both and what may follow."""
    if old not in TRANSITIONS or new not in TRANSITIONS:
        raise IllegalMove(f"asset state: expected one of {', '.join(STATES)}, found {old!r} -> {new!r}")
    if new not in TRANSITIONS[old]:
        allowed = ", ".join(state for state in STATES if state in TRANSITIONS[old]) or "nothing"
        raise IllegalMove(f"asset state: after {old!r} expected {allowed}, found {new!r}")
    return new
