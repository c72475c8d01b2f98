"""OTLP in protobuf, the encoding that exporters use by default.

Read off the wire by `wire` where that was compiled; else by protobuf's library, which takes about
five times as long and gives the same.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable

from google.protobuf.message import DecodeError
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.common.v1.common_pb2 import KeyValue
from opentelemetry.proto.trace.v1 import trace_pb2

from immune.errors import InvalidInput
from immune.intake.otlp import names
from immune.intake.otlp.nested import Broken, plain
from immune.intake.otlp.span import RawSpan, Resource, resource_of

Take = Callable[[RawSpan], None]


def read_by_library(body: bytes, take: Take) -> None:
    """Hand each span of an export request to `take`; raises DecodeError where it is none."""
    for resource_spans in ExportTraceServiceRequest.FromString(body).resource_spans:
        attributes = resource_spans.resource.attributes
        resource = resource_of(_plain_all(attributes, names.RESOURCE_NAMES))
        for scope_spans in resource_spans.scope_spans:
            for span in scope_spans.spans:
                take(_raw(span, resource, scope_spans.scope.name))


_read: Callable[[bytes, Take], None] = read_by_library
try:
    from immune.intake.otlp import wire
except ModuleNotFoundError:
    COMPILED = False
    """Whether the compiled reader is there."""
else:
    COMPILED = True
    _read = wire.read


def read(body: bytes, take: Take) -> None:
    """Hand each span of an export request to `take`; raises InvalidInput where it is none.

    What was handed over by then is to be dropped.
    """
    try:
        _read(body, take)
    except (DecodeError, Broken):  # broken, or nested deeper than protobuf's own limit of 100
        raise InvalidInput("body", "is no OTLP protobuf of traces") from None


def _raw(span: trace_pb2.Span, resource: Resource, scope: str) -> RawSpan:
    wanted = _plain_all(span.attributes, names.WANTED)
    for event in span.events:
        wanted.update(_plain_all(event.attributes, names.EVENT_NAMES))
    return RawSpan(
        trace_id=span.trace_id.hex(),
        span_id=span.span_id.hex(),
        parent_id=span.parent_span_id.hex(),
        flags=span.flags,
        name=span.name,
        start_ns=span.start_time_unix_nano,
        end_ns=span.end_time_unix_nano,
        status_code=span.status.code,
        wanted=wanted,
        resource=resource,
        scope=scope,
        speaks=any(
            attribute.key.startswith(names.DIALECT_PREFIXES) for attribute in span.attributes
        ),
    )


def _plain_all(attributes: Iterable[KeyValue], wanted: frozenset[str]) -> dict[str, object]:
    return {
        attribute.key: plain(attribute.value) for attribute in attributes if attribute.key in wanted
    }
