"""The laws that one metric of a healthy agent may follow, a step a second.

A law makes a `Sampler` for some agents; the sampler draws slices (steps, agents), remembers where
it was, and multiplies the law by `times` when asked to fall ill. Medians differ from agent to agent
where a law has a `spread`. Laws of whom both sides are known give their log likelihood ratio too:
that is what the oracle lives on.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

import numpy as np

from immune.columns import Bool, Float32, Float64

DAY_S = 86_400

Times = float | Float64
"""How many times the normal: one number, or one for each agent (agents,)."""
Sampler = Callable[[int, Times], Float32]
"""(steps, times) -> (steps, agents)."""


class Law(Protocol):
    """One metric's law."""

    def sampler(self, agents: int, rng: np.random.Generator) -> Sampler:
        """Begin anew for so many agents."""


class Known(Law, Protocol):
    """A law whose likelihood is known, both as it is and `times` that."""

    def log_ratios(self, x: Float64, before: Float64, times: Float64) -> tuple[Float64, Float64]:
        """Return ln of the likelihood ratio of samples x (agents,): as the first that is ill, and
        as one of the later; `before` holds the samples of the step before."""


def _normal(rng: np.random.Generator, shape: tuple[int, ...]) -> Float32:
    return rng.standard_normal(shape, np.float32)


def _medians(median: Times, spread: float, agents: int, rng: np.random.Generator) -> Float32:
    return (median * np.exp(spread * rng.standard_normal(agents))).astype(np.float32)


def _scaled(samples: Float32, times: Times, usual: float | Float32) -> Float32:
    scaled: Float32 = samples * np.asarray(times * usual, np.float32)
    return scaled


@dataclass(frozen=True)
class LogNormal:
    """ln x is normal with deviation `sigma`; the median may be each agent's own."""

    sigma: float
    median: Times = 800.0
    spread: float = 0.0

    def sampler(self, agents: int, rng: np.random.Generator) -> Sampler:
        medians = _medians(self.median, self.spread, agents, rng)

        def draw(steps: int, times: Times) -> Float32:
            noise = _normal(rng, (steps, agents))
            noise *= np.float32(self.sigma)
            return _scaled(np.exp(noise, out=noise), times, medians)

        return draw

    def log_ratios(self, x: Float64, before: Float64, times: Float64) -> tuple[Float64, Float64]:
        shift = np.log(times) / self.sigma
        ratio = shift * np.log(x / self.median) / self.sigma - shift**2 / 2
        return ratio, ratio


@dataclass(frozen=True)
class AutoRegressive:
    """Log-normal, where ln x remembers its last value: AR(1) with coefficient `phi`."""

    phi: float
    sigma: float
    median: float = 800.0
    spread: float = 0.0

    def sampler(self, agents: int, rng: np.random.Generator) -> Sampler:
        medians = _medians(self.median, self.spread, agents, rng)
        state = _normal(rng, (agents,))
        fresh = np.float32(np.sqrt(1 - self.phi**2))

        def draw(steps: int, times: Times) -> Float32:
            noise = _normal(rng, (steps, agents))
            noise *= fresh
            for step in noise:
                step += np.float32(self.phi) * state
                state[:] = step
            noise *= np.float32(self.sigma)
            return _scaled(np.exp(noise, out=noise), times, medians)

        return draw

    def log_ratios(self, x: Float64, before: Float64, times: Float64) -> tuple[Float64, Float64]:
        z, z_before = (np.log(v / self.median) / self.sigma for v in (x, before))
        news = z - self.phi * z_before
        variance = 1 - self.phi**2

        def ratio(shift: Float64) -> Float64:
            told: Float64 = (shift * news - shift**2 / 2) / variance
            return told

        # the innovation of the first ill sample is shifted by all of it, the later by what is new
        whole = np.log(times) / self.sigma
        return ratio(whole), ratio(whole * (1 - self.phi))


@dataclass(frozen=True)
class LogT:
    """ln x is `scale` times Student's t: tails that no log-normal has."""

    scale: float
    freedom: float
    median: float = 800.0
    spread: float = 0.2

    def sampler(self, agents: int, rng: np.random.Generator) -> Sampler:
        medians = _medians(self.median, self.spread, agents, rng)

        def draw(steps: int, times: Times) -> Float32:
            noise = rng.standard_t(self.freedom, (steps, agents)).astype(np.float32)
            return _scaled(np.exp(np.clip(self.scale * noise, -20, 20)), times, medians)

        return draw


@dataclass(frozen=True)
class Gamma:
    """A sum of `shape` exponential waits: a left side longer than a log-normal's."""

    shape: float
    mean: float = 800.0

    def sampler(self, agents: int, rng: np.random.Generator) -> Sampler:
        def draw(steps: int, times: Times) -> Float32:
            waits = rng.standard_gamma(self.shape, (steps, agents), np.float32)
            return _scaled(waits, times, self.mean / self.shape)

        return draw

    def log_ratios(self, x: Float64, before: Float64, times: Float64) -> tuple[Float64, Float64]:
        ratio = x * self.shape / self.mean * (1 - 1 / times) - self.shape * np.log(times)
        return ratio, ratio


