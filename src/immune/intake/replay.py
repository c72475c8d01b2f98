"""A recorded file as timed requests, moved to now: what `immune replay FILE` sends.

A file holds OTLP/JSON of traces (one export request, or one a line as the collector's file
exporter writes them) or vitals (one a line, or a list), gzip or not. The first moment in it
becomes now. `speed` presses the time between steps together, but never a latency: latencies are
measurements. So the spans of one trace keep their distances, and traces move as wholes.

A step sent again counts once, so every replay gives steps, spans and traces ids of its own.
"""

from __future__ import annotations

import gzip
import zlib
from collections.abc import Iterable, Iterator
from hashlib import blake2b
from pathlib import Path
from typing import Any, BinaryIO, NamedTuple

import msgspec

from immune.errors import InvalidInput
from immune.intake.vitals_json import NDJSON

JSON = "application/json"
TRACES_PATH = "/v1/traces"
VITALS_PATH = "/api/vitals"
BATCH_ITEMS_MAX = 500
BATCH_S = 1.0
"""Vitals within this many seconds of the replay go in one request, as a client would send them."""

_GZIP_MAGIC = b"\x1f\x8b"
_json = msgspec.json.Decoder()


class Request(NamedTuple):
    """One request to send, `offset_s` after the replay's beginning."""

    offset_s: float
    content_type: str
    path: str
    body: bytes


def replay(file: Path, *, now: float, speed: float = 1.0) -> Iterator[Request]:
    """Yield the requests of `file` in the order to send them; offsets never fall.

    `now` is when the replay begins, epoch seconds; with `speed` 10 an hour passes in six minutes.
    Reads the file twice, a line at a time where it has lines. Raises InvalidInput where a document
    in it is neither traces nor vitals, and ValueError for a speed not above 0.
    """
    if not speed > 0:
        raise ValueError(f"speed must be above 0, not {speed}")
    first = next(documents(file), None)
    if first is None:
        raise InvalidInput("file", "is empty")
    if "resourceSpans" in first:
        timing = trace_timing(documents(file))
        yield from traces(documents(file), timing, now=now, speed=speed)
    else:
        yield from vitals(documents(file), now=now, speed=speed)


def documents(file: Path) -> Iterator[dict[str, Any]]:
    """Yield the JSON objects of `file`: of its lines, or of the one document that it is."""
    try:
        yield from _documents(file)
    except (EOFError, zlib.error, gzip.BadGzipFile) as fault:
        raise InvalidInput("file", f"is gzip that is cut short or broken: {fault}") from None
    except OSError as fault:
        raise InvalidInput("file", f"cannot be read: {fault.strerror}") from None


def _documents(file: Path) -> Iterator[dict[str, Any]]:
    with _opened(file) as stream:
        head = stream.readline()
        while head and not head.strip():
            head = stream.readline()
        if not head:
            return
        try:
            found = _json.decode(head)
        except msgspec.DecodeError:
            yield from _objects(_decoded(head + stream.read(), "file"), "file")
            return
        yield from _objects(found, "line 1")
        for number, line in enumerate(stream, start=2):
            if line.strip():
                yield from _objects(_decoded(line, f"line {number}"), f"line {number}")


def _opened(file: Path) -> BinaryIO | gzip.GzipFile:
    with file.open("rb") as stream:
        zipped = stream.read(2) == _GZIP_MAGIC
    return gzip.open(file) if zipped else file.open("rb")


def _decoded(data: bytes, where: str) -> Any:
    try:
        return _json.decode(data)
    except (ValueError, RecursionError) as error:
        raise InvalidInput(where, f"is not JSON: {error}") from None


def _objects(found: Any, where: str) -> Iterator[dict[str, Any]]:
    for item in found if isinstance(found, list) else [found]:
        if not isinstance(item, dict):
            raise InvalidInput(where, "must hold objects")
        yield item


# Vitals.


