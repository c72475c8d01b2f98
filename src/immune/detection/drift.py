"""The boiling frog: a change so slow that the baseline learns it on its way.

Per stream and metric two means of log(1+x) are kept: a recent one (about ten minutes) and an
anchor, the plain mean of the first hour and then one of six hours. A day that swings between
1/1.5 and 1.5 times its middle parts them by no more than .39, a weekend before it included; half
a per cent a minute parts them by .53 after 139 minutes, when it has doubled (both by simulation:
tests/detection_rules/test_drift.py). Between the two lies the bar.

Time is the agent's own: a pause ages nothing. A stream is looked at once a minute, through its last
samples. Drift suspects and never fences.
"""

from __future__ import annotations

import numpy as np

from immune.columns import Bool, Float32, Float64
from immune.detection.findings import Facts, MetricEffect, Source, Tier
from immune.detection.grouping import Indices, grown
from immune.detection.hits import Hit
from immune.detection.onset import natural
from immune.detection.ring import Ring
from immune.detection.rule_params import DriftParams
from immune.detection.state import AT
from immune.detection.streams import Streams
from immune.vitals import Metric

LANES = (Metric.LATENCY_MS, Metric.INPUT_TOKENS, Metric.OUTPUT_TOKENS, Metric.COST_USD)
"""The positive metrics whose level is the agent's own affair; pace is that of its callers."""
WHY_NOT = "a slow drift never fences"
SAVED = 4 * len(LANES) + 3
"""Numbers that a stream's part comes to when it is saved."""

_AT_ONCE = 4096
"""Streams whose rings are read at once: what bounds the memory of a look."""
_PARTS = 12
"""Of the streams, looked at one after the other within a minute, so that no tick waits for all."""
_STEP_MAX = 1.0
"""Log units from the anchor beyond which a look's mean says no more: a burst is no drift."""
_APART = 8.0
"""Times that the anchor is slower than the recent mean, at least: a slow agent's takes hours."""
_YOUNG = 6.0
"""Times the recent mean's samples that the anchor is the plain mean of: an hour of them at a step
a second. A slow agent's covers so much of a day that it is no hour's habit."""


