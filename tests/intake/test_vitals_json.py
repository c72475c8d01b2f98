"""POST /api/vitals: what is good is taken, what is bad is refused item by item and by name."""

from __future__ import annotations

import json
from typing import Any, NamedTuple

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from immune.columns import Names, from_vitals, to_vitals
from immune.errors import InvalidInput, TooLarge
from immune.intake.salt import Salt
from immune.intake.vitals_json import decode
from immune.vitals import Kind, Refusal, ToolCall, Vital
from tests.intake.traces import LIMITS

NOW = 1_800_000_000.0
SALT = Salt(b"the tests' own salt")


class Taken(NamedTuple):
    """What became of a body, its columns told as vitals again."""

    vitals: list[Vital]
    refused: list[Refusal]
    unknown_fields: dict[str, int]


def taken(body: object, content_type: str = "", **limits: int) -> Taken:
    """What becomes of `body`, given as bytes or to be written as JSON."""
    data = body if isinstance(body, bytes) else json.dumps(body).encode()
    full = {"max_bytes": LIMITS.body_max_bytes, "max_items": LIMITS.items_max, **limits}
    names = Names()
    found = decode(data, received_at=NOW, names=names, salt=SALT, content_type=content_type, **full)
    vitals = [] if found.columns is None else to_vitals(found.columns, names)
    return Taken(vitals, found.refused, found.unknown_fields)


def in_columns(*vitals: Vital) -> list[Vital]:
    """Vitals as they come out of columns: in single precision, tools as calls."""
    names = Names()
    return to_vitals(from_vitals(vitals, names), names)


def test_a_step_is_taken_with_all_that_is_told_of_it() -> None:
    """Every field has its place, and the moment of arrival is ours."""
    step = {
        "agent_id": "a", "at": NOW - 5, "kind": "call", "step_id": "s", "latency_ms": 12,
        "input_tokens": 10, "output_tokens": 2, "cost_usd": 0.01, "tool_calls": 1, "retries": 0,
        "errors": 1, "agent_type": "t", "model": "m", "provider": "p", "tools": ["search"],
        "prompt_hash": "h", "error_type": "e", "session_id": "se", "trace_id": "tr",
        "calls": [{"tool": "search", "args_hash": 1, "result_hash": 2, "ok": False}],
        "received_at": 3,
    }  # fmt: skip
    assert taken(step).vitals == in_columns(
        Vital(
            agent_id="a", at=NOW - 5, kind=Kind.CALL, received_at=NOW, step_id="s", latency_ms=12,
            input_tokens=10, output_tokens=2, cost_usd=0.01, tool_calls=1, retries=0, errors=1,
            agent_type="t", model="m", provider="p", tools=("search",), prompt_hash="h",
            error_type="e", session_id="se", trace_id="tr",
            calls=(ToolCall("search", 1, 2, False),),
        )
    )  # fmt: skip


def test_a_vital_of_ours_written_out_reads_back_the_same() -> None:
    """What we write, as for a replay, is what we read."""
    vital = Vital(
        agent_id="a", at=NOW, received_at=NOW, errors=0, calls=(ToolCall("t", 2**64 - 1),)
    )
    assert taken(msgspec.json.encode(vital)).vitals == [vital]


@pytest.mark.parametrize(
    "body",
    [
        b'[{"agent_id":"a"},{"agent_id":"b"}]',
        b' [ {"agent_id":"a"} ,\n {"agent_id":"b"} ]\n',
        b'{"agent_id":"a"}\n{"agent_id":"b"}',
        b'\n{"agent_id":"a"}\r\n\r\n  {"agent_id":"b"}\n\n',
        b'\xef\xbb\xbf[{"agent_id":"a"},{"agent_id":"b"}]',
    ],
)
@pytest.mark.parametrize("content_type", ["", "application/json", "application/x-ndjson; q=1"])
def test_lists_and_lines_are_told_apart_by_looking(body: bytes, content_type: str) -> None:
    """Clients mix up content types; the body is what counts."""
    assert [vital.agent_id for vital in taken(body, content_type).vitals] == ["a", "b"]


def test_an_object_over_several_lines_is_one_item() -> None:
    """Pretty-printed JSON is no NDJSON."""
    body = json.dumps({"agent_id": "a", "calls": [{"tool": "t"}]}, indent=2).encode()
    assert len(taken(body).vitals) == 1
    assert len(taken(body, "application/x-ndjson").vitals) == 1


