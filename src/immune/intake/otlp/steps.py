"""Which numbers a step gets: a model call or a run, as a `Vital`.

A call's latency and end are those of the model's span; the time of its tools shows in the run. A
run's tokens are the sum over its model calls, or, where those tell none, what its own span says.
Cost is never computed here: it is there only where an attribute tells it.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence

from immune.intake.otlp.facts import Facts, clean, merged
from immune.intake.otlp.identity import Agent
from immune.intake.otlp.span import Span
from immune.intake.otlp.tree import Call, Run, Tool
from immune.vitals import CALLS_MAX, Kind, ToolCall, Vital


def call_vital(call: Call, agent_id: str, received_at: float) -> Vital:
    """Return the step of one model call."""
    span = call.members[0]
    facts = _facts(call.members)
    failed = span.failed
    return Vital(
        agent_id=agent_id,
        at=span.end_ns / 1e9,
        kind=Kind.CALL,
        received_at=received_at,
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
        error_type=_error_type(span, facts) if failed else None,
        session_id=facts.session_id,
        trace_id=clean(span.trace_id),
        calls=_tool_calls(call.tools) if call.tools else None,
    )


def run_vital(run: Run, agent_id: str, received_at: float) -> Vital:
    """Return the step of one whole run."""
    span = run.anchor
    own = _facts(run.members)
    calls = [_facts(call.members) for call in run.calls]
    session_ids = (own.session_id, *(facts.session_id for facts in calls))
    return Vital(
        agent_id=agent_id,
        at=span.end_s,
        kind=Kind.RUN,
        received_at=received_at,
        step_id=span.span_id,
        latency_ms=_latency_ms(span),
        input_tokens=_first(
            _sum(facts.input_tokens for facts in calls),
            own.aggregated_input_tokens,
            own.input_tokens,
        ),
        output_tokens=_first(
            _sum(_output_tokens(facts) for facts in calls),
            own.aggregated_output_tokens,
            _output_tokens(own),
        ),
        cost_usd=_first(_sum(facts.cost_usd for facts in calls), own.cost_usd),
        tool_calls=float(len(run.tools)) if run.tools else None,
        retries=_retries(run, calls),
        errors=float(span.failed),
        agent_type=_agent_type(run.agent),
        model=_most_used(facts.model for facts in calls) or own.model,
        provider=_most_used(facts.provider for facts in calls) or own.provider,
        prompt_hash=_prompt_hash(run.members)
        or next(filter(None, (_prompt_hash(call.members) for call in run.calls)), None),
        error_type=_error_type(span, own),
        session_id=next(filter(None, session_ids), None),
        trace_id=clean(span.trace_id),
        calls=_tool_calls(run.loose),
    )


def _facts(members: Sequence[Span]) -> Facts:
    if len(members) == 1:
        return members[0].facts
    return merged(span.facts for span in members)


def _latency_ms(span: Span) -> float:
    return (span.end_ns - span.start_ns) / 1e6


def _output_tokens(facts: Facts) -> float | None:
    """A total alone is taken as the output, as in `POST /api/vitals`."""
    if facts.input_tokens is None and facts.output_tokens is None:
        return facts.total_tokens
    return facts.output_tokens


def _attempts_failed(call: Call, facts: Facts) -> float | None:
    """Attempts inside the call that failed and were followed by another."""
    if len(call.members) == 1:
        return facts.resends
    attempts = sorted(call.members[1:], key=lambda span: span.start_ns)
    failed = sum(attempt.failed for attempt in attempts[:-1])
    return float(failed) if failed else facts.resends


def _retries(run: Run, facts: Sequence[Facts]) -> float | None:
    """Failed model calls followed by another, and what the calls retried themselves."""
    if not run.calls:
        return None
    followed = sum(call.anchor.failed for call in run.calls[:-1])
    inside = (_attempts_failed(call, told) for call, told in zip(run.calls, facts, strict=True))
    return float(followed) + sum(filter(None, inside))


def _tool_calls(tools: Sequence[Tool]) -> tuple[ToolCall, ...] | None:
    """The latest ones, where there are more than a vital may carry."""
    calls = []
    for tool in tools[-CALLS_MAX:]:
        span = tool.anchor
        name = _facts(tool.members).tool or clean(span.name) or "tool"
        args = next((member.args_hash for member in tool.members if member.args_hash), 0)
        result = next((member.result_hash for member in tool.members if member.result_hash), 0)
        calls.append(ToolCall(name, args, result, not span.failed))
    return tuple(calls) or None


def _prompt_hash(members: Sequence[Span]) -> str | None:
    if len(members) == 1:
        return members[0].prompt_hash
    return next((span.prompt_hash for span in members if span.prompt_hash), None)


def _error_type(span: Span, facts: Facts) -> str | None:
    return (facts.error_type or facts.exception_type) if span.failed else None


def _agent_type(agent: Agent) -> str | None:
    return agent.agent_type or clean(agent.name)


def _sum(values: Iterable[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return sum(known) if known else None


def _first(*values: float | None) -> float | None:
    return next((value for value in values if value is not None), None)


def _most_used(values: Iterable[str | None]) -> str | None:
    told = [value for value in values if value]
    if len(set(told)) > 1:
        return Counter(told).most_common(1)[0][0]
    return told[0] if told else None
