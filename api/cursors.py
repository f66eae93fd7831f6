"""Cursors: where a list goes on, and of which instant it is; opaque to clients, worth nothing elsewhere."""

import base64
import json
from collections.abc import Mapping
from hashlib import sha256
from typing import Any, Final

from api.problems import Problem

_MOST: Final = 600


def encoded(values: Mapping[str, Any]) -> str:
    """Values as a cursor, with their mark: what was changed on its way is none."""
    text = json.dumps({**values, "c": mark(values)}, separators=(",", ":"), ensure_ascii=True)
    return base64.urlsafe_b64encode(text.encode()).decode().rstrip("=")


def decoded(
    cursor: str, expected: Mapping[str, Any], *, instant: bool = False, after: type[int | str] = int
) -> dict[str, Any]:
    """The values of a cursor that was made for the same list; raises Problem for any other text.

    It says where the list goes on, `a`, a number or (`after` is str) digits as a text; with `instant` also of
    which state, `f` and `t`.
    """
    try:
        padded = cursor + "=" * (-len(cursor) % 4)
        values = json.loads(base64.urlsafe_b64decode(padded.encode()))
        fits = (
            isinstance(values, dict)
            and encoded({key: value for key, value in values.items() if key != "c"}) == cursor
            and all(values.get(key) == value for key, value in expected.items())
            and all(_is_number(values.get(key)) for key in ("f", "t") if instant)
            and (_is_number if after is int else _is_digits)(values.get("a"))
        )
    except (ValueError, RecursionError):
        fits = False
    if not fits:
        detail = "expected the cursor that this list gave as `next`, with the same filters; found another"
        raise Problem(409, "does-not-fit", detail, errors=[{"pointer": "/cursor", "detail": detail}])
    return dict(values)


def _is_number(value: object) -> bool:
    return type(value) is int and 0 <= value < 2**62


def _is_digits(value: object) -> bool:
    return type(value) is str and value.isascii() and value.isdigit()


def mark(query: Mapping[str, Any]) -> str:
    """A short mark of the filters of a list: a cursor goes with one only."""
    text = json.dumps(dict(query), sort_keys=True, default=str)
    return sha256(text.encode()).hexdigest()[:12]
