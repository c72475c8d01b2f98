"""Every view on a laptop and a phone, light and dark: whole, accessible, and without a fault."""

from __future__ import annotations

import pytest
from playwright.async_api import Page, expect

from immune.incidents.states import State
from tests.page.conftest import LAPTOP, PHONE, Viewer, violations
from tests.page.stage import Stage

WIDE = """
[...document.querySelectorAll("body *")]
  .filter((element) => element.getBoundingClientRect().right > innerWidth + 1)
  .filter((element) => !element.closest(".scroll, .chart, .sr"))
  .map((element) => element.outerHTML.slice(0, 120))
"""
"""What reaches beyond the window, but for what scrolls in its own box."""

READY = {
    "": ".agents-body .agent-row",
    "agents/{agent}": ".vital canvas",
    "queue": ".decide",
    "incidents": ".list tbody tr",
    "incidents/{case}": ".stepper",
    "together": ".fleet-case",
    "incidents/{shared}": ".members li",
    "healings": ".healings tbody tr",
    "chaos": ".list tbody tr",
}
"""View -> what shows that it is there."""


async def _sick(stage: Stage) -> dict[str, str]:
    """A fleet with one of everything; returns the names that the views want."""
    stage.chaos.inject("coder-1", "tool_loop")
    stage.chaos.inject("coder-2", "token_explosion")
    case = await stage.severe("researcher-2")
    await stage.until(lambda: bool(stage.cases(State.PROBATION)))
    stage.chaos.inject("support-3", "release")
    await stage.until(lambda: any(c.is_fleet for c in stage.cases(State.OBSERVED)))
    shared = next(c for c in stage.cases(State.OBSERVED) if c.is_fleet)
    stage.running = False
    return {"agent": "researcher-2", "case": case.id, "shared": shared.id}


async def _look(page: Page, stage: Stage, view: str, ready: str) -> None:
    await page.goto(f"{stage.address}/#/{view}")
    await expect(page.locator(ready).first).to_be_visible()
    await page.wait_for_timeout(150)


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("size", [LAPTOP, PHONE], ids=["laptop", "phone"])
async def test_every_view_is_whole_and_accessible(
    stage: Stage, viewer: Viewer, scheme: str, size: dict[str, int]
) -> None:
    """Nothing is wider than the window, and axe finds no serious violation."""
    names = await _sick(stage)
    page = await viewer.open(viewport=size, color_scheme=scheme)
    faults = {}
    for view, ready in READY.items():
        place = view.format(**names)
        shown = f"{place}/{names['case']}" if view == "queue" else place
        await _look(page, stage, shown, ready)
        found = await violations(page) + await page.evaluate(WIDE)
        if found:
            faults[view] = found
    assert faults == {}


async def test_what_is_empty_says_so(stage: Stage, viewer: Viewer) -> None:
    """No view of a healthy fleet is blank."""
    stage.running = False
    page = await viewer.open()
    await expect(page.get_by_text("All 15 agents are well")).to_be_visible()
    for view, said in {
        "queue": "Nothing waits for you",
        "incidents": "No incident is open",
        "together": "Nothing is shared by many agents",
        "healings": "Nothing was healed yet",
        "chaos": "Nobody was infected yet",
        "incidents/inc-99": "no incident inc-99",
        "agents/nobody": "no agent nobody ever reported",
        "nowhere": "There is no such page",
    }.items():
        await page.goto(f"{stage.address}/#/{view}")
        await expect(page.get_by_text(said)).to_be_visible()
