"""OTLP in both encodings, with what exporters write in different ways, and what is no OTLP."""

from __future__ import annotations

import contextlib
import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec import to_builtins
from opentelemetry.proto.common.v1.common_pb2 import AnyValue

from immune.errors import InvalidInput, TooLarge
from immune.intake.otlp.content import instructions
from immune.intake.otlp.decode import DecodedSpans, decode_traces
from immune.intake.otlp.facts import Facts, facts_of
from immune.intake.otlp.names import DIALECT_PREFIXES, KEPT, NO_PROVIDERS, NUMBER_FACTS, TEXT_FACTS
from immune.intake.otlp.span import Span
from immune.intake.otlp.spans import Role, role_of
from tests.intake.traces import LIMITS, SALT, make_span
from tests.intake.uncompiled import IN_PYTHON

SPAN = {
    "traceId": "AA" * 16,
    "spanId": "BB" * 8,
    "startTimeUnixNano": "1800000000000000000",
    "endTimeUnixNano": "1800000001000000000",
}

NAMES = """
    resourceSpans resource attributes scopeSpans spans events status code key value stringValue
    intValue arrayValue values kvlistValue traceId spanId metadata input.value
"""
FIELDS = st.sampled_from(NAMES.split())


def request(*spans: dict[str, Any]) -> dict[str, Any]:
    """An export request of these spans."""
    return {"resourceSpans": [{"scopeSpans": [{"spans": list(spans)}]}]}


def decoded(body: object, content_type: str = "application/json", **more: Any) -> DecodedSpans:
    """What becomes of `body`, given as bytes or to be written as JSON."""
    data = body if isinstance(body, bytes) else json.dumps(body).encode()
    limits = {"max_bytes": LIMITS.body_max_bytes}
    return decode_traces(data, content_type=content_type, salt=SALT, **{**limits, **more})


def one(**fields: Any) -> Span:
    """The one span with these fields."""
    (span,) = decoded(request({**SPAN, **fields})).spans
    return span


def test_numbers_may_be_strings_and_enums_names() -> None:
    """The JSON mapping of protobuf allows either, and SDKs use both."""
    usage = {"key": "gen_ai.usage.input_tokens"}
    as_text = one(attributes=[{**usage, "value": {"intValue": "7"}}])
    as_number = one(
        startTimeUnixNano=1800000000000000000, attributes=[{**usage, "value": {"intValue": 7}}]
    )
    assert as_text == as_number
    assert as_text.trace_id == "aa" * 16
    assert as_text.facts == Facts(input_tokens=7)
    assert one(status={"code": "STATUS_CODE_ERROR"}).status_error
    assert one(status={"code": 2}).status_error
    assert not one(status={"code": 1}).status_error
    assert not one(status={}).status_error


def test_nulls_and_unknown_fields_are_nothing() -> None:
    """What a newer SDK adds or leaves empty does no harm."""
    span = one(
        attributes=None, events=None, status=None, parentSpanId=None, name=None, flags=None,
        links=[{}], newField={"deep": [1]},
    )  # fmt: skip
    assert span.parent_id is None
    assert decoded({"resourceSpans": None}).spans == []
    assert decoded({"resourceSpans": [{"resource": None, "scopeSpans": None}]}).spans == []


@pytest.mark.parametrize(
    ("fields", "reason"),
    [
        ({"traceId": ""}, "must not be empty"),
        ({"spanId": "0" * 16}, "must not be empty"),
        ({"spanId": "b" * 65}, "too long"),
        ({"endTimeUnixNano": "0"}, "must be set"),
        ({"startTimeUnixNano": "soon"}, "must be set"),
        ({"endTimeUnixNano": "1799999999000000000"}, "ends before it starts"),
    ],
)
def test_a_broken_span_is_rejected_alone(fields: dict[str, str], reason: str) -> None:
    """As OTLP's partial success has it: the others are taken, the answer says how many not."""
    result = decoded(request(SPAN, {**SPAN, **fields}, SPAN))
    assert (len(result.spans), sum(result.rejected.values())) == (2, 1)
    assert reason in next(iter(result.rejected))


@pytest.mark.parametrize(
    ("body", "content_type", "field"),
    [
        (b"{}", "application/json", "body"),
        (b"no json", "application/json", "body"),
        (b"[]", "application/json; charset=utf-8", "body"),
        (b"no protobuf", "application/x-protobuf", "body"),
        (b"{}", "text/plain", "content-type"),
    ],
)
def test_what_is_no_export_request_is_the_callers_fault(
    body: bytes, content_type: str, field: str
) -> None:
    """The whole request is refused, saying of what it is none."""
    with pytest.raises(InvalidInput) as refused:
        decoded(body, content_type)
    assert refused.value.field == field


def test_only_gzip_is_undone_and_only_to_the_limit() -> None:
    """An encoding we do not know is refused, and so is a body too large."""
    with pytest.raises(InvalidInput):
        decoded(b"", content_encoding="br")
    with pytest.raises(TooLarge):
        decoded(request(SPAN), max_bytes=10)


