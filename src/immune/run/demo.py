"""`immune demo`: the system, live, on a simulated fleet that falls ill in waves.

The fleet has an hour behind it, so that baselines are ready; the page is served; what happens is
told in plain words; the scoreboard, which alone knows the truth, ends it. Nobody decides for you:
a severe case waits, fenced, until you approve or reject it.
"""

from __future__ import annotations

import asyncio
import math
import socket
from collections.abc import Callable
from contextlib import closing

import msgspec

from immune.chaos import ChaosInjector
from immune.clock import Clock, SystemClock
from immune.columns import Names
from immune.detection.params import DetectionParams
from immune.detection.rule_params import Limits, RuleParams
from immune.modes import Mode
from immune.quarantine import BrakeParams
from immune.run.allocator import return_freed_memory
from immune.run.chronicle import HOLD_S, Chronicle
from immune.run.house import House, house, serve_web
from immune.run.listener import listen
from immune.run.narrator import Narrator
from immune.settings import CaseSettings, ServerSettings, Settings, StoreSettings
from immune.simulation.fleet import SimulatedFleet
from immune.simulation.infections import STRAINS, Injection
from immune.simulation.link import SimulatedLink
from immune.simulation.report import Report
from immune.simulation.scoreboard import Scoreboard
from immune.stores.runs import RunChoice
from immune.web.ports import Chaos

HISTORY_S = 3600.0
STEP_S = 0.2
COLD_WARMUP_S = 60.0
DEFAULT_ADDRESS = "http://127.0.0.1:8090/"
"""Where the other commands look for a server unless told."""

Say = Callable[[str, str], None]
"""Takes a line and its tone: quiet, alarm, person, good or bad."""


class DemoOptions(msgspec.Struct, frozen=True, kw_only=True):
    """What to show."""

    agents: int = 15
    duration_s: float = 600.0
    port: int = 8090
    seed: int = 7
    cold_start: bool = False
    """Without the hour of history."""
    resume: bool = False
    """Go on with the last demo's run."""
    directory: str = "immune-demo"

    def settings(self) -> Settings:
        """Settings that make a demo: it enforces, with the brake off, and lifts treatments soon."""
        return Settings(
            mode=Mode.ENFORCE,
            server=ServerSettings(port=self.port),
            store=StoreSettings(directory=self.directory),
            brake=BrakeParams(share=1.0),
            cases=CaseSettings(stay_well_s=120.0, approval_deadline_s=120.0),
            detection=DetectionParams(
                rules=RuleParams(limits=Limits(step_cost_usd=50.0, step_latency_ms=600_000.0))
            ),
        )


def run_demo(options: DemoOptions, say: Say) -> Report:
    """Run the demo to its end, or to a signal; return the score."""
    return_freed_memory()
    settings = options.settings()
    with closing(listen(settings.server)) as listener:
        return asyncio.run(_Demo(options, settings, say).run(listener))


class _Demo:
    def __init__(self, options: DemoOptions, settings: Settings, say: Say) -> None:
        self._options = options
        self._settings = settings
        self._say = say
        self._clock: Clock = SystemClock()
        self._names = Names()
        self._started_at = self._clock.time()
        self._chronicle = Chronicle(self._started_at, say)
        self._fleet = SimulatedFleet(
            options.agents, seed=options.seed, names=self._names, start_at=self._started_at
        )
        self._warmup_s = COLD_WARMUP_S if options.cold_start else 0.0
        self._chaos = ChaosInjector(self._fleet, options.seed, "waves", warmup_s=self._warmup_s)

    async def run(self, listener: socket.socket) -> Report:
        options = self._options
        scoreboard = Scoreboard(
            self._chaos.truth,
            self._names,
            seed=options.seed,
            agents=options.agents,
            start_at=self._started_at,
            warmup_s=self._warmup_s,
        )
        async with house(
            self._settings,
            clock=self._clock,
            names=self._names,
            run=RunChoice.LAST if options.resume else RunChoice.NEW,
            link=SimulatedLink(self._fleet, self._clock),
            chaos=Chaos(
                inject=self._inject,
                infections={k: list(v) for k, v in STRAINS.items()},
                score=lambda: scoreboard.report(self._clock.time()),
            ),
        ) as home:
            if not (options.cold_start or options.resume):
                await self._remember(home)
            listeners = home.system.orchestrator.casework.listeners
            listeners.append(scoreboard.record)
            listeners.append(Narrator(self._chronicle.note).hear)
            home.system.orchestrator.supervisor.start(
                "simulated fleet", lambda: self._live(home, scoreboard)
            )
            try:
                await self._show(home, listener)
            finally:
                self._chronicle.tell(math.inf)
            return scoreboard.report(self._clock.time())

    def _inject(self, agent_id: str, infection: str, strain: str | None = None) -> Injection:
        injection = self._chaos.inject(agent_id, infection, strain)
        said = f"you infected {agent_id} with {infection} ({injection.strain})"
        self._chronicle.note(self._clock.time(), said, "person")
        return injection

    async def _remember(self, home: House) -> None:
        self._say("Learning an hour of simulated history, so that baselines are ready.", "quiet")
        for columns in self._fleet.history(HISTORY_S):
            await home.system.orchestrator.recall(columns)

    async def _live(self, home: House, scoreboard: Scoreboard) -> None:
        await self._clock.sleep(STEP_S)
        now = self._clock.time()
        columns = self._fleet.step(now)
        for injection in self._chaos.advance(now):
            self._chronicle.note(
                now,
                f"(secretly: {injection.agent_id} gets {injection.infection}, "
                f"strain {injection.strain})",
                "quiet",
            )
        scoreboard.saw(columns, now, self._fleet.steps_refused)
        if len(columns):
            await home.system.collector.accept(columns)
        self._chronicle.tell(now - HOLD_S)

    async def _show(self, home: House, listener: socket.socket) -> None:
        def ready(address: str) -> None:
            elsewhere = "" if address == DEFAULT_ADDRESS else f" --server {address.rstrip('/')}"
            self._say(f"The page is at {address}", "person")
            self._say(
                "Mode enforce: sick agents are fenced and healed. The brake on ourselves is at "
                "100 % here, so that all of a wave may be fenced; in real use it is 30 %.",
                "quiet",
            )
            self._say(
                "Severe cases wait for you: approve or reject them on the page, or with "
                f"`immune approve INCIDENT{elsewhere}`; `immune incidents{elsewhere}` lists them.",
                "quiet",
            )

        serving = asyncio.create_task(serve_web(home, self._settings, listener, ready=ready))
        lasting = asyncio.create_task(self._clock.sleep(self._options.duration_s))
        await asyncio.wait({serving, lasting}, return_when=asyncio.FIRST_COMPLETED)
        lasting.cancel()
        if not serving.done():
            serving.cancel()
        await asyncio.gather(serving, lasting, return_exceptions=True)
        if not serving.cancelled() and (fault := serving.exception()) is not None:
            raise fault
