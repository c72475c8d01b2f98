"""The whole system on a simulated fleet, in virtual time, from a cold start.

The orchestrator is the one that `serve` runs, on a `ManualClock` and on stores in memory; after
each second of the fleet it takes one full turn. Only the scoreboard reads the ground truth.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable

import msgspec

from immune.assemble import System, assemble
from immune.chaos import ChaosInjector, GroundTruth
from immune.clock import ManualClock, cpu_s
from immune.columns import Names, VitalColumns
from immune.desk import Decision
from immune.errors import InvalidInput
from immune.healing.params import HealingParams, MemoryParams
from immune.incidents.events import Verdict
from immune.incidents.incident import Incident
from immune.modes import Mode
from immune.notify import LogNotifier
from immune.ports import IncidentEvent, TelemetryStore
from immune.quarantine import BrakeParams
from immune.settings import Settings, StoreSettings
from immune.simulation.fleet import SimulatedFleet
from immune.simulation.link import SimulatedLink
from immune.simulation.operator import Operator, Verb
from immune.simulation.report import Report
from immune.simulation.scoreboard import Scoreboard, Truth
from immune.stores.sql import SqlStore
from immune.testing import MemoryTelemetry

OPERATOR = "simulated operator"


MASS_INFECTIONS = ("waves", "steady")
"""Plans under which the brake's share is 100 %."""


class SimulateOptions(msgspec.Struct, frozen=True, kw_only=True):
    """What to simulate."""

    agents: int = 15
    seconds: int = 1800
    """Virtual time in all, warm-up included."""
    seed: int = 0
    chaos: str = "waves"
    """none, waves, steady, outage or release."""
    warmup_s: int = 900
    """Seconds before the plan begins."""
    noise: str = "real"
    operator: str = "approve"
    """approve, reject or absent; acts after ten seconds."""
    memory: bool = True
    """Off: every ladder in its default order."""
    mode: Mode = Mode.ENFORCE
    default_brake: bool | None = None
    """Keep the brake at its default share; None: for every plan but waves and steady infections,
    which make more agents sick than it would ever let be fenced."""

    @property
    def brake(self) -> BrakeParams:
        """The brake of such a run."""
        keeps = self.default_brake
        if keeps is None:
            keeps = self.chaos not in MASS_INFECTIONS
        return BrakeParams() if keeps else BrakeParams(share=1.0)

    def settings(self) -> Settings:
        """The settings of such a run."""
        return Settings(
            mode=self.mode,
            brake=self.brake,
            healing=HealingParams(memory=MemoryParams(enabled=self.memory)),
            store=StoreSettings(checkpoint_s=3600.0),
        )


class Simulation:
    """One run. `judge` makes what the scoreboard believes of the ground truth."""

    def __init__(
        self,
        options: SimulateOptions,
        judge: Callable[[GroundTruth], Truth] = lambda truth: truth,
    ) -> None:
        if options.warmup_s > options.seconds:
            raise InvalidInput("warmup", f"must be at most seconds, {options.seconds}")
        self.options = options
        self.clock = ManualClock()
        self.names = Names()
        self.fleet = SimulatedFleet(
            options.agents,
            seed=options.seed,
            noise=options.noise,
            names=self.names,
            start_at=self.clock.time(),
        )
        self.chaos = ChaosInjector(
            self.fleet, options.seed, options.chaos, warmup_s=options.warmup_s
        )
        self.scoreboard = Scoreboard(
            judge(self.chaos.truth),
            self.names,
            seed=options.seed,
            agents=options.agents,
            start_at=self.clock.time(),
            warmup_s=options.warmup_s,
        )
        self.operator = Operator(options.operator)
        self.workflow = SqlStore("sqlite://", run_id="simulation")
        self.telemetry: TelemetryStore = MemoryTelemetry(self.names)
        self._link = SimulatedLink(self.fleet, self.clock)
        self.system = self._assemble()
        self.witnesses: list[Callable[[VitalColumns], None]] = []
        """Called with the vitals of each second: what a rival would see."""
        self.simulator_cpu_s = 0.0
        self.cpu_s = 0.0
        self.incidents: list[Incident] = []
        """All of the run's, once it is over."""
        self.events: list[IncidentEvent] = []
        """All of the run's, once it is over."""

    def _assemble(self) -> System:
        system = assemble(
            self.options.settings(),
            clock=self.clock,
            names=self.names,
            workflow=self.workflow,
            telemetry=self.telemetry,
            link=self._link,
            notifier=LogNotifier(),
        )
        system.orchestrator.casework.listeners.append(self.scoreboard.record)
        return system

    async def restart(self) -> None:
        """Go on with a new system on the same stores, as after the death of the process."""
        self.system = self._assemble()
        await self.system.orchestrator.start()

    async def run(self) -> None:
        """Run it all."""
        began = cpu_s()
        await self.workflow.open()
        try:
            await self.system.orchestrator.start()
            for _ in range(self.options.seconds):
                await self.second()
            self.incidents = await self.workflow.incidents()
            self.events = await self.workflow.events()
        finally:
            await self.workflow.close()
            self.cpu_s = cpu_s() - began

    def report(self) -> Report:
        """The score so far."""
        return self.scoreboard.report(
            self.clock.time(), cpu_s=self.cpu_s, simulator_cpu_s=self.simulator_cpu_s
        )

    async def second(self) -> None:
        """One second of virtual time."""
        self.clock.advance(1.0)
        now = self.clock.time()
        began = cpu_s()
        columns = self.fleet.step(now)
        self.chaos.advance(now)
        self.scoreboard.saw(columns, now, self.fleet.steps_refused)
        for witness in self.witnesses:
            witness(columns)
        self.simulator_cpu_s += cpu_s() - began
        if len(columns):
            await self.system.collector.accept(columns)
        await self.system.orchestrator.turn()
        await self._operate(now)
        for health in self.system.orchestrator.supervisor.degraded:
            # live it would restart and go on; a run whose figures count must not
            raise RuntimeError(f"task {health.name} failed: {health.last_error}")

    async def _operate(self, now: float) -> None:
        desk, orchestrator = self.system.desk, self.system.orchestrator
        for decision in self.operator.decide(orchestrator.casework.open_incidents(), now):
            seen = Decision(decision.incident_id, decision.version)
            match decision.verb:
                case Verb.APPROVE:
                    await desk.approve(seen, who=OPERATOR)
                case Verb.REJECT:
                    await desk.reject(seen, who=OPERATOR)
                case Verb.QUARANTINE:
                    incident = orchestrator.casework.get(decision.incident_id)
                    await desk.quarantine(incident.agent_id, who=OPERATOR, why="it is silent")
                case Verb.ACCEPT:
                    await desk.release(seen, who=OPERATOR, verdict=Verdict.NEW_NORMAL)
            await orchestrator.turn()


def run_simulate(options: SimulateOptions) -> Report:
    """Run a simulation to its end; return what `immune simulate --json` prints."""
    simulation = Simulation(options)
    asyncio.run(simulation.run())
    return simulation.report()
