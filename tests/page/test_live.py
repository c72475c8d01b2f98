"""The page is live, or says that it is not; what is always in sight tells the truth."""

from __future__ import annotations

import msgspec
import pytest
from playwright.async_api import Route, expect

from immune.columns import from_vitals
from immune.desk import Decision
from immune.incidents.states import State
from immune.modes import Mode
from immune.quarantine import BrakeParams
from immune.vitals import Vital
from tests.page.conftest import Viewer, known, settled, violations
from tests.page.stage import Stage


async def test_after_a_restart_the_page_comes_back_by_itself(stage: Stage, viewer: Viewer) -> None:
    """Meanwhile it says how old it is, and takes no order; then it shows what happened."""
    viewer.forgiven = ("Failed to load resource", "ERR_CONNECTION_REFUSED", "net::ERR")
    case = await stage.severe("researcher-2")
    stage.running = False
    page = await viewer.open("queue")
    approve = page.get_by_role("button", name="Approve this plan")
    await expect(approve).to_be_enabled()
    await stage.stop()
    banner = page.locator(".banner")
    await expect(banner).to_contain_text("The connection is lost. What you see is as of")
    await expect(page.locator(".sign.live")).to_have_text("Not connected")
    await expect(approve).to_be_disabled()
    await stage.start()
    await expect(banner).to_have_count(0)
    await expect(page.locator(".sign.live")).to_have_text("Connected")
    # a new server has a new token: the order is given all the same
    await expect(approve).to_be_enabled()
    await approve.click()
    await expect(page.get_by_text("Nothing waits for you")).to_be_visible()
    assert stage.now(case.id).state is State.HEALING


async def test_what_is_told_while_the_page_begins_is_newer(stage: Stage, viewer: Viewer) -> None:
    """A case that moves between the first answer and its arrival is shown as it is."""
    case = await stage.severe("researcher-2")
    stage.running = False
    page = await viewer.open("queue")

    async def late(route: Route) -> None:
        answer = await route.fetch()
        await stage.home.system.desk.reject(Decision(case.id, case.version), who="bob")
        await known(page, "m.moves.value.some((move) => move.event === 'rejected')")
        await route.fulfill(response=answer)

    await page.route("**/api/start", late, times=1)
    await page.reload()
    await expect(page.locator(".queue")).to_contain_text("Rejected: fenced until you heal")


async def test_nothing_is_asked_again_and_again(stage: Stage, viewer: Viewer) -> None:
    """A page that is looked at asks for nothing: the stream tells it."""
    page = await viewer.open()
    await settled(page)
    asked: list[str] = []
    page.on("request", lambda request: asked.append(request.url))
    await known(page, f"m.status.value.now > {stage.clock.time() + 30.0}")
    assert asked == []


async def test_the_mode_is_in_sight_and_can_be_set(stage: Stage, viewer: Viewer) -> None:
    """With what it means; in observe with what would have been done."""
    page = await viewer.open()
    bar = page.locator(".status")
    await expect(bar).to_contain_text("Sick agents are fenced and healed")
    await bar.get_by_role("button", name="Enforce").click()
    await page.get_by_label("Observe").check()
    await page.get_by_role("button", name="Set mode").click()
    await expect(bar).to_contain_text("Nothing is fenced or healed")
    await expect(bar).to_contain_text("It would have quarantined 0 agents")
    assert stage.home.system.orchestrator.modes.everywhere is Mode.OBSERVE
    stage.chaos.inject("coder-1", "full_meltdown")
    await expect(bar).to_contain_text("It would have quarantined 1 agent")
    await expect(page.locator(".verdict")).to_contain_text("1 agent has left its normal")


async def test_a_part_that_fails_is_named(stage: Stage, viewer: Viewer) -> None:
    """Degraded is always in sight, and well again when it is."""
    page = await viewer.open()
    await expect(page.get_by_text("All parts work")).to_be_visible()
    supervisor = stage.home.system.orchestrator.supervisor

    async def broken() -> None:
        raise OSError("the disk is full")

    async def whole() -> None: ...

    await supervisor.round("a part", broken)
    await expect(page.get_by_text("Degraded: a part")).to_be_visible()
    await supervisor.round("a part", whole)
    await expect(page.get_by_text("All parts work")).to_be_visible()


async def test_a_fleet_incident_is_acknowledged_and_accepted(stage: Stage, viewer: Viewer) -> None:
    """Its subject, its members, and three ways to end it."""
    stage.chaos.inject("support-3", "release")
    page = await viewer.open()
    sign = page.get_by_role("link", name="1 fleet incident")
    await expect(sign).to_be_visible()
    stage.running = False
    await sign.click()
    await page.locator(".fleet-case").get_by_role("link").click()
    await expect(page.locator(".members li")).to_have_count(5)
    await page.get_by_role("button", name="Acknowledge").click()
    await expect(page.locator(".tag")).to_have_text("acknowledged by operator")
    await expect(page.locator(".timeline")).to_contain_text("Acknowledged by operator")
    await page.get_by_role("button", name="Accept as new normal").click()
    await expect(page.locator(".badge").first).to_have_text("Dismissed")
    assert not [c for c in stage.cases(State.OBSERVED) if c.is_fleet]


