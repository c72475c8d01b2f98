"""What was learned comes back, and what can't be read is learned anew."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence

import msgspec
from structlog.testing import capture_logs
from tests.drivers.test_departures import built, step

from immune.clock import ManualClock
from immune.columns import from_vitals
from immune.incidents import effects as fx
from immune.ports import BaselineRow
from immune.testing import MemoryWorkflow
from immune.vitals import Vital


async def test_a_baseline_of_another_version_is_learned_anew() -> None:
    """An upgrade starts, says what it could not read, and keeps the rest."""
    clock, workflow = ManualClock(), MemoryWorkflow("r")
    await workflow.open()
    first = await built(clock, workflow)
    for _ in range(20):
        await step(first, "a", "b")
    await first.orchestrator.stop()
    rows = {row.agent_id: row for row in await workflow.baselines()}
    await workflow.put_baselines([msgspec.structs.replace(rows["b"], blob=b"of long ago")])

    with capture_logs() as logs:
        second = await built(clock, workflow)
    assert (await second.views.agent("a")).baselines
    assert not (await second.views.agent("b")).baselines
    (warning,) = [line for line in logs if line["event"] == "baselines_learned_anew"]
    assert warning["streams"] == 1


async def test_a_new_normal_that_was_accepted_survives_a_crash() -> None:
    """What a person's order made of a baseline is stored before the order counts as met."""
    clock, workflow = ManualClock(), MemoryWorkflow("r")
    await workflow.open()
    first = await built(clock, workflow)
    for _ in range(20):
        await step(first, "a")
    await first.orchestrator.savings.save(everything=True)
    accepted = fx.SetBaseline(key="k", agent_id="a", order=fx.BaselineOrder.RESTART)
    await first.orchestrator.casework.wish(accepted)
    await first.orchestrator.relay.round()

    second = await built(clock, workflow)
    assert not (await second.views.agent("a")).baselines


async def test_clocks_that_are_off_come_back() -> None:
    """They are saved within ten seconds of being known, and known from the first vital on."""
    clock, workflow = ManualClock(), MemoryWorkflow("r")
    await workflow.open()
    first = await built(clock, workflow)
    for _ in range(90):
        clock.advance(1.0)
        now = clock.time()
        for behind_s in (0.0, 300.0):
            told = Vital(agent_id="a", at=now - behind_s, received_at=now, latency_ms=500.0)
            await first.collector.accept(from_vitals([told], first.names))
            await first.orchestrator.turn()
    (offset,) = first.collector.clocks()
    assert offset.behind_s == 300.0

    second = await built(clock, workflow)
    (view,) = second.views.status().clocks
    assert (view.agent_id, view.behind_s, view.put_right) == ("a", 300.0, True)
    (saved,) = second.collector.save_clocks().values()
    assert saved.best_s == 0.0


async def test_who_is_retired_while_it_is_saved_is_not_known_again() -> None:
    """A store takes its time, and an agent may go meanwhile."""
    clock = ManualClock()
    workflow = _Slow("r")
    await workflow.open()
    system = await built(clock, workflow)
    for _ in range(20):
        await step(system, "a", "b")
    code = system.views.code("b")
    assert code is not None
    workflow.meanwhile = lambda: system.orchestrator.departures.delete("b")
    await system.orchestrator.savings.keep(["a", "b"])
    assert system.names.agents.find("b") is None
    assert [row.agent_id for row in await workflow.agents()] == ["a"]


class _Slow(MemoryWorkflow):
    """A store during whose work something else happens, once."""

    meanwhile: Callable[[], Awaitable[None]] | None = None

    async def put_baselines(self, rows: Sequence[BaselineRow]) -> None:
        meanwhile, self.meanwhile = self.meanwhile, None
        if meanwhile is not None:
            await meanwhile()
        await super().put_baselines(rows)