def test_a_step_without_its_time_ended_when_it_came() -> None:
    """A missing `at` is the moment of arrival."""
    assert (
        taken([{"agent_id": "a"}, {"agent_id": "a", "at": None}]).vitals
        == [Vital(agent_id="a", at=NOW, received_at=NOW)] * 2
    )


@pytest.mark.parametrize(
    ("told", "output_tokens"),
    [
        ({"token_count": 7}, 7),
        ({"token_count": 7, "output_tokens": 3}, 3),
        ({"token_count": 7, "input_tokens": 3}, None),
    ],
)
def test_a_token_count_alone_is_the_outputs(
    told: dict[str, float], output_tokens: float | None
) -> None:
    """Beside input or output tokens it says nothing certain, and is left out."""
    assert taken({"agent_id": "a", **told}).vitals[0].output_tokens == output_tokens


GOOD = {"agent_id": "good"}
REFUSED = [
    ({"at": NOW}, "agent_id", "is missing"),
    ({"agent_id": None}, "agent_id", "is missing"),
    ({"agent_id": ""}, "agent_id", "is empty"),
    ({"agent_id": "  "}, "agent_id", "is blank"),
    *(
        (
            {"agent_id": dots},
            "agent_id",
            f"is {dots}: clients and proxies take that for a step in a path",
        )
        for dots in (".", "..")
    ),
    *(
        ({"agent_id": f"a{chr(code)}b"}, "agent_id", "holds control characters")
        for code in (*range(0x202A, 0x202F), *range(0x2066, 0x206A))
    ),
    ({"agent_id": 7}, "agent_id", "must be text, not a number"),
    ({"agent_id": "a\x00b"}, "agent_id", "holds control characters"),
    ({"agent_id": "a\ud800"}, "agent_id", "holds control characters"),
    ({"agent_id": "a" * 257}, "agent_id", "has 257 characters; at most 256 are allowed"),
    ({"agent_id": "a", "at": "now"}, "at", "must be a number, not text"),
    ({"agent_id": "a", "at": NOW + 301}, "at", "is 301 s ahead; at most 300 s are allowed"),
    ({"agent_id": "a", "at": NOW - 90_000}, "at", "is 90000 s old; at most a day is allowed"),
    ({"agent_id": "a", "at": float("nan")}, "at", "is not a finite number"),
    ({"agent_id": "a", "latency_ms": "12"}, "latency_ms", "must be a number, not text"),
    ({"agent_id": "a", "latency_ms": True}, "latency_ms", "must be a number, not true or false"),
    ({"agent_id": "a", "latency_ms": -1}, "latency_ms", "is negative"),
    ({"agent_id": "a", "latency_ms": float("nan")}, "latency_ms", "is not a finite number"),
    ({"agent_id": "a", "latency_ms": float("inf")}, "latency_ms", "is not a finite number"),
    ({"agent_id": "a", "latency_ms": 10**400}, "latency_ms", "is not a finite number"),
    ({"agent_id": "a", "latency_ms": 10**308 * 10}, "latency_ms", "is not a finite number"),
    ({"agent_id": "a", "cost_usd": 1e39}, "cost_usd", "is more than 1e+15"),
    ({"agent_id": "a", "token_count": -1}, "token_count", "is negative"),
    ({"agent_id": "a", "token_count": float("nan")}, "token_count", "is not a finite number"),
    ({"agent_id": "a", "errors": 2}, "errors", "must be 0 or 1: did the step fail"),
    ({"agent_id": "a", "errors": "no"}, "errors", "must be 0 or 1, not text"),
    ({"agent_id": "a", "kind": "walk"}, "kind", "must be one of call, run"),
    ({"agent_id": "a", "kind": 1}, "kind", "must be one of call, run"),
    ({"agent_id": "a", "model": ["m"]}, "model", "must be text, not a list"),
    ({"agent_id": "a", "step_id": "s\n"}, "step_id", "holds control characters"),
    ({"agent_id": "a", "tools": "search"}, "tools", "must be a list, not text"),
    ({"agent_id": "a", "tools": [1]}, "tools", "must be a list of text, not of a number"),
    ({"agent_id": "a", "tools": ["t"] * 65}, "tools", "has 65 items; at most 64 are allowed"),
    ({"agent_id": "a", "calls": {}}, "calls", "must be a list, not an object"),
    ({"agent_id": "a", "calls": ["t"]}, "calls", "each must be an object, not text"),
    ({"agent_id": "a", "calls": [{}]}, "calls", "tool is missing"),
    ({"agent_id": "a", "calls": [{"tool": 1}]}, "calls", "tool must be text, not a number"),
    ({"agent_id": "a", "calls": [{"tool": "t\t"}]}, "calls", "tool holds control characters"),
    ({"agent_id": "a", "calls": [{"tool": "t", "ok": 1}]}, "calls", "ok must be true or false"),
    (
        {"agent_id": "a", "calls": [{"tool": "t", "args_hash": 1.5}]},
        "calls",
        "args_hash must be a whole number",
    ),
    (
        {"agent_id": "a", "calls": [{"tool": "t", "args_hash": -1}]},
        "calls",
        "a hash must be a whole number of 64 bits",
    ),
    (
        {"agent_id": "a", "calls": [{"tool": "t", "result_hash": 2**64}]},
        "calls",
        "a hash must be a whole number of 64 bits",
    ),
    (
        {"agent_id": "a", "calls": [{"tool": "t"}] * 65},
        "calls",
        "has 65 items; at most 64 are allowed",
    ),
    (7, "item", "must be an object, not a number"),
    (None, "item", "must be an object, not null"),
    (["a"], "item", "must be an object, not a list"),
]


