"""What is normal for each agent, learned from its vitals and, while it is young, from its peers.

`BaselineLearner` owns the streams, one per (agent, kind): the kernel's state, the ring of the last
samples, the priors, and the orders to freeze and thaw. What evidence means, and when somebody is
told, is the `Sentinel`'s part; what a baseline looks like in words and bytes is told in `profile`
and `archive`.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import get_args

import numpy as np

from immune.columns import KIND_CODE, KINDS, Float32, Float64, Int32, Int64, Names, VitalColumns
from immune.detection import archive
from immune.detection.believed import believed
from immune.detection.drift import Drift
from immune.detection.facts import FactBook, Order
from immune.detection.findings import BaselineProfile
from immune.detection.grouping import Indices, grown
from immune.detection.habits import Habits
from immune.detection.hits import Hit
from immune.detection.kernel import Kernel
from immune.detection.onset import Normal
from immune.detection.params import DetectionParams
from immune.detection.peers import PeerPriors, shared_shift
from immune.detection.profile import describe
from immune.detection.ring import Ring
from immune.detection.standing import Standing, standing_of
from immune.detection.state import AT, IS_RARE
from immune.detection.streams import Streams
from immune.vitals import N_METRICS, Kind

_YOUNG = 300
"""Own samples up to which a stream's prior is kept up to date; later it hardly weighs."""


