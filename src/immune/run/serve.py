"""`immune serve`: the system without simulation, waiting for real agents."""

from __future__ import annotations

import asyncio

import structlog

from immune.clock import SystemClock
from immune.columns import Names
from immune.run.allocator import return_freed_memory
from immune.run.house import house, serve_web
from immune.run.unlinked import Unlinked
from immune.settings import Settings
from immune.stores.runs import RunChoice

log = structlog.get_logger(__name__)


def run_serve(settings: Settings) -> None:
    """Serve until SIGTERM or SIGINT; the run is kept across restarts."""
    return_freed_memory()
    asyncio.run(_serve(settings))


async def _serve(settings: Settings) -> None:
    clock = SystemClock()
    async with house(
        settings, clock=clock, names=Names(), run=RunChoice.LAST, link=Unlinked(clock)
    ) as home:
        await serve_web(
            home,
            settings,
            ready=lambda address: log.info(
                "serving",
                address=address,
                mode=str(home.system.orchestrator.modes.everywhere),
                run_id=home.workflow.run_id,
            ),
        )
