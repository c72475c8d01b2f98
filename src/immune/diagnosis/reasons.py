"""A finding's evidence in plain words with numbers, for the person who decides."""

from __future__ import annotations

from immune.detection.findings import Finding, MetricEffect, Source
from immune.diagnosis.signs import DEARER_RATIO, Sign, Signs, is_rare, size
from immune.vitals import Metric
from immune.words import percent

_WORDS = {
    Metric.LATENCY_MS.label: "latency",
    Metric.INPUT_TOKENS.label: "input tokens",
    Metric.OUTPUT_TOKENS.label: "output tokens",
    Metric.COST_USD.label: "cost",
    Metric.TOOL_CALLS.label: "tool calls",
    Metric.RETRIES.label: "retries",
    Metric.ERRORS.label: "errors",
}


def span(seconds: float) -> str:
    """A length of time in words: ``40 s``, ``12 min``, ``3 h``."""
    if seconds < 120:
        return f"{max(seconds, 0.0):.0f} s"
    if seconds < 7200:
        return f"{seconds / 60:.0f} min"
    return f"{seconds / 3600:.0f} h"


def _effect(effect: MetricEffect) -> str:
    if is_rare(effect):
        what = "a retry" if effect.metric == Metric.RETRIES.label else "an error"
        return f"{percent(effect.now)} of steps have {what}, normally {percent(effect.normal)}"
    if effect.metric == Metric.INTERVAL_S.label:
        return f"steps come {effect.ratio:.1f} times as fast as normal"
    return f"{_WORDS[effect.metric]} {effect.ratio:.1f} times normal"


def _facts(finding: Finding, fleet_share: float) -> list[str]:
    facts = finding.facts
    said = []
    if facts.limit:
        said.append(f"a hard limit was passed: {facts.limit}")
    if facts.repeated_tool is not None:
        said.append(
            f"{facts.repeated_tool} was called {facts.repeats} times with the same arguments "
            "and no progress"
        )
    if facts.silent_s > 0:
        said.append(f"no step for {span(facts.silent_s)}")
    if facts.prompt_hash_changed:
        said.append("its prompt changed at the same time")
    if facts.model_changed:
        said.append("its model changed at the same time")
    if facts.new_tools:
        said.append(f"it uses tools that it never used: {', '.join(facts.new_tools[:5])}")
    if facts.failing_tool is not None:
        said.append(f"most of the failed calls are to {facts.failing_tool}")
    if facts.error_types:
        said.append(f"errors of type {', '.join(facts.error_types[:3])}")
    if fleet_share > 0:
        said.append(f"{percent(fleet_share)} of its group changed alike")
    return said


def _dearer(finding: Finding, signs: Signs) -> list[str]:
    if signs.get(Sign.COST_ONLY, 0.0) < 0.5:
        return []
    tokens = [e.ratio for e in finding.effects if e.metric.endswith("_tokens")]
    if not tokens or max(tokens) >= DEARER_RATIO:
        return []
    return ["the tokens did not rise with the cost"]


def reasons(finding: Finding, signs: Signs, fleet_share: float) -> tuple[str, ...]:
    """What speaks: the largest changes first, then the facts."""
    affected = sorted(finding.affected, key=size, reverse=True)
    said = [_effect(effect) for effect in affected]
    if said and finding.source is not Source.SILENCE and finding.at > finding.onset_at:
        said[0] += f" over the last {span(finding.at - finding.onset_at)}"
    return tuple(said + _dearer(finding, signs) + _facts(finding, fleet_share))
