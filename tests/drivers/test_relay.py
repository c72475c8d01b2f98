"""The outbox: after the commit, at least once, and nothing lost on the way."""

from __future__ import annotations

import msgspec
import pytest
from tests.incidents.cases import diagnosed, finding, incident

from immune.casework import Casework
from immune.clock import ManualClock
from immune.columns import Names, from_vitals
from immune.detection import BaselineLearner, DetectionParams, Sentinel
from immune.errors import ActionFailed, Transient, Unreachable
from immune.healing.actions import Action, ActionAnswer, Change
from immune.incidents import effects as fx
from immune.incidents import events as e
from immune.incidents.incident import Incident
from immune.incidents.states import State
from immune.quarantine import BrakeParams, QuarantineController
from immune.relay import OutboxRelay
from immune.settings import CaseSettings, OutboxSettings
from immune.testing import MemoryWorkflow, RecordingNotifier, ScriptedLink
from immune.vitals import Vital


class Office:
    """A relay on fakes, with one incident to work on."""

    def __init__(self) -> None:
        self.clock = ManualClock()
        self.workflow = MemoryWorkflow("r")
        self.link = ScriptedLink(self.clock)
        self.notifier = RecordingNotifier()
        quarantine = QuarantineController(BrakeParams())
        self.casework = Casework(self.workflow, quarantine, self.clock)
        self.names, params = Names(), DetectionParams()
        self.learner = BaselineLearner(params, self.names)
        self.relay = OutboxRelay(
            workflow=self.workflow,
            casework=self.casework,
            learner=self.learner,
            sentinel=Sentinel(self.learner, params, self.names),
            link=self.link,
            notifier=self.notifier,
            clock=self.clock,
            cases=CaseSettings(),
            outbox=OutboxSettings(),
        )

    async def contain(self, number: int = 1) -> Incident:
        """A new case of agent a1, a2 … is confirmed, fenced and to be healed."""
        agent = f"a{number}"
        now = self.clock.time()
        found = msgspec.structs.replace(finding(), agent_id=agent, at=now)
        case = msgspec.structs.replace(
            incident(),
            id=f"inc-{number}",
            subject=msgspec.structs.replace(incident().subject, name=agent),
            version=1,
            confirmed=False,
        )
        await self.casework.open(case, e.Opened(at=now, finding=found))
        return await self.casework.apply(
            case.id, e.Confirmed(at=now, finding=found, enforce=True), diagnosed(at=now)
        )

    async def work(self, seconds: int = 0) -> None:
        """Carry out what is due, second by second."""
        await self.relay.round()
        for _ in range(seconds):
            self.clock.advance(1.0)
            if self.relay.due():
                await self.relay.round()

    def topics(self) -> list[str]:
        return [str(notice.topic) for message in self.notifier.messages for notice in message]


async def test_the_fence_is_pushed_and_confirmed_before_the_action() -> None:
    """Refused first, healed then; the row says since when it is enforced."""
    office = Office()
    case = await office.contain()
    await office.work()
    verbs = [call.verb for call in office.link.done]
    assert verbs[:2] == ["fence", "apply"]
    assert office.casework.get(case.id).state is State.PROBATION
    (fence,) = await office.workflow.fences(standing_only=False)
    assert fence.enforced_at is not None
    assert fence.lifted_at is not None
    assert office.link.refused == set()


async def test_a_fence_that_nobody_enforces_stays_unconfirmed() -> None:
    """Ordered is not enforced."""
    office = Office()
    office.link.enforces = False
    office.link.script("a1", Action.REDUCE_AUTONOMY, ActionFailed("no"))
    office.link.script("a1", Action.RESET_MEMORY, ActionFailed("no"))
    await office.contain()
    await office.work()
    (fence,) = await office.workflow.fences()
    assert fence.enforced_at is None


async def test_a_failed_rung_leads_to_the_next() -> None:
    """The agent answered and could not: the next rung is ordered."""
    office = Office()
    office.link.script("a1", Action.REDUCE_AUTONOMY, ActionFailed("read-only"))
    case = await office.contain()
    await office.work()
    case = office.casework.get(case.id)
    assert (case.state, case.current) == (State.PROBATION, Action.RESET_MEMORY)


async def test_unreachable_is_tried_again_and_then_calls_a_person() -> None:
    """Not reached is not failed: the same order again, at last exhausted, fenced, and told."""
    office = Office()
    office.link.script("a1", Action.REDUCE_AUTONOMY, *[Unreachable("off line")] * 4)
    case = await office.contain()
    await office.work(seconds=60)
    assert office.casework.get(case.id).state is State.EXHAUSTED
    assert "exhausted" in office.topics()
    keys = {call.key for call in office.link.calls if call.verb == "apply"}
    assert keys == {"inc-1/1"}


async def test_reached_on_the_second_try() -> None:
    """A short absence costs a moment, no rung."""
    office = Office()
    office.link.script("a1", Action.REDUCE_AUTONOMY, Unreachable("restarting"))
    case = await office.contain()
    await office.work(seconds=10)
    assert office.casework.get(case.id).state is State.PROBATION


RELEASED = e.Released(at=1.0, who="ann", verdict=e.Verdict.FALSE_ALARM, stale_at=2.0)


class SlowLink(ScriptedLink):
    """A link that takes its time: a person releases case inc-1 before it answers."""

    def __init__(self, office: Office) -> None:
        super().__init__(office.clock)
        self._casework = office.casework
        office.relay._link = office.link = self

    async def _meanwhile(self) -> None:
        if self._casework.open_of("a1") is not None:
            await self._casework.apply("inc-1", RELEASED)


