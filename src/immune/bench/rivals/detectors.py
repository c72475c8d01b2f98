"""The rivals: one number at a time in, "this is an anomaly" out.

The naive rules are what most monitoring starts with. river's detectors run with the settings of its
documentation, on log(1 + x) in deviations from the running mean, which suits them all better than
raw milliseconds.
"""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Callable
from typing import Protocol

from immune.bench.rivals.river import river

LEARNED = 15
"""Samples that the naive rules learn, and before which nobody says anything."""


class Detector(Protocol):
    """Watches one metric of one agent."""

    def step(self, x: float) -> bool:
        """Take a sample in; return whether it is an anomaly."""


class WindowRule:
    """The mean of the last ten beyond three sigmas of the first fifteen."""

    def __init__(self) -> None:
        self._first: list[float] = []
        self._last: deque[float] = deque(maxlen=10)
        self._mean = self._bound = 0.0

    def step(self, x: float) -> bool:
        self._last.append(x)
        if len(self._first) < LEARNED:
            self._first.append(x)
            self._mean = sum(self._first) / len(self._first)
            squares = sum((v - self._mean) ** 2 for v in self._first)
            deviation = math.sqrt(squares / max(len(self._first) - 1, 1))
            self._bound = 3 * max(deviation, 0.05 * abs(self._mean))
            return False
        return 0 < self._bound < abs(sum(self._last) / len(self._last) - self._mean)


class ExponentialRule:
    """One sample beyond three sigmas of an exponentially weighted mean of span 50."""

    def __init__(self) -> None:
        self._n = 0
        self._mean = self._variance = 0.0

    def step(self, x: float) -> bool:
        self._n += 1
        apart = x - self._mean
        odd = self._n > LEARNED and abs(apart) > 3 * math.sqrt(self._variance) > 0
        weight = max(2 / 51, 1 / self._n)
        self._mean += weight * apart
        self._variance = (1 - weight) * (self._variance + weight * apart * apart)
        return odd


class Scaled:
    """A river detector behind log(1 + x) and a running standardisation (Welford 1962)."""

    def __init__(self, anomalous: Callable[[float], bool]) -> None:
        self._anomalous = anomalous
        self._n = 0
        self._mean = self._squares = 0.0

    def step(self, x: float) -> bool:
        y = math.log1p(x)
        deviation = math.sqrt(self._squares / (self._n - 1)) if self._n > 1 else 0.0
        z = (y - self._mean) / deviation if deviation > 0 else 0.0
        self._n += 1
        apart = y - self._mean
        self._mean += apart / self._n
        self._squares += apart * (y - self._mean)
        return self._anomalous(z) and self._n > LEARNED


def adwin() -> Detector:
    """Bifet & Gavaldà 2007."""
    detector = river("drift").ADWIN()

    def anomalous(z: float) -> bool:
        detector.update(z)
        return bool(detector.drift_detected)

    return Scaled(anomalous)


def page_hinkley() -> Detector:
    """Page 1954, upwards."""
    detector = river("drift").PageHinkley(mode="up")

    def anomalous(z: float) -> bool:
        detector.update(z)
        return bool(detector.drift_detected)

    return Scaled(anomalous)


def gaussian_scorer() -> Detector:
    """A Gaussian of all that was seen; an anomaly is beyond 99.9 % of it."""
    scorer = river("anomaly").GaussianScorer(grace_period=LEARNED)

    def anomalous(z: float) -> bool:
        odd = scorer.score_one(None, z) > 0.999
        scorer.learn_one(None, z)
        return bool(odd)

    return Scaled(anomalous)


def half_space_trees() -> Detector:
    """Tan, Ting & Liu 2011; an anomaly scores above 99.9 % of what was seen."""
    anomaly = river("anomaly")
    forest = anomaly.QuantileFilter(anomaly.HalfSpaceTrees(seed=1), q=0.999)

    def anomalous(z: float) -> bool:
        place = {"x": 1 / (1 + math.exp(-z))}
        odd = forest.classify(forest.score_one(place))
        forest.learn_one(place)
        return bool(odd)

    return Scaled(anomalous)


DETECTORS: dict[str, Callable[[], Detector]] = {
    "window_rule": WindowRule,
    "ewma_3_sigma": ExponentialRule,
    "river_adwin": adwin,
    "river_page_hinkley": page_hinkley,
    "river_gaussian_scorer": gaussian_scorer,
    "river_half_space_trees": half_space_trees,
}
