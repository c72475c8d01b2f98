"""The last samples of every stream, for the scan of the onset and for learning anew."""

from __future__ import annotations

import numpy as np

from immune.columns import Float32, Float64
from immune.detection.grouping import Indices, Runs
from immune.vitals import N_METRICS


class Ring:
    """`length` samples per stream: times float64 and values float32 (8,)."""

    def __init__(self, length: int) -> None:
        self._length = length
        self._at: Float64 = np.zeros((0, length))
        self._values: Float32 = np.zeros((0, length, N_METRICS), np.float32)
        self._count = np.zeros(0, np.int64)

    def grow(self, capacity: int) -> None:
        """Make room for `capacity` streams."""
        more = capacity - len(self._count)
        self._at = np.concatenate([self._at, np.zeros((more, self._length))])
        blank = np.zeros((more, self._length, N_METRICS), np.float32)
        self._values = np.concatenate([self._values, blank])
        self._count = np.concatenate([self._count, np.zeros(more, np.int64)])

    def clear(self, row: int) -> None:
        """Forget the stream's samples."""
        self._count[row] = 0

    def add(self, rows: Indices, at: Float64, values: Float32) -> None:
        """Store samples (n,), any number per stream, in order of time."""
        for part, streams in Runs.of(rows).rounds():
            place = self._count[streams] % self._length
            self._at[streams, place] = at[part]
            self._values[streams, place] = values[part]
            self._count[streams] += 1

    def last(self, row: int) -> tuple[Float64, Float32]:
        """Return the stream's samples, oldest first: times (n,) and values (n, 8)."""
        count = int(self._count[row])
        places = np.arange(max(count - self._length, 0), count) % self._length
        return self._at[row, places], self._values[row, places]

    def of(self, rows: Indices) -> tuple[Float64, Float32]:
        """Return (m, length) times and (m, length, 8) values in no order, NaN where empty."""
        empty = np.arange(self._length) >= self._count[rows, None]
        at = np.where(empty, np.nan, self._at[rows])
        values = np.where(empty[..., None], np.float32(np.nan), self._values[rows])
        return at, values
