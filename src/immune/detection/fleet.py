"""When many agents' changes are one: an outage, a release, a gap in the telemetry.

`FleetWatch` is asked on each tick before anybody acts on single findings. It must be early, so it
counts agents from far below a suspicion on; and precise, so only the same change at the same time
in a group counts, and sick agents of different kinds are left to their single incidents. Fleet
findings never fence; single findings that one explains are absorbed.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from typing import Literal

import msgspec
import numpy as np

from immune.columns import Bool, Float32, Float64, Int32, Names
from immune.detection.alike import Alike, Group, alike_among, best_group, crowded, sample, spread_s
from immune.detection.change import (
    PARTS,
    RARE,
    SIZED,
    Change,
    Recent,
    Typical,
    beyond,
    change_of,
    parts_of_nats,
    shares,
    typical_of,
)
from immune.detection.facts import DIMENSIONS, FactBook
from immune.detection.findings import Finding, Source
from immune.detection.grouping import Indices, grown
from immune.detection.hits import Hit
from immune.detection.rule_params import FleetParams

FleetKind = Literal["outage", "release", "telemetry_gap"]
Scan = Callable[[int, int], Recent | None]
"""Agent and kind code to what the scan of the onset says of that stream, if it is known."""

ALL = "all agents"


class FleetFinding(msgspec.Struct, frozen=True):
    """One change of many agents."""

    kind: FleetKind
    dimension: str
    """provider, model, tool, agent_type, or fleet."""
    name: str
    """Of the provider, model, tool or type."""
    members: tuple[str, ...]
    """Agent ids known when it was found; `FleetWatch.members_of` knows the later ones."""
    metrics: tuple[str, ...]
    """What left normal in most of them; empty for a release without effect, and for a gap."""
    at: float
    onset_at: float
    share: float
    """Of the group's active agents."""
    text: str
    fact: str = ""
    """For a release: prompt_hash or model."""
    value: str = ""
    """For a release: the new one."""

    @property
    def subject(self) -> tuple[str, str, str, str]:
        """What it is about; at most one finding is open for a subject."""
        return (self.kind, self.dimension, self.name, self.value)


@dataclass(frozen=True, slots=True)
class Levels:
    """Where every stream stands; arrays of one length n."""

    agent: Int32
    kind: Int32
    evidence: Float32
    """Nats."""
    by_metric: Float32
    """(n, 8) nats of each metric alone."""


@dataclass(slots=True)
class _Open:
    finding: FleetFinding
    members: set[int]
    group: set[int]
    typical: Typical | None
    refreshed_at: float
    calm_since: float | None = None
    told: bool = False


@dataclass(slots=True)
class _Tick:
    """What one call of `watch` works on; arrays by agent code."""

    now: float
    evidence: Float64
    parts: Float64
    kind: Int32
    known: Bool
    facts: FactBook
    scan: Scan
    params: FleetParams
    risen_at: Float64
    changes: dict[int, Change | None] = field(default_factory=dict)

    def change(self, agent: int) -> Change | None:
        """Return the agent's change, scanned at most once a tick."""
        if agent not in self.changes:
            recent = self.scan(agent, int(self.kind[agent]))
            change = None if recent is None else change_of(recent, self.params)
            if change is not None and self.risen_at[agent] < change.onset_at:
                # the scan sees but the last samples: what was changed before is older
                change = Change(
                    float(self.risen_at[agent]),
                    change.steps,
                    change.affected,
                    change.size,
                    change.normal,
                    change.metrics,
                )
            self.changes[agent] = change
        return self.changes[agent]

    def scanned(self, agents: Iterable[int]) -> dict[int, Change]:
        """Return the changes of these agents, those unknown left out."""
        return {a: c for a in agents if (c := self.change(a)) is not None}

    def lag(self, agent: int) -> Float64 | None:
        """Return the agent's evidence by part if it is not enough to count it as changed."""
        if self.evidence[agent] >= self.params.nats_min:
            return None
        nats: Float64 = self.parts[agent]
        return nats


