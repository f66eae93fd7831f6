"""Takes the pictures of the pages: a real server, a run that stands in a peak, a real Chromium.

Run from anywhere, with Chromium on the path: `python docs/make_screenshots.py [name ...]`. The run, its seed
and the instant are fixed, so that a picture changes only with the page, the model or the fonts here.
"""

import shutil
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final, NamedTuple

from PIL import Image
from playwright.sync_api import Browser, Page, sync_playwright

from api.client import Client, Refused, Unreachable

ROOT: Final = Path(__file__).resolve().parents[1]
MOST_BYTES: Final = 250_000

STANDS_S: Final = 10 * 3_600 + 14 * 60 + 25
"""Monday, 10:14:25: a truck has been unloaded while the orders of the morning are picked."""

FLAGS: Final = [
    "--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--hide-scrollbars",
    "--disable-background-networking", "--disable-component-update", "--disable-sync",
]  # fmt: skip


class Picture(NamedTuple):
    """A page as it is shown."""

    path: str
    wait: str
    width: int = 1440
    height: int = 900
    theme: Any = "light"
    scroll: str = ""
    """What is brought to the top of the screen."""


LIVE: Final = "#grid .cell"
SOLID: Final = "#solid canvas"

PICTURES: Final = {
    "page-2d": Picture("?slot=2-07-3&lang=en", LIVE),
    "page-3d": Picture("?view=3d&lang=en", SOLID),
    "page-zh": Picture("?slot=2-07-3&lang=zh", LIVE),
    "page-dark": Picture("?colour=age&lang=en", LIVE, theme="dark"),
    "page-phone": Picture("?lang=en", LIVE, width=420, height=880),
    "page-wall": Picture("?wall=1&lang=en", ".wall-alerts:not(:empty)", width=1920, height=1080),
    "page-compare": Picture("compare?runs=r2,r3&lang=en", ".overlays .chart >> nth=5", height=1180),
    "page-replications": Picture(
        "compare?runs=r4,r5,r6,r7,r8,r9,r10,r11,r12,r13&lang=en", ".kpis .overlap", height=1180
    ),
    "page-runs": Picture("runs?show=r3&lang=en", ".onerun", height=1080),
    "page-questions": Picture("runs?lang=en", "#question-5", scroll="#question-5", height=1000),
}


@contextmanager
def served(folder: Path) -> Iterator[str]:
    """A server whose own run stands in a peak, two runs to compare, and five seeds of each of two more."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    command = [
        sys.executable,
        "-m",
        "sim.cli",
        "serve",
        "luoyang",
        "--port",
        str(port),
        "--data",
        str(folder),
    ]
    server = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.DEVNULL)  # noqa: S603
    try:
        with Client(f"http://127.0.0.1:{port}") as client:
            until(lambda: server.poll() is not None or client.get("/ready")["ready"])
            client.patch("/runs/r1", {"state": "paused"})
            busy = {"demand.orders_per_day": 30, "time.days": 7}
            runs = [client.start(scenario, set=busy) for scenario in ("luoyang", "luoyang_two_robots")]
            runs += [
                client.start(scenario, set={**busy, "time.days": 2}, seed=seed)
                for scenario in ("luoyang", "luoyang_two_robots")
                for seed in range(1, 6)
            ]
            for run in runs:
                client.wait(run["id"])
            client.patch("/runs/r1", {"step_s": STANDS_S - client.get("/runs/r1")["t_s"]})
            until(lambda: client.get("/runs/r1")["state"] == "paused")
            yield f"http://127.0.0.1:{port}"
    finally:
        server.terminate()
        server.wait(30)


def until(asked: Any, patience_s: float = 120.0) -> None:
    """Wait until something is so."""
    end = time.monotonic() + patience_s
    while time.monotonic() < end:
        try:
            if asked():
                return
        except (Refused, Unreachable):
            pass
        time.sleep(0.1)
    raise SystemExit(f"expected the server to be ready within {patience_s:g} s")


def take(browser: Browser, base: str, name: str, picture: Picture) -> None:
    """Take one picture and save it as small as it may be."""
    size: Any = {"width": picture.width, "height": picture.height}
    page: Page = browser.new_page(viewport=size, color_scheme=picture.theme, locale="en-GB")
    page.goto(f"{base}/ui/{picture.path}")
    page.wait_for_selector(picture.wait)
    if picture.scroll:
        page.locator(picture.scroll).evaluate("each => each.scrollIntoView()")
        page.wait_for_function(
            "wanted => document.querySelector(wanted).naturalWidth", arg=f"{picture.scroll} img"
        )
    page.wait_for_timeout(2500)  # what is asked for later has come, and nothing flashes any more
    path = ROOT / "docs" / f"{name}.png"
    page.screenshot(path=path)
    page.close()
    image = Image.open(path).convert("RGB")
    image.save(path, optimize=True)
    if path.stat().st_size > MOST_BYTES:
        image.quantize(256, Image.Quantize.MAXCOVERAGE, dither=Image.Dither.NONE).save(path, optimize=True)
    if (found := path.stat().st_size) > MOST_BYTES:
        raise SystemExit(f"{path.name}: expected at most {MOST_BYTES:,} bytes, found {found:,}")
    print(f"{path.relative_to(ROOT)}: {found:,} bytes")


def main() -> None:
    """Take all pictures, or those that are named."""
    chromium = shutil.which("chromium")
    if chromium is None:
        raise SystemExit("expected chromium on the path: apt-get install chromium fonts-noto-cjk")
    names = sys.argv[1:] or list(PICTURES)
    if unknown := set(names) - set(PICTURES):
        raise SystemExit(f"expected names of {', '.join(PICTURES)}, found {', '.join(sorted(unknown))}")
    with (
        tempfile.TemporaryDirectory() as folder,
        served(Path(folder) / "data") as base,
        sync_playwright() as playwright,
    ):
        browser = playwright.chromium.launch(executable_path=chromium, args=FLAGS)
        for name in names:
            take(browser, base, name, PICTURES[name])
        browser.close()


if __name__ == "__main__":
    main()
