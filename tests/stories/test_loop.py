"""The loop's promises, each as a story of the whole system in virtual time."""

from __future__ import annotations

import pytest
from tests.stories.stage import Stage

from immune.chaos import NoisyTruth
from immune.desk import Decision
from immune.healing.actions import Outcome, TreatmentState
from immune.incidents import events as e
from immune.incidents.states import State
from immune.modes import Mode
from immune.run.simulate import SimulateOptions, Simulation


async def test_an_infected_agent_is_fenced_healed_proved_and_let_go() -> None:
    """From infection to release, with nobody asked and every step on record."""
    async with Stage() as stage:
        await stage.warm_up()
        sick = stage.agents[0]
        stage.infect(sick, "token_explosion", "bloated_context")
        assert await stage.play(240, lambda: stage.state(sick) is State.RESOLVED)
        assert sick not in stage.fenced()
        told = stage.happened(sick)
        assert told[0] == "opened"
        assert told[-1] == "verified"
        assert "confirmed" in told
        assert "applied" in told
        (verified,) = [line.event for line, _ in stage.lines if isinstance(line.event, e.Verified)]
        assert verified.fresh_steps >= 5
        assert not stage.simulation.chaos.truth.is_sick(sick)


async def test_a_fenced_agent_is_really_refused() -> None:
    """While the fence stands, no step of the agent comes through."""
    async with Stage(operator="absent") as stage:
        await stage.warm_up()
        sick = stage.agents[0]
        stage.infect(sick, "full_meltdown")
        assert await stage.play(60, lambda: stage.state(sick) is State.AWAITING_APPROVAL)
        refused = stage.simulation.fleet.steps_refused
        code = stage.simulation.names.agents.code(sick)
        before = stage.system.collector.row(code).last_seen_at
        await stage.play(30)
        assert stage.simulation.fleet.steps_refused >= refused + 20
        assert stage.system.collector.row(code).last_seen_at == before


async def test_nobody_answering_is_never_a_decision() -> None:
    """A severe case waits, fenced, however long; the contacts are called again and again."""
    async with Stage() as stage:
        await stage.warm_up()
        sick = stage.agents[0]
        stage.infect(sick, "full_meltdown")
        assert await stage.play(60, lambda: stage.state(sick) is State.AWAITING_APPROVAL)
        await stage.play(2000)
        assert stage.state(sick) is State.AWAITING_APPROVAL
        assert sick in stage.fenced()
        assert stage.happened(sick).count("overdue") == 2
        assert "applied" not in stage.happened(sick)


async def test_a_no_keeps_the_fence_until_heal_now() -> None:
    """Rejected: fenced and untouched; heal now: healed and proved like any other."""
    async with Stage() as stage:
        await stage.warm_up()
        sick = stage.agents[0]
        stage.infect(sick, "full_meltdown")
        assert await stage.play(60, lambda: stage.state(sick) is State.AWAITING_APPROVAL)
        case = stage.open_case(sick)
        await stage.system.desk.reject(Decision(case.id, case.version), who="ann")
        await stage.play(600)
        assert stage.state(sick) is State.REJECTED
        assert "applied" not in stage.happened(sick)
        case = stage.open_case(sick)
        await stage.system.desk.heal_now(Decision(case.id, case.version), who="ann")
        assert await stage.play(1500, lambda: stage.state(sick) is State.RESOLVED)


async def test_what_relapses_is_fenced_again_and_remembered() -> None:
    """A wrong first rung is found out on fresh vitals; the next one cures, memory knows both."""
    async with Stage() as stage:
        await stage.warm_up()
        sick = stage.agents[0]
        stage.infect(sick, "token_explosion", "verbose_setting")
        assert await stage.play(400, lambda: stage.state(sick) is State.RESOLVED)
        assert "relapsed" in stage.happened(sick)
        rows = await stage.simulation.workflow.healings(agent_id=sick)
        outcomes = [row.outcome for row in reversed(rows)]
        assert outcomes[0] is Outcome.RELAPSED
        assert outcomes[-1] is Outcome.CURED
        tried = stage.system.orchestrator.healer.memory.tried(sick)
        assert len(tried) == len(rows)


async def test_in_mode_observe_nothing_is_done_and_everything_is_told() -> None:
    """Observe: the case is confirmed and watched; no fence, no action."""
    async with Stage(mode=Mode.OBSERVE) as stage:
        await stage.warm_up()
        sick = stage.agents[0]
        stage.infect(sick, "latency_spike")
        assert await stage.play(60, lambda: stage.state(sick) is State.OBSERVED)
        await stage.play(60)
        assert stage.fenced() == frozenset()
        assert "applied" not in stage.happened(sick)
        status = stage.system.views.status()
        assert status.would_have.quarantined == 1


