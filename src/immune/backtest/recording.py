"""A recorded file as vitals: JSON lines, or Parquet of vitals or of plain series.

What intake would refuse is refused here, item by item, for the same reasons; the rest is kept, and
counts once where it was sent twice. The recording's own times are its now. A series (columns
`series`, `value`, and `t` or `i`) becomes an agent whose latency is the value.
"""

from __future__ import annotations

import gzip
import json
import math
import zlib
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any, BinaryIO

import msgspec

from immune.backtest.parquet import arrow, table_of
from immune.errors import InvalidInput
from immune.intake.salt import Salt
from immune.intake.vitals_item import check
from immune.vitals import REPORTED, Refusal, Vital

_GZIP_MAGIC, _PARQUET_MAGIC = b"\x1f\x8b", b"PAR1"
_SHOWN = 5
"""Refusals that are kept in words."""
_SALT = Salt(b"a recording stays on this machine")
_ROWS_AT_ONCE = 10_000
_AT_MAX = 4_102_444_800.0
"""The year 2100, epoch seconds: a time beyond was not written in seconds."""
_LABELS = tuple(spec.metric.label for spec in REPORTED)


class Recording(msgspec.Struct):
    """What a file held."""

    vitals: list[Vital]
    """In order of time; those of one moment in the order of the file."""
    refused: int
    refusals: list[str]
    """The first few: file, line or row, field and reason."""
    repeated: int
    """Steps left out, as the same agent had one with the same `step_id` before."""
    unknown: dict[str, int]
    """How often each field occurred that nobody knows."""


def read(file: Path) -> Recording:
    """Return what `file` holds.

    Raises InvalidInput where nothing of it can be taken, naming the first reason; NotFound where
    Parquet is to be read and pyarrow isn't installed.
    """
    with file.open("rb") as stream:
        magic = stream.read(4)
    items = _rows(file) if magic == _PARQUET_MAGIC else _lines(file, magic[:2] == _GZIP_MAGIC)
    unknown: Counter[str] = Counter()
    recording = Recording([], 0, [], 0, unknown)
    steps: set[tuple[str, str]] = set()
    for place, item in items:
        outcome = _vital(item, unknown)
        if isinstance(outcome, Vital):
            if outcome.step_id is not None:
                step = (outcome.agent_id, outcome.step_id)
                if step in steps:
                    recording.repeated += 1
                    continue
                steps.add(step)
            recording.vitals.append(outcome)
            continue
        recording.refused += 1
        if len(recording.refusals) < _SHOWN:
            recording.refusals.append(f"{file}, {place}: {outcome.field}: {outcome.reason}")
    if not recording.vitals:
        reason = recording.refusals[0] if recording.refusals else f"{file} is empty"
        raise InvalidInput("FILE", f"holds no vital that can be taken: {reason}")
    if not any(_measured(vital) for vital in recording.vitals):
        labels = ", ".join(_LABELS)
        raise InvalidInput("FILE", f"measures nothing: no vital in it has any of {labels}")
    recording.vitals.sort(key=lambda vital: vital.at)
    return recording


def _measured(vital: Vital) -> bool:
    return any(getattr(vital, label) is not None for label in _LABELS)


def _vital(item: object, unknown: Counter[str]) -> Vital | Refusal:
    if isinstance(item, Refusal):
        return item
    at: Any = item.get("at") if isinstance(item, dict) else 0.0
    if fault := _time_fault(at):
        return Refusal(0, "at", fault)
    return check(item, 0, float(at), _SALT, unknown)


def _time_fault(at: object) -> str | None:
    if at is None:
        return "is missing"
    if isinstance(at, bool) or not isinstance(at, (int, float)):
        return "must be a number"
    if isinstance(at, float) and not math.isfinite(at):
        return "is not a finite number"
    if not 0 <= at <= _AT_MAX:
        return "must be epoch seconds between 1970 and 2100; are these milliseconds?"
    return None


def _lines(file: Path, zipped: bool) -> Iterator[tuple[str, object]]:
    number = 0
    try:
        with _opened(file, zipped) as stream:
            for number, line in enumerate(stream, start=1):
                if line.strip():
                    yield f"line {number}", _decoded(line)
    except (EOFError, OSError, zlib.error) as error:
        raise InvalidInput(f"{file}, after line {number}", f"can't be read: {error}") from error


def _opened(file: Path, zipped: bool) -> BinaryIO | gzip.GzipFile:
    return gzip.open(file) if zipped else file.open("rb")


def _decoded(line: bytes) -> object:
    try:
        return json.loads(line)  # takes NaN and Infinity, to be refused by their field's name
    except (ValueError, RecursionError) as error:
        return Refusal(0, "item", f"is not JSON: {error}")


def _rows(file: Path) -> Iterator[tuple[str, object]]:
    table = table_of(file)
    if "agent_id" not in table.column_names:
        if not {"series", "value"} <= set(table.column_names):
            raise InvalidInput(
                str(file), "has neither a column agent_id nor the columns series and value"
            )
        table = _renamed(file, table)
    if "at" in table.column_names:
        place = table.column_names.index("at")
        table = table.set_column(place, "at", _seconds(table["at"]))
    number = 0
    for batch in table.to_batches(_ROWS_AT_ONCE):
        for row in batch.to_pylist():
            number += 1
            yield f"row {number}", {field: v for field, v in row.items() if v is not None}


def _renamed(file: Path, table: Any) -> Any:
    """Turn series into agents: `t`, else `i` as seconds, is the time, the value a latency."""
    time = next((name for name in ("t", "i") if name in table.column_names), None)
    if time is None:
        raise InvalidInput(str(file), "has no column t or i to tell the order of its series")
    chosen = table.select(["series", time, "value"])
    return chosen.rename_columns(["agent_id", "at", "latency_ms"])


def _seconds(column: Any) -> Any:
    """Return a column of times as epoch seconds."""
    pa, compute = arrow(), arrow("compute")
    if not pa.types.is_timestamp(column.type):
        return column
    micros = compute.cast(compute.cast(column, pa.timestamp("us")), pa.int64())
    return compute.divide(compute.cast(micros, pa.float64()), 1e6)
