"""Turns evidence and the rules beside it into findings: who left normal, since when, how badly.

One episode per stream runs from the first crossing of a tier until the evidence has fallen back.
Within it the Sentinel speaks when a tier is crossed, and later only when the picture has changed.
What becomes of a finding is decided by others.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import NamedTuple

import msgspec
import numpy as np

from immune.columns import KIND_CODE, KINDS, Float32, Int32, Names, VitalColumns
from immune.detection.baseline import BaselineLearner
from immune.detection.findings import Facts, Finding, MetricEffect, Source, Subsided, Tier
from immune.detection.hits import Hit
from immune.detection.grouping import Indices, Runs, grown
from immune.detection.limits import HardLimits
from immune.detection.onset import affected_lanes, effects_since, find_onset
from immune.detection.params import DetectionParams
from immune.detection.repetition import Repetition
from immune.detection.severity import SEVERE, severity, tempered
from immune.detection.silence import Silence
from immune.detection.thresholds import DAY_S, steps_per_day, thresholds
from immune.vitals import Kind


@dataclass(slots=True)
class Observation:
    """What came of a batch or a sweep."""

    findings: list[Finding] = field(default_factory=list)
    subsided: list[Subsided] = field(default_factory=list)
    scored: int = 0
    """Vitals scored."""


class Levels(NamedTuple):
    """Where every stream stands; arrays of one length."""

    agent: Int32
    kind: Int32
    evidence: Float32
    suspicion: Float32
    quarantine: Float32


@dataclass(slots=True)
class _Episode:
    onset_at: float
    tier: Tier | None = None
    """The highest told; None before the first word."""
    sources: set[Source] = field(default_factory=set)
    affected: frozenset[str] = frozenset()
    severity: float = 0.0
    could_fence: bool = False
    steps: int = 0
    spoke: int = 0
    """Step of the last word."""
    crossed: int = 0
    """Step of the last crossing or hit."""


class Sentinel:
    """Watches all streams.

    >>> from immune.columns import from_vitals
    >>> from immune.vitals import Vital
    >>> names, params = Names(), DetectionParams()
    >>> sentinel = Sentinel(BaselineLearner(params, names), params, names)
    >>> rng = np.random.default_rng(1)
    >>> latency = 800 * np.exp(0.4 * rng.standard_normal(640)) * np.where(np.arange(640) < 600, 1, 5)
    >>> steps = [Vital(agent_id="a", at=float(t), latency_ms=x) for t, x in enumerate(latency)]
    >>> found = sentinel.observe(from_vitals(steps, names)).findings
    >>> [str(finding.tier) for finding in found[:2]], 595 < found[0].onset_at < 605
    (['suspicion', 'quarantine'], True)
    """

    def __init__(self, learner: BaselineLearner, params: DetectionParams, names: Names) -> None:
        self._learner = learner
        self._params = params
        self._names = names
        self._limits = HardLimits(params.rules.limits, names)
        self._repetition = Repetition(params.rules.repetition, names)
        self._silence = Silence(params.rules.silence, names)
        self.facts = learner.facts
        self._episodes: dict[tuple[int, int], _Episode] = {}
        self._watched = np.zeros(0, np.bool_)
        """Streams with an open episode."""
        self._now = 0.0
        """The latest time that a vital or a sweep told."""

    # ---- what happens

    def observe(self, columns: VitalColumns) -> Observation:
        """Score a batch, learn it, and say what crossed. Vitals are in order of `at`."""
        seen = Observation(scored=len(columns))
        if not len(columns):
            return seen
        runs = Runs.of(self._learner.admit(columns))
        self._make_room()
        for part, streams in runs.rounds():
            self._score(columns, part, streams, seen)
        for hit in self._limits.observe(columns):
            self._take(hit, seen)
        for hit in self._repetition.observe(columns):
            self._take(hit, seen)
        self._silence.observe(columns)
        self._silence.returned(columns)
        self._now = max(self._now, float(columns.at[-1]))
        return seen

    def sweep(self, now: float) -> Observation:
        """Look for what no vital can tell: silence. `now` is epoch seconds."""
        seen = Observation()
        self._now = max(self._now, now)
        for hit in self._silence.sweep(now):
            self._take(hit, seen)
        return seen

    def _score(self, columns: VitalColumns, part: Indices, streams: Indices, seen: Observation) -> None:
        """Score one vital each of these streams."""
        suspicion, quarantine = self._thresholds(streams)
        at = columns.at[part]
        evidence, _ = self._learner.observe(streams, at, columns.values[part], quarantine)
        ready = self._learner.seen[streams] >= self._params.learning.samples_ready
        of_interest = (ready & (evidence >= suspicion)) | self._watched[streams]
        for i in np.flatnonzero(of_interest).tolist():
            nats = float(evidence[i])
            self._follow(
                int(streams[i]), float(at[i]), nats, float(suspicion[i]), float(quarantine[i]), seen
            )

    def _follow(
        self,
        row: int,
        at: float,
        nats: float,
        suspicion: float,
        quarantine: float,
        seen: Observation,
    ) -> None:
        """Carry a stream's episode on by one step."""
        p = self._params.episodes
        episode = self._episodes.get(self._slot(row)) or self._begin(row, at)
        episode.steps += 1
        if nats >= suspicion:
            episode.crossed = episode.steps
            tier = Tier.QUARANTINE if nats >= quarantine else Tier.SUSPICION
            news = episode.tier is None or Source.EVIDENCE not in episode.sources
            if news or (tier is Tier.QUARANTINE and episode.tier is not Tier.QUARANTINE):
                values_at, values = self._learner.ring.last(row)
                episode.onset_at = find_onset(values_at, values, self._learner.normal(row)).at
                nats_of_tier = quarantine if tier is Tier.QUARANTINE else suspicion
                self._speak(row, episode, tier, Source.EVIDENCE, at, nats, nats_of_tier, seen)
                return
        if episode.tier is not None and episode.steps - episode.spoke >= p.speak_every_steps:
            nats_of_tier = quarantine if episode.tier is Tier.QUARANTINE else suspicion
            if nats >= suspicion:
                self._speak_if_news(row, episode, at, nats, nats_of_tier, seen)
        wait = p.subsided_steps
        if episode.sources == {Source.SILENCE}:
            wait = p.returned_steps
        fallen = nats < p.subsided_share * suspicion
        if fallen and episode.steps - episode.crossed >= wait:
            self._end(row)
            agent, kind = self._slot(row)
            seen.subsided.append(Subsided(self._names.agents.text(agent), KINDS[kind], at))

    def _take(self, hit: Hit, seen: Observation) -> None:
        """Turn a rule's hit into a finding, unless it says what was just said."""
        row = self._learner.stream(self._names.agents.text(hit.agent), KINDS[hit.kind])
        if row is None:
            return
        episode = self._episodes.get(self._slot(row))
        if episode is None:
            episode = self._begin(row, hit.at if hit.onset_at is None else hit.onset_at)
        episode.crossed = episode.steps
        known = hit.source in episode.sources and (
            hit.tier is not Tier.QUARANTINE or episode.tier is Tier.QUARANTINE
        )
        if known and episode.steps - episode.spoke < self._params.episodes.speak_every_steps:
            return
        if hit.onset_at is not None:
            episode.onset_at = min(episode.onset_at, hit.onset_at)
        self._speak(row, episode, hit.tier, hit.source, hit.at, 0.0, 0.0, seen, hit)

    # ---- findings

    def _speak(
        self,
        row: int,
        episode: _Episode,
        tier: Tier,
        source: Source,
        at: float,
        nats: float,
        nats_of_tier: float,
        seen: Observation,
        hit: Hit | None = None,
    ) -> None:
        finding = self._finding(row, episode, tier, source, at, nats, nats_of_tier, hit)
        if episode.tier is not Tier.QUARANTINE:
            episode.tier = tier
        episode.sources.add(source)
        episode.affected = frozenset(effect.metric for effect in finding.affected)
        episode.severity = finding.severity
        episode.could_fence = finding.can_fence
        episode.spoke = episode.steps
        seen.findings.append(finding)

    def _speak_if_news(
        self,
        row: int,
        episode: _Episode,
        at: float,
        nats: float,
        nats_of_tier: float,
        seen: Observation,
    ) -> None:
        """Tell again, if a metric joined, the severity rose, or what could not fence now can."""
        assert episode.tier is not None  # noqa: S101 (for mypy; the caller checks)
        now = self._finding(
            row, episode, episode.tier, Source.EVIDENCE, at, nats, nats_of_tier, None
        )
        joined = {effect.metric for effect in now.affected} - episode.affected
        worse = now.severity >= episode.severity + self._params.episodes.severity_step
        severe = now.severity >= SEVERE > episode.severity
        fence = now.can_fence and not episode.could_fence and episode.tier is Tier.QUARANTINE
        if joined or worse or severe or fence:
            self._speak(
                row, episode, episode.tier, Source.EVIDENCE, at, nats, nats_of_tier, seen
            )

    def _finding(
        self,
        row: int,
        episode: _Episode,
        tier: Tier,
        source: Source,
        at: float,
        nats: float,
        nats_of_tier: float,
        hit: Hit | None,
    ) -> Finding:
        agent, kind = self._slot(row)
        effects = self._effects(row, episode.onset_at)
        facts = self.facts.facts(agent, kind, episode.onset_at)
        score = tempered(
            severity(effects, hit.severity_floor if hit else 0.0),
            self._usd_per_hour(row, effects),
            self._params.episodes.severe_from_usd_per_hour,
        )
        if hit is not None:
            facts = _joined(facts, hit.facts)
            why_not = hit.why_not
            can_fence = hit.can_fence
        else:
            can_fence, why_not = True, ""
        if can_fence and source is not Source.HARD_LIMIT:
            lanes = np.flatnonzero(affected_lanes(effects)) if hit is None else None
            standing = self._learner.standing(row, lanes)
            can_fence, why_not = standing.can_fence, standing.why_not
        least = self._params.episodes.fence_from_severity
        if can_fence and hit is None and score < least and not facts.new_tools:
            can_fence = False
            why_not = f"the harm is small: severity {score:.1f}, and fences stand from {least:.1f}"
        return Finding(
            agent_id=self._names.agents.text(agent),
            kind=KINDS[kind],
            tier=tier,
            source=source,
            at=at,
            onset_at=episode.onset_at,
            evidence=nats,
            threshold=nats_of_tier,
            severity=score,
            effects=effects,
            facts=facts,
            can_fence=can_fence,
            why_not=why_not,
        )

    def _effects(self, row: int, since: float) -> tuple[MetricEffect, ...]:
        at, values = self._learner.ring.last(row)
        normal = self._learner.normal(row)
        return effects_since(values[at >= since], normal, self._params.episodes)

    def _usd_per_hour(self, row: int, effects: tuple[MetricEffect, ...]) -> float:
        steps = float(steps_per_day(self._learner.kernel.block[[row]])[0])
        more = sum(e.now - e.normal for e in effects if e.metric == "cost_usd" and e.affected)
        pace = max((e.ratio for e in effects if e.metric == "interval_s" and e.affected), default=1)
        return more * pace * steps / (DAY_S / 3600)

    # ---- episodes

    def _slot(self, row: int) -> tuple[int, int]:
        return int(self._learner.agent[row]), int(self._learner.kind[row])

    def _begin(self, row: int, at: float) -> _Episode:
        episode = self._episodes[self._slot(row)] = _Episode(onset_at=at)
        self._watched[row] = True
        return episode

    def _end(self, row: int) -> None:
        self._episodes.pop(self._slot(row), None)
        self._watched[row] = False

    def _make_room(self) -> None:
        self._watched = grown(self._watched, len(self._learner.agent), 0)

    def _thresholds(self, streams: Indices) -> tuple[Float32, Float32]:
        steps = steps_per_day(self._learner.kernel.block[streams])
        return thresholds(self._params.budgets, steps, self._learner.n_agents)

    # ---- what others order and ask

    def forget(self, agent_id: str) -> None:
        """Set the agent's evidence to zero and end its episodes: its incident has closed, or its
        probation begins."""
        rows = self._learner.streams_of_agent(agent_id)
        self._make_room()
        for row in rows.tolist():
            self._end(row)
        self._learner.kernel.calm(rows)
        self._repetition.forget(self._names.agents.code(agent_id))

    def retire(self, agent_id: str) -> None:
        """Drop all that is known of the agent, the learner's part included."""
        self.forget(agent_id)
        self._learner.retire(agent_id)
        code = self._names.agents.code(agent_id)
        for rule in (self._limits, self._repetition, self._silence):
            rule.retire(code)

    def pause(self, agent_id: str) -> None:
        """Expect no steps of this agent: it is fenced, not silent."""
        self._silence.pause(self._names.agents.code(agent_id))

    def resume(self, agent_id: str, now: float | None = None) -> None:
        """Expect its steps again, from `now` on, else from the latest time that was told."""
        code = self._names.agents.code(agent_id)
        self._silence.resume(code, self._now if now is None else now)

    def restart(self, now: float) -> None:
        """Start the clocks of silence anew: it was us who were away."""
        self._now = max(self._now, now)
        self._silence.restart(now)

    def ready_agents(self) -> set[int]:
        """Return the codes of the agents that have a baseline to be judged by."""
        rows = self._learner.streams()
        ready = self._learner.seen[rows] >= self._params.learning.samples_ready
        return set(self._learner.agent[rows[ready]].tolist())

    def evidence(self, agent_id: str) -> float:
        """Return the agent's evidence now, in nats; 0 for one never seen."""
        rows = self._learner.streams_of_agent(agent_id)
        return float(self._learner.kernel.evidence(rows)[0].max(initial=0.0))

    def levels(self) -> Levels:
        """Return where every stream stands."""
        rows = self._learner.streams()
        suspicion, quarantine = self._thresholds(rows)
        return Levels(
            self._learner.agent[rows],
            self._learner.kind[rows],
            self._learner.kernel.evidence(rows)[0],
            suspicion,
            quarantine,
        )

    def recent_onset(self, agent_id: str, kind: Kind) -> float | None:
        """Return the likeliest onset of whatever the agent's evidence shows; None if unknown."""
        row = self._learner.stream(agent_id, kind)
        if row is None:
            return None
        episode = self._episodes.get((self._names.agents.code(agent_id), KIND_CODE[kind]))
        if episode is not None:
            return episode.onset_at
        at, values = self._learner.ring.last(row)
        return find_onset(at, values, self._learner.normal(row)).at if len(at) else None

    def recent_effects(self, agent_id: str, kind: Kind) -> tuple[MetricEffect, ...]:
        """Return what happened to each metric since the agent's likeliest onset; () if unknown."""
        row = self._learner.stream(agent_id, kind)
        onset_at = self.recent_onset(agent_id, kind)
        return () if row is None or onset_at is None else self._effects(row, onset_at)


def _joined(facts: Facts, said: Facts) -> Facts:
    """Return what the book knows, and over it what the rule said."""
    blank = Facts()
    news = {
        label: value
        for label in Facts.__struct_fields__
        if (value := getattr(said, label)) != getattr(blank, label)
    }
    return msgspec.structs.replace(facts, **news)
