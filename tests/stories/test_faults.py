"""What goes wrong around the system, or at the wrong moment, loses nothing."""

from __future__ import annotations

import asyncio

import msgspec
import pytest
from tests.stories.stage import Stage

from immune.casework import Casework
from immune.columns import Rows, VitalColumns, concat
from immune.errors import StoreDown, Unreachable
from immune.healing.actions import Action, ActionAnswer, Change, Treatment, TreatmentState
from immune.incidents import events as e
from immune.incidents.incident import Incident
from immune.incidents.states import FENCED, State
from immune.supervisor import TaskHealth


class Hiccup:
    """A store that fails the first event of one kind."""

    def __init__(self, casework: Casework, kind: type[e.Event]) -> None:
        self._apply = casework.apply
        self._kind = kind
        self.failed = False
        casework.apply = self.apply  # type: ignore[method-assign]

    async def apply(
        self, incident_id: str, *events: e.AnyEvent, exempt: bool = False, **rest: object
    ) -> Incident:
        if not self.failed and any(isinstance(event, self._kind) for event in events):
            self.failed = True
            raise StoreDown("busy")
        return await self._apply(incident_id, *events, exempt=exempt, **rest)  # type: ignore[arg-type]


async def _turn_on(stage: Stage, seconds: int) -> None:
    """As `Stage.play`, with tasks that may fail for a round."""
    for _ in range(seconds):
        try:
            await stage.simulation.second()
        except RuntimeError:
            continue


async def test_a_finding_outlives_a_store_that_was_down() -> None:
    """The detector says it once; it is brought to its case as soon as the store is there."""
    async with Stage() as stage:
        await stage.warm_up()
        sick = stage.agents[0]
        hiccup = Hiccup(stage.casework, e.Confirmed)
        stage.infect(sick, "full_meltdown")
        await _turn_on(stage, 40)
        assert hiccup.failed
        assert stage.state(sick) in FENCED


async def test_a_verdict_outlives_a_store_that_was_down() -> None:
    """A proof that could not be written is given again with the next steps."""
    async with Stage() as stage:
        await stage.warm_up()
        sick = stage.agents[0]
        hiccup = Hiccup(stage.casework, e.Verified)
        stage.infect(sick, "token_explosion", "bloated_context")
        await _turn_on(stage, 120)
        assert hiccup.failed
        assert stage.state(sick) is State.RESOLVED


async def test_what_rose_and_fell_within_one_batch_leaves_no_case_behind() -> None:
    """Steps that come late and together: the suspicion opens, and subsides."""
    async with Stage() as stage:
        await stage.warm_up()
        simulation, fleet = stage.simulation, stage.simulation.fleet
        stage.infect(stage.agents[0], "token_explosion")
        late = []
        for second in range(260):
            simulation.clock.advance(1.0)
            late.append(fleet.step(simulation.clock.time()))
            if second == 6:
                fleet.state.renew(0)
        await stage.system.collector.accept(concat(late))
        await stage.system.orchestrator.turn()
        assert stage.happened(stage.agents[0]) == ["opened", "subsided"]


async def test_every_baseline_is_saved_in_its_turn() -> None:
    """All agents learn all the time; none waits for the others to stop."""
    async with Stage(agents=30) as stage:
        stage.system.orchestrator.savings.checkpoint_s = 60.0
        await stage.play(140)
        saved = {row.agent_id for row in await stage.simulation.workflow.baselines()}
        assert saved == set(stage.agents)


async def test_after_a_suspended_hour_nobody_else_was_away() -> None:
    """The lid was closed for an hour: no agent was silent, no decision is overdue at once."""
    async with Stage() as stage:
        await stage.warm_up()
        sick = stage.agents[0]
        stage.infect(sick, "full_meltdown")
        assert await stage.play(60, lambda: stage.state(sick) is State.AWAITING_APPROVAL)
        told = len(stage.lines)
        stage.simulation.clock.suspend(3600.0)
        await stage.system.orchestrator.turn()
        await stage.play(50)
        assert stage.lines[told:] == []
        await stage.play(20)
        assert stage.happened(sick)[-1] == "overdue"


async def test_a_fault_is_told_again_by_the_next_process() -> None:
    """A notice of the last process does not stand for one of this."""
    async with Stage() as stage:
        for _ in range(2):
            at = stage.simulation.clock.time()
            failing = TaskHealth("absorb", failures=1, failing=True, last_failure_at=at)
            stage.system.orchestrator.supervisor.on_change(failing)
            before = len(await stage.simulation.workflow.due_effects(float("inf")))
            await stage.system.orchestrator.tick()
            assert len(await stage.simulation.workflow.due_effects(float("inf"))) == before + 1
            await stage.crash()
            stage.simulation.clock.advance(1.0)


