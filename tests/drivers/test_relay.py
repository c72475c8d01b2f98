"""The outbox: after the commit, at least once, and nothing lost on the way."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager

import msgspec
from tests.incidents.cases import diagnosed, finding, incident

from immune.casework import Casework
from immune.clock import ManualClock
from immune.columns import Names, from_vitals
from immune.detection import BaselineLearner, DetectionParams, Sentinel
from immune.errands import Errands
from immune.errors import ActionFailed, StoreDown, Transient, Unreachable
from immune.healing.actions import Action, ActionAnswer, Change, Treatment, TreatmentState
from immune.healing.params import TrialParams
from immune.healing.trial import Verdict
from immune.incidents import effects as fx
from immune.incidents import events as e
from immune.incidents.incident import Incident
from immune.incidents.states import State
from immune.liftings import Liftings
from immune.notices import Notices
from immune.ports import Notifier, Unit
from immune.probations import Probations
from immune.quarantine import BrakeParams, QuarantineController
from immune.relay import GIVE_UP_AFTER, LANES, OutboxRelay
from immune.settings import CaseSettings, OutboxSettings
from immune.supervisor import Supervisor
from immune.testing import MemoryTelemetry, MemoryWorkflow, RecordingNotifier, ScriptedLink
from immune.testing.link import LinkCall
from immune.vitals import Vital


class Office:
    """A relay on fakes, with one incident to work on."""

    def __init__(self, workflow: MemoryWorkflow | None = None) -> None:
        self.clock = ManualClock()
        self.workflow = workflow or MemoryWorkflow("r")
        self.link = ScriptedLink(self.clock)
        self.told = RecordingNotifier()
        self.notifier: Notifier = self.told
        self.supervisor = Supervisor(self.clock)
        self.casework = Casework(
            self.workflow, QuarantineController(BrakeParams()), self.clock, self.supervisor
        )
        self.names, params = Names(), DetectionParams()
        self.learner = BaselineLearner(params, self.names)
        self.sentinel = Sentinel(self.learner, params, self.names)
        self.open()

    def open(self) -> None:
        """Take up work, with whatever link and notifier are there now."""
        cases, outbox = CaseSettings(), OutboxSettings()
        probations = Probations(
            casework=self.casework,
            learner=self.learner,
            telemetry=MemoryTelemetry(self.names),
            workflow=self.workflow,
            names=self.names,
            clock=self.clock,
            cases=cases,
            params=TrialParams(),
            companions=lambda agent_id: (),
        )
        self.liftings = Liftings(
            casework=self.casework,
            probations=probations,
            learner=self.learner,
            link=self.link,
            cases=cases,
        )
        self.relay = OutboxRelay(
            workflow=self.workflow,
            casework=self.casework,
            errands=Errands(
                casework=self.casework,
                liftings=self.liftings,
                learner=self.learner,
                sentinel=self.sentinel,
                link=self.link,
                clock=self.clock,
                cases=cases,
                outbox=outbox,
                applied=lambda incident: None,
                keep=self.keep,
            ),
            notices=Notices(self.notifier, self.clock, outbox.notices_a_minute),
            supervisor=self.supervisor,
            clock=self.clock,
            params=outbox,
        )

    async def keep(self, agent_ids: Sequence[str]) -> None:
        """Nothing that is learned here is needed again."""

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
        return [str(notice.topic) for notice in self.told.notices]


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


RELEASED = e.Released(at=1.0, who="ann", verdict=e.Verdict.FALSE_ALARM)


class SlowLink(ScriptedLink):
    """A link that takes its time: a person releases case inc-1 before it answers."""

    def __init__(self, office: Office) -> None:
        super().__init__(office.clock)
        self._casework = office.casework
        office.link = self
        office.open()

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
    office.told.fail(Transient("503"), Transient("503"))
    await office.contain()
    await office.work(seconds=20)
    assert office.topics() == ["confirmed"]


async def test_many_notices_become_a_digest() -> None:
    """Five single messages a minute; the rest comes in one."""
    office = Office()
    for number in range(1, 13):
        await office.contain(number)
    await office.work(seconds=70)
    sizes = [len(message) for message in office.told.messages]
    assert sizes == [1, 1, 1, 1, 1, 7]


async def test_a_broken_wish_holds_up_no_other() -> None:
    """An unexpected fault is loud, and what stands behind it is carried out all the same."""
    office = Office()

    class Broken(ScriptedLink):
        async def fence(self, agent_id: str, refused: bool, key: str) -> bool:
            raise RuntimeError("a bug")

    office.link = Broken(office.clock)
    office.open()
    await office.casework.wish(
        fx.PushFence(key="x/push", agent_id="a9"),
        fx.Notify(
            key="x/note", agent_id="a9", topic=fx.Topic.FLEET, incident_id="inc-9", text="hello"
        ),
    )
    await office.work()
    assert office.topics() == ["fleet"]
    (health,) = office.supervisor.degraded
    assert (health.name, health.last_error) == ("link", "RuntimeError: a bug")


async def test_effects_left_by_a_crash_are_carried_out_by_the_next_process() -> None:
    """Written with the event, they wait in the store."""
    office = Office()
    await office.contain()
    later = Office(office.workflow)
    await later.casework.load()
    await later.relay.load()
    await later.work()
    assert [call.verb for call in later.link.done] == ["fence", "apply", "fence"]
    assert later.casework.get("inc-1").state is State.PROBATION


class LateNews(MemoryWorkflow):
    """A store that others can read from before whoever wrote hears that it is written."""

    @asynccontextmanager
    async def unit(self) -> AsyncIterator[Unit]:
        async with super().unit() as unit:
            yield unit
        await breathe()


async def test_a_wish_that_is_read_before_its_writer_hears_of_it_is_carried_out() -> None:
    """The fence is pushed as it was ordered, and the action is not taken for unwanted."""
    office = Office(LateNews("r"))
    ordering = asyncio.create_task(office.contain())
    while not ordering.done():
        await office.relay.round()
        await office.clock.sleep(0.0)
    await office.work()
    calls = [(call.verb, call.what) for call in office.link.calls]
    assert calls == [("fence", True), ("apply", Action.REDUCE_AUTONOMY), ("fence", False)]
    assert office.casework.get("inc-1").state is State.PROBATION


class Forgetful(MemoryWorkflow):
    """A store whose process dies before it can note that an action was carried out."""

    async def effect_done(self, key: str, at: float) -> None:
        if key == "inc-1/1":
            raise StoreDown("nobody is there any more")
        await super().effect_done(key, at)


async def test_an_action_that_was_acknowledged_is_not_asked_for_again() -> None:
    """Its answer was written; that the wish was met was not."""
    office = Office(Forgetful("r"))
    await office.contain()
    await office.work()
    later = Office(office.workflow)
    await later.casework.load()
    assert later.casework.get("inc-1").state is State.PROBATION
    await later.relay.load()
    await later.work()
    assert [call for call in later.link.calls if call.verb == "apply"] == []


async def test_a_trial_that_a_restart_began_anew_may_end_after_its_treatment_was_kept() -> None:
    """What is settled stays so, and nobody is told of a fault."""
    office = Office()
    kept = Treatment(
        "inc-0/1", "a1", "inc-0", Action.REDUCE_AUTONOMY, (), 1.0, 2.0, TreatmentState.KEPT, 3.0
    )
    await office.casework.put_treatment(kept)
    await office.liftings.decided(kept.id, Verdict.CURED)
    assert await office.workflow.treatments() == [kept]


class GatedLink(ScriptedLink):
    """A link on which some agents take their time."""

    def __init__(self, clock: ManualClock, *slow: str) -> None:
        super().__init__(clock)
        self.gate = asyncio.Event()
        self.slow = set(slow)
        self.under_way = 0
        self.most = 0

    async def fence(self, agent_id: str, refused: bool, key: str) -> bool:
        self.under_way += 1
        self.most = max(self.most, self.under_way)
        try:
            if agent_id in self.slow:
                await self.gate.wait()
            return await super().fence(agent_id, refused, key)
        finally:
            self.under_way -= 1


async def breathe() -> None:
    """Let every task run as far as it can."""
    for _ in range(200):
        await ManualClock().sleep(0.0)


async def test_a_slow_agent_holds_up_no_others_fence() -> None:
    """The first does not answer; the others are fenced and healed meanwhile."""
    office = Office()
    link = office.link = GatedLink(office.clock, "a1")
    office.open()
    for number in range(1, 6):
        await office.contain(number)
    await office.relay.dispatch()
    await breathe()
    # what the answers led to, and a case that is new, goes out as well
    await office.contain(6)
    await office.relay.dispatch()
    await breathe()
    states = [office.casework.get(f"inc-{n}").state for n in range(1, 7)]
    assert states == [State.HEALING, *[State.PROBATION] * 5]
    assert [call for call in link.calls if call.agent_id == "a1"] == []
    link.gate.set()
    await office.work()
    assert office.casework.get("inc-1").state is State.PROBATION


async def test_one_agents_wishes_are_carried_out_in_their_order() -> None:
    """While the first waits, the next ones of the same agent do too."""
    office = Office()
    link = office.link = GatedLink(office.clock, "a1")
    office.open()
    await office.contain()
    await office.relay.dispatch()
    await breathe()
    await office.casework.push_fence("a1", "again")
    await office.relay.dispatch()
    await breathe()
    assert link.under_way == 1
    link.gate.set()
    await office.work()
    assert [call.verb for call in link.calls] == ["fence", "apply", "fence", "fence"]


async def test_only_so_many_agents_are_called_at_once() -> None:
    """A hundred fences after an outage of the network do not open a hundred connections."""
    office = Office()
    agents = [f"a{n}" for n in range(100)]
    link = office.link = GatedLink(office.clock, *agents)
    office.open()
    for agent in agents:
        await office.casework.push_fence(agent, f"start/{agent}")
    await office.relay.dispatch()
    await breathe()
    assert link.under_way == LANES
    link.gate.set()
    await office.work()
    assert (link.most, len(link.done)) == (LANES, 100)


class BrokenNotifier:
    """Somebody else's code, with a bug that is mended one day."""

    def __init__(self) -> None:
        self.mended = False
        self.calls = 0

    async def send(self, notices: Sequence[fx.Notify]) -> None:
        self.calls += 1
        if not self.mended:
            raise KeyError("channel")


