"""Why spans come to no vital, in words; the names are the trace assembler's counters."""

from __future__ import annotations

from collections.abc import Mapping

_RIGHTLY = {
    "other": "no step of an agent, such as an embedding",
    "no_genai_attribute": "nothing about models or agents, such as HTTP or a database",
    "chain": "a frame around other work",
    "agent": "a run in which nothing happened",
    "same_call": "a further span of the same model call",
    "same_tool": "a further span of the same tool call",
    "same_run": "a further span of the same run",
    "wrapper_run": "a nameless run around named ones",
    "metric_not_read": "a metric of something else than model calls",
    "point_of_other_work": "a data point of other work than model calls",
    "point_of_an_agent_with_spans": "a data point of an agent whose spans come",
    "first_point": "the first data point of a series, from which the next is counted",
    "duplicate_span": "the same span again",
}
_WRONGLY = {
    "unknown_dialect": "about models or agents, in words not known here",
    "no_number": "a number that was negative, infinite or none; its step goes without",
    "too_old": "ended more than a day before it came",
    "too_far_ahead": "ended more than 5 minutes after it came: look at that host's clock",
    "too_large": "a number or a name beyond all measure",
    "point_without_agent": "a data point of nobody: set service.name or gen_ai.agent.name",
    "old_point": "a data point that is older than the one before it",
    "no_identity": "no agent's id: set immune.agent.id or gen_ai.agent.id",
    "tool_without_agent": "a tool call outside any agent's run and model call",
    "late_for_call": "came after its model call had gone out",
    "late_for_run": "came after its run had gone out",
    "late_unnamed": "came after its trace was over, and several agents had been at work in it",
    "no_parent": "the span that names its agent never came",
    "trace_cut": "its trace was too large, or too many were open",
}


def lost(counts: Mapping[str, int]) -> dict[str, int]:
    """The counts that mean something is missing from the vitals."""
    return {reason: count for reason, count in counts.items() if reason not in _RIGHTLY and count}


def in_words(counts: Mapping[str, int]) -> str:
    """Counts by reason, the most frequent first: ``9 a frame around other work; 2 …``."""
    ordered = sorted(counts.items(), key=lambda item: -item[1])
    return "; ".join(f"{count:,} {_word(reason)}" for reason, count in ordered if count)


def _word(reason: str) -> str:
    if reason.startswith("refused_"):
        return f"refused for {reason.removeprefix('refused_')}"
    return _RIGHTLY.get(reason) or _WRONGLY.get(reason, reason)
