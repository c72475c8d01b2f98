"""A restart in any state: fences stand, decisions hold, probation goes on where it was."""

from __future__ import annotations

import pytest
from tests.stories.stage import Stage

from immune.desk import Decision
from immune.diagnosis.causes import Cause
from immune.incidents.states import FENCED, State
from immune.modes import Mode

HOW = {
    State.SUSPECTED: "token_explosion",
    State.AWAITING_APPROVAL: "full_meltdown",
    State.PROBATION: "token_explosion",
    State.RESOLVED: "token_explosion",
}


@pytest.mark.parametrize("state", list(HOW))
async def test_a_case_goes_on_where_it_was(state: State) -> None:
    """Killed here, the next process finds it, keeps the fence, and brings it to its end."""
    async with Stage() as stage:
        await stage.warm_up()
        sick = stage.agents[0]
        stage.infect(sick, HOW[state])
        assert await stage.play(300, lambda: stage.state(sick) is state)
        before, fenced = stage.case(sick), stage.fenced()
        await stage.crash()
        assert stage.fenced() == fenced
        assert (sick in fenced) == (state in FENCED)
        assert await stage.simulation.workflow.incident("inc-1") == before
        await stage.play(30)
        if state is State.AWAITING_APPROVAL:
            case = stage.open_case(sick)
            assert case == before
            await stage.system.desk.approve(Decision(case.id, case.version), who="ann")
        assert await stage.play(600, lambda: stage.state(sick) is State.RESOLVED)
        assert not stage.simulation.chaos.truth.is_sick(sick)


async def test_a_rejection_holds_across_a_restart() -> None:
    """A no is a no, whoever runs."""
    async with Stage() as stage:
        await stage.warm_up()
        sick = stage.agents[0]
        stage.infect(sick, "full_meltdown")
        assert await stage.play(60, lambda: stage.state(sick) is State.AWAITING_APPROVAL)
        case = stage.open_case(sick)
        await stage.system.desk.reject(Decision(case.id, case.version), who="ann")
        await stage.crash()
        await stage.play(200)
        assert stage.state(sick) is State.REJECTED
        assert sick in stage.fenced()


async def test_what_was_learned_is_there_after_a_restart() -> None:
    """A new process watches at once, with the baselines of the old one, and raises no alarm."""
    async with Stage() as stage:
        await stage.warm_up()
        await stage.crash()
        await stage.play(60)
        assert stage.lines == []
        sick = stage.agents[3]
        stage.infect(sick, "latency_spike")
        assert await stage.play(30, lambda: stage.state(sick) not in (None, State.SUSPECTED))


async def test_modes_and_holds_outlive_the_process() -> None:
    """What people set stays set."""
    async with Stage() as stage:
        await stage.play(30)
        desk = stage.system.desk
        await desk.set_mode(Mode.ASK)
        await desk.set_mode(Mode.OBSERVE, agent_id=stage.agents[1])
        await desk.quarantine(stage.agents[2], who="ann", why="audit")
        await stage.crash()
        modes = stage.system.orchestrator.modes
        assert modes.everywhere is Mode.ASK
        assert modes.of(stage.agents[1], "coder") is Mode.OBSERVE
        assert stage.fenced() == frozenset({stage.agents[2]})


async def test_a_label_outlives_the_process() -> None:
    """What an operator said of a cause is not asked again."""
    async with Stage() as stage:
        await stage.warm_up()
        sick = stage.agents[0]
        stage.infect(sick, "full_meltdown")
        assert await stage.play(60, lambda: stage.state(sick) is State.AWAITING_APPROVAL)
        case = stage.open_case(sick)
        seen = Decision(case.id, case.version)
        await stage.system.desk.approve(seen, who="ann", cause=Cause.PROMPT_INJECTION)
        labels = stage.system.orchestrator.diagnostician.save()
        await stage.crash()
        assert stage.system.orchestrator.diagnostician.save() == labels != b"{}"


async def test_a_fence_is_ordered_again_by_the_next_process() -> None:
    """Who enforces it may have forgotten it: the agent is refused all the same."""
    async with Stage() as stage:
        await stage.warm_up()
        agent = stage.agents[0]
        await stage.system.desk.quarantine(agent, who="ann", why="audit")
        await stage.play(1)
        stage.simulation.fleet.fence(agent, False)
        await stage.crash()
        await stage.play(1)
        assert stage.simulation.fleet.fenced[stage.simulation.fleet.place(agent)]


async def test_a_watched_case_still_ends_by_itself_after_a_restart() -> None:
    """Sick before, well after: the new process sees it subside, and learns again."""
    async with Stage(mode=Mode.OBSERVE) as stage:
        await stage.warm_up()
        sick = stage.agents[0]
        stage.infect(sick, "latency_spike")
        assert await stage.play(60, lambda: stage.state(sick) is State.OBSERVED)
        await stage.crash()
        # the world mends by itself, whatever was broken
        assert await stage.play(2400, lambda: stage.state(sick) is State.DISMISSED)
        assert not stage.system.orchestrator.learner.frozen(sick)


async def test_a_hold_can_be_lifted_after_a_crash_that_nothing_preceded() -> None:
    """Held, and killed before anything else was saved: the next process knows the agent."""
    async with Stage() as stage:
        await stage.play(5)
        held = stage.agents[2]
        await stage.system.desk.quarantine(held, who="ann", why="audit")
        await stage.simulation.restart()
        await stage.play(5)
        assert stage.fenced() == frozenset({held})
        await stage.system.desk.release_hold(held, who="ann")
        assert stage.fenced() == frozenset()


async def test_the_timers_run_before_the_first_vital() -> None:
    """A large fleet known from before, and nobody has stepped yet: no task fails."""
    async with Stage(agents=80) as stage:
        await stage.play(20)
        await stage.crash()
        for _ in range(5):
            stage.simulation.clock.advance(1.0)
            await stage.system.orchestrator.turn()
        assert stage.system.orchestrator.supervisor.degraded == []