async def test_a_notifiers_bug_holds_up_nothing_and_is_shown_until_it_is_mended() -> None:
    """Fences and actions go on; the notice is tried again, later each time."""
    office = Office()
    broken = BrokenNotifier()
    office.notifier = broken
    office.open()
    await office.contain()
    await office.work(seconds=15)
    assert office.casework.get("inc-1").state is State.PROBATION
    assert broken.calls == 4  # at 0, 2, 6 and 14 s
    (health,) = office.supervisor.degraded
    assert (health.name, health.failures, health.last_error) == (
        "notifier",
        4,
        "KeyError: 'channel'",
    )
    broken.mended = True
    await office.work(seconds=20)
    assert office.supervisor.degraded == []
    assert await office.workflow.due_effects(float("inf")) == []


async def test_a_notice_that_only_meets_bugs_is_given_up_in_the_end() -> None:
    """It is logged, and does not stay in the outbox for ever."""
    office = Office()
    broken = BrokenNotifier()
    office.notifier = broken
    office.open()
    await office.contain()
    await office.work(seconds=1500)
    assert broken.calls == GIVE_UP_AFTER
    assert await office.workflow.due_effects(float("inf")) == []
    assert office.supervisor.degraded == []


class BuggyLink(ScriptedLink):
    """A link whose calls fail in a way that nobody has thought of."""

    async def apply(self, agent_id: str, action: Action, key: str) -> ActionAnswer:
        raise ValueError("no such field")

    async def fence(self, agent_id: str, refused: bool, key: str) -> bool:
        self.calls.append(LinkCall("fence", agent_id, refused, key))
        raise ValueError("no such field")


