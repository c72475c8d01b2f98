"""Metrics stand in for spans that never come, and claim no more than they tell."""

from __future__ import annotations

import base64
import copy
import json
from collections.abc import Sequence
from typing import Any

import pytest
from google.protobuf import json_format
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import (
    ExportMetricsServiceRequest,
)

from immune.errors import InvalidInput
from immune.intake.otlp.assemble import TraceAssembler
from immune.intake.otlp.measures import Measures
from immune.intake.otlp.points import DecodedPoints, Point, decode_metrics
from immune.vitals import Kind, Vital
from tests.intake.traces import DATA, START, run

NAMES = sorted(file.name.removesuffix(".metrics.json") for file in DATA.glob("*.metrics.json"))
DURATION, TOKENS = "gen_ai.client.operation.duration", "gen_ai.client.token.usage"
S = 1_000_000_000


def decoded(body: object, content_type: str = "application/json") -> DecodedPoints:
    """What a request holds."""
    data = body if isinstance(body, bytes) else json.dumps(body).encode()
    return decode_metrics(data, content_type=content_type, max_bytes=10**7)


def metric(
    name: str,
    count: int | None,
    total: float,
    at: float = 60,
    *,
    start: float = 0,
    delta: bool = True,
    kind: str = "histogram",
    **attributes: str,
) -> dict[str, Any]:
    """A metric of one point; in names of attributes, `__` stands for a dot."""
    value = {"count": str(count), "sum": total} if kind != "sum" else {"asDouble": total}
    told = {"gen_ai__agent__name": "writer", "gen_ai__request__model": "m", **attributes}
    point = {
        "startTimeUnixNano": str(round((START + start) * S)),
        "timeUnixNano": str(round((START + at) * S)),
        "attributes": [
            {"key": key.replace("__", "."), "value": {"stringValue": said}}
            for key, said in told.items()
        ],
        **value,
    }
    return {
        "name": name,
        kind: {"aggregationTemporality": 1 if delta else 2, "dataPoints": [point]},
    }


def export(*metrics: dict[str, Any]) -> dict[str, Any]:
    """A request of a service called `svc`."""
    attribute = {"key": "service.name", "value": {"stringValue": "svc"}}
    scopes = [{"metrics": list(metrics)}]
    return {"resourceMetrics": [{"resource": {"attributes": [attribute]}, "scopeMetrics": scopes}]}


def taken(measures: Measures, *metrics: dict[str, Any], now: float = 61) -> list[Vital]:
    """The vitals that a request comes to, once they are stored."""
    measured = measures.measure(decoded(export(*metrics)).points, START + now)
    measures.keep(measured)
    return measured.vitals


def none_has_spans(agent_id: str, service: str | None, named: bool, now: float) -> bool:
    """Nobody sends spans."""
    return False


def test_an_interval_is_its_mean_call() -> None:
    """Whatever the metrics do not tell is missing; of three calls one failed."""
    measures = Measures(none_has_spans)
    (vital,) = taken(
        measures,
        metric(DURATION, 2, 3.0),
        metric(DURATION, 1, 6.0, error__type="timeout"),
        metric(TOKENS, 3, 300, gen_ai__token__type="input"),
        metric(TOKENS, 2, 50, gen_ai__token__type="output"),
    )
    assert (vital.agent_id, vital.kind, vital.at) == ("svc/writer", Kind.CALL, START + 60)
    assert (vital.latency_ms, vital.input_tokens, vital.output_tokens) == (3000, 100, 25)
    assert (vital.errors, vital.model, vital.agent_type) == (0, "m", "writer")
    assert vital.cost_usd is vital.tool_calls is vital.retries is None
    assert taken(measures, metric(DURATION, 0, 0.0)) == []


def test_an_interval_of_which_half_failed_has_failed() -> None:
    """A step fails or does not: there are no halves."""
    failing = metric(DURATION, 2, 2.0, error__type="500")
    (vital,) = taken(Measures(none_has_spans), metric(DURATION, 2, 2.0), failing)
    assert vital.errors == 1


def test_of_a_running_total_the_difference_counts() -> None:
    """The first point says where to begin, a repeated one nothing, a fallen one begins anew."""
    measures = Measures(none_has_spans)

    def at(when: float, count: int, total: float, start: float = 0) -> list[float | None]:
        one = metric(DURATION, count, total, when, start=start, delta=False)
        return [vital.latency_ms for vital in taken(measures, one, now=when + 1)]

    assert at(60, 100, 900.0) == []
    assert at(120, 110, 920.0) == [2000]
    assert at(120, 110, 920.0) == []
    assert at(180, 4, 4.0) == [1000]  # its count has fallen: the process began anew
    assert at(240, 10, 40.0, start=200) == [4000]  # and here it says so
    assert measures.unmapped == {"first_point": 1, "old_point": 1}


@pytest.mark.parametrize("apart", ["resource", "scope", "point"])
def test_each_time_series_has_a_running_total_of_its_own(apart: str) -> None:
    """Two replicas of one agent, or two series of one, apart by what is read nowhere else; one
    of them begins anew, and the other's difference stays what it is."""
    measures = Measures(none_has_spans)

    def send(who: str, count: int, at: float, start: float = 0) -> list[float | None]:
        told = {"server__address": who} if apart == "point" else {}
        total = 2.0 * count
        request = export(metric(DURATION, count, total, at, start=start, delta=False, **told))
        (of_resource,) = request["resourceMetrics"]
        if apart == "resource":
            host = {"key": "service.instance.id", "value": {"stringValue": who}}
            of_resource["resource"]["attributes"].append(host)
        if apart == "scope":
            of_resource["scopeMetrics"][0]["scope"] = {"name": "meter", "version": who}
        as_protobuf = decoded(_protobuf(request), "application/x-protobuf")
        assert decoded(request) == as_protobuf
        measured = measures.measure(as_protobuf.points, START + at + 1)
        measures.keep(measured)
        return [vital.latency_ms for vital in measured.vitals]

    assert send("one", 100, at=60) == send("two", 7, at=61) == []
    assert send("one", 110, at=120) == send("two", 9, at=121) == [2000.0]
    assert send("two", 3, at=181, start=150) == [2000.0]
    assert send("one", 110, at=180) == []
    assert measures.unmapped == {"first_point": 2}


