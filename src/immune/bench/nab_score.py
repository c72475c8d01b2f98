"""The Numenta Anomaly Benchmark's scoring, our own implementation of what was published.

Lavin & Ahmad, "Evaluating real-time anomaly detection algorithms", 2015. Anomalies are windows. The
first detection in a window earns up to A_TP, the earlier the more; a window without one costs A_FN;
every detection outside costs up to A_FP, less just after a window. Positions go through the scaled
sigmoid 2/(1 + e^{5y}) − 1, where y is −1 at a window's first sample and 0 behind its last. The
probationary beginning of a stream does not count. A score is told between 0, a detector that says
nothing, and 100, one that hits every window at its first sample and nothing else.
"""

from __future__ import annotations

from collections.abc import Sequence

import msgspec
import numpy as np

from immune.columns import Bool, Float64

PROBATION_SHARE, PROBATION_SAMPLES = 0.15, 5000
"""Of a stream's first 5,000 samples, the share that is probationary: 750 at most."""
FAR_BEHIND = 3.0
"""Windows' lengths behind a window, from which a false positive costs all of A_FP."""


class Weights(msgspec.Struct, frozen=True):
    """A profile of NAB."""

    hit: float = 1.0
    false: float = 0.11
    missed: float = 1.0


STANDARD = Weights()


class Stream(msgspec.Struct, frozen=True):
    """One labelled stream."""

    name: str
    at: Float64
    """Epoch seconds, (n,)."""
    values: Float64
    in_window: Bool
    """(n,): within an anomaly's window."""

    @property
    def windows(self) -> list[tuple[int, int]]:
        """First and last sample of each window."""
        edges = np.diff(self.in_window.astype(int), prepend=0, append=0)
        first, behind = np.flatnonzero(edges == 1), np.flatnonzero(edges == -1)
        return [(int(a), int(b) - 1) for a, b in zip(first, behind, strict=True)]


def probation(samples: int) -> int:
    """Return how many samples at the beginning do not count.

    >>> probation(4032), probation(22695)
    (604, 750)
    """
    return int(PROBATION_SHARE * min(samples, PROBATION_SAMPLES))


def sigmoid(position: Float64) -> Float64:
    """Return the scaled sigmoid of positions relative to a window."""
    inside: Float64 = 2 / (1 + np.exp(5 * np.minimum(position, FAR_BEHIND))) - 1
    return np.where(position > FAR_BEHIND, -1.0, inside)


class Marks:
    """What each sample of a stream would earn or cost if it were detected."""

    def __init__(self, stream: Stream) -> None:
        n, windows = len(stream.values), stream.windows
        self.counts: Bool = np.arange(n) >= probation(n)
        self.window = np.full(n, -1)
        self.n_windows = len(windows)
        self.worth = np.full(n, -1.0)
        best = float(sigmoid(np.array(-1.0)))
        for k, (first, last) in enumerate(windows):
            length = last - first + 1
            inside = np.arange(first, last + 1)
            self.window[inside] = k
            self.worth[inside] = sigmoid(-(last - inside + 1) / length) / best
            until = windows[k + 1][0] if k + 1 < len(windows) else n
            behind = np.arange(last + 1, until)
            self.worth[behind] = sigmoid((behind - last) / max(length - 1, 1))

    def score(self, detected: Bool, weights: Weights = STANDARD) -> float:
        """Return the raw score of some detections (n,)."""
        counted = detected & self.counts
        outside = counted & (self.window < 0)
        total = weights.false * float(self.worth[outside].sum())
        for k in range(self.n_windows):
            hits = counted & (self.window == k)
            total += weights.hit * float(self.worth[hits].max()) if hits.any() else -weights.missed
        return total


def normalised(raw: float, windows: int, weights: Weights = STANDARD) -> float:
    """Return a raw score between that of no detections, 0, and the perfect one, 100."""
    null, perfect = -weights.missed * windows, weights.hit * windows
    return 100 * (raw - null) / (perfect - null)


def score_at(
    threshold: float,
    marks: Sequence[Marks],
    scores: Sequence[Float64],
    weights: Weights = STANDARD,
) -> float:
    """Return the normalised score of some streams, their anomaly scores cut at one threshold."""
    raw = sum(m.score(s >= threshold, weights) for m, s in zip(marks, scores, strict=True))
    return normalised(raw, sum(m.n_windows for m in marks), weights)


def best_threshold(
    marks: Sequence[Marks], scores: Sequence[Float64], weights: Weights = STANDARD
) -> float:
    """Return the threshold of the highest score, found among all values that occur.

    Every detection's gain is added in the order of falling scores, so that one pass tries all.
    """
    gains: list[tuple[float, float]] = []
    for m, s in zip(marks, scores, strict=True):
        outside = m.counts & (m.window < 0)
        gains += zip(s[outside].tolist(), (weights.false * m.worth[outside]).tolist(), strict=True)
        for k in range(m.n_windows):
            gains += _gains_of_window(m, s, k, weights)
    gains.sort(key=lambda gain: -gain[0])
    best = running = 0.0
    threshold = np.inf
    for place, (score, gain) in enumerate(gains):
        running += gain
        last = place + 1 == len(gains) or gains[place + 1][0] < score
        if last and running > best:
            best, threshold = running, score
    return float(threshold)


def _gains_of_window(
    marks: Marks, scores: Float64, window: int, weights: Weights
) -> list[tuple[float, float]]:
    """Return what a window gains as the threshold falls: earlier samples join, and only they."""
    samples = np.flatnonzero(marks.counts & (marks.window == window))
    gains, before = [], -weights.missed
    earliest = len(scores)
    for sample in samples[np.argsort(-scores[samples], kind="stable")].tolist():
        if sample < earliest:
            earliest = sample
            now = weights.hit * float(marks.worth[sample])
            gains.append((float(scores[sample]), now - before))
            before = now
    return gains
