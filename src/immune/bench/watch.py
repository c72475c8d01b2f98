"""The learner under test: some agents' samples in, the evidence after each out.

Drives the product's own `BaselineLearner` and its kernel, past the Sentinel: what a finding is
worth to a person is another bench's question, here it is the statistic's. Samples come in slices
(steps, agents, 8). While agents are young the learner takes eight steps at a time, so that peers'
priors are kept up as they are in a running system; from then on little of them changes any more,
and the kernel takes whole slices.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from immune.columns import (
    KIND_CODE,
    CallColumns,
    Float32,
    Float64,
    Int32,
    Names,
    Rows,
    VitalColumns,
)
from immune.detection import BaselineLearner, DetectionParams
from immune.detection.params import Budgets
from immune.detection.thresholds import DAY_S, thresholds
from immune.vitals import N_METRICS, Kind

FLEET = 15
"""Agents of one type, the design's demo fleet."""
POPULATION = 10_000
"""Agents in all: the thresholds are those of the default budgets for so many, and 72,000
agent-hours are three days of theirs."""
SLICE = 64
"""Steps handed to the kernel at once."""
_REFRESH_STEPS = 512
_YOUNG_SLICE = 8
_YOUNG_STEPS = 320


def nats(interval_s: float = 1.0, agents: int = POPULATION) -> tuple[float, float]:
    """Return the thresholds of suspicion and quarantine under the default budgets, in nats."""
    steps = np.array([DAY_S / interval_s], np.float32)
    suspicion, quarantine = thresholds(Budgets(), steps, agents)
    return float(suspicion[0]), float(quarantine[0])


class Watch:
    """Some agents from their first sample on.

    Agents come in fleets of `fleet`; each fleet is a type of its own, so that peers are those of
    the same fleet.
    """

    def __init__(self, agents: int, fleet: int = FLEET) -> None:
        self.names = Names()
        self.learner = BaselineLearner(DetectionParams(), self.names)
        self._quarantine_nats = np.float32(nats()[1])
        self.steps = 0
        self.types: Rows = np.arange(agents) // fleet
        self.rows = self.admit([f"agent-{i}" for i in range(agents)], self.types)

    def admit(self, ids: Sequence[str], types: Rows) -> Rows:
        """Let these agents begin; return their streams."""
        facts, code = self.names.facts.code, self.names.agents.code
        return self.learner.admit(
            columns(
                np.array([code(agent_id) for agent_id in ids], np.int32),
                np.zeros(len(ids)),
                np.full((len(ids), N_METRICS), np.nan, np.float32),
                np.array([facts(f"type-{t}") for t in types.tolist()], np.int32),
            )
        )

    def step(self, values: Float32, agents: Rows | None = None) -> Float32:
        """Score and learn a slice (steps, agents, 8), of all agents or of these; return the
        evidence after each sample, (steps, agents)."""
        if self.steps < _YOUNG_STEPS and agents is None:
            return self._young(values)
        if self.steps // _REFRESH_STEPS < (self.steps + len(values)) // _REFRESH_STEPS:
            self.learner.refresh_priors()
        self.steps += len(values)
        return self.step_streams(values, self.rows if agents is None else self.rows[agents])

    def step_streams(self, values: Float32, rows: Rows) -> Float32:
        """Score and learn a slice of these streams, past the learner: no prior is kept up."""
        evidence = self.learner.kernel.step(*self._flat(values, rows))
        return evidence.reshape(values.shape[:2])

    def _young(self, values: Float32) -> Float32:
        parts = []
        for first in range(0, len(values), _YOUNG_SLICE):
            part = values[first : first + _YOUNG_SLICE]
            rows, flat, limits = self._flat(part, self.rows)
            at = np.repeat(self.steps + np.arange(len(part), dtype=np.float64), len(self.rows))
            evidence = self.learner.observe(rows, at, flat, limits)
            parts.append(evidence.reshape(part.shape[:2]))
            self.steps += len(part)
        return np.concatenate(parts)

    def _flat(self, values: Float32, rows: Rows) -> tuple[Rows, Float32, Float32]:
        flat = values.reshape(-1, N_METRICS)
        return np.tile(rows, len(values)), flat, np.full(len(flat), self._quarantine_nats)

    def calm(self, agents: Rows) -> None:
        """Set the evidence of these agents to zero: they were found."""
        self.learner.kernel.calm(self.rows[agents])


def columns(agent: Int32, at: Float64, values: Float32, agent_type: Int32) -> VitalColumns:
    """Return runs that tell their numbers and their agent's type, and no other facts."""
    nothing = np.zeros(len(agent), np.int32)
    return VitalColumns(
        agent=agent,
        kind=np.full(len(agent), KIND_CODE[Kind.RUN], np.uint8),
        at=at,
        received_at=at,
        values=values,
        agent_type=agent_type,
        model=nothing,
        provider=nothing,
        prompt_hash=nothing,
        error_type=nothing,
        calls=CallColumns.empty(),
    )
