"""The stage of the page's tests: a simulated fleet on a manual clock, served on a real socket.

While a browser looks on, a second of the fleet's life passes every few hundredths of a real one.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from types import TracebackType

import msgspec
import uvicorn

from immune.chaos import ChaosInjector
from immune.clock import ManualClock, SystemClock
from immune.columns import Names
from immune.incidents.incident import Incident
from immune.incidents.states import State
from immune.modes import Mode
from immune.quarantine import BrakeParams
from immune.run.house import House, house
from immune.settings import CaseSettings, Settings, StoreSettings
from immune.simulation.fleet import SimulatedFleet
from immune.simulation.infections import STRAINS
from immune.simulation.link import SimulatedLink
from immune.simulation.scoreboard import Scoreboard
from immune.stores.runs import RunChoice
from immune.web.ports import Chaos

PAUSE_S = 0.05
"""Real seconds between two of the fleet's."""

HISTORY_S = 600.0
"""What every agent has lived through before: enough to be fenced on its own."""


class Stage:
    """A served system whose time passes while the stage is open."""

    def __init__(self, folder: Path, *, agents: int = 15, mode: Mode = Mode.ENFORCE) -> None:
        self.settings = Settings(
            mode=mode,
            store=StoreSettings(directory=str(folder)),
            brake=BrakeParams(share=1.0),
            cases=CaseSettings(approval_deadline_s=300.0, stay_well_s=120.0),
        )
        self.clock = ManualClock(SystemClock().time())
        self.names = Names()
        self.fleet = SimulatedFleet(agents, seed=7, names=self.names, start_at=self.clock.time())
        self.chaos = ChaosInjector(self.fleet, 7)
        self.scoreboard = Scoreboard(
            self.chaos.truth, self.names, seed=7, agents=agents, start_at=self.clock.time()
        )
        self.running = True
        """Whether the fleet's time passes."""
        self.home: House
        self.address = ""
        self._open: Served | None = None

    async def __aenter__(self) -> Stage:
        await self.start()
        if HISTORY_S:
            for columns in self.fleet.history(HISTORY_S):
                await self.home.system.orchestrator.recall(columns)
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        fault: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        await self.stop()

    async def start(self) -> None:
        """Open the house, on the port that it had before, and let time pass."""
        self._open = Served(self, _port(self.address))
        self.home = await self._open.enter()
        self.address = self._open.address

    async def stop(self) -> None:
        """Close the house, as at a restart."""
        if self._open is not None:
            await self._open.leave()
            self._open = None

    async def second(self) -> None:
        """One second of the fleet's life."""
        self.clock.advance(1.0)
        now = self.clock.time()
        columns = self.fleet.step(now)
        self.scoreboard.saw(columns, now, self.fleet.steps_refused)
        if len(columns):
            await self.home.system.collector.accept(columns)
        await self.home.system.orchestrator.turn()
        await self.home.dashboard.feed.tell()

    async def until(self, happened: Callable[[], bool], seconds: int = 400) -> None:
        """Let time pass until something has happened; fails after so many of its seconds."""
        end = self.clock.time() + seconds
        while not happened():
            assert self.clock.time() < end, "it did not happen in time"
            if not self.running:
                await self.second()
            await asyncio.wait({asyncio.ensure_future(asyncio.to_thread(int))}, timeout=PAUSE_S)

    def cases(self, *states: State) -> list[Incident]:
        """The open cases in these states."""
        open_ones = self.home.system.orchestrator.casework.open_incidents()
        return [case for case in open_ones if case.state in states]

    async def severe(self, agent_id: str) -> Incident:
        """Make an agent sick so badly that its case waits for a person; return the case."""
        self.chaos.inject(agent_id, "full_meltdown")
        await self.until(
            lambda: any(c.agent_id == agent_id for c in self.cases(State.AWAITING_APPROVAL))
        )
        return next(c for c in self.cases(State.AWAITING_APPROVAL) if c.agent_id == agent_id)

    def now(self, incident_id: str) -> Incident:
        """An open case as it is now."""
        return self.home.system.orchestrator.casework.get(incident_id)


class Served:
    """A house behind a socket, and the task that lets time pass in it."""

    def __init__(self, stage: Stage, port: int) -> None:
        self._stage = stage
        self._port = port
        self._context = _served(stage, port)
        self.address = ""

    async def enter(self) -> House:
        home, self.address = await self._context.__aenter__()
        return home

    async def leave(self) -> None:
        await self._context.__aexit__(None, None, None)


@asynccontextmanager
async def _served(stage: Stage, port: int) -> AsyncIterator[tuple[House, str]]:
    chaos = Chaos(
        inject=stage.chaos.inject,
        infections={infection: list(strains) for infection, strains in STRAINS.items()},
        score=lambda: stage.scoreboard.report(stage.clock.time()),
    )
    async with house(
        stage.settings,
        clock=stage.clock,
        names=stage.names,
        run=RunChoice.LAST,
        link=SimulatedLink(stage.fleet, stage.clock),
        chaos=chaos,
    ) as home:
        home.system.orchestrator.casework.listeners.append(stage.scoreboard.record)
        server = uvicorn.Server(
            uvicorn.Config(home.dashboard, port=port, lifespan="off", log_config=None)
        )
        running = asyncio.create_task(server.serve())
        while not server.started:
            await asyncio.wait({running}, timeout=0.01)
        bound = server.servers[0].sockets[0].getsockname()[1]
        living = asyncio.create_task(_live(stage, home))
        try:
            yield home, f"http://127.0.0.1:{bound}"
        finally:
            living.cancel()
            await asyncio.gather(living, return_exceptions=True)
            home.dashboard.feed.close()
            server.should_exit = True
            await running


async def _live(stage: Stage, home: House) -> None:
    while True:
        await asyncio.wait({asyncio.get_running_loop().create_future()}, timeout=PAUSE_S)
        if stage.running and stage.home is home:
            await stage.second()
        else:
            await home.dashboard.feed.tell()  # the page is live though nothing happens


def _port(address: str) -> int:
    return int(address.rpartition(":")[2]) if address else 0


def observing(settings: Settings) -> Settings:
    """The same, where the system may only watch."""
    return msgspec.structs.replace(settings, mode=Mode.OBSERVE)
