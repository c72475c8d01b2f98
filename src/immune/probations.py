"""The watched return: feeds fresh vitals to the trials, and tells the cases how they ended.

A trial belongs to an incident on probation or to a treatment being lifted. Trials live in memory
only: after a restart each is begun anew and fed from the stored vitals, and stands where it was.
"""

from __future__ import annotations

from dataclasses import dataclass

import msgspec
import numpy as np
import structlog

from immune.casework import Casework
from immune.clock import Clock
from immune.columns import KIND_CODE, Float64, Names, VitalColumns, from_vitals
from immune.detection import BaselineLearner
from immune.detection.findings import Finding, Source
from immune.errors import ActionFailed, IllegalEvent, NotFound, Unreachable
from immune.healing.actions import Treatment, TreatmentState
from immune.healing.params import TrialParams
from immune.healing.treatments import due, ended, learns, lift_trial, lifting, settled
from immune.healing.trial import Trial, TrialState, Verdict
from immune.incidents import effects as fx
from immune.incidents import events as e
from immune.incidents.incident import Incident
from immune.incidents.states import State
from immune.ports import AgentLink, TelemetryStore, WorkflowStore
from immune.settings import CaseSettings
from immune.vitals import Kind, Metric

log = structlog.get_logger(__name__)


@dataclass(slots=True)
class _Watch:
    incident_id: str
    treatment_id: str
    """Of the treatment being lifted; empty for an incident's probation."""
    agent_id: str
    kind: Kind
    trial: Trial
    since: float
    last_fresh_at: float
    state: TrialState | None = None


