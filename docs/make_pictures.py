"""Draws every picture of the documentation, then refreshes its text; `make pictures` calls it.

A picture of the terminal is what a command really prints, coloured, as an SVG that names no font file and no
address. The pictures of the report are screenshots that a headless Chromium takes; the ladder of the rules
is a chart of the program's own. With names after it, only these pictures are drawn; with `--text` none, and
`--slow` also refreshes the tables that take minutes.
"""

import argparse
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from html import escape
from itertools import groupby
from pathlib import Path
from typing import Any, Final, NamedTuple

import make_text
from PIL import Image
from PIL.PngImagePlugin import PngInfo
from rich.color import blend_rgb
from rich.console import Console
from rich.style import Style
from rich.terminal_theme import TerminalTheme
from rich.text import Text

HERE: Final = Path(__file__).resolve().parent

# --- the terminal ----------------------------------------------------------------------------------------

_ANSI: Final = [
    (48, 56, 65), (224, 108, 117), (126, 190, 130), (214, 172, 98),
    (97, 160, 220), (190, 132, 214), (96, 184, 196), (213, 221, 229),
]  # fmt: skip
_THEME: Final = TerminalTheme((16, 22, 29), (213, 221, 229), _ANSI)
_PROMPT: Final = "\x1b[1;32m$\x1b[0m \x1b[1m"
_FONTS: Final = (
    'ui-monospace, SFMono-Regular, "Cascadia Mono", Menlo, Consolas, "DejaVu Sans Mono", monospace'
)
_SIZE, _WIDE, _HIGH, _MARGIN = 14, 8.4, 16, 16
"""Font size, width of a column, height of a line and margin, in pixels."""


def terminal(columns: int, *words: str) -> Callable[[Path], None]:
    """A picture of `meterhouse WORDS` on a terminal of so many columns."""

    def draw(path: Path) -> None:
        command = f"meterhouse {' '.join(words)}"
        path.write_text(
            terminal_svg(f"{_PROMPT}{command}\x1b[0m\n{coloured(columns, words)}"), encoding="utf-8"
        )

    return draw


def coloured(columns: int, words: tuple[str, ...]) -> str:
    """What a command prints on a terminal, with its escape sequences."""
    colours = {
        "FORCE_COLOR": "1",
        "COLORTERM": "truecolor",
        "TERM": "xterm-256color",
        "COLUMNS": str(columns),
    }
    run = subprocess.run(  # noqa: S603
        [sys.executable, "-m", "sim.cli", *words],
        env={**os.environ, **colours},
        capture_output=True,
        text=True,
    )
    if run.returncode:
        raise SystemExit(
            f"meterhouse {' '.join(words)}: exit code {run.returncode}\n{run.stdout}{run.stderr}"
        )
    return run.stdout


def terminal_svg(ansi: str) -> str:
    """The text of a terminal as an SVG; pieces of text stand at their column, whatever the font."""
    lines = [Text.from_ansi(line.rstrip()) for line in ansi.rstrip().splitlines()]
    width = round(max(line.cell_len for line in lines) * _WIDE) + 2 * _MARGIN
    height = len(lines) * _HIGH + 2 * _MARGIN
    rules: dict[str, str] = {}
    boxes, words = [], []
    for number, line in enumerate(lines):
        top = _MARGIN + number * _HIGH
        for piece in _pieces(line):
            x, length = round(_MARGIN + piece.column * _WIDE, 1), round(len(piece.text) * _WIDE, 1)
            if piece.back:
                boxes.append(f'<path fill="{piece.back}" d="M{x:g} {top}h{length:g}v{_HIGH}h-{length:g}z"/>')
            if piece.text.strip():
                name = rules.setdefault(piece.rule, f"t{len(rules)}")
                at = f'class="{name}" x="{x:g}" y="{top + 12}" textLength="{length:g}"'
                words.append(f"<text {at}>{escape(piece.text)}</text>")
    style = "".join(f".{name}{{{rule}}}" for rule, name in rules.items())
    ground = f'<rect width="{width}" height="{height}" rx="8" fill="{_THEME.background_color.hex}"/>'
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" width="{width}">',
        f"<style>text{{font:{_SIZE}px {_FONTS};white-space:pre}}{style}</style>",
        ground, *boxes, '<g xml:space="preserve">', *words, "</g>", "</svg>\n",
    ]  # fmt: skip
    return "\n".join(parts)


class _Piece(NamedTuple):
    """Text of one style at a column of its line."""

    column: int
    text: str
    rule: str
    back: str


