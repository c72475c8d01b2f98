"""OTLP in protobuf, the encoding that exporters use by default."""

from __future__ import annotations

import base64
from collections.abc import Iterable, Iterator

from google.protobuf.message import DecodeError
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.common.v1.common_pb2 import AnyValue, KeyValue
from opentelemetry.proto.trace.v1 import trace_pb2

from immune.errors import InvalidInput
from immune.intake.otlp import names
from immune.intake.otlp.span import RawSpan, Resource, resource_of


def read(body: bytes) -> Iterator[RawSpan]:
    """Yield the spans of one export request; raises InvalidInput where it is none."""
    export = ExportTraceServiceRequest()
    try:
        export.ParseFromString(body)
    except DecodeError:  # broken, or nested deeper than protobuf's own limit of 100
        raise InvalidInput("body", "is no OTLP protobuf of traces") from None
    for resource_spans in export.resource_spans:
        attributes = resource_spans.resource.attributes
        resource = resource_of(_plain_all(attributes, names.RESOURCE_NAMES))
        for scope_spans in resource_spans.scope_spans:
            for span in scope_spans.spans:
                yield _raw(span, resource, scope_spans.scope.name)


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
    )


def _plain_all(attributes: Iterable[KeyValue], wanted: frozenset[str]) -> dict[str, object]:
    return {
        attribute.key: _plain(attribute.value)
        for attribute in attributes
        if attribute.key in wanted
    }


def _plain(value: AnyValue) -> object:
    match value.WhichOneof("value"):
        case "string_value":
            return value.string_value
        case "int_value":
            return value.int_value
        case "double_value":
            return value.double_value
        case "bool_value":
            return value.bool_value
        case "array_value":
            return [_plain(item) for item in value.array_value.values]
        case "kvlist_value":
            return {item.key: _plain(item.value) for item in value.kvlist_value.values}
        case "bytes_value":
            return base64.b64encode(value.bytes_value).decode()
        case _:
            return None
