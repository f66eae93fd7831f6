"""Who asks, what they may do, and how often: keys, scopes, limits, and what a browser must not be used for.

On the loopback no key is needed: whoever is there may read, run and administer, and look at the truth when
the server was started so. Anywhere else every request needs a key. Keys are known by their hash only, and
compared in constant time; a text that was found good is remembered for a moment by its hash.
"""

import hashlib
import time
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Final, NamedTuple

from api.keys import SCOPES, find
from api.problems import Problem
from api.registry import KeyRow

if TYPE_CHECKING:
    from api.settings import Settings

REFRESH_S: Final = 3.0
"""Keys are read again after so long, so that a key that was revoked does not work for longer."""

FAILURES: Final = 1000
"""Wrong keys that a client may send at once, and FAILURES_S a second from then on."""

FAILURES_S: Final = 20.0

MOST_CLIENTS: Final = 10_000
MOST_AT_HAND: Final = 1000

READ, WRITE, TRUTH, ADMIN = "runs:read", "runs:write", "truth:read", "admin"


class Principal(NamedTuple):
    """Who asks: a name for the log and for limits, and what they may do."""

    name: str
    scopes: frozenset[str]

    def may(self, scope: str) -> bool:
        """Whether a scope is theirs; `admin` is all of them but the look at the truth."""
        return scope in self.scopes or (ADMIN in self.scopes and scope != TRUTH)

    def need(self, *scopes: str) -> None:
        """Raise Problem when a scope is missing."""
        missing = [scope for scope in scopes if not self.may(scope)]
        if missing:
            detail = (
                f"this needs the scope {missing[0]}: {SCOPES[missing[0]][0].lower()}{SCOPES[missing[0]][1:]}"
            )
            raise Problem(403, "forbidden", detail)


NOBODY: Final = Principal("nobody", frozenset())


class Keyring:
    """The keys of the registry, as they were a moment ago."""

    def __init__(self, settings: "Settings") -> None:
        self._needed = settings.needs_key
        scopes = {READ, WRITE, ADMIN, *([TRUTH] if settings.truth else [])}
        self._local = Principal("local", frozenset(scopes))
        self._rows: list[KeyRow] = []
        self._known: dict[bytes, tuple[float, Principal]] = {}
        self.at_hand: dict[bytes | None, Principal] = {}
        """Who may read, by the header that they sent of late; as short-lived as the rows."""
        self.read_at = 0.0

    @property
    def is_old(self) -> bool:
        """Whether the keys should be read again."""
        return time.monotonic() - self.read_at > REFRESH_S

    def learn(self, rows: Sequence[KeyRow]) -> None:
        """Take the keys of the registry over."""
        self._rows = list(rows)
        self._known.clear()
        self.at_hand.clear()
        self.read_at = time.monotonic()

    def who(self, text: str | None) -> Principal | None:
        """Who has this key; without one whoever is on this machine, where that is enough; else None."""
        if text is None:
            return None if self._needed else self._local
        digest = hashlib.sha256(text.encode("utf-8", "replace")).digest()
        known = self._known.get(digest)
        now = time.monotonic()
        if known is not None and now < known[0]:
            return known[1]
        row = find(self._rows, text, datetime.now(UTC))
        if row is None:
            return None
        principal = Principal(f"key:{row.id}", frozenset(row.scopes))
        self._known[digest] = now + REFRESH_S, principal
        return principal

    def remember(self, sent: bytes | None, principal: Principal) -> None:
        """Have the principal of a header at hand, until the keys are read again."""
        if len(self.at_hand) < MOST_AT_HAND:
            self.at_hand[sent] = principal


class Buckets:
    """Token buckets: so many at once, so many a second in the long run, by client."""

    def __init__(self, rate: float, burst: float) -> None:
        self.rate = rate
        self.burst = burst
        self._left: dict[str, list[float]] = {}
        """What each client has left, and since when; the one that was here first stands first."""

    def take(self, client: str) -> float:
        """Take one; 0 when there was one, else the seconds until there is."""
        if not self.rate:
            return 0.0
        now = time.monotonic()
        bucket = self._left.get(client)
        if bucket is None:
            if len(self._left) >= MOST_CLIENTS:
                del self._left[next(iter(self._left))]
            bucket = self._left[client] = [self.burst, now]
        left = min(self.burst, bucket[0] + (now - bucket[1]) * self.rate)
        is_there = left >= 1.0
        bucket[0] = left - 1.0 if is_there else left
        bucket[1] = now
        return 0.0 if is_there else (1.0 - left) / self.rate


DATA_HEADERS: Final[tuple[tuple[bytes, bytes], ...]] = (
    (b"x-content-type-options", b"nosniff"),
    (b"content-security-policy", b"default-src 'none'; frame-ancestors 'none'"),
    (b"cross-origin-resource-policy", b"same-origin"),
)
"""What every answer has that is no page."""

PAGE_HEADERS: Final[tuple[tuple[bytes, bytes], ...]] = (
    (b"x-content-type-options", b"nosniff"),
    (
        b"content-security-policy",
        b"default-src 'self'; frame-ancestors 'none'; base-uri 'none'; form-action 'self'",
    ),
    (b"referrer-policy", b"no-referrer"),
    (b"cross-origin-resource-policy", b"same-origin"),
)
"""What a page has."""


def host_of(header: str) -> str:
    """The name in a Host or Origin header, without scheme and port."""
    name = header.rpartition("://")[2].lower()
    if name.startswith("["):
        return name[1:].partition("]")[0]
    return name.rpartition(":")[0] if ":" in name else name
