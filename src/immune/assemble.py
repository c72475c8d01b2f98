"""Settings and ports -> a running system. The only module that knows everybody."""

from __future__ import annotations

from dataclasses import dataclass

from immune import __version__
from immune.casework import Casework
from immune.clock import Clock
from immune.columns import Names
from immune.desk import OperatorDesk
from immune.detection import BaselineLearner, Sentinel
from immune.detection.fleet import FleetWatch
from immune.diagnosis.diagnostician import Diagnostician
from immune.fleetwork import Fleetwork
from immune.healing.healer import Healer
from immune.memory import ImmuneMemory
from immune.modes import Modes
from immune.orchestrator import ImmuneSystemOrchestrator
from immune.ports import AgentLink, Notifier, TelemetryStore, WorkflowStore
from immune.probations import Probations
from immune.quarantine import QuarantineController
from immune.relay import OutboxRelay
from immune.savings import Savings
from immune.settings import Settings
from immune.telemetry import TelemetryCollector
from immune.views import Views


@dataclass(frozen=True, slots=True)
class System:
    """A system whose parts know one another."""

    orchestrator: ImmuneSystemOrchestrator
    desk: OperatorDesk
    views: Views
    collector: TelemetryCollector
    names: Names


def assemble(
    settings: Settings,
    *,
    clock: Clock,
    names: Names,
    workflow: WorkflowStore,
    telemetry: TelemetryStore,
    link: AgentLink,
    notifier: Notifier,
) -> System:
    """Build the system on opened stores; nothing runs yet."""
    collector = TelemetryCollector(telemetry, names, clock, settings.intake)
    learner = BaselineLearner(settings.detection, names)
    sentinel = Sentinel(learner, settings.detection, names)
    quarantine = QuarantineController(settings.brake)
    casework = Casework(workflow, quarantine, clock)
    relay = OutboxRelay(
        workflow=workflow,
        casework=casework,
        learner=learner,
        sentinel=sentinel,
        link=link,
        notifier=notifier,
        clock=clock,
        cases=settings.cases,
        outbox=settings.outbox,
    )
    probations = Probations(
        casework=casework,
        learner=learner,
        link=link,
        telemetry=telemetry,
        workflow=workflow,
        names=names,
        clock=clock,
        cases=settings.cases,
        params=settings.healing.trial,
    )
    fleetwork = Fleetwork(
        casework=casework,
        workflow=workflow,
        learner=learner,
        sentinel=sentinel,
        watch=FleetWatch(settings.detection.rules.fleet, names),
        clock=clock,
    )
    modes = Modes(settings.mode)
    savings = Savings(
        workflow=workflow,
        learner=learner,
        collector=collector,
        modes=modes,
        clock=clock,
        checkpoint_s=settings.store.checkpoint_s,
    )
    orchestrator = ImmuneSystemOrchestrator(
        settings=settings,
        clock=clock,
        workflow=workflow,
        telemetry=telemetry,
        collector=collector,
        learner=learner,
        sentinel=sentinel,
        diagnostician=Diagnostician(),
        healer=Healer(settings.healing, ImmuneMemory(settings.healing.memory)),
        quarantine=quarantine,
        modes=modes,
        casework=casework,
        probations=probations,
        fleetwork=fleetwork,
        relay=relay,
        savings=savings,
        link=link,
    )
    return System(
        orchestrator,
        OperatorDesk(orchestrator),
        Views(orchestrator, __version__),
        collector,
        names,
    )
