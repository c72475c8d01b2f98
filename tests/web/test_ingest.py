"""Intake over HTTP: taken when durable, refused item by item, bounded."""

from __future__ import annotations

import gzip
import json
from collections.abc import AsyncIterator

import pytest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceResponse

from immune.errors import QueueFull, StoreDown
from immune.web import otlp_answer
from tests.web.conftest import BODY_MAX, ITEMS_MAX, Site

JSON = {"content-type": "application/json"}
GZIP = {**JSON, "content-encoding": "gzip"}


async def test_what_was_accepted_is_stored(site: Site) -> None:
    """One object, a list and lines are all taken."""
    post = site.client.post
    one = await post("/api/vitals", json={"agent_id": "a", "latency_ms": 5})
    assert (one.status_code, one.json()) == (202, {"accepted": 1})
    both = await post("/api/vitals", json=[{"agent_id": "a"}, {"agent_id": "b"}])
    assert both.json() == {"accepted": 2}
    lines = b'{"agent_id": "a"}\n\n{"agent_id": "c"}\n'
    streamed = await post(
        "/api/vitals", content=lines, headers={"content-type": "application/x-ndjson"}
    )
    assert streamed.json() == {"accepted": 2}
    packed = gzip.compress(lines)
    assert (await post("/api/vitals", content=packed, headers=GZIP)).status_code == 202
    assert await site.telemetry.count() == 7


async def test_one_bad_item_spoils_no_other(site: Site) -> None:
    """It is named by index, field and reason; fields that nobody knows are counted."""
    answer = await site.client.post(
        "/api/vitals",
        json=[{"agent_id": "a", "mood": 3}, {"agent_id": "b", "latency_ms": -1}],
    )
    assert answer.status_code == 202
    assert answer.json() == {
        "accepted": 1,
        "refused": [{"index": 1, "field": "latency_ms", "reason": "is negative"}],
        "unknown_fields": {"mood": 1},
    }


async def test_where_nothing_can_be_taken_it_is_a_problem(site: Site) -> None:
    """422, listing every item."""
    answer = await site.client.post("/api/vitals", json=[{"agent_id": ""}, {"at": "noon"}])
    assert answer.status_code == 422
    assert answer.headers["content-type"] == "application/problem+json"
    assert [item["index"] for item in answer.json()["refused"]] == [0, 1]
    assert await site.telemetry.count() == 0


@pytest.mark.parametrize("body", [b"", b"{", b"3", b"\xff\xfe"])
async def test_what_is_no_json_is_a_bad_request(site: Site, body: bytes) -> None:
    """400: no field of it is wrong, it could not be read."""
    answer = await site.client.post("/api/vitals", content=body, headers=JSON)
    assert (answer.status_code, answer.json()["field"]) == (400, "body")


async def test_too_large_is_refused_before_it_is_read(site: Site) -> None:
    """By Content-Length, while reading, and after decompression."""
    post = site.client.post
    big = b" " * (BODY_MAX + 1)
    assert (await post("/api/vitals", content=big, headers=JSON)).status_code == 413
    bomb = gzip.compress(b" " * (50 * BODY_MAX))
    assert len(bomb) < BODY_MAX
    assert (await post("/api/vitals", content=bomb, headers=GZIP)).status_code in (400, 413)

    async def endless() -> AsyncIterator[bytes]:
        for _ in range(BODY_MAX):
            yield b" " * 1024

    assert (await post("/api/vitals", content=endless(), headers=JSON)).status_code == 413


async def test_an_encoding_that_nobody_reads_is_refused(site: Site) -> None:
    """415, naming the one that is read."""
    answer = await site.client.post(
        "/api/vitals", content=b"{}", headers={**JSON, "content-encoding": "br"}
    )
    assert answer.status_code == 415
    assert "gzip" in answer.json()["detail"]


async def test_a_full_queue_says_when_to_come_back(site: Site) -> None:
    """429 with Retry-After, and 503 where the store is down."""
    site.gate.fault = QueueFull("200000 vitals wait to be scored", retry_after_s=0.2)
    answer = await site.client.post("/api/vitals", json={"agent_id": "a"})
    assert (answer.status_code, answer.headers["retry-after"]) == (429, "1")
    site.gate.fault = StoreDown("disk full", retry_after_s=5)
    answer = await site.client.post("/api/vitals", json={"agent_id": "a"})
    assert (answer.status_code, answer.headers["retry-after"]) == (503, "5")
    assert await site.telemetry.count() == 0


