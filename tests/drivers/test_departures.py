"""Who left takes no memory, and is welcome back."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pytest

from immune.assemble import System, assemble
from immune.clock import ManualClock
from immune.columns import Names, from_vitals
from immune.errors import InvalidInput, NotFound, Refused, StoreDown
from immune.incidents.states import State
from immune.modes import Mode
from immune.quarantine import Fence
from immune.settings import IntakeSettings, Settings
from immune.testing import MemoryTelemetry, MemoryWorkflow, RecordingNotifier, ScriptedLink
from immune.vitals import Vital

DAY_S = 86_400.0


async def built(
    clock: ManualClock,
    workflow: MemoryWorkflow,
    telemetry: MemoryTelemetry | None = None,
    names: Names | None = None,
    agents_max: int = 100,
) -> System:
    """A running system with room for a few agents."""
    names = names or Names()
    params = IntakeSettings(agents_max=agents_max)
    system = assemble(
        Settings(intake=params),
        clock=clock,
        names=names,
        workflow=workflow,
        telemetry=telemetry or MemoryTelemetry(names),
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


async def _system(agents_max: int = 100) -> tuple[System, ManualClock]:
    clock, workflow = ManualClock(), MemoryWorkflow("r")
    await workflow.open()
    return await built(clock, workflow, agents_max=agents_max), clock


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


class Stalling(MemoryWorkflow):
    """A store that for a while lets no agent go."""

    stalls = False

    async def drop_agents(self, agent_ids: Sequence[str]) -> None:
        if self.stalls:
            raise StoreDown("the disk is full")
        await super().drop_agents(agent_ids)


async def test_whoever_was_deleted_while_the_store_stalled_does_not_come_back() -> None:
    """Its row goes when the store takes it, unless the agent is there again by then; the name may
    have become another's meanwhile."""
    clock, workflow = ManualClock(), Stalling("r")
    await workflow.open()
    system = await built(clock, workflow)
    await step(system, "a", "b", "c", "d")
    await system.orchestrator.savings.save(everything=True)
    workflow.stalls = True
    for name in ("a", "b", "d"):
        with pytest.raises(StoreDown):
            await system.orchestrator.departures.delete(name)
    workflow.stalls = False
    await system.orchestrator.departures.alias("c", "d")
    clock.advance(3.0)
    await step(system, "b")
    await system.orchestrator.departures.retire_silent()
    assert {row.agent_id for row in await workflow.agents()} == {"b", "c"}
    after = await built(clock, workflow)
    assert after.views.code("a") is None


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
    await system.desk.departures.goodbye("polite")
    for _ in range(60):
        clock.advance(4.0)
        await step(system)
    assert {i.agent_id for i in system.views.open_incidents()} <= {"rude"}
    assert system.views.open_incidents()
    with pytest.raises(NotFound):
        await system.desk.departures.goodbye("nobody")


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


