"""`immune bench throughput`: what a sample costs, score and learn, on one core.

The rival is river's EWMean and EWVar on the same samples: the deviation of each metric from its
running mean, then both updated, one sample at a time; that is a fraction of what ours does. Each
number is the median of several rounds. Seconds are the processor's, not the wall's, but for single
samples; even so ratios hold better than absolutes on a busy machine. The kernel is timed by itself
first, then a whole `Sentinel` over a fleet: with facts, silence, drift and the ring of samples.
"""

from __future__ import annotations

import statistics
import subprocess
import sys
from collections.abc import Callable, Iterator

import numpy as np

from immune.bench.figures import Figure, Report, at_least, at_most
from immune.bench.fleet_ticks import FleetTicks
from immune.bench.options import Options
from immune.bench.rivals.river_means import RunningMeans
from immune.bench.watch import nats
from immune.bench.workloads.fleets import Together
from immune.clock import cpu_s, stopwatch_s
from immune.columns import Float32
from immune.detection.kernel import COMPILED, Kernel
from immune.detection.params import LearningParams, StatisticParams

SAMPLES = 256_000
"""Samples of one round."""
WARM_UP = 100
"""Samples of each agent before anything is measured: blocks are being learned by then."""
BYTES_MAX = 1536
ALONE_MAX_US = 250.0
"""What a vital that comes alone may take of a whole Sentinel: intake takes 4,000 a second."""


