"""The page in a real browser: live, safe, and good for a decision."""

from __future__ import annotations

import shutil
from collections.abc import AsyncIterator

import pytest
from playwright.async_api import ConsoleMessage, Page, async_playwright, expect

from tests.web.conftest import Site
from tests.web.test_feed import served

CHROMIUM = shutil.which("chromium")
EVIL = "<img src=x onerror=alert(1)>"

WIDE = """
[...document.querySelectorAll("body *")]
  .filter((element) => element.getBoundingClientRect().right > 391)
  .map((element) => element.outerHTML.slice(0, 80))
"""
"""What reaches beyond a phone's width."""

pytestmark = [
    pytest.mark.browser,
    pytest.mark.skipif(CHROMIUM is None, reason="no Chromium here"),
]


def _is_fault(said: ConsoleMessage) -> bool:
    # a refusal is shown on the page; that the browser also logs its status is no fault
    return said.type in ("error", "warning") and "Failed to load resource" not in said.text


@pytest.fixture
async def page(demo_site: Site) -> AsyncIterator[Page]:
    """The page on a phone's width, with everything that goes wrong noted and refused."""
    faults: list[str] = []
    async with served(demo_site) as address, async_playwright() as playwright:
        browser = await playwright.chromium.launch(
            executable_path=CHROMIUM, args=["--no-sandbox", "--no-proxy-server"]
        )
        shown = await browser.new_page(viewport={"width": 390, "height": 844})
        shown.on("pageerror", lambda fault: faults.append(str(fault)))
        shown.on("console", lambda said: faults.append(said.text) if _is_fault(said) else None)
        shown.on("dialog", lambda dialog: faults.append(dialog.message))
        await shown.goto(address)
        yield shown
        assert faults == []
        await browser.close()


async def test_a_case_is_approved_on_the_page(demo_site: Site, page: Page) -> None:
    """It appears by itself, is decided at the version shown, and leaves the queue."""
    await expect(page.get_by_text("Nothing waits for a decision.")).to_be_visible()
    await demo_site.agent(EVIL)
    case = await demo_site.case(EVIL)
    pending = page.locator("#pending article")
    await expect(pending).to_contain_text(EVIL)
    await expect(pending).to_contain_text("tool calls 7 times normal")
    await pending.get_by_placeholder("reason (optional)").fill("go on")
    await pending.get_by_role("button", name="Approve this plan").click()
    await expect(pending).to_have_count(0)
    moved = demo_site.system.orchestrator.casework.get(case.id)
    assert str(moved.state) == "healing"
    (approved,) = [
        line.event for line in await demo_site.system.views.events(0) if line.event.why == "go on"
    ]
    assert approved.who == "operator"


async def test_nothing_is_wider_than_a_phone(demo_site: Site, page: Page) -> None:
    """Whatever an agent is called."""
    await demo_site.agent("a" * 256)
    await demo_site.case("a" * 256)
    await expect(page.locator("#pending article")).to_be_visible()
    await page.wait_for_timeout(500)
    assert await page.evaluate(WIDE) == []


async def test_a_conflict_is_shown_and_the_case_read_again(demo_site: Site, page: Page) -> None:
    """Somebody was quicker: the card moves to where the case is now."""
    await demo_site.agent("a")
    case = await demo_site.case("a")
    reject = page.locator("#pending").get_by_role("button", name="Reject")
    await expect(reject).to_be_visible()
    order = {"version": case.version, "who": "bob"}
    await demo_site.client.post(f"/api/incidents/{case.id}/approve", json=order)
    await expect(page.locator("#pending article")).to_have_count(0)
    await expect(page.locator("#open article")).to_have_count(1)


async def test_an_agent_is_held_by_hand_and_made_sick(demo_site: Site, page: Page) -> None:
    """The dialog quarantines with a reason; the chaos form is there in the demo."""
    await demo_site.agent("coder-1")
    demo_site.clock.advance(3.0)
    await page.reload()
    await page.get_by_role("button", name="coder-1").click()
    dialog = page.locator("#dialog")
    await dialog.get_by_role("button", name="Quarantine").click()
    await expect(dialog).to_contain_text("say why")
    await dialog.get_by_placeholder("why").fill("odd mails")
    await dialog.get_by_role("button", name="Quarantine").click()
    await expect(page.locator("#agents-body .badge")).to_have_text("held")
    await expect(page.locator("#agents-body")).to_contain_text("ordered, not enforced")
    chaos = page.locator("#chaos select")
    await chaos.nth(0).select_option("coder-1")
    await chaos.nth(1).select_option("tool_loop")
    await page.get_by_role("button", name="Infect").click()
    await expect(page.locator("#chaos")).to_contain_text("has tool_loop (planner)")
    assert demo_site.infections.given == [("coder-1", "tool_loop", None)]