async def test_an_action_that_only_meets_bugs_failed_and_its_fence_is_never_given_up() -> None:
    """The next rung is ordered, at last a person is called; the fence is pushed as ever."""
    office = Office()
    link = office.link = BuggyLink(office.clock)
    office.open()
    await office.contain()
    await office.work(seconds=5000)
    assert office.casework.get("inc-1").state is State.AWAITING_APPROVAL
    (row,) = await office.workflow.due_effects(float("inf"))
    assert isinstance(row.effect, fx.PushFence)
    assert len(link.calls) > GIVE_UP_AFTER
    assert [health.name for health in office.supervisor.degraded] == ["link"]


class FullWorkflow(MemoryWorkflow):
    """A store whose disk is full for a while."""

    def __init__(self) -> None:
        super().__init__("r")
        self.full = False

    async def effect_done(self, key: str, at: float) -> None:
        if self.full:
            raise StoreDown("disk is full")
        await super().effect_done(key, at)


async def test_what_could_not_be_noted_is_carried_out_again() -> None:
    """At least once: with the same key, after a pause, and shown meanwhile."""
    office = Office(workflow := FullWorkflow())
    workflow.full = True
    await office.casework.push_fence("a1", "x")
    await office.work(seconds=3)
    assert [health.name for health in office.supervisor.degraded] == ["outbox"]
    workflow.full = False
    await office.work(seconds=3)
    assert {call.key for call in office.link.calls} == {"x/push"}
    assert office.supervisor.degraded == []
    assert await workflow.due_effects(float("inf")) == []
