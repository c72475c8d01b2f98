"""What the system would have said of a recording, each step scored before the next was seen.

Agent by agent, as the Sentinel would: shared causes are not told apart, and silence is not judged,
as a recording does not say when it was listened to. Baselines freeze at a finding's onset and go on
when its evidence has subsided, as they do in the house. What a quarantine would have stopped is
what the agent did from then on, until it was back to normal or its own recording ended.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import pairwise

import msgspec
import numpy as np

from immune.backtest.recording import Recording
from immune.columns import KINDS, Float32, Float64, Names, Rows, VitalColumns, from_vitals
from immune.detection import BaselineLearner, DetectionParams, Finding, Sentinel, Tier
from immune.detection.thresholds import steps_per_day, thresholds
from immune.diagnosis.diagnostician import Diagnostician
from immune.vitals import Kind, Metric

_BATCH_MAX = 256


class Case(msgspec.Struct, kw_only=True):
    """One agent that would have been suspected, and what came of it."""

    agent_id: str
    kind: Kind
    onset_at: float
    """Epoch seconds, as all times here."""
    suspected_at: float
    quarantined_at: float | None = None
    """When it would have been fenced; None where it would not."""
    why_not: str = ""
    """Why the worst finding could not fence; empty where it could, or never came to it."""
    subsided_at: float | None = None
    severity: float = 0.0
    cause: str = ""
    why: tuple[str, ...] = ()
    stopped_h: float = 0.0
    """Hours that it would have stood still."""
    steps_after: int = 0
    """Steps that it took in those hours."""
    usd_after: float = 0.0
    """What it spent in them."""
    tokens_after: float = 0.0


class Hindsight(msgspec.Struct):
    """What a recording comes to."""

    agents: int
    steps: int
    hours: float
    """From the first step to the last."""
    refused: int
    refusals: list[str]
    repeated: int
    """Steps that the recording holds more than once; they count once."""
    unknown: dict[str, int]
    """Fields that nobody knows, and how often each occurred."""
    cases: list[Case]
    suspected: int
    """Agents."""
    quarantined: int
    """Agents."""
    stopped_h: float
    usd_after: float


@dataclass(slots=True)
class Scores:
    """One row for each step, in order of time; evidence and thresholds in nats."""

    agent: list[str] = field(default_factory=list)
    kind: list[str] = field(default_factory=list)
    at: list[float] = field(default_factory=list)
    evidence: list[float] = field(default_factory=list)
    suspicion: list[float] = field(default_factory=list)
    quarantine: list[float] = field(default_factory=list)


class Backtest:
    """A recording on its way through the Sentinel."""

    def __init__(self, params: DetectionParams) -> None:
        self._params = params
        self._names = Names()
        self._learner = BaselineLearner(params, self._names)
        self._sentinel = Sentinel(self._learner, params, self._names)
        self._diagnostician = Diagnostician()
        self._open: dict[tuple[str, Kind], Case] = {}
        self.cases: list[Case] = []
        self.scores = Scores()

    def run(self, recording: Recording) -> Hindsight:
        """Watch the whole recording."""
        columns = from_vitals(recording.vitals, self._names)
        columns.values[:, Metric.INTERVAL_S] = _intervals(columns)
        for part in _parts(columns):
            self._watch(columns.take(part))
        for case in self.cases:
            self._count(case, columns)
        fenced = [case for case in self.cases if case.quarantined_at is not None]
        return Hindsight(
            agents=len(np.unique(columns.agent)),
            steps=len(columns),
            hours=float(columns.at[-1] - columns.at[0]) / 3600,
            refused=recording.refused,
            refusals=recording.refusals,
            repeated=recording.repeated,
            unknown=recording.unknown,
            cases=self.cases,
            suspected=len({case.agent_id for case in self.cases}),
            quarantined=len({case.agent_id for case in fenced}),
            stopped_h=sum(case.stopped_h for case in fenced),
            usd_after=sum(case.usd_after for case in fenced),
        )

    def _watch(self, columns: VitalColumns) -> None:
        """Take in some steps, of no agent more than one."""
        seen = self._sentinel.observe(columns)
        self._score(columns)
        for finding in seen.findings:
            self._found(finding)
        for subsided in seen.subsided:
            case = self._open.pop((subsided.agent_id, subsided.kind), None)
            if case is not None:
                case.subsided_at = subsided.at
                self._learner.thaw(subsided.agent_id, "learn")

    def _score(self, columns: VitalColumns) -> None:
        rows, _ = self._learner.streams.of_batch(columns)
        kernel, scores = self._learner.kernel, self.scores
        suspicion, quarantine = thresholds(
            self._params.budgets,
            steps_per_day(kernel.intervals(rows)),
            self._learner.streams.n_agents,
        )
        scores.agent += [self._names.agents.text(code) for code in columns.agent.tolist()]
        scores.kind += [str(KINDS[code]) for code in columns.kind.tolist()]
        scores.at += columns.at.tolist()
        scores.evidence += kernel.evidence(rows)[0].tolist()
        scores.suspicion += suspicion.tolist()
        scores.quarantine += quarantine.tolist()

    def _found(self, finding: Finding) -> None:
        slot = (finding.agent_id, finding.kind)
        case = self._open.get(slot)
        if case is None:
            case = self._open[slot] = Case(
                agent_id=finding.agent_id,
                kind=finding.kind,
                onset_at=finding.onset_at,
                suspected_at=finding.at,
            )
            self.cases.append(case)
            self._learner.freeze(finding.agent_id, finding.onset_at)
        if finding.tier is Tier.QUARANTINE and case.quarantined_at is None:
            case.why_not = finding.why_not
            case.quarantined_at = finding.at if finding.can_fence else None
        if finding.severity >= case.severity:
            case.severity = finding.severity
            diagnosis = self._diagnostician.diagnose(finding)
            case.cause, case.why = str(diagnosis.ranked[0].cause), diagnosis.reasons

    def _count(self, case: Case, columns: VitalColumns) -> None:
        """Say what the agent did while it would have stood still."""
        if case.quarantined_at is None:
            return
        own = columns.agent == self._names.agents.code(case.agent_id)
        until = float(columns.at[own][-1]) if case.subsided_at is None else case.subsided_at
        case.stopped_h = (until - case.quarantined_at) / 3600
        after = own & (columns.at > case.quarantined_at) & (columns.at <= until)
        values = columns.values[after]
        case.steps_after = len(values)
        case.usd_after = float(np.nansum(values[:, Metric.COST_USD], dtype=np.float64))
        tokens = values[:, [Metric.INPUT_TOKENS, Metric.OUTPUT_TOKENS]]
        case.tokens_after = float(np.nansum(tokens, dtype=np.float64))


def _intervals(columns: VitalColumns) -> Float32:
    """Return the seconds since each stream's step before, (n,); NaN for its first."""
    stream = columns.agent.astype(np.int64) * len(KINDS) + columns.kind
    order = np.argsort(stream, kind="stable")
    gaps: Float64 = np.diff(columns.at[order], prepend=np.nan)
    gaps[np.flatnonzero(np.diff(stream[order], prepend=-1))] = np.nan
    intervals = np.empty(len(stream), np.float32)
    intervals[order] = gaps
    return intervals


def _parts(columns: VitalColumns) -> Iterator[Rows]:
    """Yield consecutive rows, as many at a time as have no agent twice."""
    cuts, seen = [0], set[int]()
    for row, agent in enumerate(columns.agent.tolist()):
        if agent in seen or len(seen) >= _BATCH_MAX:
            cuts.append(row)
            seen.clear()
        seen.add(agent)
    for first, behind in pairwise([*cuts, len(columns)]):
        yield np.arange(first, behind)
