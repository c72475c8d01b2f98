"""A stream's baseline as bytes that say which version they are."""

from __future__ import annotations

from typing import Any

import msgspec
import numpy as np
import numpy.typing as npt

from immune.columns import Float32, Float64
from immune.detection.drift import SAVED
from immune.detection.state import FIELDS
from immune.vitals import METRICS, N_METRICS

VERSION = 2


class _Record(msgspec.Struct, frozen=True, array_like=True):
    version: int
    fields: tuple[str, ...]
    metrics: tuple[str, ...]
    block: bytes
    frozen: bool
    since: float
    seen: int
    held: int
    at: bytes
    values: bytes
    facts: bytes
    habits: bytes
    drift: bytes


class Stored(msgspec.Struct, frozen=True, kw_only=True):
    """What of one stream outlives the process."""

    block: Float32
    """(F, 8) of the kernel."""
    frozen: bool
    since: float
    seen: int
    held: int
    at: Float64
    values: Float32
    """The ring, oldest first."""
    facts: bytes
    """Of the agent's `FactBook`; empty but for one of its kinds."""
    habits: bytes
    """Of the rules; empty but for one of its kinds."""
    drift: Float64
    """(19,) of `Drift`."""


_METRICS = tuple(spec.metric.label for spec in METRICS)


def pack(stored: Stored) -> bytes:
    """Return the stream as bytes."""
    return msgspec.msgpack.encode(
        _Record(
            VERSION,
            FIELDS,
            _METRICS,
            stored.block.astype("<f4").tobytes(),
            stored.frozen,
            stored.since,
            stored.seen,
            stored.held,
            stored.at.astype("<f8").tobytes(),
            stored.values.astype("<f4").tobytes(),
            stored.facts,
            stored.habits,
            stored.drift.astype("<f8").tobytes(),
        )
    )


def unpack(data: bytes) -> Stored:
    """Return the stream of these bytes.

    Raises ValueError where they are of another version, or a field does not hold what it should.
    """
    try:
        record = msgspec.msgpack.decode(data, type=_Record)
    except msgspec.DecodeError as error:
        raise ValueError(f"not a baseline of version {VERSION}: {error}") from error
    if record.version != VERSION or record.fields != FIELDS or record.metrics != _METRICS:
        raise ValueError(
            f"a baseline of version {record.version} can't be read by version {VERSION}: "
            "let it be learned anew"
        )
    at = _numbers("at", record.at, "<f8", len(record.at) // 8)
    block = _numbers("block", record.block, "<f4", len(FIELDS) * N_METRICS).astype(np.float32)
    if not np.isfinite(block).all():
        raise ValueError("a baseline's block holds what is no number: let it be learned anew")
    values = _numbers("values", record.values, "<f4", len(at) * N_METRICS)
    return Stored(
        block=block.reshape(len(FIELDS), N_METRICS),
        frozen=record.frozen,
        since=record.since,
        seen=record.seen,
        held=record.held,
        at=at.astype(np.float64),
        values=values.astype(np.float32).reshape(-1, N_METRICS),
        facts=record.facts,
        habits=record.habits,
        drift=_numbers("drift", record.drift, "<f8", SAVED).astype(np.float64),
    )


def _numbers(field: str, data: bytes, dtype: str, count: int) -> npt.NDArray[np.floating[Any]]:
    wanted = count * np.dtype(dtype).itemsize
    if len(data) != wanted:
        raise ValueError(
            f"a baseline's {field} has {len(data)} bytes in place of {wanted}: "
            "let it be learned anew"
        )
    return np.frombuffer(data, dtype)