@pytest.mark.parametrize(("item", "field", "reason"), REFUSED)
def test_one_bad_item_is_refused_by_name_and_spoils_nothing(
    item: object, field: str, reason: str
) -> None:
    """Whatever is wrong with one, its neighbours are taken."""
    decoded = taken([GOOD, item, GOOD])
    assert [vital.agent_id for vital in decoded.vitals] == ["good", "good"]
    assert decoded.refused == [Refusal(1, field, reason)]


def test_a_broken_line_is_refused_and_the_others_taken() -> None:
    """An agent that died while writing spoils one line. Blank lines are not counted."""
    decoded = taken(b'{"agent_id":"a"}\n\n{"agent_id":"b", "lat\n{"agent_id":"c"}\n')
    assert [vital.agent_id for vital in decoded.vitals] == ["a", "c"]
    assert decoded.refused == [
        Refusal(1, "item", "is not JSON: unterminated string starting at at line 1, character 18")
    ]


def test_bytes_that_are_no_utf8_spoil_only_their_item() -> None:
    """The neighbours of a badly encoded id are taken."""
    decoded = taken(b'[{"agent_id":"a"},{"agent_id":"\xff"},{"agent_id":"c"}]')
    assert [vital.agent_id for vital in decoded.vitals] == ["a", "c"]
    assert decoded.refused == [Refusal(1, "agent_id", "holds control characters")]


@pytest.mark.parametrize(
    ("body", "message"),
    [
        (b"", "body: is empty"),
        (b" \n ", "body: is empty"),
        (b"hello", "is not JSON: expecting value at line 1, character 1"),
        (b'[{"agent_id":"a"},]', "at line 1, character 19"),
        (b'{\n"agent_id": a}', "at line 2, character 13"),
        (b"7", "must be an object, a list of objects, or one object a line"),
        (b"[" * 100_000, "nested too deep"),
        (b"\xff\xfe", "is not JSON"),
    ],
)
def test_a_body_that_is_no_json_is_refused_with_the_position(body: bytes, message: str) -> None:
    """There is no item to take; the caller learns where reading stopped."""
    with pytest.raises(InvalidInput, match=message.replace("(", r"\(")):
        taken(body)


def test_lines_none_of_which_is_json_are_no_json() -> None:
    """A page of HTML sent as NDJSON is one mistake, not many items."""
    with pytest.raises(InvalidInput, match="is not JSON"):
        taken(b"<html>\n<body>\n", "application/x-ndjson")


def test_deep_nesting_in_one_line_spoils_only_that_line() -> None:
    """Neither parser is driven out of its stack."""
    deep = b'{"agent_id":"b","x":' + b"[" * 50_000 + b"]" * 50_000 + b"}"
    decoded = taken(b'{"agent_id":"a"}\n' + deep)
    assert [vital.agent_id for vital in decoded.vitals] == ["a"]
    assert decoded.refused == [Refusal(1, "item", "is nested too deep")]