class BaselineLearner:
    """The learned normal of every agent.

    >>> from immune.detection.params import DetectionParams
    >>> from immune.columns import Names, from_vitals
    >>> from immune.vitals import Vital
    >>> names = Names()
    >>> learner = BaselineLearner(DetectionParams(), names)
    >>> calm = [Vital(agent_id="a", at=t, latency_ms=800 + t % 7) for t in range(64)]
    >>> _ = learner.learn(from_vitals(calm, names))
    >>> round(learner.profile("a", Kind.RUN).metric("latency_ms").median)
    803
    """

    def __init__(self, params: DetectionParams, names: Names) -> None:
        self._params = params
        self._names = names
        self.kernel = Kernel(params.statistic, params.learning)
        self._priors = PeerPriors(
            params.learning, self.kernel.blank_prior, params.statistic.ar_shrink
        )
        self.ring = Ring(params.learning.history)
        self.facts = FactBook(params.rules.facts, names, params.rules.repetition)
        self.habits = Habits(params, names)
        self.drift = Drift(params.rules.drift)
        self.streams = Streams()
        self.seen = np.zeros(0, np.int64)
        """Own samples, those held back by a freeze left out."""
        self._held = np.zeros(0, np.int64)
        self._since = np.zeros(0)
        self._dirty = np.zeros(0, np.bool_)
        self._ready: dict[int, int] | None = None
        """Ready streams of each group (`_groups`); None after a change."""
        self._until_refresh = 0

    # ---- streams

    def stream(self, agent_id: str, kind: Kind) -> int | None:
        """Return the stream of one agent and kind, or None where nothing was ever seen."""
        return self.streams.find(self._names.agents.code(agent_id), KIND_CODE[kind])

    def streams_of_agent(self, agent_id: str) -> Indices:
        """Return the agent's streams, of both kinds."""
        return self.streams.of_agent(self._names.agents.code(agent_id))

    def admit(self, columns: VitalColumns) -> Indices:
        """Note the facts of a batch; return each vital's stream, giving new agents theirs."""
        self.facts.observe(columns)
        rows, fresh = self.streams.of_batch(columns)
        if len(fresh):
            self._begin(fresh)
        return rows

    def _begin(self, rows: Indices) -> None:
        capacity = len(self.streams)
        if capacity > len(self.seen):
            self.kernel.grow(capacity)
            self.ring.grow(capacity)
            self.drift.grow(capacity)
            self.seen, self._held = grown(self.seen, capacity, 0), grown(self._held, capacity, 0)
            self._since = grown(self._since, capacity, 0)
            self._dirty = grown(self._dirty, capacity, 0)
        self.seen[rows] = self._held[rows] = 0
        self._ready = None
        self.ring.clear(rows)
        self.drift.reset(rows)
        self._blank(rows)

    def _blank(self, rows: Indices) -> None:
        """Forget what these streams have learned, all but their peers' prior."""
        self.kernel.blank(rows)
        self._give_priors(rows)

    def _give_priors(self, rows: Indices) -> None:
        groups, which = np.unique(self._groups(rows), return_inverse=True)
        priors = [self._priors.of(*divmod(group, len(KINDS))) for group in groups.tolist()]
        self.kernel.set_prior(rows, np.stack(priors)[which])

    def _types(self, rows: Indices) -> Int32:
        return _of_agents(self.facts.agent_type, self.streams.agent[rows])

    def _groups(self, rows: Indices) -> Int64:
        """Return one number for the type and the kind of each stream."""
        return self._types(rows).astype(np.int64) * len(KINDS) + self.streams.kind[rows]

    def retire(self, agent_id: str) -> None:
        """Drop all state of an agent; it is learned anew if it ever comes back."""
        code = self._names.agents.code(agent_id)
        rows = self.streams.close(code)
        self._ready = None
        self._dirty[rows] = False
        self.kernel.blank(rows)
        self.facts.retire(code)
        self.habits.retire(code)

    # ---- learning

    def learn(self, columns: VitalColumns) -> Float32:
        """Learn a batch outside of a `Sentinel`; returns the evidence after each vital, (n,).

        What no step can have (`believed`) is not learned; a vital without a time has no evidence.
        """
        columns = believed(columns)
        rows = self.admit(columns)
        nats = np.full(len(rows), 18.0, np.float32)
        return self.observe(rows, columns.at, columns.values, nats)

    def observe(
        self, rows: Indices, at: Float64, values: Float32, quarantine_nats: Float32
    ) -> Float32:
        """Score samples, then learn them: `Kernel.step`, with the ring and the priors kept up."""
        evidence = self.kernel.step(rows, values, quarantine_nats)
        self.ring.add(rows, at, values)
        frozen = self.kernel.frozen[rows]
        np.add.at(self.seen, rows[~frozen], 1)
        self._ready = None
        np.add.at(self._held, rows[frozen], 1)
        self._dirty[rows] = True
        self._until_refresh -= len(rows)
        if self._until_refresh <= 0:
            self.refresh_priors()
        return evidence

    def drifts(self, now: float) -> list[Hit]:
        """Look for slow drifts, once a minute of `now`; return the new ones."""
        return self.drift.look(now, self.streams, self.ring, self.kernel.block, self.kernel.frozen)

    def refresh_priors(self) -> None:
        """Pool the peers anew and hand the result to the young, and the height of their evidence's
        peaks to all; done every 8 samples a stream."""
        rows = self.streams.used()
        self._until_refresh = int(self._params.learning.block_min) * max(len(rows), 1)
        self.kernel.share_width(rows, self._groups(rows), self._params.learning.peers_min)
        young = rows[(self.seen[rows] < _YOUNG) & ~self.kernel.frozen[rows]]
        if not len(young):
            return
        peers = rows[~self.kernel.frozen[rows]]
        kinds = self.streams.kind[peers]
        self._priors.refresh(self._types(peers), kinds, self.kernel.block, peers)
        self._give_priors(young)

    # ---- freezing

    def frozen(self, agent_id: str) -> bool:
        """Whether the agent's baselines are frozen."""
        return bool(self.kernel.frozen[self.streams_of_agent(agent_id)].any())

    def freeze(self, agent_id: str, since: float) -> None:
        """Learn nothing more from now on; samples wait. `since` is the onset, epoch seconds.

        Frozen already, it stays as it is but for an earlier `since`.
        """
        rows = self.streams_of_agent(agent_id)
        fresh = rows[~self.kernel.frozen[rows]]
        self._held[fresh] = 0
        self._since[fresh] = since
        self._since[rows] = np.minimum(self._since[rows], since)
        self.kernel.frozen[rows] = True
        self._dirty[rows] = True
        self.facts.freeze(self._names.agents.code(agent_id), since)

    def thaw(self, agent_id: str, order: str) -> None:
        """Learn again, after what waited was learned, discarded, or made the new beginning.

        `restart` begins anew from the samples since the onset, as far back as the ring goes, with
        the peers as prior. Evidence is set to zero. Not frozen, `learn` and `discard` do nothing.
        Raises ValueError for another order.
        """
        known: Order | None = next((o for o in get_args(Order) if o == order), None)
        if known is None:
            raise ValueError(f"a baseline can't be thawed by {order!r}")
        self.facts.thaw(self._names.agents.code(agent_id), known)
        rows = self.streams_of_agent(agent_id)
        frozen = rows[self.kernel.frozen[rows]]
        if order == "restart":
            for row in rows.tolist():
                self._restart(row)
            self.drift.reset(rows)
            return
        self.kernel.frozen[frozen] = False
        if order == "learn":
            self.kernel.learn_all(frozen)
            self.seen[frozen] += self._held[frozen]
            self._ready = None
            self.drift.accept(rows)
        else:
            self.kernel.discard(frozen)
            self.drift.reset(frozen)
        self._held[frozen] = 0
        self.kernel.calm(frozen)
        self._dirty[frozen] = True

    def _restart(self, row: int) -> None:
        at, values = self.ring.last(row)
        recent = values[at >= self._since[row]] if self.kernel.frozen[row] else values[:0]
        self._blank(np.array([row]))
        self.kernel.step(np.full(len(recent), row), recent, np.full(len(recent), 18.0, np.float32))
        self.kernel.calm(np.array([row]))
        self.seen[row], self._held[row] = len(recent), 0
        self._ready = None
        self._dirty[row] = True

    # ---- what others ask

    def normal(self, row: int) -> Normal:
        """Return a stream's baseline as the scan of the onset needs it."""
        state = self.kernel.block[row].astype(np.float64)
        n, k0 = state[AT["n"]], state[AT["prior_n"]]
        posterior = state[AT["mean"]] + (state[AT["prior_mean"]] - state[AT["mean"]]) * (
            k0 / np.maximum(n + k0, 1)
        )
        return Normal(
            centre=np.where(IS_RARE, posterior, state[AT["centre"]]),
            spread=1 / np.maximum(state[AT["inverse"]], 1e-6),
            samples=np.where(n > 0, n + k0, 0),
            phi=state[AT["phi"]],
            raw_mean=state[AT["raw"]],
            interval_slack=self._params.statistic.interval_slack,
        )

    def standing(self, row: int, lanes: Indices | None = None) -> Standing:
        """Say whether a stream may suspect and may fence, on the metrics `lanes` where given."""
        p = self._params.learning
        own = int(self.seen[row])
        if lanes is not None and len(lanes):
            state = self.kernel.block[row]
            waiting = 0 if self.kernel.frozen[row] else state[AT["bn"], lanes]
            own = min(own, int((state[AT["n"], lanes] + waiting).min()))
        return standing_of(int(self.seen[row]), own, lambda: self.ready_peers(row), p)

    def ready_peers(self, row: int) -> int:
        """How many other streams of the same type and kind have a baseline that is ready."""
        least = self._params.learning.samples_ready
        if self._ready is None:
            # in an outage a tick has as many findings as agents: count once for all of them
            used = self.streams.used()
            rows = used[self.seen[used] >= least]
            groups, counts = np.unique(self._groups(rows), return_counts=True)
            self._ready = dict(zip(groups.tolist(), counts.tolist(), strict=True))
        one = np.array([row])
        alike = self._ready.get(int(self._groups(one)[0]), 0) - bool(self.seen[row] >= least)
        return alike if self._types(one)[0] else 0

    def profile(self, agent_id: str, kind: Kind) -> BaselineProfile | None:
        """Return the learned normal in words and bands, or None where nothing was learned."""
        row = self.stream(agent_id, kind)
        if row is None or not self.kernel.block[row, AT["n"]].any():
            return None
        standing = self.standing(row)
        return BaselineProfile(
            agent_id=agent_id,
            kind=kind,
            samples=float(self.seen[row]),
            ready=standing.ready,
            can_fence=standing.can_fence,
            metrics=describe(self.kernel.block[row]),
        )

    def history(self, agent_id: str, kind: Kind, since: float) -> tuple[Float64, Float32]:
        """Return the stored samples from `since` on: times (n,) and values (n, 8), oldest first."""
        row = self.stream(agent_id, kind)
        if row is None:
            return np.zeros(0), np.zeros((0, N_METRICS), np.float32)
        at, values = self.ring.last(row)
        return at[at >= since], values[at >= since]

    def peer_shift(
        self, agent_id: str, kind: Kind, since: float, among: Sequence[str] = ()
    ) -> Float32:
        """Return how far the healthy peers have moved from their own normal since `since`, (8,).

        Peers share the agent's type or provider, are not frozen and have at least five samples;
        or they are the agents `among`, frozen or not, where any are named.
        Units are those of `MetricProfile.centre`, now minus normal: log(1+x), cost in micro-USD,
        the interval not turned; for retries and errors the difference of the rates. Median of the
        peers (trimmed mean for rates); 0 where fewer than three are known.
        """
        row = self.stream(agent_id, kind)
        if row is None:
            return np.zeros(N_METRICS, np.float32)
        used = self.streams.used()
        alike = np.zeros(len(used), np.bool_)
        for fact in (self.facts.agent_type, self.facts.provider):
            own = _of_agents(fact, self.streams.agent[[row]])
            alike |= (_of_agents(fact, self.streams.agent[used]) == own) & (own > 0)
        alike &= (self.streams.kind[used] == self.streams.kind[row]) & (used != row)
        alike &= ~self.kernel.frozen[used]
        if among:
            codes = [self._names.agents.code(name) for name in among]
            alike = np.isin(self.streams.agent[used], codes)
            alike &= (self.streams.kind[used] == self.streams.kind[row]) & (used != row)
        peers = used[alike]
        at, values = self.ring.of(peers)
        values[~(at >= since)] = np.nan
        return shared_shift(values, self.kernel.block[peers], self._params.learning.peers_min)

    # ---- saving

    def dirty(self) -> list[str]:
        """Return the agents whose baselines changed since they were last saved."""
        codes = np.unique(self.streams.agent[self._dirty & (self.streams.agent > 0)])
        return [self._names.agents.text(code) for code in codes.tolist()]

    def save(self, agent_ids: Iterable[str]) -> list[tuple[str, Kind, bytes]]:
        """Return each stream of these agents as bytes; they count as saved."""
        items = []
        for agent_id in agent_ids:
            code = self._names.agents.code(agent_id)
            facts, habits = self.facts.save(code), self.habits.save(code)
            for kind in KINDS:
                row = self.stream(agent_id, kind)
                if row is None:
                    continue
                at, values = self.ring.last(row)
                stored = archive.Stored(
                    block=self.kernel.block[row],
                    frozen=bool(self.kernel.frozen[row]),
                    since=float(self._since[row]),
                    seen=int(self.seen[row]),
                    held=int(self._held[row]),
                    at=at,
                    values=values,
                    facts=facts,
                    habits=habits,
                    drift=self.drift.save(row),
                )
                items.append((agent_id, kind, archive.pack(stored)))
                self._dirty[row] = False
                facts = habits = b""
        return items

    def load(self, items: Iterable[tuple[str, Kind, bytes]]) -> None:
        """Take streams back in, in place of what is known of them.

        Raises ValueError where the bytes are of another version; the streams before it are taken.
        """
        for agent_id, kind, data in items:
            stored = archive.unpack(data)
            code = self._names.agents.code(agent_id)
            if stored.facts:
                self.facts.load(code, stored.facts)
                self.habits.load(code, stored.habits)
            row = self.streams.find(code, KIND_CODE[kind])
            if row is None:
                fresh = self.streams.open(np.array([code * len(KINDS) + KIND_CODE[kind]]))
                self._begin(fresh)
                row = int(fresh[0])
            self.kernel.block[row] = stored.block
            self.kernel.frozen[row] = stored.frozen
            self._since[row], self._held[row] = stored.since, stored.held
            self.seen[row] = stored.seen
            self._ready = None
            self.ring.clear(row)
            self.ring.add(np.full(len(stored.at), row), stored.at, stored.values)
            self.drift.load(row, stored.drift)
            self._dirty[row] = False


def _of_agents(fact: Int32, agents: Int32) -> Int32:
    """Return a fact of these agents, by code; 0 for those that the book does not know yet."""
    known: Int32 = np.where(agents < len(fact), agents, 0).astype(np.int32)
    codes: Int32 = np.where(known > 0, fact[known], 0).astype(np.int32) if len(fact) else 0 * known
    return codes