def test_deep_nesting_in_json_does_not_crash() -> None:
    """Attributes may nest; thousands of levels are refused or left unread."""
    value = '{"arrayValue":{"values":[' * 3000 + '{"intValue":1}' + "]}}" * 3000
    attribute = f'{{"key":"gen_ai.tool.call.arguments","value":{value}}}'
    span = json.dumps(SPAN)[:-1] + f',"attributes":[{attribute}]}}'
    with pytest.raises(InvalidInput, match="nested too deep"):
        decoded(json.dumps(request()).replace("[]", f"[{span}]", 1).encode())


def test_deep_nesting_in_protobuf_does_not_crash() -> None:
    """The parser has a limit of its own."""

    def field(number: int, data: bytes) -> bytes:
        size, length = len(data), b""
        while size > 127:
            size, length = size >> 7, length + bytes([size & 127 | 128])
        return bytes([number << 3 | 2]) + length + bytes([size]) + data

    value = AnyValue(int_value=1).SerializeToString()
    for _ in range(5000):
        value = field(5, field(1, value))  # an array_value with one of values
    span = field(9, field(1, b"gen_ai.tool.call.arguments") + field(2, value))
    with pytest.raises(InvalidInput):
        decoded(field(1, field(2, field(2, span))), "application/x-protobuf")


def test_structured_arguments_hash_like_the_same_written_as_json() -> None:
    """Newer conventions send arguments as a map of values instead of a string."""
    kind = {"key": "gen_ai.operation.name", "value": {"stringValue": "execute_tool"}}
    values = [
        {"key": "q", "value": {"stringValue": "x"}},
        {"key": "n", "value": {"arrayValue": {"values": [{"intValue": "1"}, {"boolValue": True}]}}},
    ]
    name = "gen_ai.tool.call.arguments"
    structured = one(attributes=[kind, {"key": name, "value": {"kvlistValue": {"values": values}}}])
    written = one(
        attributes=[kind, {"key": name, "value": {"stringValue": '{"n": [1, true], "q": "x"}'}}]
    )
    assert structured.args_hash == written.args_hash != 0


def test_a_parent_in_another_process_is_known_as_such() -> None:
    """The flags say it: such a parent may never be sent to us."""
    parent = {"parentSpanId": "cc" * 8}
    assert one(**parent, flags=0x300).parent_remote
    assert not one(**parent, flags=0x100).parent_remote
    assert not one(**parent).parent_remote


def test_the_table_of_names_fills_every_fact_and_no_other() -> None:
    """A fact without names would never be known, a row without a fact be lost."""
    assert {*TEXT_FACTS, *NUMBER_FACTS, "odd"} == set(Facts.__struct_fields__)


def test_the_first_name_in_the_row_counts() -> None:
    """Newer names go before older ones, in whatever order a span has them."""
    old, new = "gen_ai.usage.prompt_tokens", "gen_ai.usage.input_tokens"
    assert facts_of({old: 1, new: 2}) == facts_of({new: 2, old: 1}) == Facts(input_tokens=2)
    assert facts_of({new: "2", old: 1}) == Facts(input_tokens=1)


VALUES = (
    st.none() | st.booleans() | st.integers() | st.floats() | st.just(10**400)
    | st.text(max_size=3) | st.sampled_from(["x" * 257, "x" * 2000, "a\x00b", *NO_PROVIDERS])
)  # fmt: skip


@given(st.dictionaries(st.sampled_from(sorted(KEPT)), VALUES, max_size=8))
def test_compiled_or_not_the_facts_are_the_same(wanted: dict[str, object]) -> None:
    """Whoever could not compile gets no other vitals, and nothing that is sent breaks either."""
    assert to_builtins(facts_of(wanted)) == to_builtins(IN_PYTHON["facts"].facts_of(wanted))


