"""What was learned comes back, and what can't be read is learned anew."""

from __future__ import annotations

import msgspec
from structlog.testing import capture_logs
from tests.drivers.test_departures import built, step

from immune.clock import ManualClock
from immune.incidents import effects as fx
from immune.testing import MemoryWorkflow


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
