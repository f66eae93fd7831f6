"""API keys: what one looks like, what it may do, and how a caller's is found among those that are known.

A key is the text `mh_<id>_<secret>`. The registry keeps its id and the SHA-256 of its secret, never the
secret; 256 random bits need no slow hash. Whoever makes the key sees it once. Nothing here reads or writes
the registry.
"""

import hashlib
import hmac
import re
import secrets
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from typing import Final

from api.registry import KeyRow
from sim.words import near, show

SCOPES: Final[dict[str, str]] = {
    "runs:read": "Reads runs, their state as recorded, their facts and their KPIs.",
    "runs:write": "Starts, steers, branches and deletes runs, and sends them commands.",
    "truth:read": "Reads where things truly are, beside what the records say.",
    "admin": "Does all of this but read the truth, for every run, whoever started it.",
}
"""What a key can be allowed, one sentence each."""

SECRET_BYTES: Final = 32
"""Random bytes in a secret."""

_TEXT: Final = re.compile(r"mh_([0-9a-f]{8})_([0-9a-f]{64})", re.ASCII)
_NOBODY: Final = "0" * 64
"""Compared with when no key has the id: no text is known that hashes to it."""


class KeyFault(ValueError):  # noqa: N818 - it reads as what it is
    """A key that cannot be made; `lines` has one line for each mistake."""

    def __init__(self, lines: list[str]) -> None:
        self.lines = lines
        super().__init__("\n".join(lines))


def make_key(name: str, scopes: Sequence[str], expires: datetime | None = None) -> tuple[str, KeyRow]:
    """Make a new key.

    Parameters
    ----------
    name
        Who or what will use it, for people.
    scopes
        At least one of `SCOPES`.
    expires
        From this instant on it is not found any more, with its time zone; None: never.

    Returns
    -------
    tuple[str, KeyRow]
        The text to give away, which is kept nowhere, and what the registry keeps.

    Raises
    ------
    KeyFault
        When the name is empty or a scope is unknown.
    """
    faults = [] if name.strip() else ["name: expected a name for the key, found nothing"]
    if not scopes:
        faults.append(f"scopes: expected at least one of {', '.join(SCOPES)}, found nothing")
    faults += [
        f"scopes: expected {', '.join(SCOPES)}, found {show(scope)}{near(scope, SCOPES)}"
        for scope in scopes
        if scope not in SCOPES
    ]
    if faults:
        raise KeyFault(faults)
    number, secret = secrets.token_hex(4), secrets.token_hex(SECRET_BYTES)
    allowed = tuple(scope for scope in SCOPES if scope in scopes)
    until = None if expires is None else expires.astimezone(UTC)
    return f"mh_{number}_{secret}", KeyRow(
        id=number,
        name=name,
        scopes=allowed,
        hash=_hash(secret),
        created_at=datetime.now(UTC),
        expires_at=until,
    )


def find(keys: Iterable[KeyRow], text: str, now: datetime | None = None) -> KeyRow | None:
    """The key that a caller's text is; None when there is none, or it is revoked or expired.

    The secret is compared in constant time, also when no key has the id, so that the time of an answer tells
    nothing about which ids there are.

    Parameters
    ----------
    keys
        All that are known.
    text
        As the caller sent it, whatever it is.
    now
        The instant that decides whether it has expired; None: this one.
    """
    match = _TEXT.fullmatch(text)
    number, secret = match.groups() if match else ("", text)
    row = next((key for key in keys if key.id == number), None)
    is_same = hmac.compare_digest(_hash(secret), _NOBODY if row is None else row.hash)
    if row is None or not is_same or row.revoked_at is not None:
        return None
    if row.expires_at is not None and row.expires_at <= (now or datetime.now(UTC)):
        return None
    return row


def _hash(secret: str) -> str:
    return hashlib.sha256(secret.encode(errors="surrogatepass")).hexdigest()
