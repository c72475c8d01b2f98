"""One fleet finding, and what is known of it while it is open."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import msgspec

from immune.detection.change import Change, Typical, beyond, change_of, recent_of
from immune.detection.findings import Finding, Source
from immune.detection.rule_params import FleetParams

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
    members: set[int]
    group: set[int]
    typical: Typical | None
    """What the typical member suffers; None where nothing was measured yet."""
    measured_at: float
    calm_since: float | None = None
    told: bool = False
    """Whether it was said that it has subsided."""

    def explains(self, agent: int, single: Finding, params: FleetParams) -> bool:
        """Return whether a member's own finding is but a part of this one."""
        if single.source in (Source.HARD_LIMIT, Source.REPETITION):
            return False
        if self.finding.kind == "telemetry_gap" or single.source is Source.SILENCE:
            silence_in_gap = (self.finding.kind, single.source) == ("telemetry_gap", Source.SILENCE)
            return silence_in_gap and agent in self.group
        if single.onset_at < self.finding.onset_at - params.within_s:
            return False
        change = change_of(recent_of(single), params)
        if self.finding.kind == "release":
            return self._explains_release(agent, single, change, params)
        if agent not in self.group or self.typical is None:
            return False
        touched = bool((change.affected & self.typical.affected).any())
        return touched and not beyond(change, self.typical, params)

    def _explains_release(
        self, agent: int, single: Finding, change: Change, params: FleetParams
    ) -> bool:
        told = single.facts.prompt_hash_changed or single.facts.model_changed
        if agent not in self.members or not told:
            return False
        return self.typical is None or not beyond(change, self.typical, params)
