"""A recorded file, sent again as if it happened now."""

from __future__ import annotations

import gzip
import json
from pathlib import Path
from typing import Any

import pytest

from immune.columns import Names, to_vitals
from immune.errors import InvalidInput
from immune.intake.otlp.decode import decode_traces
from immune.intake.otlp.span import Span
from immune.intake.replay import Request, replay
from immune.intake.vitals_json import decode
from immune.vitals import Vital
from tests.intake.traces import DATA, LIMITS, NAMES, SALT, assembled, sample, sample_spans

NOW = 1_900_000_000.0


def vitals_of(requests: list[Request]) -> list[Vital]:
    """The vitals that the server will read out of these requests, as each arrives."""
    vitals: list[Vital] = []
    names = Names()
    for request in requests:
        decoded = decode(
            request.body,
            received_at=NOW + request.offset_s,
            names=names,
            salt=SALT,
            max_bytes=LIMITS.body_max_bytes,
            max_items=LIMITS.items_max,
            content_type=request.content_type,
        )
        assert not decoded.refused
        assert decoded.columns is not None
        vitals += to_vitals(decoded.columns, names)
    return vitals


def spans_of(requests: list[Request]) -> list[Span]:
    """The spans that the server will read out of these requests."""
    spans: list[Span] = []
    for request in requests:
        decoded = decode_traces(
            request.body,
            content_type=request.content_type,
            salt=SALT,
            max_bytes=LIMITS.body_max_bytes,
        )
        assert not decoded.rejected
        latest = max(span.end_s for span in decoded.spans)
        assert latest <= NOW + request.offset_s + 1e-6, "a span ahead of its sending"
        spans += decoded.spans
    return spans


def written(file: Path, items: list[dict[str, Any]]) -> Path:
    """Write `items` as lines."""
    text = "\n".join(json.dumps(item) for item in items) + "\n"
    file.write_bytes(gzip.compress(text.encode()) if file.suffix == ".gz" else text.encode())
    return file


@pytest.mark.parametrize("name", ["v.jsonl", "v.jsonl.gz"])
def test_vitals_move_to_now_and_keep_their_pace(tmp_path: Path, name: str) -> None:
    """The first is now; latencies and everything else are as recorded."""
    items = [
        {"agent_id": "a", "at": 1000.0 + 10 * i, "latency_ms": 5, "received_at": 1}
        for i in (0, 1, 2)
    ]
    requests = list(replay(written(tmp_path / name, items), now=NOW))
    assert [(request.offset_s, request.path) for request in requests] == [
        (0, "/api/vitals"),
        (10, "/api/vitals"),
        (20, "/api/vitals"),
    ]
    vitals = vitals_of(requests)
    assert [vital.at for vital in vitals] == [NOW, NOW + 10, NOW + 20]
    assert {vital.latency_ms for vital in vitals} == {5}


def test_speed_presses_the_time_between_steps_but_no_latency(tmp_path: Path) -> None:
    """Ten times as fast is ten times as often, not ten times as quick."""
    items = [{"agent_id": "a", "at": 1000.0 + 10 * i, "latency_ms": 5} for i in range(40)]
    requests = list(replay(written(tmp_path / "v", items), now=NOW, speed=10))
    vitals = vitals_of(requests)
    assert [vital.at for vital in vitals] == [NOW + i for i in range(40)]
    assert {vital.latency_ms for vital in vitals} == {5}
    assert [request.offset_s for request in requests] == list(range(1, 40, 2))


def test_vitals_out_of_order_leave_no_request_out_of_order(tmp_path: Path) -> None:
    """Offsets never fall; the odd step is late, as it was."""
    items = [{"agent_id": "a", "at": at} for at in (100.0, 160.0, 130.0, 95.0, 170.0)]
    requests = list(replay(written(tmp_path / "v", items), now=NOW))
    offsets = [request.offset_s for request in requests]
    assert offsets == sorted(offsets)
    assert [vital.at - NOW for vital in vitals_of(requests)] == [0, 60, 30, -5, 70]


