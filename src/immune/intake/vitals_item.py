"""One reported step: from what a client may write to a `Vital`, or to why not.

`Report` is the shape on the wire, `check` the careful way to it from any JSON value, naming the
field and the reason in words, and `vital_of` what both that and the fast typed decoder go through.
"""

from __future__ import annotations

import math
from collections import Counter
from typing import Any

import msgspec

from immune.intake.salt import Salt
from immune.vitals import CALLS_MAX, REPORTED, Kind, Refusal, ToolCall, Vital, refusal

_UINT64_MAX = 2**64 - 1
_UNKNOWN_NAMES_MAX = 100
_UNKNOWN_NAME_LENGTH_MAX = 64


class ReportedCall(msgspec.Struct, forbid_unknown_fields=True):
    """One tool call as a client writes it; `args` and `result` are hashed and dropped."""

    tool: str
    args_hash: int = 0
    result_hash: int = 0
    ok: bool = True
    args: Any = None
    result: Any = None


class Report(msgspec.Struct, forbid_unknown_fields=True, kw_only=True):
    """One step as a client writes it. `received_at` is read over: ours counts."""

    agent_id: str
    at: float | None = None
    kind: Kind | None = None
    step_id: str | None = None
    latency_ms: float | None = None
    input_tokens: float | None = None
    output_tokens: float | None = None
    token_count: float | None = None
    cost_usd: float | None = None
    tool_calls: float | None = None
    retries: float | None = None
    errors: float | bool | None = None
    agent_type: str | None = None
    model: str | None = None
    provider: str | None = None
    tools: list[str] | None = None
    prompt_hash: str | None = None
    error_type: str | None = None
    session_id: str | None = None
    trace_id: str | None = None
    calls: list[ReportedCall] | None = None
    received_at: Any = None


_LABELS = tuple(spec.metric.label for spec in REPORTED)
_NUMBERS = frozenset({"at", "token_count", *_LABELS} - {"errors"})
_TEXTS = frozenset(
    {"agent_id", "step_id", "agent_type", "model", "provider", "prompt_hash", "error_type"}
    | {"session_id", "trace_id"}
)
_FIELDS = frozenset(Report.__struct_fields__)
_CALL_FIELDS = frozenset(ReportedCall.__struct_fields__)
_KINDS = {kind.value: kind for kind in Kind}


def vital_of(report: Report, index: int, received_at: float, salt: Salt) -> Vital | Refusal:
    """Return the vital that `report` stands for, or why it must be refused.

    A step reported without `at` ended when it arrived; `token_count` alone is the output's.
    """
    output_tokens = report.output_tokens
    if (count := report.token_count) is not None:
        if not math.isfinite(count):
            return Refusal(index, "token_count", "is not a finite number")
        if count < 0:
            return Refusal(index, "token_count", "is negative")
        if output_tokens is None and report.input_tokens is None:
            output_tokens = count
    calls: tuple[ToolCall, ...] | None = None
    if report.calls is not None:
        if len(report.calls) > CALLS_MAX:
            return Refusal(index, "calls", _too_many(len(report.calls)))
        hashed = [tool_call(call, index, salt) for call in report.calls]
        for call in hashed:
            if isinstance(call, Refusal):
                return call
        calls = tuple(call for call in hashed if isinstance(call, ToolCall))
    if report.tools is not None and len(report.tools) > CALLS_MAX:
        return Refusal(index, "tools", _too_many(len(report.tools)))
    vital = Vital(
        agent_id=report.agent_id,
        at=received_at if report.at is None else report.at,
        kind=report.kind or Kind.RUN,
        received_at=received_at,
        step_id=report.step_id,
        latency_ms=report.latency_ms,
        input_tokens=report.input_tokens,
        output_tokens=output_tokens,
        cost_usd=report.cost_usd,
        tool_calls=report.tool_calls,
        retries=report.retries,
        errors=None if report.errors is None else float(report.errors),
        agent_type=report.agent_type,
        model=report.model,
        provider=report.provider,
        tools=None if report.tools is None else tuple(report.tools),
        prompt_hash=report.prompt_hash,
        error_type=report.error_type,
        session_id=report.session_id,
        trace_id=report.trace_id,
        calls=calls,
    )
    return refusal(vital, index, received_at) or vital


def _too_many(count: int) -> str:
    return f"has {count} items; at most {CALLS_MAX} are allowed"


