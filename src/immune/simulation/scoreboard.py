"""Keeps the score of a simulated run, with the ground truth that nobody else may read.

It is fed with what the orchestrator committed and with the steps that were made; it answers nobody
until the run is over, so nothing can learn from it.
"""

from __future__ import annotations

from collections import defaultdict, deque
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Protocol

import numpy as np
import numpy.typing as npt

from immune.columns import Float64, Names, VitalColumns
from immune.diagnosis.causes import Cause
from immune.healing.actions import DISRUPTION, Action
from immune.incidents import events as e
from immune.incidents.incident import Incident
from immune.incidents.states import FENCED, State
from immune.ports import IncidentEvent
from immune.simulation.infections import BENIGN, FLEETWIDE, Infection, Injection
from immune.simulation.report import (
    ActionTaken,
    InfectionSummary,
    InjectionRow,
    Report,
    Summary,
    quantile,
    share,
)

GRACE_S = 5.0
"""Seconds after a sickness ended by itself in which an alarm about it is no false one."""

HEARD_S = 60.0
"""Seconds after which every event of a time is long known here."""

FRESH_STEPS = 5
"""Fresh steps that a proof must rest on at least."""

RIGHT: dict[Infection, Cause | None] = {
    Infection.TOKEN_EXPLOSION: Cause.COST_OVERRUN,
    Infection.TOOL_LOOP: Cause.INFINITE_LOOP,
    Infection.LATENCY_SPIKE: Cause.TOOL_INSTABILITY,
    Infection.HIGH_RETRY_RATE: Cause.TOOL_INSTABILITY,
    Infection.PROMPT_DRIFT: Cause.PROMPT_DRIFT,
    Infection.MEMORY_CORRUPTION: Cause.MEMORY_CORRUPTION,
    Infection.FULL_MELTDOWN: None,
    Infection.COST_OVERRUN: Cause.COST_OVERRUN,
    Infection.PROMPT_INJECTION: Cause.PROMPT_INJECTION,
    Infection.SILENT: Cause.UNRESPONSIVE,
    Infection.PROVIDER_OUTAGE: Cause.EXTERNAL_CAUSE,
    Infection.RELEASE: None,
    Infection.BUSY_HOUR: None,
}
"""The right diagnosis of each infection; None: any."""


class Truth(Protocol):
    """What is really so. `chaos.GroundTruth` tells it; `chaos.NoisyTruth` lies."""

    @property
    def injections(self) -> Sequence[Injection]:
        """All so far, oldest first."""

    def is_sick(self, agent_id: str) -> bool:
        """Whether the law of the agent's vitals is a sick one now."""

    def is_sick_itself(self, agent_id: str) -> bool:
        """The same, leaving out what its provider or its type's release does to it."""

    def sick(self) -> frozenset[str]:
        """All agents that are sick now."""


@dataclass(slots=True)
class _Case:
    """An injection and what is known of it."""

    injection: Injection
    row: InjectionRow
    steps: int = 0
    """The agent's own steps since the injection, until it is contained, but for the last ones."""
    ends: deque[float] = field(default_factory=deque)
    """Ends of the last ones: of a case that nobody contains there would be no end of them."""
    verified: bool = False
    """The incident that resolved it last rested on enough fresh steps."""
    resolved_while_sick: bool = False

    def steps_until(self, at: float) -> int:
        return self.steps + sum(end <= at for end in self.ends)

    def follow(self, end: float) -> None:
        """The agent's next step ended."""
        self.ends.append(end)
        while self.ends[0] < end - HEARD_S:
            self.ends.popleft()
            self.steps += 1

    @property
    def right(self) -> bool:
        wanted = RIGHT[self.injection.infection]
        return wanted is None or self.row.diagnosis == wanted


@dataclass(slots=True)
class _Story:
    """An incident as its events tell it."""

    case: _Case | None = None
    contained: bool = False
    on_trial: bool = False
    """An action is on probation."""
    fresh_steps: int = 0


