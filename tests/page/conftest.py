"""A browser on the stage: whatever goes wrong in it is noted and fails the test."""

from __future__ import annotations

import shutil
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from playwright.async_api import Browser, ConsoleMessage, Page, async_playwright, expect

from tests.page.stage import Stage

ROOT = Path(__file__).parents[2]
AXE = ROOT / "node_modules" / "axe-core" / "axe.min.js"
CHROMIUM = shutil.which("chromium")

expect.set_options(timeout=20_000)  # a busy machine is no fault of the page's

LAPTOP = {"width": 1440, "height": 900}
TABLET = {"width": 820, "height": 1180}
PHONE = {"width": 390, "height": 844}


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """All of these need a browser."""
    for item in items:
        if Path(__file__).parent in item.path.parents and "browser" not in item.keywords:
            item.add_marker(pytest.mark.browser)
            if CHROMIUM is None:
                item.add_marker(pytest.mark.skip(reason="no Chromium here"))


@dataclass
class Viewer:
    """Opens windows, and notes what goes wrong in them."""

    browser: Browser
    address: str
    faults: list[str] = field(default_factory=list)
    forgiven: tuple[str, ...] = ("Failed to load resource",)
    """What the browser logs of a refusal that the page shows."""

    async def open(self, view: str = "", **context: Any) -> Page:
        """A window of its own on one view."""
        page = await self.browser.new_page(**{"viewport": LAPTOP, **context})
        page.on("pageerror", lambda fault: self.faults.append(str(fault)))
        page.on("console", self._said)
        page.on("dialog", lambda dialog: self.faults.append(dialog.message))
        page.on("request", self._asked)
        await page.goto(f"{self.address}/#/{view}")
        await page.wait_for_selector(".sign.live:not(.waiting)")
        return page

    def _said(self, said: ConsoleMessage) -> None:
        if said.type in ("error", "warning") and not any(f in said.text for f in self.forgiven):
            self.faults.append(said.text)

    def _asked(self, request: Any) -> None:
        if not request.url.startswith(self.address):
            self.faults.append(f"asked {request.url}")


Opening = Callable[..., Awaitable[Page]]


@pytest.fixture
async def stage(tmp_path: Path) -> AsyncIterator[Stage]:
    """Fifteen simulated agents that have learned their normal."""
    async with Stage(tmp_path) as opened:
        yield opened


@pytest.fixture
async def viewer(stage: Stage) -> AsyncIterator[Viewer]:
    """A browser; the test fails where anything went wrong in it."""
    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(
            executable_path=CHROMIUM, args=["--no-sandbox", "--no-proxy-server"]
        )
        looking = Viewer(browser, stage.address)
        yield looking
        await browser.close()
        assert looking.faults == []


DRAWN = "new Promise((drawn) => requestAnimationFrame(() => requestAnimationFrame(drawn)))"


async def settled(page: Page) -> None:
    """Wait until nothing is being read any more, and what was read is drawn."""
    await expect(page.locator(".loading")).to_have_count(0)
    await page.evaluate(DRAWN)


async def known(page: Page, fact: str) -> None:
    """Wait until a fact holds of what the page knows: the module `state`, there called `m`."""
    await page.wait_for_function(f"import('/static/state.js').then((m) => {fact})")


async def violations(page: Page) -> list[str]:
    """The serious violations that axe finds, in short."""
    await page.evaluate(AXE.read_text())
    found = await page.evaluate("axe.run(document, {resultTypes: ['violations']})")
    return [
        f"{one['id']}: {one['help']}: {[node['html'][:160] for node in one['nodes'][:3]]}"
        for one in found["violations"]
        if one["impact"] in ("serious", "critical")
    ]
