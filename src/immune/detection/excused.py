"""Findings that open fleet findings excuse, until what is the agent's own has grown up.

A finding is told once, and at the onset of an outage it shows little but the outage: the retries of
a sick member need more steps. So what is excused is kept, and looked at again where the evidence on
the parts that the fleet doesn't share reaches the quarantine tier by itself.
"""

from __future__ import annotations

import msgspec
import numpy as np

from immune.columns import KIND_CODE, KINDS
from immune.detection.change import Recent
from immune.detection.findings import Finding, Source, Tier
from immune.detection.fleet_tick import Tick
from immune.detection.grouping import grown
from immune.detection.severity import SEVERE, severity

_AGAIN_S = 5.0
"""Seconds until an agent that was looked at in vain is looked at again."""


class Excused:
    """The findings kept, by agent and kind; arrays by agent code."""

    def __init__(self) -> None:
        self._kept: dict[tuple[int, int], Finding] = {}
        self._owed = np.zeros(0)
        """Nats that its own part must reach; inf for those of whom nothing is kept."""
        self._looked_at = np.zeros(0)

    def keep(self, agent: int, single: Finding) -> None:
        """Take a finding in, instead of the one before; only the statistic's quarantines grow."""
        if single.source is not Source.EVIDENCE or single.tier is not Tier.QUARANTINE:
            return
        self._owed = grown(self._owed, agent + 1, np.inf)
        self._looked_at = grown(self._looked_at, agent + 1, 0)
        self._kept[agent, KIND_CODE[single.kind]] = single
        self._owed[agent] = min(self._owed[agent], single.threshold)
        self._looked_at[agent] = single.at

    def drop(self, agent: int) -> None:
        """Forget an agent's findings."""
        for kind in range(len(KINDS)):
            self._kept.pop((agent, kind), None)
        if agent < len(self._owed):
            self._owed[agent] = np.inf

    def clear(self) -> None:
        """Forget all: nothing is open that would excuse anybody."""
        if self._kept:
            self._kept.clear()
            self._owed.fill(np.inf)

    def grown_up(self, tick: Tick) -> list[tuple[int, Finding]]:
        """Return agents and their findings as they are now, of those whose evidence on what is not
        shared reaches the tier by itself. `tick` is one `less` what is shared; of many some."""
        if not self._kept:
            return []
        size = min(len(self._owed), len(tick.known))
        # `less` has set what is shared to zero
        own = tick.parts[:size].max(axis=1)
        due = tick.known[:size] & (own >= self._owed[:size])
        due &= tick.now - self._looked_at[:size] >= _AGAIN_S
        agents = np.flatnonzero(due)
        agents = agents[np.argsort(self._looked_at[agents], kind="stable")]
        agents = agents[: tick.params.scans_max]
        self._looked_at[agents] = tick.now
        found = []
        for agent in agents.tolist():
            at = float(tick.facts.last_at[agent])
            for kind in range(len(KINDS)):
                single = self._kept.get((agent, kind))
                recent = tick.scan(agent, kind) if single is not None else None
                if single is not None and recent is not None:
                    found.append((agent, _as_of(single, recent, at)))
        return found


def _as_of(single: Finding, recent: Recent, at: float) -> Finding:
    score = severity(recent.effects)
    if single.severity < min(SEVERE, severity(single.effects)):
        score = min(score, single.severity)  # tempered: it costs too little to wake a person
    return msgspec.structs.replace(
        single, at=at, onset_at=recent.onset_at, effects=recent.effects, severity=score
    )
