"""`immune bench workflow`: how fast cases are opened and agents fenced, each step on the disk.

The system is the one that `serve` runs, its stores on disk, its clock the machine's; what is
simulated is only who falls ill. The wall's seconds count, for a person waits for a fence and not
for a processor. On PostgreSQL the same, where its programs are installed: a server of our own,
which waits for the disk as well.
"""

from __future__ import annotations

import asyncio
import statistics
import tempfile
import uuid
from collections.abc import Awaitable, Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

from immune.assemble import System, assemble
from immune.bench.figures import Figure, Report, at_least, at_most
from immune.bench.options import Options
from immune.clock import SystemClock, stopwatch_s
from immune.columns import Names, VitalColumns, from_vitals
from immune.detection import Observation
from immune.detection.findings import Finding, MetricEffect, Source, Tier
from immune.detection.params import DetectionParams
from immune.detection.rule_params import Limits, RuleParams
from immune.incidents.states import FENCED
from immune.modes import Mode
from immune.quarantine import BrakeParams
from immune.settings import Settings
from immune.stores.sql import SqlStore
from immune.stores.telemetry_sqlite import SqliteTelemetry
from immune.testing import RecordingNotifier, ScriptedLink
from immune.testing.postgresql import PROGRAMS, Postgresql, postgresql
from immune.vitals import Kind, Vital

AGENTS = 1000
"""Infected in the same second."""
RATES = {"sqlite": 500.0, "postgresql": 1000.0}
WITHIN_S = 2.0

Measure = Callable[[System, ScriptedLink], Awaitable[float]]

LIMIT_USD = 50.0
SETTINGS = Settings(
    mode=Mode.ENFORCE,
    brake=BrakeParams(share=1.0),
    detection=DetectionParams(rules=RuleParams(limits=Limits(step_cost_usd=LIMIT_USD))),
)


def run(options: Options) -> Report:
    """Run the parts that are wanted, one after another."""
    rounds = 3 if options.quick else 7
    figures: list[Figure] = []
    for store in RATES:
        if not options.wants(store):
            continue
        options.progress(store)
        if store == "postgresql" and not PROGRAMS:
            note = "PostgreSQL is not installed"
            figures.append(at_least(f"{store}/contained", None, RATES[store], "cases/s", note=note))
            continue
        figures += _figures(store, rounds)
    return Report("workflow", options.quick, figures)


def _figures(store: str, rounds: int) -> Iterator[Figure]:
    with ExitStack() as ending:
        server = ending.enter_context(postgresql(durable=True)) if store == "postgresql" else None

        def measured(measure: Measure) -> list[float]:
            return [asyncio.run(_measure(measure, server)) for _ in range(rounds)]

        contained = measured(_contain)
        yield at_least(
            f"{store}/contained",
            AGENTS / statistics.median(contained),
            RATES[store],
            "cases/s",
            note=f"{AGENTS / max(contained):.0f} to {AGENTS / min(contained):.0f} in {rounds} runs",
        )
        fenced = measured(_fence)
        yield at_most(
            f"{store}/{AGENTS}_agents_fenced",
            statistics.median(fenced),
            WITHIN_S,
            "s",
            note=f"{min(fenced):.2f} to {max(fenced):.2f} s in {rounds} runs",
        )


async def _measure(measure: Measure, server: Postgresql | None) -> float:
    """Run `measure` on a system with nothing in its stores."""
    with tempfile.TemporaryDirectory() as folder:
        url = f"sqlite:///{folder}/workflow.db"
        if server is not None:
            url = server.database(f"bench_{uuid.uuid4().hex}")
        return await _on(SqlStore(url, run_id="bench"), Path(folder) / "telemetry.db", measure)


async def _on(workflow: SqlStore, file: Path, measure: Measure) -> float:
    clock, names = SystemClock(), Names()
    telemetry = SqliteTelemetry(file, "bench", names)
    await workflow.open()
    await telemetry.open()
    link = ScriptedLink(clock)
    system = assemble(
        SETTINGS,
        clock=clock,
        names=names,
        workflow=workflow,
        telemetry=telemetry,
        link=link,
        notifier=RecordingNotifier(),
    )
    await system.orchestrator.start()
    try:
        return await measure(system, link)
    finally:
        await system.orchestrator.stop()
        await telemetry.close()
        await workflow.close()


async def _contain(system: System, link: ScriptedLink) -> float:
    """Seconds from a thousand findings to a thousand cases opened, contained and planned."""
    orchestrator = system.orchestrator
    await system.collector.accept(_vitals(system, cost_usd=0.01))
    await orchestrator.absorb()
    now = orchestrator.clock.time()
    findings = [_finding(f"agent-{n}", now) for n in range(AGENTS)]
    began = stopwatch_s()
    await orchestrator.admission.take(Observation(findings=findings))
    took = stopwatch_s() - began
    cases = orchestrator.casework.open_incidents()
    assert len([case for case in cases if case.state in FENCED]) == AGENTS
    return took


def _finding(agent_id: str, at: float) -> Finding:
    return Finding(
        agent_id,
        Kind.RUN,
        Tier.QUARANTINE,
        Source.EVIDENCE,
        at,
        at - 10,
        20.0,
        18.0,
        5.0,
        (MetricEffect("latency_ms", 4.0, 800.0, 3200.0, evidence=12.0, affected=True),),
    )


async def _fence(system: System, link: ScriptedLink) -> float:
    """Seconds from a thousand vitals beyond a limit to a thousand agents whose calls are refused.

    All the way: accepted, scored, decided, written, and enforced by the link.
    """
    columns = _vitals(system, cost_usd=2 * LIMIT_USD)
    began = stopwatch_s()
    system.orchestrator.run()
    await system.collector.accept(columns)
    while len(link.refused) < AGENTS:
        await system.orchestrator.clock.sleep(0.005)
    return stopwatch_s() - began


def _vitals(system: System, cost_usd: float) -> VitalColumns:
    """A step of each agent."""
    now = system.orchestrator.clock.time()
    return from_vitals(
        [
            Vital(agent_id=f"agent-{n}", at=now, latency_ms=800.0, cost_usd=cost_usd)
            for n in range(AGENTS)
        ],
        system.names,
    )
