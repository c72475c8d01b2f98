"""What the stored samples of a stream say once somebody asks: since when, and how badly.

The `Scan` reads the learner's rings and baselines and changes nothing.
"""

from __future__ import annotations

import numpy as np

from immune.detection.baseline import BaselineLearner
from immune.detection.change import Recent
from immune.detection.findings import MetricEffect
from immune.detection.onset import effects_since, find_onset
from immune.detection.params import EpisodeParams
from immune.detection.thresholds import steps_per_day
from immune.vitals import Metric

_HOURS = 24


class Scan:
    """Onset and effects of streams, from their last samples."""

    def __init__(self, learner: BaselineLearner, params: EpisodeParams) -> None:
        self._learner = learner
        self._params = params

    def onset(self, row: int) -> float | None:
        """Return the likeliest onset of a change, epoch seconds; None without samples."""
        at, values = self._learner.ring.last(row)
        if not len(at):
            return None
        return find_onset(at, values, self._learner.normal(row)).at

    def effects(self, row: int, since: float) -> tuple[MetricEffect, ...]:
        """Return what happened to each metric since `since`, epoch seconds."""
        at, values = self._learner.ring.last(row)
        return effects_since(values[at >= since], self._learner.normal(row), self._params)

    def recent(self, row: int, onset_at: float | None = None) -> Recent | None:
        """Return the same for the fleet's watch, from a known onset or the likeliest one."""
        since = self.onset(row) if onset_at is None else onset_at
        if since is None:
            return None
        steps = int((self._learner.ring.last(row)[0] >= since).sum())
        return Recent(since, float(steps), self.effects(row, since))

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
