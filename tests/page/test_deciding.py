"""A person decides: with the evidence at hand, on exactly what was shown, or not at all."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

import msgspec
from playwright.async_api import Page, Route, expect

from immune.desk import Decision
from immune.diagnosis.causes import Cause
from immune.healing.actions import Healing, Outcome
from immune.incidents import events as e
from immune.incidents.events import Event
from immune.incidents.incident import Incident
from immune.incidents.states import State
from immune.words import plain
from tests.page.conftest import PHONE, Viewer
from tests.page.stage import Stage


async def _said(stage: Stage, incident_id: str, kind: type[Event]) -> Event:
    """The one event of this kind in an incident's timeline."""
    detail = await stage.home.system.views.incident(incident_id)
    (found,) = [line.event for line in detail.events if isinstance(line.event, kind)]
    return found


async def test_a_severe_case_is_approved_by_keyboard_alone(stage: Stage, viewer: Viewer) -> None:
    """It appears by itself; the evidence, the plan and the name of who decided are there."""
    page = await viewer.open()
    await page.evaluate("localStorage.setItem('immune.who', 'ann')")
    await page.reload()
    case = await stage.severe("researcher-2")
    stage.running = False
    await expect(page.get_by_text("1 case waits for your decision")).to_be_visible()
    await page.keyboard.press("d")
    decide = page.get_by_role("region", name="Decision")
    covers = decide.locator(".covers li")
    await expect(covers.locator("b")).to_have_text(_said_of(case))
    await expect(decide).to_contain_text("tool calls")
    await expect(page.get_by_role("list", name="Likely causes")).to_be_visible()
    why = decide.get_by_label("Reason")
    for _ in range(40):
        await page.keyboard.press("Tab")
        if await why.evaluate("(input) => input === document.activeElement"):
            break
    await page.keyboard.type("go on, a")
    for _ in range(3):
        await page.keyboard.press("Tab")
        if await page.evaluate("document.activeElement.textContent.includes('Approve')"):
            break
    await page.keyboard.press("Enter")
    await expect(page.get_by_text("Nothing waits for you")).to_be_visible()
    assert stage.now(case.id).state in (State.HEALING, State.PROBATION)
    approved = await _said(stage, case.id, e.Approved)
    assert (approved.who, approved.why) == ("ann", "go on, a")


def _said_of(case: Incident) -> list[str]:
    """The plan of a case as the page says it."""
    return [plain(action).capitalize() for action in case.plan]


async def test_beside_each_action_stands_its_record(stage: Stage, viewer: Viewer) -> None:
    """What it came to in earlier cases with the same cause, and with no other."""
    case = await stage.severe("researcher-2")
    stage.running = False
    assert case.diagnosis is not None
    cause, other = case.diagnosis.cause, Cause.COST_OVERRUN
    tried = [(cause, Outcome.CURED), (cause, Outcome.RELAPSED), (other, Outcome.CURED)]
    for number, (of, outcome) in enumerate(tried):
        stage.home.system.orchestrator.healer.memory.take(
            Healing(
                key=f"inc-9{number}/1",
                incident_id=f"inc-9{number}",
                agent_id="coder-9",
                agent_type="coder",
                cause=of,
                pattern="",
                action=case.plan[0],
                trigger="auto",
                ordered_at=1.0,
                applied_at=2.0,
                ended_at=3.0,
                outcome=outcome,
            )
        )
    page = await viewer.open(f"queue/{case.id}")
    covers = page.locator(".covers li")
    await expect(covers.first).to_contain_text("cured 1 of 2")
    await expect(covers.last).to_contain_text("not tried yet")