def tool_call(call: ReportedCall, index: int, salt: Salt) -> ToolCall | Refusal:
    """Return `call` with its text hashed, or why the vital at `index` must be refused."""
    if not (0 <= call.args_hash <= _UINT64_MAX and 0 <= call.result_hash <= _UINT64_MAX):
        return Refusal(index, "calls", "a hash must be a whole number of 64 bits")
    try:
        args = call.args_hash or (0 if call.args is None else salt.hash(call.args))
        result = call.result_hash or (0 if call.result is None else salt.hash(call.result))
    except RecursionError:
        return Refusal(index, "calls", "args or result is nested too deep")
    return ToolCall(call.tool, args, result, call.ok)


def check(
    item: object, index: int, received_at: float, salt: Salt, unknown: Counter[str]
) -> Vital | Refusal:
    """Return the vital that `item`, any JSON value, stands for, or why it must be refused.

    Names of fields that nobody knows are counted into `unknown`; their values are not looked at.
    """
    if not isinstance(item, dict):
        return Refusal(index, "item", f"must be an object, not {_json_type(item)}")
    known: dict[str, Any] = {}
    for field, value in item.items():
        if field not in _FIELDS:
            _count(field, unknown)
        elif value is not None:
            known[field] = value
    if "agent_id" not in known:
        return Refusal(index, "agent_id", "is missing")
    for field, value in known.items():
        if reason := _type_fault(field, value):
            return Refusal(index, field, reason)
        if field in _NUMBERS:
            known[field] = _float(value)
    if "kind" in known:
        known["kind"] = _KINDS[known["kind"]]
    if "errors" in known and not isinstance(known["errors"], bool):
        known["errors"] = _float(known["errors"])
    if "calls" in known:
        calls = [_reported_call(call, index, unknown) for call in known["calls"]]
        for call in calls:
            if isinstance(call, Refusal):
                return call
        known["calls"] = calls
    return vital_of(Report(**known), index, received_at, salt)


def _type_fault(field: str, value: object) -> str | None:
    if field in _NUMBERS and not _is_number(value):
        return f"must be a number, not {_json_type(value)}"
    if field in _TEXTS and not isinstance(value, str):
        return f"must be text, not {_json_type(value)}"
    if field == "kind" and not (isinstance(value, str) and value in _KINDS):
        return f"must be one of {', '.join(_KINDS)}"
    if field == "errors" and not (_is_number(value) or isinstance(value, bool)):
        return f"must be 0 or 1, not {_json_type(value)}"
    if field in ("calls", "tools") and not isinstance(value, list):
        return f"must be a list, not {_json_type(value)}"
    if field == "tools" and isinstance(value, list):
        for tool in value:
            if not isinstance(tool, str):
                return f"must be a list of text, not of {_json_type(tool)}"
    return None


def _reported_call(call: object, index: int, unknown: Counter[str]) -> ReportedCall | Refusal:
    if not isinstance(call, dict):
        return Refusal(index, "calls", f"each must be an object, not {_json_type(call)}")
    known: dict[str, Any] = {}
    for field, value in call.items():
        if field not in _CALL_FIELDS:
            _count(f"calls.{field}", unknown)
        elif value is not None:
            known[field] = value
    if "tool" not in known:
        return Refusal(index, "calls", "tool is missing")
    if not isinstance(known["tool"], str):
        return Refusal(index, "calls", f"tool must be text, not {_json_type(known['tool'])}")
    for field in ("args_hash", "result_hash"):
        value = known.get(field, 0)
        if isinstance(value, bool) or not isinstance(value, int):
            return Refusal(index, "calls", f"{field} must be a whole number")
    if not isinstance(known.get("ok", True), bool):
        return Refusal(index, "calls", "ok must be true or false")
    return ReportedCall(**known)


def _is_number(value: object) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool)


def _float(value: float) -> float:
    try:
        return float(value)
    except OverflowError:  # an integer of more than 308 digits
        return math.inf


def _json_type(value: object) -> str:
    match value:
        case None:
            return "null"
        case bool():
            return "true or false"
        case str():
            return "text"
        case int() | float():
            return "a number"
        case list():
            return "a list"
        case _:
            return "an object"


def _count(field: str, unknown: Counter[str]) -> None:
    name = field[:_UNKNOWN_NAME_LENGTH_MAX]
    if not name.isprintable() or (name not in unknown and len(unknown) >= _UNKNOWN_NAMES_MAX):
        name = "(other)"
    unknown[name] += 1
