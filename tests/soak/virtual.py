"""Days of virtual time of a simulated fleet in this process: `immune simulate` on stores on disk.

Infections come steadily, each agent's about once an hour; the stores keep and drop what `serve`
keeps and drops, and what was learned is saved every minute. The first virtual hour is the warm-up.
What the simulator keeps of its own (injections, the score) is measured with the rest.
"""

from __future__ import annotations

import asyncio
from pathlib import Path

import msgspec

from immune.clock import stopwatch_s
from immune.run.allocator import trim
from immune.run.simulate import SimulateOptions, Simulation
from immune.settings import Settings, StoreSettings
from immune.simulation.report import Report
from immune.stores.sql import SqlStore
from immune.stores.telemetry_sqlite import SqliteTelemetry
from tests.soak.memory import Memory, Trend, memory_of, trend

HOUR_S = 3600
LOOK_S = 60
"""Virtual seconds between two looks at what the page shows."""


class Options(SimulateOptions, frozen=True, kw_only=True):
    """A simulation that saves as often as a server does."""

    chaos: str = "steady"

    def settings(self) -> Settings:
        """Those of `immune simulate`, but for the store."""
        return msgspec.structs.replace(super().settings(), store=StoreSettings())


class Figures(msgspec.Struct, frozen=True, kw_only=True):
    """What was simulated, and what it took."""

    days: float
    wall_h: float
    report: Report
    trend: Trend

    @property
    def real_slope(self) -> float:
        """MB an hour of the run itself."""
        return self.trend.slope * self.days * 24 / self.wall_h

    def __str__(self) -> str:
        s = self.report.summary
        return (
            f"{self.days:g} virtual days in {60 * self.wall_h:.1f} min: {s.agent_steps:,} vitals, "
            f"{s.injected} infections, {s.resolved} cases resolved\n{self.trend}\n"
            f"  that is an hour of virtual time; {self.real_slope:+.2f} MB an hour of the run"
        )


def soak(folder: Path, *, seconds: int, agents: int, seed: int, every_s: int) -> Figures:
    """Simulate so much time, and read our own memory every `every_s` of it.

    The warm-up is an hour, or a quarter of a shorter run. Raises RuntimeError for a task that
    failed.
    """
    warmup_s = min(HOUR_S, seconds // 4)
    simulation = Simulation(
        Options(agents=agents, seconds=seconds, seed=seed, warmup_s=min(900, warmup_s))
    )
    began_s = stopwatch_s()
    hours, readings = asyncio.run(_live(simulation, folder, every_s))
    return Figures(
        days=seconds / 86_400,
        wall_h=(stopwatch_s() - began_s) / 3600,
        report=simulation.report(),
        trend=trend(hours, readings, warmup_h=warmup_s / HOUR_S),
    )


async def _live(
    simulation: Simulation, folder: Path, every_s: int
) -> tuple[list[float], list[Memory]]:
    simulation.workflow = SqlStore(
        f"sqlite:///{folder}/workflow.db", run_id="soak", clock=simulation.clock
    )
    await simulation.workflow.open()
    try:
        telemetry = SqliteTelemetry(
            folder / "telemetry.db", "soak", simulation.names, clock=simulation.clock
        )
        await telemetry.open()
        try:
            simulation.telemetry = telemetry
            return await _seconds(simulation, every_s)
        finally:
            await telemetry.close()
    finally:
        await simulation.workflow.close()


async def _seconds(simulation: Simulation, every_s: int) -> tuple[list[float], list[Memory]]:
    hours: list[float] = []
    readings: list[Memory] = []
    await simulation.restart()
    views = simulation.system.views
    await views.load()
    for second in range(1, simulation.options.seconds + 1):
        await simulation.second()
        if second % LOOK_S == 0:
            views.status()
            await views.tally.view()
        if second % every_s == 0:
            trim()  # as `serve` does once a second
            hours.append(second / HOUR_S)
            readings.append(memory_of())
    return hours, readings
