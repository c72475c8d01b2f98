"""The fleet in columns: what each agent spends."""

from __future__ import annotations

import numpy as np
import pytest

from immune.clock import ManualClock
from immune.columns import from_vitals
from immune.roster import Roster
from immune.testing import MemoryWorkflow
from immune.vitals import Kind, Vital
from tests.drivers.test_departures import built


async def test_what_an_agent_spends_is_the_sum_over_its_kinds_of_steps() -> None:
    """By the time that its stored steps span; unknown for who tells no cost, or has one step."""
    clock, workflow = ManualClock(), MemoryWorkflow("r")
    await workflow.open()
    system = await built(clock, workflow)
    for second in range(100):
        clock.advance(1.0)
        now = clock.time()
        vitals = [
            Vital(agent_id="a", at=now, cost_usd=0.01),
            Vital(agent_id="a", at=now, kind=Kind.RUN, cost_usd=0.02 if second % 2 else None),
            Vital(agent_id="b", at=now, latency_ms=500.0),
        ]
        if second == 50:
            vitals.append(Vital(agent_id="c", at=now, cost_usd=0.01))
        await system.collector.accept(from_vitals(vitals, system.names))
        await system.orchestrator.turn()
    codes = np.array([system.names.agents.code(a) for a in "abc"], np.int32)
    usd = Roster(system.orchestrator).usd_per_hour(codes)
    assert usd[0] == pytest.approx(36.0 + 36.0, rel=0.02)  # stored in half precision
    assert np.isnan(usd[1:]).all()