@pytest.mark.parametrize(
    ("attributes", "role"),
    [
        ({"gen_ai.operation.name": "chat"}, Role.MODEL),
        ({"gen_ai.operation.name": "text_completion"}, Role.MODEL),
        ({"gen_ai.operation.name": "generate_content"}, Role.MODEL),
        ({"gen_ai.operation.name": "acompletion"}, Role.MODEL),
        ({"gen_ai.operation.name": "execute_tool"}, Role.TOOL),
        ({"gen_ai.operation.name": "invoke_agent"}, Role.AGENT),
        ({"gen_ai.operation.name": "invoke_workflow"}, Role.CHAIN),
        ({"gen_ai.operation.name": "create_agent"}, Role.OTHER),
        ({"gen_ai.operation.name": "embeddings", "gen_ai.usage.input_tokens": 1}, Role.OTHER),
        ({"openinference.span.kind": "LLM"}, Role.MODEL),
        ({"openinference.span.kind": "tool"}, Role.TOOL),
        ({"openinference.span.kind": "AGENT"}, Role.AGENT),
        ({"openinference.span.kind": "CHAIN"}, Role.CHAIN),
        ({"openinference.span.kind": "EMBEDDING"}, Role.OTHER),
        ({"langsmith.span.kind": "llm"}, Role.MODEL),
        ({"traceloop.span.kind": "agent"}, Role.AGENT),
        ({"traceloop.span.kind": "workflow"}, Role.CHAIN),
        ({"traceloop.span.kind": "tool"}, Role.TOOL),
        ({"llm.request.type": "chat"}, Role.MODEL),
        ({"llm.request.type": "embedding"}, Role.OTHER),
        ({"gen_ai.request.model": "m", "gen_ai.usage.completion_tokens": 1}, Role.MODEL),
        ({"gen_ai.request.model": "m"}, Role.UNKNOWN),
        ({"gen_ai.operation.name": "dream"}, Role.UNKNOWN),
        ({"ai.operationId": "ai.generateText"}, Role.UNKNOWN),
        ({"http.request.method": "GET"}, Role.PLAIN),
        ({}, Role.PLAIN),
    ],
)
def test_the_kind_of_work_is_known_in_every_dialect(
    attributes: dict[str, object], role: Role
) -> None:
    """Three dialects and their older names say the same few things."""
    speaks = any(name.startswith(DIALECT_PREFIXES) for name in attributes)
    assert role_of(attributes, speaks=speaks) is role


@pytest.mark.parametrize(
    "wanted",
    [
        {"gen_ai.system_instructions": '[{"type":"text","content":"be nice"}]'},
        {"gen_ai.system_instructions": "be nice"},
        {
            "llm.input_messages.0.message.role": "system",
            "llm.input_messages.0.message.content": "be nice",
        },
        {
            "llm.input_messages.0.message.role": "system",
            "llm.input_messages.0.message.contents.0.message_content.text": "be nice",
        },
        {"gen_ai.prompt.0.role": "system", "gen_ai.prompt.0.content": "be nice"},
        {
            "gen_ai.input.messages": '[{"role":"system","parts":[{"type":"text",'
            '"content":"be nice"}]},{"role":"user","parts":[{"content":"hi"}]}]'
        },
        {"gen_ai.input.messages": '[{"role":"developer","content":"be nice"}]'},
        {
            "gen_ai.prompt": '{"messages":[[{"id":["a","SystemMessage"],'
            '"kwargs":{"content":"be nice"}}]]}'
        },
        {"gen_ai.prompt": '{"messages":[{"type":"system","content":"be nice"}]}'},
    ],
)
def test_the_same_instructions_are_the_same_in_every_dialect(wanted: dict[str, object]) -> None:
    """A change of instrumentation must not look like a change of the prompt."""
    assert instructions(wanted) == "be nice"


@pytest.mark.parametrize(
    "wanted",
    [
        {},
        {"gen_ai.input.messages": '[{"role":"user","parts":[{"content":"hi"}]}]'},
        {"gen_ai.input.messages": "[]"},
        {"gen_ai.input.messages": "not json"},
        {"gen_ai.input.messages": "[" * 50_000},
        {"gen_ai.prompt": '{"messages":[]}'},
        {"gen_ai.prompt": '{"messages":[[]]}'},
        {"gen_ai.prompt": '{"messages":[["user","hi"]]}'},
        {"gen_ai.prompt": "hi"},
        {"gen_ai.system_instructions": '[{"type":"image","url":"x"}]'},
    ],
)
def test_where_there_are_no_instructions_none_are_made_up(wanted: dict[str, object]) -> None:
    """What a user says is not the prompt, and what cannot be read is nothing."""
    assert instructions(wanted) == ""


@pytest.mark.parametrize(
    "result",
    [
        "result x",
        '{"output":{"content":"result x","tool_call_id":"c7","status":"success"}}',
        '{"type":"tool","data":{"content":"result x","tool_call_id":"c8"}}',
    ],
)
def test_ids_around_a_result_do_not_make_it_another(result: str) -> None:
    """A loop that gets the same answer again must be seen as one."""
    kind: dict[str, Any] = {"openinference__span__kind": "TOOL"}
    plain = make_span("a", **kind, output__value="result x")
    assert make_span("b", **kind, output__value=result).result_hash == plain.result_hash != 0


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=9),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(FIELDS, inner, max_size=4),
    max_leaves=20,
)


@given(st.binary(max_size=200), st.sampled_from(["application/json", "application/x-protobuf"]))
def test_no_bytes_can_break_decoding(body: bytes, content_type: str) -> None:
    """What is no export request is refused, and nothing else happens."""
    with contextlib.suppress(InvalidInput):
        decoded(body, content_type)


@given(JSON)
def test_no_json_can_break_decoding(document: object) -> None:
    """Real names around anything at all."""
    for body in ({"resourceSpans": document}, request({**SPAN, "attributes": document})):
        with contextlib.suppress(InvalidInput):
            decoded(body)
