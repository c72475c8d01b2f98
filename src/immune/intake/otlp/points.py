"""The body of ``POST /v1/metrics``: bytes in either encoding to data points with count and sum.

Of a histogram, explicit or exponential, only its count and sum are read, of a counter its value:
what a mean is made of. Every other kind of metric is counted and left.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Iterator
from hashlib import blake2b
from operator import itemgetter

import msgspec
from google.protobuf.message import DecodeError
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import (
    ExportMetricsServiceRequest,
)
from opentelemetry.proto.common.v1.common_pb2 import KeyValue
from opentelemetry.proto.metrics.v1 import metrics_pb2

from immune.errors import InvalidInput
from immune.intake.bounds import check_size
from immune.intake.otlp import names
from immune.intake.otlp.from_json import Attribute, ResourceJson, plain_all, whole
from immune.intake.otlp.nested import plain
from immune.intake.otlp.span import Resource, resource_of

_WANTED = names.KEPT | {names.OPERATION, names.TOKEN_TYPE}
_METRICS = names.DURATION_METRICS | frozenset().union(*names.TOKEN_METRICS.values())
_DELTA, _CUMULATIVE = 1, 2
_TEMPORALITIES = {
    "AGGREGATION_TEMPORALITY_DELTA": _DELTA,
    "AGGREGATION_TEMPORALITY_CUMULATIVE": _CUMULATIVE,
}


class Point(msgspec.Struct, frozen=True):
    """One data point of a metric that is read."""

    metric: str
    wanted: dict[str, object]
    """Its attributes, those that are wanted."""
    resource: Resource
    series: bytes
    """Which time series it is of: a digest of all that identifies one in OTLP's data model, that
    is the resource, the scope, the metric's name and every attribute of the point."""
    cumulative: bool
    start_ns: int
    at_ns: int
    count: int | None
    """None for a counter, which doesn't tell of how many calls it is the sum."""
    total: float


class DecodedPoints(msgspec.Struct, frozen=True):
    """What a request held; `rejected` by reason is what OTLP's partial success answers."""

    points: list[Point]
    rejected: dict[str, int]
    unread: dict[str, int]
    """Points rightly left, by reason."""


def decode_metrics(body: bytes, *, content_type: str, max_bytes: int) -> DecodedPoints:
    """Return the points in `body`; raises InvalidInput for what is no export request."""
    check_size(body, max_bytes)
    is_json = content_type.partition(";")[0].strip().lower() == "application/json"
    points: list[Point] = []
    rejected: Counter[str] = Counter()
    unread: Counter[str] = Counter()
    for point in _of_json(body, unread) if is_json else _of_protobuf(body, unread):
        fault = _fault(point)
        if fault:
            rejected[fault] += 1
        else:
            points.append(point)
    return DecodedPoints(points, dict(rejected), dict(unread))


def _fault(point: Point) -> str:
    if not (math.isfinite(point.total) and point.total >= 0 and (point.count or 0) >= 0):
        return "a sum or a count is no number, or is negative or missing"
    if not point.at_ns or point.at_ns < point.start_ns:
        return "time_unix_nano must be set, and not before start_time_unix_nano"
    return ""


class _Series:
    """The time series of one scope, by what its points are further told by."""

    def __init__(self, resource: dict[str, object], *scope: object) -> None:
        self._shared = blake2b(repr((_sorted(resource), scope)).encode(), digest_size=16)

    def of(self, metric: str, attributes: dict[str, object]) -> bytes:
        """Return the digest of a series, 16 bytes."""
        series = self._shared.copy()
        series.update(repr((metric, _sorted(attributes))).encode())
        return series.digest()


def _sorted(attributes: dict[str, object]) -> list[tuple[str, object]]:
    return sorted(attributes.items(), key=itemgetter(0))


def _only(told: dict[str, object], wanted: frozenset[str]) -> dict[str, object]:
    return {key: value for key, value in told.items() if key in wanted}


# --- protobuf -----------------------------------------------------------------------------


def _of_protobuf(body: bytes, unread: Counter[str]) -> Iterator[Point]:
    try:
        export = ExportMetricsServiceRequest.FromString(body)
    except DecodeError:
        raise InvalidInput("body", "is no OTLP protobuf of metrics") from None
    for resource_metrics in export.resource_metrics:
        told = _plain_all(resource_metrics.resource.attributes)
        resource = resource_of(_only(told, names.RESOURCE_NAMES))
        for scope_metrics in resource_metrics.scope_metrics:
            scope = scope_metrics.scope
            about = _sorted(_plain_all(scope.attributes))
            series = _Series(told, scope.name, scope.version, about)
            for metric in scope_metrics.metrics:
                yield from _points(metric, resource, series, unread)


