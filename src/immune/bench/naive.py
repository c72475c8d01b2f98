"""The rival: the rule that the field starts with, on the same vitals.

The mean of an agent's last ten steps against the mean and deviation of its first fifteen, on any
metric, at 2.5 sigma, with a floor of 5 % of the mean; sixty steps of quiet after an alarm. It is
what the first proof of concept of this design did.
"""

from __future__ import annotations

import math
from collections import deque

from immune.columns import VitalColumns

BASELINE = 15
WINDOW = 10
SIGMAS = 2.5
QUIET = 60


class _Agent:
    __slots__ = ("baseline", "quiet", "window")

    def __init__(self) -> None:
        self.baseline: list[list[float]] = []
        self.window: deque[list[float]] = deque(maxlen=WINDOW)
        self.quiet = 0


class NaiveSentinel:
    """Counts the alarms that the rule would have raised."""

    def __init__(self) -> None:
        self._agents: dict[int, _Agent] = {}
        self.alarms: list[tuple[int, float]] = []
        """(agent code, at) of each alarm."""

    def observe(self, columns: VitalColumns) -> None:
        """Take a batch in, one step after the other."""
        for code, at, values in zip(
            columns.agent.tolist(), columns.at.tolist(), columns.values[:, :7].tolist(), strict=True
        ):
            agent = self._agents.setdefault(code, _Agent())
            agent.window.append(values)
            if len(agent.baseline) < BASELINE:
                agent.baseline.append(values)
            elif agent.quiet:
                agent.quiet -= 1
            elif self._anomalous(agent):
                self.alarms.append((code, at))
                agent.quiet = QUIET

    def _anomalous(self, agent: _Agent) -> bool:
        for metric in range(7):
            normal = [step[metric] for step in agent.baseline]
            mean = sum(normal) / BASELINE
            deviation = math.sqrt(sum((x - mean) ** 2 for x in normal) / (BASELINE - 1))
            deviation = max(deviation, 0.05 * abs(mean))
            now = sum(step[metric] for step in agent.window) / len(agent.window)
            if deviation > 0 and abs(now - mean) / deviation > SIGMAS:
                return True
        return False
