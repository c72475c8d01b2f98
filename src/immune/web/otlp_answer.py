"""What OTLP over HTTP is answered: ExportTraceServiceResponse and Status, in both encodings.

Both messages are two fields long, so they are written here by hand:
``ExportTraceServiceResponse{1: ExportTracePartialSuccess{1: int64 rejected_spans, 2: string
error_message}}`` and ``google.rpc.Status{1: int32 code, 2: string message}``. The code is left out,
as the HTTP status says it already.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Protocol

import msgspec


class Answer(Protocol):
    """One encoding of the answers."""

    media_type: str

    def success(self, rejected: int, message: str, what: str = "Spans") -> bytes:
        """An Export…ServiceResponse; with a partial success where some of `what` was rejected."""

    def status(self, message: str) -> bytes:
        """A Status: why the whole request was refused."""


class _Protobuf:
    media_type = "application/x-protobuf"

    def success(self, rejected: int, message: str, what: str = "Spans") -> bytes:
        partial = b""
        if rejected:
            partial += b"\x08" + _varint(rejected)
        if message:
            partial += _text(2, message)
        return b"\x0a" + _varint(len(partial)) + partial if partial else b""

    def status(self, message: str) -> bytes:
        return _text(2, message)


class _Json:
    media_type = "application/json"

    def success(self, rejected: int, message: str, what: str = "Spans") -> bytes:
        if not rejected and not message:
            return b"{}"
        # protobuf's JSON writes 64-bit integers as strings
        partial = {f"rejected{what}": str(rejected), "errorMessage": message}
        return msgspec.json.encode({"partialSuccess": partial})

    def status(self, message: str) -> bytes:
        return msgspec.json.encode({"message": message})


JSON_ANSWER: Answer = _Json()
_PROTOBUF_ANSWER: Answer = _Protobuf()
ANSWERS: Mapping[str, Answer] = {
    "application/json": JSON_ANSWER,
    "application/x-protobuf": _PROTOBUF_ANSWER,
    "application/protobuf": _PROTOBUF_ANSWER,
}
"""The encoding that a request of each content type is answered in."""


def _varint(number: int) -> bytes:
    out = bytearray()
    while number > 0x7F:
        out.append(number & 0x7F | 0x80)
        number >>= 7
    out.append(number)
    return bytes(out)


def _text(field: int, text: str) -> bytes:
    data = text.encode()
    return bytes([field << 3 | 2]) + _varint(len(data)) + data