class Drift:
    """The anchors of all streams; arrays (n, 4) by stream and lane."""

    def __init__(self, params: DriftParams) -> None:
        self._params = params
        shape = (0, len(LANES))
        self._recent: Float32 = np.zeros(shape, np.float32)
        self._anchor: Float32 = np.zeros(shape, np.float32)
        self._count: Float32 = np.zeros(shape, np.float32)
        """Samples behind both."""
        self._age_s: Float32 = np.zeros(shape, np.float32)
        """Seconds in which these came, pauses left out."""
        self._seen_at: Float64 = np.full(0, -np.inf)
        """End of the last step that was looked at."""
        self._half_at: Float64 = np.full(0, np.nan)
        """Since when a metric is half-way to the bar; NaN where none is."""
        self._told: Bool = np.zeros(0, np.bool_)
        self._look_at = -np.inf
        self._turn = 0
        """The part of the streams that is looked at next."""

    def grow(self, capacity: int) -> None:
        """Make room for `capacity` streams."""
        for label in ("_recent", "_anchor", "_count", "_age_s"):
            setattr(self, label, grown(getattr(self, label), capacity, 0))
        self._seen_at = grown(self._seen_at, capacity, -np.inf)
        self._half_at = grown(self._half_at, capacity, np.nan)
        self._told = grown(self._told, capacity, 0)

    def reset(self, rows: Indices) -> None:
        """Forget the anchors: what comes next is another normal."""
        self._recent[rows] = self._anchor[rows] = 0
        self._count[rows] = self._age_s[rows] = 0
        self._half_at[rows] = np.nan
        self._told[rows] = False

    def accept(self, rows: Indices) -> None:
        """Take what was told of these streams as their normal: the anchor comes after."""
        told = rows[self._told[rows]]
        self._anchor[told] = self._recent[told]
        self.forget(told)

    def forget(self, rows: Indices) -> None:
        """What was told of these streams may be told again."""
        self._told[rows] = False
        self._half_at[rows] = np.nan

    def stands(self, row: int) -> bool:
        """Whether a drift was told of this stream and has not fallen back."""
        return bool(self._told[row])

    # ---- the look

    def look(
        self, now: float, streams: Streams, ring: Ring, block: Float32, frozen: Bool
    ) -> list[Hit]:
        """Follow the samples since the last look, if it is time; return the drifts that are new.

        block: (n, F, 8), the kernel's. A frozen stream waits, but one whose drift was told is
        followed, with its anchor held: it may fall back.
        """
        part_s = self._params.every_s / _PARTS
        due = int(min((now - self._look_at) / part_s, _PARTS))
        if not due:
            return []
        # the rest of a part is not lost, or a minute's looks would come ever later
        self._look_at = now if due == _PARTS else self._look_at + due * part_s
        rows = streams.used()
        rows = rows[(rows - self._turn) % _PARTS < due]
        self._turn = (self._turn + due) % _PARTS
        rows = rows[~frozen[rows] | self._told[rows]]
        hits: list[Hit] = []
        for first in range(0, len(rows), _AT_ONCE):
            part = rows[first : first + _AT_ONCE]
            means, counts, last_at = ring.means_since(part, self._seen_at[part], list(LANES))
            new = counts.any(axis=1)
            part, means, counts, last_at = part[new], means[new], counts[new], last_at[new]
            error = self._follow(part, means, counts, last_at)
            hits += self._judge(part, error, streams, block)
        return hits

    def _follow(self, rows: Indices, means: Float32, counts: Float32, last_at: Float64) -> Float64:
        """Move the means of these streams; return what the noise of their difference is in
        units of the metric's variance, (m, 4)."""
        p = self._params
        known = counts > 0
        began = np.isfinite(self._seen_at[rows])
        step_s = np.where(began, np.minimum(last_at - self._seen_at[rows], p.pause_s), 0)[:, None]
        self._seen_at[rows] = last_at
        self._count[rows] += counts
        self._age_s[rows] += np.where(known, step_s, 0)
        count = np.maximum(self._count[rows], 1).astype(np.float64)
        share = np.maximum(counts, 1) / count
        young = self._young(rows)
        pace = np.minimum(step_s / p.recent_s, counts / p.recent_samples)
        recent_share = np.where(known, np.maximum(-np.expm1(-pace), share), 0)
        slow = np.minimum(-np.expm1(-step_s / p.anchor_s), recent_share / _APART)
        anchor_share = np.where(young & known, np.maximum(slow, share), slow)
        anchor_share[self._told[rows]] = 0

        anchor, recent = self._anchor[rows], self._recent[rows]
        fresh = self._count[rows] == counts
        means = np.where(known, means, 0)
        bounded = np.clip(means, anchor - _STEP_MAX, anchor + _STEP_MAX)
        means = np.where(fresh, means, bounded)
        self._anchor[rows] = anchor + anchor_share * (means - anchor)
        self._recent[rows] = recent + recent_share * (means - recent)
        # an exponential mean of share w over parts of k samples is worth k·(2 - w)/w of them
        worth = np.maximum(counts, 1) * (2 - recent_share) / np.maximum(recent_share, 1e-9)
        error: Float64 = 1 / np.minimum(worth, count) + 1 / count
        return error

    def _young(self, rows: Indices) -> Bool:
        p = self._params
        few: Bool = self._count[rows] < _YOUNG * p.recent_samples
        return few | (self._age_s[rows] < p.young_s)

    def _judge(self, rows: Indices, error: Float64, streams: Streams, block: Float32) -> list[Hit]:
        """Return the streams that have just passed the bar; note who came back."""
        apart = np.where(self._young(rows), 0, self._recent[rows] - self._anchor[rows])
        least = float(np.log(self._params.times))
        half = (apart >= least / 2).any(axis=1)
        started = half & np.isnan(self._half_at[rows])
        self._half_at[rows[started]] = self._seen_at[rows[started]]
        self._half_at[rows[~half]] = np.nan
        self._told[rows[~half]] = False
        hits = []
        for i in np.flatnonzero((apart >= least).any(axis=1) & ~self._told[rows]).tolist():
            row = int(rows[i])
            state = block[row][:, LANES].astype(np.float64)
            # what hangs together tells less
            phi = np.clip(state[AT["phi"]], 0, 0.9)
            noise = np.sqrt(state[AT["var"]] * error[i] * (1 + phi) / (1 - phi))
            passed: Bool = apart[i] >= least + self._params.errors * noise
            if not passed.any():
                continue
            self._told[row] = True
            at, half_at = float(self._seen_at[row]), float(self._half_at[row])
            hits.append(
                Hit(
                    agent=int(streams.agent[row]),
                    kind=int(streams.kind[row]),
                    at=at,
                    tier=Tier.SUSPICION,
                    source=Source.DRIFT,
                    facts=Facts(),
                    can_fence=False,
                    why_not=WHY_NOT,
                    # as long again as it took from half of the bar on
                    onset_at=at - 2 * (at - half_at),
                    effects=self._effects(row, passed, noise),
                )
            )
        return hits

    def _effects(self, row: int, passed: Bool, noise: Float64) -> tuple[MetricEffect, ...]:
        effects = []
        for lane, metric in enumerate(LANES):
            if not self._count[row, lane]:
                continue
            anchor, recent = float(self._anchor[row, lane]), float(self._recent[row, lane])
            nats = ((recent - anchor) / max(float(noise[lane]), 1e-3)) ** 2 / 2
            effects.append(
                MetricEffect(
                    metric=metric.label,
                    ratio=float(np.exp(recent - anchor)),
                    normal=natural(metric, anchor),
                    now=natural(metric, recent),
                    evidence=nats if passed[lane] else 0.0,
                    affected=bool(passed[lane]),
                )
            )
        return tuple(effects)

    # ---- saving

    def save(self, row: int) -> Float64:
        """Return a stream's part as (19,) numbers."""
        means = (self._recent[row], self._anchor[row], self._count[row], self._age_s[row])
        rest = (self._seen_at[row], self._half_at[row], float(self._told[row]))
        return np.concatenate([*means, rest]).astype(np.float64)

    def load(self, row: int, saved: Float64) -> None:
        """Take up what `save` returned."""
        means = saved[:-3].reshape(4, len(LANES))
        self._recent[row], self._anchor[row], self._count[row], self._age_s[row] = means
        self._seen_at[row], self._half_at[row] = saved[-3:-1]
        self._told[row] = saved[-1] > 0
