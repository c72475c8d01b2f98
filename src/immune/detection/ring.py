"""The last samples of every stream, for the scan of the onset and for learning anew."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from immune.columns import Float32, Float64
from immune.detection.grouping import Indices, grown
from immune.detection.rounds import rounds
from immune.detection.stamps import stamps, times
from immune.vitals import N_METRICS, Metric

_SCALE = np.ones(N_METRICS, np.float32)
_SCALE[Metric.COST_USD] = 1e6
_SCALE[Metric.INTERVAL_S] = 1e3
"""So that small values keep their digits: micro-USD and milliseconds."""
_WHOLE = [Metric.TOOL_CALLS, Metric.RETRIES, Metric.ERRORS]


_AT_ONCE = 8192
"""Samples stored at once: what is computed on the way stays near the processor."""
_ITEM = np.dtype((np.void, np.dtype(np.float16).itemsize * N_METRICS))


def _values(logs: npt.NDArray[np.float16]) -> Float32:
    values: Float32 = (np.expm1(logs.astype(np.float32)) / _SCALE).astype(np.float32)
    whole = values[..., _WHOLE]
    # counts come back as the counts that they were, as far as half precision tells them apart
    values[..., _WHOLE] = np.where(whole < 200, np.round(whole), whole)
    return values


def _as_one(logs: npt.NDArray[np.float16]) -> npt.NDArray[np.void]:
    """Return a view, (...), of samples (..., 8) as items of their own, which are moved at once."""
    return logs.view(_ITEM)[..., 0]


class Ring:
    """`length` samples per stream: times and eight values.

    An agent's memory is mostly this, so it is kept small: times are stamps, values are log(1 + x)
    in half precision, to within half a per cent; a scan for the onset asks for no more.
    """

    def __init__(self, length: int) -> None:
        self._length = length
        self._stamps = np.zeros((0, length), np.uint32)
        self._latest: Float64 = np.zeros(0)
        self._logs = np.zeros((0, length, N_METRICS), np.float16)
        self._count = np.zeros(0, np.int64)

    def grow(self, capacity: int) -> None:
        """Make room for `capacity` streams."""
        self._stamps = grown(self._stamps, capacity, 0)
        self._latest = grown(self._latest, capacity, 0)
        self._logs = grown(self._logs, capacity, 0)
        self._count = grown(self._count, capacity, 0)

    def clear(self, rows: Indices | int) -> None:
        """Forget the streams' samples."""
        self._count[rows] = 0
        self._latest[rows] = 0.0

    def add(self, rows: Indices, at: Float64, values: Float32) -> None:
        """Store samples (n,), any number per stream, in order of time."""
        for first in range(0, len(rows), _AT_ONCE):
            some = slice(first, first + _AT_ONCE)
            when, logs = at[some], np.log1p(values[some] * _SCALE).astype(np.float16)
            for part, streams in rounds(rows[some]):
                self._store(streams, when[part], logs[part])

    def _store(self, streams: Indices, at: Float64, logs: npt.NDArray[np.float16]) -> None:
        count = self._count[streams]
        place = streams * self._length + count % self._length
        self._stamps.reshape(-1)[place] = stamps(at)
        _as_one(self._logs).reshape(-1)[place] = _as_one(logs)
        self._latest[streams] = np.maximum(self._latest[streams], at)
        self._count[streams] = count + 1

    def last(self, row: int) -> tuple[Float64, Float32]:
        """Return the stream's samples, oldest first: times (n,) and values (n, 8)."""
        count = int(self._count[row])
        places = np.arange(max(count - self._length, 0), count) % self._length
        return times(self._stamps[row, places], self._latest[row]), _values(self._logs[row, places])

    def edge(self, row: int) -> tuple[int, float]:
        """Return how many samples the stream was given, and when the latest of their steps ended:
        what `last` returns is the same as long as these are."""
        return int(self._count[row]), float(self._latest[row])

    def means_since(
        self, rows: Indices, since: Float64, lanes: list[int]
    ) -> tuple[Float32, Float32, Float64]:
        """Return of these streams' samples after `since` (m,), on the metrics `lanes`: the means of
        log(1 + x), cost in micro-USD, (m, k), NaN where there is none; how many, (m, k); and the
        end of the latest step (m,)."""
        latest = self._latest[rows]
        filled = min(int(self._count[rows].max(initial=0)), self._length)
        fresh = np.arange(filled) < self._count[rows, None]
        fresh &= times(self._stamps[rows, :filled], latest[:, None]) > since[:, None]
        logs = self._logs[rows, :filled][:, :, lanes].astype(np.float32)
        here = fresh[:, :, None] & ~np.isnan(logs)
        counts: Float32 = here.sum(axis=1).astype(np.float32)
        sums = np.where(here, logs, 0).sum(axis=1)
        with np.errstate(invalid="ignore"):
            means: Float32 = sums / counts
        return means, counts, latest

    def metric(self, rows: Indices, metric: Metric) -> tuple[Float64, Float32]:
        """Return (m, length) times and (m, length) values of one metric, neither count nor rare, in
        no order, NaN where empty."""
        filled = np.arange(self._length) < self._count[rows, None]
        at = np.where(filled, times(self._stamps[rows], self._latest[rows, None]), np.nan)
        logs = self._logs[rows, :, metric].astype(np.float32)
        values = np.expm1(logs) / _SCALE[metric]
        return at, np.where(filled, values, np.float32(np.nan)).astype(np.float32)

    def of(self, rows: Indices) -> tuple[Float64, Float32]:
        """Return (m, length) times and (m, length, 8) values in no order, NaN where empty."""
        empty = np.arange(self._length) >= self._count[rows, None]
        at = np.where(empty, np.nan, times(self._stamps[rows], self._latest[rows, None]))
        values = np.where(empty[..., None], np.float32(np.nan), _values(self._logs[rows]))
        return at, values
