"""The first view of a server to which no agent has reported."""

from __future__ import annotations

import pytest
from playwright.async_api import async_playwright, expect

from tests.page.conftest import CHROMIUM, Viewer
from tests.web.conftest import Site
from tests.web.test_feed import served

pytestmark = [
    pytest.mark.browser,
    pytest.mark.skipif(CHROMIUM is None, reason="no Chromium here"),
]


async def test_an_empty_server_says_how_agents_report(site: Site) -> None:
    """And nothing that only a simulated fleet has."""
    async with served(site) as address, async_playwright() as playwright:
        browser = await playwright.chromium.launch(
            executable_path=CHROMIUM, args=["--no-sandbox", "--no-proxy-server"]
        )
        viewer = Viewer(browser, address)
        page = await viewer.open()
        await expect(page.get_by_text("No agent has reported yet")).to_be_visible()
        await expect(page.get_by_text("POST /api/vitals")).to_be_visible()
        await expect(page.get_by_role("link", name="Chaos")).to_have_count(0)
        await page.goto(f"{address}/#/chaos")
        await expect(page.get_by_text("There is no simulated fleet here")).to_be_visible()
        await browser.close()
        assert viewer.faults == []