class SlowFence(SlowLink):
    async def fence(self, agent_id: str, refused: bool, key: str) -> bool:
        done = await super().fence(agent_id, refused, key)
        await self._meanwhile()
        return done


class SlowAction(SlowLink):
    async def apply(self, agent_id: str, action: Action, key: str) -> ActionAnswer:
        answer = await super().apply(agent_id, action, key)
        await self._meanwhile()
        return answer


async def test_a_fence_lifted_before_it_was_confirmed_stays_down() -> None:
    """The confirmation comes too late: it must not put the fence up again."""
    office = Office()
    link = SlowFence(office)
    await office.contain()
    await office.work()
    assert await office.workflow.fences() == []
    assert not office.casework.fences_of("a1")
    assert link.refused == set()


async def test_an_action_whose_case_is_closed_is_not_carried_out() -> None:
    """Released by a person before it went out: the agent is left alone."""
    office = Office()
    office.link.script("a1", Action.REDUCE_AUTONOMY, Unreachable("restarting"))
    case = await office.contain()
    await office.work()
    await office.casework.apply(case.id, RELEASED)
    await office.work(seconds=30)
    assert [call for call in office.link.done if call.verb == "apply"] == []


async def test_an_action_that_outlives_its_case_changes_nothing_but_is_lifted_one_day() -> None:
    """Released while it was under way: nothing opens again, and what it took is given back."""
    office = Office()
    link = SlowAction(office)
    change = Change("autonomy", "1.0", "0.5")
    link.script("a1", Action.REDUCE_AUTONOMY, ActionAnswer(office.clock.time(), (change,)))
    case = await office.contain()
    await office.work()
    stored = await office.workflow.incident(case.id)
    assert stored is not None
    assert stored.state is State.DISMISSED
    (treatment,) = await office.workflow.treatments()
    assert treatment.changes == (change,)
    assert treatment.lift_at == office.clock.time() + CaseSettings().stay_well_s


async def test_an_order_for_a_baseline_that_comes_late_spares_the_next_case() -> None:
    """Ill again before the samples of the last case were learned: they wait for the new one."""
    office = Office()
    case = await office.contain()
    await office.casework.apply(case.id, RELEASED)
    office.learner.learn(from_vitals([Vital(agent_id="a1", at=1.0, errors=0)], office.names))
    office.learner.freeze("a1", 1.0)
    again = msgspec.structs.replace(case, id="inc-2", state=State.SUSPECTED, version=1)
    await office.casework.open(again, e.Opened(at=2.0))
    await office.work()
    assert office.learner.frozen("a1")


async def test_what_limits_an_agent_is_a_row_with_what_it_had() -> None:
    """Revoked, reduced or switched: a treatment that knows the value from before."""
    office = Office()
    change = Change("autonomy", "1.0", "0.5")
    office.link.script("a1", Action.REDUCE_AUTONOMY, ActionAnswer(office.clock.time(), (change,)))
    await office.contain()
    await office.work()
    (treatment,) = await office.workflow.treatments()
    assert treatment.changes == (change,)
    assert treatment.lift_at is None
    await office.casework.apply("inc-1", e.Verified(at=office.clock.time(), fresh_steps=6))
    await office.work()
    (treatment,) = await office.workflow.treatments()
    assert treatment.lift_at == office.clock.time() + CaseSettings().stay_well_s


async def test_a_notice_that_was_not_delivered_is_sent_again() -> None:
    """A webhook that is down for a moment loses no message."""
    office = Office()
    office.notifier.fail(Transient("503"), Transient("503"))
    await office.contain()
    await office.work(seconds=20)
    assert office.topics() == ["confirmed"]


async def test_many_notices_become_a_digest() -> None:
    """Five single messages a minute; the rest comes in one."""
    office = Office()
    for number in range(1, 13):
        await office.contain(number)
    await office.work(seconds=70)
    sizes = [len(message) for message in office.notifier.messages]
    assert sizes == [1, 1, 1, 1, 1, 7]


async def test_a_broken_wish_holds_up_no_other() -> None:
    """An unexpected fault is loud, and what stands behind it is carried out all the same."""
    office = Office()

    class Broken(ScriptedLink):
        async def fence(self, agent_id: str, refused: bool, key: str) -> bool:
            raise RuntimeError("a bug")

    office.relay._link = Broken(office.clock)
    await office.casework.wish(
        fx.PushFence(key="x/push", agent_id="a9"),
        fx.Notify(
            key="x/note", agent_id="a9", topic=fx.Topic.FLEET, incident_id="inc-9", text="hello"
        ),
    )
    with pytest.raises(RuntimeError, match="a bug"):
        await office.relay.round()
    await office.work()
    assert office.topics() == ["fleet"]


async def test_effects_left_by_a_crash_are_carried_out_by_the_next_process() -> None:
    """Written with the event, they wait in the store."""
    office = Office()
    await office.contain()
    later = Office()
    later.workflow = office.workflow
    later.casework = Casework(office.workflow, QuarantineController(BrakeParams()), later.clock)
    later.relay._workflow = office.workflow
    later.relay._casework = later.casework
    await later.casework.load()
    await later.relay.load()
    await later.work()
    assert [call.verb for call in later.link.done] == ["fence", "apply", "fence"]
    assert later.casework.get("inc-1").state is State.PROBATION
