"""Turns evidence and the rules beside it into findings: who left normal, since when, how badly.

Every vital is scored before it is learned. What crosses a tier opens an episode; what an episode
has to say becomes a `Finding`; what becomes of a finding is decided by others.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import NamedTuple

import msgspec
import numpy as np

from immune.columns import KINDS, Float32, Float64, Int32, Names, VitalColumns
from immune.detection import fleet
from immune.detection.baseline import BaselineLearner
from immune.detection.believed import believed
from immune.detection.change import Recent
from immune.detection.episodes import Episode, Level
from immune.detection.findings import Facts, Finding, MetricEffect, Source, Subsided, Tier
from immune.detection.grouping import Indices, grown
from immune.detection.hits import Hit
from immune.detection.limits import HardLimits
from immune.detection.onset import affected_lanes
from immune.detection.params import DetectionParams
from immune.detection.rounds import Rows, rounds
from immune.detection.scan import Scan
from immune.detection.severity import at_least, severity, tempered
from immune.detection.thresholds import steps_per_day, thresholds
from immune.vitals import Kind


@dataclass(slots=True)
class Observation:
    """What came of a batch or a sweep."""

    findings: list[Finding] = field(default_factory=list)
    subsided: list[Subsided] = field(default_factory=list)
    scored: int = 0
    """Vitals scored."""
    silences: list[Hit] = field(default_factory=list)
    """The silences among the findings, as the fleet's watch wants them."""


class Levels(NamedTuple):
    """Where every stream stands; arrays of one length, evidence and thresholds in nats."""

    agent: Int32
    kind: Int32
    evidence: Float32
    suspicion: Float32
    quarantine: Float32