class Scoreboard:
    """Scores one run. `names` are those of the fleet's vitals, `start_at` is in epoch seconds.

    Let it see the steps before the system does: steps are counted up to the time of an event.
    """

    def __init__(
        self,
        truth: Truth,
        names: Names,
        *,
        seed: int = 0,
        agents: int = 0,
        start_at: float = 0.0,
        warmup_s: float = 0.0,
    ) -> None:
        self._truth = truth
        self._names = names
        self._seed = seed
        self._agents = agents
        self._start_at = start_at
        self._warmup_s = warmup_s
        self._cases: list[_Case] = []
        self._of_agent: dict[str, list[_Case]] = defaultdict(list)
        self._following: dict[int, list[_Case]] = {}
        """Code of an agent -> its cases whose steps still count."""
        self._stories: dict[str, _Story] = {}
        self._last_sick: dict[str, float] = {}
        self._steps = self._healthy_steps = self._refused = 0
        self.false_suspicions: list[str] = []
        """Incidents opened on agents that were well."""
        self.false_quarantines: list[str] = []
        """Incidents that fenced agents that were well."""
        self.shared_quarantines: list[str] = []
        """Incidents that fenced agents that only an outage or a release had struck: not false,
        but a fleet incident would have been the better answer."""
        self._asked: set[str] = set()
        self._relapsed = 0
        self._applied: list[Action] = []

    # --- what it is fed with ------------------------------------------------------------------

    def saw(self, columns: VitalColumns, now: float, refused: int = 0) -> None:
        """Steps were made since the last call and until `now`; `refused` ones were not, in all."""
        self._catch_up()
        sick = self._truth.sick()
        for agent_id in sick:
            self._last_sick[agent_id] = now
        self._steps += len(columns)
        self._refused = refused
        codes = np.array([self._names.agents.code(a) for a in sick], np.int32)
        self._healthy_steps += len(columns) - int(np.isin(columns.agent, codes).sum())
        if self._following:
            followed = np.array(list(self._following), np.int32)
            self._follow(columns, np.flatnonzero(np.isin(columns.agent, followed)))

    def _follow(self, columns: VitalColumns, rows: npt.NDArray[np.intp]) -> None:
        at: Float64 = columns.at
        for row in rows.tolist():
            for case in self._following[int(columns.agent[row])]:
                if at[row] > case.injection.at:
                    case.follow(float(at[row]))

    def record(self, event: IncidentEvent, incident: Incident) -> None:
        """An event was committed; `incident` is as it is after it."""
        self._catch_up()
        happened = event.event
        story = self._stories.get(incident.id)
        if story is None:
            story = self._stories[incident.id] = _Story()
            # the brake's own incident says nothing about anybody's health
            if incident.subject.kind != "brake" and not self._is_sick(incident, happened.at):
                self.false_suspicions.append(incident.id)
        if story.case is None:
            self._attribute(story, incident, happened.at)
        if incident.state in FENCED and not story.contained:
            story.contained = True
            if not self._is_sick(incident, happened.at):
                self.false_quarantines.append(incident.id)
            elif not self._is_sick_itself(incident):
                self.shared_quarantines.append(incident.id)
        if incident.state is State.AWAITING_APPROVAL:
            self._asked.add(incident.id)
        if isinstance(happened, e.Applied):
            self._applied.append(happened.action)
        if isinstance(happened, e.Relapsed):
            self._relapsed += story.on_trial
        if story.case is not None:
            self._tell(story, story.case, happened, incident)
        if isinstance(happened, e.Applied):
            story.on_trial = True
        elif isinstance(happened, e.Verified | e.Relapsed | e.Released):
            story.on_trial = False

    def _tell(self, story: _Story, case: _Case, event: e.Event, incident: Incident) -> None:
        row = case.row
        if row.steps_to_suspect is None:
            row.steps_to_suspect = case.steps_until(event.at)
        if incident.state in FENCED and row.steps_to_contain is None:
            row.steps_to_contain = case.steps_until(event.at)
            self._stop_following(case)
        row.severity = max(row.severity or 0.0, incident.severity)
        row.asked_human |= incident.state is State.AWAITING_APPROVAL
        if incident.state in FENCED and row.diagnosis is None and incident.diagnosis is not None:
            row.diagnosis = str(incident.diagnosis.cause)
        if isinstance(event, e.Applied):
            row.actions.append(ActionTaken(action=str(event.action), applied=True))
        elif isinstance(event, e.Failed | e.Unreachable):
            row.actions.append(ActionTaken(action=str(event.action), applied=False))
        elif isinstance(event, e.Verified | e.Relapsed) and story.on_trial and row.actions:
            # no action where the sickness came while the trial of an earlier one ran
            row.actions[-1].verified = isinstance(event, e.Verified)
        if isinstance(event, e.Verified):
            story.fresh_steps = event.fresh_steps
        if incident.state is State.RESOLVED:
            row.resolved_at_s = event.at - self._start_at
            case.verified = story.fresh_steps >= FRESH_STEPS
            case.resolved_while_sick |= self._is_sick_itself(incident)
            self._stop_following(case)

    # --- truth --------------------------------------------------------------------------------

    def _catch_up(self) -> None:
        """Take in the injections given since the last look."""
        for injection in self._truth.injections[len(self._cases) :]:
            row = InjectionRow(
                agent_id=injection.agent_id,
                infection=str(injection.infection),
                strain=injection.strain,
                at_s=injection.at - self._start_at,
            )
            case = _Case(injection, row)
            self._cases.append(case)
            if injection.infection not in FLEETWIDE:
                self._of_agent[injection.agent_id].append(case)
            code = self._names.agents.code(injection.agent_id)
            self._following.setdefault(code, []).append(case)

    def _stop_following(self, case: _Case) -> None:
        code = self._names.agents.code(case.injection.agent_id)
        left = [other for other in self._following.get(code, ()) if other is not case]
        if left:
            self._following[code] = left
        else:
            self._following.pop(code, None)

    def _attribute(self, story: _Story, incident: Incident, at: float) -> None:
        """Find the injection that the incident is about, if it is about any."""
        if incident.is_fleet:
            cases = [
                case
                for case in self._cases
                if case.injection.infection in FLEETWIDE
                and not set(case.injection.members).isdisjoint(incident.members)
            ]
        else:
            cases = self._of_agent[incident.agent_id]
            if not self._is_sick(incident, at):
                return
        known = [case for case in cases if case.injection.at <= at]
        if known:
            story.case = known[-1]

    def _is_sick(self, incident: Incident, at: float) -> bool:
        """Whether its agent (for a fleet: any member) is sick, or was a moment ago."""
        subjects = incident.members if incident.is_fleet else (incident.agent_id,)
        return any(
            self._truth.is_sick(agent_id)
            or at - self._last_sick.get(agent_id, float("-inf")) <= GRACE_S
            for agent_id in subjects
        )

    def _is_sick_itself(self, incident: Incident) -> bool:
        subjects = incident.members if incident.is_fleet else (incident.agent_id,)
        return any(self._truth.is_sick_itself(agent_id) for agent_id in subjects)

    # --- the score ----------------------------------------------------------------------------

    @property
    def _scored(self) -> list[_Case]:
        """The cases that somebody should have contained: an agent's own sicknesses."""
        return [c for c in self._cases if c.injection.infection not in FLEETWIDE | BENIGN]

    @property
    def by_infection(self) -> dict[str, InfectionSummary]:
        """The figures of each kind of infection that was given."""
        groups: dict[str, list[_Case]] = defaultdict(list)
        for case in self._cases:
            groups[case.row.infection].append(case)
        return {name: _summary(cases) for name, cases in groups.items()}

    def report(
        self, now: float, *, cpu_s: float | None = None, simulator_cpu_s: float | None = None
    ) -> Report:
        """The run until `now`. CPU times are measured by whoever ran it."""
        self._catch_up()
        cases = self._scored
        contained = [c for c in cases if c.row.steps_to_contain is not None]
        resolved = [c for c in cases if c.row.resolved_at_s is not None]
        steps = [c.row.steps_to_contain for c in contained]
        disruption = sum(DISRUPTION[action] for action in self._applied)
        tried = self._steps + self._refused
        return Report(
            seed=self._seed,
            agents=self._agents,
            seconds=now - self._start_at,
            warmup_s=self._warmup_s,
            injections=[case.row for case in self._cases],
            summary=Summary(
                agent_steps=self._steps,
                healthy_agent_steps=self._healthy_steps,
                injected=len(cases),
                contained=len(contained),
                median_steps_to_contain=quantile(steps, 0.5),
                p90_steps_to_contain=quantile(steps, 0.9),
                false_suspicions=len(self.false_suspicions),
                false_quarantines=len(self.false_quarantines),
                resolved=len(resolved),
                resolved_while_sick=sum(c.resolved_while_sick for c in cases),
                asked_human=len(self._asked),
                actions_applied=len(self._applied),
                actions_relapsed=self._relapsed,
                verified_on_fresh_vitals=sum(c.verified for c in resolved),
                mean_disruption_per_cure=disruption / len(resolved) if resolved else None,
                right_diagnosis=share([c.right for c in contained]),
                availability=self._steps / tried if tried else None,
                cpu_s=cpu_s,
                simulator_cpu_s=simulator_cpu_s,
            ),
        )


def _summary(cases: list[_Case]) -> InfectionSummary:
    rows = [case.row for case in cases]
    contained = [case for case in cases if case.row.steps_to_contain is not None]
    return InfectionSummary(
        injected=len(rows),
        suspected=sum(row.steps_to_suspect is not None for row in rows),
        contained=len(contained),
        resolved=sum(row.resolved_at_s is not None for row in rows),
        median_steps_to_suspect=quantile((row.steps_to_suspect for row in rows), 0.5),
        median_steps_to_contain=quantile((row.steps_to_contain for row in rows), 0.5),
        p90_steps_to_contain=quantile((row.steps_to_contain for row in rows), 0.9),
        right_diagnosis=share([case.right for case in contained]),
    )
