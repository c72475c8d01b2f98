"""No step for far longer than the agent's own regular intervals allow.

The log of an agent's intervals is taken as normal with its own mean and spread. An agent that takes
N steps a day may be falsely called silent b times a day, b being the budget of a suspicion, so one
interval may pass the limit with probability b/N: the limit is the (1 − b/N) quantile of the
prediction for the next interval, exp(mean + t·spread·√(1 + 1/n)), t of n − 1 degrees of freedom
since the spread is estimated. It is never below 10 s, 4 usual intervals, or twice the longest
recent gap between deliveries. An agent with irregular intervals has no limit: its silence says
nothing. Nor is it silence while a pause is declared (`timetable`), or expected, since it came
before (`pauses`). Silence suspects and never fences.

Sources: Hill 1970 (t from z by Cornish-Fisher); Abramowitz & Stegun 26.2.23 (z from probability).
"""

from __future__ import annotations

import msgspec
import numpy as np

from immune.columns import KINDS, Bool, Float64, Int64, Names, VitalColumns
from immune.detection.findings import Facts, Source, Tier
from immune.detection.grouping import Indices, Runs, grown, slots_of
from immune.detection.hits import Hit
from immune.detection.pauses import Pause, Pauses
from immune.detection.rounds import only_round, rounds
from immune.detection.rule_params import SilenceParams
from immune.detection.timetable import DAY_S, Timetable

WHY_NOT = "silence never fences"

_INTERVAL_MIN_S = 1e-3
_CLIP_SPREADS = 4.0
"""Spreads beyond which an interval teaches no more: one night's pause is not the rhythm."""
_CLIP_FROM = 8
_SPREAD_FLOOR = 0.05
_AT_ONCE = 8192
"""Agents moved at once: what is computed on the way stays near the processor."""
_DELIVERIES_MIN = 3
"""Deliveries before the gap between them is known at all."""


class SavedRhythm(msgspec.Struct, frozen=True, array_like=True):
    """An agent's rhythm as stored; the first three by kind."""

    count: tuple[float, ...]
    mean: tuple[float, ...]
    var: tuple[float, ...]
    delivery_s: float
    deliveries: int
    waited_for: bool
    """Whether its clock ran: it was heard of, and not fenced."""
    told: bool
    pauses: tuple[Pause, ...]


