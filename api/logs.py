"""What a server says of itself: one JSON object a line, or a line for people on a terminal.

A line has a time, a level, an event and values. No line has a key in it: values are chosen by the code that
logs, and headers are not among them. Text that came from a request is cut and escaped, so that nobody writes
lines of their own.
"""

import json
import sys
import traceback
from datetime import UTC, datetime
from typing import Any, Final, TextIO

from sim.words import printable

_LONGEST: Final = 300


class Log:
    """Writes lines to a stream, standard error if none is given."""

    def __init__(self, *, pretty: bool = False, stream: TextIO | None = None) -> None:
        self._pretty = pretty
        self._stream = stream

    def info(self, event: str, **values: Any) -> None:
        """Something that happened."""
        self._write("info", event, values)

    def warning(self, event: str, **values: Any) -> None:
        """Something that somebody should know."""
        self._write("warning", event, values)

    def error(self, event: str, **values: Any) -> None:
        """Something that went wrong."""
        self._write("error", event, values)

    def failure(self, event: str, error: BaseException | None, **values: Any) -> None:
        """A bug of ours, with the way by which it came, in one line."""
        where = "" if error is None else where_of(error)
        self._write("error", event, {**values, "reason": f"{type(error).__name__}: {error}", "where": where})

    def _write(self, level: str, event: str, values: dict[str, Any]) -> None:
        now = datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
        told = {name: _short(value) for name, value in values.items() if value is not None}
        stream = sys.stderr if self._stream is None else self._stream
        if self._pretty:
            rest = "  ".join(f"{name}={value}" for name, value in told.items())
            text = f"{now[11:19]} {level:7} {event}{'  ' * bool(rest)}{rest}"
        else:
            text = json.dumps({"time": now, "level": level, "event": event, **told}, ensure_ascii=True)
        try:
            stream.write(f"{text}\n")
            stream.flush()
        except (OSError, ValueError):  # nobody reads it any more
            return


def where_of(error: BaseException) -> str:
    """The last places of an error's way through the code, in one line, the last one first."""
    frames = traceback.extract_tb(error.__traceback__)[-5:]
    return " < ".join(f"{f.filename.rpartition('/')[2]}:{f.lineno} {f.name}" for f in reversed(frames))


def _short(value: Any) -> Any:
    if isinstance(value, str):
        text = printable(value)
        return text if len(text) <= _LONGEST else f"{text[:_LONGEST]}..."
    return value if isinstance(value, int | float | bool) else printable(str(value))[:_LONGEST]
