"""A system in its house: stores on disk, the web in front, everything opened and closed in order.

Fences stand before intake opens; on the way out the web closes first, what waits is scored and
what was learned is saved.
"""

from __future__ import annotations

import asyncio
import signal
import socket
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from functools import partial

import sqlalchemy as sa
import structlog
import uvicorn

from immune.assemble import System, assemble
from immune.clock import Clock
from immune.columns import Names
from immune.detection.kernel import COMPILED
from immune.errors import Fatal
from immune.intake.bounds import inflate
from immune.intake.otlp.assemble import TraceAssembler
from immune.intake.otlp.decode import decode_traces
from immune.intake.otlp.journal import SpanJournal
from immune.intake.otlp.measures import Measures
from immune.intake.otlp.points import decode_metrics
from immune.intake.salt import Salt
from immune.intake.vitals_json import decode
from immune.notify import LogNotifier, SeveralNotifiers, WebhookNotifier
from immune.ports import AgentLink, Notifier
from immune.run.allocator import trim_on_time
from immune.run.folder import data_folder, salt_of
from immune.run.listener import address_of
from immune.run.ration import Refill, ration
from immune.settings import Settings
from immune.stores.dialect import file_of
from immune.stores.place import place_of
from immune.stores.reserve import Reserve
from immune.stores.runs import RunChoice
from immune.stores.sql import SqlStore
from immune.stores.telemetry_room import TelemetryRetention
from immune.stores.telemetry_sqlite import SqliteTelemetry
from immune.web.app import WebDashboard
from immune.web.ports import Chaos, Intake, Journal

log = structlog.get_logger(__name__)

DRAIN_S = 3


@dataclass(frozen=True, slots=True)
class House:
    """A system with its stores and its web."""

    system: System
    dashboard: WebDashboard
    workflow: SqlStore
    telemetry: SqliteTelemetry
    reserve: Reserve | None
    """Where the workflow is a file."""


@asynccontextmanager
async def house(
    settings: Settings,
    *,
    clock: Clock,
    names: Names,
    run: RunChoice | str,
    link: AgentLink,
    chaos: Chaos | None = None,
) -> AsyncIterator[House]:
    """Open the stores, take up the run, and build the web; close all of it at the end.

    Nothing is started: see `serve_web`. Raises Fatal for a folder that can't be written to, a
    second instance on it, or a newer schema; StoreDown for a store that can't be opened.
    """
    notifier = _notifier(settings, clock)
    assembler = TraceAssembler()
    folder = data_folder(settings.store.directory)
    salt = salt_of(folder)
    place = place_of(settings.store)
    reserve = _reserve(place.workflow, settings)
    workflow = SqlStore(place.workflow, run, clock=clock, reserve=reserve, copies=folder)
    await workflow.open()
    try:
        telemetry = SqliteTelemetry(
            place.telemetry,
            workflow.run_id,
            names,
            TelemetryRetention(
                raw_s=3600 * settings.store.raw_hours,
                raw_bytes_max=settings.store.raw_bytes,
                rollup_bytes_max=settings.store.rollup_bytes,
                rollup_s=86_400 * settings.store.rollup_days,
            ),
            clock=clock,
        )
        await telemetry.open()
        journal = SpanJournal(place.journal, workflow.run_id)
        try:
            assembler.restore(await asyncio.to_thread(journal.open), clock.time())
            rationed, rationed_journal = ration(telemetry, journal, reserve, folder)
            system = assemble(
                settings,
                clock=clock,
                names=names,
                workflow=workflow,
                telemetry=rationed,
                link=link,
                notifier=notifier,
                identity_rules=assembler.identity_rule,
            )
            await system.orchestrator.start()
            await system.views.load()
            dashboard = WebDashboard(
                desk=system.desk,
                views=system.views,
                collector=system.collector,
                intake=_intake(settings, salt, assembler, rationed_journal),
                settings=settings.server,
                clock=clock,
                chaos=chaos,
            )
            system.orchestrator.casework.listeners.append(dashboard.committed)
            try:
                yield House(system, dashboard, workflow, telemetry, reserve)
            finally:
                try:
                    await dashboard.close()
                finally:
                    await system.orchestrator.stop()
        finally:
            if isinstance(notifier, SeveralNotifiers):
                await notifier.close()
            journal.close()
            await telemetry.close()
    finally:
        await workflow.close()


class _Server(uvicorn.Server):
    """uvicorn, but for its signals: it raises them again after its end, past our own closing."""

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield


async def serve_web(
    home: House, settings: Settings, listener: socket.socket, *, ready: Callable[[str], None]
) -> None:
    """Run the loops and serve the web on `listener` until a signal; `ready` gets the address."""
    if not COMPILED:
        log.warning("detector_not_compiled", effect="a vital costs about eight times the CPU")
    server = _Server(
        uvicorn.Config(
            home.dashboard,
            lifespan="off",
            log_config=None,
            access_log=False,
            timeout_graceful_shutdown=DRAIN_S,
        )
    )
    orchestrator = home.system.orchestrator
    orchestrator.run()
    orchestrator.supervisor.start("allocator", partial(trim_on_time, orchestrator.clock))
    if home.reserve is not None:
        orchestrator.supervisor.start("disk", Refill(home.reserve, orchestrator.clock))
    home.dashboard.run(orchestrator.supervisor)
    serving = asyncio.create_task(server.serve(sockets=[listener]))
    loop = asyncio.get_running_loop()

    def leave() -> None:
        home.dashboard.leave()
        server.should_exit = True

    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, leave)
    fatal: list[Fatal] = []

    def give_up(fault: Fatal) -> None:
        fatal.append(fault)
        leave()

    orchestrator.supervisor.on_fatal = give_up
    try:
        while not server.started and not serving.done():
            await orchestrator.clock.sleep(0.01)
        if server.started:
            ready(address_of(listener, settings.server.host))
        await serving
        if fatal:
            raise fatal[0]
    finally:
        leave()
        await asyncio.gather(serving, return_exceptions=True)
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.remove_signal_handler(number)


def _notifier(settings: Settings, clock: Clock) -> Notifier:
    if not settings.notify.webhook_url:
        return LogNotifier()
    return SeveralNotifiers(LogNotifier(), WebhookNotifier(settings.notify, clock))


def _reserve(workflow: sa.URL, settings: Settings) -> Reserve | None:
    file = file_of(workflow)
    return None if file is None else Reserve(file, settings.store.reserve_bytes)


def _intake(settings: Settings, salt: Salt, assembler: TraceAssembler, journal: Journal) -> Intake:
    limits = settings.server
    return Intake(
        vitals=partial(
            decode, salt=salt, max_bytes=limits.body_max_bytes, max_items=limits.items_max
        ),
        spans=partial(decode_traces, salt=salt, max_bytes=limits.body_max_bytes),
        assembler=assembler,
        journal=journal,
        points=partial(decode_metrics, max_bytes=limits.body_max_bytes),
        measures=Measures(assembler.knows),
        inflate=inflate,
    )
