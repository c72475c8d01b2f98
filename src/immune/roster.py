"""The whole fleet as columns, for whoever watches all of it at once.

The same facts as `Views.agents`, without a record for each agent: a look at ten thousand agents is
a few array operations and one turn for each open case, so that it can be taken every second.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from immune.columns import Bool, Float32, Int32
from immune.detection.sentinel import Levels
from immune.incidents.incident import Incident
from immune.incidents.states import OPEN, State
from immune.orchestrator import ImmuneSystemOrchestrator
from immune.ports import AgentRow
from immune.vitals import Metric

STATES: tuple[str, ...] = ("healthy", "learning", "held", *(str(s) for s in State if s in OPEN))
"""What an agent can be; a column holds places in it."""

HOUR_S = 3600.0

SILENT_S = 60.0
"""An agent is silent after a minute, and after `SILENT_STEPS` of its own intervals."""
SILENT_STEPS = 5.0

_AT_ONCE = 4096
"""Agents whose stored steps are read at once: what bounds the memory of a look."""


class FleetColumns(NamedTuple):
    """Every agent that ever reported; arrays of one length, ascending by code."""

    code: Int32
    state: Int32
    """Places in `STATES`."""
    evidence: Float32
    """Of the most telling kind of step, as a share of what quarantines the agent."""
    severity: Float32
    """0..10, of the open case; 0 without one."""
    fenced: Bool
    enforced: Bool
    """Whether every fence around it was confirmed by an enforcement point."""
    active: Bool
    """Whether it reported lately, or cannot because it is fenced."""
    shared: Bool
    """Whether an open fleet incident names it: what it shows is explained by that."""
    cases: dict[int, Incident]
    """Open cases by the agent's code."""


class Roster:
    """Reads the running system; changes nothing."""

    def __init__(self, system: ImmuneSystemOrchestrator) -> None:
        self._system = system

    def states(self) -> tuple[Int32, Int32]:
        """Every agent that ever reported: its code, ascending, and its place in `STATES`."""
        system = self._system
        code = system.collector.known()
        size = int(code.max(initial=0)) + 1
        state = np.full(size, STATES.index("learning"), np.int32)
        ready = np.fromiter(system.sentinel.ready_agents(), np.int64)
        state[ready[ready < size]] = STATES.index("healthy")
        find = system.collector.names.agents.find
        over = dict.fromkeys(system.quarantine.fenced_agents(), "held")
        over |= {i.agent_id: i.state for i in system.casework.open_incidents() if not i.is_fleet}
        for agent_id, name in over.items():
            at = find(agent_id)
            if at is not None and at < size:
                state[at] = STATES.index(name)
        return code, state[code]

    def columns(self) -> FleetColumns:
        """The fleet as it is now."""
        system = self._system
        code, state = self.states()
        size = int(code.max(initial=0)) + 1
        evidence = np.zeros(size, np.float32)
        levels = system.sentinel.levels()
        known = levels.agent < size
        share = levels.evidence / np.maximum(levels.quarantine, np.float32(1e-3))
        np.maximum.at(evidence, levels.agent[known], share[known])

        severity = np.zeros(size, np.float32)
        fenced, enforced = np.zeros(size, np.bool_), np.zeros(size, np.bool_)
        active, shared = np.zeros(size, np.bool_), np.zeros(size, np.bool_)
        active[system.collector.active()] = True

        find = system.collector.names.agents.find
        for agent_id in system.quarantine.fenced_agents():
            at = find(agent_id)
            if at is not None and at < size:
                standing = system.quarantine.standing(agent_id)
                fenced[at] = active[at] = True
                enforced[at] = all(fence.enforced_at is not None for fence in standing)
        cases = {}
        for incident in system.casework.open_incidents():
            for member in incident.members:
                at = find(member)
                if at is not None and at < size:
                    shared[at] = True
            at = None if incident.is_fleet else find(incident.agent_id)
            if at is not None and at < size:
                cases[at] = incident
                severity[at] = incident.severity
        return FleetColumns(
            code,
            state,
            evidence[code],
            severity[code],
            fenced[code],
            enforced[code],
            active[code],
            shared[code],
            cases,
        )

    def silent_since(self, now: float) -> float | None:
        """When the last step of all was, epoch seconds, if every agent is silent; else None."""
        code = self._system.collector.known()
        if not len(code):
            return None
        last = self._system.collector.last_seen()[code]
        pace = self._system.sentinel.pace_s()
        own = np.zeros(len(code))
        paced = code < len(pace)
        own[paced] = pace[code[paced]]
        silent = now - last > np.maximum(SILENT_S, SILENT_STEPS * own)
        return float(last.max()) if bool(silent.all()) else None

    def row(self, code: int) -> AgentRow:
        """Who an agent is."""
        return self._system.collector.row(code)

    def usd_per_hour(self, codes: Int32) -> Float32:
        """What each of these agents spends, (n,), over its last stored steps; NaN where unknown."""
        spent = np.full(len(codes), np.nan, np.float32)
        for first in range(0, len(codes), _AT_ONCE):
            some = slice(first, first + _AT_ONCE)
            spent[some] = self._spent(codes[some])
        return spent

    def _spent(self, codes: Int32) -> Float32:
        learner = self._system.learner
        streams, owner = learner.streams.of_agents(codes)
        at, cost = learner.ring.metric(streams, Metric.COST_USD)
        told = ~np.isnan(cost)
        steps = told.sum(axis=1)
        first = np.where(told, at, np.inf).min(axis=1, initial=np.inf)
        last = np.where(told, at, -np.inf).max(axis=1, initial=-np.inf)
        enough = (steps > 1) & (last > first)
        rate = np.nansum(cost[enough], axis=1) / (last - first)[enough] * HOUR_S
        rate *= 1 - 1 / steps[enough]  # n steps span n - 1 intervals
        spent = np.zeros(len(codes), np.float32)
        np.add.at(spent, owner[enough], rate.astype(np.float32))
        known = np.zeros(len(codes), np.bool_)
        known[owner[enough]] = True
        return np.where(known, spent, np.float32(np.nan))


Level = tuple[float, float, float]
NO_LEVEL: Level = (0.0, 0.0, 0.0)


def worst(levels: Levels) -> dict[int, Level]:
    """Evidence and both thresholds of each agent's most telling kind of step, by its code."""
    found: dict[int, Level] = {}
    for code, *level in zip(
        levels.agent.tolist(),
        levels.evidence.tolist(),
        levels.suspicion.tolist(),
        levels.quarantine.tolist(),
        strict=True,
    ):
        if code not in found or level[0] > found[code][0]:
            found[code] = (level[0], level[1], level[2])
    return found
