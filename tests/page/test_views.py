"""Every view on a laptop and a phone, light and dark: whole, accessible, and without a fault."""

from __future__ import annotations

import pytest
from playwright.async_api import Page, expect

from immune.incidents.states import State
from immune.words import plain
from tests.page.conftest import LAPTOP, PHONE, TABLET, Viewer, settled, violations
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
    await settled(page)


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("size", [LAPTOP, TABLET, PHONE], ids=["laptop", "tablet", "phone"])
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


async def test_a_wide_table_scrolls_in_its_own_box(stage: Stage, viewer: Viewer) -> None:
    """The page itself never scrolls sideways on a phone, and a state is never cut on a laptop."""
    await _sick(stage)
    for agent in ("support-1", "researcher-2"):  # held; held though it waits for a decision
        await stage.home.system.desk.quarantine(agent, who="bob", why="mine")
    page = await viewer.open("healings", viewport=PHONE)
    for view, ready in {"healings": ".healings tbody tr", "chaos": ".infections tbody tr"}.items():
        await _look(page, stage, view, ready)
        wide = "document.documentElement.scrollWidth - innerWidth"
        assert await page.evaluate(wide) <= 0
    laptop = await viewer.open(viewport={"width": 1280, "height": 800})
    await expect(laptop.locator(".agent-row .c-state").nth(1)).to_be_visible()
    cut = "all => all.filter((one) => one.scrollWidth > one.clientWidth).map((o) => o.textContent)"
    assert await laptop.locator(".agents-body .c-state").evaluate_all(cut) == []


async def test_what_works_against_what_is_read_on_a_phone(stage: Stage, viewer: Viewer) -> None:
    """Each outcome beside its action's name, none of them beyond the window."""
    stage.chaos.inject("coder-1", "tool_loop", "planner")
    stage.chaos.inject("support-2", "latency_spike", "slow_tool")
    memory = stage.home.system.orchestrator.healer.memory
    await stage.until(lambda: len(memory.summary()) > 1)
    stage.running = False
    page = await viewer.open("healings", viewport=PHONE)
    cells = page.locator(".matrix td:not(.none)")
    await expect(cells).to_have_count(len(memory.summary()))
    shown = "all => all.map((one) => one.scrollWidth <= one.clientWidth && one.dataset.label)"
    labels = await cells.evaluate_all(shown)
    assert sorted(labels) == sorted(plain(cell.action).capitalize() for cell in memory.summary())
    for cell in await cells.all():
        box = await cell.bounding_box()
        assert box is not None
        assert box["x"] + box["width"] <= PHONE["width"]


async def test_every_dialog_is_accessible(stage: Stage, viewer: Viewer) -> None:
    """Its name, its fields and its buttons; Escape closes it and gives the focus back."""
    await stage.severe("researcher-2")
    stage.running = False
    page = await viewer.open("queue")
    faults = {}
    for name in ("Enforce", "Approve all (1)…", "Reject all (1)…", "Fence everything…"):
        button = page.get_by_role("button", name=name)
        await button.click()
        dialog = page.get_by_role("dialog")
        await expect(dialog).to_be_visible()
        if found := await violations(page):
            faults[name] = found
        await page.keyboard.press("Escape")
        await expect(dialog).to_have_count(0)
        await expect(button).to_be_focused()
    await page.goto(f"{stage.address}/#/agents/researcher-2")
    for name in ("Release…", "Quarantine…"):
        await page.get_by_role("button", name=name).click()
        await expect(page.get_by_role("dialog")).to_be_visible()
        if found := await violations(page):
            faults[name] = found
        await page.keyboard.press("Escape")
    assert faults == {}


async def test_the_views_that_a_phone_has_no_room_for_are_behind_more(
    stage: Stage, viewer: Viewer
) -> None:
    """With the appearance, the name of who decides, and the red button."""
    stage.running = False
    page = await viewer.open(viewport=PHONE)
    await page.get_by_role("button", name="More").click()
    dialog = page.get_by_role("dialog")
    await expect(dialog.get_by_label("You decide as")).to_be_visible()
    assert await violations(page) == []
    await dialog.get_by_role("link", name="Healings").click()
    await expect(page.get_by_role("heading", level=1)).to_have_text("Healings and memory")
    await expect(dialog).to_have_count(0)
    await page.get_by_role("button", name="More").click()
    await dialog.get_by_role("button", name="Fence everything…").click()
    await expect(dialog).to_contain_text("each of the 15 agents")
