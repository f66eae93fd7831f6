"""The answers that are asked for most, ready to be sent: all slots, and single slots, as they are now.

What is made for one request is kept for the next ones, as the two messages that go to the server's protocol,
until the run shows another instant. Nothing is looked at then but a few references. The routes of the
application give the same answers.
"""

import gzip
import re
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Final, Literal

from api.runs import OVER
from api.security import DATA_HEADERS

if TYPE_CHECKING:
    from api.runs import Run, Runs

PACKED_FROM: Final = 4096
"""Answers of so many bytes are packed for who can unpack them."""

MOST_KEPT: Final = 4096
"""Answers that are kept; at one more all of them are made anew."""

_JSON: Final = (b"content-type", b"application/json")
_NO_GZIP: Final = re.compile(rb"gzip\s*;\s*q=0(\.0*)?\s*(,|$)")
_LEVEL: Final = 4
_NO_BODY: Final[dict[str, Any]] = {"type": "http.response.body", "body": b""}


class Ready:
    """An answer and its 304, as messages, and how the run was when they were made."""

    __slots__ = (
        "_packed", "board", "body", "current", "etags", "route", "row", "run", "sequence", "slot", "start",
        "start_known", "text",
    )  # fmt: skip

    def __init__(self, run: "Run", current: str, slot: str, text: bytes | None, etag: bytes) -> None:
        self.run = run
        self.slot = slot
        """The slot that it is about; empty for all."""
        self.row, self.board = run.row, run.board
        self.sequence = -1 if run.board is None else run.board.sequence
        self.current = current
        """The current run's id for an answer about it, else empty."""
        self.route = "/runs/{run}/slots/{slot}" if slot else "/runs/{run}/slots"
        self.etags = (b"W/" + etag, etag)
        """As it is sent, and as a client may send it that knows no weak ones."""
        kept = [(b"etag", self.etags[0]), (b"cache-control", b"no-cache"), *DATA_HEADERS]
        if not slot:
            kept.append((b"vary", b"accept-encoding"))
        self.text = text
        """None of a slot that nobody has asked for at this instant: who has this version is told so."""
        self.start = _start(200, [_JSON, _length(text or b""), *kept])
        self.body = _body(text or b"")
        self.start_known = _start(304, kept)
        self._packed: tuple[dict[str, Any], dict[str, Any]] | None = None
        """Messages for clients that unpack gzip, made when the first one asks; only of long answers."""

    @property
    def is_true(self) -> bool:
        """Whether the run is still as it was."""
        run = self.run
        return (
            run.row is self.row
            and run.board is self.board
            and (run.board is None or run.board.sequence == self.sequence)
            and not run.removed
            and run.ready.is_set()
        )

    def messages(self, headers: Mapping[bytes, bytes]) -> tuple[int, dict[str, Any], dict[str, Any]] | None:
        """Status and messages for a client, by the versions it has and by what it can unpack."""
        wanted = headers.get(b"if-none-match")
        if wanted is not None and (wanted in self.etags or _is_among(wanted, self.etags[1])):
            return 304, self.start_known, _NO_BODY
        if self.text is None:
            return None
        if len(self.text) >= PACKED_FROM and _unpacks(headers.get(b"accept-encoding", b"")):
            if self._packed is None:
                packed = gzip.compress(self.text, _LEVEL, mtime=0)
                rest = [each for each in self.start["headers"] if each[0] != b"content-length"]
                self._packed = (
                    _start(200, [(b"content-encoding", b"gzip"), _length(packed), *rest]),
                    _body(packed),
                )
            return 200, *self._packed
        return 200, self.start, self.body


class Quick:
    """Answers by the path under which they are asked for."""

    def __init__(self, runs: "Runs") -> None:
        self._runs = runs
        self._kept: dict[str, Ready] = {}

    def ready(self, path: str) -> Ready | None:
        """The answer to GET of a path without a query; None when it has to be worked out elsewhere."""
        found = self._kept.get(path)
        if found is not None:
            if (
                found.is_true
                and (not found.current or found.current == self._runs.current)
                and (found.text is not None or self._runs.slot_text(found.run, found.slot) is None)
            ):
                return found
            del self._kept[path]
        if not ("/slots" in path and (made := self._made(path))):
            return None
        if len(self._kept) >= MOST_KEPT:
            self._kept.clear()
        self._kept[path] = made
        return made

    def _made(self, path: str) -> Ready | None:
        parts = path.split("/")
        if len(parts) > 3 and parts[1] == "runs":
            name, rest = parts[2], parts[3:]
        else:
            name, rest = "current", parts[1:]
        if rest[0] != "slots" or len(rest) > 2 or rest[1:] == [""]:
            return None
        runs = self._runs
        run = runs.all.get(runs.current if name == "current" else name)
        if run is None or not run.ready.is_set() or (run.board is None and run.row.state not in OVER):
            return None
        slot = rest[1] if len(rest) == 2 else ""
        by: Literal["facts", "day"] = "day" if slot else "facts"
        version = run.version(by)
        text = runs.slot_text(run, slot) if slot else runs.slots_text(run)
        if text is None and slot not in runs.slot_names(run):
            return None
        current = runs.current if name == "current" else ""
        made = Ready(run, current, slot, text, f'"{version}"'.encode())
        # The run may have gone on while this was made: then the text is of one instant, the mark of another.
        return made if made.is_true and version == run.version(by) and made.is_true else None


def _start(status: int, headers: list[tuple[bytes, bytes]]) -> dict[str, Any]:
    return {"type": "http.response.start", "status": status, "headers": headers}


def _body(text: bytes) -> dict[str, Any]:
    return {"type": "http.response.body", "body": text}


def _length(body: bytes) -> tuple[bytes, bytes]:
    return (b"content-length", str(len(body)).encode())


def _unpacks(accepted: bytes) -> bool:
    """Whether a client says that it unpacks gzip."""
    return b"gzip" in accepted and not _NO_GZIP.search(accepted)


def _is_among(wanted: bytes, etag: bytes) -> bool:
    """Whether a version is among those that a client names; compared as weak ones."""
    names = [each.strip().removeprefix(b"W/") for each in wanted.split(b",")]
    return etag in names or names == [b"*"]
