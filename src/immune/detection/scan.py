"""What the stored samples of a stream say once somebody asks: since when, and how badly.

The `Scan` reads the learner's rings and baselines and changes nothing. What it said of a stream to
the fleet's watch it says again for as long as nothing of that has changed.
"""

from __future__ import annotations

import numpy as np

from immune.detection.baseline import BaselineLearner
from immune.detection.change import Recent
from immune.detection.findings import MetricEffect
from immune.detection.onset import Scored, effects_of, find_onset
from immune.detection.params import EpisodeParams
from immune.detection.thresholds import steps_per_day
from immune.vitals import Metric

_HOURS = 24
_KEPT = 1024
"""Looks of the fleet's watch that are kept, about 4 kB each; a tick asks for some 600 at most."""

Basis = tuple[int, float, bytes]
"""All that a look depends on: the edge of the ring, the baseline."""


class Scan:
    """Onset and effects of streams, from their last samples."""

    def __init__(self, learner: BaselineLearner, params: EpisodeParams) -> None:
        self._learner = learner
        self._params = params
        self._looks: dict[int, tuple[tuple[float | None, Basis], Recent]] = {}
        self._latest: tuple[int, Basis, Scored] | None = None
        """The stream looked at last: whoever asks for its onset asks for its effects next."""

    def onset(self, row: int, after: float = 0.0) -> float | None:
        """Return the likeliest onset of a change later than `after`, epoch seconds; None without
        samples."""
        scored = self._scored(row)
        fresh = scored.at > after
        return find_onset(scored.where(fresh)).at if fresh.any() else None

    def effects(self, row: int, since: float) -> tuple[MetricEffect, ...]:
        """Return what happened to each metric since `since`, epoch seconds."""
        scored = self._scored(row)
        return effects_of(scored.where(scored.at >= since), self._params)

    def recent(self, row: int, onset_at: float | None = None) -> Recent | None:
        """Return the same for the fleet's watch, from a known onset or the likeliest one."""
        # asked again and again, more often than most agents step
        basis = onset_at, self._basis(row)
        known = self._looks.get(row)
        if known is not None and known[0] == basis:
            return known[1]
        scored = self._scored(row)
        if onset_at is None:
            if not len(scored.at):
                return None
            onset_at = find_onset(scored).at
        late = scored.where(scored.at >= onset_at)
        recent = Recent(onset_at, float(len(late.at)), effects_of(late, self._params))
        if len(self._looks) >= _KEPT:
            self._looks.clear()
        self._looks[row] = basis, recent
        return recent

    def _scored(self, row: int) -> Scored:
        basis = self._basis(row)
        if self._latest is None or self._latest[:2] != (row, basis):
            learner = self._learner
            scored = Scored.of(*learner.ring.last(row), learner.normal(row))
            self._latest = row, basis, scored
        return self._latest[2]

    def _basis(self, row: int) -> Basis:
        return *self._learner.ring.edge(row), self._learner.kernel.block[row].tobytes()

    def usd_per_hour(self, row: int, effects: tuple[MetricEffect, ...]) -> float:
        """Return what a stream spends beyond its normal; 0 where the cost is not affected."""
        by = {effect.metric: effect for effect in effects if effect.affected}
        cost = by.get(Metric.COST_USD.label)
        if cost is None:
            return 0.0
        pace = by.get(Metric.INTERVAL_S.label)
        interval_s = self._learner.kernel.intervals(np.array([row]))
        usual = float(steps_per_day(interval_s)[0]) / _HOURS
        return (cost.now - cost.normal) * usual * (pace.ratio if pace else 1.0)
