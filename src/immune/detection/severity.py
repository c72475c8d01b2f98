"""Severity 0..10: harm, not surprise.

Four groups, over the affected metrics since the onset, r = how many times worse than normal::

    time     h = min(1, log2(max(r, 1)) / 4)    r of latency
    spend    the same                           r of cost; of tokens where cost is not affected
    work     the same                           r of tool calls, or of steps by the interval
    failure  h = .8 · max(Δp_retry, 1.5 · Δp_error)

    severity = 10 · (1 − Π (1 − .75 · h)), at most 10

A rule's floor lifts it (a hard limit 8, a repetition 5). A severity of 7 asks a person.

>>> from immune.detection.findings import MetricEffect
>>> slow = MetricEffect("latency_ms", ratio=4.0, normal=800, now=3200, affected=True)
>>> severity((slow,))
3.75
>>> wasteful = MetricEffect("cost_usd", ratio=8.0, normal=0.01, now=0.08, affected=True)
>>> looping = MetricEffect("tool_calls", ratio=8.0, normal=3, now=24, affected=True)
>>> round(severity((slow, wasteful, looping)), 2)
8.8
>>> severity((), floor=8.0)
8.0
"""

from __future__ import annotations

import math

import msgspec

from immune.detection.findings import MetricEffect

SEVERE = 7.0
"""From here on a person is asked."""
_NOT_SEVERE = 6.9
_ERRORS = 1.64


def severity(effects: tuple[MetricEffect, ...], floor: float = 0.0) -> float:
    """Return the severity of these effects, 0..10; `floor` is what a rule says at least."""
    by = {effect.metric: effect for effect in effects if effect.affected}

    def ratio(label: str) -> float:
        return by[label].ratio if label in by else 1.0

    def increase(label: str) -> float:
        return by[label].increase if label in by else 0.0

    spend = ratio("cost_usd") if "cost_usd" in by else _token_ratio(effects, by)
    work = max(ratio("tool_calls"), ratio("interval_s"))
    harms = [min(1.0, math.log2(max(r, 1.0)) / 4) for r in (ratio("latency_ms"), spend, work)]
    harms.append(min(1.0, 0.8 * max(increase("retries"), 1.5 * increase("errors"), 0.0)))
    spared = math.prod(1 - 0.75 * harm for harm in harms)
    return min(10.0, max(10 * (1 - spared), floor))


def _token_ratio(effects: tuple[MetricEffect, ...], by: dict[str, MetricEffect]) -> float:
    """Return by how much the sum of input and output tokens rose, if either is affected."""
    tokens = [e for e in effects if e.metric in ("input_tokens", "output_tokens")]
    if not any(e.metric in by for e in tokens):
        return 1.0
    before = sum(e.normal for e in tokens)
    now = sum(e.now if e.metric in by else e.normal for e in tokens)
    return now / max(before, 1.0)


def at_least(effects: tuple[MetricEffect, ...]) -> tuple[MetricEffect, ...]:
    """Return the affected as small as 1.64 of their standard errors allow (95 %, one-sided).

    What has just crossed a threshold looks worse than it is: chance helped it across. With n nats
    an effect is √(2n) standard errors from none.
    """
    lower = []
    for effect in effects:
        if effect.affected:
            sure = max(0.0, 1 - _ERRORS / math.sqrt(2 * max(effect.evidence, 1e-9)))
            ratio, increase = max(effect.ratio, 1.0) ** sure, effect.increase * sure
            lower.append(msgspec.structs.replace(effect, ratio=ratio, increase=increase))
    return tuple(lower)


def tempered(score: float, usd_per_hour: float, severe_from_usd_per_hour: float) -> float:
    """Keep a severity below 7 where the additional spend is too small to wake a person for."""
    if severe_from_usd_per_hour > 0 and usd_per_hour < severe_from_usd_per_hour:
        return min(score, _NOT_SEVERE)
    return score
