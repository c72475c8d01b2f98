"""One episode per stream: from the first crossing of a tier until the evidence has fallen back.

An episode remembers what was told, so that the `Sentinel` speaks when a tier is crossed and later
only when the picture has changed: a metric joined, the severity rose, or what could not fence can.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import NamedTuple

from immune.detection.findings import Finding, Source, Tier
from immune.detection.params import EpisodeParams
from immune.detection.severity import SEVERE


class Level(NamedTuple):
    """Where a stream stands after a step, in nats."""

    at: float
    """End of the step, epoch seconds."""
    evidence: float
    suspicion: float
    quarantine: float

    @property
    def tier(self) -> Tier | None:
        """The highest tier that is crossed."""
        if self.evidence >= self.quarantine:
            return Tier.QUARANTINE
        return Tier.SUSPICION if self.evidence >= self.suspicion else None

    def threshold(self, tier: Tier) -> float:
        """Return the nats of a tier."""
        return self.quarantine if tier is Tier.QUARANTINE else self.suspicion


@dataclass(slots=True)
class Episode:
    """What is going on with a stream, and what was said of it."""

    onset_at: float
    tier: Tier | None = None
    """The highest told; None before the first word."""
    seen: Tier | None = None
    """The highest that the evidence has crossed."""
    sources: set[Source] = field(default_factory=set)
    steps: int = 0
    """Steps of the stream since it began."""
    looked: int = 0
    """Step of the last look at the stored samples."""
    crossed: int = 0
    """Step of the last crossing or hit."""
    risen: int = 0
    """Step at which the evidence first crossed the tier in `seen`."""
    affected: frozenset[str] = frozenset()
    severity: float = 0.0
    could_fence: bool = False

    def step(self, level: Level, params: EpisodeParams) -> Tier | None:
        """Count a step; return the tier that must be looked at now, or None.

        A tier that is not told yet is looked at when it is crossed, and then again from time to
        time, until it can be told.
        """
        self.steps += 1
        tier = level.tier
        if tier is None:
            return None
        self.crossed = self.steps
        first = self.seen is not Tier.QUARANTINE and self.seen is not tier
        if first:
            self.seen, self.risen = tier, self.steps
        untold = self.rises_to(tier, Source.EVIDENCE)
        return tier if untold and (first or self.may_look(params)) else None

    def rises_to(self, tier: Tier, source: Source) -> bool:
        """Whether this would be the first word of its source, or a higher tier than was told."""
        higher = tier is Tier.QUARANTINE and self.tier is not Tier.QUARANTINE
        return source not in self.sources or higher

    def may_look(self, params: EpisodeParams) -> bool:
        """Whether it is time for another look: every step while a tier just crossed can't be told
        or fenced yet, from time to time after that."""
        settled = self.tier is self.seen and (self.could_fence or self.seen is Tier.SUSPICION)
        if not settled and self.steps - self.risen < 2 * params.speak_every_steps:
            return True
        return self.steps - self.looked >= params.speak_every_steps

    def is_news(self, finding: Finding, params: EpisodeParams) -> bool:
        """Whether a finding says what was not said before."""
        joined = {effect.metric for effect in finding.affected} - self.affected
        worse = finding.severity >= self.severity + params.severity_step
        severe = finding.severity >= SEVERE > self.severity
        fences = finding.can_fence and not self.could_fence and finding.tier is Tier.QUARANTINE
        return bool(joined) or worse or severe or fences

    def told(self, finding: Finding) -> None:
        """Remember what was said."""
        if self.tier is not Tier.QUARANTINE:
            self.tier = finding.tier
        self.sources.add(finding.source)
        self.affected = frozenset(effect.metric for effect in finding.affected)
        self.severity = finding.severity
        self.could_fence = finding.can_fence

    def is_over(self, level: Level, params: EpisodeParams) -> bool:
        """Whether the evidence has fallen back and stayed there."""
        silent = self.sources == {Source.SILENCE}
        wait = params.returned_steps if silent else params.subsided_steps
        fallen = level.evidence < params.subsided_share * level.suspicion
        return fallen and self.steps - self.crossed >= wait
