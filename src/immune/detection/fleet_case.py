"""One fleet finding, what is known of it while it is open, and what several explain together.

An agent may be of a type with a new release and of a provider that fails: it suffers both, and
neither alone explains what it shows.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import msgspec
import numpy as np

from immune.detection.agent_set import AgentSet
from immune.detection.change import (
    ERRORS,
    PART_OF,
    PARTS,
    RARE,
    SIZED,
    TIME,
    Typical,
    beyond,
    change_of,
    recent_of,
)
from immune.detection.findings import Finding, Source, Tier
from immune.detection.rule_params import FleetParams
from immune.detection.severity import at_least, severity
from immune.vitals import Metric

FleetKind = Literal["outage", "release", "telemetry_gap"]
Subject = tuple[str, str, str, str]


class FleetFinding(msgspec.Struct, frozen=True):
    """One change of many agents."""

    kind: FleetKind
    dimension: str
    """provider, model, tool, agent_type, or fleet."""
    name: str
    """Of the provider, model, tool or type."""
    members: tuple[str, ...]
    """Agent ids known when it was found; `FleetWatch.members_of` knows the later ones."""
    metrics: tuple[str, ...]
    """What left normal in most of them; empty for a release and a gap."""
    at: float
    """Epoch seconds."""
    onset_at: float
    share: float
    """Of the group's active agents."""
    text: str
    fact: str = ""
    """For a release: prompt_hash or model."""
    value: str = ""
    """For a release: the new one."""

    @property
    def subject(self) -> Subject:
        """What it is about; at most one finding is open for a subject."""
        return (self.kind, self.dimension, self.name, self.value)


@dataclass(slots=True)
class Case:
    """An open finding; agents by their codes."""

    finding: FleetFinding
    members: AgentSet
    group: AgentSet
    typical: Typical | None
    """What the typical member suffers; None where nothing was measured yet."""
    measured_at: float
    calm_since: float | None = None
    told: bool = False
    """Whether it was said that it has subsided."""

    def bears_on(self, agent: int, single: Finding, params: FleetParams) -> bool:
        """Return whether an agent's own finding may be a part of this one, by who and when."""
        if self.finding.kind == "telemetry_gap" or single.source is Source.SILENCE:
            silence_in_gap = (self.finding.kind, single.source) == ("telemetry_gap", Source.SILENCE)
            return silence_in_gap and agent in self.group
        if single.onset_at < self.finding.onset_at - params.within_s:
            return False
        if self.finding.kind == "release" and agent in self.members:
            return True
        # one of the type whose new prompt or model was not told shows what the others show
        return agent in self.group and self.typical is not None

    @property
    def concerned(self) -> AgentSet:
        """Who suffers it or will: an outage takes one agent of its group after the other."""
        return self.group if self.finding.kind == "outage" else self.members

    def explains_parts(self) -> Typical | None:
        """Return what is no news on those concerned; None where nothing was measured yet."""
        if self.typical is None or self.finding.kind == "telemetry_gap":
            return None
        affected = self.typical.affected.copy()
        # whoever waits too long fails, and errors show later than latency
        affected[ERRORS] |= self.finding.kind == "outage" and affected[TIME]
        return Typical(affected, self.typical.size)

    def is_past_release(self, single: Finding, params: FleetParams) -> bool:
        """Return whether this is a release that was over when the agent's finding began."""
        over_at = self.finding.onset_at + params.within_s
        return self.finding.kind == "release" and single.onset_at > over_at


def shared(cases: Sequence[Case]) -> Typical:
    """Return what the typical member of all these open findings at once suffers."""
    affected, size = np.zeros(len(PARTS), np.bool_), np.zeros(len(PARTS))
    for case in cases:
        if case.typical is not None:
            more = np.where(case.typical.affected, case.typical.size, 0.0)
            affected = affected | case.typical.affected
            for part in range(len(PARTS)):
                rare = part in RARE
                size[part] += more[part] * (1 - size[part]) if rare else more[part]
    return Typical(affected, size)


def explained(cases: Sequence[Case], single: Finding, params: FleetParams) -> bool:
    """Return whether an agent's finding is but a part of these open findings that bear on it.

    Never where a hard limit or a repetition spoke; and not where the agent certainly suffers more
    than the typical member, or in metrics that the others don't.
    """
    if not cases or single.source in (Source.HARD_LIMIT, Source.REPETITION):
        return False
    if any(case.finding.kind == "telemetry_gap" for case in cases):
        return True
    told = single.facts.prompt_hash_changed or single.facts.model_changed
    if told and any(case.typical is None for case in cases):
        return True  # a release whose harm is not measured yet
    change, typical = change_of(recent_of(single), params), shared(cases)
    touched = bool((change.affected & typical.affected).any())
    if not told and all(case.is_past_release(single, params) for case in cases):
        # long after it, only what is no larger than what the others show
        larger = (change.size - typical.size)[SIZED] > math.log(params.beyond_ratio)
        touched &= not bool((larger & change.affected[SIZED]).any())
    more = beyond(change, typical, params)
    if single.source is Source.EVIDENCE and _nats(single, more) < params.certain_nats:
        more = []  # healthy agents have so much by chance; if it is sickness, it grows
    return (touched or told) and not more


def _nats(single: Finding, parts: Sequence[str]) -> float:
    """Return the evidence of these parts' affected metrics."""
    affected = (e for e in single.effects if e.affected and _part(e.metric) in parts)
    return sum(effect.evidence for effect in affected)


def _part(metric: str) -> str:
    return PARTS[PART_OF[Metric[metric.upper()]]]


def own_part(
    cases: Sequence[Case], single: Finding, params: FleetParams, least_harm: float
) -> Finding:
    """Return a finding without the effects that these open findings explain.

    What is left is judged as if it were all: it is a suspicion where it does not make the evidence
    of a quarantine by itself, as severe as its own harm, and fences from `least_harm` on. With all
    its effects, where nothing is left of them.
    """
    if not cases:
        return single
    typical = shared(cases)
    more = beyond(change_of(recent_of(single), params), typical, params)
    of_fleet = {PARTS[part] for part in np.flatnonzero(typical.affected).tolist()}
    if typical.affected[TIME]:
        of_fleet.add(PARTS[ERRORS])  # whoever waits too long fails, as `beyond` has it
    effects = tuple(
        msgspec.structs.replace(effect, affected=False)
        if _part(effect.metric) in of_fleet.difference(more)
        else effect
        for effect in single.effects
    )
    if single.source in (Source.HARD_LIMIT, Source.REPETITION):
        return msgspec.structs.replace(single, effects=effects)
    left = [effect.evidence for effect in effects if effect.affected]
    if not left:
        return msgspec.structs.replace(single, tier=Tier.SUSPICION)
    own = msgspec.structs.replace(
        single, effects=effects, severity=min(single.severity, severity(effects))
    )
    if sum(left) < single.threshold:
        return msgspec.structs.replace(own, tier=Tier.SUSPICION)
    sure = severity(at_least(effects))
    if own.can_fence and sure < least_harm and not own.facts.new_tools:
        why_not = f"the harm beside the fleet's is small: severity {sure:.1f} is sure"
        return msgspec.structs.replace(own, can_fence=False, why_not=why_not)
    return own
