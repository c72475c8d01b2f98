"""The watched return: feeds fresh vitals to the trials, and tells the cases how they ended.

A trial belongs to an incident on probation or to a treatment being lifted (`liftings` hears how
that one ended). Trials live in memory only: after a restart each is begun anew and fed from the
stored vitals, and stands where it was.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass

import numpy as np

from immune.casework import Casework
from immune.clock import Clock
from immune.columns import KIND_CODE, Float32, Float64, Names, VitalColumns, from_vitals
from immune.detection import BaselineLearner
from immune.detection.findings import Finding, Source
from immune.healing.actions import Treatment, TreatmentState
from immune.healing.params import TrialParams
from immune.healing.treatments import lift_trial
from immune.healing.trial import Trial, TrialState, Verdict
from immune.incidents import events as e
from immune.incidents.incident import Incident
from immune.incidents.states import State
from immune.ports import TelemetryStore, WorkflowStore
from immune.settings import CaseSettings
from immune.vitals import Kind, Metric

OUTAGE_S = 60.0
"""Seconds of an outage's other members that an agent on trial is compared with."""


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
        telemetry: TelemetryStore,
        workflow: WorkflowStore,
        names: Names,
        clock: Clock,
        cases: CaseSettings,
        params: TrialParams,
        companions: Callable[[str], Sequence[str]],
    ) -> None:
        """`companions` names the agents that suffer an open outage together with one."""
        self._casework = casework
        self._learner = learner
        self._telemetry = telemetry
        self._workflow = workflow
        self._names = names
        self._clock = clock
        self._cases = cases
        self._params = params
        self._companions = companions
        self._watches: dict[str, _Watch] = {}
        self.lift_decided: Callable[[str, Verdict], Awaitable[None]] = _nobody
        """Called with the treatment's id when the trial of its lifting is over."""

    async def load(self) -> None:
        """Begin again, from stored vitals, every trial that was running before a restart."""
        for incident in self._casework.open_incidents():
            if incident.state is State.PROBATION:
                self.begin(incident)
        for treatment in list(self._casework.treatments.values()):
            if treatment.state is not TreatmentState.LIFTING:
                continue
            if self._casework.open_of(treatment.agent_id) is None:
                await self.begin_lift(treatment)
            else:  # its new case took over, and is watched itself
                await self.lift_decided(treatment.id, Verdict.RELAPSED)
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

    async def begin_lift(self, treatment: Treatment) -> None:
        """Watch an agent whose treatment has just been taken back."""
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
            watch.last_fresh_at = max(watch.last_fresh_at, _heard_at(columns, rows))
            await self._freshened(watch)
            shift = self._shift(watch, float(columns.at[rows[-1]]))
            watch.state = watch.trial.feed(started, columns.values[rows], shift)
            if watch.state.verdict is not Verdict.UNDECIDED:
                await self._decided(watch, watch.state, float(columns.at[rows[-1]]))

    async def _decided(self, watch: _Watch, state: TrialState, at: float) -> None:
        if watch.treatment_id:
            await self.lift_decided(watch.treatment_id, state.verdict)
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

    def _shift(self, watch: _Watch, at: float) -> Float32:
        """How far others have moved from their normal meanwhile: that is not this agent's doing."""
        companions = self._companions(watch.agent_id)
        # an outage comes and goes at once, so only the last minute tells
        since = max(watch.since, at - OUTAGE_S) if companions else watch.since
        return self._learner.peer_shift(watch.agent_id, watch.kind, since, companions)

    async def _freshened(self, watch: _Watch) -> None:
        """Fresh steps came: a probation that was stale is so no more."""
        if not watch.treatment_id and self._is_stale(watch):
            await self._tell(watch, e.Resumed(at=watch.last_fresh_at))

    def _is_stale(self, watch: _Watch) -> bool:
        incident = self._casework.open_of(watch.agent_id)
        return incident is not None and incident.probation is not None and incident.probation.stale

    async def _tell(self, watch: _Watch, event: e.AnyEvent) -> None:
        # a person may have ended the probation meanwhile
        await self._casework.apply_unless_overtaken(watch.incident_id, event)

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
            elif not self._is_stale(watch):
                await self._tell(watch, e.Stale(at=now))

    async def superseded(self, agent_id: str) -> None:
        """A new case of an agent whose treatment was being lifted takes over."""
        watch = self._watches.get(agent_id)
        if watch is not None and watch.treatment_id:
            await self.lift_decided(watch.treatment_id, Verdict.RELAPSED)
            del self._watches[agent_id]


async def _nobody(treatment_id: str, verdict: Verdict) -> None:
    raise AssertionError(f"nobody hears that the lifting of {treatment_id} is {verdict}")


def _heard_at(columns: VitalColumns, rows: np.ndarray[tuple[int], np.dtype[np.intp]]) -> float:
    """When we heard of the latest of `rows`, by our clock where we know it."""
    received = columns.received_at[rows]
    return float(np.where(received > 0, received, columns.at[rows]).max())


def started_at(columns: VitalColumns, rows: np.ndarray[tuple[int], np.dtype[np.intp]]) -> Float64:
    """When the steps of `rows` began, epoch seconds: their end less their latency, if measured.

    Nothing makes a step younger than its host says: what looks like a clock that is behind may be
    a delay, and then the step may be from before what it is to prove.
    """
    latency_s = np.nan_to_num(columns.values[rows, Metric.LATENCY_MS], nan=0.0) / 1000.0
    started: Float64 = columns.at[rows] - latency_s
    if columns.moved_s is not None:
        started -= np.maximum(columns.moved_s[rows], 0)
    return started
