"""How often healthy agents are accused: the evidence over long exposures, and nothing else.

An alarm is evidence that crosses its tier's threshold, from the fifteenth own sample on. After one
at the quarantine tier the evidence of that stream is set to zero at the end of its slice, and
counting goes on; one at the suspicion tier ends as an episode of the product's does, when the
evidence has fallen to a share of the threshold.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from immune.bench.confidence import rate_bound, rate_interval
from immune.bench.figures import Figure, at_most
from immune.bench.watch import FLEET, SLICE, Watch, nats
from immune.bench.workloads.fleets import Workload
from immune.columns import Bool, Float32, Rows
from immune.detection.params import EpisodeParams, LearningParams

STEPS_PER_HOUR = 3600
READY = LearningParams().samples_ready


@dataclass
class Alarms:
    """What was counted on some healthy agents."""

    steps: int = 0
    """Agent-steps in which an alarm could have been raised."""
    suspicions: int = 0
    quarantines: int = 0
    highest: float = 0.0
    """Nats of the highest evidence."""

    @property
    def agent_hours(self) -> float:
        return self.steps / STEPS_PER_HOUR

    def figures(self, name: str) -> list[Figure]:
        """Return both tiers beside their thresholds, with what the exposure can prove."""
        days = self.agent_hours / 24
        low, high = rate_interval(self.suspicions, days)
        bound = 1000 * rate_bound(self.quarantines, days)
        return [
            at_most(
                f"false_quarantines/{name}",
                self.quarantines,
                0,
                "in all",
                note=f"in {self.agent_hours:,.0f} agent-hours: at most {bound:.3g} in 1,000 "
                f"agent-days (95 %); highest evidence {self.highest:.1f} nats",
            ),
            at_most(
                f"false_suspicions/{name}",
                self.suspicions / days,
                1.0,
                "per agent-day",
                note=f"{self.suspicions} in {days:,.1f} agent-days, 95 % {low:.2g} to {high:.2g}",
            ),
        ]


class Tally:
    """Counts alarms slice by slice, for agents that stay the same."""

    def __init__(self, agents: int, alarms: Alarms) -> None:
        self._alarms = alarms
        self._suspected: Bool = np.zeros(agents, np.bool_)
        self._suspicion, self._quarantine = nats()
        self._over = EpisodeParams().subsided_share * self._suspicion

    def count(self, evidence: Float32) -> Rows:
        """Count a slice (steps, agents); return the agents whose evidence is to be set to zero."""
        alarms = self._alarms
        alarms.steps += evidence.size
        highest = evidence.max(axis=0, initial=0)
        alarms.highest = max(alarms.highest, float(highest.max(initial=0)))
        for agent in np.flatnonzero((highest >= self._suspicion) | self._suspected).tolist():
            self._follow(agent, evidence[:, agent])
        accused: Rows = np.flatnonzero(highest >= self._quarantine)
        alarms.quarantines += len(accused)
        self._suspected[accused] = False
        return accused

    def _follow(self, agent: int, evidence: Float32) -> None:
        suspected = bool(self._suspected[agent])
        for now in evidence.tolist():
            if suspected:
                suspected = now >= self._over
            elif now >= self._suspicion:
                suspected = True
                self._alarms.suspicions += 1
        self._suspected[agent] = suspected


def watch_healthy(
    workload: Workload, agents: int, steps: int, rng: np.random.Generator, fleet: int = FLEET
) -> Alarms:
    """Watch healthy agents from their first sample on; return what they were accused of."""
    watch, source, alarms = Watch(agents, fleet), workload.start(agents, rng), Alarms()
    tally = Tally(agents, alarms)
    watch.step(source(READY - 1))
    left = steps
    while left > 0:
        evidence = watch.step(source(min(SLICE, left)))
        left -= len(evidence)
        accused = tally.count(evidence)
        if len(accused):
            watch.calm(accused)
    return alarms
