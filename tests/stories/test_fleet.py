"""What many agents share is one fleet incident, and nobody is fenced for it."""

from __future__ import annotations

import pytest
from tests.stories.stage import Stage

from immune.desk import Decision
from immune.incidents import events as e
from immune.incidents.states import State


async def test_an_outage_is_one_incident_and_fences_nobody() -> None:
    """A provider fails: one case, its agents left alone, and an end when it is over."""
    async with Stage(agents=30, seed=2) as stage:
        await stage.warm_up()
        stage.infect(stage.agents[0], "provider_outage")
        assert await stage.play(60, lambda: bool(stage.fleet_cases()))
        most = 0
        for _ in range(900):
            await stage.simulation.second()
            most = max(most, len(stage.fenced()))
        (case,) = stage.fleet_cases()
        assert case.subject.kind == "outage"
        assert most == 0
        assert case.state is State.DISMISSED
        assert case.verdict == "subsided"


async def test_a_sick_agent_inside_an_outage_is_still_found() -> None:
    """Its sickness is another one: it is fenced, the others are not."""
    async with Stage(agents=30, seed=2) as stage:
        await stage.warm_up()
        sick = stage.agents[0]
        stage.infect(sick, "provider_outage")
        await stage.play(20)
        stage.infect(sick, "tool_loop")
        await stage.play(60)
        assert "confirmed" in stage.happened(sick)
        others = {case.subject.name for _, case in stage.lines if case.confirmed} - {sick}
        assert others == set()


async def test_a_release_is_one_incident_and_none_after_its_acceptance() -> None:
    """A new prompt on a whole type: one case; accepted, it is the new normal."""
    async with Stage(agents=30, seed=4) as stage:
        await stage.warm_up()
        stage.infect(stage.agents[0], "release")
        assert await stage.play(90, lambda: bool(stage.fleet_cases()))
        await stage.play(20)
        (case,) = stage.fleet_cases()
        assert case.subject.kind == "release"
        await stage.system.desk.release(
            Decision(case.id, case.version), who="ann", verdict=e.Verdict.NEW_NORMAL
        )
        told = len(stage.lines)
        await stage.play(600)
        assert stage.lines[told:] == []
        assert stage.fenced() == frozenset()


@pytest.mark.parametrize("verdict", list(e.Verdict))
async def test_a_fleet_incident_outlives_a_restart(verdict: e.Verdict) -> None:
    """Found before, still open after, and closed by a person with any verdict."""
    async with Stage(agents=30, seed=2) as stage:
        await stage.warm_up()
        stage.infect(stage.agents[0], "provider_outage")
        assert await stage.play(60, lambda: bool(stage.fleet_cases()))
        await stage.play(5)
        await stage.crash()
        await stage.play(20)
        (case,) = stage.fleet_cases()
        assert case.is_open
        assert stage.fenced() == frozenset()
        await stage.system.desk.release(Decision(case.id, case.version), who="ann", verdict=verdict)
        assert not stage.casework.open_about(case.subject)
