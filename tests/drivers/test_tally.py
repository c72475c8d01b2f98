"""The cards' counts: kept while it happens, and counted anew by the next process."""

from __future__ import annotations

from collections import Counter

from immune.healing.actions import Outcome
from immune.run.simulate import SimulateOptions, Simulation
from immune.views import WouldHave


async def test_a_restart_counts_the_same() -> None:
    """Infections, cures and failures of a wave, and what enforcing would have done."""
    simulation = Simulation(SimulateOptions(seconds=1500, seed=1, warmup_s=900))
    await simulation.workflow.open()
    try:
        await simulation.system.orchestrator.start()
        views = simulation.system.views
        await views.load()
        for _ in range(simulation.options.seconds):
            await simulation.second()
        before, stats = await views.tally.view(), await views.stats()
        stored = await simulation.workflow.incidents()
        assert stats.incidents_by_state == Counter(i.state for i in stored if not i.is_fleet)
        attempts = await simulation.workflow.healings()
        assert stats.attempts == len(attempts)
        assert stats.cured == sum(h.outcome is Outcome.CURED for h in attempts)
        assert before.infections >= 13
        assert before.healed >= 13
        assert before.unhealed > 0
        assert views.status().would_have == WouldHave(0, 0)
        await simulation.restart()
        views = simulation.system.views
        for _ in range(2):  # a second look counts nothing twice
            await views.load()
            assert await views.tally.view() == before
            assert await views.stats() == stats
            assert views.status().would_have == WouldHave(0, 0)
    finally:
        await simulation.workflow.close()
