"""`immune serve`: the system without simulation, waiting for real agents."""

from __future__ import annotations

import asyncio
import socket
from contextlib import closing

import structlog

from immune.clock import SystemClock
from immune.columns import Names
from immune.modes import Mode
from immune.run.allocator import leave_what_stays, return_freed_memory
from immune.run.house import house, serve_web
from immune.run.listener import fast_loop, listen
from immune.run.unlinked import Unlinked
from immune.settings import Settings
from immune.stores.runs import RunChoice

log = structlog.get_logger(__name__)


def run_serve(settings: Settings, set_mode: Mode | None = None) -> None:
    """Serve until SIGTERM or SIGINT; the run is kept across restarts.

    `set_mode` sets the global mode; None leaves it as it was set last time.
    """
    return_freed_memory()
    with (
        closing(listen(settings.server)) as listener,
        asyncio.Runner(loop_factory=fast_loop()) as runner,
    ):
        runner.run(_serve(settings, set_mode, listener))


async def _serve(settings: Settings, set_mode: Mode | None, listener: socket.socket) -> None:
    clock = SystemClock()
    async with house(
        settings, clock=clock, names=Names(), run=RunChoice.LAST, link=Unlinked(clock)
    ) as home:
        if set_mode is not None:
            await home.system.desk.set_mode(set_mode)
        leave_what_stays()
        await serve_web(
            home,
            settings,
            listener,
            ready=lambda address: log.info(
                "serving",
                address=address,
                mode=str(home.system.orchestrator.modes.everywhere),
                run_id=home.workflow.run_id,
            ),
        )