class Probations:
    """The running trials, by agent."""

    def __init__(
        self,
        *,
        casework: Casework,
        learner: BaselineLearner,
        link: AgentLink,
        telemetry: TelemetryStore,
        workflow: WorkflowStore,
        names: Names,
        clock: Clock,
        cases: CaseSettings,
        params: TrialParams,
    ) -> None:
        self._casework = casework
        self._learner = learner
        self._link = link
        self._telemetry = telemetry
        self._workflow = workflow
        self._names = names
        self._clock = clock
        self._cases = cases
        self._params = params
        self._watches: dict[str, _Watch] = {}

    async def load(self) -> None:
        """Begin again, from stored vitals, every trial that was running before a restart."""
        for incident in self._casework.open_incidents():
            if incident.state is State.PROBATION:
                self.begin(incident)
        for treatment in list(self._casework.treatments.values()):
            if treatment.state is TreatmentState.LIFTING:
                await self._begin_lift(treatment)
        for watch in list(self._watches.values()):
            vitals = await self._telemetry.read(watch.agent_id, kind=watch.kind, since=watch.since)
            if vitals:
                await self.feed(from_vitals(vitals, self._names))

    # --- beginning ---------------------------------------------------------------------------

    def begin(self, incident: Incident) -> None:
        """Watch an incident that has just gone on probation."""
        assert incident.probation is not None
        since = incident.probation.since
        trial = Trial.begin(
            incident.finding, incident.baseline, incident.probation.action, since, self._params
        )
        self._watch(incident, trial, since)

    async def _begin_lift(self, treatment: Treatment) -> None:
        incident = await self._workflow.incident(treatment.incident_id)
        assert incident is not None
        assert treatment.lifted_at is not None
        trial = lift_trial(treatment, incident.finding, incident.baseline, self._params)
        self._watch(incident, trial, treatment.lifted_at, treatment.id)

    def _watch(
        self, incident: Incident, trial: Trial, since: float, treatment_id: str = ""
    ) -> None:
        kind = incident.baseline.kind if incident.baseline else Kind.RUN
        if incident.finding is not None:
            kind = incident.finding.kind
        self._watches[incident.agent_id] = _Watch(
            incident_id=incident.id,
            treatment_id=treatment_id,
            agent_id=incident.agent_id,
            kind=kind,
            trial=trial,
            since=since,
            last_fresh_at=since,
        )

    def noticed(self, finding: Finding) -> None:
        """The detector spoke about an agent on trial: nothing is verified past that."""
        watch = self._watches.get(finding.agent_id)
        if watch is None or finding.at <= watch.since:
            return
        if finding.source in (Source.HARD_LIMIT, Source.REPETITION):
            watch.trial.note_hit()
        watch.trial.widen(finding)

    def left(self, incident: Incident) -> None:
        """An incident is not on probation (any more): drop its trial, if one runs."""
        watch = self._watches.get(incident.agent_id)
        if watch is not None and watch.incident_id == incident.id and not watch.treatment_id:
            del self._watches[incident.agent_id]

    def state(self, agent_id: str) -> TrialState | None:
        """How far the agent's trial is."""
        watch = self._watches.get(agent_id)
        return None if watch is None else watch.state

    # --- running -----------------------------------------------------------------------------

    async def feed(self, columns: VitalColumns) -> None:
        """Give each trial the fresh steps of its agent, and act on those that are decided."""
        if not self._watches:
            return
        for watch in list(self._watches.values()):
            code = self._names.agents.code(watch.agent_id)
            rows = np.flatnonzero((columns.agent == code) & (columns.kind == KIND_CODE[watch.kind]))
            started = started_at(columns, rows)
            fresh = started > watch.since
            if not fresh.any():
                continue
            rows, started = rows[fresh], started[fresh]
            watch.last_fresh_at = max(watch.last_fresh_at, float(columns.at[rows[-1]]))
            shift = self._learner.peer_shift(watch.agent_id, watch.kind, watch.since)
            watch.state = watch.trial.feed(started, columns.values[rows], shift)
            if watch.state.verdict is not Verdict.UNDECIDED:
                await self._decided(watch, watch.state, float(columns.at[rows[-1]]))

    async def _decided(self, watch: _Watch, state: TrialState, at: float) -> None:
        if watch.treatment_id:
            await self._lift_decided(watch.treatment_id, state.verdict)
            if learns(self._casework.treatments_of(watch.agent_id)):
                self._learner.thaw(watch.agent_id, "discard")
        elif state.verdict is Verdict.CURED:
            await self._tell(watch, e.Verified(at=at, fresh_steps=state.fresh_steps))
        else:
            await self._tell(
                watch,
                e.Relapsed(
                    at=at,
                    why=state.reason,
                    fresh_steps=state.fresh_steps,
                    approval_deadline_at=at + self._cases.approval_deadline_s,
                ),
            )
        # only now: where the store was down, the next steps bring the verdict again
        if self._watches.get(watch.agent_id) is watch:
            del self._watches[watch.agent_id]

    async def _tell(self, watch: _Watch, event: e.Verified | e.Relapsed | e.Stale) -> None:
        try:
            await self._casework.apply(watch.incident_id, event)
        except (IllegalEvent, NotFound) as overtaken:  # a person ended the probation meanwhile
            log.info("overtaken", incident_id=watch.incident_id, reason=str(overtaken))

    async def overdue(self, now: float) -> None:
        """Flag the probations that see no fresh vitals; for silence that is the relapse itself."""
        for watch in list(self._watches.values()):
            if watch.treatment_id or now - watch.last_fresh_at < self._cases.stale_s:
                continue
            incident = self._casework.open_of(watch.agent_id)
            if incident is None or incident.id != watch.incident_id:
                continue  # ended while we were at the others
            if incident.finding is not None and incident.finding.source is Source.SILENCE:
                await self._tell(
                    watch,
                    e.Relapsed(
                        at=now,
                        why="still silent",
                        fresh_steps=0,
                        approval_deadline_at=now + self._cases.approval_deadline_s,
                    ),
                )
            elif incident.probation is not None and not incident.probation.stale:
                await self._tell(watch, e.Stale(at=now, stale_at=now + self._cases.stale_s))

    # --- treatments --------------------------------------------------------------------------

    async def lift_due(self, now: float) -> None:
        """Try to take back the treatments whose agents have stayed well for long enough."""
        for treatment in due(self._casework.treatments.values(), now):
            if self._casework.open_of(treatment.agent_id) is not None:
                continue
            try:
                answer = await self._link.lift(
                    treatment.agent_id, treatment, f"{treatment.id}/lift"
                )
            except (Unreachable, ActionFailed) as fault:
                log.warning("not lifted", treatment=treatment.id, reason=str(fault))
                later = ended(treatment, now, self._cases.stay_well_s)
                await self._casework.put_treatment(later)
                continue
            on_trial = lifting(treatment, answer.at)
            await self._casework.put_treatment(on_trial)
            await self._begin_lift(on_trial)
            if self._casework.open_of(treatment.agent_id) is not None:
                await self.superseded(treatment.agent_id)  # it fell ill while we waited

    async def _lift_decided(self, treatment_id: str, verdict: Verdict) -> None:
        treatment = settled(self._casework.treatments[treatment_id], verdict)
        if treatment.state is TreatmentState.LIFTED:
            await self._casework.put_treatment(treatment)
            return
        text = f"{treatment.agent_id} fell ill again without {treatment.action}: it is kept"
        try:
            await self._link.apply(treatment.agent_id, treatment.action, f"{treatment.id}/again")
        except (Unreachable, ActionFailed) as fault:
            # it is not in force, and no row may say so: the sickness gets a case of its own
            treatment = msgspec.structs.replace(treatment, state=TreatmentState.LIFTED)
            text = (
                f"{treatment.agent_id} fell ill again without {treatment.action}, "
                f"and it could not be ordered again: {fault}"
            )
        await self._casework.put_treatment(
            treatment,
            fx.Notify(
                key=f"{treatment.id}/kept",
                agent_id=treatment.agent_id,
                topic=fx.Topic.TREATMENT_KEPT,
                incident_id=treatment.incident_id,
                text=text,
            ),
        )

    async def superseded(self, agent_id: str) -> None:
        """A new case of an agent whose treatment was being lifted takes over."""
        watch = self._watches.get(agent_id)
        if watch is not None and watch.treatment_id:
            del self._watches[agent_id]
            await self._lift_decided(watch.treatment_id, Verdict.RELAPSED)


def started_at(columns: VitalColumns, rows: np.ndarray[tuple[int], np.dtype[np.intp]]) -> Float64:
    """When the steps of `rows` began, epoch seconds: their end less their latency, if measured."""
    latency_s = np.nan_to_num(columns.values[rows, Metric.LATENCY_MS], nan=0.0) / 1000.0
    started: Float64 = columns.at[rows] - latency_s
    return started