async def test_in_mode_ask_the_fence_stands_and_a_person_decides() -> None:
    """Ask: even a mild case waits for a yes."""
    async with Stage(mode=Mode.ASK) as stage:
        await stage.warm_up()
        sick = stage.agents[0]
        stage.infect(sick, "latency_spike")
        assert await stage.play(60, lambda: stage.state(sick) is State.AWAITING_APPROVAL)
        assert sick in stage.fenced()


async def test_the_default_brake_holds() -> None:
    """Eight of fifteen agents sick at once: five are fenced, the rest wait, a person is told."""
    async with Stage(default_brake=True, mode=Mode.ASK) as stage:
        await stage.warm_up()
        kinds = ["full_meltdown", "tool_loop", "token_explosion", "latency_spike"]
        sick = stage.agents[:8]
        for agent, infection in zip(sick, kinds * 2, strict=True):
            stage.infect(agent, infection)
        await stage.play(60)
        assert len(stage.fenced()) == 5
        held = [agent for agent in sick if agent not in stage.fenced()]
        assert [stage.state(agent) for agent in held] == [State.SUSPECTED] * 3
        assert [case.subject.kind for case in stage.fleet_cases()] == ["brake"]
        # a slot frees: the most severe of those held back goes first
        worst = max(held, key=lambda agent: stage.open_case(agent).severity)
        freed = stage.open_case(next(iter(stage.fenced())))
        await stage.system.desk.release(
            Decision(freed.id, freed.version), who="ann", verdict=e.Verdict.FALSE_ALARM
        )
        await stage.play(2)
        assert stage.state(worst) is State.AWAITING_APPROVAL
        assert len(stage.fenced()) == 5


async def test_a_silent_agent_is_suspected_and_never_fenced() -> None:
    """No steps and no goodbye: it is watched and told, its calls are not refused."""
    async with Stage() as stage:
        await stage.warm_up()
        quiet = stage.agents[0]
        stage.infect(quiet, "silent")
        assert await stage.play(120, lambda: stage.state(quiet) is State.OBSERVED)
        await stage.play(60)
        assert quiet not in stage.fenced()


async def test_a_treatment_is_lifted_after_the_agent_stayed_well() -> None:
    """Half an hour after the cure the tools come back, exactly as they were, and on probation."""
    async with Stage() as stage:
        await stage.warm_up()
        sick = stage.agents[0]
        state = stage.simulation.fleet.state
        place = stage.simulation.fleet.place(sick)
        before = state.allowed[place].copy()
        stage.infect(sick, "latency_spike", "slow_tool")
        assert await stage.play(300, lambda: stage.state(sick) is State.RESOLVED)
        treatments = await stage.simulation.workflow.treatments(open_only=False)
        if not treatments:
            pytest.skip("healed without a limiting treatment with this seed")
        assert (state.allowed[place] != before).any()
        assert await stage.play(
            2400,
            lambda: any(
                t.state is TreatmentState.LIFTING for t in stage.casework.treatments.values()
            ),
        )
        assert (state.allowed[place] == before).all()


async def test_a_persons_hold_is_never_lifted_by_the_system() -> None:
    """A hold stands beside the system's own fence and outlives it."""
    async with Stage() as stage:
        await stage.warm_up()
        held = stage.agents[0]
        await stage.system.desk.quarantine(held, who="ann", why="audit")
        await stage.play(120)
        assert held in stage.fenced()
        with_hold = await stage.simulation.workflow.fences()
        assert [fence.enforced_at is not None for fence in with_hold] == [True]
        await stage.system.desk.release_hold(held, who="ann")
        await stage.play(3)
        assert stage.fenced() == frozenset()


def test_nothing_but_the_scoreboard_reads_the_truth() -> None:
    """With the truth replaced by noise the run is the same, event for event."""
    import asyncio

    def events(noisy: bool) -> list[object]:
        options = SimulateOptions(seconds=700, warmup_s=300, seed=11)
        simulation = Simulation(options, NoisyTruth if noisy else lambda truth: truth)
        asyncio.run(simulation.run())
        return list(simulation.events)

    honest, blind = events(False), events(True)
    assert len(honest) > 50
    assert honest == blind
