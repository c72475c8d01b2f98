"""A fleet watched by a whole `Sentinel`: ticks of one vital an agent, and vitals that come alone.

What a tick takes beyond the kernel is here: facts, pace, silence, slow drift, the ring of samples.
The agents are healthy and step once a second; each step tells model, provider, type and prompt, and
arrives in no order. Tool calls are left out: they are not of the eight metrics.
"""

from __future__ import annotations

import numpy as np

from immune.bench.workloads.fleets import Together
from immune.clock import cpu_s, stopwatch_s
from immune.columns import CallColumns, Int32, Names, VitalColumns
from immune.detection import BaselineLearner, DetectionParams, Sentinel
from immune.detection.grouping import Indices

_START = 1_800_000_000.0
_UNLIKE = 1000
"""Agents of which each has its own values; more agents have the same again."""
_TICKS = 64
"""Ticks of values; they are used in turn."""
_PROVIDERS, _MODELS, _TYPES = 3, 6, 12


class FleetTicks:
    """A Sentinel that knows nobody yet, and the agents that it will watch."""

    def __init__(self, agents: int) -> None:
        self._names, params = Names(), DetectionParams()
        self._sentinel = Sentinel(BaselineLearner(params, self._names), params, self._names)
        self._rng = np.random.default_rng(1)
        self._agent = self._names.agents.codes([f"agent-{i}" for i in range(agents)])
        place = np.arange(agents)
        self._provider = self._codes("provider", place % _PROVIDERS)
        self._model = self._codes("model", place % _MODELS)
        self._type = self._codes("type", place % _TYPES)
        self._values = Together(0.7).start(min(agents, _UNLIKE), self._rng)(_TICKS)
        self._now = 0

    def _codes(self, fact: str, number: Indices) -> Int32:
        known = self._names.facts.codes([f"{fact}-{i}" for i in range(int(number.max()) + 1)])
        codes: Int32 = known[number]
        return codes

    def _batch(self, places: Indices) -> VitalColumns:
        """Return one vital each of these agents, in the order given, at the time that it is."""
        at = _START + self._now + np.linspace(0, 0.9, len(places))
        values = self._values[self._now % _TICKS]
        return VitalColumns(
            agent=self._agent[places],
            kind=np.zeros(len(places), np.uint8),
            at=at,
            received_at=at + 0.05,
            values=values[places % len(values)],
            agent_type=self._type[places],
            model=self._model[places],
            provider=self._provider[places],
            prompt_hash=self._type[places],
            error_type=np.zeros(len(places), np.int32),
            calls=CallColumns.empty(),
        )

    def ticks(self, number: int) -> list[float]:
        """Return the CPU seconds that each of some ticks took, one vital an agent."""
        times = []
        for _ in range(number):
            batch = self._batch(self._rng.permutation(len(self._agent)))
            began = cpu_s()
            self._sentinel.observe(batch)
            times.append(cpu_s() - began)
            self._now += 1
        return times

    def one_at_a_time(self, number: int) -> list[float]:
        """Return the seconds of each of some vitals that come alone, of one agent after another."""
        times = []
        for place in range(number):
            batch = self._batch(np.array([place % len(self._agent)]))
            began = stopwatch_s()
            self._sentinel.observe(batch)
            times.append(stopwatch_s() - began)
        return times
