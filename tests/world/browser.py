"""A real Chromium, and axe-core in it."""

import shutil
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any, Final

from axe_playwright_python.async_playwright import Axe  # type: ignore[import-untyped]  # it has no types
from playwright.async_api import Browser, Page, async_playwright

NARROW: Final = {"width": 320, "height": 640}
WIDE: Final = {"width": 1000, "height": 700}

_NAMES: Final = ("chromium", "chromium-browser", "google-chrome")
_RULES: Final = {"runOnly": ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"]}


class BrowserMissing(RuntimeError):
    """There is no Chromium on this machine. Run `make servers`, or install the package chromium."""


@asynccontextmanager
async def running_browser() -> AsyncIterator[Browser]:
    """Start Chromium without a window, and end it."""
    found = next(filter(None, map(shutil.which, _NAMES)), None)
    if found is None:
        raise BrowserMissing(BrowserMissing.__doc__)
    async with async_playwright() as playwright:
        # Tests run as root in containers, where Chromium's own sandbox cannot be made.
        browser = await playwright.chromium.launch(executable_path=found, chromium_sandbox=False)
        try:
            yield browser
        finally:
            await browser.close()


async def violations(page: Page) -> list[str]:
    """What axe-core finds on the page, one line each."""
    results: dict[str, Any] = (await Axe().run(page, options=_RULES)).response
    return [
        f"{found['id']}: {node['target']} {node['failureSummary']}"
        for found in results["violations"]
        for node in found["nodes"]
    ]
