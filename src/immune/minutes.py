"""What an agent did in each minute, for times whose single vitals may be gone.

Minutes are read from the sums that the telemetry store keeps for 30 days; those whose vitals were
not summed up yet, the minute still open among them, are summed up on reading: nothing is missing.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated

import msgspec

from immune.ports import Rollup, TelemetryStore
from immune.vitals import METRICS, Kind


class MinutesAsked(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Which minutes of an agent to read: the latest ones that began in a span of time."""

    kind: Kind | None = None
    """None: both, each minute of a kind by itself."""
    since: Annotated[float, msgspec.Meta(ge=0)] = 0.0
    """Epoch seconds."""
    until: Annotated[float, msgspec.Meta(ge=0)] | None = None
    """Epoch seconds; None: now."""
    limit: Annotated[int, msgspec.Meta(ge=1, le=10_000)] = 1440


class MetricSums(msgspec.Struct, frozen=True):
    """One metric over a minute, in the metric's unit."""

    count: int
    """Steps that measured it; at least 1."""
    sum: float
    mean: float
    max: float


class Minute(msgspec.Struct, frozen=True):
    """One minute of an agent's steps of one kind."""

    at: float
    """Its start, epoch seconds."""
    kind: Kind
    steps: int
    metrics: Mapping[str, MetricSums]
    """By the metric's name; without those that no step measured."""


async def read_minutes(
    telemetry: TelemetryStore, agent_id: str, asked: MinutesAsked
) -> list[Minute]:
    """Oldest first; of one minute by kind."""
    rollups = await telemetry.rollups(
        agent_id, kind=asked.kind, since=asked.since, until=asked.until
    )
    return [_minute(rollup) for rollup in rollups[-asked.limit :]]


def _minute(rollup: Rollup) -> Minute:
    return Minute(
        rollup.minute,
        rollup.kind,
        rollup.steps,
        {
            spec.metric.label: MetricSums(count, total, total / count, top)
            for spec, count, total, top in zip(
                METRICS, rollup.counts, rollup.sums, rollup.maxima, strict=True
            )
            if count
        },
    )
