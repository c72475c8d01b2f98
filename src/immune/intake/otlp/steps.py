# cython: annotation_typing=False
"""Which numbers a step gets: a model call or a run, as a `Vital`.

A call's latency and end are those of the model's span; the time of its tools shows in the run. A
run's tokens are the sum over its model calls, or, where those tell none, what its own span says.
Cost is never computed here: it is there only where an attribute tells it.
"""

from __future__ import annotations

from collections import Counter

from immune.intake.otlp.facts import Facts, clean, merged
from immune.intake.otlp.identity import Agent
from immune.intake.otlp.span import Span
from immune.intake.otlp.tree import Call, Run, Tool
from immune.vitals import (
    AHEAD_MAX_S,
    BEHIND_MAX_S,
    CALLS_MAX,
    VALUE_MAX,
    Kind,
    ToolCall,
    Vital,
)

_CALL, _RUN = Kind.CALL, Kind.RUN


def call_vital(call: Call, agent_id: str, received_at: float, source: int) -> Vital:
    """Return the step of one model call."""
    span = call.anchor
    facts = _facts(call.members)
    failed = _failed(span)
    return Vital(
        agent_id=agent_id,
        at=span.end_ns / 1e9,
        kind=_CALL,
        received_at=received_at,
        source=source,
        step_id=span.span_id,
        latency_ms=_latency_ms(span),
        input_tokens=facts.input_tokens,
        output_tokens=_output_tokens(facts),
        cost_usd=facts.cost_usd,
        tool_calls=float(len(call.tools)) if call.tools_known else None,
        retries=_attempts_failed(call, facts),
        errors=1.0 if failed else 0.0,
        agent_type=_agent_type(call.agent),
        model=facts.model,
        provider=facts.provider,
        prompt_hash=_prompt_hash(call.members),
        error_type=_error_type(facts) if failed else None,
        session_id=facts.session_id,
        trace_id=clean(span.trace_id),
        calls=_tool_calls(call.tools) if call.tools else None,
    )


def run_vital(run: Run, agent_id: str, received_at: float, source: int) -> Vital:
    """Return the step of one whole run."""
    span = run.anchor
    failed = _failed(span)
    own = _facts(run.members)
    calls = [_facts(call.members) for call in run.calls]
    input_tokens = _sum([facts.input_tokens for facts in calls])
    output_tokens = _sum([_output_tokens(facts) for facts in calls])
    cost_usd = _sum([facts.cost_usd for facts in calls])
    if input_tokens is None:
        input_tokens = _either(own.aggregated_input_tokens, own.input_tokens)
    if output_tokens is None:
        output_tokens = _either(own.aggregated_output_tokens, _output_tokens(own))
    return Vital(
        agent_id=agent_id,
        at=span.end_ns / 1e9,
        kind=_RUN,
        received_at=received_at,
        source=source,
        step_id=span.span_id,
        latency_ms=_latency_ms(span),
        input_tokens=input_tokens,
        output_tokens=output_tokens,
        cost_usd=_either(cost_usd, own.cost_usd),
        tool_calls=float(len(run.tools)) if run.tools else None,
        retries=_retries(run, calls),
        errors=1.0 if failed else 0.0,
        agent_type=_agent_type(run.agent),
        model=_most_used([facts.model for facts in calls]) or own.model,
        provider=_most_used([facts.provider for facts in calls]) or own.provider,
        prompt_hash=_prompt_hash(run.members)
        or _first([_prompt_hash(call.members) for call in run.calls]),
        error_type=_error_type(own) if failed else None,
        session_id=own.session_id or _first([facts.session_id for facts in calls]),
        trace_id=clean(span.trace_id),
        calls=_tool_calls(run.loose) if run.loose else None,
    )


def is_sound(vital: Vital, now: float) -> bool:
    """Return whether nothing can be amiss with `vital`, but for the id of its agent.

    Whatever else of it could be is looked at by `vitals.refusal`, which takes its time and says
    why: what the facts tell may be carried as it is, or they would not tell it (`facts`).
    """
    return (
        now - BEHIND_MAX_S <= vital.at <= now + AHEAD_MAX_S
        and clean(vital.step_id) is not None
        and _may_be(vital.latency_ms)
        and _may_be(vital.input_tokens)
        and _may_be(vital.output_tokens)
        and _may_be(vital.cost_usd)
        and _may_be(vital.retries)
    )


def _may_be(value: float | None) -> bool:
    return value is None or 0 <= value <= VALUE_MAX


def _facts(members: list[Span]) -> Facts:
    if len(members) == 1:
        return members[0].facts
    return merged([span.facts for span in members])


def _latency_ms(span: Span) -> float:
    return (span.end_ns - span.start_ns) / 1e6


def _output_tokens(facts: Facts) -> float | None:
    """A total alone is taken as the output, as in `POST /api/vitals`."""
    told = facts.output_tokens
    return facts.total_tokens if told is None and facts.input_tokens is None else told


def _attempts_failed(call: Call, facts: Facts) -> float | None:
    """Attempts inside the call that failed and were followed by another."""
    if len(call.members) == 1:
        return facts.resends
    attempts = sorted(call.members[1:], key=_start_ns)
    failed = sum([_failed(attempt) for attempt in attempts[:-1]])
    return float(failed) if failed else facts.resends


def _start_ns(span: Span) -> int:
    return span.start_ns


def _retries(run: Run, facts: list[Facts]) -> float | None:
    """Failed model calls followed by another, and what the calls retried themselves."""
    if not run.calls:
        return None
    retries = 0.0
    for call, told in zip(run.calls, facts, strict=True):
        retries += _attempts_failed(call, told) or 0.0
        if _failed(call.anchor):
            retries += 1.0
    return retries - 1.0 if _failed(run.calls[-1].anchor) else retries


def _tool_calls(tools: list[Tool]) -> tuple[ToolCall, ...]:
    """The latest ones, where there are more than a vital may carry."""
    calls = []
    for tool in tools[-CALLS_MAX:]:
        span = tool.anchor
        name = _facts(tool.members).tool or clean(span.name) or "tool"
        args = result = 0
        for member in tool.members:
            args, result = args or member.args_hash, result or member.result_hash
        calls.append(ToolCall(name, args, result, not _failed(span)))
    return tuple(calls)


def _prompt_hash(members: list[Span]) -> str | None:
    return _first([span.prompt_hash for span in members])


def _failed(span: Span) -> bool:
    """Its status, or its error's type, says that the work failed."""
    return span.status_error or span.facts.error_type is not None


def _error_type(facts: Facts) -> str | None:
    return facts.error_type or facts.exception_type


def _agent_type(agent: Agent) -> str | None:
    return agent.agent_type or clean(agent.name)


def _sum(values: list[float | None]) -> float | None:
    """The sum of what is known of them, None where nothing is."""
    known = [value for value in values if value is not None]
    return sum(known) if known else None


def _either(value: float | None, other: float | None) -> float | None:
    return other if value is None else value


def _first(texts: list[str | None]) -> str | None:
    """The first that is told."""
    for text in texts:
        if text:
            return text
    return None


def _most_used(texts: list[str | None]) -> str | None:
    told = [text for text in texts if text]
    if len(set(told)) > 1:
        return Counter(told).most_common(1)[0][0]
    return told[0] if told else None