class Sentinel:
    """Watches all streams.

    >>> from immune.columns import from_vitals
    >>> from immune.vitals import Vital
    >>> names, params, rng = Names(), DetectionParams(), np.random.default_rng(1)
    >>> sentinel = Sentinel(BaselineLearner(params, names), params, names)
    >>> latency = 800 * rng.lognormal(0, 0.4, 640) * np.repeat([1, 5], [600, 40])
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
        self._repetition, self._silence = learner.habits.repetition, learner.habits.silence
        self._scan = Scan(learner, params.episodes)
        self._episodes: dict[tuple[int, int], Episode] = {}
        """By codes of agent and kind."""
        self._watched = np.zeros(0, np.bool_)
        """Streams with an open episode."""
        self._cured_at = np.zeros(0)
        """When each stream's agent was last cured, epoch seconds; 0 where it never was."""
        self._now = 0.0
        """The latest time that a vital or a sweep told."""

    # ---- what happens

    def observe(self, columns: VitalColumns) -> Observation:
        """Score a batch, learn it, and say what crossed. Vitals are in order of `at`.

        What no step can have (`believed`) is neither scored nor learned. A call costs about 0.1 ms
        and each vital half a microsecond more: hand over together what came together.
        """
        columns = believed(columns)
        seen = Observation(scored=len(columns))
        if not len(columns):
            return seen
        self._now = max(self._now, float(columns.at[-1]))
        rows = self._learner.admit(columns)
        self._make_room()
        for part, streams in rounds(rows):
            self._score(columns, part, streams, seen)
        for hit in self._limits.observe(columns) + self._repetition.observe(columns):
            self._take(hit, seen)
        self._silence.observe(columns)
        self._silence.returned(columns)
        for hit in self._learner.drifts(self._now):
            self._take(hit, seen)
        return seen

    def sweep(self, now: float) -> Observation:
        """Look for what no vital can tell: silence. `now` is epoch seconds."""
        self._now = max(self._now, now)
        self._make_room()  # after a restart an agent may be silent before any vital came
        seen = Observation(silences=self._silence.sweep(now))
        for hit in seen.silences:
            self._take(hit, seen)
        return seen

    def _score(
        self, columns: VitalColumns, part: Rows, streams: Indices, seen: Observation
    ) -> None:
        """Score one vital each of these streams, and follow those that need it."""
        suspicion, quarantine = self._thresholds(streams)
        at = columns.at[part]
        evidence = self._learner.observe(streams, at, columns.values[part], quarantine)
        ready = self._learner.seen[streams] >= self._params.learning.samples_ready
        of_interest = (ready & (evidence >= suspicion)) | self._watched[streams]
        for i in of_interest.nonzero()[0].tolist():
            level = Level(
                float(at[i]), float(evidence[i]), float(suspicion[i]), float(quarantine[i])
            )
            self._follow(int(streams[i]), level, seen)

    def _follow(self, row: int, level: Level, seen: Observation) -> None:
        """Carry a stream's episode on by one step."""
        p = self._params.episodes
        episode = self._episodes.get(self._slot(row)) or self._begin(row, level.at)
        tier = episode.step(level, p)
        if tier is not None:
            episode.onset_at = self._scan.onset(row, float(self._cured_at[row])) or level.at
            self._tell(row, episode, tier, level, seen, first=True)
        elif level.tier is not None and episode.tier is not None and episode.may_look(p):
            self._tell(row, episode, episode.tier, level, seen, first=False)
        if episode.is_over(level, p) and not self._learner.drift.stands(row):
            self._end(row)
            if episode.tier is not None:
                agent, kind = self._slot(row)
                name = self._names.agents.text(agent)
                seen.subsided.append(Subsided(name, KINDS[kind], level.at))

    def _tell(
        self,
        row: int,
        episode: Episode,
        tier: Tier,
        level: Level,
        seen: Observation,
        *,
        first: bool,
    ) -> None:
        """Look at the stored samples and say what they show, if it names a metric and is news.

        The tier must be reached by the metrics that are named: a shift too small to matter may lend
        its evidence to nobody.
        """
        episode.looked = episode.steps
        effects = self._scan.effects(row, episode.onset_at)
        lanes = affected_lanes(effects)
        named = level._replace(evidence=self._learner.kernel.evidence_of(row, lanes))
        if named.tier is not level.tier:
            if named.tier is None:
                return
            tier, first = named.tier, first and episode.tier is None
        threshold = level.threshold(tier)
        finding = self._finding(row, episode, effects, tier, level.at, named.evidence, threshold)
        if first or episode.is_news(finding, self._params.episodes):
            episode.told(finding)
            seen.findings.append(finding)

    def _take(self, hit: Hit, seen: Observation) -> None:
        """Turn a rule's hit into a finding, unless the same was said a few steps ago."""
        row = self._learner.stream(self._names.agents.text(hit.agent), KINDS[hit.kind])
        if row is None:
            return
        episode = self._episodes.get((hit.agent, hit.kind))
        if episode is None:
            episode = self._begin(row, hit.at if hit.onset_at is None else hit.onset_at)
        episode.crossed = episode.steps
        news = episode.rises_to(hit.tier, hit.source)
        if not news and not episode.may_look(self._params.episodes):
            return
        episode.looked = episode.steps
        if hit.onset_at is not None:
            episode.onset_at = min(episode.onset_at, hit.onset_at)
        effects = hit.effects
        if effects is None:
            effects = self._scan.effects(row, episode.onset_at)
        finding = self._finding(row, episode, effects, hit.tier, hit.at, 0.0, 0.0, hit)
        if news or episode.is_news(finding, self._params.episodes):
            episode.told(finding)
            seen.findings.append(finding)

    def _finding(
        self,
        row: int,
        episode: Episode,
        effects: tuple[MetricEffect, ...],
        tier: Tier,
        at: float,
        evidence: float,
        threshold: float,
        hit: Hit | None = None,
    ) -> Finding:
        agent, kind = self._slot(row)
        facts = self._learner.facts.facts(agent, kind, episode.onset_at)
        if hit is not None:
            facts = _joined(facts, hit.facts)
        score = tempered(
            severity(effects, hit.severity_floor if hit else 0.0),
            self._scan.usd_per_hour(row, effects),
            self._params.episodes.severe_from_usd_per_hour,
        )
        why_not = self._why_not(row, effects, facts, hit)
        return Finding(
            agent_id=self._names.agents.text(agent),
            kind=KINDS[kind],
            tier=tier,
            source=hit.source if hit else Source.EVIDENCE,
            at=at,
            onset_at=episode.onset_at,
            evidence=evidence,
            threshold=threshold,
            severity=score,
            effects=effects,
            facts=facts,
            can_fence=not why_not,
            why_not=why_not,
        )

    def _why_not(
        self,
        row: int,
        effects: tuple[MetricEffect, ...],
        facts: Facts,
        hit: Hit | None,
    ) -> str:
        """Return why a finding can't fence, in words; empty where it can."""
        if hit is not None and not hit.can_fence:
            return hit.why_not or "this rule never fences"
        if hit is not None and hit.source is Source.HARD_LIMIT:
            return ""
        lanes = np.flatnonzero(affected_lanes(effects)) if hit is None else None
        standing = self._learner.standing(row, lanes)
        if standing.why_not:
            return standing.why_not
        least = self._params.episodes.fence_from_severity
        sure = severity(at_least(effects))
        if hit is None and sure < least and not facts.new_tools:
            return f"the harm is small: severity {sure:.1f} is sure, and fences stand from {least}"
        return ""

    # ---- episodes

    def _slot(self, row: int) -> tuple[int, int]:
        return int(self._learner.streams.agent[row]), int(self._learner.streams.kind[row])

    def _begin(self, row: int, at: float) -> Episode:
        episode = self._episodes[self._slot(row)] = Episode(onset_at=at)
        self._watched[row] = True
        return episode

    def _end(self, row: int) -> None:
        self._episodes.pop(self._slot(row), None)
        self._watched[row] = False

    def _make_room(self) -> None:
        self._watched = grown(self._watched, len(self._learner.streams), 0)
        self._cured_at = grown(self._cured_at, len(self._learner.streams), 0)

    def _thresholds(self, streams: Indices) -> tuple[Float32, Float32]:
        steps = steps_per_day(self._learner.kernel.intervals(streams))
        return thresholds(self._params.budgets, steps, self._learner.streams.n_agents)

    # ---- what others order

    def forget(self, agent_id: str, *, cured: bool = False) -> None:
        """Set the agent's evidence to zero and end its episodes: its incident has closed, or its
        probation begins. Where it was `cured`, no later finding's onset lies before that."""
        rows = self._learner.streams_of_agent(agent_id)
        self._make_room()
        for row in rows.tolist():
            self._end(row)
        if cured:
            self._cured_at[rows] = self._now
        self._learner.kernel.calm(rows)
        self._learner.drift.forget(rows)
        self._repetition.forget(self._names.agents.code(agent_id))

    def follow(self, finding: Finding) -> None:
        """Go on, after a restart, with the episode that an open incident's finding told of."""
        row = self._learner.stream(finding.agent_id, finding.kind)
        if row is None:
            return
        self._make_room()
        episode = self._begin(row, finding.onset_at)
        episode.seen = finding.tier
        episode.told(finding)

    def retire(self, agent_id: str) -> None:
        """Drop all that is known of the agent, the learner's part included."""
        self.forget(agent_id)
        self._learner.retire(agent_id)
        self._limits.retire(self._names.agents.code(agent_id))

    def accept(self, agent_id: str, since: float) -> None:
        """Tell no more of the loop that the agent was found in at `since`, epoch seconds, or later:
        a person called it a false alarm."""
        self._repetition.accept(self._names.agents.code(agent_id), since)

    def pause(self, agent_id: str) -> None:
        """Expect no steps of this agent: it is fenced, not silent."""
        self._silence.pause(self._names.agents.code(agent_id))

    def goodbye(self, agent_id: str, at: float) -> None:
        """Expect no steps after `at`, epoch seconds, until there is one: the agent said so."""
        self._silence.goodbye(self._names.agents.code(agent_id), at)

    def resume(self, agent_id: str, now: float | None = None) -> None:
        """Expect its steps again, from `now` on, else from the latest time that was told."""
        code = self._names.agents.code(agent_id)
        self._silence.resume(code, self._now if now is None else now)

    def restart(self, now: float) -> None:
        """Start the clocks of silence anew: it was us who were away."""
        self._now = max(self._now, now)
        self._silence.restart(now)

    # ---- what others ask

    def evidence(self, agent_id: str) -> float:
        """Return the agent's evidence now, in nats; 0 for one never seen."""
        rows = self._learner.streams_of_agent(agent_id)
        return float(self._learner.kernel.evidence(rows)[0].max(initial=0.0))

    def levels(self, agent_id: str | None = None) -> Levels:
        """Return where every stream stands, or those of one agent."""
        learner = self._learner
        rows = learner.streams.used() if agent_id is None else learner.streams_of_agent(agent_id)
        suspicion, quarantine = self._thresholds(rows)
        evidence, _ = self._learner.kernel.evidence(rows)
        return Levels(
            self._learner.streams.agent[rows],
            self._learner.streams.kind[rows],
            evidence,
            suspicion,
            quarantine,
        )

    def fleet_levels(self) -> fleet.Levels:
        """Return the same as `FleetWatch.watch` wants it, metric by metric."""
        rows = self._learner.streams.used()
        evidence, by_metric = self._learner.kernel.evidence(rows)
        return fleet.Levels(
            self._learner.streams.agent[rows], self._learner.streams.kind[rows], evidence, by_metric
        )

    def scan(self, agent: int, kind: int) -> Recent | None:
        """Return onset and effects of one stream, by codes; None if it has no samples."""
        row = self._learner.stream(self._names.agents.text(agent), KINDS[kind])
        if row is None:
            return None
        episode = self._episodes.get((agent, kind))
        return self._scan.recent(row, episode.onset_at if episode else None)

    def recent_effects(self, agent_id: str, kind: Kind) -> tuple[MetricEffect, ...]:
        """Return what happened to each metric since the agent's likeliest onset; () if unknown."""
        recent = self.scan(self._names.agents.code(agent_id), KINDS.index(kind))
        return () if recent is None else recent.effects

    def pace_s(self) -> Float64:
        """Return the usual seconds between two steps, by agent code; 0 where not known yet."""
        return self._learner.facts.interval_s

    def ready_agents(self) -> set[int]:
        """Return the codes of the agents that have a baseline to be judged by."""
        rows = self._learner.streams.used()
        ready = self._learner.seen[rows] >= self._params.learning.samples_ready
        return set(self._learner.streams.agent[rows[ready]].tolist())


def _joined(facts: Facts, said: Facts) -> Facts:
    """Return what the book knows, and over it what the rule said."""
    blank = Facts()
    news = {
        label: value
        for label in Facts.__struct_fields__
        if (value := getattr(said, label)) != getattr(blank, label)
    }
    return msgspec.structs.replace(facts, **news)