async def test_what_a_fleet_incident_explains_alarms_nobody(stage: Stage, viewer: Viewer) -> None:
    """Its members are healthy; their evidence is said to be shared, whatever it comes to."""
    stage.chaos.inject("support-3", "release")
    await stage.until(lambda: any(c.is_fleet for c in stage.cases(State.OBSERVED)))
    stage.running = False
    page = await viewer.open()
    rows = page.locator(".agents-body .agent-row", has_text="support-")
    await expect(rows.locator(".evidence.shared")).to_have_count(5)
    others = page.locator(".agents-body .agent-row", has_text="coder-")
    await expect(others.locator(".evidence.shared")).to_have_count(0)


@pytest.mark.parametrize("end", ["It is over: close", "False alarm"])
async def test_a_fleet_incident_is_closed(stage: Stage, viewer: Viewer, end: str) -> None:
    """By either word; it leaves the list."""
    stage.chaos.inject("support-3", "release")
    await stage.until(lambda: any(c.is_fleet for c in stage.cases(State.OBSERVED)))
    stage.running = False
    (shared,) = [c for c in stage.cases(State.OBSERVED) if c.is_fleet]
    page = await viewer.open(f"incidents/{shared.id}")
    await page.get_by_role("button", name=end).click()
    await expect(page.locator(".badge").first).to_have_text("Dismissed")
    await page.goto(f"{stage.address}/#/together")
    await expect(page.get_by_text("Nothing is shared by many agents")).to_be_visible()


async def test_everything_is_fenced_and_exactly_that_is_undone(
    stage: Stage, viewer: Viewer
) -> None:
    """Somebody else's hold stays."""
    stage.running = False
    desk = stage.home.system.desk
    await desk.quarantine("coder-1", who="bob", why="mine")
    page = await viewer.open()
    await page.get_by_role("button", name="Fence everything…").click()
    dialog = page.get_by_role("dialog")
    give = dialog.get_by_role("button", name="Fence all 15 agents")
    await dialog.get_by_label("Reason").fill("a leak")
    await expect(give).to_be_disabled()
    await dialog.get_by_label("Type fence to confirm").fill("fence")
    await give.click()
    await expect(page.get_by_text("15 agents fenced.")).to_be_visible()
    quarantine = stage.home.system.orchestrator.quarantine
    assert len(quarantine.fenced_agents()) == 15
    await page.get_by_role("button", name="Fence everything…").click()
    await expect(dialog).to_contain_text("Everything is fenced: 15 agents held by operator")
    await dialog.get_by_role("button", name="Undo exactly this").click()
    await expect(page.get_by_text("15 fences lifted")).to_be_visible()
    assert [fence.by for fence in quarantine.standing()] == ["bob"]


async def test_a_lockdown_that_is_partly_lifted_says_how_much_stands(
    stage: Stage, viewer: Viewer
) -> None:
    """Everything is fenced no more; the rest still is, and is undone by the same button."""
    stage.running = False
    desk = stage.home.system.desk
    await desk.lockdowns.order(who="ann", why="a leak")
    await desk.release_hold("coder-1", who="bob", why="needed")
    page = await viewer.open()
    banner = page.locator(".banner.lockdown")
    stands = "14 of 15 agents still fenced by ann"
    await expect(banner).to_contain_text(stands)
    await expect(page.locator(".verdict")).to_contain_text(stands)
    await expect(page.locator(".mode-means")).to_contain_text("Many are held: 14 holds by ann")
    await expect(page.locator("body")).not_to_contain_text("Everything is fenced:")
    await banner.get_by_role("button", name="Undo").click()
    await expect(page.get_by_text("14 fences lifted")).to_be_visible()
    await expect(banner).to_have_count(0)


async def test_the_brake_says_what_it_allows_and_why(stage: Stage, viewer: Viewer) -> None:
    """The nearer rule always in sight, both with their reasons when asked."""
    stage.running = False
    await stage.stop()
    stage.settings = msgspec.structs.replace(stage.settings, brake=BrakeParams(share=0.6))
    await stage.start()
    await stage.second()
    page = await viewer.open()
    sign = page.get_by_role("button", name="Brake")
    await expect(sign).to_contain_text("0 of 9 at once")
    await expect(page.locator(".share-note")).to_contain_text("the system may fence 9 more")
    await sign.click()
    dialog = page.get_by_role("dialog")
    await expect(dialog).to_contain_text("at most 9: 60 % of 15 active agents")
    await expect(dialog).to_contain_text("at most 20: always allowed, however small the fleet")
    await expect(dialog).to_contain_text("The system may fence 9 more now")
    assert await violations(page) == []


