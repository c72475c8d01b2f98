"""What detection tells the rest of the house.

A `Finding` is evidence that crossed a tier, with what a person and the diagnosis need to judge it:
since when, how many times worse, on which metrics, and which facts changed with it. A
`BaselineProfile` is an agent's learned normal in numbers that outlive the process.
"""

from __future__ import annotations

import enum

import msgspec

from immune.vitals import Kind


class Tier(enum.StrEnum):
    """How sure detection is, in the words of a budget that a person set."""

    SUSPICION = "suspicion"
    """At most one false one per agent-day."""
    QUARANTINE = "quarantine"
    """At most one false one per 1,000 agent-days, and two per week for the fleet."""


class Source(enum.StrEnum):
    """Which rule spoke."""

    EVIDENCE = "evidence"
    """The sequential statistic over the metrics."""
    HARD_LIMIT = "hard_limit"
    REPETITION = "repetition"
    SILENCE = "silence"
    DRIFT = "drift"
    """Too slow for the statistic, whose baseline follows it."""


class MetricEffect(msgspec.Struct, frozen=True):
    """What happened to one metric since the onset.

    `ratio` is how many times worse than normal (above 1 is worse, also for the interval, where
    fewer seconds are worse); for retries and errors read `increase`, the rise of the probability.
    """

    metric: str
    ratio: float
    normal: float
    """Typical value of the baseline, in the metric's unit (a probability for rare metrics)."""
    now: float
    """Typical value since the onset, in the metric's unit."""
    increase: float = 0.0
    """now - normal for retries and errors, as probabilities; 0 for the others."""
    evidence: float = 0.0
    """Nats of the onset scan on this metric alone; 0 where it is unaffected."""
    affected: bool = False
    """Whether the onset scan counts this metric among those that left normal."""


class Facts(msgspec.Struct, frozen=True):
    """What changed around the agent, apart from numbers, since the onset."""

    prompt_hash_changed: bool = False
    model_changed: bool = False
    new_tools: tuple[str, ...] = ()
    """Tools never used in the baseline."""
    failing_tool: str | None = None
    """The tool that most failed calls belong to, if one stands out."""
    repeated_tool: str | None = None
    """The tool called again and again with the same arguments and no progress."""
    repeats: int = 0
    silent_s: float = 0.0
    limit: str | None = None
    """The hard limit that was passed, in words."""
    error_types: tuple[str, ...] = ()


class Finding(msgspec.Struct, frozen=True):
    """Evidence that crossed a tier."""

    agent_id: str
    kind: Kind
    tier: Tier
    source: Source
    at: float
    """Epoch seconds of the step that crossed, or of the moment where no step came."""
    onset_at: float
    """Estimated start of the change, epoch seconds."""
    evidence: float
    """Nats; 0 for rules that are not statistical."""
    threshold: float
    """Nats of the tier for this agent."""
    severity: float
    """0..10: harm, not surprise."""
    effects: tuple[MetricEffect, ...] = ()
    facts: Facts = Facts()
    can_fence: bool = True
    """False where the baseline is too young to fence on, or for silence."""
    why_not: str = ""
    """Why it can't fence, in words; empty where it can."""

    @property
    def affected(self) -> tuple[MetricEffect, ...]:
        """The effects on the metrics that left normal."""
        return tuple(effect for effect in self.effects if effect.affected)


def worst(
    known: tuple[MetricEffect, ...], news: tuple[MetricEffect, ...]
) -> tuple[MetricEffect, ...]:
    """Join what is known of each metric with news of it: affected once is affected, at its worst.

    A later look dilutes an effect with steps that were well, or misses it altogether.
    """
    joined = {effect.metric: effect for effect in known}
    for effect in news:
        before = joined.get(effect.metric)
        if (
            before is None
            or effect.affected > before.affected
            or (
                effect.affected == before.affected
                and (effect.ratio, effect.increase) > (before.ratio, before.increase)
            )
        ):
            joined[effect.metric] = effect
    return tuple(joined.values())


class Subsided(msgspec.Struct, frozen=True):
    """A watched agent's evidence has fallen back to where it was."""

    agent_id: str
    kind: Kind
    at: float


class MetricProfile(msgspec.Struct, frozen=True):
    """One metric's learned normal.

    For positive metrics `centre` and `spread` are the mean and standard deviation of log(1+x)
    (cost in micro-USD); for counts they are those of log(1+x) too, with `mean` and `dispersion`
    (variance / mean) of the count itself; for retries and errors `rate` is the probability that a
    step has at least one.
    """

    metric: str
    samples: float
    centre: float
    spread: float
    median: float
    low: float
    """1st percentile, in the metric's unit."""
    high: float
    """99th percentile, in the metric's unit."""
    rate: float = 0.0
    mean: float = 0.0
    dispersion: float = 1.0


class BaselineProfile(msgspec.Struct, frozen=True):
    """One (agent, kind)'s learned normal, as shown and as stored with an incident."""

    agent_id: str
    kind: Kind
    samples: float
    """Own samples learned so far."""
    ready: bool
    can_fence: bool
    metrics: tuple[MetricProfile, ...]

    def metric(self, label: str) -> MetricProfile | None:
        """The profile of one metric, or None where it was never seen."""
        return next((m for m in self.metrics if m.metric == label), None)
