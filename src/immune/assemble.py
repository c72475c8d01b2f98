"""Settings and ports -> a running system. The only module that knows everybody."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from immune import __version__
from immune.admission import Admission
from immune.approvals import Approvals
from immune.casework import Casework
from immune.clock import Clock
from immune.columns import Names
from immune.departures import Departures
from immune.desk import OperatorDesk
from immune.detection import BaselineLearner, Sentinel
from immune.detection.fleet import FleetWatch
from immune.diagnosis.diagnostician import Diagnostician
from immune.errands import Errands
from immune.fleetwork import Fleetwork
from immune.healing.healer import Healer
from immune.liftings import Liftings
from immune.memory import ImmuneMemory
from immune.modes import Modes
from immune.notices import Notices
from immune.orchestrator import ImmuneSystemOrchestrator
from immune.ports import AgentLink, Notifier, TelemetryStore, WorkflowStore
from immune.probations import Probations
from immune.quarantine import QuarantineController
from immune.relay import OutboxRelay
from immune.savings import Savings
from immune.settings import Settings
from immune.supervisor import Supervisor
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
    identity_rules: Mapping[str, str] | None = None,
) -> System:
    """Build the system on opened stores; nothing runs yet.

    `identity_rules`: agent id -> the rule that its spans were recognised by, as it grows; None
    where no spans are taken.
    """
    supervisor = Supervisor(clock)
    collector = TelemetryCollector(telemetry, names, clock, settings.intake, supervisor)
    learner = BaselineLearner(settings.detection, names)
    sentinel = Sentinel(learner, settings.detection, names)
    quarantine = QuarantineController(settings.brake)
    casework = Casework(workflow, quarantine, clock, supervisor)
    watch = FleetWatch(
        settings.detection.rules.fleet, names, settings.detection.episodes.fence_from_severity
    )
    fleetwork = Fleetwork(
        casework=casework,
        workflow=workflow,
        learner=learner,
        sentinel=sentinel,
        watch=watch,
        clock=clock,
    )
    probations = Probations(
        casework=casework,
        learner=learner,
        telemetry=telemetry,
        workflow=workflow,
        names=names,
        clock=clock,
        cases=settings.cases,
        params=settings.healing.trial,
        companions=fleetwork.companions,
    )
    liftings = Liftings(
        casework=casework, probations=probations, learner=learner, link=link, cases=settings.cases
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
    relay = OutboxRelay(
        workflow=workflow,
        casework=casework,
        errands=Errands(
            casework=casework,
            liftings=liftings,
            learner=learner,
            sentinel=sentinel,
            link=link,
            clock=clock,
            cases=settings.cases,
            outbox=settings.outbox,
            applied=probations.begin,
            keep=savings.keep,
        ),
        notices=Notices(notifier, clock, settings.outbox.notices_a_minute),
        supervisor=supervisor,
        clock=clock,
        params=settings.outbox,
    )
    diagnostician = Diagnostician()
    healer = Healer(settings.healing, ImmuneMemory(settings.healing.memory))
    orchestrator = ImmuneSystemOrchestrator(
        settings=settings,
        clock=clock,
        supervisor=supervisor,
        workflow=workflow,
        telemetry=telemetry,
        collector=collector,
        learner=learner,
        sentinel=sentinel,
        diagnostician=diagnostician,
        healer=healer,
        quarantine=quarantine,
        modes=modes,
        casework=casework,
        admission=Admission(
            settings=settings,
            clock=clock,
            workflow=workflow,
            collector=collector,
            learner=learner,
            diagnostician=diagnostician,
            healer=healer,
            quarantine=quarantine,
            modes=modes,
            casework=casework,
            probations=probations,
            fleetwork=fleetwork,
            link=link,
        ),
        approvals=Approvals(casework, settings.cases),
        probations=probations,
        liftings=liftings,
        fleetwork=fleetwork,
        relay=relay,
        savings=savings,
        departures=Departures(
            collector=collector,
            sentinel=sentinel,
            watch=watch,
            fleetwork=fleetwork,
            casework=casework,
            quarantine=quarantine,
            modes=modes,
            memory=healer.memory,
            workflow=workflow,
            clock=clock,
            params=settings.intake,
            keep=savings.keep,
        ),
        link=link,
    )
    return System(
        orchestrator,
        OperatorDesk(orchestrator),
        Views(orchestrator, __version__, {} if identity_rules is None else identity_rules),
        collector,
        names,
    )