@dataclass(frozen=True)
class Bimodal:
    """Log-normal, `share` of it `less` times as much: answers from a cache."""

    share: float
    less: float
    sigma: float
    median: float = 800.0
    spread: float = 0.2

    def sampler(self, agents: int, rng: np.random.Generator) -> Sampler:
        inner = LogNormal(self.sigma, self.median, self.spread).sampler(agents, rng)

        def draw(steps: int, times: Times) -> Float32:
            samples = inner(steps, times)
            samples[rng.random((steps, agents), np.float32) < self.share] /= self.less
            return samples

        return draw


@dataclass(frozen=True)
class Cyclic:
    """A law under a daily cycle whose peak is `ratio` times its trough, or a weekly one too.

    Every agent starts at an hour of its own. In a week of work, two of seven days stay at the
    trough.
    """

    inner: Law
    ratio: float
    weekly: bool = False
    pace_s: float = 1.0
    """Seconds from step to step."""

    def sampler(self, agents: int, rng: np.random.Generator) -> Sampler:
        inner = self.inner.sampler(agents, rng)
        start = rng.uniform(0, 7 * DAY_S, agents)
        height = np.log(self.ratio) / 2
        passed = 0

        def draw(steps: int, times: Times) -> Float32:
            nonlocal passed
            at = start + self.pace_s * np.arange(passed, passed + steps)[:, None]
            passed += steps
            level = -np.cos(2 * np.pi * at / DAY_S)  # the trough is at midnight
            if self.weekly:
                level[at % (7 * DAY_S) >= 5 * DAY_S] = -1.0
            cycled: Float32 = inner(steps, times) * np.exp(height * level).astype(np.float32)
            return cycled

        return draw


@dataclass(frozen=True)
class Bursting:
    """A law that is `times` as much for `length` steps, from a step in `rarely` on average."""

    inner: Law
    length: int
    times: float
    rarely: float

    def sampler(self, agents: int, rng: np.random.Generator) -> Sampler:
        inner = self.inner.sampler(agents, rng)
        running = _runs(agents, rng, 1 / self.rarely, self.length)

        def draw(steps: int, times: Times) -> Float32:
            return np.where(running(steps), np.float32(self.times), np.float32(1)) * inner(
                steps, times
            )

        return draw


@dataclass(frozen=True)
class Poisson:
    """Counts with this mean."""

    mean: float

    def sampler(self, agents: int, rng: np.random.Generator) -> Sampler:
        def draw(steps: int, times: Times) -> Float32:
            return rng.poisson(self.mean * times, (steps, agents)).astype(np.float32)

        return draw

    def log_ratios(self, x: Float64, before: Float64, times: Float64) -> tuple[Float64, Float64]:
        ratio = x * np.log(times) - self.mean * (times - 1)
        return ratio, ratio


@dataclass(frozen=True)
class Rare:
    """Nothing in most steps; in a share `rate` of them one, and `more` others on average."""

    rate: float
    more: float = 0.0

    def sampler(self, agents: int, rng: np.random.Generator) -> Sampler:
        def draw(steps: int, times: Times) -> Float32:
            rate = np.asarray(self.rate * times, np.float32)
            hits = rng.random((steps, agents), np.float32) < rate
            counts = hits.astype(np.float32)
            if self.more:
                counts[hits] += rng.poisson(self.more, int(hits.sum()))
            return counts

        return draw

    def log_ratios(self, x: Float64, before: Float64, times: Float64) -> tuple[Float64, Float64]:
        now = self.rate * times
        ratio = np.where(x > 0, np.log(times), np.log((1 - now) / (1 - self.rate)))
        return ratio, ratio


@dataclass(frozen=True)
class RareRuns:
    """One in each of `length` steps on end, from a share `rate` of the steps on; else nothing."""

    rate: float
    length: int

    def sampler(self, agents: int, rng: np.random.Generator) -> Sampler:
        running = _runs(agents, rng, self.rate, self.length)

        def draw(steps: int, times: Times) -> Float32:
            return running(steps).astype(np.float32)

        return draw


@dataclass(frozen=True)
class Exponential:
    """The seconds between the arrivals of a Poisson process."""

    mean: float = 1.0

    def sampler(self, agents: int, rng: np.random.Generator) -> Sampler:
        def draw(steps: int, times: Times) -> Float32:
            waits = rng.standard_exponential((steps, agents), np.float32)
            return _scaled(waits, times, self.mean)

        return draw


def _runs(agents: int, rng: np.random.Generator, rate: float, length: int) -> Callable[[int], Bool]:
    """Say which steps lie within `length` of a start; starts come at `rate` a step."""
    carried = np.zeros((length - 1, agents), np.bool_)

    def running(steps: int) -> Bool:
        nonlocal carried
        fresh = rng.random((steps, agents), np.float32) < rate
        starts = np.concatenate([carried, fresh])
        carried = starts[steps:]
        within = fresh
        for ago in range(1, length):
            within = within | starts[length - 1 - ago : length - 1 - ago + steps]
        return within

    return running
