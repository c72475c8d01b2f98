"""Noisy findings of the infections of design.md, section 10, with their hidden strains.

What detection would say of them, drawn at random: an affected metric may be overlooked or not be
reported, an unaffected one taken in, a fact lost, and one sickness spills over into other metrics.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from immune.detection.findings import Facts, Finding, MetricEffect, Source, Tier
from immune.diagnosis.causes import Cause
from immune.healing.actions import Action
from immune.vitals import METRICS, Kind, Metric

NORMAL = {
    Metric.LATENCY_MS: 800.0,
    Metric.INPUT_TOKENS: 2000.0,
    Metric.OUTPUT_TOKENS: 400.0,
    Metric.COST_USD: 0.01,
    Metric.TOOL_CALLS: 2.5,
    Metric.RETRIES: 0.04,
    Metric.ERRORS: 0.01,
    Metric.INTERVAL_S: 1.0,
}
RARE = (Metric.RETRIES, Metric.ERRORS)

A = Action
M = Metric


def finding(
    moved: Mapping[Metric, float] | None = None,
    *,
    facts: Facts | None = None,
    source: Source = Source.EVIDENCE,
    overlooked: frozenset[Metric] = frozenset(),
    unreported: frozenset[Metric] = frozenset(),
    agent_id: str = "agent-1",
    severity: float = 5.0,
) -> Finding:
    """A finding in which the metrics of `moved` stand at that many times their normal.

    For retries and errors `moved` gives the probability now.
    """
    moved = moved or {}
    effects = []
    for spec in METRICS:
        metric, normal = spec.metric, NORMAL[spec.metric]
        if metric in unreported:
            continue
        ratio = moved.get(metric, normal if metric in RARE else 1.0)
        now = ratio if metric in RARE else normal * ratio
        effects.append(
            MetricEffect(
                metric=metric.label,
                ratio=now / normal,
                normal=normal,
                now=now,
                increase=now - normal if metric in RARE else 0.0,
                evidence=20.0 if metric in moved else 0.0,
                affected=metric in moved and metric not in overlooked,
            )
        )
    return Finding(
        agent_id=agent_id,
        kind=Kind.RUN,
        tier=Tier.QUARANTINE,
        source=source,
        at=1040.0,
        onset_at=1000.0,
        evidence=25.0,
        threshold=20.0,
        severity=severity,
        effects=tuple(effects),
        facts=facts or Facts(),
    )


@dataclass(frozen=True)
class Case:
    """One drawn infection: what detection says, what is right, and what would cure it."""

    infection: str
    finding: Finding
    right: frozenset[Cause]
    cures: tuple[frozenset[Action], ...]
    """Sets of actions that cure when all of one were taken."""


def _cures(*ways: Action) -> tuple[frozenset[Action], ...]:
    return tuple(frozenset({way}) for way in ways)


INFECTIONS = (
    "token_explosion",
    "tool_loop",
    "latency_spike",
    "high_retry_rate",
    "prompt_drift",
    "memory_corruption",
    "full_meltdown",
    "cost_overrun",
    "prompt_injection",
    "silent",
)
"""The ten that steady chaos draws from."""


def draw(infection: str, rng: np.random.Generator, agent_id: str = "agent-1") -> Case:
    """Draw one noisy case of `infection`."""

    def times(low: float, high: float) -> float:
        return float(np.exp(rng.uniform(np.log(low), np.log(high))))

    def chance(p: float) -> bool:
        return bool(rng.random() < p)

    moved: dict[Metric, float] = {}
    facts = Facts()
    source = Source.EVIDENCE
    right = {Cause.UNKNOWN}
    cures: tuple[frozenset[Action], ...]
    match infection:
        case "token_explosion":
            right = {Cause.COST_OVERRUN}
            if chance(0.7):
                moved = {M.INPUT_TOKENS: times(4, 9)}
                cures = _cures(A.RESET_MEMORY, A.CLONE_AGENT)
            else:
                moved = {M.OUTPUT_TOKENS: times(4, 9)}
                if chance(0.5):
                    moved[M.LATENCY_MS] = times(1.3, 2.5)
                cures = _cures(A.REDUCE_AUTONOMY, A.CLONE_AGENT)
            moved[M.COST_USD] = 0.8 * max(moved.values())
        case "tool_loop":
            right = {Cause.INFINITE_LOOP}
            moved = {M.TOOL_CALLS: times(5, 11)}
            if chance(0.5):
                moved[M.LATENCY_MS] = times(1.2, 2.0)
            if chance(0.9):
                facts = Facts(repeated_tool="search", repeats=14)
            cures = _cures(A.REDUCE_AUTONOMY if chance(0.7) else A.RESET_MEMORY, A.CLONE_AGENT)
        case "latency_spike":
            right = {Cause.TOOL_INSTABILITY}
            moved = {M.LATENCY_MS: times(3, 7)}
            cures = _cures(A.REVOKE_TOOLS if chance(0.8) else A.SWITCH_MODEL, A.CLONE_AGENT)
        case "high_retry_rate":
            right = {Cause.TOOL_INSTABILITY}
            moved = {M.RETRIES: rng.uniform(0.65, 0.85)}
            flaky = chance(0.8)
            if flaky and chance(0.7):
                facts = Facts(failing_tool="search")
            if chance(0.3):
                moved[M.ERRORS] = rng.uniform(0.1, 0.3)
            cures = _cures(A.REVOKE_TOOLS if flaky else A.ROLLBACK_PROMPT, A.CLONE_AGENT)
        case "prompt_drift":
            right = {Cause.PROMPT_DRIFT}
            moved = {
                M.LATENCY_MS: times(3, 6),
                M.INPUT_TOKENS: times(4, 8),
                M.OUTPUT_TOKENS: times(4, 8),
            }
            moved[M.COST_USD] = moved[M.INPUT_TOKENS]
            facts = Facts(prompt_hash_changed=True)
            cures = _cures(A.ROLLBACK_PROMPT, A.CLONE_AGENT)
        case "memory_corruption":
            right = {Cause.MEMORY_CORRUPTION}
            moved = {M.LATENCY_MS: times(3, 6), M.RETRIES: rng.uniform(0.6, 0.8)}
            if chance(0.2):
                moved[M.ERRORS] = rng.uniform(0.1, 0.3)
            cures = _cures(A.RESET_MEMORY, A.CLONE_AGENT)
        case "full_meltdown":
            right = set(Cause)
            moved = {
                M.LATENCY_MS: times(3, 6),
                M.INPUT_TOKENS: times(4, 8),
                M.OUTPUT_TOKENS: times(4, 8),
                M.TOOL_CALLS: times(5, 10),
            }
            moved[M.COST_USD] = moved[M.INPUT_TOKENS]
            cures = _cures(A.CLONE_AGENT)
        case "cost_overrun":
            right = {Cause.COST_OVERRUN}
            moved = {M.COST_USD: times(4, 8)}
            facts = Facts(model_changed=chance(0.5))
            cures = _cures(A.SWITCH_MODEL, A.CLONE_AGENT)
        case "prompt_injection":
            right = {Cause.PROMPT_INJECTION}
            moved = {M.TOOL_CALLS: times(1.5, 3)}
            facts = Facts(new_tools=("send_mail",))
            cures = (frozenset({A.RESET_MEMORY, A.REVOKE_TOOLS}), frozenset({A.CLONE_AGENT}))
        case "silent":
            right = {Cause.UNRESPONSIVE}
            source, facts = Source.SILENCE, Facts(silent_s=95.0)
            cures = _cures(A.CLONE_AGENT) if chance(0.7) else _cures(A.WAIT, A.CLONE_AGENT)
        case _:
            raise ValueError(infection)
    if source is Source.EVIDENCE:
        if chance(0.04):
            facts = Facts()
        for metric in (M.LATENCY_MS, M.INPUT_TOKENS, M.OUTPUT_TOKENS, M.TOOL_CALLS):
            if metric not in moved and chance(0.03):
                moved[metric] = times(1.2, 1.9)
        if M.ERRORS not in moved and chance(0.03):
            moved[M.ERRORS] = 0.06
    return Case(
        infection,
        finding(
            moved,
            facts=facts,
            source=source,
            overlooked=frozenset(metric for metric in moved if chance(0.08)),
            unreported=frozenset(
                m for m in (M.COST_USD, M.ERRORS) if m not in moved and chance(0.1)
            ),
            agent_id=agent_id,
        ),
        frozenset(right),
        cures,
    )
