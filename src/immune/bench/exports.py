"""Requests of spans as an SDK's exporter writes them: 12 attributes a span, in protobuf.

`alone` holds model calls that are each a trace of their own, which give the most vitals; `runs`
holds whole runs of an agent: of ten spans, five model calls, four tool calls and the run around
them.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.trace.v1.trace_pb2 import ScopeSpans, Span

AGENTS = 1000
RUN = ("chat", "execute_tool") * 4 + ("chat", "invoke_agent")
"""The spans of a run, in the order of their ends."""
RUN_STEPS = 6
"""The vitals of it: each call of a model, and the run."""

Attributes = dict[str, str | int | float]


def alone(spans: int, end_ns: int, rng: np.random.Generator) -> bytes:
    """A request of so many model calls, the last of which ended at `end_ns`."""
    request, scope = _request()
    for i in range(spans):
        span = _span(scope, "chat", i, rng)
        span.trace_id = rng.bytes(16)
        span.start_time_unix_nano, span.end_time_unix_nano = end_ns - 1_000_000_000, end_ns
    return request.SerializeToString()


def runs(spans: int, end_ns: int, rng: np.random.Generator) -> bytes:
    """A request of so many spans in whole runs, all of which ended at `end_ns`."""
    request, scope = _request()
    for i in range(spans // len(RUN)):
        trace_id, run_id = rng.bytes(16), rng.bytes(8)
        start_ns = end_ns - len(RUN) * 1_000_000_000
        for place, operation in enumerate(RUN):
            span = _span(scope, operation, i, rng)
            span.trace_id = trace_id
            span.start_time_unix_nano = start_ns + place * 1_000_000_000
            span.end_time_unix_nano = span.start_time_unix_nano + 900_000_000
            if operation == "invoke_agent":
                span.span_id = run_id
                span.start_time_unix_nano, span.end_time_unix_nano = start_ns, end_ns
            else:
                span.parent_span_id = run_id
    return request.SerializeToString()


def _request() -> tuple[ExportTraceServiceRequest, ScopeSpans]:
    request = ExportTraceServiceRequest()
    resource_spans = request.resource_spans.add()
    service = resource_spans.resource.attributes.add()
    service.key, service.value.string_value = "service.name", "bench"
    scope_spans = resource_spans.scope_spans.add()
    scope_spans.scope.name = "opentelemetry.instrumentation.openai"
    return request, scope_spans


def _span(scope: ScopeSpans, operation: str, i: int, rng: np.random.Generator) -> Span:
    span = scope.spans.add()
    span.span_id = rng.bytes(8)
    span.name = f"{operation} gpt-5"
    told: Attributes = {
        "gen_ai.operation.name": operation,
        "gen_ai.agent.name": f"agent-{i % AGENTS}",
        "gen_ai.conversation.id": f"conversation-{i}",
        "gen_ai.provider.name": "openai",
        "server.address": "api.openai.com",
        "server.port": 443,
    }
    _attributes(span, told | (_tool(i, rng) if operation == "execute_tool" else _model(i, rng)))
    return span


def _model(i: int, rng: np.random.Generator) -> Attributes:
    return {
        "gen_ai.request.model": "gpt-5",
        "gen_ai.response.model": "gpt-5-2026-08-07",
        "gen_ai.usage.input_tokens": int(rng.integers(100, 5000)),
        "gen_ai.usage.output_tokens": int(rng.integers(10, 500)),
        "gen_ai.request.temperature": 0.5,
        "gen_ai.response.id": f"resp_{i:032x}",
    }


def _tool(i: int, rng: np.random.Generator) -> Attributes:
    return {
        "gen_ai.tool.name": f"tool-{i % 7}",
        "gen_ai.tool.type": "function",
        "gen_ai.tool.description": "Looks something up.",
        "gen_ai.tool.call.id": f"call_{i:032x}",
        "gen_ai.tool.call.arguments": f'{{"query": "{rng.bytes(8).hex()}", "limit": 10}}',
        "gen_ai.tool.call.result": f'{{"found": ["{rng.bytes(8).hex()}"]}}',
    }


def _attributes(span: Span, told: Mapping[str, str | int | float]) -> None:
    for key, value in told.items():
        attribute = span.attributes.add()
        attribute.key = key
        if isinstance(value, str):
            attribute.value.string_value = value
        elif isinstance(value, int):
            attribute.value.int_value = value
        else:
            attribute.value.double_value = value
