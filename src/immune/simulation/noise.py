"""Chance: what makes two steps of one law differ.

`real` is the default: log-normal latency and tokens with sigmas of their own, correlated by .5.
`calm` is what demos are usually made of: ±20 % around the middle. `clustered` is `real` with what
real fleets do worst to a detector: retries in runs, and latency that remembers (AR(1)).
"""

from __future__ import annotations

import enum
import math

import numpy as np

from immune.columns import Bool, Float64, Int64
from immune.simulation.law import MU, SIGMA

SHARED = math.sqrt(0.5)
"""Weight of the step's common factor (a hard task takes long and many tokens): correlation .5."""

CALM = 0.2
"""Half-width of calm noise, relative."""

MEMORY = 0.5
"""AR(1) coefficient of clustered latency, on the log scale."""

RUN_START = 0.002
"""Probability that a run of retries starts at a step of a clustered agent."""

RUN_LENGTH = 3
"""Steps of such a run."""

MORE_RETRIES = 0.5
"""Poisson mean of the retries beyond the first in a step that has any."""


class Noise(enum.StrEnum):
    """The kinds of chance."""

    REAL = "real"
    CALM = "calm"
    CLUSTERED = "clustered"


class Chance:
    """The draws of one fleet of n agents; remembers what clustered noise must."""

    def __init__(self, noise: Noise, n: int, rng: np.random.Generator) -> None:
        self._noise = noise
        self._rng = rng
        self._latency = rng.standard_normal(n)
        self._run = np.zeros(n, np.int64)

    def sizes(self, rows: Float64, who: Int64, turn: Int64) -> Float64:
        """(m, 3): latency_ms, input_tokens and output_tokens of m steps.

        `rows` are the steps' rows of `Law.table`; `turn` counts an agent's steps in this batch.
        """
        m = len(rows)
        if self._noise is Noise.CALM:
            factor = self._rng.uniform(1.0 - CALM, 1.0 + CALM, (m, 3))
            factor *= np.exp(rows[:, MU])
            return factor
        z = self._rng.standard_normal((m, 4))
        deviates = z[:, :1] * SHARED + z[:, 1:] * SHARED
        if self._noise is Noise.CLUSTERED:
            self._remember(deviates, who, turn)
        deviates *= rows[:, SIGMA]
        deviates += rows[:, MU]
        np.exp(deviates, out=deviates)
        return deviates

    def runs(self, who: Int64, turn: Int64) -> Bool | None:
        """(m,): steps that fall into a run of retries; None where the noise has none."""
        if self._noise is not Noise.CLUSTERED:
            return None
        starts = self._rng.random(len(who)) < RUN_START
        inside = np.zeros(len(who), np.bool_)
        for now in _turns(turn):
            agents = who[now]
            left = np.where(starts[now], RUN_LENGTH, self._run[agents])
            inside[now] = left > 0
            self._run[agents] = np.maximum(left - 1, 0)
        return inside

    def retries(self, wanted: Bool) -> Float64:
        """(m,): how many retries each step has; 0 where none is wanted."""
        count = np.zeros(len(wanted))
        with_any = int(np.count_nonzero(wanted))
        if with_any:
            count[wanted] = 1.0 + self._rng.poisson(MORE_RETRIES, with_any)
        return count

    def _remember(self, deviates: Float64, who: Int64, turn: Int64) -> None:
        """Make the latency's deviates an AR(1) of each agent, in place."""
        fresh = math.sqrt(1.0 - MEMORY**2)
        for now in _turns(turn):
            agents = who[now]
            last = MEMORY * self._latency[agents] + fresh * deviates[now, 0]
            deviates[now, 0] = self._latency[agents] = last


def _turns(turn: Int64) -> list[Int64]:
    """Rows by turn: within one, every agent occurs at most once."""
    order = np.argsort(turn, kind="stable")
    edges = np.flatnonzero(np.diff(turn[order])) + 1
    return [rows for rows in np.split(order, edges) if len(rows)]
