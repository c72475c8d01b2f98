"""From a finding to signs: what the diagnosis looks at, each with how surely it is there.

A sign is read softly, 0..1: a metric that the onset scan left out although it stands at four times
its normal is half a sign, and one that it took in although it hardly moved is, too. What was not
measured is absent from the result, which is not the same as 0.
"""

from __future__ import annotations

import enum
import math

from immune.detection.findings import Finding, MetricEffect, Source
from immune.vitals import Metric


class Sign(enum.StrEnum):
    """One thing that a finding can show."""

    LATENCY = "latency"
    INPUT_TOKENS = "input_tokens"
    OUTPUT_TOKENS = "output_tokens"
    COST_ONLY = "cost_only"
    """Cost rose more than the tokens did: each token is dearer."""
    TOOL_CALLS = "tool_calls"
    MANY_CALLS = "many_calls"
    """Given that tool calls rose: far more than one extra tool explains."""
    RETRIES = "retries"
    ERRORS = "errors"
    PACE = "pace"
    """Steps come faster."""
    PROMPT_CHANGED = "prompt_changed"
    MODEL_CHANGED = "model_changed"
    NEW_TOOL = "new_tool"
    FAILING_TOOL = "failing_tool"
    REPETITION = "repetition"
    SILENCE = "silence"
    SHARED = "shared"
    """Many of the fleet changed alike at the same time."""


Signs = dict[Sign, float]

METRIC_OF: dict[Sign, Metric] = {
    Sign.LATENCY: Metric.LATENCY_MS,
    Sign.INPUT_TOKENS: Metric.INPUT_TOKENS,
    Sign.OUTPUT_TOKENS: Metric.OUTPUT_TOKENS,
    Sign.TOOL_CALLS: Metric.TOOL_CALLS,
    Sign.RETRIES: Metric.RETRIES,
    Sign.ERRORS: Metric.ERRORS,
    Sign.PACE: Metric.INTERVAL_S,
}
"""The signs that are read off one metric."""

LIMIT_SIGNS: dict[str, tuple[Sign, ...]] = {
    "latency_ms": (Sign.LATENCY,),
    "tokens": (Sign.INPUT_TOKENS,),
    "cost_usd": (Sign.COST_ONLY,),
    "tool_calls": (Sign.TOOL_CALLS, Sign.MANY_CALLS),
}
"""What a passed ceiling shows, by the first word of its description: an agent may be over the
hour's budget before any metric stands out."""
MANY_CALLS_RATIO = 3.8
"""Between an injection's calls (1.5 to 3 times normal) and a loop's (5 to 11), in logs."""
SHARED_SHARE = 0.25
"""Share of the fleet at which a change is as likely shared as the agent's own; the fleet's own
rule speaks from 0.3 on."""
DEARER_RATIO = 1.8
"""Times that cost must rise beyond the tokens' rise; cost follows tokens within tens of per cent,
a dearer model is several times dearer."""

# How sure a sign is: flagged by the onset scan or not, and moved clearly or not.
_SURE, _LIKELY, _PERHAPS, _UNLIKELY = 0.97, 0.6, 0.4, 0.02
_LIMIT = 0.8


def size(effect: MetricEffect) -> float:
    """How far a metric moved, in logs of times-worse; a rise of probability counts twofold."""
    if effect.increase:
        return 2.0 * effect.increase
    return math.log(max(effect.ratio, 1e-9))


def is_rare(effect: MetricEffect) -> bool:
    """Whether the effect is on a metric that is read as a probability."""
    return effect.metric in (Metric.RETRIES.label, Metric.ERRORS.label)


def _up(effect: MetricEffect) -> float:
    clear = effect.increase >= 0.1 if is_rare(effect) else effect.ratio >= 1.4
    large = effect.increase >= 0.25 if is_rare(effect) else effect.ratio >= 2.5
    if effect.affected:
        return _SURE if clear else _LIKELY
    return _PERHAPS if large else _UNLIKELY


def _is_plain(effect: MetricEffect) -> bool:
    """Whether it moved so far that it makes a pattern of its own."""
    return effect.increase >= 0.15 if is_rare(effect) else effect.ratio >= 1.8


def _dearer(effects: dict[str, MetricEffect]) -> float | None:
    """How surely cost rose beyond the tokens; None where cost is not reported."""
    cost = effects.get(Metric.COST_USD.label)
    if cost is None:
        return None
    tokens = [
        effect.ratio
        for metric in (Metric.INPUT_TOKENS, Metric.OUTPUT_TOKENS)
        if (effect := effects.get(metric.label)) is not None
    ]
    beyond = cost.ratio / max(1.0, *tokens) if tokens else cost.ratio
    return _up(cost) if beyond >= DEARER_RATIO else _UNLIKELY


