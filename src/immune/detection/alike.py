"""Which group explains that many agents changed at once.

Among agents that changed, the largest set with the same change is sought; then the group (provider,
model, tool, agent type, or all) whose members it fills most beyond the rest of the fleet, by the
log-likelihood ratio of the scan statistic: n·KL(share inside ‖ share outside). Healthy members and
changed outsiders both count against a group, so the most specific explanation wins. Source:
Kulldorff, "A spatial scan statistic", 1997.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from immune.columns import Bool, Float64
from immune.detection.change import (
    RARE,
    SIZED,
    Change,
    Typical,
    beyond,
    matters,
    shares,
    typical_of,
)
from immune.detection.grouping import Indices
from immune.detection.rule_params import FleetParams
from immune.words import subject_name

CHANCE_SHARE = 0.02
"""Share of healthy agents that look changed at any moment."""


@dataclass(frozen=True, slots=True)
class Group:
    """Agents that have something in common; arrays of agent codes."""

    dimension: str
    name: str
    agents: Indices

    def __str__(self) -> str:
        return (
            self.name
            if self.dimension == "fleet"
            else subject_name(f"{self.dimension} {self.name}")
        )


@dataclass(frozen=True, slots=True)
class Alike:
    """Agents with the same change."""

    agents: tuple[int, ...]
    typical: Typical
    onset_at: float
    changes: tuple[Change, ...]


def alike_among(
    changed: Mapping[int, Change],
    laggards: Callable[[], Mapping[int, Change]],
    lag: Callable[[int], Float64 | None],
    size: int,
    slack_s: float,
    params: FleetParams,
) -> Alike | None:
    """Return the largest set of agents with the same change at about the same time.

    `changed` are the changes of those of a group of `size` agents whose evidence is enough by
    itself; `laggards` gives the others', asked for only where enough of the changed are alike, and
    `lag` the evidence of one of these by part; `slack_s` is by how much onsets may be off.
    """
    best: Alike | None = None
    # of equals the fuller picture: errors show later than latency
    for pattern in sorted({tuple(c.affected.tolist()) for c in changed.values()})[::-1]:
        affected = np.array(pattern)
        if not affected.any():
            continue
        core = [c for c in changed.values() if (c.affected == affected)[SIZED].all()]
        typical = typical_of(core, affected)
        strong = _at_once(
            {a: c for a, c in changed.items() if shares(c, typical, params, None)},
            slack_s,
            params.within_s,
        )
        # each of them brings in one laggard at the most
        if len(strong) < max(params.changed_min, params.agents_min / 2):
            continue
        onsets = [change.onset_at for change in strong.values()]
        early, late = min(onsets) - slack_s, max(onsets) + slack_s
        sharing = strong | {
            agent: change
            for agent, change in laggards().items()
            if early <= change.onset_at <= late and shares(change, typical, params, lag(agent))
        }
        exact = {a: c for a, c in sharing.items() if not beyond(c, typical, params)}
        # once the group is clear without it, who has this change and one of its own counts too
        clear = len(exact) >= max(params.agents_min - 1, params.fleet_share_min * size)
        found = _if_enough(sharing if clear else exact, strong, typical, params)
        if found is not None and (best is None or len(found.agents) > len(best.agents)):
            best = found
    return best


def _if_enough(
    sharing: Mapping[int, Change],
    strong: Mapping[int, Change],
    typical: Typical,
    params: FleetParams,
) -> Alike | None:
    by_itself = len(sharing.keys() & strong.keys())
    if len(sharing) < params.agents_min or by_itself < max(params.changed_min, len(sharing) / 2):
        return None
    members = tuple(sharing.values())
    # a failure that only some show is no part of what they share: the typical one shows it not
    for part in RARE:
        showing = sum(bool(c.affected[part]) for c in members)
        if typical.affected[part] and 2 * showing < len(members):
            return None
    if float(np.median([c.steps for c in members])) < params.steps_min:
        return None
    if not matters(typical, members, params):
        return None
    onset_at = float(np.median([c.onset_at for c in members]))
    return Alike(tuple(sharing), typical, onset_at, members)


def _at_once(changes: Mapping[int, Change], slack_s: float, within_s: float) -> dict[int, Change]:
    """Return the most of these changes whose onsets lie within one span."""
    order = sorted(changes, key=lambda agent: changes[agent].onset_at)
    if not order:
        return {}
    at = np.array([changes[agent].onset_at for agent in order])
    end = np.searchsorted(at, at + within_s + slack_s, "right")
    first = int((end - np.arange(len(at))).argmax())
    return {agent: changes[agent] for agent in order[first : int(end[first])]}


def best_group(
    groups: Sequence[Group], alike: Bool, known: Bool, params: FleetParams
) -> tuple[Group, float] | None:
    """Return the group that explains the agents marked `alike` best, and its share.

    `alike` and `known` are by agent code; only known agents count. Of equals the first is taken.
    """
    alike = alike & known
    total, marked = int(known.sum()), int(alike.sum())
    best: tuple[float, Group, float] | None = None
    for group in groups:
        agents = group.agents[known[group.agents]]
        n, k = len(agents), int(alike[agents].sum())
        least = params.fleet_share_min if group.dimension == "fleet" else params.share_min
        if k < params.agents_min or k < least * n:
            continue
        outside = (marked - k) / (total - n) if total > n else 0.0
        if k / n < params.outside_factor * outside:
            continue
        score = _score(k, n, marked, total)
        if best is None or score > best[0] + 1e-9:
            best = (score, group, k / n)
    return None if best is None else (best[1], best[2])


def crowded(groups: Sequence[Group], changed: Bool, params: FleetParams) -> list[Group]:
    """Return the groups worth a close look, the most promising first; `changed` is by code."""
    marked, scored = int(changed.sum()), []
    for place, group in enumerate(groups):
        n, k = len(group.agents), int(changed[group.agents].sum())
        if k >= max(params.changed_min, 0.5 * params.share_min * n):
            scored.append((-_score(k, n, marked, len(changed)), place))
    return [groups[place] for _, place in sorted(scored)]


def _score(k: int, n: int, marked: int, total: int) -> float:
    """Return the scan statistic of k marked among n, with `marked` of `total` in all."""
    outside = (marked - k) / (total - n) if total > n else 0.0
    return n * _divergence(k / n, max(outside, CHANCE_SHARE))


def _divergence(share: float, usual: float) -> float:
    """Return KL(share ‖ usual) of two coins, 0 where the share is no higher."""
    if share <= usual:
        return 0.0
    nats = share * math.log(share / usual)
    if share < 1:
        nats += (1 - share) * math.log((1 - share) / (1 - usual))
    return nats


def sample(agents: Indices, most: int) -> Indices:
    """Return at most `most` of the agents, evenly spaced."""
    if len(agents) <= most:
        return agents
    return agents[np.linspace(0, len(agents) - 1, most).astype(np.intp)]


def spread_s(interval_s: Float64) -> float:
    """Return by how many seconds onsets may be off: two typical steps."""
    return 2 * float(np.median(interval_s)) if len(interval_s) else 0.0