async def test_a_fence_around_everything_is_red_on_every_view(stage: Stage, viewer: Viewer) -> None:
    """Who, why, how many and the way back; the fleet is not called well meanwhile."""
    stage.running = False
    page = await viewer.open()
    verdict = page.locator(".verdict")
    await expect(verdict).to_contain_text("All 15 agents are well")
    await stage.home.system.desk.lockdowns.order(who="ann", why="a leak")
    banner = page.locator(".banner.lockdown")
    await expect(banner).to_contain_text("15 agents held by ann")
    await expect(verdict).to_have_class("verdict tone-ask")
    await expect(verdict).to_contain_text("Everything is fenced: 15 agents held by ann")
    await expect(page.locator(".mode-means")).to_contain_text("All are held: 15 holds by ann")
    assert await violations(page) == []
    for view in ("queue", "incidents", "together", "healings", "chaos", "agents/coder-1"):
        await page.goto(f"{stage.address}/#/{view}")
        await expect(banner).to_contain_text("a leak")
    await banner.get_by_role("button", name="Undo").click()
    await expect(banner).to_have_count(0)
    assert stage.home.system.orchestrator.quarantine.standing() == []


async def test_a_fleet_of_which_nothing_is_known_is_not_called_well(
    stage: Stage, viewer: Viewer
) -> None:
    """Not while its agents learn, and not when nobody reports."""
    stage.running = False
    page = await viewer.open()
    verdict = page.locator(".verdict")
    await stage.home.system.collector.accept(
        from_vitals([Vital(agent_id="new", at=stage.clock.time(), latency_ms=5.0)], stage.names)
    )
    await stage.second()
    await expect(verdict).to_contain_text("1 agent is still learning what is normal")
    await expect(verdict).to_have_class("verdict tone-watch")
    stage.clock.advance(300.0)
    await expect(verdict).to_contain_text("No vital for 5 min")
    await expect(verdict).to_have_class("verdict tone-watch")


async def test_a_hold_is_told_where_the_system_only_observes(stage: Stage, viewer: Viewer) -> None:
    """The system fences nothing; a person did."""
    stage.running = False
    desk = stage.home.system.desk
    await desk.set_mode(Mode.OBSERVE)
    await desk.quarantine("coder-1", who="bob", why="mine")
    page = await viewer.open()
    said = page.locator(".mode-means")
    await expect(said).to_contain_text("The system fences nothing; 1 hold by a person")
    await expect(page.locator(".verdict")).to_contain_text("1 agent is held by a person")


async def test_an_agent_is_infected_and_the_score_kept(stage: Stage, viewer: Viewer) -> None:
    """In the demo alone; the scoreboard is for people's eyes."""
    page = await viewer.open("chaos")
    await page.get_by_label("Agent", exact=True).fill("coder-2")
    await page.get_by_label("Infection").select_option("tool_loop")
    await page.get_by_label("Strain").select_option("planner")
    await page.get_by_role("button", name="Infect", exact=True).click()
    await expect(page.get_by_text("coder-2 has tool loop (planner) now.")).to_be_visible()
    row = page.locator(".list tbody tr", has_text="coder-2")
    await expect(row).to_contain_text("Infinite loop")
    await page.get_by_label("Agent", exact=True).fill("nobody")
    await page.get_by_role("button", name="Infect", exact=True).click()
    await expect(page.get_by_role("alert")).to_contain_text("nobody")


async def test_shortcuts_lead_everywhere(stage: Stage, viewer: Viewer) -> None:
    """And ? lists them."""
    stage.running = False
    page = await viewer.open()
    for key, title in {"d": "Decisions", "i": "Open incidents", "m": "Healings and memory"}.items():
        await page.keyboard.press(key)
        await expect(page.get_by_role("heading", level=1)).to_have_text(title)
    await page.keyboard.press("?")
    await expect(page.get_by_role("dialog")).to_contain_text("approve the case shown")
    await page.keyboard.press("Escape")
    await expect(page.get_by_role("dialog")).to_have_count(0)


async def test_light_and_dark_can_be_chosen(stage: Stage, viewer: Viewer) -> None:
    """And stay chosen."""
    stage.running = False
    page = await viewer.open(color_scheme="light")
    ground = "getComputedStyle(document.body).backgroundColor"
    light = await page.evaluate(ground)
    await page.get_by_role("button", name="Dark").click()
    dark = await page.evaluate(ground)
    await page.reload()
    await page.wait_for_selector(".agent-row")
    assert await page.evaluate(ground) == dark != light
