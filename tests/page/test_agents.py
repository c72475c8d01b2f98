"""One agent and the fleet: found, watched live, held and let go; what it says is text."""

from __future__ import annotations

from playwright.async_api import expect

from immune.columns import from_vitals
from immune.desk import Decision
from immune.incidents.states import State
from immune.vitals import Vital
from tests.page.conftest import PHONE, Viewer
from tests.page.stage import Stage

EVIL = "<img src=x onerror=alert(1)>"


async def _reports(stage: Stage, agent_id: str, fact: str | None = None) -> None:
    """An agent from outside the simulated fleet reports a step; `fact` is all that it tells."""
    vital = Vital(
        agent_id=agent_id,
        at=stage.clock.time(),
        latency_ms=500.0,
        agent_type=fact,
        model=fact,
        provider=fact,
    )
    await stage.home.system.collector.accept(from_vitals([vital], stage.names))


async def test_agents_are_found_filtered_and_sorted(stage: Stage, viewer: Viewer) -> None:
    """By words, state, type and model; what needs a person stands first."""
    await stage.severe("researcher-2")
    stage.running = False
    page = await viewer.open()
    rows = page.locator(".agents-body .agent-row")
    await expect(rows).to_have_count(15)
    await expect(rows.first).to_contain_text("researcher-2")
    await page.keyboard.press("/")
    await page.keyboard.type("coder")
    await expect(rows).to_have_count(5)
    await expect(page.get_by_text("5 of 15 agents")).to_be_visible()
    await page.get_by_role("searchbox").fill("")
    await page.get_by_label("Type", exact=True).select_option("support")
    await expect(rows).to_have_count(5)
    await page.get_by_label("Type", exact=True).select_option("")
    await page.get_by_role("button", name="Awaiting approval 1").click()
    await expect(rows).to_have_count(1)
    await page.get_by_role("button", name="Awaiting approval 1").click()
    for order in ("Evidence", "Severity", "Cost", "Agent"):
        await page.get_by_role("columnheader", name=order).get_by_role("button").click()
        await expect(page.locator(f"[aria-sort]:has-text('{order}')").first).not_to_have_attribute(
            "aria-sort", "none"
        )
    await expect(rows.first).to_contain_text("coder-1")
    await page.get_by_role("searchbox").fill("nobody at all")
    await expect(page.get_by_text("No agent is like that")).to_be_visible()


async def test_a_fenced_agent_spends_nothing(stage: Stage, viewer: Viewer) -> None:
    """What it spent before is said to be past; the others' spending goes on."""
    await stage.severe("researcher-2")
    stage.running = False
    page = await viewer.open()
    cost = page.locator(".agents-body .agent-row .c-cost")
    await expect(cost.first).to_contain_text("was $")
    await expect(cost.nth(1)).to_contain_text("/h")
    await page.get_by_role("columnheader", name="Cost").get_by_role("button").click()
    await expect(cost.last).to_contain_text("was $")


async def test_the_table_is_walked_by_keyboard(stage: Stage, viewer: Viewer) -> None:
    """Arrows move, Enter opens."""
    stage.running = False
    page = await viewer.open()
    names = page.locator(".agents-body .agent-row a")
    await names.first.focus()
    for place in (1, 2):
        await page.keyboard.press("ArrowDown")
        await expect(names.nth(place)).to_be_focused()
    name = await names.nth(2).inner_text()
    await page.keyboard.press("Enter")
    await expect(page.get_by_role("heading", level=1)).to_have_text(name)


async def test_an_agent_s_name_is_text(stage: Stage, viewer: Viewer) -> None:
    """Wherever it is shown; nothing of it runs, and no picture is asked for."""
    await _reports(stage, EVIL, EVIL)
    await stage.second()
    desk = stage.home.system.desk
    await desk.quarantine(EVIL, who=EVIL, why=EVIL)
    page = await viewer.open()
    row = page.locator(".agents-body .agent-row", has_text=EVIL)
    await expect(row).to_contain_text("Held")
    await row.get_by_role("link").click()
    await expect(page.get_by_role("heading", level=1)).to_have_text(EVIL)
    await expect(page.get_by_text(f"Held by {EVIL}")).to_be_visible()
    assert await page.locator("img:not(.brand img)").count() == 0
    await page.goto(f"{stage.address}/#/chaos")
    await expect(page.locator("datalist option")).to_have_count(16)


