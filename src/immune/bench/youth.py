"""Young agents: what their few samples and their peers' priors are worth.

A nursery is some fleets of grown-up peers, and newcomers who begin with the priors of a fleet, or
with none. The peers stand still, so that what newcomers are lent is what twenty peers know and
nothing else. Newcomers fall ill, or are retired and begin anew, as long as anybody likes.
"""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np

from immune.bench.alarms import READY, STEPS_PER_HOUR, Alarms, Tally
from immune.bench.confidence import rate_bound, share_interval
from immune.bench.delays import Change, Delays, Promise, compared, delays
from immune.bench.figures import Figure, at_least, at_most
from immune.bench.watch import Watch
from immune.bench.workloads.fleets import Alone, Workload
from immune.bench.workloads.laws import LogNormal
from immune.columns import Float32, Rows
from immune.vitals import Metric

PEERS = 20
PEERS_AGE = 900
"""Samples: more than a baseline remembers."""
LIFETIME = 120
SIGMA, SPREAD = 0.6, 0.2
AGES = (5, 15, 30, 60, 120)
SOON = 60
"""Samples within which a young agent that is five times as slow should be found."""

_LATENCY = Alone(Metric.LATENCY_MS, LogNormal(SIGMA, spread=SPREAD))


class Nursery:
    """Newcomers by turns, each with `PEERS` grown-ups of its type, or alone."""

    def __init__(
        self, newcomers: int, workload: Workload, rng: np.random.Generator, *, alone: bool = False
    ) -> None:
        fleets = 1 if alone else max(newcomers // PEERS, 1)
        self._watch = Watch(0 if alone else fleets * PEERS, PEERS)
        self._ids = [f"young-{i}" for i in range(newcomers)]
        self._types = np.arange(newcomers) % fleets
        self.rows: Rows = np.zeros(0, np.intp)
        if not alone:
            source = workload.start(fleets * PEERS, rng)
            for _ in range(0, PEERS_AGE, 60):
                self._watch.step(source(60))
        self.renew()
        self._watch.learner.refresh_priors()

    def renew(self) -> None:
        """Retire the newcomers; others begin in their place."""
        if len(self.rows):
            for agent_id in self._ids:
                self._watch.learner.retire(agent_id)
        self.rows = self._watch.admit(self._ids, self._types)

    def step(self, values: Float32, agents: Rows | None = None) -> Float32:
        """Score and learn a slice of the newcomers' samples."""
        rows = self.rows if agents is None else self.rows[agents]
        return self._watch.step_streams(values, rows)

    def calm(self, agents: Rows) -> None:
        """Set the evidence of these newcomers to zero."""
        self._watch.learner.kernel.calm(self.rows[agents])


def watch_newcomers(
    workload: Workload, newcomers: int, hours: float, rng: np.random.Generator, *, alone: bool
) -> Alarms:
    """Retire healthy newcomers at 120 samples, again and again; return what they were accused of.

    Counted from the fifteenth own sample on.
    """
    nursery, alarms = Nursery(newcomers, workload, rng, alone=alone), Alarms()
    while alarms.steps < hours * STEPS_PER_HOUR:
        source, tally = workload.start(newcomers, rng), Tally(newcomers, alarms)
        nursery.step(source(READY - 1))
        for _ in range(READY - 1, LIFETIME, 53):
            accused = tally.count(nursery.step(source(53)))
            nursery.calm(accused)
        nursery.renew()
    return alarms


def _trial(own: int, shares: dict[float, int], horizon: int, rng: np.random.Generator) -> Delays:
    """Let newcomers with peers change after `own` samples, so many by each factor."""
    times = np.repeat(list(shares), list(shares.values()))
    nursery = Nursery(len(times), _LATENCY, rng)
    medians = 800.0 * np.exp(SPREAD * rng.standard_normal(len(times)))
    law = LogNormal(SIGMA, medians)
    return delays(Change("", Metric.LATENCY_MS, law, (), horizon), times, rng, own, nursery)


def young_delay_figures(each: int, seed: int) -> Iterable[Figure]:
    """Delay after 120 own samples, against the oracle."""
    found = _trial(LIFETIME, {2.0: each, 5.0: each}, 1800, np.random.default_rng(seed))
    for k, (times, promise) in enumerate(((2.0, Promise(2.5, 5)), (5.0, Promise(2.0, 7)))):
        mine = slice(k * each, (k + 1) * each)
        yield from compared(
            f"young/120_samples_20_peers/x{times:g}",
            Delays(found.ours[mine], found.oracle[mine]),
            promise,
            least_found=0.8,
            within="30 min",
        )


def young_age_figures(each: int, seed: int) -> Iterable[Figure]:
    """What is found of ×5 at each age, and whom it accuses who is well."""
    for own in AGES:
        found = _trial(own, {5.0: each, 1.0: each}, SOON, np.random.default_rng(seed + own))
        hits = int(np.isfinite(found.ours[:each]).sum())
        low, high = share_interval(hits, each)
        name = f"young/{own}_samples_20_peers"
        yield at_least(
            f"{name}/x5/found_soon",
            hits / each,
            0.0,
            f"share within {SOON} samples",
            note=f"told, not promised; 95 % {low:.3f} to {high:.3f}",
        )
        accused = int(np.isfinite(found.ours[each:]).sum())
        yield at_most(
            f"{name}/well/quarantines",
            accused,
            0,
            "in all",
            note=f"of {each} newcomers: at most {100 * rate_bound(accused, each):.2g} % (95 %)",
        )