def test_large_files_go_in_many_requests(tmp_path: Path) -> None:
    """No request holds more than 500."""
    items = [{"agent_id": "a", "at": 1000.0} for _ in range(1201)]
    requests = list(replay(written(tmp_path / "v", items), now=NOW))
    assert [request.body.count(b"\n") for request in requests] == [500, 500, 201]


def test_a_second_replay_is_not_taken_for_the_first(tmp_path: Path) -> None:
    """A step sent twice counts once, so each replay has ids of its own."""
    file = written(tmp_path / "v", [{"agent_id": "a", "at": 1.0, "step_id": "s"}])
    first, second = (vitals_of(list(replay(file, now=NOW + i)))[0].step_id for i in (0, 5))
    assert first != second
    traces = DATA / "pydantic_ai.traces.json"
    ids = [
        {(span.trace_id, span.span_id) for span in spans_of(list(replay(traces, now=NOW)))},
        {(span.trace_id, span.span_id) for span in sample_spans("pydantic_ai")},
    ]
    assert len(ids[0] | ids[1]) == 8


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("speed", [0.5, 1, 1000])
def test_traces_moved_give_the_same_steps(name: str, speed: float) -> None:
    """The distances within a trace stay, so nothing measured changes."""
    requests = list(replay(DATA / f"{name}.traces.json", now=NOW, speed=speed))
    assert {request.path for request in requests} == {"/v1/traces"}
    moved = [(v.agent_id, v.kind, v.input_tokens, v.calls) for v in assembled(spans_of(requests))]
    original = assembled(sample_spans(name))
    assert moved == [(v.agent_id, v.kind, v.input_tokens, v.calls) for v in original]
    latencies = [vital.latency_ms for vital in assembled(spans_of(requests))]
    assert latencies == [vital.latency_ms for vital in original]


def shifted(request: dict[str, Any], by_s: int, trace_id: str) -> dict[str, Any]:
    """The request `by_s` later, as another trace."""
    for resource_spans in request["resourceSpans"]:
        for scope_spans in resource_spans["scopeSpans"]:
            for span in scope_spans["spans"]:
                span["traceId"] = trace_id
                for field in ("startTimeUnixNano", "endTimeUnixNano"):
                    span[field] = str(int(span[field]) + by_s * 10**9)
    return request


def test_lines_of_requests_leave_when_their_spans_had_ended(tmp_path: Path) -> None:
    """As the collector's file exporter writes them; between traces, speed counts."""
    lines = [shifted(sample("pydantic_ai"), 100 * i, f"{i:032x}") for i in (1, 2, 3)]
    file = written(tmp_path / "traces.jsonl", lines)
    requests = list(replay(file, now=NOW, speed=100))
    assert [round(request.offset_s, 3) for request in requests] == [0.0, 1.0, 2.0]
    ends = [vital.at - NOW for vital in assembled(spans_of(requests)) if vital.kind == "run"]
    assert [round(end) for end in ends] == [0, 1, 2]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("", "is empty"),
        ("no json", "is not JSON"),
        ("7", "must hold objects"),
        ('{"agent_id":"a","at":1}\n{"agent', "line 2: is not JSON"),
        ('{"agent_id":"a"}', "at: must be a number"),
        ('{"resourceSpans":[{"scopeSpans":[{"spans":[{}]}]}]}', "must be nanoseconds"),
        ('{"resourceSpans":[7]}', "is no OTLP/JSON of traces"),
        ('{"resourceSpans":[]}\n{"resourceMetrics":[]}', "something other than traces"),
    ],
)
def test_a_file_that_cannot_be_replayed_says_where(
    tmp_path: Path, content: str, message: str
) -> None:
    """The person at the command line can look at that line."""
    file = tmp_path / "file"
    file.write_text(content)
    with pytest.raises(InvalidInput, match=message):
        list(replay(file, now=NOW))


def test_time_does_not_run_backwards(tmp_path: Path) -> None:
    """A speed of 0 or less is a mistake."""
    file = written(tmp_path / "v", [{"agent_id": "a", "at": 1.0}])
    for speed in (0, -1, float("nan")):
        with pytest.raises(ValueError, match="speed"):
            list(replay(file, now=NOW, speed=speed))