class Stand:
    """A kernel with some agents that have a past, and ticks of one sample each for them."""

    def __init__(self, agents: int, *, use_compiled: bool = COMPILED) -> None:
        self.agents = agents
        self.kernel = Kernel(StatisticParams(), LearningParams(), use_compiled=use_compiled)
        self.kernel.grow(agents)
        self._rows = np.arange(agents, dtype=np.intp)
        self._nats = np.full(agents, nats()[1], np.float32)
        source = Together(0.7).start(min(agents, 1000), np.random.default_rng(1))
        self._ticks = source(WARM_UP)
        self.round(WARM_UP)

    def _tick(self, number: int) -> Float32:
        """Return a sample for every agent; a thousand agents' serve a hundred thousand."""
        tick = self._ticks[number % len(self._ticks)]
        return np.resize(tick, (self.agents, tick.shape[1]))

    def round(self, ticks: int) -> list[float]:
        """Return the CPU seconds that each of some ticks took."""
        times = []
        for i in range(ticks):
            values = self._tick(i)
            began = cpu_s()
            self.kernel.step(self._rows, values, self._nats)
            times.append(cpu_s() - began)
        return times

    def rate(self, rounds: int) -> float:
        """Return samples a CPU second, the median of some rounds."""
        ticks = max(SAMPLES // self.agents, 3)
        rates = [self.agents * ticks / sum(self.round(ticks)) for _ in range(rounds)]
        return statistics.median(rates)

    def one_at_a_time(self, samples: int) -> list[float]:
        """Return the seconds of each of some samples that come alone."""
        times = []
        for i in range(samples):
            row = self._rows[i % self.agents : i % self.agents + 1]
            values = self._ticks[i % len(self._ticks)][row % len(self._ticks[0])]
            limit = self._nats[row]
            began = stopwatch_s()
            self.kernel.step(row, values, limit)
            times.append(stopwatch_s() - began)
        return times

    def bytes_per_agent(self) -> float:
        """Return the bytes that one place takes, in all arrays with a place for each stream."""
        capacity = len(self.kernel.block)
        arrays = [a for a in vars(self.kernel).values() if isinstance(a, np.ndarray)]
        return sum(a.nbytes for a in arrays if a.shape[:1] == (capacity,)) / capacity

    def rival_rate(self, samples: int) -> float:
        """Return river's samples a second on the same."""
        means = [RunningMeans() for _ in range(self.agents)]
        rows = [
            (i % self.agents, self._ticks[i // self.agents % len(self._ticks)][i % self.agents])
            for i in range(samples)
        ]
        steps = [(means[agent], values.tolist()) for agent, values in rows]
        began = cpu_s()
        for mean, values in steps:
            mean.step(values)
        return samples / (cpu_s() - began)


def run(options: Options) -> Report:
    """Run the parts that are wanted, one after another: they share a core with nobody of ours."""
    rounds = 5 if options.quick else 15
    parts: dict[str, Callable[[int], Iterator[Figure]]] = {
        "1000_agents": _thousand,
        "100000_agents": _hundred_thousand,
        "sentinel": _sentinel,
        "numpy": _numpy,
        "import": _import,
    }
    figures: list[Figure] = []
    for name, part in parts.items():
        if options.wants(name):
            options.progress(name)
            figures += part(rounds)
    return Report("throughput", options.quick, figures)


def _thousand(rounds: int) -> Iterator[Figure]:
    stand = Stand(1000)
    ours = stand.rate(rounds)
    rival = statistics.median(stand.rival_rate(20_000) for _ in range(max(rounds // 3, 1)))
    yield at_least("1000_agents", ours, 3e6, "samples/s", rival=rival)
    yield at_least(
        "1000_agents/times_river",
        ours / rival,
        15.0,
        "ratio",
        note="river's EWMean and EWVar of each metric, in the same run",
    )
    yield at_most("state_of_an_agent", stand.bytes_per_agent(), BYTES_MAX, "bytes")
    alone = np.array(stand.one_at_a_time(2000 * rounds)) * 1e6
    yield at_most(
        "one_sample_alone/p99",
        float(np.quantile(alone, 0.99)),
        10.0,
        "µs",
        note=f"median {np.median(alone):.1f} µs",
    )


def _hundred_thousand(rounds: int) -> Iterator[Figure]:
    stand = Stand(100_000)
    ticks = stand.round(2 * rounds)
    median = statistics.median(ticks)
    yield at_least("100000_agents", stand.agents / median, 2e6, "samples/s")
    yield at_most(
        "tick_of_100000",
        1000 * median,
        60.0,
        "ms",
        note=f"{1000 * min(ticks):.0f} to {1000 * max(ticks):.0f} ms of {len(ticks)}",
    )


def _sentinel(rounds: int) -> Iterator[Figure]:
    fleet = FleetTicks(100_000)
    first = fleet.ticks(1)[0]
    fleet.ticks(rounds)
    ticks = fleet.ticks(2 * rounds)
    yield at_most(
        "sentinel/tick_of_100000",
        1000 * statistics.median(ticks),
        60.0,
        "ms",
        note=f"{1000 * min(ticks):.0f} to {1000 * max(ticks):.0f} ms of {len(ticks)}; "
        f"the first, when nobody was known, {1000 * first:.0f} ms",
    )
    alone = np.array(fleet.one_at_a_time(200 * rounds)) * 1e6
    yield at_most(
        "sentinel/one_vital_alone/p99",
        float(np.quantile(alone, 0.99)),
        ALONE_MAX_US,
        "µs",
        note=f"median {np.median(alone):.0f} µs, in a fleet of 100,000",
    )


def _numpy(rounds: int) -> Iterator[Figure]:
    ours = Stand(1000, use_compiled=False).rate(max(rounds // 3, 3))
    yield at_least("numpy/1000_agents", ours, 3e5, "samples/s", note="where nothing is compiled")


def _import(rounds: int) -> Iterator[Figure]:
    with_it, bare = (
        statistics.median(map(_cpu_of, [code] * rounds)) for code in ("import immune.detection", "")
    )
    yield at_most(
        "import/detection",
        1000 * (with_it - bare),
        250.0,
        "ms of CPU",
        note="beyond a bare interpreter's",
    )


_MEASURED = "{}\nimport time\nprint(time.process_time())"


def _cpu_of(code: str) -> float:
    done = subprocess.run(  # noqa: S603  # our own interpreter and our own text
        [sys.executable, "-c", _MEASURED.format(code)], capture_output=True, text=True, check=True
    )
    return float(done.stdout)