async def test_only_posting_is_intake(site: Site) -> None:
    """405 names the method that is known."""
    for path in ("/api/vitals", "/v1/traces"):
        answer = await site.client.get(path)
        assert (answer.status_code, answer.headers["allow"]) == (405, "POST")


def test_an_otlp_answer_is_one_that_every_exporter_reads() -> None:
    """Our hand-written protobuf is what the generated code reads."""
    encoding = otlp_answer.ANSWERS["application/x-protobuf"]
    read = ExportTraceServiceResponse.FromString(encoding.success(300, "trace_id is empty ✗"))
    assert read.partial_success.rejected_spans == 300
    assert read.partial_success.error_message == "trace_id is empty ✗"
    assert not ExportTraceServiceResponse.FromString(encoding.success(0, "")).ByteSize()
    assert otlp_answer.JSON_ANSWER.success(0, "") == b"{}"
    partial = json.loads(otlp_answer.JSON_ANSWER.success(2, "why"))
    assert partial == {"partialSuccess": {"rejectedSpans": "2", "errorMessage": "why"}}


def _span(**changes: object) -> dict[str, object]:
    attributes = {"gen_ai.operation.name": "invoke_agent", "gen_ai.agent.name": "coder"}
    return {
        "traceId": "0af7651916cd43dd8448eb211c80319c",
        "spanId": "b7ad6b7169203331",
        "name": "invoke_agent coder",
        "startTimeUnixNano": "1700000000000000000",
        "endTimeUnixNano": "1700000001000000000",
        "attributes": [{"key": k, "value": {"stringValue": v}} for k, v in attributes.items()],
        **changes,
    }


def _export(*spans: dict[str, object]) -> dict[str, object]:
    return {"resourceSpans": [{"scopeSpans": [{"spans": list(spans)}]}]}


async def test_spans_become_vitals_when_their_step_is_complete(site: Site) -> None:
    """The answer comes at once; the task behind flushes what became ready."""
    answer = await site.client.post("/v1/traces", json=_export(_span()))
    assert (answer.status_code, answer.content) == (200, b"{}")
    assert await site.telemetry.count() == 0
    site.dashboard.run(site.system.orchestrator.supervisor)
    for _ in range(40):
        site.clock.advance(0.5)
        for _ in range(3):
            await site.clock.sleep(0)
    await site.system.orchestrator.supervisor.stop()
    assert await site.telemetry.count() == 1


async def test_steps_that_are_ready_are_handed_on_when_the_process_stops(site: Site) -> None:
    """What still waits for the rest of it stays in the journal."""
    await site.client.post("/v1/traces", json=_export(_span()))
    site.clock.advance(60.0)
    await site.dashboard.close()
    assert await site.telemetry.count() == 1


async def test_rejected_spans_are_a_partial_success(site: Site) -> None:
    """How many and why; the rest is taken."""
    answer = await site.client.post("/v1/traces", json=_export(_span(), _span(traceId="")))
    partial = answer.json()["partialSuccess"]
    assert partial["rejectedSpans"] == "1"
    assert "trace_id" in partial["errorMessage"]


async def test_vitals_that_the_store_did_not_take_go_first_the_next_time(site: Site) -> None:
    """A client that is told to come back loses nothing."""
    await site.client.post("/v1/traces", json=_export(_span()))
    site.clock.advance(60.0)
    export = _export(_span(spanId="00f067aa0ba902b7", traceId="1" * 32))
    site.gate.fault = StoreDown("disk full")
    assert (await site.client.post("/v1/traces", json=export)).status_code == 503
    assert (await site.client.post("/v1/traces", json=export)).status_code == 503
    site.gate.fault = None
    assert (await site.client.post("/v1/traces", json=export)).status_code == 200
    site.clock.advance(60.0)
    await site.dashboard.close()
    assert await site.telemetry.count() == 2


@pytest.mark.parametrize("content_type", ["application/json", "application/x-protobuf"])
async def test_broken_traces_are_refused_in_the_client_s_own_encoding(
    site: Site, content_type: str
) -> None:
    """400 with a Status message: exporters read that and do not try again."""
    answer = await site.client.post(
        "/v1/traces", content=b"\xff not otlp", headers={"content-type": content_type}
    )
    assert answer.status_code == 400
    assert answer.headers["content-type"] == content_type


async def test_more_items_than_one_request_may_hold_are_refused(site: Site) -> None:
    """The client is told to split them."""
    items = [{"agent_id": "a"}] * (ITEMS_MAX + 1)
    answer = await site.client.post("/api/vitals", json=items)
    assert answer.status_code in (400, 413)
    assert "smaller parts" in answer.json()["detail"]