async def test_the_plan_is_shown_in_the_order_of_its_turns(stage: Stage, viewer: Viewer) -> None:
    """Actions that are left out stand apart, wherever they were on the ladder."""
    case = await stage.severe("researcher-2")
    stage.running = False
    casework = stage.home.system.orchestrator.casework
    assert case.diagnosis is not None
    first, *others = case.ladder
    passed = msgspec.structs.replace(first, skipped="it failed lately")
    moved = await casework.apply(
        case.id,
        e.Diagnosed(
            at=stage.clock.time(),
            diagnosis=case.diagnosis,
            ladder=(passed, *reversed(others)),
            asks=case.asks,
            approval_deadline_at=stage.clock.time() + 300.0,
        ),
    )
    page = await viewer.open(f"incidents/{case.id}")
    ladder = page.locator(".ladder li b")
    await expect(ladder).to_have_text(_said_of(moved))
    await expect(page.locator(".covers li b")).to_have_text(_said_of(moved))
    left = page.get_by_role("list", name="Left out")
    await expect(left).to_contain_text(f"{plain(first.action).capitalize()} left out")
    await expect(left).to_contain_text("it failed lately")
    await page.get_by_role("button", name="Approve this plan").click()
    await expect(page.locator(".stepper .now")).to_contain_text("Healing")
    assert stage.now(case.id).current == moved.plan[0]


async def test_one_key_rejects_and_the_next_case_comes(stage: Stage, viewer: Viewer) -> None:
    """j and k move, r and Enter reject; the rejected one waits in its own group."""
    first = await stage.severe("coder-1")
    second = await stage.severe("researcher-2")
    stage.running = False
    page = await viewer.open("queue")
    rows = page.locator(".queue li")
    await expect(rows).to_have_count(2)
    names = [await rows.nth(n).locator("b").first.inner_text() for n in range(2)]
    heading = page.get_by_role("heading", level=1).nth(1)
    await expect(heading).to_have_text(names[0])
    await page.keyboard.press("j")
    await expect(heading).to_have_text(names[1])
    await page.keyboard.press("k")
    await expect(heading).to_have_text(names[0])
    await page.keyboard.press("r")
    sure = page.get_by_role("dialog")
    await expect(sure).to_contain_text(f"Reject {names[0]}?")
    await page.keyboard.press("Escape")
    await expect(sure).to_have_count(0)
    assert stage.cases(State.REJECTED) == []
    await page.keyboard.press("r")
    await expect(sure.get_by_role("button", name="Reject")).to_be_focused()
    await page.keyboard.press("Enter")
    rejected = page.locator(".queue section", has_text="Rejected: fenced until you heal")
    await expect(rejected).to_contain_text(names[0])
    done = first if first.agent_id == names[0] else second
    assert stage.now(done.id).state is State.REJECTED
    await rejected.get_by_role("link").click()
    await page.get_by_role("button", name="Heal now").click()
    await expect(rejected).to_have_count(0)
    assert stage.now(done.id).state is not State.REJECTED


async def test_a_key_that_is_held_down_approves_nothing(stage: Stage, viewer: Viewer) -> None:
    """It asks once, with agent, version and plan; Enter approves that one case alone."""
    for agent in ("coder-1", "researcher-2"):
        await stage.severe(agent)
    stage.running = False
    page = await viewer.open("queue")
    await expect(page.get_by_role("button", name="Approve this plan")).to_be_enabled()
    shown = await page.get_by_role("heading", level=1).nth(1).inner_text()
    for _ in range(12):
        await page.keyboard.down("a")
    await page.keyboard.up("a")
    for _ in range(3):
        await page.keyboard.press("a")
    sure = page.get_by_role("dialog")
    (case,) = [c for c in stage.cases(State.AWAITING_APPROVAL) if c.agent_id == shown]
    await expect(sure).to_contain_text(f"Approve {shown}?")
    await expect(sure).to_contain_text(f"{case.id}, version {case.version}")
    await expect(sure).to_contain_text(", then ".join(plain(action) for action in case.plan))
    assert len(stage.cases(State.AWAITING_APPROVAL)) == 2
    for _ in range(12):
        await page.keyboard.down("Enter")
    await page.keyboard.up("Enter")
    await expect(page.get_by_text("no longer waits for a person")).to_be_visible()
    await expect(page.get_by_role("heading", level=1).nth(1)).to_have_text(shown)
    for key in ("a", "Enter", "r", "Enter"):
        await page.keyboard.press(key)
    assert len(stage.cases(State.AWAITING_APPROVAL)) == 1


