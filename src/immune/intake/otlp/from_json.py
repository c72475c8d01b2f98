"""OTLP/JSON: ids in hex, 64-bit integers as strings or numbers, enums as numbers or names."""

from __future__ import annotations

from collections.abc import Callable

import msgspec

from immune.errors import InvalidInput
from immune.intake.otlp import names
from immune.intake.otlp.span import RawSpan, Resource, resource_of

_DEPTH_MAX = 32


class _Value(msgspec.Struct, rename="camel"):
    string_value: str | None = None
    bool_value: bool | None = None
    int_value: int | str | None = None
    double_value: float | str | None = None
    array_value: _Array | None = None
    kvlist_value: _List | None = None
    bytes_value: str | None = None


class _Array(msgspec.Struct):
    values: list[_Value] | None = None


class Attribute(msgspec.Struct):
    """A name and its value."""

    key: str
    value: _Value | None = None


class _List(msgspec.Struct):
    values: list[Attribute] | None = None


class _Event(msgspec.Struct):
    name: str = ""
    attributes: list[Attribute] | None = None


class _Status(msgspec.Struct):
    code: int | str | None = None


class _Span(msgspec.Struct, rename="camel"):
    trace_id: str = ""
    span_id: str = ""
    parent_span_id: str | None = None
    flags: int | None = None
    name: str | None = None
    start_time_unix_nano: int | str = 0
    end_time_unix_nano: int | str = 0
    attributes: list[Attribute] | None = None
    events: list[_Event] | None = None
    status: _Status | None = None


class _Scope(msgspec.Struct):
    name: str | None = None


class _ScopeSpans(msgspec.Struct, rename="camel"):
    scope: _Scope | None = None
    spans: list[_Span] | None = None


class ResourceJson(msgspec.Struct):
    """What spans or points are of."""

    attributes: list[Attribute] | None = None


class _ResourceSpans(msgspec.Struct, rename="camel"):
    resource: ResourceJson | None = None
    scope_spans: list[_ScopeSpans] | None = None


class _Export(msgspec.Struct, rename="camel"):
    resource_spans: list[_ResourceSpans] | None


_export = msgspec.json.Decoder(_Export)
_STATUS_CODES = {"STATUS_CODE_UNSET": 0, "STATUS_CODE_OK": 1, "STATUS_CODE_ERROR": 2}


def read(body: bytes, take: Callable[[RawSpan], None]) -> None:
    """Hand each span of an export request to `take`; raises InvalidInput where it is none."""
    try:
        export = _export.decode(body)
    except RecursionError:
        raise InvalidInput("body", "is nested too deep") from None
    except ValueError as error:
        raise InvalidInput("body", f"is no OTLP/JSON of traces: {error}") from None
    for resource_spans in export.resource_spans or ():
        told = resource_spans.resource
        resource = resource_of(plain_all(told.attributes if told else None, names.RESOURCE_NAMES))
        for scope_spans in resource_spans.scope_spans or ():
            scope = (scope_spans.scope and scope_spans.scope.name) or ""
            for span in scope_spans.spans or ():
                take(_raw(span, resource, scope))


def _raw(span: _Span, resource: Resource, scope: str) -> RawSpan:
    wanted = plain_all(span.attributes, names.WANTED)
    for event in span.events or ():
        wanted.update(plain_all(event.attributes, names.EVENT_NAMES))
    code = span.status.code if span.status is not None else None
    return RawSpan(
        trace_id=span.trace_id.lower(),
        span_id=span.span_id.lower(),
        parent_id=(span.parent_span_id or "").lower(),
        flags=span.flags or 0,
        name=span.name or "",
        start_ns=whole(span.start_time_unix_nano),
        end_ns=whole(span.end_time_unix_nano),
        status_code=_STATUS_CODES.get(code, 0) if isinstance(code, str) else code or 0,
        wanted=wanted,
        resource=resource,
        scope=scope,
        speaks=any(a.key.startswith(names.DIALECT_PREFIXES) for a in span.attributes or ()),
    )


def whole(value: int | str) -> int:
    """Whole numbers of 64 bits; 0, as for a missing one, where it is none."""
    if isinstance(value, str):
        if not (value.isascii() and value.isdigit() and len(value) <= 20):
            return 0
        value = int(value)
    return value if 0 <= value < 2**64 else 0


def plain_all(
    attributes: list[Attribute] | None, wanted: frozenset[str] | None = None
) -> dict[str, object]:
    """Return the values of the attributes, or of those that are wanted."""
    return {
        attribute.key: _plain(attribute.value)
        for attribute in attributes or ()
        if (wanted is None or attribute.key in wanted) and attribute.value is not None
    }


def _plain(value: _Value, depth: int = 0) -> object:
    if value.string_value is not None:
        return value.string_value
    if value.int_value is not None:
        number = value.int_value
        if isinstance(number, int):
            return number
        digits = number.removeprefix("-")
        return int(number) if digits.isascii() and digits.isdigit() and len(digits) < 20 else None
    if value.double_value is not None:
        try:
            return float(value.double_value)
        except ValueError:
            return None
    if value.bool_value is not None:
        return value.bool_value
    if depth < _DEPTH_MAX:
        if value.array_value is not None:
            return [_plain(item, depth + 1) for item in value.array_value.values or ()]
        if value.kvlist_value is not None:
            return {
                item.key: _plain(item.value, depth + 1)
                for item in value.kvlist_value.values or ()
                if item.value is not None
            }
    return value.bytes_value
