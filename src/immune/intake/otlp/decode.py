"""The body of ``POST /v1/traces``: bytes in either encoding, gzip or not, to `Span` records."""

from __future__ import annotations

from collections import Counter

import msgspec

from immune.errors import InvalidInput
from immune.intake.bounds import check_size, inflate
from immune.intake.otlp import from_json, from_protobuf
from immune.intake.otlp.span import RawSpan, Span, fault_of, span_of
from immune.intake.salt import Salt

PROTOBUF = "application/x-protobuf"
JSON = "application/json"

_READERS = {PROTOBUF: from_protobuf.read, "application/protobuf": from_protobuf.read}
_READERS[JSON] = from_json.read


class DecodedSpans(msgspec.Struct, frozen=True):
    """What a request held; `rejected` and `reason` are what OTLP's partial success answers."""

    spans: list[Span]
    rejected: dict[str, int]
    """How many spans could not be taken, by reason."""


def decode_traces(
    body: bytes,
    *,
    content_type: str,
    salt: Salt,
    max_bytes: int,
    content_encoding: str = "",
) -> DecodedSpans:
    """Return the spans in `body`, without their text.

    Raises InvalidInput for another content type or encoding, or a body that is no export request;
    TooLarge beyond `max_bytes`, before or after decompression.
    """
    check_size(body, max_bytes)
    reader = _READERS.get(content_type.partition(";")[0].strip().lower())
    if reader is None:
        raise InvalidInput("content-type", f"must be {PROTOBUF} or {JSON}")
    match content_encoding.strip().lower():
        case "gzip":
            body = inflate(body, max_bytes)
        case "" | "identity":
            pass
        case _:
            raise InvalidInput("content-encoding", "must be gzip or left out")
    spans: list[Span] = []
    rejected: Counter[str] = Counter()

    def take(raw: RawSpan) -> None:
        # one at a time: what is kept of a span is less than what came
        if fault := fault_of(raw):
            rejected[fault] += 1
        else:
            spans.append(span_of(raw, salt))

    reader(body, take)
    return DecodedSpans(spans, dict(rejected))