async def test_a_case_that_arrives_takes_no_one_s_place(stage: Stage, viewer: Viewer) -> None:
    """The decided one stays in sight until the person moves on; the address says which it is."""
    case = await stage.severe("researcher-2")
    stage.running = False
    page = await viewer.open("queue")
    await page.get_by_role("button", name="Approve this plan").click()
    await expect(page.get_by_text("Nothing waits for you")).to_be_visible()
    arrived = await stage.severe("coder-1")
    await expect(page.get_by_role("button", name="Next case: coder-1")).to_be_visible()
    for key in ("r", "Enter", "a", "Enter"):
        await page.keyboard.press(key)
    heading = page.get_by_role("heading", level=1).nth(1)
    await expect(heading).to_have_text("researcher-2")
    assert page.url.endswith(f"#/queue/{case.id}")
    assert stage.now(arrived.id).version == arrived.version
    await page.keyboard.press("j")
    await expect(heading).to_have_text("coder-1")
    assert page.url.endswith(f"#/queue/{arrived.id}")


async def test_two_persons_decide_and_the_second_is_told(stage: Stage, viewer: Viewer) -> None:
    """Whoever was slower sees what happened meanwhile, and has decided nothing."""
    case = await stage.severe("researcher-2")
    stage.running = False
    page = await viewer.open(f"incidents/{case.id}")
    approve = page.get_by_role("button", name="Approve this plan")
    await expect(approve).to_be_enabled()
    # the other one is quicker by less than the stream takes
    await page.route("**/api/incidents/*/approve", _after_bob(stage, case.id, case.version))
    await approve.click()
    decision = page.get_by_role("region", name="Decision")
    await expect(decision.get_by_role("alert").last).to_contain_text("is at version")
    conflict = decision.locator(".conflict")
    await expect(conflict).to_contain_text("This case has moved on since you read it")
    await expect(conflict).to_contain_text("Rejected by bob")
    await expect(conflict).to_contain_text("“not now”")
    assert stage.now(case.id).state is State.REJECTED
    heal = page.get_by_role("button", name="Heal now")
    await expect(heal).to_be_disabled()
    await page.get_by_role("button", name="I have read it").click()
    await expect(heal).to_be_enabled()


def _after_bob(stage: Stage, incident_id: str, version: int) -> Callable[[Route], Awaitable[None]]:
    """Bob rejects, just before the order goes through."""

    async def handle(route: Route) -> None:
        seen = Decision(incident_id, version)
        await stage.home.system.desk.reject(seen, who="bob", why="not now")
        await route.continue_()

    return handle


async def test_what_moves_on_while_it_is_read_must_be_read_again(
    stage: Stage, viewer: Viewer
) -> None:
    """A change that the stream tells of takes the decision away until it was seen."""
    case = await stage.severe("researcher-2")
    stage.running = False
    page = await viewer.open(f"incidents/{case.id}")
    approve = page.get_by_role("button", name="Approve this plan")
    await expect(approve).to_be_enabled()
    casework = stage.home.system.orchestrator.casework
    due = stage.clock.time() + 300.0
    await casework.apply(
        case.id, e.Overdue(at=stage.clock.time(), contact=1, approval_deadline_at=due)
    )
    await stage.home.dashboard.feed.tell()
    await expect(approve).to_be_disabled()
    await expect(page.locator(".conflict")).to_contain_text("Nobody answered in time")
    await page.get_by_role("button", name="I have read it").click()
    await approve.click()
    await expect(page.locator(".stepper .now")).to_contain_text("Healing")
    assert stage.now(case.id).version > case.version


async def test_many_are_approved_after_a_list_of_what_will_happen(
    stage: Stage, viewer: Viewer
) -> None:
    """Each with its plan and version; one that was decided meanwhile is refused alone."""
    for agent in ("coder-1", "researcher-2", "support-3"):
        await stage.severe(agent)
    stage.running = False
    page = await viewer.open("queue")
    await expect(page.get_by_role("button", name="Approve this plan")).to_be_enabled()
    await page.keyboard.press("x")
    await expect(page.get_by_role("button", name="Approve selected (1)…")).to_be_visible()
    await page.keyboard.press("x")
    await page.get_by_role("button", name="Approve all (3)…").click()
    dialog = page.get_by_role("dialog")
    await expect(dialog.get_by_role("row")).to_have_count(4)
    await expect(dialog).to_contain_text("reset memory, then reduce autonomy, then clone agent")
    other = stage.cases(State.AWAITING_APPROVAL)[0]
    await stage.home.system.desk.reject(Decision(other.id, other.version), who="bob")
    await dialog.get_by_label("Reason").fill("all of them")
    await dialog.get_by_role("button", name="Approve 3 cases").click()
    await expect(dialog).to_contain_text("is at version")
    await expect(dialog.get_by_text("Approved", exact=True)).to_have_count(2)
    assert len(stage.cases(State.AWAITING_APPROVAL)) == 0
    assert stage.now(other.id).state is State.REJECTED
    await dialog.get_by_role("button", name="Close").last.click()
    await page.get_by_role("button", name="Heal all rejected (1)…").click()
    await page.get_by_role("dialog").get_by_role("button", name="Heal 1 case").click()
    await expect(page.get_by_text("Nothing waits for you")).to_be_visible()


