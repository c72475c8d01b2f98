"""What a tick of ten thousand agents costs, with every vital written to SQLite on disk."""

from __future__ import annotations

import asyncio
import gc
import statistics
import tempfile
from collections.abc import Iterable
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

import msgspec

from immune.assemble import assemble
from immune.bench.figures import Figure, at_most
from immune.bench.naive import BASELINE, NaiveSentinel
from immune.clock import ManualClock, cpu_s
from immune.columns import Interner, Names
from immune.notify import LogNotifier
from immune.run.allocator import return_freed_memory, trim
from immune.run.simulate import SimulateOptions
from immune.simulation.fleet import SimulatedFleet
from immune.simulation.link import SimulatedLink
from immune.stores.sql import SqlStore
from immune.stores.telemetry_sqlite import SqliteTelemetry

AGENTS = 10_000
_SETTLING = 3
"""Ticks in which the simulator takes the memory that it needs for itself."""


class Scale(msgspec.Struct, frozen=True):
    """What was measured."""

    tick_cpu_ms: float
    """Median CPU of a tick, without the simulator's."""
    bytes_per_agent: float
    """Resident memory at the end of the tick where it was most, without the simulator's."""
    naive_tick_cpu_ms: float


def scale_figures(quick: bool) -> Iterable[Figure]:
    """CPU of a tick and memory of an agent, measured in a fresh process."""
    with ProcessPoolExecutor(max_workers=1) as pool:
        scale = pool.submit(measure, 30 if quick else 120).result()
    yield at_most(
        "scale/cpu_a_tick_of_10000", scale.tick_cpu_ms, 250.0, "ms", rival=scale.naive_tick_cpu_ms
    )
    yield at_most("scale/memory_of_an_agent", scale.bytes_per_agent, 6 * 1024, "bytes")


def measure(ticks: int) -> Scale:
    """Run `ticks` seconds of ten thousand agents, as `immune serve` would."""
    return_freed_memory()
    # a few agents first, past a sweep: what is loaded once for all is no agent's memory
    asyncio.run(_measure(100, 125))
    return asyncio.run(_measure(AGENTS, ticks))


async def _measure(agents: int, ticks: int) -> Scale:
    clock = ManualClock()
    names = Names()
    fleet = SimulatedFleet(agents, seed=1, start_at=clock.time())
    for _ in range(_SETTLING):
        clock.advance(1.0)
        fleet.step(clock.time())
    with tempfile.TemporaryDirectory() as folder:
        workflow = SqlStore(f"sqlite:///{folder}/workflow.db", run_id="bench")
        await workflow.open()
        telemetry = SqliteTelemetry(Path(folder) / "telemetry.db", "bench", names)
        await telemetry.open()
        settings = SimulateOptions().settings()
        system = assemble(
            settings,
            clock=clock,
            names=names,
            workflow=workflow,
            telemetry=telemetry,
            link=SimulatedLink(fleet, clock),
            notifier=LogNotifier(),
        )
        await system.orchestrator.start()
        gc.collect()
        trim()
        before = resident_bytes()
        # the ids that the system keeps are its own; the simulator's stay alive beside them
        simulated = fleet.names
        _intern_again(simulated.agents, names.agents)
        _intern_again(simulated.facts, names.facts)
        fleet.names = fleet.state.names = names
        costs, most = [], 0
        for _ in range(ticks):
            clock.advance(1.0)
            columns = fleet.step(clock.time())
            began = cpu_s()
            await system.collector.accept(columns)
            await system.orchestrator.turn()
            trim()  # once a second, as a server does
            costs.append(cpu_s() - began)
            most = max(most, resident_bytes() - before)
        await system.orchestrator.stop()
        await telemetry.close()
        await workflow.close()
    return Scale(
        tick_cpu_ms=1000 * statistics.median(costs[ticks // 4 :]),
        bytes_per_agent=most / agents,
        naive_tick_cpu_ms=1000 * statistics.median(_rival(fleet, clock)),
    )


def _intern_again(strings: Interner, into: Interner) -> None:
    """Give the same strings the same codes, in memory of their own."""
    for code in range(1, len(strings)):
        again = into.code(strings.text(code).encode().decode())
        assert again == code


def _rival(fleet: SimulatedFleet, clock: ManualClock) -> list[float]:
    """CPU of three ticks of the naive rule, once it has a baseline to judge by.

    It runs after the system, for its memory is not ours.
    """
    naive, costs = NaiveSentinel(), []
    for _ in range(BASELINE + 3):
        clock.advance(1.0)
        columns = fleet.step(clock.time())
        began = cpu_s()
        naive.observe(columns)
        costs.append(cpu_s() - began)
    return costs[BASELINE:]


def resident_bytes() -> int:
    """Resident memory of this process."""
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * 4096
