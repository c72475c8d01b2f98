"""Another sickness while the first is being healed: what is done follows what the agent has now."""

from __future__ import annotations

import pytest
from tests.stories.stage import Stage

from immune.desk import Decision
from immune.diagnosis.causes import Cause
from immune.healing.actions import Action, Outcome
from immune.healing.defaults import actions
from immune.incidents import events as e
from immune.incidents.states import State
from immune.modes import Mode


def applied(stage: Stage, agent_id: str) -> list[Action]:
    """What was done to the agent, in order."""
    return [
        line.event.action
        for line, case in stage.lines
        if case.subject.name == agent_id and isinstance(line.event, e.Applied)
    ]


@pytest.mark.parametrize("seed", [3, 4, 5])
async def test_a_second_sickness_on_probation_is_healed_by_its_own_ladder(seed: int) -> None:
    """Its tools were revoked; then its context bloats: its memory is reset, not its prompt."""
    async with Stage(seed=seed) as stage:
        await stage.warm_up()
        sick = stage.agents[0]
        stage.infect(sick, "latency_spike", "slow_tool")
        assert await stage.play(60, lambda: stage.state(sick) is State.PROBATION)
        first = stage.open_case(sick)
        assert first.diagnosis is not None
        assert first.diagnosis.cause is Cause.TOOL_INSTABILITY
        stage.infect(sick, "token_explosion", "bloated_context")
        assert await stage.play(300, lambda: stage.state(sick) is State.RESOLVED)
        case = stage.case(sick)
        assert case is not None
        assert case.id == first.id
        assert case.diagnosis is not None
        assert case.diagnosis.cause is Cause.COST_OVERRUN
        assert applied(stage, sick) == [Action.REVOKE_TOOLS, actions(Cause.COST_OVERRUN)[0]]
        assert not stage.simulation.chaos.truth.is_sick(sick)
        rows = await stage.simulation.workflow.healings(agent_id=sick)
        told = {row.action: (row.cause, row.outcome) for row in rows}
        assert told[Action.REVOKE_TOOLS][0] == "tool_instability"
        assert told[Action.RESET_MEMORY] == ("cost_overrun", Outcome.CURED)


async def test_an_approval_does_not_cover_the_plan_of_another_cause() -> None:
    """Approved for slow tools: for the bloated context a person is asked anew."""
    async with Stage(mode=Mode.ASK) as stage:
        await stage.warm_up()
        sick = stage.agents[0]
        stage.infect(sick, "latency_spike", "slow_tool")
        assert await stage.play(60, lambda: stage.state(sick) is State.AWAITING_APPROVAL)
        case = stage.open_case(sick)
        await stage.system.desk.approve(Decision(case.id, case.version), who="ann")
        assert await stage.play(10, lambda: stage.state(sick) is State.PROBATION)
        stage.infect(sick, "token_explosion", "bloated_context")
        assert await stage.play(100, lambda: stage.state(sick) is State.AWAITING_APPROVAL)
        await stage.play(60)
        assert applied(stage, sick) == [Action.REVOKE_TOOLS]
        case = stage.open_case(sick)
        assert (case.asks, case.plan[0]) == ("mode ask", Action.RESET_MEMORY)
        await stage.system.desk.approve(Decision(case.id, case.version), who="ann")
        assert await stage.play(120, lambda: stage.state(sick) is State.RESOLVED)
