"""A real browser for tests of pages: the machine's Chromium, driven through playwright, with an empty profile."""

import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from playwright.sync_api import Page

_NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
_FLAGS = (
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
)
MISSING = "no browser was found: apt-get install chromium, or set BROWSER_PATH to a Chromium or Chrome"


def browser_path() -> str | None:
    """The executable of a Chromium; None where there is none."""
    wanted = os.environ.get("BROWSER_PATH")
    return wanted or next((path for name in _NAMES if (path := shutil.which(name))), None)


@contextmanager
def browser_page(width: int = 1400, height: int = 1200) -> "Iterator[Page]":
    """An empty tab; the test is skipped where no browser is found."""
    path = browser_path()
    if path is None:
        pytest.skip(MISSING)
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright, tempfile.TemporaryDirectory() as profile:
        context = playwright.chromium.launch_persistent_context(
            profile, executable_path=path, args=list(_FLAGS), viewport={"width": width, "height": height}
        )
        try:
            yield context.new_page()
        finally:
            context.close()