def _points(
    metric: metrics_pb2.Metric, resource: Resource, series: _Series, unread: Counter[str]
) -> Iterator[Point]:
    kind = metric.WhichOneof("data")
    if metric.name not in _METRICS or kind not in ("histogram", "exponential_histogram", "sum"):
        unread["metric_not_read"] += 1
        return
    data = getattr(metric, kind)
    for told in data.data_points:
        count: int | None = None
        if kind == "sum":
            total = float(told.as_int if told.WhichOneof("value") == "as_int" else told.as_double)
        else:
            count, total = told.count, told.sum if told.HasField("sum") else math.nan
        attributes = _plain_all(told.attributes)
        yield Point(
            metric.name,
            _only(attributes, _WANTED),
            resource,
            series.of(metric.name, attributes),
            data.aggregation_temporality == _CUMULATIVE,
            told.start_time_unix_nano,
            told.time_unix_nano,
            count,
            total,
        )


def _plain_all(attributes: Iterable[KeyValue]) -> dict[str, object]:
    return {told.key: plain(told.value) for told in attributes if told.HasField("value")}


# --- JSON ---------------------------------------------------------------------------------


class _Point(msgspec.Struct, rename="camel"):
    attributes: list[Attribute] | None = None
    start_time_unix_nano: int | str = 0
    time_unix_nano: int | str = 0
    count: int | str = 0
    sum: float | str | None = None
    as_int: int | str | None = None
    as_double: float | str | None = None


class _Data(msgspec.Struct, rename="camel"):
    data_points: list[_Point] | None = None
    aggregation_temporality: int | str | None = None


class _Metric(msgspec.Struct, rename="camel"):
    name: str = ""
    sum: _Data | None = None
    histogram: _Data | None = None
    exponential_histogram: _Data | None = None


class _Scope(msgspec.Struct):
    name: str = ""
    version: str = ""
    attributes: list[Attribute] | None = None


class _ScopeMetrics(msgspec.Struct):
    scope: _Scope | None = None
    metrics: list[_Metric] | None = None


class _ResourceMetrics(msgspec.Struct, rename="camel"):
    resource: ResourceJson | None = None
    scope_metrics: list[_ScopeMetrics] | None = None


class _Export(msgspec.Struct, rename="camel"):
    resource_metrics: list[_ResourceMetrics] | None


_export = msgspec.json.Decoder(_Export)


def _of_json(body: bytes, unread: Counter[str]) -> Iterator[Point]:
    try:
        export = _export.decode(body)
    except RecursionError:
        raise InvalidInput("body", "is nested too deep") from None
    except ValueError as error:
        raise InvalidInput("body", f"is no OTLP/JSON of metrics: {error}") from None
    for resource_metrics in export.resource_metrics or ():
        about = resource_metrics.resource
        about_all = plain_all(about.attributes if about else None)
        resource = resource_of(_only(about_all, names.RESOURCE_NAMES))
        for scope_metrics in resource_metrics.scope_metrics or ():
            scope = scope_metrics.scope or _Scope()
            by_scope = _sorted(plain_all(scope.attributes))
            series = _Series(about_all, scope.name, scope.version, by_scope)
            for metric in scope_metrics.metrics or ():
                data = metric.histogram or metric.exponential_histogram or metric.sum
                if metric.name not in _METRICS or data is None:
                    unread["metric_not_read"] += 1
                    continue
                temporality = data.aggregation_temporality
                if isinstance(temporality, str):
                    temporality = _TEMPORALITIES.get(temporality, 0)
                for told in data.data_points or ():
                    counter = data is metric.sum
                    attributes = plain_all(told.attributes)
                    yield Point(
                        metric.name,
                        _only(attributes, _WANTED),
                        resource,
                        series.of(metric.name, attributes),
                        temporality == _CUMULATIVE,
                        whole(told.start_time_unix_nano),
                        whole(told.time_unix_nano),
                        None if counter else whole(told.count),
                        _value(told.as_double, told.as_int) if counter else _value(told.sum),
                    )


def _value(*told: float | str | None) -> float:
    for value in told:
        if value is not None:
            try:
                return float(value)
            except (ValueError, OverflowError):
                return math.nan
    return math.nan
