"""What a young baseline borrows from its peers.

From the streams of one agent type (all types where a type has few) comes a prior: the median of
their variances, worth 30 observations; the median of their means, worth σ²/τ², where τ² is how far
apart their means are; a pooled φ; and how high their evidence goes in peace. Medians, of those
peers that are not far off themselves: a sick minority must not become the normal.
"""

from __future__ import annotations

import numpy as np

from immune.columns import Float32, Int32, Int64
from immune.detection.grouping import Indices
from immune.detection.params import LearningParams
from immune.detection.state import AT, EXCESS, IS_COUNT, IS_RARE, PEAKS, SIGN, transform
from immune.vitals import N_METRICS

_MAD = 1.4826  # median absolute deviation to standard deviation
_ODD = 3.0
"""Times the peers' usual distance from their middle, beyond which one is left out: of healthy peers
one in 400."""
_READ = ["n", "mean", "var", "sxy", "sxx"]
_ASKED = 2000
"""Peers of a group that are asked at most: a median of them is within 3 % of a spread of all's."""


class PeerPriors:
    """The priors by group; a group is an agent type, or all types, of one kind."""

    def __init__(self, params: LearningParams, blank: Float32, ar_shrink: float) -> None:
        self._params = params
        self._ar_shrink = ar_shrink
        self._blank = blank
        self._groups: dict[tuple[int, int], Float32] = {}

    def of(self, agent_type: int, kind: int) -> Float32:
        """Return the prior (5, 8) of a group: of its type, else of all types, else the blank."""
        of_all = self._groups.get((0, kind), self._blank)
        return self._groups.get((agent_type, kind), of_all)

    def refresh(self, agent_type: Int32, kind: Int32, block: Float32, rows: Indices) -> None:
        """Pool anew. The streams given, by type, kind and row of `block`, (n,) each, are those fit
        to be peers."""
        for k in np.unique(kind).tolist():
            members = np.flatnonzero(kind == k)
            whole = self._pool(block, rows[members], self._blank)
            self._groups[(0, k)] = whole
            types, counts = np.unique(agent_type[members], return_counts=True)
            for t in types[(counts >= self._params.peers_min) & (types > 0)].tolist():
                own = members[agent_type[members] == t]
                self._groups[(t, k)] = self._pool(block, rows[own], whole)

    def _pool(self, block: Float32, rows: Indices, fallback: Float32) -> Float32:
        """Pool these streams into a prior (5, 8); metrics that too few know keep the fallback."""
        p = self._params
        asked = rows[:: 1 + (len(rows) - 1) // _ASKED]
        state = block[asked[:, None], [AT[field] for field in _READ]].astype(np.float64)
        n, mean, var, sxy, sxx = np.where((state[:, :1] >= p.block_min), state, np.nan).transpose(
            1, 0, 2
        )
        enough = np.isfinite(n).sum(axis=0) >= p.peers_min
        prior = fallback.copy()
        if not enough.any():
            return prior
        n, mean, var, sxy, sxx = (x[:, enough] for x in (n, mean, var, sxy, sxx))
        rare = IS_RARE[enough]
        # a rate of 0 in 8 steps is no rate of 0: half a hit in five steps is added
        mean = np.where(rare, (n * mean + 0.5) / (n + 5), mean)
        var = np.where(rare, mean * (1 - mean), var * n / (n - 1))
        centre = np.nanmedian(mean, axis=0)
        guess = np.where(rare, centre / 2, p.prior_tau)
        usual = np.maximum(_MAD * np.nanmedian(np.abs(mean - centre), axis=0), guess)
        # beside how far healthy peers are apart, what a peer's own mean may be off by chance
        odd = np.abs(mean - centre) > _ODD * np.sqrt(usual**2 + var / n)
        n, mean, var, sxy, sxx = (np.where(odd, np.nan, x) for x in (n, mean, var, sxy, sxx))
        centre = np.nanmedian(mean, axis=0)
        spread = np.nanmedian(var, axis=0)
        apart = (_MAD * np.nanmedian(np.abs(mean - centre), axis=0)) ** 2
        apart = np.maximum(apart - np.nanmedian(var / n, axis=0), 0)
        peers = np.isfinite(n).sum(axis=0)
        tau = (peers * apart + p.prior_tau_peers * guess**2) / (peers + p.prior_tau_peers)
        most = np.where(rare, p.prior_rare, p.prior_mean_max)
        prior[0, enough] = centre
        prior[1, enough] = np.minimum(spread / np.maximum(tau, 1e-9), most)
        prior[2, enough] = spread
        prior[3, enough] = p.prior_spread
        # who changed while it was learned hangs together beyond all others
        own = sxy / np.maximum(sxx, 1)
        odd = np.abs(own - np.nanmedian(own, axis=0)) > np.maximum(_ODD / np.sqrt(sxx + 1), 0.4)
        sxy, sxx = (np.where(odd, np.nan, x) for x in (sxy, sxx))
        shrink = self._ar_shrink
        products = np.nansum(sxy, axis=0) + shrink * fallback[4, enough]
        prior[4, enough] = np.clip(products / (np.nansum(sxx, axis=0) + shrink), 0, 1)
        return prior


def shared_width(groups: Int64, pairs: Float32, peers_min: int, worth: float) -> Float32:
    """Return how much higher than 1 the peaks of each stream's group are on average, (n,).

    groups: (n,), a number for each stream's group; pairs: (n, 8), their `state.PEAK` and so on;
    worth: peaks that theory's mean of 1 is worth. 0 where a group is too small, or no higher.
    """
    _, which, members = np.unique(groups, return_inverse=True, return_counts=True)
    heights = np.bincount(which, pairs[:, EXCESS]) + worth
    wider = np.maximum(heights / (np.bincount(which, pairs[:, PEAKS]) + worth) - 1, 0)
    of_each: Float32 = np.where(members >= peers_min, wider, 0).astype(np.float32)[which]
    return of_each


_SHIFT_SAMPLES = 5
"""Samples from which on a peer's word on a shared shift counts."""


def shared_shift(values: Float32, block: Float32, peers_min: int) -> Float32:
    """Return how far these peers have moved from their own normal, (8,).

    values: (m, k, 8), each peer's samples, NaN where there is none; block: (m, F, 8), their state.
    In log(1+x), for counts of their means, for rates their difference. The median of the peers, a
    trimmed mean for rates; 0 for metrics that too few peers tell of.
    """
    y = transform(values).astype(np.float64)
    count = (~np.isnan(y)).sum(axis=1)
    mean = np.nansum(y, axis=1) / np.maximum(count, 1)
    known = (count >= _SHIFT_SAMPLES) & (block[:, AT["n"]] > 0)
    moved = (mean - block[:, AT["centre"]]) * SIGN
    typical = np.nansum(values[..., IS_COUNT], axis=1) / np.maximum(count[:, IS_COUNT], 1)
    moved[:, IS_COUNT] = np.log1p(typical) - np.log1p(block[:, AT["raw"], IS_COUNT])
    shift = np.zeros(N_METRICS, np.float32)
    for j in range(N_METRICS):
        told = np.sort(moved[known[:, j], j])
        if len(told) >= peers_min:
            cut = len(told) // 5
            shift[j] = told[cut : len(told) - cut].mean() if IS_RARE[j] else np.median(told)
    return shift
