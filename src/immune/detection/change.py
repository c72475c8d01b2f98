"""What became of one agent, in a form that can be compared: the same change, or another?

A change has five parts: time, spend and work as logs of "how many times worse", retries and errors
as probabilities. Two changes are the same when the same parts left normal by about as much. Retries
and errors need time to show, so there the question is whether their number could be chance.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from immune.columns import Bool, Float32, Float64
from immune.detection.findings import Finding, MetricEffect
from immune.detection.rule_params import FleetParams
from immune.vitals import Metric

PARTS = ("time", "spend", "work", "retries", "errors")
TIME, SPEND, WORK, RETRIES, ERRORS = range(5)
SIZED = slice(TIME, RETRIES)
RARE = (RETRIES, ERRORS)

PART_OF = {
    Metric.LATENCY_MS: TIME,
    Metric.INPUT_TOKENS: SPEND,
    Metric.OUTPUT_TOKENS: SPEND,
    Metric.COST_USD: SPEND,
    Metric.TOOL_CALLS: WORK,
    Metric.INTERVAL_S: WORK,
    Metric.RETRIES: RETRIES,
    Metric.ERRORS: ERRORS,
}

_STEPS_UNKNOWN = 8.0
"""Steps since the onset that are assumed where an agent's pace is unknown: a quarantine's least."""


@dataclass(frozen=True, slots=True)
class Recent:
    """What the scan of the onset says of one stream; the `Sentinel` makes it."""

    onset_at: float
    steps: float
    """Steps since then."""
    effects: tuple[MetricEffect, ...]


@dataclass(frozen=True, slots=True)
class Change:
    """One agent's change; arrays by part."""

    onset_at: float
    steps: float
    affected: Bool
    size: Float64
    """Log of how many times worse; for retries and errors the probability now."""
    normal: Float64
    """Usual probability of retries and errors; 0 for the others."""
    metrics: frozenset[str]
    """Labels of the affected metrics."""


@dataclass(frozen=True, slots=True)
class Typical:
    """What the members of a group have in common; arrays by part."""

    affected: Bool
    size: Float64


def change_of(recent: Recent, params: FleetParams) -> Change:
    """Return the change that a scan found."""
    affected = np.zeros(len(PARTS), np.bool_)
    size, normal = np.zeros(len(PARTS)), np.zeros(len(PARTS))
    for effect in recent.effects:
        part = PART_OF[Metric[effect.metric.upper()]]
        if part in RARE:
            size[part], normal[part] = effect.now, effect.normal
            seen = round(effect.now * recent.steps)
            usual = max(effect.normal, 0.01)
            affected[part] = effect.affected or (
                seen >= 2 and _at_least(seen, recent.steps, usual) < params.chance_min
            )
        else:
            worse = math.log(max(effect.ratio, 1e-3))
            # of the metrics of one part the affected and worst speaks
            if effect.affected > affected[part] or (
                effect.affected == affected[part] and worse > size[part]
            ):
                size[part] = worse
            affected[part] |= effect.affected
    metrics = frozenset(effect.metric for effect in recent.effects if effect.affected)
    return Change(recent.onset_at, recent.steps, affected, size, normal, metrics)


def recent_of(single: Finding) -> Recent:
    """Return what a finding says, as a scan would."""
    pace_s = next((e.normal for e in single.effects if e.metric == Metric.INTERVAL_S.label), 0.0)
    span_s = max(single.at - single.onset_at, 0.0)
    steps = span_s / pace_s + 1 if pace_s > 0 else _STEPS_UNKNOWN
    return Recent(single.onset_at, steps, single.effects)


def typical_of(changes: Sequence[Change], affected: Bool) -> Typical:
    """Return the middle of the changes, over the parts `affected`."""
    size = np.zeros(len(PARTS))
    for part in np.flatnonzero(affected).tolist():
        sizes = [change.size[part] for change in changes if change.affected[part]]
        size[part] = float(np.median(sizes)) if sizes else 0.0
    return Typical(affected, size)


def matters(typical: Typical, changes: Sequence[Change], params: FleetParams) -> bool:
    """Return whether the typical change is more than the weather of the day."""
    if (typical.size[SIZED] >= math.log(params.ratio_min))[typical.affected[SIZED]].any():
        return True
    usual = np.mean([change.normal for change in changes], axis=0)
    risen = typical.size - usual >= params.increase_min
    return any(bool(typical.affected[part] and risen[part]) for part in RARE)


def shares(change: Change, typical: Typical, params: FleetParams, nats: Float64 | None) -> bool:
    """Return whether the agent has the typical change, whatever else it has.

    An agent that lags behind need not have left normal for certain yet, but its change must be
    about as large and its evidence on each of these parts, `nats`, must have begun to rise; `nats`
    is None for one whose evidence is enough.
    """
    parts = np.flatnonzero(typical.affected)
    if (parts >= RETRIES).all() and (nats is not None or not change.affected[parts].any()):
        # so few failures are shared by chance too easily
        return False
    for part in parts.tolist():
        size, usual = float(change.size[part]), float(typical.size[part])
        if part in RARE:
            seen = round(size * change.steps)
            fewer = 1 - _at_least(seen + 1, change.steps, usual)
            if fewer < params.chance_min:
                return False
            continue
        if abs(size - usual) > math.log(params.ratio_alike) or size < params.least_share * usual:
            return False
        if not change.affected[part] and (nats is None or nats[part] < params.lagging_nats):
            return False
    return True


def beyond(change: Change, typical: Typical, params: FleetParams) -> list[str]:
    """Return the parts in which the agent suffers more than the typical member."""
    more = []
    for part in np.flatnonzero(change.affected).tolist():
        size, usual = float(change.size[part]), float(typical.size[part])
        if part in RARE:
            allowed = usual if typical.affected[part] else float(change.normal[part])
            if part == ERRORS and typical.affected[TIME]:
                allowed = max(allowed, params.errors_of_outage)
            seen = round(size * change.steps)
            large = size - allowed >= params.beyond_increase
            if large and _at_least(seen, change.steps, allowed) < params.chance_min:
                more.append(PARTS[part])
        elif not typical.affected[part]:
            if size >= math.log(params.beyond_ratio):
                more.append(PARTS[part])
        elif size - usual > math.log(params.ratio_alike):
            more.append(PARTS[part])
    return more


def _at_least(seen: int, steps: float, chance: float) -> float:
    """Return P(X >= seen) for X binomial in `steps` trials."""
    n = max(round(steps), seen, 1)
    p = min(max(chance, 1e-6), 1 - 1e-6)
    below = sum(math.comb(n, k) * p**k * (1 - p) ** (n - k) for k in range(min(seen, n + 1)))
    return max(1 - below, 0.0)


def parts_of_nats(by_metric: Float32) -> Float32:
    """Return (n, 5): the highest evidence of each part, from (n, 8)."""
    parts = np.empty((len(by_metric), len(PARTS)), by_metric.dtype)
    for part in range(len(PARTS)):
        metrics = [m for m in Metric if PART_OF[m] == part]
        parts[:, part] = by_metric[:, metrics].max(axis=1)
    return parts