async def test_a_name_of_any_length_fits_a_phone(stage: Stage, viewer: Viewer) -> None:
    """Nothing is pushed out of the window."""
    name = "a" * 256
    await _reports(stage, name)
    await stage.second()
    await stage.home.system.desk.quarantine(name, who="ann", why="b" * 300)
    page = await viewer.open(f"agents/{name}", viewport=PHONE)
    await expect(page.get_by_text("Held by ann")).to_be_visible()
    wide = "document.documentElement.scrollWidth <= innerWidth"
    assert await page.evaluate(wide)
    await page.goto(f"{stage.address}/#/")
    await expect(page.locator(".agents-body .agent-row").first).to_be_visible()
    assert await page.evaluate(wide)


async def test_an_agent_is_held_and_let_go_by_hand(stage: Stage, viewer: Viewer) -> None:
    """With a reason; the fence is confirmed by the simulated agents' link."""
    page = await viewer.open("agents/coder-1")
    await page.get_by_role("button", name="Quarantine…").click()
    dialog = page.get_by_role("dialog")
    give = dialog.get_by_role("button", name="Quarantine", exact=True)
    await expect(give).to_be_disabled()
    await dialog.get_by_label("Reason").fill("odd mails")
    await give.click()
    await expect(page.get_by_text("Held by operator")).to_be_visible()
    await expect(page.locator(".view-head .badge")).to_have_text("Held")
    await expect(page.locator(".view-head .fence-note")).to_have_text("fenced")
    await page.get_by_role("button", name="Release…").click()
    await dialog.get_by_role("button", name="Lift the hold").click()
    await expect(page.get_by_text("Held by operator")).to_have_count(0)
    await expect(page.locator(".view-head .badge")).to_have_text("Healthy")


async def test_a_fence_that_nobody_confirmed_says_so(stage: Stage, viewer: Viewer) -> None:
    """Ordered, not enforced: in the list, on the agent, and always in sight."""
    await _reports(stage, "real/agent")
    await stage.second()
    await stage.home.system.desk.quarantine("real/agent", who="ann", why="odd")
    page = await viewer.open()
    await expect(page.get_by_text("1 fence ordered, not enforced")).to_be_visible()
    row = page.locator(".agents-body .agent-row", has_text="real/agent")
    await expect(row).to_contain_text("ordered, not enforced")
    await row.get_by_role("link").click()
    await expect(page.locator(".view-head .fence-note")).to_have_text("ordered, not enforced")
    await expect(page.get_by_text("no link reaches this agent")).to_be_visible()


async def test_its_vitals_and_evidence_come_live(stage: Stage, viewer: Viewer) -> None:
    """The charts move, the last steps are the last, and a new case appears by itself."""
    page = await viewer.open("agents/coder-2")
    await expect(page.locator(".vital canvas")).to_have_count(7)
    steps = page.locator(".steps tbody tr").first.locator("time")
    before = await steps.get_attribute("title")
    await expect(steps).not_to_have_attribute("title", before or "")
    stage.chaos.inject("coder-2", "tool_loop", "planner")
    await expect(page.get_by_text("Open incident")).to_be_visible()
    await stage.until(lambda: bool(stage.cases(State.PROBATION)))
    await expect(page.locator(".tries")).to_contain_text("Reduce autonomy")
    await expect(page.locator(".legend")).to_contain_text("onset")
    await expect(page.get_by_text("In force on it")).to_be_visible()


async def test_a_rejected_agent_is_healed_from_its_page(stage: Stage, viewer: Viewer) -> None:
    """By an action of the person's choice, out of those that it can do."""
    case = await stage.severe("researcher-2")
    stage.running = False
    await stage.home.system.desk.reject(Decision(case.id, case.version), who="ann")
    page = await viewer.open("agents/researcher-2")
    await page.get_by_role("button", name="Heal now…").click()
    dialog = page.get_by_role("dialog")
    await dialog.get_by_label("Action").select_option("clone_agent")
    await dialog.get_by_role("button", name="Heal now").click()
    await expect(dialog).to_have_count(0)
    assert stage.now(case.id).current == "clone_agent"
    await page.reload()  # what the agent answered made another version
    await page.get_by_role("button", name="Release…").click()
    await dialog.get_by_label("False alarm").check()
    await dialog.get_by_role("button", name="Release", exact=True).click()
    await expect(dialog).to_have_count(0)
    assert not stage.cases(State.HEALING)