async def test_several_are_rejected_at_once_and_one_is_let_go(stage: Stage, viewer: Viewer) -> None:
    """Rejected ones stay fenced; a verdict lets one go and says what is learned."""
    for agent in ("coder-1", "researcher-2"):
        await stage.severe(agent)
    stage.running = False
    page = await viewer.open("queue")
    await page.get_by_role("button", name="Reject all (2)…").click()
    await page.get_by_role("dialog").get_by_role("button", name="Reject 2 cases").click()
    await expect(page.get_by_role("dialog")).to_have_count(0)
    rejected = stage.cases(State.REJECTED)
    assert len(rejected) == 2
    name = await page.get_by_role("heading", level=1).nth(1).inner_text()
    await page.get_by_text(f"Release {name} with a verdict").click()
    await page.get_by_label("Fixed by hand").check()
    await page.get_by_role("button", name="Release", exact=True).click()
    await expect(page.locator(".queue li")).to_have_count(1)
    assert [c.agent_id for c in stage.cases(State.PROBATION)] == [name]


async def test_a_person_decides_on_a_phone(stage: Stage, viewer: Viewer) -> None:
    """From the list to the case and back, with the thumb."""
    await stage.severe("researcher-2")
    stage.running = False
    page = await viewer.open("queue", viewport=PHONE, has_touch=True)
    await page.get_by_role("link", name="researcher-2").tap()
    approve = page.get_by_role("button", name="Approve this plan")
    box = await approve.bounding_box()
    assert box is not None
    assert box["height"] >= 40
    foot = await page.locator(".nav").bounding_box()
    assert foot is not None
    assert box["y"] + box["height"] <= foot["y"]  # without scrolling
    await approve.tap()
    await expect(page.get_by_text("Nothing waits for you")).to_be_visible()


async def test_the_proof_of_a_cure_is_shown_as_it_grows(stage: Stage, viewer: Viewer) -> None:
    """Fresh steps and odds, live, until it is resolved."""
    page = await _on_probation(stage, viewer)
    proof = page.locator(".panel", has_text="Is it cured?")
    await expect(proof).to_contain_text("fresh step")
    before = await proof.locator("header").inner_text()
    stage.running = True
    await expect(proof.locator("header")).not_to_have_text(before)
    await expect(page.locator(".stepper .now")).to_contain_text("Resolved")
    await expect(page.locator(".timeline")).to_contain_text("Cure proved")
    await expect(page.locator(".ladder")).to_contain_text("Cured")


async def test_the_proof_waits_while_a_person_holds_the_agent(stage: Stage, viewer: Viewer) -> None:
    """It says who holds it, and that no vitals come until it is let go."""
    page = await _on_probation(stage, viewer)
    (case,) = stage.cases(State.PROBATION)
    await stage.home.system.desk.quarantine(case.agent_id, who="bob", why="wait")
    await page.reload()
    proof = page.locator(".panel", has_text="Is it cured?")
    await expect(proof).to_contain_text("Held by bob")
    await expect(proof).to_contain_text("the proof waits")


async def _on_probation(stage: Stage, viewer: Viewer) -> Page:
    stage.chaos.inject("coder-1", "tool_loop", "planner")
    await stage.until(lambda: bool(stage.cases(State.PROBATION)))
    (case,) = stage.cases(State.PROBATION)
    await stage.until(lambda: _fresh(stage, case.id) > 0)
    stage.running = False
    return await viewer.open(f"incidents/{case.id}")


def _fresh(stage: Stage, incident_id: str) -> int:
    trial = stage.home.system.views.trial(incident_id)
    return trial.fresh_steps if trial else 0