async def test_another_name_that_the_store_refuses_is_not_in_force(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Whoever gave it, changed it or took it back was told that it was not done."""

    async def refuse(_key: str, _value: str) -> None:
        raise StoreDown("the disk is full")

    system, _ = await _system()
    departures = system.desk.departures
    await step(system, "a", "b")
    before = await departures.alias("a", "x")
    with monkeypatch.context() as patch:
        patch.setattr(system.orchestrator.workflow, "put_setting", refuse)
        for refused in (
            departures.alias("a", "y"),
            departures.alias("b", "x"),
            departures.unalias("a", "x"),
        ):
            with pytest.raises(StoreDown):
                await refused
            assert departures.aliases() == before
    await step(system, "x", "y")
    assert {view.agent_id for view in system.views.agents()} == {"a", "b", "y"}
    assert len(await system.views.vitals("a")) == 2


async def taken(system: System, *agent_ids: str) -> None:
    """Each of these agents reports a step, which is answered and not scored yet."""
    now = system.orchestrator.clock.time()
    vitals = [Vital(agent_id=a, at=now, latency_ms=500.0, agent_type="coder") for a in agent_ids]
    await system.collector.accept(from_vitals(vitals, system.names))


async def test_an_order_need_not_wait_until_the_first_vital_is_scored() -> None:
    """Once it was answered for, its agent is known, with what it told of itself."""
    system, _ = await _system()
    await taken(system, "held", "gone", "left", "known", "new-name", "set")
    desk = system.desk
    await desk.quarantine("held", who="ann", why="it sends mail to customers")
    await desk.departures.delete("gone")
    await desk.departures.goodbye("left")
    await desk.departures.alias("known", "new-name")
    await desk.set_mode(Mode.OBSERVE, agent_id="set")
    assert {view.agent_id for view in system.views.agents()} == {"held", "left", "known", "set"}
    assert {row.agent_type for row in await system.orchestrator.workflow.agents()} == {"coder"}
    assert system.views.roster.columns().fenced.sum() == 1
    await system.orchestrator.turn()
    # a vital that was answered for before its agent was deleted counts as its first
    there = {view.agent_id for view in system.views.agents()}
    assert there == {"held", "left", "known", "set", "gone"}
    known = system.views.code("known")
    streams = system.orchestrator.learner.streams_of_agent("known")
    assert known is not None
    assert system.orchestrator.learner.seen[streams].tolist() == [2]


async def test_an_agent_is_known_since_its_earliest_step() -> None:
    """Also where its first report brings them out of order, and some after they were scored."""
    system, clock = await _system()
    now = clock.time()
    for ago in ((5.0, 9.0, 7.0), (1.0,)):
        vitals = [Vital(agent_id="a", at=now - s, latency_ms=500.0) for s in ago]
        await system.collector.accept(from_vitals(vitals, system.names))
    (view,) = system.views.agents()
    assert view.first_seen_at == now - 9.0
    await system.orchestrator.turn()
    (view,) = system.views.agents()
    assert (view.first_seen_at, view.last_seen_at) == (now - 9.0, now - 1.0)


async def test_a_name_that_only_a_refused_vital_had_may_be_given_away() -> None:
    """Nothing was ever known of such an agent, and a vital on its way is the other's."""
    system, clock = await _system()
    await step(system, "triage")
    refused = Vital(agent_id="triage-v2", at=clock.time(), latency_ms=500.0)
    on_its_way = from_vitals([refused], system.names)
    await system.desk.departures.alias("triage", "triage-v2")
    await system.collector.accept(on_its_way)
    assert [view.agent_id for view in system.views.agents()] == ["triage"]
    await system.orchestrator.turn()
    assert [view.agent_id for view in system.views.agents()] == ["triage"]
    streams = system.orchestrator.learner.streams_of_agent("triage")
    assert system.orchestrator.learner.seen[streams].tolist() == [2]


async def test_a_step_on_its_way_does_not_undo_a_goodbye() -> None:
    """It was taken before the word and scored after it; the agent's next step does undo it."""
    system, clock = await _system()
    for _ in range(60):
        await step(system, "polite", "rude")
    await taken(system, "polite", "rude")
    clock.advance(0.05)
    await system.desk.departures.goodbye("polite")
    for _ in range(30):
        clock.advance(4.0)
        await step(system)
    assert {i.agent_id for i in system.views.open_incidents()} == {"rude"}
    for _ in range(3):
        await step(system, "polite")
    for _ in range(30):
        clock.advance(4.0)
        await step(system)
    assert "polite" in {i.agent_id for i in system.views.open_incidents()}


async def test_whoever_is_fenced_is_known_after_a_crash() -> None:
    """Though it was never saved: the fence says that it is there, and since when."""
    clock, workflow = ManualClock(), MemoryWorkflow("r")
    await workflow.open()
    system = await built(clock, workflow)
    await step(system, "sick", "well")
    fence = Fence("f", "sick", None, "a leak", by="ann", ordered_at=clock.time(), exempt=True)
    await system.orchestrator.casework.put_fence(fence)
    assert await workflow.agents() == []
    again = await built(clock, workflow)
    (view,) = again.views.agents()
    assert (view.agent_id, view.fenced, view.last_seen_at) == ("sick", True, fence.ordered_at)
    assert again.views.roster.columns().fenced.tolist() == [True]


async def test_who_was_just_met_is_known_to_the_next_process() -> None:
    """From its stored vitals, with what they told; who was deleted meanwhile stays gone."""
    clock, workflow, names = ManualClock(), MemoryWorkflow("r"), Names()
    telemetry = MemoryTelemetry(names)
    await workflow.open()
    killed = await built(clock, workflow, telemetry, names)
    at = clock.time()
    vitals = [
        Vital(agent_id=a, at=at, received_at=at, latency_ms=500.0, agent_type="coder")
        for a in ("met", "deleted")
    ]
    await killed.collector.accept(from_vitals(vitals, names))
    clock.advance(1.0)
    await killed.desk.departures.delete("deleted")
    clock.advance(3600.0)
    system = await built(clock, workflow, telemetry, names)
    (view,) = system.views.agents()
    assert (view.agent_id, view.agent_type, view.first_seen_at) == ("met", "coder", at)
    assert await workflow.agents() == []
    for _ in range(12):
        await step(system)
    assert [row.agent_id for row in await workflow.agents()] == ["met"]


async def test_a_goodbye_outlives_the_process() -> None:
    """It is kept before it is answered; who is killed then misses the agent no more than before."""
    clock, workflow, names = ManualClock(), MemoryWorkflow("r"), Names()
    await workflow.open()
    killed = await built(clock, workflow)
    for _ in range(60):
        await step(killed, "polite", "rude")
    await killed.orchestrator.savings.save(everything=True)
    await killed.desk.departures.goodbye("polite")
    system = await built(clock, workflow, names=names)
    for _ in range(60):
        clock.advance(4.0)
        await step(system)
    assert {i.agent_id for i in system.views.open_incidents()} == {"rude"}
