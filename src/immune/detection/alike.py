"""Which group explains that many agents changed at once.

Among agents that changed, the largest set with the same change is sought; then the group (provider,
model, tool, agent type, or all) whose members it fills most beyond the rest of the fleet, by the
log-likelihood ratio of the scan statistic: n·KL(share inside ‖ share outside). Healthy members and
changed outsiders both count against a group, so the most specific explanation wins. Source:
Kulldorff, "A spatial scan statistic", 1997.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from immune.columns import Bool, Float64
from immune.detection.change import RARE, Change, Typical, beyond, matters, shares, typical_of
from immune.detection.grouping import Indices
from immune.detection.rule_params import FleetParams

CHANCE_SHARE = 0.02
"""Share of healthy agents that look changed at any moment."""


@dataclass(frozen=True, slots=True)
class Group:
    """Agents that have something in common; arrays of agent codes."""

    dimension: str
    name: str
    agents: Indices


@dataclass(frozen=True, slots=True)
class Alike:
    """Agents with the same change."""

    agents: tuple[int, ...]
    typical: Typical
    onset_at: float
    changes: tuple[Change, ...]


def alike_among(
    changes: dict[int, Change],
    lag: Callable[[int], Float64 | None],
    slack_s: float,
    params: FleetParams,
) -> Alike | None:
    """Return the largest set of agents with the same change at about the same time.

    `lag` gives an agent's evidence by part where it is not yet enough by itself, else None.
    """

    def strong(agent: int) -> bool:
        return lag(agent) is None

    best: Alike | None = None
    for pattern in {tuple(c.affected.tolist()) for agent, c in changes.items() if strong(agent)}:
        affected = np.array(pattern)
        core = [c for a, c in changes.items() if strong(a) and (c.affected == affected).all()]
        if not affected.any():
            continue
        found = _of_pattern(changes, lag, typical_of(core, affected), slack_s, params)
        if found is not None and (best is None or len(found.agents) > len(best.agents)):
            best = found
    return best


def _of_pattern(
    changes: dict[int, Change],
    lag: Callable[[int], Float64 | None],
    typical: Typical,
    slack_s: float,
    params: FleetParams,
) -> Alike | None:
    sharing = [a for a, c in changes.items() if shares(c, typical, params, lag(a))]
    exact = [a for a in sharing if not beyond(changes[a], typical, params)]
    exact = _at_once(exact, changes, params.within_s + slack_s)
    # who has this change and one of its own as well counts, once it is clear without it
    if len(exact) >= params.agents_min - 1:
        exact = _at_once(sharing, changes, params.within_s + slack_s)
    agents = [a for a in exact if changes[a].steps >= 2]
    strong = sum(lag(a) is None for a in agents)
    if len(agents) < params.agents_min or strong < max(params.changed_min, len(agents) / 2):
        return None
    members = [changes[a] for a in agents]
    # a failure that only some show is no part of what they share
    for part in RARE:
        showing = sum(bool(c.affected[part]) for c in members)
        if typical.affected[part] and 4 * showing < len(members):
            return None
    if float(np.median([c.steps for c in members])) < params.steps_min:
        return None
    if not matters(typical, members, params):
        return None
    onset_at = float(np.median([c.onset_at for c in members]))
    return Alike(tuple(agents), typical, onset_at, tuple(members))


def _at_once(agents: list[int], changes: dict[int, Change], within_s: float) -> list[int]:
    """Return the most agents whose onsets lie within one span."""
    if not agents:
        return agents
    order = sorted(agents, key=lambda agent: changes[agent].onset_at)
    at = np.array([changes[agent].onset_at for agent in order])
    end = np.searchsorted(at, at + within_s, "right")
    first = int((end - np.arange(len(at))).argmax())
    return order[first : int(end[first])]


def best_group(
    groups: Sequence[Group], alike: Bool, known: Bool, params: FleetParams
) -> tuple[Group, float] | None:
    """Return the group that explains the agents marked `alike` best, and its share.

    `alike` and `known` are by agent code; only known agents count. Of equals the first is taken.
    """
    total, marked = int(known.sum()), int((alike & known).sum())
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
        score = n * _divergence(k / n, max(outside, CHANCE_SHARE))
        if best is None or score > best[0] + 1e-9:
            best = (score, group, k / n)
    return None if best is None else (best[1], best[2])


def _divergence(share: float, usual: float) -> float:
    """Return KL(share ‖ usual) of two coins, 0 where the share is no higher."""
    if share <= usual:
        return 0.0
    nats = share * math.log(share / usual)
    if share < 1:
        nats += (1 - share) * math.log((1 - share) / (1 - usual))
    return nats


def crowded(groups: Sequence[Group], changed: Bool, params: FleetParams) -> list[Group]:
    """Return the groups with enough changed agents, `changed` by code, to be looked at closely."""
    return [
        group
        for group in groups
        if int(changed[group.agents].sum())
        >= max(params.changed_min, 0.5 * params.share_min * len(group.agents))
    ]


def sample(agents: Indices, most: int) -> Indices:
    """Return at most `most` of the agents, evenly spaced."""
    if len(agents) <= most:
        return agents
    return agents[np.linspace(0, len(agents) - 1, most).astype(np.intp)]


def spread_s(interval_s: Float64) -> float:
    """Return by how many seconds onsets may be off: two typical steps."""
    return 2 * float(np.median(interval_s)) if len(interval_s) else 0.0
