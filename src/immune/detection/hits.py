"""What a rule beside the statistic says: a hard limit, a repetition, a silence, a slow drift.

Rules speak in codes and rows; the `Sentinel` turns a hit into a `Finding`.
"""

from __future__ import annotations

from dataclasses import dataclass

from immune.detection.findings import Facts, MetricEffect, Source, Tier


@dataclass(frozen=True, slots=True)
class Hit:
    """One rule's word on one agent."""

    agent: int
    """Code in `Names.agents`."""
    kind: int
    """Index into `columns.KINDS`."""
    at: float
    """Epoch seconds."""
    tier: Tier
    source: Source
    facts: Facts
    severity_floor: float = 0.0
    """8 for a hard limit, 5 for a repetition."""
    can_fence: bool = True
    why_not: str = ""
    onset_at: float | None = None
    """Where the rule knows it better than the scan of the metrics."""
    effects: tuple[MetricEffect, ...] | None = None
    """The same for what happened to the metrics."""