class FleetWatch:
    """The open fleet findings, and what is known to find new ones."""

    def __init__(self, params: FleetParams, names: Names) -> None:
        self._params = params
        self._names = names
        self._open: dict[tuple[str, str, str, str], _Open] = {}
        self._risen_at = np.full(0, np.inf)
        """Since when an agent's evidence is high; inf where it is not."""
        self._silent: dict[int, float] = {}
        """Silent agents, and when that was noticed."""

    # ---- what happens

    def watch(
        self,
        now: float,
        levels: Levels,
        scan: Scan,
        facts: FactBook,
        silences: Sequence[Hit] = (),
    ) -> list[FleetFinding]:
        """Return the fleet findings that are new at `now`.

        `silences` are the hits of `Silence` since the last call. `scan` is asked only about agents
        of a group where several changed, at most `scans_max` of a group.
        """
        tick = self._tick(now, levels, scan, facts)
        self._note_silences(silences, facts)
        groups = self._groups(facts)
        self._carry_on(tick, groups)
        found = self._releases(tick)
        found += self._gaps(tick, groups)
        found += self._outages(tick, groups)
        return found

    def subsided(self, now: float) -> list[FleetFinding]:
        """Return the open findings whose members have been back to normal long enough, once."""
        over = []
        for entry in self._open.values():
            since = entry.calm_since
            if since is not None and now - since >= self._params.subsided_s and not entry.told:
                entry.told = True
                over.append(entry.finding)
        return over

    def close(self, finding: FleetFinding) -> None:
        """Forget an open finding; the same may be found again."""
        self._open.pop(finding.subject, None)

    def open_findings(self) -> list[FleetFinding]:
        """Return the findings that are not closed."""
        return [entry.finding for entry in self._open.values()]

    def members_of(self, finding: FleetFinding) -> tuple[str, ...]:
        """Return the ids of all members so far, the later ones included."""
        entry = self._open.get(finding.subject)
        return finding.members if entry is None else self._ids(entry.members)

    def explains(self, finding: FleetFinding, single: Finding) -> bool:
        """Return whether a single agent's finding is but a part of the open fleet finding.

        Never where a hard limit or a repetition spoke; and not where the agent suffers more than
        the typical member, or in metrics that the others don't.
        """
        entry = self._open.get(finding.subject)
        if entry is None or single.source in (Source.HARD_LIMIT, Source.REPETITION):
            return False
        agent = self._names.agents.code(single.agent_id)
        if single.source is Source.SILENCE:
            return finding.kind == "telemetry_gap" and agent in entry.members | entry.group
        if finding.kind == "telemetry_gap":
            return False
        if single.onset_at < finding.onset_at - self._params.within_s:
            return False
        change = change_of(self._recent(single), self._params)
        if finding.kind == "release":
            told = single.facts.prompt_hash_changed or single.facts.model_changed
            if agent not in entry.members or not told:
                return False
            return entry.typical is None or not beyond(change, entry.typical, self._params)
        if agent not in entry.members | entry.group or entry.typical is None:
            return False
        touched = (change.affected & entry.typical.affected).any()
        return bool(touched) and not beyond(change, entry.typical, self._params)

    def retire(self, agent: int) -> None:
        """Drop all state of an agent."""
        if agent < len(self._risen_at):
            self._risen_at[agent] = np.inf
        self._silent.pop(agent, None)
        for entry in self._open.values():
            entry.members.discard(agent)
            entry.group.discard(agent)

    # ---- the tick

    def _tick(self, now: float, levels: Levels, scan: Scan, facts: FactBook) -> _Tick:
        size = len(self._names.agents)
        self._risen_at = grown(self._risen_at, size, np.inf)
        size = len(self._risen_at)
        evidence = np.zeros(size)
        np.maximum.at(evidence, levels.agent, levels.evidence)
        parts = np.zeros((size, len(PARTS)))
        np.maximum.at(parts, levels.agent, parts_of_nats(levels.by_metric.astype(np.float64)))
        kind = np.zeros(size, np.int32)
        leads = levels.evidence >= evidence[levels.agent]
        kind[levels.agent[leads]] = levels.kind[leads]
        known = np.zeros(size, np.bool_)
        known[levels.agent] = True
        active = facts.active()
        known[: len(active)] &= active[:size]
        known[len(active) :] = False
        self._risen_at[evidence < self._params.nats_min / 2] = np.inf
        fresh = (evidence >= self._params.nats_min) & (self._risen_at == np.inf)
        self._risen_at[fresh] = now
        return _Tick(now, evidence, parts, kind, known, facts, scan, self._params, self._risen_at)

    def _groups(self, facts: FactBook) -> list[Group]:
        groups = [
            Group(dimension, name, agents)
            for dimension in DIMENSIONS
            for name, agents in facts.members(dimension).items()
        ]
        groups.append(Group("fleet", ALL, np.flatnonzero(facts.active())))
        return [group for group in groups if len(group.agents) >= self._params.agents_min]

    def _taken(self, size: int) -> Bool:
        taken = np.zeros(size, np.bool_)
        for entry in self._open.values():
            taken[list(entry.members)] = True
        return taken

    # ---- outages

    def _outages(self, tick: _Tick, groups: list[Group]) -> list[FleetFinding]:
        p = self._params
        found: list[FleetFinding] = []
        while True:
            free = tick.known & ~self._taken(len(tick.known))
            changed = free & (tick.evidence >= p.nats_min)
            near = crowded(groups, changed, p)
            if not near:
                return found
            finding = self._outage(tick, groups, near, free, changed)
            if finding is None:
                return found
            found.append(finding)

    def _outage(
        self, tick: _Tick, groups: list[Group], near: list[Group], free: Bool, changed: Bool
    ) -> FleetFinding | None:
        p = self._params
        hopeful = free & (changed | (tick.parts >= p.lagging_nats).any(axis=1))
        best: tuple[int, Group, float, Alike] | None = None
        for group in near:
            inside = group.agents[hopeful[group.agents]]
            looked_at = sample(inside, p.scans_max)
            alike = alike_among(
                tick.scanned(looked_at.tolist()),
                tick.lag,
                spread_s(tick.facts.interval_s[looked_at]),
                p,
            )
            if alike is None:
                continue
            marked = self._marked(tick, alike, inside, looked_at, changed)
            choice = best_group(groups, marked, free, p)
            if choice is None or ("outage", *_key(choice[0]), "") in self._open:
                continue
            if best is None or int(marked.sum()) > best[0]:
                best = (int(marked.sum()), *choice, alike)
        if best is None:
            return None
        _, group, share, alike = best
        marked = self._marked(tick, alike, group.agents[hopeful[group.agents]], None, changed)
        return self._declare_outage(tick, group, share, alike, marked)

    def _marked(
        self,
        tick: _Tick,
        alike: Alike,
        inside: Indices,
        looked_at: Indices | None,
        changed: Bool,
    ) -> Bool:
        """Return by agent code who has this change: by a close look, or in the large by levels."""
        p = self._params
        marked = np.zeros(len(tick.known), np.bool_)
        outside = np.flatnonzero(changed)
        candidates = np.union1d(inside, outside)
        nats = tick.parts[candidates][:, alike.typical.affected]
        by_level = changed[candidates] & (nats >= p.nats_min).all(axis=1)
        marked[candidates[by_level]] = True
        if len(candidates) <= 2 * p.scans_max:
            close = candidates
        else:
            close = np.array(sorted(tick.changes), np.intp)
        for agent in close.tolist():
            change = tick.change(agent)
            marked[agent] = (
                change is not None
                and shares(change, alike.typical, p, tick.lag(agent))
                and not beyond(change, alike.typical, p)
            )
        marked[list(alike.agents)] = True
        return marked

    def _declare_outage(
        self, tick: _Tick, group: Group, share: float, alike: Alike, marked: Bool
    ) -> FleetFinding:
        members = group.agents[marked[group.agents]]
        metrics = _metrics(alike.changes)
        times = float(
            np.exp(alike.typical.size[SIZED][alike.typical.affected[SIZED]].max(initial=0))
        )
        what = " and ".join(metrics)
        much = f" about {times:.1f} times worse" if times >= 1.05 else " worse"
        finding = FleetFinding(
            kind="outage",
            dimension=group.dimension,
            name=group.name,
            members=self._ids(members.tolist()),
            metrics=metrics,
            at=tick.now,
            onset_at=alike.onset_at,
            share=share,
            text=f"{what}{much} on {len(members)} agents at once, {share:.0%} of {_of(group)}",
        )
        self._keep(finding, members, group.agents, alike.typical, tick.now)
        return finding

    # ---- releases

    def _releases(self, tick: _Tick) -> list[FleetFinding]:
        p = self._params
        found = []
        active = tick.facts.active()
        for fact in ("prompt_hash", "model"):
            changes = tick.facts.changed_since(fact, tick.now - p.within_s)
            here = active[changes.agent] & (changes.agent_type > 0)
            for type_code, value in set(
                zip(changes.agent_type[here].tolist(), changes.value[here].tolist(), strict=True)
            ):
                same = here & (changes.agent_type == type_code) & (changes.value == value)
                members = changes.agent[same]
                group = np.flatnonzero(active & (tick.facts.agent_type == type_code))
                name, new = self._names.facts.text(type_code), self._names.facts.text(value)
                entry = self._open.get(("release", "agent_type", name, new))
                if entry is not None:
                    entry.members.update(members.tolist())
                    continue
                share = len(members) / len(group)
                if len(members) < p.agents_min or share < p.share_min:
                    continue
                words = fact.replace("_", " ")
                finding = FleetFinding(
                    kind="release",
                    dimension="agent_type",
                    name=name,
                    members=self._ids(members.tolist()),
                    metrics=(),
                    at=tick.now,
                    onset_at=float(changes.at[same].min()),
                    share=share,
                    text=f"{words} changed to {new} on {len(members)} agents at once, "
                    f"{share:.0%} of agent_type {name}",
                    fact=fact,
                    value=new,
                )
                self._keep(finding, members, group, None, tick.now)
                found.append(finding)
        return found

    # ---- gaps in the telemetry

    def _note_silences(self, silences: Sequence[Hit], facts: FactBook) -> None:
        for hit in silences:
            self._silent[hit.agent] = hit.at
        for agent, noticed_at in list(self._silent.items()):
            if agent < len(facts.last_at) and facts.last_at[agent] > noticed_at:
                del self._silent[agent]

    def _gaps(self, tick: _Tick, groups: list[Group]) -> list[FleetFinding]:
        p = self._params
        lately = [a for a, at in self._silent.items() if tick.now - at <= p.within_s]
        for entry in self._open.values():
            if entry.finding.kind == "telemetry_gap":
                entry.members.update(entry.group.intersection(lately))
        if len(lately) < p.agents_min:
            return []
        silent = np.zeros(len(tick.known), np.bool_)
        silent[lately] = True
        silent &= ~self._taken(len(silent))
        active = np.zeros(len(silent), np.bool_)
        active[np.flatnonzero(tick.facts.active())] = True
        choice = best_group(groups, silent, active | silent, p)
        if choice is None or ("telemetry_gap", *_key(choice[0]), "") in self._open:
            return []
        group, share = choice
        members = group.agents[silent[group.agents]]
        finding = FleetFinding(
            kind="telemetry_gap",
            dimension=group.dimension,
            name=group.name,
            members=self._ids(members.tolist()),
            metrics=(),
            at=tick.now,
            onset_at=float(tick.facts.last_at[members].min()),
            share=share,
            text=f"no steps from {len(members)} agents at once, {share:.0%} of {_of(group)}",
        )
        self._keep(finding, members, group.agents, None, tick.now)
        return [finding]

    # ---- open findings

    def _keep(
        self,
        finding: FleetFinding,
        members: Indices,
        group: Indices,
        typical: Typical | None,
        now: float,
    ) -> None:
        self._open[finding.subject] = _Open(
            finding, set(members.tolist()), set(group.tolist()), typical, now
        )

    def _carry_on(self, tick: _Tick, groups: list[Group]) -> None:
        """Let open findings take in new members, measure anew, and see whether they are over."""
        p = self._params
        now_in = {_key(group): group.agents for group in groups}
        for entry in self._open.values():
            key = (entry.finding.dimension, entry.finding.name)
            entry.group.update(now_in.get(key, np.empty(0, np.intp)).tolist())
            if entry.finding.kind == "outage":
                self._join(tick, entry)
            if entry.finding.kind != "telemetry_gap" and (
                tick.now - entry.refreshed_at >= p.refresh_s
            ):
                self._refresh(tick, entry)
            if self._is_calm(tick, entry):
                entry.calm_since = tick.now if entry.calm_since is None else entry.calm_since
            else:
                entry.calm_since, entry.told = None, False

    def _join(self, tick: _Tick, entry: _Open) -> None:
        p = self._params
        others = np.array(sorted(entry.group - entry.members), np.intp)
        others = others[tick.known[others] & (tick.evidence[others] >= p.nats_min)]
        for agent in sample(others, p.scans_max).tolist():
            change = tick.change(agent)
            if change is None or entry.typical is None:
                continue
            late = change.onset_at < entry.finding.onset_at - p.within_s
            if not late and shares(change, entry.typical, p, None):
                entry.members.add(agent)

    def _refresh(self, tick: _Tick, entry: _Open) -> None:
        """Measure the typical member anew: an outage may grow, and a release show late."""
        p = self._params
        entry.refreshed_at = tick.now
        members = np.array(sorted(entry.members), np.intp)
        members = members[tick.known[members]]
        changes = [
            change
            for change in tick.scanned(sample(members, p.scans_max // 4).tolist()).values()
            if change.steps >= p.steps_min
            and change.onset_at >= entry.finding.onset_at - p.within_s
        ]
        if len(changes) < p.changed_min:
            return
        affected = np.mean([change.affected for change in changes], axis=0) >= 0.5
        if entry.typical is not None:
            # what was once shared stays explained: evidence also ends one after the other
            affected |= entry.typical.affected
        now = typical_of(changes, affected)
        if entry.typical is not None:
            now = Typical(affected, np.maximum(now.size, entry.typical.size))
        entry.typical = now

    def _is_calm(self, tick: _Tick, entry: _Open) -> bool:
        p = self._params
        members = np.array(sorted(entry.members), np.intp)
        if entry.finding.kind == "telemetry_gap":
            sick = np.array([agent in self._silent for agent in members.tolist()])
        else:
            # fenced or lost ones say nothing any more
            members = members[tick.facts.last_at[members] >= tick.now - p.subsided_s]
            sick = tick.evidence[members] >= p.nats_min
        return len(sick) > 0 and float(sick.mean()) <= p.subsided_share

    def _recent(self, single: Finding) -> Recent:
        interval = next((e.normal for e in single.effects if e.metric == "interval_s"), 0.0)
        span_s = max(single.at - single.onset_at, 0.0)
        steps = span_s / interval + 1 if interval > 0 else 8.0
        return Recent(single.onset_at, steps, single.effects)

    def _ids(self, agents: Iterable[int]) -> tuple[str, ...]:
        return tuple(sorted(self._names.agents.text(agent) for agent in agents))


def _key(group: Group) -> tuple[str, str]:
    return group.dimension, group.name


def _of(group: Group) -> str:
    return group.name if group.dimension == "fleet" else f"{group.dimension} {group.name}"


def _metrics(changes: Sequence[Change]) -> tuple[str, ...]:
    """Return the metrics that left normal in at least half of these changes."""
    counts: dict[str, int] = {}
    for change in changes:
        failing = {PARTS[part] for part in RARE if change.affected[part]}
        for metric in change.metrics | failing:
            counts[metric] = counts.get(metric, 0) + 1
    return tuple(sorted(metric for metric, count in counts.items() if 2 * count >= len(changes)))
