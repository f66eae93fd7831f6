"""A real Chromium for tests of the pages: one a module, in which files are fetched once for all tests.

Pages of one context are tabs of one window, and what is drawn in a tab that is behind stands still. So a page
that stays open for many tests has a context of its own.
"""

import json
import os
import shutil

import pytest
from playwright.sync_api import sync_playwright

FLAGS = [
    "--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run",
    "--disable-background-networking", "--disable-component-update", "--disable-sync",
]  # fmt: skip


@pytest.fixture(scope="module")
def chromium():
    """The browser; in CI a missing one is a failure, elsewhere it skips."""
    path = shutil.which("chromium")
    if path is None:
        (pytest.fail if os.environ.get("CI") else pytest.skip)("needs Chromium: apt-get install chromium")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=path, args=FLAGS)
        yield browser
        browser.close()


@pytest.fixture(scope="module")
def window(chromium):
    """A context for pages that are open for one test."""
    context = chromium.new_context(locale="en-GB")
    yield context
    context.close()


class Opened:
    """Pages of a test, and what was complained of in any of them."""

    def __init__(self, open_in):
        self.open_in = open_in
        self.pages = []
        self.faults = []

    def __call__(self, server, path="", width=1440, height=900, scheme="light", key=None):
        page = self.open_in.new_page()
        page.bring_to_front()
        page.set_viewport_size({"width": width, "height": height})
        page.emulate_media(color_scheme=scheme)
        if key is not None:
            page.add_init_script(f"sessionStorage.setItem('meterhouse.key', {json.dumps(key)})")
        page.set_default_timeout(30_000)
        page.on("console", lambda told: told.type in ("error", "warning") and self.faults.append(told.text))
        page.on("pageerror", lambda error: self.faults.append(str(error)))
        own = (server.url, server.url.replace("http", "ws"), "blob:")
        page.on("request", lambda asked: asked.url.startswith(own) or self.faults.append(asked.url))
        page.goto(f"{server.url}/ui/{path}")
        self.pages.append(page)
        return page

    def close(self):
        """Close all pages; what was complained of stays."""
        for page in self.pages:
            page.close()
        self.pages.clear()


@pytest.fixture
def open_page(window):
    """Opens pages; in the end nothing may have been complained of, and nothing asked of anybody else."""
    opened = Opened(window)
    yield opened
    opened.close()
    assert opened.faults == [], opened.faults
