"""What many agents share is one fleet incident, and nobody is fenced for it."""

from __future__ import annotations

import pytest
from tests.stories.stage import Stage

from immune.desk import Decision
from immune.healing.actions import Action
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


async def test_an_agent_whose_retries_begin_with_an_outage_is_still_found() -> None:
    """At first it shows little but the outage, and says so once; then its own part has grown up."""
    async with Stage(agents=30, seed=5) as stage:
        await stage.warm_up()
        sick = stage.agents[0]
        stage.infect(sick, "provider_outage")
        stage.infect(sick, "high_retry_rate")
        assert await stage.play(60, lambda: "confirmed" in stage.happened(sick))
        assert [case.subject.kind for case in stage.fleet_cases()] == ["outage"]
        others = {case.subject.name for _, case in stage.lines if case.confirmed} - {sick}
        assert others == set()


async def test_a_release_is_one_incident_and_none_after_its_acceptance() -> None:
    """A new prompt on a whole type: one case; accepted, it is the new normal."""
    async with Stage(agents=30, seed=5) as stage:
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


async def test_an_accepted_release_is_still_accepted_after_a_crash() -> None:
    """The process dies in the second of a person's verdict; the next one knows the new normal."""
    async with Stage(agents=30, seed=5) as stage:
        await stage.warm_up()
        stage.infect(stage.agents[0], "release")
        assert await stage.play(90, lambda: bool(stage.fleet_cases()))
        await stage.play(20)
        (case,) = stage.fleet_cases()
        await stage.save()
        await stage.system.desk.release(
            Decision(case.id, case.version), who="ann", verdict=e.Verdict.NEW_NORMAL
        )
        await stage.crash(saved=False)
        told = len(stage.lines)
        await stage.play(300)
        assert stage.lines[told:] == []


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


@pytest.mark.parametrize("seed", [2, 4])
@pytest.mark.parametrize(
    ("first", "second"), [("release", "provider_outage"), ("provider_outage", "release")]
)
@pytest.mark.parametrize("gap_s", [0, 20])
async def test_a_release_and_an_outage_at_once_are_both_found(
    seed: int, first: str, second: str, gap_s: int
) -> None:
    """Those in both suffer both: two cases for the fleet, and none for any of its agents."""
    async with Stage(agents=30, seed=seed) as stage:
        await stage.warm_up()
        stage.infect(stage.agents[0], first)
        await stage.play(gap_s)
        stage.infect(stage.agents[0], second)
        most = 0
        for _ in range(150):
            await stage.simulation.second()
            most = max(most, len(stage.fenced()))
        assert sorted(case.subject.kind for case in stage.fleet_cases()) == ["outage", "release"]
        assert most == 0
        assert [case.subject for _, case in stage.lines if case.confirmed] == []


@pytest.mark.parametrize("infection", ["tool_loop", "token_explosion", "cost_overrun"])
async def test_a_sick_agent_inside_an_outage_is_healed(infection: str) -> None:
    """What the outage does to it is no reason to doubt its cure: no clone, no case left open."""
    async with Stage(agents=30, seed=3, operator="approve") as stage:
        await stage.warm_up()
        sick = stage.agents[0]
        stage.infect(sick, "provider_outage")
        await stage.play(20)
        stage.infect(sick, infection)
        assert await stage.play(300, lambda: stage.state(sick) is State.RESOLVED)
        (outage,) = stage.fleet_cases()
        assert outage.is_open
        assert not stage.simulation.chaos.truth.is_sick_itself(sick)
        actions = [
            line.event.action for line, _ in stage.lines if isinstance(line.event, e.Applied)
        ]
        assert Action.CLONE_AGENT not in actions


@pytest.mark.parametrize("infection", ["latency_spike", "memory_corruption"])
async def test_an_outage_during_a_probation_is_not_the_agents_doing(infection: str) -> None:
    """Cured of slowness, and then its provider is slow: compared with others who suffer that."""
    async with Stage(agents=30, seed=3) as stage:
        await stage.warm_up()
        sick = stage.agents[0]
        stage.infect(sick, infection, "slow_tool" if infection == "latency_spike" else None)
        assert await stage.play(60, lambda: stage.state(sick) is State.PROBATION)
        stage.infect(sick, "provider_outage")
        assert await stage.play(300, lambda: stage.state(sick) is State.RESOLVED)
        assert "relapsed" not in stage.happened(sick)