def read(finding: Finding, fleet_share: float = 0.0) -> Signs:
    """Return the signs of `finding`, 0..1 each; signs that can't be judged are left out.

    `fleet_share` is the share, 0..1, of the agent's group that changed alike at the same time.
    """
    facts = finding.facts
    effects = {effect.metric: effect for effect in finding.effects}
    signs: Signs = {}
    for sign, metric in METRIC_OF.items():
        if (effect := effects.get(metric.label)) is not None:
            signs[sign] = _up(effect)
    if (dearer := _dearer(effects)) is not None:
        signs[Sign.COST_ONLY] = dearer
    calls = effects.get(Metric.TOOL_CALLS.label)
    if calls is not None and signs[Sign.TOOL_CALLS] >= 0.5:
        steep = 4.0 * math.log(max(calls.ratio, 1e-9) / MANY_CALLS_RATIO)
        signs[Sign.MANY_CALLS] = 1.0 / (1.0 + math.exp(-max(min(steep, 30.0), -30.0)))
    for words in (facts.limit or "").split("; "):
        for sign in LIMIT_SIGNS.get(words.partition(" ")[0], ()):
            signs[sign] = max(signs.get(sign, 0.0), _LIMIT)
    for sign, seen in (
        (Sign.PROMPT_CHANGED, facts.prompt_hash_changed),
        (Sign.MODEL_CHANGED, facts.model_changed),
        (Sign.NEW_TOOL, bool(facts.new_tools)),
        (Sign.FAILING_TOOL, facts.failing_tool is not None),
        (Sign.REPETITION, facts.repeated_tool is not None or finding.source is Source.REPETITION),
        (Sign.SILENCE, facts.silent_s > 0 or finding.source is Source.SILENCE),
    ):
        signs[sign] = 1.0 if seen else 0.0
    shared = 1.0 / (1.0 + math.exp(-30.0 * (fleet_share - SHARED_SHARE)))
    signs[Sign.SHARED] = shared if fleet_share > 0 else 0.0
    return signs


_PATTERN_ORDER = (Sign.LATENCY, Sign.INPUT_TOKENS, Sign.OUTPUT_TOKENS, Sign.COST_ONLY,
                  Sign.TOOL_CALLS, Sign.RETRIES, Sign.ERRORS, Sign.PACE)  # fmt: skip
_WORD_ORDER = ("latency", "tokens", "input_tokens", "output_tokens", "cost_only", "tool_calls",
               "retries", "errors", "pace", "repetition", "new_tool", "silence")  # fmt: skip
_FAILURES = frozenset({Sign.RETRIES, Sign.ERRORS})
_SPEND = frozenset({Sign.INPUT_TOKENS, Sign.OUTPUT_TOKENS, Sign.COST_ONLY})


def pattern(finding: Finding, signs: Signs) -> str:
    """A coarse, stable name of what left normal: ``latency+retries``, ``cost_only``.

    Made to group like cases: what moved little, or much less than what moved most (latency that
    follows tokens), is left out, cost is named only where it rose beyond the tokens, both kinds
    of tokens are one, and errors beside retries are. What is told by a fact follows the metrics.
    """
    effects = {effect.metric: effect for effect in finding.effects}
    up: dict[Sign, MetricEffect] = {}
    for least in (0.5, _PERHAPS):  # what was overlooked is named only where nothing else is
        for sign in _PATTERN_ORDER if not up else ():
            effect = effects.get(METRIC_OF.get(sign, Metric.COST_USD).label)
            if effect is not None and signs.get(sign, 0.0) >= least:
                up[sign] = effect
    plain = {sign: effect for sign, effect in up.items() if _is_plain(effect)}
    moved = {sign: size(effect) for sign, effect in (plain or up).items()}
    most = max((moved[s] for s in moved if s not in _FAILURES), default=0.0)
    named = [s for s in moved if s in _FAILURES or moved[s] >= 0.4 * most]
    if Sign.RETRIES in named and Sign.ERRORS in named:
        named.remove(Sign.ERRORS)
    spend = [s for s in named if s in _SPEND]
    tokens = [s for s in spend if s is not Sign.COST_ONLY]
    words = [str(s) for s in named if s not in _SPEND]
    if len(tokens) > 1 or (tokens and words):
        # beside time or work it is the spending that matters, not which half of it
        spend = [s for s in spend if s is Sign.COST_ONLY]
        words.append("tokens")
    words += [str(s) for s in spend]
    words += [str(s) for s in (Sign.REPETITION, Sign.NEW_TOOL, Sign.SILENCE) if signs[s] >= 0.5]
    return "+".join(sorted(words, key=_WORD_ORDER.index)) or "none"
