"""What real frameworks sent becomes the vitals that a person reading it would write down."""

from __future__ import annotations

import base64
import copy
import gzip
import json
from typing import Any

import msgspec
import pytest
from google.protobuf import json_format
from hypothesis import given, settings
from hypothesis import strategies as st
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

from immune.intake.otlp.assemble import TraceAssembler
from immune.intake.otlp.decode import decode_traces
from immune.vitals import ToolCall, Vital
from tests.intake.traces import (
    DATA,
    LIMITS,
    NAMES,
    SALT,
    after,
    assembled,
    by_end,
    sample,
    sample_spans,
)

ALL_SPANS = [span for name in NAMES for span in sample_spans(name)]


def expected(name: str) -> dict[str, Any]:
    """What was written down by hand, with its text hashed as intake would."""
    told: dict[str, Any] = json.loads((DATA / "expected" / f"{name}.json").read_bytes())
    told["vitals"] = [_vital(item) for item in told["vitals"]]
    return told


def _vital(item: dict[str, Any]) -> Vital:
    item = dict(item)
    item["at"] = item.pop("end_ns") / 1e9
    if "prompt" in item:
        item["prompt_hash"] = SALT.label(item.pop("prompt"))
    calls = [
        ToolCall(call["tool"], SALT.hash(call["args"]), SALT.hash(call["result"]))
        for call in item.pop("calls", ())
    ]
    return msgspec.convert({**item, "calls": tuple(calls) or None}, Vital)


def protobuf(request: dict[str, Any]) -> bytes:
    """The same request in the other encoding."""
    request = copy.deepcopy(request)
    for resource_spans in request["resourceSpans"]:
        for scope_spans in resource_spans["scopeSpans"]:
            for span in scope_spans["spans"]:
                for field in ("traceId", "spanId", "parentSpanId"):
                    if field in span:
                        span[field] = base64.b64encode(bytes.fromhex(span[field])).decode()
    return json_format.ParseDict(request, ExportTraceServiceRequest()).SerializeToString()


def test_every_sample_has_its_expectation() -> None:
    """A sample without one would be compared with nothing."""
    assert len(NAMES) == 13
    assert {file.stem for file in (DATA / "expected").iterdir()} == set(NAMES)


@pytest.mark.parametrize("name", NAMES)
def test_a_sample_becomes_the_vitals_written_by_hand(name: str) -> None:
    """Steps, what was left out and why, and which rule named the agent."""
    assembler = TraceAssembler()
    vitals = assembled(sample_spans(name), assembler)
    wanted = expected(name)
    assert vitals == wanted["vitals"]
    assert assembler.unmapped == wanted["unmapped"]
    assert assembler.identity_rule == wanted["identity_rule"]
    assert assembler.held == 0


@pytest.mark.parametrize("name", NAMES)
def test_protobuf_says_the_same_as_json(name: str) -> None:
    """Both encodings of one request, zipped or not, hold the same spans."""
    body = protobuf(sample(name))
    spans = sample_spans(name)
    for data, encoding in ((body, ""), (gzip.compress(body), "gzip")):
        decoded = decode_traces(
            data,
            content_type="application/x-protobuf",
            content_encoding=encoding,
            salt=SALT,
            max_bytes=LIMITS.body_max_bytes,
        )
        assert not decoded.rejected
        assert decoded.spans == spans


@settings(max_examples=60)
@given(st.data())
def test_spans_in_any_order_and_any_requests_give_the_same_vitals(data: st.DataObject) -> None:
    """Batches overtake one another and children end before parents; nothing depends on it."""
    order = data.draw(st.permutations(ALL_SPANS))
    cuts = sorted(data.draw(st.lists(st.integers(0, len(order)), max_size=8)))
    assembler = TraceAssembler()
    now = after(order)
    vitals: list[Vital] = []
    for number, (start, end) in enumerate(zip([0, *cuts], [*cuts, len(order)], strict=True)):
        vitals += assembler.feed(order[start:end], now + number * 0.2)
    vitals += assembler.flush(now + 60)
    assert by_end(vitals) == assembled(ALL_SPANS)
    assert assembler.held == 0


def test_spans_as_an_exporter_sends_them_live_give_the_same_vitals() -> None:
    """One request for each span when it ended, however long the pauses in between."""
    assembler = TraceAssembler()
    vitals: list[Vital] = []
    now = after(ALL_SPANS)
    for span in sorted(ALL_SPANS, key=lambda span: span.end_ns):
        vitals += assembler.feed([span], now)
        now += 5
    vitals += assembler.flush(now + 60)
    assert by_end(vitals) == assembled(ALL_SPANS)


def test_a_request_sent_twice_counts_once() -> None:
    """Exporters send again what they got no answer for."""
    assembler = TraceAssembler()
    assert assembled([*ALL_SPANS, *ALL_SPANS], assembler) == assembled(ALL_SPANS)
    assert assembler.unmapped["duplicate_span"] == len(ALL_SPANS)


TEXT = (b'"hi', b'hi"', b"hello", b"be nice", b"result x", b"done", b"You are", b"backstory")


@pytest.mark.parametrize("name", NAMES)
def test_no_text_survives_decoding(name: str) -> None:
    """Neither the vitals nor what is held in memory until then has any of what was said."""
    spans = sample_spans(name)
    if name not in ("anthropic_native", "mcp_native"):  # these two report no text at all
        assert any(text in (DATA / f"{name}.traces.json").read_bytes() for text in TEXT)
    kept = msgspec.json.encode([spans, assembled(spans)])
    assert not [text for text in TEXT if text in kept]
