"""The browser that the tests drive: one start-up for all, skipped in words where this machine has none."""

import contextlib
import shutil
from pathlib import Path

import pytest

from tests.waiting import HANG

PICTURES = Path(__file__).resolve().parents[1] / "artefacts" / "browser"
CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
QUIET = "--no-first-run --disable-background-networking --disable-component-update --disable-sync --disable-quic"
PATIENCE = 1000 * HANG  # milliseconds

in_a_browser = [  # pytestmark of a module whose tests all drive it
    pytest.mark.browser,
    pytest.mark.skipif(CHROMIUM is None, reason="no Chromium here; on Debian: apt-get install chromium"),
]


@contextlib.contextmanager
def chromium():
    """A running Chromium of Playwright's; closed at the end."""
    from playwright.sync_api import expect, sync_playwright

    expect.set_options(timeout=PATIENCE)
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path=CHROMIUM,
            args=["--headless", "--no-sandbox", "--disable-gpu", *QUIET.split()],
            timeout=PATIENCE,
        )
        yield browser
        browser.close()


def new_page(context, **options):
    """An empty page of a browser, or of one of its contexts, that waits as long as everything here."""
    page = context.new_page(**options)
    page.set_default_timeout(PATIENCE)
    return page


def picture(page, name, whole=False):
    """A screenshot in artefacts/browser/ (not kept by git), to be looked at. whole: the page below the window too."""
    PICTURES.mkdir(parents=True, exist_ok=True)
    page.screenshot(path=PICTURES / f"{name}.png", full_page=whole)