def _pieces(line: Text) -> Iterator[_Piece]:
    """The pieces of a line, cut where the style changes and where two blanks or more stand."""
    cells: list[tuple[str, tuple[str, str]]] = []
    for segment in line.render(Console(color_system="truecolor")):
        cells += [(cell, _look(segment.style or Style())) for cell in segment.text.rstrip("\n")]
    column = 0
    for (rule, back), group in groupby(cells, key=lambda cell: cell[1]):
        text = "".join(cell for cell, _ in group)
        for part in [text] if back else re.split(r"( {2,})", text):
            if part:
                yield _Piece(column, part, rule, back)
            column += len(part)


def _look(style: Style) -> tuple[str, str]:
    """A style as a CSS rule for text, and its background where it has one."""
    colour = _THEME.foreground_color
    if style.color is not None and not style.color.is_default:
        colour = style.color.get_truecolor(_THEME)
    back = None
    if style.bgcolor is not None and not style.bgcolor.is_default:
        back = style.bgcolor.get_truecolor(_THEME)
    if style.dim:
        colour = blend_rgb(colour, back or _THEME.background_color, 0.4)
    rules = [f"fill:{colour.hex}"]
    if style.bold:
        rules.append("font-weight:bold")
    if style.italic:
        rules.append("font-style:italic")
    return ";".join(rules), back.hex if back else ""


# --- the report ------------------------------------------------------------------------------------------

_FLAGS: Final = (
    "--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run",
    "--disable-background-networking", "--disable-component-update", "--disable-sync", "--hide-scrollbars",
)  # fmt: skip


def report(first: int, last: int) -> Callable[[Path], None]:
    """A screenshot of sections `first` to `last` of the report on luoyang; 0 is what stands above them."""

    def draw(path: Path) -> None:
        with tempfile.TemporaryDirectory() as folder:
            out = Path(folder, "luoyang")
            coloured(100, ("run", "luoyang", "--out", str(out)))
            page = out / "report.html"
            digest = json.loads((out / "result.json").read_text(encoding="utf-8"))["digest"]
            others = [f"section:nth-of-type(n+{last + 1})", "footer"]
            if first:
                others += ["header", ".answer", ".cards", f"section:nth-of-type(-n+{first - 1})"]
            margins = "main{padding:28px 24px}section:first-of-type{margin-top:32px}"
            rule = f"{','.join(others)}{{display:none}}{margins}"
            text = page.read_text(encoding="utf-8")
            page.write_text(text.replace("</style>", f"{rule}</style>", 1), encoding="utf-8")
            screenshot(page, path, digest)

    return draw


def screenshot(page: Path, path: Path, digest: str, width: int = 1280, height: int = 4000) -> None:
    """A page as a PNG of 128 colours, cut off where only its background is left; it carries the digest."""
    browser = next(
        (
            found
            for name in ("chromium", "chromium-browser", "google-chrome")
            if (found := shutil.which(name))
        ),
        None,
    )
    if browser is None:
        raise SystemExit("make_pictures: expected chromium on the path, found none")
    with tempfile.TemporaryDirectory() as folder:
        raw = Path(folder, "page.png")
        options = [f"--user-data-dir={folder}", f"--window-size={width},{height}", f"--screenshot={raw}"]
        subprocess.run(  # noqa: S603
            [browser, *_FLAGS, *options, page.as_uri()], check=True, capture_output=True, timeout=120
        )
        with Image.open(raw) as opened:
            picture = opened.convert("RGB")
    ground = picture.getpixel((0, picture.height - 1))
    rows = [y for y in range(0, picture.height, 4) if picture.crop((0, y, width, y + 1)).getcolors(1) is None]
    bottom = min(picture.height, max(rows) + 28)
    assert ground is not None
    small = picture.crop((0, 0, width, bottom)).quantize(128, dither=Image.Dither.NONE)
    about = PngInfo()
    about.add_text("digest", digest)
    small.save(path, optimize=True, pnginfo=about)


# --- the ladder ------------------------------------------------------------------------------------------


def ladder(path: Path) -> None:
    """The ladder of all rules on the recorded trace; what stood there when the trace is not at hand."""
    from sim import load
    from sim.charts import ladder as chart_of
    from sim.charts import write_picture
    from sim.replay import ladder as replay_all

    shared = Path(os.environ.get("METERHOUSE_SHARED", HERE.parents[1] / "shared"))
    trace = shared / "data" / "wepa258.csv.gz"
    if trace.is_file():
        write_picture(chart_of(replay_all(trace, load("rack_a"))), path)
    else:
        print(f"    {path.name} stays as it is: it needs {trace}", flush=True)


