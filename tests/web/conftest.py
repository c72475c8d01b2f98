"""A whole system on stores in memory, with the web in front of it and a client to ask it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

import httpx2
import msgspec
import pytest

from immune.assemble import System, assemble
from immune.clock import ManualClock
from immune.columns import Names, VitalColumns, from_vitals
from immune.errors import Transient
from immune.healing.actions import Rung
from immune.incidents import events as e
from immune.incidents.incident import Incident, Subject
from immune.incidents.states import State
from immune.intake.bounds import inflate
from immune.intake.otlp.assemble import TraceAssembler
from immune.intake.otlp.decode import decode_traces
from immune.intake.otlp.journal import SpanJournal
from immune.intake.otlp.measures import Measures
from immune.intake.otlp.points import decode_metrics
from immune.intake.salt import Salt
from immune.intake.vitals_json import decode
from immune.modes import Mode
from immune.ports import WorkflowStore
from immune.settings import ServerSettings, Settings
from immune.telemetry import TelemetryCollector
from immune.testing import MemoryTelemetry, MemoryWorkflow, RecordingNotifier, ScriptedLink
from immune.vitals import Vital
from immune.web import Intake, WebDashboard
from immune.web.ports import Chaos
from tests.incidents.cases import DIAGNOSIS, LADDER, finding

HOST = "127.0.0.1:8090"
ITEMS_MAX = 100
BODY_MAX = 64 * 1024


class Given(msgspec.Struct, frozen=True):
    """An infection as the fake injector gave it."""

    strain: str


@dataclass(slots=True)
class Gate:
    """The collector, behind a gate that a test can close."""

    collector: TelemetryCollector
    fault: Transient | None = None
    open: asyncio.Event = field(default_factory=asyncio.Event)
    """Cleared, vitals wait as for a slow store."""

    def __post_init__(self) -> None:
        self.open.set()

    @property
    def names(self) -> Names:
        return self.collector.names

    @property
    def retired(self) -> Mapping[str, int]:
        return self.collector.retired

    async def accept(self, columns: VitalColumns) -> None:
        await self.open.wait()
        if self.fault is not None:
            raise self.fault
        await self.collector.accept(columns)


@dataclass(slots=True)
class Infections:
    """A stand-in for the simulated fleet's chaos: notes what it was asked for."""

    given: list[tuple[str, str, str | None]] = field(default_factory=list)

    def inject(self, agent_id: str, infection: str, strain: str | None = None) -> Given:
        if infection == "gremlin":
            raise RuntimeError("the secret is 42")
        self.given.append((agent_id, infection, strain))
        return Given(strain or "planner")


@dataclass(slots=True)
class Site:
    """A running system and its web."""

    system: System
    dashboard: WebDashboard
    client: httpx2.AsyncClient
    clock: ManualClock
    telemetry: MemoryTelemetry
    infections: Infections
    gate: Gate

    async def agent(self, agent_id: str = "a", agent_type: str = "coder") -> None:
        """An agent reports once."""
        vital = Vital(
            agent_id=agent_id, at=self.clock.time(), latency_ms=500.0, agent_type=agent_type
        )
        await self.system.collector.accept(from_vitals([vital], self.system.names))
        await self.system.orchestrator.turn()

    async def case(self, agent_id: str = "a", asks: str = "severity 8.0") -> Incident:
        """An agent's case that waits for a person, or with no `asks` is being healed."""
        casework = self.system.orchestrator.casework
        now = self.clock.time()
        found = msgspec.structs.replace(finding(severity=8.0), agent_id=agent_id, at=now)
        incident = Incident(
            id=casework.new_id(),
            run_id="r",
            subject=Subject("agent", agent_id),
            agent_type="coder",
            state=State.SUSPECTED,
            version=1,
            opened_at=now,
            updated_at=now,
            onset_at=now - 5,
            finding=found,
            severity=8.0,
        )
        await casework.open(incident, e.Opened(at=now, finding=found))
        ladder: tuple[Rung, ...] = LADDER
        return await casework.apply(
            incident.id,
            e.Confirmed(at=now, finding=found, enforce=True),
            e.Diagnosed(
                at=now,
                diagnosis=DIAGNOSIS,
                ladder=ladder,
                asks=asks,
                approval_deadline_at=now + 900.0,
            ),
        )


async def _site(
    folder: Path, chaos: bool, workflow: WorkflowStore | None = None
) -> AsyncIterator[Site]:
    clock = ManualClock()
    names = Names()
    telemetry = MemoryTelemetry(names)
    settings = Settings(
        mode=Mode.ENFORCE,
        server=ServerSettings(body_max_bytes=BODY_MAX, items_max=ITEMS_MAX),
    )
    workflow = workflow or MemoryWorkflow("r")
    await workflow.open()
    system = assemble(
        settings,
        clock=clock,
        names=names,
        workflow=workflow,
        telemetry=telemetry,
        link=ScriptedLink(clock),
        notifier=RecordingNotifier(),
    )
    await system.orchestrator.start()
    salt = Salt(b"salt")
    infections = Infections()
    gate = Gate(system.collector)
    assembler = TraceAssembler(settle_s=1.0)
    journal = SpanJournal(folder / "spans.journal", "r")
    assembler.restore(journal.open(), clock.time())
    dashboard = WebDashboard(
        desk=system.desk,
        views=system.views,
        collector=gate,
        intake=Intake(
            vitals=partial(decode, salt=salt, max_bytes=BODY_MAX, max_items=ITEMS_MAX),
            spans=partial(decode_traces, salt=salt, max_bytes=BODY_MAX),
            assembler=assembler,
            journal=journal,
            points=partial(decode_metrics, max_bytes=BODY_MAX),
            measures=Measures(assembler.knows),
            inflate=inflate,
        ),
        settings=settings.server,
        clock=clock,
        chaos=(
            Chaos(infections.inject, {"tool_loop": ["planner"]}, lambda: {"seconds": 5.0})
            if chaos
            else None
        ),
    )
    system.orchestrator.casework.listeners.append(dashboard.committed)
    transport = httpx2.ASGITransport(app=dashboard)
    async with httpx2.AsyncClient(transport=transport, base_url=f"http://{HOST}") as client:
        yield Site(system, dashboard, client, clock, telemetry, infections, gate)
    journal.close()


@pytest.fixture
async def site(tmp_path: Path) -> AsyncIterator[Site]:
    """A system for real agents."""
    async for made in _site(tmp_path, chaos=False):
        yield made


@pytest.fixture
async def demo_site(tmp_path: Path) -> AsyncIterator[Site]:
    """A system whose fleet is simulated."""
    async for made in _site(tmp_path, chaos=True):
        yield made