def test_limits_are_kept_for_bytes_and_items() -> None:
    """A caller with more is told to split it, on either path."""
    with pytest.raises(TooLarge, match="more than 10;"):
        taken([GOOD], max_bytes=10)
    for item in (GOOD, {"agent_id": "a", "unknown": 1}):
        with pytest.raises(TooLarge, match="more than 2;"):
            taken([item] * 3, max_items=2)
        assert len(taken([item] * 2, max_items=2).vitals) == 2


def test_unknown_fields_are_counted_by_name_and_their_text_forgotten() -> None:
    """Prompts sent by mistake leave nothing but the count of the field's name."""
    decoded = taken(
        [
            {"agent_id": "a", "prompt": "the secret", "message": "the secret"},
            {"agent_id": "a", "prompt": "the secret", "calls": [{"tool": "t", "text": "secret"}]},
        ]
    )
    assert decoded.unknown_fields == {"prompt": 2, "message": 1, "calls.text": 1}
    assert len(decoded.vitals) == 2
    assert b"secret" not in msgspec.json.encode(decoded)


def test_invented_field_names_do_not_fill_the_memory() -> None:
    """At most 100 names are kept, each short; the rest is one number."""
    decoded = taken({"agent_id": "a", **{f"{i:x}" * 100: 0 for i in range(1, 300)}, "\x00": 1})
    assert sum(decoded.unknown_fields.values()) == 300
    assert len(decoded.unknown_fields) <= 101
    assert max(map(len, decoded.unknown_fields)) <= 64


def test_raw_arguments_and_results_are_hashed_and_dropped() -> None:
    """The same call is known again, and nothing of its text is left."""
    calls: list[dict[str, Any]] = [
        {"tool": "t", "args": {"q": "the secret", "n": 1}, "result": "the secret"},
        {"tool": "t", "args": '{"n": 1, "q": "the secret"}', "result": "the secret"},
        {"tool": "t", "args": None, "args_hash": 5},
        {"tool": "t", "args": "ignored beside a hash", "args_hash": 5},
    ]
    decoded = taken({"agent_id": "a", "calls": calls})
    made = decoded.vitals[0].calls
    assert made is not None
    assert made[0] == made[1]
    assert made[0].args_hash == SALT.hash({"q": "the secret", "n": 1})
    assert made[0].result_hash == SALT.hash("the secret")
    assert made[2] == made[3] == ToolCall("t", 5)
    assert b"secret" not in msgspec.json.encode(decoded)


TEXTS = st.text(max_size=5) | st.sampled_from(["ok", "a\x00", "x" * 300])
NUMBERS = (
    st.integers(-2, 10)
    | st.floats(width=32)
    | st.sampled_from([10**25, 10**400, True, "7", None, 2**64])
)
CALLS = st.fixed_dictionaries(
    {"tool": TEXTS | st.none() | st.integers()},
    optional={
        "args_hash": NUMBERS,
        "ok": st.booleans() | st.none(),
        "args": st.none() | TEXTS | st.dictionaries(TEXTS, NUMBERS, max_size=2),
    },
)
ITEMS = st.fixed_dictionaries(
    {"agent_id": st.sampled_from(["a", "b"]) | TEXTS},
    optional={
        "at": st.sampled_from([NOW, NOW + 1e4, None, int(NOW)]) | NUMBERS,
        "kind": st.sampled_from(["run", "call", "walk", None]),
        "latency_ms": NUMBERS,
        "token_count": NUMBERS,
        "input_tokens": NUMBERS,
        "errors": NUMBERS | st.sampled_from([0, 1, False]),
        "model": TEXTS | st.none(),
        "tools": st.none() | st.lists(TEXTS, max_size=3),
        "calls": st.none() | st.lists(CALLS, max_size=3),
    },
)


@given(st.lists(ITEMS, max_size=4))
def test_the_fast_path_and_the_slow_path_agree(items: list[dict[str, Any]]) -> None:
    """An unknown field sends a batch the slow way; nothing else about the outcome changes."""
    slow = taken([*items, {"agent_id": "last", "unknown": 1}])
    fast = taken([*items, {"agent_id": "last"}])
    assert (fast.vitals, fast.refused) == (slow.vitals, slow.refused)
    lines = b"\n".join(json.dumps(item).encode() for item in [*items, {"agent_id": "last"}])
    assert taken(lines, "application/x-ndjson") == fast
