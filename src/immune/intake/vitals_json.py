"""The body of ``POST /api/vitals``: an object, a list of objects, or one object a line (NDJSON).

The fast path decodes the whole batch into typed reports at once and makes columns of them; it
takes what every well-behaved client sends. Where a value is wrong each report is judged by itself,
and where a type is, the body is read again loosely, so that one bad item never spoils the rest; all
ways give the same vitals. A field null is a field left out. Python's NaN and Infinity are read, to
be refused by name and not as broken JSON.
"""

from __future__ import annotations

import json
from collections import Counter

import msgspec

from immune.columns import Names, VitalColumns, from_vitals
from immune.errors import InvalidInput, TooLarge
from immune.intake.bounds import check_size
from immune.intake.salt import Salt
from immune.intake.vitals_columns import columns_of
from immune.intake.vitals_item import Report, check, vital_of
from immune.vitals import Refusal, Vital

NDJSON = "application/x-ndjson"
_NDJSON_TYPES = (NDJSON, "application/ndjson", "application/jsonl", "application/x-jsonlines")

_typed_one = msgspec.json.Decoder(Report)
_typed_list = msgspec.json.Decoder(list[Report])
_loose = msgspec.json.Decoder()


class Decoded(msgspec.Struct, frozen=True):
    """What a body held. Indices count items from 0, broken lines included, blank lines not."""

    columns: VitalColumns | None
    """None where nothing could be taken."""
    refused: list[Refusal]
    unknown_fields: dict[str, int]
    """How often each field occurred that nobody knows, by its name."""


def decode(
    body: bytes,
    *,
    received_at: float,
    names: Names,
    salt: Salt,
    max_bytes: int,
    max_items: int,
    content_type: str = "",
) -> Decoded:
    """Return the vitals in `body`, taken at `received_at` (epoch seconds), and what was refused.

    What is taken is interned into `names`.

    The content type only decides what looking at the body leaves open. Raises InvalidInput, with
    the position, where the body holds no JSON at all, and TooLarge beyond the limits.
    """
    check_size(body, max_bytes)
    if not body.strip():
        raise InvalidInput("body", "is empty")
    as_lines = content_type.partition(";")[0].strip().lower() in _NDJSON_TYPES
    vitals: list[Vital] = []
    refused: list[Refusal] = []
    unknown: Counter[str] = Counter()
    outcomes: list[Vital | Refusal]
    reports = _fast(body, as_lines)
    if reports is not None:
        _check_count(len(reports), max_items)
        columns = columns_of(reports, received_at, salt, names) if reports else None
        if columns is not None:
            return Decoded(columns, [], {})
        outcomes = [
            vital_of(report, index, received_at, salt) for index, report in enumerate(reports)
        ]
    else:
        items = _slow(body, as_lines)
        _check_count(len(items), max_items)
        outcomes = [
            item if isinstance(item, Refusal) else check(item, index, received_at, salt, unknown)
            for index, item in enumerate(items)
        ]
    for outcome in outcomes:
        if isinstance(outcome, Vital):
            vitals.append(outcome)
        else:
            refused.append(outcome)
    columns = from_vitals(vitals, names) if vitals else None
    return Decoded(columns, refused, dict(unknown))


def _check_count(count: int, max_items: int) -> None:
    if count > max_items:
        raise TooLarge("items in the body", max_items)


def _fast(body: bytes, as_lines: bool) -> list[Report] | None:
    try:
        if body.lstrip()[:1] == b"[":
            return _typed_list.decode(body)
        if as_lines or b"\n" in body.strip():
            return _typed_one.decode_lines(body)
        return [_typed_one.decode(body)]
    except (ValueError, RecursionError):
        return None


def _slow(body: bytes, as_lines: bool) -> list[object]:
    """Return the items of `body`; a line that is no JSON is its refusal."""
    try:
        document = _parse(body)
    except _NotJson as error:
        lines = [line for line in body.split(b"\n") if line.strip()]
        if not (as_lines or _look_like_items(lines)):
            raise InvalidInput("body", str(error)) from None
        return _items_of_lines(lines)
    if isinstance(document, list):
        return document
    if isinstance(document, dict):
        return [document]
    raise InvalidInput("body", "must be an object, a list of objects, or one object a line")


def _look_like_items(lines: list[bytes]) -> bool:
    """Are these lines of NDJSON, and not one document over several lines?"""
    return len(lines) > 1 and any(_is_object(line) for line in lines[:2])


def _is_object(line: bytes) -> bool:
    try:
        return isinstance(_parse(line), dict)
    except _NotJson:
        return False


def _items_of_lines(lines: list[bytes]) -> list[object]:
    items: list[object] = []
    first_error: _NotJson | None = None
    broken = 0
    for index, line in enumerate(lines):
        try:
            items.append(_parse(line))
        except _NotJson as error:
            first_error = first_error or error
            broken += 1
            items.append(Refusal(index, "item", str(error)))
    if first_error is not None and broken == len(lines):
        raise InvalidInput("body", str(first_error))
    return items


class _NotJson(Exception):
    """Not to be read as JSON; the message says why and where."""


def _parse(data: bytes) -> object:
    try:
        return _loose.decode(data)
    except (ValueError, RecursionError):
        pass
    try:
        # bytes that are no UTF-8 become lone surrogates, which no field of ours lets pass
        text = data.decode("utf-8-sig", "surrogateescape")
        return json.loads(text, strict=False, parse_int=_int)
    except json.JSONDecodeError as error:
        where = f"line {error.lineno}, character {error.colno}"
        raise _NotJson(f"is not JSON: {error.msg.lower()} at {where}") from None
    except RecursionError:
        raise _NotJson("is nested too deep") from None


def _int(digits: str) -> int | float:
    """Whole numbers, however long: those beyond any float are infinite, and refused as such."""
    return int(digits) if len(digits) <= 308 else float(digits)
