"""Reading text just long enough to hash it: arguments, results, system instructions.

The same content must give the same hash in every dialect and on every call, so what frameworks
wrap around it (ids of the call, metadata of the run) is taken off first. Whatever cannot be read
as expected is hashed as it is.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec

from immune.intake.otlp import names
from immune.intake.salt import Salt

_SYSTEM_ROLES = ("system", "developer")
_DEPTH_MAX = 6


class _Message(msgspec.Struct):
    role: str = ""
    parts: msgspec.Raw = msgspec.Raw()
    content: msgspec.Raw = msgspec.Raw()


class _LangChainMessage(msgspec.Struct):
    id: Any = None
    type: str = ""
    kwargs: msgspec.Raw = msgspec.Raw()
    content: msgspec.Raw = msgspec.Raw()


class _LangChainPrompt(msgspec.Struct):
    messages: list[list[_LangChainMessage] | _LangChainMessage]


class _Metadata(msgspec.Struct):
    lc_agent_name: Any = None
    langgraph_node: Any = None
    thread_id: Any = None
    ls_model_name: Any = None
    ls_provider: Any = None


_json = msgspec.json.Decoder()
_messages = msgspec.json.Decoder(list[_Message])
_langchain = msgspec.json.Decoder(_LangChainPrompt)
_metadata = msgspec.json.Decoder(_Metadata)
_UNREADABLE = (ValueError, RecursionError)


def metadata_facts(wanted: Mapping[str, object]) -> dict[str, str]:
    """Return the few facts kept of OpenInference's `metadata`, which is JSON in a string."""
    value = wanted.get(names.METADATA)
    if not isinstance(value, str):
        return {}
    try:
        metadata = _metadata.decode(value)
    except _UNREADABLE:
        return {}
    return {
        f"{names.METADATA}.{key}": text
        for key in names.METADATA_KEYS
        if isinstance(text := getattr(metadata, key), str) and text
    }


def arguments_hash(wanted: Mapping[str, object], salt: Salt) -> int:
    """Return the hash of a tool's arguments, 0 where they are not told."""
    value = _opened(_first(wanted, names.TOOL_ARGUMENTS))
    if isinstance(value, dict) and "input_str" in value:  # traceloop's LangChain: run ids around it
        value = _opened(value["input_str"])
    return _hash(value, salt)


def result_hash(wanted: Mapping[str, object], salt: Salt) -> int:
    """Return the hash of a tool's result, 0 where it is not told."""
    value = _opened(_first(wanted, names.TOOL_RESULT))
    for _ in range(_DEPTH_MAX):
        if not isinstance(value, dict):
            break
        if "content" in value and "tool_call_id" in value:  # a LangChain message; its ids change
            value = _opened(value["content"])
        elif isinstance(value.get("data"), dict) and value.get("type") == "tool":
            value = value["data"]
        elif "output" in value and isinstance(value["output"], dict):
            value = value["output"]
        else:
            break
    return _hash(value, salt)


def _first(wanted: Mapping[str, object], row: tuple[str, ...]) -> object:
    return next((wanted[name] for name in row if wanted.get(name) not in (None, "")), None)


def _opened(value: object) -> object:
    """Return `value`, or the JSON object or list that it is written out as."""
    if isinstance(value, str) and value.lstrip().startswith(("{", "[")):
        try:
            return _json.decode(value)
        except _UNREADABLE:
            return value
    return value


def _hash(value: object, salt: Salt) -> int:
    if value is None:
        return 0
    try:
        return salt.hash(value)
    except RecursionError:
        return 0


def instructions(wanted: Mapping[str, object]) -> str:
    """Return the plain text of the system instructions, "" where there are none."""
    if value := wanted.get(names.SYSTEM_INSTRUCTIONS):
        return plain_text(_opened(value))
    for role, text in names.FIRST_MESSAGE:
        if wanted.get(role) in _SYSTEM_ROLES and isinstance(told := wanted.get(text), str):
            return told
    value = wanted.get(names.MESSAGES)
    if isinstance(value, str):
        return _system_message(value)
    value = wanted.get(names.LANGCHAIN_PROMPT)
    if isinstance(value, str):
        return _langchain_system_message(value)
    return ""


def _system_message(text: str) -> str:
    """The GenAI conventions' messages: ``[{"role": ..., "parts": [...]}]``."""
    try:
        first = next(iter(_messages.decode(text)), _Message())
        if first.role in _SYSTEM_ROLES:
            return plain_text(_json.decode(first.parts or first.content or b'""'))
    except _UNREADABLE:
        pass
    return ""


def _langchain_system_message(text: str) -> str:
    """LangChain's: ``{"messages": [[{"id": [..., "SystemMessage"], "kwargs": {...}}]]}``."""
    try:
        messages: Any = _langchain.decode(text).messages
        first = next(iter(messages), None)
        if isinstance(first, list):
            first = next(iter(first), None)
        if first is None:
            return ""
        kind = first.id[-1] if isinstance(first.id, list) and first.id else first.type
        if kind in ("SystemMessage", "system"):
            return plain_text(_json.decode(first.kwargs or first.content or b'""'))
    except _UNREADABLE:
        pass
    return ""


def plain_text(value: object, depth: int = 0) -> str:
    """Return the text of a message or its parts, however they are nested."""
    if isinstance(value, str):
        return value
    if depth < _DEPTH_MAX:
        if isinstance(value, list):
            return "\n".join(filter(None, (plain_text(part, depth + 1) for part in value)))
        if isinstance(value, dict):
            for key in ("content", "text", "parts"):
                if key in value:
                    return plain_text(value[key], depth + 1)
    return ""