def test_what_was_not_stored_is_measured_again() -> None:
    """The store was down: the same request, sent again, gives the same vital."""
    measures = Measures(none_has_spans)
    taken(measures, metric(DURATION, 1, 1.0, 60, delta=False))
    points = decoded(export(metric(DURATION, 3, 5.0, 120, delta=False))).points
    first = measures.measure(points, START + 121)
    again = measures.measure(points, START + 121)
    assert first.vitals == again.vitals != []


@pytest.mark.parametrize("kind", ["histogram", "exponentialHistogram"])
@pytest.mark.parametrize(
    ("duration", "tokens"),
    [
        (DURATION, [(TOKENS, 4, {"gen_ai__token__type": "completion"})]),
        (
            "gen_ai.client.inference.duration",
            [("gen_ai.client.inference.operation.output_tokens", 4, {})],
        ),
        (
            "gen_ai.client.inference.duration",
            [("gen_ai.client.inference.usage.output_tokens", None, {})],
        ),
    ],
)
def test_three_generations_of_names_say_the_same(
    kind: str, duration: str, tokens: Sequence[tuple[str, int | None, dict[str, Any]]]
) -> None:
    """A counter has no count of its own: its calls are those of the duration."""
    metrics = [metric(duration, 4, 2.0, kind=kind)] + [
        metric(name, count, 80, kind="sum" if count is None else kind, **told)
        for name, count, told in tokens
    ]
    (vital,) = taken(Measures(none_has_spans), *metrics)
    assert (vital.latency_ms, vital.output_tokens) == (500, 20)


def test_who_sends_spans_is_not_counted_twice() -> None:
    """Neither the agent, nor its service where the metric names no agent."""
    assembler = TraceAssembler(settle_s=0)
    measures = Measures(assembler.knows)
    assert len(taken(measures, metric(DURATION, 1, 1.0))) == 1
    assembler.feed([run("r", gen_ai__agent__name="writer")], START + 10)
    assert taken(measures, metric(DURATION, 1, 1.0, 120)) == []
    assert taken(measures, metric(DURATION, 1, 1.0, 120, gen_ai__agent__name="")) == []
    (other,) = taken(measures, metric(DURATION, 1, 1.0, 120, gen_ai__agent__name="editor"))
    assert other.agent_id == "svc/editor"
    assert measures.unmapped == {"point_of_an_agent_with_spans": 2}


def test_other_work_and_broken_points_are_counted() -> None:
    """A tool's duration is no model call's; a sum that is none is rejected by its reason."""
    measures = Measures(none_has_spans)
    assert taken(measures, metric(DURATION, 1, 1.0, gen_ai__operation__name="embeddings")) == []
    assert measures.unmapped == {"point_of_other_work": 1}
    found = decoded(
        export(metric("http.server.duration", 1, 1.0), metric(DURATION, 1, -1.0)),
    )
    assert (found.points, found.unread) == ([], {"metric_not_read": 1})
    assert found.rejected == {"a sum or a count is no number, or is negative or missing": 1}
    for body, kind in ((b"{}", "application/json"), (b"\xff", "application/x-protobuf")):
        with pytest.raises(InvalidInput, match="metrics"):
            decoded(body, kind)


def _protobuf(request: dict[str, Any]) -> bytes:
    request = copy.deepcopy(request)
    for resource in request["resourceMetrics"]:
        for scope in resource["scopeMetrics"]:
            for one in scope["metrics"]:
                for point in one["histogram"]["dataPoints"]:
                    for exemplar in point.get("exemplars", ()):
                        for field in ("traceId", "spanId"):
                            raw = bytes.fromhex(exemplar[field])
                            exemplar[field] = base64.b64encode(raw).decode()
    return json_format.ParseDict(request, ExportMetricsServiceRequest()).SerializeToString()


@pytest.mark.parametrize("name", NAMES)
def test_what_real_frameworks_send_is_read_alike_in_both_encodings(name: str) -> None:
    """Recorded: cumulative histograms, so that the second export tells what came in between."""
    request: dict[str, Any] = json.loads((DATA / f"{name}.metrics.json").read_bytes())
    found = decoded(request)
    assert found == decoded(_protobuf(request), "application/x-protobuf")
    assert (found.rejected, found.unread) == ({}, {})
    measures = Measures(none_has_spans)
    now = max(point.at_ns for point in found.points) / S + 1
    measured = measures.measure(found.points, now)
    assert measured.vitals == []
    measures.keep(measured)
    later = [_twice(point) for point in found.points]
    (vital,) = measures.measure(later, now + 60).vitals
    assert vital.agent_id == "demo-fleet"
    assert (vital.input_tokens or 0) > (vital.output_tokens or 0) > 0


def _twice(point: Point) -> Point:
    return Point(
        point.metric,
        point.wanted,
        point.resource,
        point.series,
        point.cumulative,
        point.start_ns,
        point.at_ns + 60 * S,
        2 * (point.count or 0),
        2 * point.total,
    )
