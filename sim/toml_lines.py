"""Where every key of a TOML document stands, so that a mistake can be reported with its line.

`tomllib` gives values without positions. This scanner reads the same text once more, piece by piece, and
trusts it to be valid: what `tomllib` refuses is not to be given to it. One pass, no backtracking.
"""

import re
import tomllib
from bisect import bisect_right
from collections.abc import Iterator
from typing import Final

KeyPath = tuple[str | int, ...]
"""Keys from the top of a document down; an element of a list or of an array of tables by its index."""

_PIECE: Final = re.compile(
    r'"""(?:\\.|[^\\])*?"{3,5}'
    r"|'''.*?'{3,5}"
    r'|"(?:\\.|[^"\\\n])*"'
    r"|'[^'\n]*'"
    r"|\#[^\n]*"
    r"|[\[\]{},=\n]"
    r"|[^\s\"'#\[\]{},=]+",
    re.DOTALL,
)

Piece = tuple[int, str]
"""Line, counted from 1, and text."""


def key_lines(text: str) -> dict[KeyPath, int]:
    """The line of every key, table and list element of a TOML document that `tomllib` accepts.

    Only "\\n" ends a line, as in TOML: other separators of Unicode may stand inside strings. What is
    mentioned more than once (a table, by its sub-tables) has the line where it is first mentioned.
    """
    lines: dict[KeyPath, int] = {(): 1}
    counts: dict[KeyPath, int] = {}
    table: KeyPath = ()
    pieces = _pieces(text)
    for line, piece in pieces:
        if piece == "[":
            table = _header(pieces, line, lines, counts)
        elif piece != "\n":
            key = _key(pieces, piece, "=")
            path = _mark(lines, table, key, line)
            _value(pieces, path, lines)
    return lines


def _pieces(text: str) -> Iterator[Piece]:
    """Every piece but comments, with the line on which it starts."""
    ends = [match.start() for match in re.finditer("\n", text)]
    for match in _PIECE.finditer(text):
        piece = match.group()
        if not piece.startswith("#"):
            # A line's own end belongs to it.
            yield bisect_right(ends, match.start() - 1) + 1, piece


def _header(
    pieces: Iterator[Piece], line: int, lines: dict[KeyPath, int], counts: dict[KeyPath, int]
) -> KeyPath:
    """The path that a header opens; its first bracket has been read."""
    _, piece = next(pieces)
    is_array = piece == "["
    key = _key(pieces, next(pieces)[1] if is_array else piece, "]")
    if is_array:
        next(pieces)  # the second closing bracket
    path: KeyPath = ()
    for part in key[:-1]:
        path = (*path, part)
        lines.setdefault(path, line)
        if path in counts:
            path = (*path, counts[path] - 1)
    path = (*path, key[-1])
    lines.setdefault(path, line)
    if is_array:
        counts[path] = counts.get(path, 0) + 1
    if path in counts:
        path = (*path, counts[path] - 1)
        lines.setdefault(path, line)
    return path


def _value(pieces: Iterator[Piece], path: KeyPath, lines: dict[KeyPath, int]) -> None:
    """Marks what lies inside a value, up to the end of its line."""
    # One frame an open bracket: its path, and the index of the next element (-1 in an inline table).
    frames: list[tuple[KeyPath, int]] = []
    starts = True
    for line, piece in pieces:
        if piece == "\n":
            if not frames:
                return
        elif piece in "]}":
            frames.pop()
            starts = False
        elif piece == ",":
            starts = True
        else:
            if starts and frames:
                outer, index = frames[-1]
                if index < 0:
                    path = _mark(lines, outer, _key(pieces, piece, "="), line)
                    _, piece = next(pieces)
                else:
                    path = (*outer, index)
                    lines.setdefault(path, line)
                    frames[-1] = (outer, index + 1)
            starts = piece in "[{"
            if starts:
                frames.append((path, 0 if piece == "[" else -1))


def _key(pieces: Iterator[Piece], piece: str, end: str) -> list[str]:
    """The parts of a dotted key that begins with a piece; reads up to and with the piece that ends it."""
    text = piece
    for _, piece in pieces:
        if piece == end:
            break
        text += piece
    if re.fullmatch(r"[A-Za-z0-9_.-]+", text):
        return text.split(".")
    parts = []
    node = tomllib.loads(text + "=0")
    while isinstance(node, dict):
        ((part, node),) = node.items()
        parts.append(part)
    return parts


def _mark(lines: dict[KeyPath, int], path: KeyPath, key: list[str], line: int) -> KeyPath:
    for part in key:
        path = (*path, part)
        lines.setdefault(path, line)
    return path