class Silence:
    """The rhythm of all agents; rhythms have one slot per agent and kind, clocks one per agent."""

    def __init__(self, params: SilenceParams, names: Names, false_alarms_per_day: float) -> None:
        """An always-on agent may raise `false_alarms_per_day`."""
        self._params = params
        self._false_alarms_per_day = false_alarms_per_day
        self._names = names
        self._at = np.full(0, np.nan)
        """End of the last step, agent's clock; NaN where the next interval teaches nothing."""
        self._count = np.zeros(0)
        self._mean = np.zeros(0)
        self._var = np.zeros(0)
        self._limit_s = np.full(0, np.inf)
        self._stale = np.zeros(0, np.bool_)
        """Whether more was learned since the limit was reckoned: that is done when it matters."""
        self._seen = np.full(0, np.inf)
        """When we last heard of the agent, by our clock; inf where it may be silent, NaN where
        the clock starts with the next sweep."""
        self._delivery_s = np.zeros(0)
        """Longest recent gap between two deliveries of an agent that was not silent."""
        self._deliveries = np.zeros(0, np.int64)
        self._told = np.zeros(0, np.bool_)
        self._excused_until = np.full(0, -np.inf)
        """End of the pause that the agent is taken to be in."""
        self._left_at = np.full(0, -np.inf)
        """When the agent said goodbye: its steps until then say nothing, however late they come."""
        self._pauses = Pauses(params.pause_slack_s)
        self._timetable = Timetable(params.pauses)

    def observe(self, columns: VitalColumns) -> None:
        """Learn from a batch, each agent's steps in their order."""
        if not len(columns):
            return
        self._grow(len(self._names.agents))
        of_before = columns.at <= self._left_at[columns.agent]
        if of_before.any():
            columns = columns.take(np.flatnonzero(~of_before))
            if not len(columns):
                return
        slots = slots_of(columns)
        heard_at = np.where(columns.received_at > 0, columns.received_at, columns.at)
        one = only_round(columns.agent)
        if one is not None:
            rows, agents = one
            slots, at, heard_at = slots[rows], columns.at[rows], heard_at[rows]
            for first in range(0, len(slots), _AT_ONCE):
                part = slice(first, first + _AT_ONCE)
                last_at, limit_s = self._expected(agents[part], at[part])
                self._hear(agents[part], heard_at[part], at[part] - last_at, limit_s)
                self._note_pauses(agents[part], last_at, at[part], limit_s)
                self._learn(slots[part], at[part])
            self._stale[slots] = True
            return
        runs = Runs.of(columns.agent)
        first_at = np.minimum.reduceat(columns.at[runs.order], runs.first)
        latest = np.maximum.reduceat(heard_at[runs.order], runs.first)
        agents = runs.slot[runs.first]
        # all of a batch is held to the limits from before it
        self._renew_limits(agents)
        last_at, limit_s = self._expected(agents, first_at)
        self._hear(agents, latest, first_at - last_at, limit_s)
        for rows, those in rounds(slots):
            agents, at = those // len(KINDS), columns.at[rows]
            last_at, limit_s = self._expected(agents, at, renew=False)
            self._note_pauses(agents, last_at, at, limit_s)
            self._learn(those, at)
        self._stale[slots] = True

    def sweep(self, now: float) -> list[Hit]:
        """Return the agents that have become silent by `now`; one hit per silence."""
        self._seen[np.isnan(self._seen)] = now
        resumed_at = self._timetable.resumed_at(now)
        if resumed_at > now:
            return []
        # after a declared pause the clock starts with its end
        silent_s = now - np.maximum(self._seen, resumed_at)
        late = (silent_s > self._params.silent_min_s) & ~self._told
        late &= (self._deliveries >= _DELIVERIES_MIN) & (now >= self._excused_until)
        agents = np.flatnonzero(late)
        self._renew_limits(agents)
        limit_s = np.maximum(
            self._limit_s.reshape(-1, len(KINDS))[agents],
            self._params.delivery_factor * self._delivery_s[agents, None],
        )
        late = (silent_s[agents, None] > limit_s).any(axis=1)
        hits = []
        for agent, kind in zip(agents[late].tolist(), limit_s[late].argmin(axis=1), strict=True):
            until = self._pauses.expected_until(agent, float(self._seen[agent]))
            if until is not None and until > now:
                self._excused_until[agent] = until
                continue
            self._told[agent] = True
            hits.append(
                Hit(
                    agent=agent,
                    kind=int(kind),
                    at=now,
                    tier=Tier.SUSPICION,
                    source=Source.SILENCE,
                    facts=Facts(silent_s=float(silent_s[agent])),
                    can_fence=False,
                    why_not=WHY_NOT,
                    onset_at=float(self._seen[agent]),
                )
            )
        return hits

    def returned(self, columns: VitalColumns) -> list[int]:
        """Return the agents that had a hit and step again with this batch, once each."""
        self._grow(len(self._names.agents))
        told = self._told[columns.agent]
        if not told.any():
            return []
        back = sorted(set(columns.agent[told].tolist()))
        self._told[back] = False
        return back

    def limit_s(self, agent: int) -> float | None:
        """Return after how many seconds the agent counts as silent; None where it never does."""
        places = slice(agent * len(KINDS), (agent + 1) * len(KINDS))
        self._renew_limits(np.array([agent] if agent < len(self._seen) else [], np.intp))
        limit = float(self._limit_s[places].min(initial=np.inf))
        if limit == np.inf:
            return None
        return max(limit, self._params.delivery_factor * float(self._delivery_s[agent]))

    def pause(self, agent: int) -> None:
        """Stop the clock: the agent is fenced, its calls are refused."""
        self._grow(agent + 1)
        self._seen[agent] = np.inf
        self._unlearn_next(slice(agent * len(KINDS), (agent + 1) * len(KINDS)))

    def resume(self, agent: int, now: float = np.nan) -> None:
        """Start the clock anew, at `now` or with the next sweep."""
        self._grow(agent + 1)
        self._seen[agent] = now

    def goodbye(self, agent: int, at: float) -> None:
        """The agent said at `at`, epoch seconds, that it stops: no silence until a later step."""
        self.pause(agent)
        self._left_at[agent] = at

    def restart(self, now: float) -> None:
        """Start all running clocks anew: it was us who were away."""
        self._seen[self._seen < np.inf] = now
        self._unlearn_next(slice(None))

    def retire(self, agent: int) -> None:
        """Drop all state of an agent."""
        if agent >= len(self._seen):
            return
        places = slice(agent * len(KINDS), (agent + 1) * len(KINDS))
        self._unlearn_next(places)
        self._count[places] = self._mean[places] = self._var[places] = 0
        self._limit_s[places] = np.inf
        self._stale[places] = False
        self._seen[agent] = np.inf
        self._delivery_s[agent] = 0
        self._deliveries[agent] = 0
        self._told[agent] = False
        self._excused_until[agent] = self._left_at[agent] = -np.inf
        self._pauses.forget(agent)

    # ---- storing

    def save(self, agent: int) -> SavedRhythm:
        """Return what is usual for the agent."""
        self._grow(agent + 1)
        places = slice(agent * len(KINDS), (agent + 1) * len(KINDS))
        return SavedRhythm(
            count=tuple(self._count[places].tolist()),
            mean=tuple(self._mean[places].tolist()),
            var=tuple(self._var[places].tolist()),
            delivery_s=float(self._delivery_s[agent]),
            deliveries=int(self._deliveries[agent]),
            waited_for=bool(self._seen[agent] != np.inf),
            told=bool(self._told[agent]),
            pauses=self._pauses.save(agent),
        )

    def load(self, agent: int, saved: SavedRhythm) -> None:
        """Take up what `save` returned; the clock starts with the next sweep."""
        self._grow(agent + 1)
        self.retire(agent)
        places = slice(agent * len(KINDS), (agent + 1) * len(KINDS))
        self._count[places], self._mean[places] = saved.count, saved.mean
        self._var[places] = saved.var
        self._delivery_s[agent], self._deliveries[agent] = saved.delivery_s, saved.deliveries
        self._seen[agent] = np.nan if saved.waited_for else np.inf
        self._told[agent] = saved.told
        self._pauses.load(agent, saved.pauses)
        self._stale[places] = True

    def _unlearn_next(self, places: slice) -> None:
        self._at[places] = np.nan

    def _grow(self, agents: int) -> None:
        if len(self._seen) < agents:
            self._seen = grown(self._seen, agents, np.inf)
            self._delivery_s = grown(self._delivery_s, agents, 0)
            self._deliveries = grown(self._deliveries, agents, 0)
            self._told = grown(self._told, agents, 0)
            self._excused_until = grown(self._excused_until, agents, -np.inf)
            self._left_at = grown(self._left_at, agents, -np.inf)
            slots = len(self._seen) * len(KINDS)  # exactly: they are read as rows of agents
            self._at = grown(self._at, slots, np.nan)[:slots]
            self._count = grown(self._count, slots, 0)[:slots]
            self._mean = grown(self._mean, slots, 0)[:slots]
            self._var = grown(self._var, slots, 0)[:slots]
            self._limit_s = grown(self._limit_s, slots, np.inf)[:slots]
            self._stale = grown(self._stale, slots, 0)[:slots]

    def _learn(self, slots: Indices, at: Float64) -> None:
        interval_s = at - self._at[slots]
        self._at[slots] = np.fmax(at, self._at[slots])
        # a late step ends no interval; one that ends a silence teaches, clipped: the agent may
        # have become slower for good
        known = interval_s >= 0
        slots, y = slots[known], np.log(np.maximum(interval_s[known], _INTERVAL_MIN_S))
        count = np.minimum(self._count[slots] + 1, self._params.memory)
        off = y - self._mean[slots]
        widest = _CLIP_SPREADS * np.maximum(np.sqrt(self._var[slots]), _SPREAD_FLOOR)
        off = np.where(count > _CLIP_FROM, np.maximum(np.minimum(off, widest), -widest), off)
        weight = 1 / count
        self._count[slots] = count
        self._mean[slots] += weight * off
        self._var[slots] = (1 - weight) * (self._var[slots] + weight * off**2)

    def _note_pauses(
        self, agents: Indices, last_at: Float64, at: Float64, limit_s: Float64
    ) -> None:
        """Remember how long the agents stayed away that step again after too long a time."""
        for i in (at - last_at > limit_s).nonzero()[0].tolist():
            self._pauses.note(int(agents[i]), float(last_at[i]), float(at[i]))

    def _expected(
        self, agents: Indices, at: Float64, *, renew: bool = True
    ) -> tuple[Float64, Float64]:
        """Return the end of the agents' last steps before `at`, of any kind, and the limits in
        seconds that the time between is held to; (m,) each."""
        places = agents * len(KINDS)
        last_at = self._at[places]
        for kind in range(1, len(KINDS)):
            last_at = np.fmax(last_at, self._at[places + kind])
        limit_s = np.full(len(agents), self._params.silent_min_s)  # no limit is below it
        long = (at - last_at > self._params.silent_min_s).nonzero()[0]
        if len(long):
            if renew:
                self._renew_limits(agents[long])
            limit_s[long] = self._limit_s.reshape(-1, len(KINDS))[agents[long]].min(axis=1)
        return last_at, limit_s

    def _renew_limits(self, agents: Indices) -> None:
        slots = (agents[:, None] * len(KINDS) + np.arange(len(KINDS))).reshape(-1)
        self._set_limits(slots[self._stale[slots]])

    def _set_limits(self, slots: Indices) -> None:
        p = self._params
        count, mean, var = self._count[slots], self._mean[slots], self._var[slots]
        n = np.maximum(count, 2)
        spread = np.maximum(np.sqrt(var * n / (n - 1)), _SPREAD_FLOOR)
        steps_a_day = DAY_S / np.exp(mean + spread**2 / 2)
        chance = np.clip(self._false_alarms_per_day / steps_a_day, 1e-12, 0.1)
        wide = mean + _t_quantile(chance, n - 1) * spread * np.sqrt(1 + 1 / n)
        limit_s = np.maximum(np.exp(np.minimum(wide, 20)), p.factor_min * np.exp(mean))
        regular: Bool = (count >= p.samples_min) & (spread <= p.spread_max)
        self._limit_s[slots] = np.where(regular, np.maximum(limit_s, p.silent_min_s), np.inf)
        self._stale[slots] = False

    def _hear(self, agents: Indices, latest: Float64, waited_s: Float64, limit_s: Float64) -> None:
        """Note that each of these agents was heard of, at `latest` by our clock: of steps that
        ended `waited_s` after the one before by its own."""
        before = self._seen[agents]
        gap_s = latest - before
        # was the delivery late, or the agent? its own clock knows
        with np.errstate(invalid="ignore"):
            delivery = (gap_s > 0) & (waited_s <= limit_s)
        faded = self._delivery_s[agents] * (1 - 1 / self._params.memory)
        self._delivery_s[agents] = np.where(delivery, np.maximum(gap_s, faded), faded)
        self._deliveries[agents] += 1
        self._seen[agents] = np.where(np.isfinite(before), np.maximum(before, latest), latest)


def _t_quantile(chance: Float64, freedom: Float64 | Int64) -> Float64:
    """Return t with P(T > t) = chance, for chance <= .1 and a few degrees of freedom at least."""
    r = np.sqrt(-2 * np.log(chance))
    z = r - (2.515517 + 0.802853 * r + 0.010328 * r**2) / (
        1 + 1.432788 * r + 0.189269 * r**2 + 0.001308 * r**3
    )
    first = (z**3 + z) / (4 * freedom)
    second = (5 * z**5 + 16 * z**3 + 3 * z) / (96 * freedom**2)
    out: Float64 = z + first + second
    return out