def speed(path: Path) -> None:
    """Draw the times of allocation on record; `meterhouse bench allocation` takes others."""
    from sim import bench

    bench.draw(bench.read(Path(__file__).resolve().parents[1] / "benchmarks" / "allocation.json"), path)


# --- studies ---------------------------------------------------------------------------------------------


TO_HOLD: Final = 0.995
"""The share of right slots that a counting plan is to hold, where a study says nothing of it."""


def accuracy_document(counting: Mapping[str, Any]) -> dict[str, Any]:
    """The result of the counting study as `charts.accuracy_lines` draws it: a panel for each error rate."""
    panels, target = [], counting.get("target", TO_HOLD)
    for scale in counting["scales"]:
        lines = []
        for cell in (cell for cell in counting["cells"] if cell["scale"] == scale):
            whole = cell["kpis"]["record_accuracy_location"]
            line = {"plan": cell["plan"], "mean": _smooth(cell["accuracy"]["mean"]), "whole": whole}
            lines.append({**line, "holds": whole["low"] >= target})
        title = "default error rates" if scale == 1 else f"{scale:g} x default error rates"
        panels.append({"title": title, "lines": lines})
    days = counting["cells"][0]["accuracy"]["days"]
    span = (2 * _BESIDE) * (days[1] - days[0])
    about = f"lines: mean of {len(counting['seeds'])} seeds over {span} days; dots: all days, 95 % interval"
    return {"days": days, "target": target, "about": about, "panels": panels}


_BESIDE: Final = 3
"""How many instants before and after one are averaged with it: a few wrong slots come and go by the day."""


def _smooth(shares: Sequence[float]) -> list[float]:
    """The means of each share with its neighbours; of fewer at the ends."""
    near = [shares[max(0, k - _BESIDE) : k + _BESIDE + 1] for k in range(len(shares))]
    return [sum(some) / len(some) for some in near]


def operation_document(operation: Mapping[str, Any]) -> dict[str, Any]:
    """The result of robot against manual as `charts.operation_gaps` draws it: means for their intervals."""
    situations = [
        {"name": situation["name"], "rows": [{**row, **_means(row)} for row in situation["rows"]]}
        for situation in operation["situations"]
    ]
    return {"situations": situations}


def _means(row: Mapping[str, Any]) -> dict[str, float | None]:
    return {side: None if row[side] is None else row[side]["mean"] for side in ("robot", "manual")}


def counting_study(path: Path) -> None:
    """Record accuracy over time, plan by plan; nothing when the study is not there."""
    from sim.charts import accuracy_lines, write_picture

    study = make_text.study("counting")
    if study is not None:
        write_picture(accuracy_lines(accuracy_document(study)), path)


def operation_study(path: Path) -> None:
    """Robot against manual, measure by measure; nothing when the study is not there."""
    from sim.charts import operation_gaps, write_picture

    study = make_text.study("operation")
    if study is not None:
        write_picture(operation_gaps(operation_document(study)), path)


NEED_STUDY: Final = {"counting-study.svg": "counting", "operation-study.svg": "operation"}
"""Pictures of studies, each with the name of its result; without the result there is no picture."""

PICTURES: Final[dict[str, Callable[[Path], None]]] = {
    "layout.svg": terminal(100, "layout", "luoyang"),
    "run.svg": terminal(88, "run", "luoyang"),
    "validate.svg": terminal(112, "validate"),
    "report.png": report(0, 2),
    "report-racks.png": report(4, 4),
    "ladder.svg": ladder,
    "allocation-speed.png": speed,
    "counting-study.svg": counting_study,
    "operation-study.svg": operation_study,
}
"""Every picture of the documentation, and how it is drawn."""


def main() -> None:
    """Draw the pictures that the command line names, all without names, and refresh the text."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("names", nargs="*", metavar="PICTURE", help=f"of {', '.join(PICTURES)}; all if none")
    parser.add_argument("--text", action="store_true", help="refreshes the text only")
    parser.add_argument("--slow", action="store_true", help="refreshes also the text that takes minutes")
    chosen = parser.parse_args()
    if unknown := [name for name in chosen.names if name not in PICTURES]:
        parser.error(f"expected names of {', '.join(PICTURES)}, found {', '.join(unknown)}")
    for name in [] if chosen.text else chosen.names or PICTURES:
        PICTURES[name](HERE / name)
        if (HERE / name).is_file():
            print(f"docs/{name}: {(HERE / name).stat().st_size / 1000:,.0f} kB", flush=True)
    if not chosen.names:
        make_text.refresh(slow=chosen.slow or not chosen.text)


if __name__ == "__main__":
    main()