def vitals(items: Iterable[dict[str, Any]], *, now: float, speed: float) -> Iterator[Request]:
    """Yield `items`, moved, in NDJSON batches; a batch leaves when its last step ended."""
    batch: list[bytes] = []
    opened = offset = 0.0
    first: float | None = None
    mark = _mark(now)
    for item in items:
        at = item.get("at")
        if isinstance(at, bool) or not isinstance(at, (int, float)):
            raise InvalidInput("at", "must be a number in every vital of the file")
        first = at if first is None else first
        moved = (at - first) / speed
        if batch and (moved - opened > BATCH_S or len(batch) >= BATCH_ITEMS_MAX):
            yield Request(offset, NDJSON, VITALS_PATH, b"".join(batch))
            batch.clear()
        if not batch:
            opened = moved
        offset = max(offset, moved)
        renamed = {"step_id": f"{item['step_id']}@{mark}"} if item.get("step_id") else {}
        batch.append(msgspec.json.encode({**item, "at": now + moved, **renamed}) + b"\n")
    if batch:
        yield Request(offset, NDJSON, VITALS_PATH, b"".join(batch))


# Traces.


class TraceTiming(NamedTuple):
    """When each trace began and ended in the recording, in ns; `first_ns` the first span's end."""

    spans: dict[str, tuple[int, int]]
    first_ns: int


def trace_timing(requests: Iterable[dict[str, Any]]) -> TraceTiming:
    """Return the times of all traces in `requests`."""
    extent: dict[str, tuple[int, int]] = {}
    first: int | None = None
    for request in requests:
        for span in _spans(request):
            start, end = _ns(span, "startTimeUnixNano"), _ns(span, "endTimeUnixNano")
            trace_id = str(span.get("traceId"))
            known = extent.get(trace_id, (start, end))
            extent[trace_id] = (min(known[0], start), max(known[1], end))
            first = end if first is None else min(first, end)
    return TraceTiming(extent, first or 0)


def traces(
    requests: Iterable[dict[str, Any]], timing: TraceTiming, *, now: float, speed: float
) -> Iterator[Request]:
    """Yield `requests`, moved; each leaves when its last span had ended in the recording.

    A trace hangs on its end when pressed together and on its start when stretched, so that none
    of its spans lies ahead of the moment when it is sent.
    """
    offset = 0.0
    now_ns = round(now * 1e9)
    mark = _mark(now)
    for request in requests:
        last = timing.first_ns
        for span in _spans(request):
            last = max(last, _ns(span, "endTimeUnixNano"))
            extent = timing.spans[str(span.get("traceId"))]
            anchor = extent[1] if speed >= 1 else extent[0]
            shift = now_ns + round((anchor - timing.first_ns) / speed) - anchor
            _move(span, shift)
            _rename(span, mark)
        offset = max(offset, (last - timing.first_ns) / 1e9 / speed)
        yield Request(offset, JSON, TRACES_PATH, msgspec.json.encode(request))


def _spans(request: dict[str, Any]) -> Iterator[dict[str, Any]]:
    if "resourceSpans" not in request:
        raise InvalidInput("file", "holds something other than traces among traces")
    try:
        for resource_spans in request["resourceSpans"]:
            for scope_spans in resource_spans.get("scopeSpans") or ():
                yield from scope_spans.get("spans") or ()
    except (AttributeError, TypeError):
        raise InvalidInput("resourceSpans", "is no OTLP/JSON of traces") from None


def _ns(span: dict[str, Any], field: str) -> int:
    try:
        return int(span[field])
    except (KeyError, TypeError, ValueError):
        raise InvalidInput(field, "must be nanoseconds in every span of the file") from None


def _move(span: dict[str, Any], shift_ns: int) -> None:
    for field in ("startTimeUnixNano", "endTimeUnixNano"):
        span[field] = str(_ns(span, field) + shift_ns)
    for event in span.get("events") or ():
        if "timeUnixNano" in event:
            event["timeUnixNano"] = str(_ns(event, "timeUnixNano") + shift_ns)


def _rename(span: dict[str, Any], mark: str) -> None:
    links = [link for link in span.get("links") or () if isinstance(link, dict)]
    for holder in (span, *links):
        for field, size in (("traceId", 16), ("spanId", 8), ("parentSpanId", 8)):
            if holder.get(field):
                name = f"{mark}:{holder[field]}".encode()
                holder[field] = blake2b(name, digest_size=size).hexdigest()


def _mark(now: float) -> str:
    """What tells this replay's ids from another's."""
    return format(round(now * 1000), "x")
