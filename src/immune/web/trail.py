"""Every agent's evidence over the last minutes, one byte a sample, for the charts."""

from __future__ import annotations

import msgspec
import numpy as np
import numpy.typing as npt

from immune.columns import Float32, Int32

SAMPLE_S = 2.0
"""Seconds between two samples."""
SAMPLES = 360
"""Kept of each agent: 12 minutes, 360 bytes."""
STEPS = 100.0
"""Steps to the quarantine's threshold; a byte reaches to 2.5 times that."""


class EvidenceTrail(msgspec.Struct, frozen=True):
    """One agent's evidence, oldest first."""

    until: float
    """Epoch seconds of the latest sample."""
    step_s: float
    share: list[float]
    """Of what quarantines the agent; 1 is the quarantine's line, and 2.5 the most that is kept."""


class Trail:
    """A ring of samples for each agent, by code."""

    def __init__(self) -> None:
        self._ring: npt.NDArray[np.uint8] = np.zeros((0, SAMPLES), np.uint8)
        self._since: npt.NDArray[np.int64] = np.zeros(0, np.int64)
        """Number of the sample from which on the agent was there."""
        self._count = 0
        self._at = 0.0

    def add(self, at: float, codes: Int32, share: Float32) -> None:
        """Take a sample of all agents, unless the last one is too recent."""
        if at < self._at + SAMPLE_S and self._count:
            return
        size = int(codes.max(initial=-1)) + 1
        if size > len(self._ring):
            more = size + size // 8 - len(self._ring)
            self._ring = np.concatenate([self._ring, np.zeros((more, SAMPLES), np.uint8)])
            self._since = np.concatenate([self._since, np.full(more, -1, np.int64)])
        gone = self._since >= 0
        gone[codes] = False
        self._since[gone] = -1  # retired: their codes go to others
        new = codes[self._since[codes] < 0]
        self._since[new] = self._count
        self._ring[codes, self._count % SAMPLES] = np.clip(share * STEPS, 0, 250).astype(np.uint8)
        self._count += 1
        self._at = at

    def of(self, code: int | None) -> EvidenceTrail:
        """One agent's trail; empty where it has none."""
        if code is None or code >= len(self._ring) or self._since[code] < 0:
            return EvidenceTrail(self._at, SAMPLE_S, [])
        first = max(int(self._since[code]), self._count - SAMPLES)
        places = np.arange(first, self._count) % SAMPLES
        return EvidenceTrail(self._at, SAMPLE_S, (self._ring[code, places] / STEPS).tolist())
