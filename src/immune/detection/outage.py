"""Finds the outage: the same change on many agents of one group at once."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from immune.columns import Bool
from immune.detection.alike import (
    Alike,
    Group,
    alike_among,
    best_group,
    crowded,
    sample,
    spread_s,
)
from immune.detection.change import PARTS, RARE, SIZED, Change, Typical, beyond, shares
from immune.detection.fleet_tick import Tick
from immune.detection.grouping import Indices
from immune.words import percent


@dataclass(frozen=True, slots=True)
class Outage:
    """What many agents of a group suffer."""

    group: Group
    share: float
    members: Indices
    alike: Alike

    @property
    def metrics(self) -> tuple[str, ...]:
        """The metrics that left normal in at least half of the members looked at."""
        counts: dict[str, int] = {}
        for change in self.alike.changes:
            for metric in _metrics(change):
                counts[metric] = counts.get(metric, 0) + 1
        most = len(self.alike.changes)
        return tuple(sorted(metric for metric, count in counts.items() if 2 * count >= most))

    @property
    def text(self) -> str:
        """It in plain words."""
        typical = self.alike.typical
        log_times = float(typical.size[SIZED][typical.affected[SIZED]].max(initial=0))
        much = f"about {np.exp(log_times):.1f} times worse" if log_times > 0.05 else "more often"
        return (
            f"{' and '.join(self.metrics)} {much} on {len(self.members)} agents at once, "
            f"{percent(self.share)} of {self.group}"
        )


def find_outage(tick: Tick, free: Bool, closed_to: set[tuple[str, str]]) -> Outage | None:
    """Return the outage that explains most of the `free` agents (by code), if there is one.

    `closed_to` are dimension and name of groups that have an open one already.
    """
    p = tick.params
    changed = free & (tick.evidence >= p.nats_min)
    hopeful = free & (changed | (tick.parts >= p.lagging_nats).any(axis=1))
    seen: dict[bytes, Alike | None] = {}
    best: tuple[int, Group, float, Bool, Alike] | None = None
    for group in crowded(tick.groups, changed, p):
        inside = group.agents[hopeful[group.agents]]
        # tools of one type have the same agents: look once
        key = inside.tobytes() + len(group.agents).to_bytes(8, "little")
        if key not in seen:
            if len(seen) == p.looks_max:
                break
            seen[key] = _alike_in(tick, inside, len(group.agents))
        alike = seen[key]
        if alike is None:
            continue
        marked = _marked(tick, alike, np.flatnonzero(changed))
        choice = best_group(tick.groups, marked, free, p)
        if choice is None or (choice[0].dimension, choice[0].name) in closed_to:
            continue
        if best is None or int(marked.sum()) > best[0]:
            best = (int(marked.sum()), *choice, marked, alike)
    if best is None:
        return None
    _, group, share, marked, alike = best
    return Outage(group, share, group.agents[marked[group.agents]], alike)


def _alike_in(tick: Tick, inside: Indices, size: int) -> Alike | None:
    looked_at = sample(inside, tick.params.scans_max)
    slack_s = spread_s(tick.facts.interval_s[looked_at])
    # a sample stands for the whole, and so for as much of the group
    size = round(size * len(looked_at) / max(len(inside), 1))
    enough = tick.evidence[looked_at] >= tick.params.nats_min
    return alike_among(
        tick.scanned(looked_at[enough].tolist()),
        lambda: tick.scanned(looked_at[~enough].tolist()),
        tick.lag,
        size,
        slack_s,
        tick.params,
    )


def _marked(tick: Tick, alike: Alike, changed: Indices) -> Bool:
    """Return by agent code who has this change: by a close look, or in the large by levels."""
    p = tick.params

    def has_it(agent: int) -> bool:
        change = tick.change(agent)
        if change is None or not shares(change, alike.typical, p, tick.lag(agent)):
            return False
        return not beyond(change, alike.typical, p)

    marked = np.zeros(len(tick.known), np.bool_)
    if len(changed) <= 2 * p.scans_max:
        marked[[agent for agent in changed.tolist() if has_it(agent)]] = True
        marked[list(alike.agents)] = True
        return marked
    marked[changed[showing(tick, changed, alike.typical)]] = True
    # a group of which more were looked at must not seem fuller: looks only take marks away
    marked[[agent for agent in tick.changes if marked[agent] and not has_it(agent)]] = False
    return marked


def showing(tick: Tick, agents: Indices, typical: Typical) -> Bool:
    """Return which of these agents show a change by their levels alone.

    Failures are asked for only where nothing else is affected: they take longer to show.
    """
    sized = typical.affected.copy()
    sized[list(RARE)] = False
    nats = tick.parts[agents][:, sized if sized.any() else typical.affected]
    shown: Bool = np.all(nats >= tick.params.lagging_nats, axis=1)
    return shown


def _metrics(change: Change) -> frozenset[str]:
    failing = {PARTS[part] for part in RARE if change.affected[part]}
    return change.metrics | failing
