"""What the stored samples of a stream say once somebody asks: since when, and how badly.

The `Scan` reads the learner's rings and baselines and changes nothing. What it said of a stream to
the fleet's watch it says again for as long as nothing of that has changed.
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
_KEPT = 1024
"""Looks of the fleet's watch that are kept, about 4 kB each; a tick asks for some 600 at most."""

Basis = tuple[float | None, int, float, bytes]
"""All that a look depends on: the onset where it was given, the edge of the ring, the baseline."""


class Scan:
    """Onset and effects of streams, from their last samples."""

    def __init__(self, learner: BaselineLearner, params: EpisodeParams) -> None:
        self._learner = learner
        self._params = params
        self._looks: dict[int, tuple[Basis, Recent]] = {}

    def onset(self, row: int, after: float = 0.0) -> float | None:
        """Return the likeliest onset of a change later than `after`, epoch seconds; None without
        samples."""
        at, values = self._learner.ring.last(row)
        fresh = at > after
        if not fresh.any():
            return None
        return find_onset(at[fresh], values[fresh], self._learner.normal(row)).at

    def effects(self, row: int, since: float) -> tuple[MetricEffect, ...]:
        """Return what happened to each metric since `since`, epoch seconds."""
        at, values = self._learner.ring.last(row)
        return effects_since(values[at >= since], self._learner.normal(row), self._params)

    def recent(self, row: int, onset_at: float | None = None) -> Recent | None:
        """Return the same for the fleet's watch, from a known onset or the likeliest one."""
        # asked again and again, more often than most agents step
        basis = onset_at, *self._learner.ring.edge(row), self._learner.kernel.block[row].tobytes()
        known = self._looks.get(row)
        if known is not None and known[0] == basis:
            return known[1]
        at, values = self._learner.ring.last(row)
        normal = self._learner.normal(row)
        if onset_at is None:
            if not len(at):
                return None
            onset_at = find_onset(at, values, normal).at
        late = values[at >= onset_at]
        recent = Recent(onset_at, float(len(late)), effects_since(late, normal, self._params))
        if len(self._looks) >= _KEPT:
            self._looks.clear()
        self._looks[row] = basis, recent
        return recent

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