async def test_a_full_disk_is_shown_while_it_lasts() -> None:
    """Vitals are refused, the status says by what and why; the first that is taken ends it."""
    async with Stage() as stage:
        await stage.play(5)
        simulation = stage.simulation
        append = simulation.telemetry.append

        async def full(columns: VitalColumns) -> Rows | None:
            raise StoreDown("disk is full")

        simulation.telemetry.append = full  # type: ignore[method-assign]
        for _ in range(3):
            simulation.clock.advance(1.0)
            with pytest.raises(StoreDown):
                await stage.system.collector.accept(simulation.fleet.step(simulation.clock.time()))
            await stage.system.orchestrator.turn()
        (health,) = stage.system.views.status().degraded
        assert (health.name, health.failures) == ("telemetry store", 3)
        assert health.last_error == "StoreDown: disk is full"
        simulation.telemetry.append = append  # type: ignore[method-assign]
        await stage.play(2)
        assert stage.system.views.status().degraded == []


async def test_an_agent_that_answers_late_holds_up_no_timer() -> None:
    """Its treatment is to be lifted, and the call hangs: the others' timers go on."""
    async with Stage() as stage:
        await stage.warm_up()
        agent = stage.agents[0]
        orchestrator = stage.system.orchestrator
        treatment = await _limited(stage, agent)
        answered = asyncio.Event()
        lift = stage.simulation._link.lift

        async def slow(agent_id: str, treatment: Treatment, key: str) -> ActionAnswer:
            await answered.wait()
            return await lift(agent_id, treatment, key)

        stage.simulation._link.lift = slow  # type: ignore[method-assign]
        stage.simulation.clock.advance(1.0)
        await orchestrator.tick()
        await orchestrator.relay.dispatch()
        await orchestrator.tick()
        await stage.system.desk.quarantine(stage.agents[1], who="ann", why="audit")
        await orchestrator.relay.dispatch()
        await stage.simulation.clock.sleep(0.0)
        assert stage.simulation.fleet.fenced[1]
        assert stage.casework.treatments[treatment.id].state is TreatmentState.IN_FORCE
        answered.set()
        await orchestrator.relay.round()
        assert stage.casework.treatments[treatment.id].state is TreatmentState.LIFTING


async def _limited(stage: Stage, agent_id: str) -> Treatment:
    """A healed agent whose treatment is due to be lifted."""
    stage.infect(agent_id, "tool_loop", "planner")
    assert await stage.play(200, lambda: stage.state(agent_id) is State.RESOLVED)
    await stage.play(2)
    (treatment,) = stage.casework.treatments_of(agent_id)
    now = stage.simulation.clock.time()
    due = msgspec.structs.replace(treatment, lift_at=now)
    await stage.casework.put_treatment(due)
    return due


async def test_an_agent_that_cannot_be_reached_is_lifted_later() -> None:
    """It stays limited, its row says so, and nobody else waits for it."""
    async with Stage() as stage:
        await stage.warm_up()
        agent = stage.agents[0]
        treatment = await _limited(stage, agent)
        stage.simulation._link.unreachable.add(agent)
        await stage.play(3)
        (after,) = stage.casework.treatments_of(agent)
        assert after.state is TreatmentState.IN_FORCE
        assert after.lift_at is not None
        assert treatment.lift_at is not None
        assert after.lift_at > treatment.lift_at


async def test_a_new_case_opens_though_the_old_treatment_cannot_be_ordered_again() -> None:
    """Ill again while it was being lifted, and out of reach: the case is opened all the same."""
    async with Stage() as stage:
        await stage.warm_up()
        agent = stage.agents[0]
        await _limited(stage, agent)
        await stage.play(2)
        (treatment,) = stage.casework.treatments_of(agent)
        assert treatment.state is TreatmentState.LIFTING

        async def lost(agent_id: str, action: Action, key: str) -> ActionAnswer:
            raise Unreachable("off line")

        stage.simulation._link.apply = lost  # type: ignore[method-assign]
        stage.infect(agent, "full_meltdown")
        await stage.play(20)
        assert stage.state(agent) in FENCED
        assert stage.casework.treatments_of(agent) == []


async def test_a_treatment_is_not_lifted_the_moment_a_later_case_ends() -> None:
    """Well for long enough means since the last case, not since the first."""
    async with Stage() as stage:
        await stage.warm_up()
        agent = stage.agents[0]
        now = stage.simulation.clock.time()
        stage.infect(agent, "token_explosion", "bloated_context")
        assert await stage.play(60, lambda: stage.state(agent) is State.SUSPECTED)
        change = Change("autonomy", "1.0", "0.7")
        await stage.casework.put_treatment(
            Treatment("inc-0/1", agent, "inc-0", Action.REDUCE_AUTONOMY, (change,), now, now + 1.0)
        )
        assert await stage.play(200, lambda: stage.state(agent) is State.RESOLVED)
        (treatment,) = stage.casework.treatments_of(agent)
        assert treatment.state is TreatmentState.IN_FORCE
