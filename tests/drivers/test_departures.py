"""Who left takes no memory, and is welcome back."""

from __future__ import annotations

import numpy as np
import pytest

from immune.assemble import System, assemble
from immune.clock import ManualClock
from immune.columns import Names, from_vitals
from immune.errors import InvalidInput, NotFound, Refused
from immune.incidents.states import State
from immune.settings import IntakeSettings, Settings
from immune.testing import MemoryTelemetry, MemoryWorkflow, RecordingNotifier, ScriptedLink
from immune.vitals import Vital

DAY_S = 86_400.0


async def built(clock: ManualClock, workflow: MemoryWorkflow, **intake: float) -> System:
    """A running system with room for a few agents."""
    names = Names()
    params = IntakeSettings(agents_max=int(intake.get("agents_max", 100)))
    system = assemble(
        Settings(intake=params),
        clock=clock,
        names=names,
        workflow=workflow,
        telemetry=MemoryTelemetry(names),
        link=ScriptedLink(clock),
        notifier=RecordingNotifier(),
    )
    await system.orchestrator.start()
    return system


async def step(system: System, *agent_ids: str) -> None:
    """Each of these agents reports a step, and a second passes."""
    clock = system.orchestrator.clock
    assert isinstance(clock, ManualClock)
    clock.advance(1.0)
    vitals = [Vital(agent_id=a, at=clock.time(), latency_ms=500.0) for a in agent_ids]
    await system.collector.accept(from_vitals(vitals, system.names))
    await system.orchestrator.turn()


async def _system(**intake: float) -> tuple[System, ManualClock]:
    clock, workflow = ManualClock(), MemoryWorkflow("r")
    await workflow.open()
    return await built(clock, workflow, **intake), clock


async def test_an_exporter_that_makes_up_ids_ends_in_a_bounded_number_of_agents() -> None:
    """Those unseen for longest go, those that keep reporting stay, and codes are used again."""
    system, _ = await _system(agents_max=100)
    for number in range(200):
        made_up = [f"made-up-{number}-{i}" for i in range(50)]
        await step(system, "steady", *made_up)
        assert system.collector.tracked <= 100
    assert system.views.code("steady") is not None
    assert system.collector.retired["too many"] == 200 * 50 + 1 - system.collector.tracked
    # as many codes as the most agents, those of one batch, and those in limbo
    assert len(system.names.agents) < 600
    assert len(system.orchestrator.learner.streams.used()) == system.collector.tracked
    agents = {view.agent_id for view in system.views.agents()}
    assert f"made-up-199-{49}" in agents
    assert "made-up-0-0" not in agents


async def test_silent_for_a_week_is_retired_and_back_with_the_next_vital() -> None:
    """Its history is kept; what it was judged by is learned anew."""
    system, clock = await _system()
    for _ in range(20):
        await step(system, "old", "young")
    await system.orchestrator.savings.save(everything=True)
    clock.advance(6.9 * DAY_S)
    await step(system, "young")
    clock.advance(0.2 * DAY_S)
    await step(system, "young")
    assert system.collector.retired == {"silent": 1}
    assert system.views.code("old") is None
    workflow = system.orchestrator.workflow
    assert [row.agent_id for row in await workflow.agents()] == ["young"]
    assert {row.agent_id for row in await workflow.baselines()} == {"young"}
    assert await system.orchestrator.telemetry.count() == 42
    await step(system, "old")
    assert system.views.code("old") is not None
    streams = system.orchestrator.learner.streams_of_agent("old")
    assert system.orchestrator.learner.seen[streams].tolist() == [1]


async def test_a_code_used_again_is_another_agent_everywhere() -> None:
    """Neither its vitals nor its facts are mixed up with those of who had it before."""
    system, clock = await _system()
    await step(system, "first")
    code = system.views.code("first")
    await system.desk.departures.delete("first")
    clock.advance(5.0)
    await step(system, "third")
    await step(system, "second")
    assert system.views.code("second") == code
    assert (system.names.agents.text(code or 0), system.views.code("first")) == ("second", None)
    assert len(await system.views.vitals("second")) == 1
    assert len(await system.views.vitals("first")) == 1


async def test_vitals_on_their_way_while_their_agent_is_deleted_bring_it_back() -> None:
    """They were answered for: they count as its first."""
    system, clock = await _system()
    await step(system, "a", "b")
    vital = Vital(agent_id="a", at=clock.time() + 1, latency_ms=500.0)
    await system.collector.accept(from_vitals([vital], system.names))
    await system.desk.departures.delete("a")
    await system.orchestrator.turn()
    code = system.views.code("a")
    assert code is not None
    assert np.isfinite(system.collector.row(code).last_seen_at)
    assert {view.agent_id for view in system.views.agents()} == {"a", "b"}


async def test_who_somebody_must_decide_about_is_not_forgotten() -> None:
    """A fence outlives its agent's silence."""
    system, clock = await _system()
    await step(system, "held", "free")
    await system.desk.quarantine("held", who="ann", why="it sends mail to customers")
    with pytest.raises(Refused, match="is fenced: decide that first"):
        await system.desk.departures.delete("held")
    clock.advance(8 * DAY_S)
    await step(system)
    clock.advance(100.0)
    await step(system)
    assert system.views.code("held") is not None
    assert system.views.code("free") is None
    with pytest.raises(NotFound):
        await system.desk.departures.delete("free")


async def test_an_agent_that_said_goodbye_is_not_missed() -> None:
    """Regular as it was, its silence raises nothing; without the word it would."""
    system, clock = await _system()
    for _ in range(60):
        await step(system, "polite", "rude")
    system.desk.departures.goodbye("polite")
    for _ in range(60):
        clock.advance(4.0)
        await step(system)
    assert {i.agent_id for i in system.views.open_incidents()} <= {"rude"}
    assert system.views.open_incidents()
    with pytest.raises(NotFound):
        system.desk.departures.goodbye("nobody")


async def test_a_case_that_is_only_watched_ends_when_its_agent_is_gone_for_a_week() -> None:
    """Agents that leave without a word would fill the memory otherwise; no decision is taken."""
    system, clock = await _system()
    for _ in range(60):
        await step(system, "rude")
    for _ in range(60):
        clock.advance(4.0)
        await step(system)
    (case,) = system.views.open_incidents()
    assert (case.agent_id, case.state) == ("rude", State.OBSERVED)
    clock.advance(8 * DAY_S)
    for _ in range(3):
        await step(system)
        clock.advance(61.0)
    assert system.views.open_incidents() == []
    assert system.views.code("rude") is None
    assert system.collector.tracked == 0
    ended = await system.orchestrator.workflow.incident(case.id)
    assert ended is not None
    assert ended.state is State.DISMISSED
    await step(system, "rude")
    assert system.views.code("rude") is not None


async def test_another_name_counts_as_the_agent_also_after_a_restart() -> None:
    """A release renamed it: it keeps what was learned of it."""
    clock, workflow = ManualClock(), MemoryWorkflow("r")
    await workflow.open()
    system = await built(clock, workflow)
    await step(system, "triage", "other")
    assert await system.desk.departures.alias("triage", "triage-v2") == {"triage-v2": "triage"}
    await step(system, "triage-v2")
    assert len(await system.views.vitals("triage")) == 2
    for wrong in ("", "triage", "a\x00"):
        with pytest.raises(InvalidInput, match="alias"):
            await system.desk.departures.alias("triage", wrong)
    await system.orchestrator.savings.save(everything=True)
    again = await built(clock, workflow)
    await step(again, "triage-v2")
    assert {view.agent_id for view in again.views.agents()} == {"triage", "other"}
