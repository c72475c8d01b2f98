"""The whole system, live, on real stores that a test can block."""

from __future__ import annotations

import sqlite3
import uuid
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from contextlib import AbstractContextManager, asynccontextmanager, closing, contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

from immune.assemble import System, assemble
from immune.clock import SystemClock
from immune.columns import Names, from_vitals
from immune.detection.params import DetectionParams
from immune.detection.rule_params import Limits, RuleParams
from immune.modes import Mode
from immune.settings import IntakeSettings, Settings
from immune.stores.sql import SqlStore
from immune.stores.telemetry_sqlite import SqliteTelemetry
from immune.testing import RecordingNotifier, ScriptedLink
from immune.testing.postgresql import Postgresql
from immune.vitals import Vital
from tests.stores.conftest import postgresql

__all__ = ["postgresql"]

LIMIT_USD = 50.0
QUEUE_ROWS = 40
ANSWER_S = 1.0
"""How long a store may take here: what is tested is what follows, not how long it takes."""


@dataclass(slots=True)
class Plant:
    """A running system and its stores."""

    system: System
    workflow: SqlStore
    telemetry: SqliteTelemetry
    link: ScriptedLink
    folder: Path
    server: Postgresql | None
    clock: SystemClock
    sent: int = 0

    async def report(self, agents: Sequence[str], cost_usd: float = 0.01) -> None:
        """A step of each agent."""
        now = self.clock.time()
        await self.system.collector.accept(
            from_vitals(
                [Vital(agent_id=a, at=now, latency_ms=800.0, cost_usd=cost_usd) for a in agents],
                self.system.names,
            )
        )
        self.sent += len(agents)

    async def sick(self, *agents: str) -> None:
        """A step of each that goes beyond a limit."""
        await self.report(agents, cost_usd=2 * LIMIT_USD)

    async def until(self, come_true: Callable[[], bool]) -> None:
        """Wait for something that must come to pass."""
        for _ in range(3000):
            if come_true():
                return
            await self.clock.sleep(0.01)
        raise AssertionError("it has not come to pass within half a minute")

    @property
    def fenced(self) -> frozenset[str]:
        return self.system.orchestrator.quarantine.fenced_agents()

    @property
    def degraded(self) -> set[str]:
        return {health.name for health in self.system.orchestrator.supervisor.degraded}

    @contextmanager
    def workflow_blocked(self) -> Iterator[None]:
        """Nobody can write to the workflow: the server hangs, or somebody else is in the file."""
        if self.server is None:
            with locked(self.folder / "workflow.db"):
                yield
            return
        self.server.pause()
        try:
            yield
        finally:
            self.server.resume()

    def telemetry_blocked(self) -> AbstractContextManager[None]:
        """Somebody else is in the telemetry file."""
        return locked(self.folder / "telemetry.db")


@contextmanager
def locked(path: Path) -> Iterator[None]:
    """Another connection has begun to write and does not end."""
    with closing(sqlite3.connect(path, isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        yield
        other.execute("ROLLBACK")


@asynccontextmanager
async def plant(folder: Path, server: Postgresql | None) -> AsyncIterator[Plant]:
    """A system that enforces, with a limit that makes agents sick at once."""
    url = f"sqlite:///{folder}/workflow.db"
    if server is not None:
        url = server.database(f"db_{uuid.uuid4().hex}")
    clock, names = SystemClock(), Names()
    workflow = SqlStore(url, "run-a", busy_timeout_ms=int(1000 * ANSWER_S), answer_s=ANSWER_S)
    telemetry = SqliteTelemetry(folder / "telemetry.db", "run-a", names)
    await workflow.open()
    await telemetry.open()
    telemetry._held().write.execute("PRAGMA busy_timeout=50")
    link = ScriptedLink(clock)
    system = assemble(
        Settings(
            mode=Mode.ENFORCE,
            tick_s=0.05,
            intake=IntakeSettings(queue_rows=QUEUE_ROWS),
            detection=DetectionParams(rules=RuleParams(limits=Limits(step_cost_usd=LIMIT_USD))),
        ),
        clock=clock,
        names=names,
        workflow=workflow,
        telemetry=telemetry,
        link=link,
        notifier=RecordingNotifier(),
    )
    await system.orchestrator.start()
    system.orchestrator.run()
    try:
        yield Plant(system, workflow, telemetry, link, folder, server, clock)
    finally:
        await system.orchestrator.stop()
        await telemetry.close()
        await workflow.close()


@pytest.fixture(params=["file", pytest.param("postgresql", marks=pytest.mark.server)])
async def live(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Plant]:
    """A system with its workflow in a file, and one with it on a server."""
    server = None
    if request.param == "postgresql":
        server = request.getfixturevalue("postgresql")
    async with plant(tmp_path, server) as made:
        yield made


@pytest.fixture
async def on_file(tmp_path: Path) -> AsyncIterator[Plant]:
    """A system whose stores are files."""
    async with plant(tmp_path, None) as made:
        yield made
