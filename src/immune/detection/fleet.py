"""When many agents' changes are one: an outage, a release, a gap in the telemetry.

`FleetWatch` is asked on each tick before anybody acts on single findings. It must be early, so it
counts agents from far below a suspicion on; and precise, so only the same change at the same time
in a group counts, and sick agents of different kinds are left to their single incidents. Fleet
findings never fence; single findings that one explains are absorbed.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import numpy as np

from immune.columns import Bool, Int32, Names
from immune.detection.agent_set import AgentSet
from immune.detection.alike import Group, best_group, sample
from immune.detection.change import Recent, Typical, shares, typical_of
from immune.detection.excused import Excused
from immune.detection.facts import FactBook
from immune.detection.findings import Finding, Tier
from immune.detection.fleet_case import Case, FleetFinding, Subject, explained, own_part
from immune.detection.fleet_tick import Levels, Scan, Shared, Tick, Trend, groups_of, tick_of
from immune.detection.grouping import Indices
from immune.detection.hits import Hit
from immune.detection.outage import Outage, find_outage, showing
from immune.detection.params import EpisodeParams
from immune.detection.rule_params import FleetParams
from immune.words import percent

_HARM = EpisodeParams().fence_from_severity
_GROUPS_S = 5.0
"""Seconds after which the groups are made anew; who belongs to which seldom changes."""


class FleetWatch:
    """The open fleet findings, and what is known to find new ones."""

    def __init__(self, params: FleetParams, names: Names, least_harm: float = _HARM) -> None:
        """`least_harm` is `EpisodeParams.fence_from_severity`."""
        self._params = params
        self._names = names
        self._least_harm = least_harm
        self._open: dict[Subject, Case] = {}
        self._trend = Trend()
        self._silent: dict[int, float] = {}
        """Silent agents, and when that was noticed."""
        self._excused = Excused()
        self._grown_up: list[Finding] = []
        """Those that are the agents' own by now, and not told yet."""
        self._groups: list[Group] = []
        self._grouped_at = -np.inf

    def watch(
        self,
        now: float,
        levels: Levels,
        scan: Scan,
        facts: FactBook,
        silences: Sequence[Hit] = (),
    ) -> list[FleetFinding]:
        """Return the fleet findings that are new at `now`, epoch seconds.

        `silences` are the hits of `Silence` since the last call. `scan` is asked only about agents
        of a group where several changed, and about a sample of those where they are many.
        """
        if now - self._grouped_at >= _GROUPS_S:
            self._groups, self._grouped_at = groups_of(facts, self._params), now
        self._trend.grow(len(self._names.agents))
        tick = tick_of(now, levels, scan, facts, self._groups, self._trend, self._params)
        self._note_silences(silences, facts)
        for case in self._open.values():
            self._carry_on(tick, case)
        releases, gaps = self._releases(tick), self._gaps(tick)
        found = [*releases, *gaps, *self._outages(tick)]
        self._look_again(tick)
        return found

    def judge(self, single: Finding) -> Finding | None:
        """Return what of an agent's finding is its own; None where open fleet findings explain it.

        A quarantine that is less for that reason is kept, and told by `grown_up` if what is the
        agent's own makes one later.
        """
        agent, own = self._names.agents.code(single.agent_id), self._own_of(single)
        if own is None or own.tier is not single.tier:
            self._excused.keep(agent, single)
        else:
            self._excused.drop(agent)
        return own

    def grown_up(self) -> list[Finding]:
        """Return the findings that were excused and are an agent's own quarantine by now, once."""
        told, self._grown_up = self._grown_up, []
        return told

    def _look_again(self, tick: Tick) -> None:
        if not self._open:
            self._excused.clear()
            return
        for agent, single in self._excused.grown_up(tick.less(self._shared(len(tick.known)))):
            own = self._own_of(single)
            if own is not None and own.tier is Tier.QUARANTINE:
                self._excused.drop(agent)
                self._grown_up.append(single)

    def _own_of(self, single: Finding) -> Finding | None:
        return None if self.explains(single) else self.own_part(single)

    def subsided(self, now: float) -> list[FleetFinding]:
        """Return the open findings whose members have been back to normal long enough, once."""
        over = []
        for case in self._open.values():
            since = case.calm_since
            if since is not None and now - since >= self._params.subsided_s and not case.told:
                case.told = True
                over.append(case.finding)
        return over

    def reopen(self, finding: FleetFinding) -> None:
        """Take up a finding that was open before a restart; its members are measured anew."""
        members = self._codes(finding.members)
        self._keep(finding, members, members, None)

    def close(self, finding: FleetFinding) -> None:
        """Forget an open finding; the same may be found again."""
        self._open.pop(finding.subject, None)

    def open_findings(self) -> list[FleetFinding]:
        """Return the findings that are not closed."""
        return [case.finding for case in self._open.values()]

    def members_of(self, finding: FleetFinding) -> tuple[str, ...]:
        """Return the ids of all members so far, the later ones included."""
        case = self._open.get(finding.subject)
        return finding.members if case is None else self._ids(case.members.codes())

    def members_beside(self, finding: FleetFinding, agents: Int32) -> tuple[str, ...]:
        """Return the ids of all members so far that are not of `agents`, by code."""
        case = self._open.get(finding.subject)
        members = self._codes(finding.members) if case is None else case.members.codes()
        return self._ids(members[~np.isin(members, agents)])

    def explains(self, single: Finding) -> bool:
        """Return whether an agent's finding is but a part of the open fleet findings, together.

        Never where a hard limit or a repetition spoke; and not where the agent certainly suffers
        more than the typical member, or in metrics that the others don't.
        """
        return explained(self._bearing_on(single), single, self._params)

    def own_part(self, single: Finding) -> Finding:
        """Return an agent's finding without the effects that open fleet findings explain."""
        return own_part(self._bearing_on(single), single, self._params, self._least_harm)

    def _bearing_on(self, single: Finding) -> list[Case]:
        agent = self._names.agents.code(single.agent_id)
        return [c for c in self._open.values() if c.bears_on(agent, single, self._params)]

    def concerns(self, finding: FleetFinding, agent_id: str) -> bool:
        """Return whether the agent is of the open finding's group."""
        case = self._open.get(finding.subject)
        return case is not None and self._names.agents.code(agent_id) in case.group

    def retire(self, agent: int) -> None:
        """Drop all state of an agent."""
        self._trend.forget(agent)
        self._silent.pop(agent, None)
        self._excused.drop(agent)
        gone = self._names.agents.text(agent)
        self._grown_up = [single for single in self._grown_up if single.agent_id != gone]
        self._grouped_at = -np.inf
        for case in self._open.values():
            case.members.discard(agent)
            case.group.discard(agent)

    # ---- new findings

    def _outages(self, tick: Tick) -> list[FleetFinding]:
        found: list[FleetFinding] = []
        # one hides another: what the first explains must be out of sight
        for _ in range(self._params.looks_max):
            outage = self._outage(tick.less(self._shared(len(tick.known))))
            if outage is None:
                break
            finding = FleetFinding(
                kind="outage",
                dimension=outage.group.dimension,
                name=outage.group.name,
                members=self._ids(outage.members),
                metrics=outage.metrics,
                at=tick.now,
                onset_at=outage.alike.onset_at,
                share=outage.share,
                text=outage.text,
            )
            self._keep(finding, outage.members, outage.group.agents, outage.alike.typical)
            found.append(finding)
        return found

    def _outage(self, tick: Tick) -> Outage | None:
        taken = self._taken(len(tick.known), tick.now, but_known_releases=True)
        closed_to = {subject[1:3] for subject in self._open if subject[0] == "outage"}
        return find_outage(tick, tick.known & ~taken, closed_to)

    def _releases(self, tick: Tick) -> list[FleetFinding]:
        facts: tuple[Literal["prompt_hash"], Literal["model"]] = ("prompt_hash", "model")
        return [finding for fact in facts for finding in self._releases_of(fact, tick)]

    def _releases_of(self, fact: Literal["prompt_hash", "model"], tick: Tick) -> list[FleetFinding]:
        p, text = self._params, self._names.facts.text
        changes = tick.facts.changed_since(fact, tick.now - p.within_s)
        active = tick.facts.active()
        here = active[changes.agent] & (changes.agent_type > 0)
        pairs = zip(changes.agent_type[here].tolist(), changes.value[here].tolist(), strict=True)
        found = []
        for of_type, value in sorted(set(pairs)):
            same = here & (changes.agent_type == of_type) & (changes.value == value)
            members = changes.agent[same]
            case = self._open.get(("release", "agent_type", text(of_type), text(value)))
            if case is not None:
                case.members.add(members)
                continue
            group = np.flatnonzero(active & (tick.facts.agent_type == of_type))
            share = len(members) / len(group)
            if len(members) < p.agents_min or share < p.share_min:
                continue
            finding = FleetFinding(
                kind="release",
                dimension="agent_type",
                name=text(of_type),
                members=self._ids(members),
                metrics=(),
                at=tick.now,
                onset_at=float(changes.at[same].min()),
                share=share,
                text=f"{fact} changed to {text(value)} on {len(members)} agents at once, "
                f"{percent(share)} of agent_type {text(of_type)}",
                fact=fact,
                value=text(value),
            )
            self._keep(finding, members, group, None)
            found.append(finding)
        return found

    def _gaps(self, tick: Tick) -> list[FleetFinding]:
        p = self._params
        lately = [a for a, at in self._silent.items() if tick.now - at <= p.within_s]
        if len(lately) < p.agents_min:
            return []
        silent = np.zeros(len(tick.known), np.bool_)
        silent[lately] = True
        silent &= ~self._taken(len(silent), tick.now)
        active = silent.copy()
        active[np.flatnonzero(tick.facts.active())] = True
        choice = best_group(tick.groups, silent, active, p)
        if choice is None:
            return []
        group, share = choice
        members = group.agents[silent[group.agents]]
        finding = FleetFinding(
            kind="telemetry_gap",
            dimension=group.dimension,
            name=group.name,
            members=self._ids(members),
            metrics=(),
            at=tick.now,
            onset_at=float(tick.facts.last_at[members].min()),
            share=share,
            text=f"no steps from {len(members)} agents at once, {percent(share)} of {group}",
        )
        if finding.subject in self._open:
            return []
        self._keep(finding, members, group.agents, None)
        return [finding]

    def _note_silences(self, silences: Sequence[Hit], facts: FactBook) -> None:
        self._silent.update({hit.agent: hit.at for hit in silences})
        back = [a for a, at in self._silent.items() if facts.last_at[a] > at]
        for agent in back:
            del self._silent[agent]

    # ---- open findings

    def _keep(
        self, finding: FleetFinding, members: Indices, group: Indices, typical: Typical | None
    ) -> None:
        self._open[finding.subject] = Case(
            finding, AgentSet(members), AgentSet(group), typical, finding.at
        )

    def _taken(self, size: int, now: float, *, but_known_releases: bool = False) -> Bool:
        taken = np.zeros(size, np.bool_)
        for case in self._open.values():
            if not (but_known_releases and self._is_known_release(case, now)):
                taken |= case.members.mask(size)
        return taken

    def _is_known_release(self, case: Case, now: float) -> bool:
        """Whether it is clear what a release does to its members, if it does anything."""
        if case.finding.kind != "release" or case.typical is None:
            return False
        settled = now - case.finding.at >= self._params.within_s
        return settled or bool(case.typical.affected.any())

    def _shared(self, size: int) -> list[Shared]:
        """Return what the open findings do to those concerned, as masks of `size`."""
        return [
            (case.concerned.mask(size), typical)
            for case in self._open.values()
            if (typical := case.explains_parts()) is not None
        ]

    def _carry_on(self, tick: Tick, case: Case) -> None:
        """Take in new members, measure anew, and see whether it is over."""
        subject = (case.finding.dimension, case.finding.name)
        for group in tick.groups:
            if (group.dimension, group.name) == subject:
                case.group.add(group.agents)
        if case.finding.kind == "telemetry_gap":
            case.members.add([agent for agent in self._silent if agent in case.group])
        else:
            self._join(tick, case)
            # often at first, when each step tells much
            wait_s = min(self._params.refresh_s, (tick.now - case.finding.at) / 2)
            if tick.now - case.measured_at >= wait_s:
                self._measure(tick, case)
        if not self._is_calm(tick, case):
            case.calm_since, case.told = None, False
        elif case.calm_since is None:
            case.calm_since = tick.now

    def _join(self, tick: Tick, case: Case) -> None:
        if case.finding.kind == "release" or case.typical is None:
            return
        p = self._params
        size = len(tick.known)
        outside = case.group.mask(size) & ~case.members.mask(size) & tick.known
        others = np.flatnonzero(outside & (tick.evidence >= p.nats_min))
        if len(others) > p.scans_max:
            case.members.add(others[showing(tick, others, case.typical)])
            return
        earliest = case.finding.onset_at - p.within_s
        for agent, change in tick.scanned(others.tolist()).items():
            if change.onset_at >= earliest and shares(change, case.typical, p, None):
                case.members.add([agent])

    def _measure(self, tick: Tick, case: Case) -> None:
        """Measure the typical member anew: an outage may grow, and a release show late."""
        p = self._params
        case.measured_at = tick.now
        members = np.flatnonzero(case.members.mask(len(tick.known)) & ~self._of_others(case, tick))
        looked_at = sample(members[tick.known[members]], p.scans_max // 4)
        changes = [
            change
            for change in tick.scanned(looked_at.tolist()).values()
            if change.steps >= p.steps_min and change.onset_at >= case.finding.onset_at - p.within_s
        ]
        if len(changes) < p.changed_min:
            return
        affected = np.mean([change.affected for change in changes], axis=0) >= 0.5
        known = case.typical
        if known is None:
            case.typical = typical_of(changes, affected)
        else:
            # what was once shared stays explained: members recover one after the other
            now = typical_of(changes, affected | known.affected)
            case.typical = Typical(now.affected, np.maximum(now.size, known.size))

    def _of_others(self, case: Case, tick: Tick) -> Bool:
        """For a release, the members of outages: what those suffer is not its doing."""
        members = np.zeros(len(tick.known), np.bool_)
        for other in self._open.values():
            if case.finding.kind == "release" and other.finding.kind == "outage":
                members |= other.members.mask(len(members))
        return members

    def _is_calm(self, tick: Tick, case: Case) -> bool:
        p = self._params
        members = case.members.codes()
        if case.finding.kind == "telemetry_gap":
            sick = np.isin(members, list(self._silent))
        else:
            # those fenced or lost say nothing any more
            members = members[tick.facts.last_at[members] >= tick.now - p.subsided_s]
            sick = (tick.evidence[members] >= p.nats_min) & ~tick.trend.falling[members]
        return len(sick) > 0 and float(sick.mean()) <= p.subsided_share

    def _codes(self, ids: Sequence[str]) -> Indices:
        return np.array([self._names.agents.code(agent_id) for agent_id in ids], np.intp)

    def _ids(self, agents: Indices) -> tuple[str, ...]:
        return tuple(sorted(map(self._names.agents.text, agents.tolist())))


__all__ = ["FleetFinding", "FleetWatch", "Levels", "Recent", "Scan"]
