"""Which numbers a step gets: a model call or a run, as a `Vital`.

A call's latency and end are those of the model's span; the time of its tools shows in the run. A
run's tokens are the sum over its model calls, or, where those tell none, what its own span says.
Cost is never computed here: it is there only where an attribute tells it.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence

from immune.intake.otlp.names import Fact
from immune.intake.otlp.span import Span
from immune.intake.otlp.tree import Call, Run, Tool
from immune.vitals import CALLS_MAX, ID_LENGTH_MAX, Kind, ToolCall, Vital

_FRAMEWORKS = frozenset({"langchain", "langgraph"})
"""What `gen_ai.system` says in langsmith's spans: not who runs the model."""


def call_vital(call: Call, agent_id: str, received_at: float) -> Vital:
    """Return the step of one model call."""
    spans = richest_first(call.members)
    span = call.anchor
    input_tokens, output_tokens = _tokens(spans)
    return Vital(
        agent_id=agent_id,
        at=span.end_s,
        kind=Kind.CALL,
        received_at=received_at,
        step_id=span.span_id,
        latency_ms=_latency_ms(span),
        input_tokens=input_tokens,
        output_tokens=output_tokens,
        cost_usd=_number(spans, Fact.COST),
        tool_calls=float(len(call.tools)) if call.tools_known else None,
        retries=_attempts_failed(call),
        errors=float(span.failed),
        agent_type=_agent_type(call.agent.agent_type, call.agent.name),
        model=_text(spans, Fact.MODEL),
        provider=provider(spans),
        prompt_hash=next((span.prompt_hash for span in spans if span.prompt_hash), None),
        error_type=_text(spans, Fact.ERROR_TYPE) if span.failed else None,
        session_id=_text(spans, Fact.SESSION),
        trace_id=_clean(span.trace_id),
        calls=_tool_calls(call.tools),
    )


def run_vital(run: Run, agent_id: str, received_at: float) -> Vital:
    """Return the step of one whole run."""
    span = run.anchor
    calls = [call_vital(call, agent_id, received_at) for call in run.calls]
    own_input, own_output = _tokens(run.members)
    return Vital(
        agent_id=agent_id,
        at=span.end_s,
        kind=Kind.RUN,
        received_at=received_at,
        step_id=span.span_id,
        latency_ms=_latency_ms(span),
        input_tokens=_sum(
            (call.input_tokens for call in calls),
            _number(run.members, Fact.AGGREGATED_INPUT_TOKENS),
            own_input,
        ),
        output_tokens=_sum(
            (call.output_tokens for call in calls),
            _number(run.members, Fact.AGGREGATED_OUTPUT_TOKENS),
            own_output,
        ),
        cost_usd=_sum((call.cost_usd for call in calls), _number(run.members, Fact.COST)),
        tool_calls=float(len(run.tools)) if run.tools else None,
        retries=_retries(calls),
        errors=float(span.failed),
        agent_type=_agent_type(run.agent.agent_type, run.agent.name),
        model=_most_used(call.model for call in calls) or _text(run.members, Fact.MODEL),
        provider=_most_used(call.provider for call in calls) or provider(run.members),
        prompt_hash=next((told.prompt_hash for told in run.members if told.prompt_hash), None)
        or next((call.prompt_hash for call in calls if call.prompt_hash), None),
        error_type=_text(run.members, Fact.ERROR_TYPE) if span.failed else None,
        session_id=_text(run.members, Fact.SESSION)
        or next((call.session_id for call in calls if call.session_id), None),
        trace_id=_clean(span.trace_id),
        calls=_tool_calls(run.loose),
    )


def richest_first(members: Sequence[Span]) -> list[Span]:
    """Return the spans of one call, the one with most facts first, of equals the outermost."""
    facts = (Fact.MODEL, Fact.INPUT_TOKENS, Fact.OUTPUT_TOKENS, Fact.COST, Fact.ERROR_TYPE)

    def count(span: Span) -> int:
        told = sum(span.text(fact) is not None or span.number(fact) is not None for fact in facts)
        return told + (provider([span]) is not None) + (span.prompt_hash is not None)

    return sorted(members, key=count, reverse=True)


def provider(spans: Iterable[Span]) -> str | None:
    """Return who runs the model, leaving out frameworks that call themselves its system."""
    for span in spans:
        name = _clean(span.text(Fact.PROVIDER))
        if name and name not in _FRAMEWORKS:
            return name
    return None


def _latency_ms(span: Span) -> float:
    return (span.end_ns - span.start_ns) / 1e6


def _tokens(spans: Sequence[Span]) -> tuple[float | None, float | None]:
    """Input and output; a total alone is taken as the output, as in `POST /api/vitals`."""
    input_tokens = _number(spans, Fact.INPUT_TOKENS)
    output_tokens = _number(spans, Fact.OUTPUT_TOKENS)
    if input_tokens is None and output_tokens is None:
        output_tokens = _number(spans, Fact.TOTAL_TOKENS)
    return input_tokens, output_tokens


def _attempts_failed(call: Call) -> float | None:
    """Attempts inside the call that failed and were followed by another."""
    attempts = sorted(call.members[1:], key=lambda span: span.start_ns)
    failed = sum(attempt.failed for attempt in attempts[:-1])
    return float(failed) if failed else _number(call.members, Fact.RESENDS)


def _retries(calls: Sequence[Vital]) -> float | None:
    """Failed model calls followed by another, and what the calls retried themselves."""
    if not calls:
        return None
    return sum(call.errors or 0.0 for call in calls[:-1]) + sum(c.retries or 0.0 for c in calls)


def _tool_calls(tools: Sequence[Tool]) -> tuple[ToolCall, ...] | None:
    """The latest ones, where there are more than a vital may carry."""
    calls = []
    for tool in tools[-CALLS_MAX:]:
        name = next(filter(None, (_tool_name(span) for span in tool.members)), None)
        args = next((span.args_hash for span in tool.members if span.args_hash), 0)
        result = next((span.result_hash for span in tool.members if span.result_hash), 0)
        calls.append(ToolCall(name or "tool", args, result, not tool.anchor.failed))
    return tuple(calls) or None


def _tool_name(span: Span) -> str | None:
    return _clean(span.text(Fact.TOOL)) or _clean(span.name)


def _text(spans: Iterable[Span], fact: Fact) -> str | None:
    return next((text for span in spans if (text := _clean(span.text(fact)))), None)


def _number(spans: Iterable[Span], fact: Fact) -> float | None:
    return next((value for span in spans if (value := span.number(fact)) is not None), None)


def _sum(values: Iterable[float | None], *otherwise: float | None) -> float | None:
    known = [value for value in values if value is not None]
    if known:
        return sum(known)
    return next((value for value in otherwise if value is not None), None)


def _most_used(values: Iterable[str | None]) -> str | None:
    counted = Counter(value for value in values if value)
    return counted.most_common(1)[0][0] if counted else None


def _agent_type(told: str | None, name: str | None) -> str | None:
    return _clean(told) or _clean(name)


def _clean(text: str | None) -> str | None:
    """A fact that no vital may carry is left out rather than refusing the vital."""
    return text if text and len(text) <= ID_LENGTH_MAX and text.isprintable() else None
