"""A fleet of simulated agents: state, chance, and the steps that come of them.

Time is handed in. The only ways to change an agent from outside are the link (actions and fences)
and `chaos` (infections); both write `state`, and nobody else does.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from immune.columns import KIND_CODE, Bool, Float64, Int64, Names, VitalColumns
from immune.errors import InvalidInput, NotFound
from immune.simulation import law as laws
from immune.simulation.calls import draw_calls
from immune.simulation.history import windows
from immune.simulation.law import Law, law_of
from immune.simulation.noise import Chance, Noise
from immune.simulation.state import FleetState
from immune.vitals import N_METRICS, Kind, Metric

JITTER = 0.1
"""Relative half-width of the interval between two steps."""

RUN = KIND_CODE[Kind.RUN]


class SimulatedFleet:
    """n agents that step about once every `interval_s`.

    `names` are the running system's interners; `start_at` is in epoch seconds. The same seed and
    the same orders at the same times give the same vitals.
    """

    def __init__(
        self,
        agents: int = 15,
        *,
        seed: int = 0,
        noise: str = Noise.REAL,
        names: Names | None = None,
        start_at: float = 1_700_000_000.0,
        interval_s: float = 1.0,
    ) -> None:
        if agents < 1:
            raise InvalidInput("agents", "must be at least 1")
        if noise not in tuple(Noise):
            raise InvalidInput("noise", f"must be one of {', '.join(Noise)}")
        self.seed = seed
        self.names = names if names is not None else Names()
        self.start_at = start_at
        self.now = start_at
        """Time of the latest `step`, epoch seconds."""
        self.interval_s = interval_s
        self._rng = np.random.default_rng([seed, 0])
        self.state = FleetState(agents, self._rng, self.names)
        self.codes = np.array([self.names.agents.code(i) for i in self.state.ids], np.int32)
        """(n,): codes of `names.agents`."""
        self.fenced: Bool = np.zeros(agents, np.bool_)
        self.steps_made = 0
        self.steps_refused = 0
        self._chance = Chance(Noise(noise), agents, self._rng)
        self._next_at: Float64 = start_at + interval_s * self._rng.random(agents)
        self._law = law_of(self.state, interval_s, self.codes)
        self._law_version = self.state.version
        self._mend_at = self.state.next_mend()
        codes = self.names.facts.code
        self._failed = codes("task_failed")
        self._overloaded = codes("provider_error")

    def __len__(self) -> int:
        return self.state.n

    @property
    def agent_ids(self) -> tuple[str, ...]:
        return tuple(self.state.ids)

    def place(self, agent_id: str) -> int:
        """Row of an agent in the arrays. Raises NotFound."""
        try:
            return self.state.index[agent_id]
        except KeyError:
            raise NotFound(f"no simulated agent is called {agent_id!r}") from None

    def fence(self, agent_id: str, refused: bool) -> None:
        """Make the agent's calls be refused, or let them through."""
        self.fenced[self.place(agent_id)] = refused

    @property
    def law(self) -> Law:
        """The law that the present state implies."""
        if self._law_version != self.state.version:
            self._law = law_of(self.state, self.interval_s, self.codes)
            self._law_version = self.state.version
            self._mend_at = self.state.next_mend()
        return self._law

    def step(self, now: float) -> VitalColumns:
        """All steps that ended since the last call and until `now`, in order of their end.

        A fenced agent's steps are refused and counted; a silent agent tries none. The state as it
        is at the call holds for all of them; what was due to mend by `now` is well after it.
        """
        who, at, turn = self._due(now)
        trying = self.law.steps[who]
        refused = trying & self.fenced[who]
        made = trying & ~self.fenced[who]
        self.steps_refused += int(np.count_nonzero(refused))
        self.steps_made += int(np.count_nonzero(made))
        if not made.all():
            who, at, turn = who[made], at[made], turn[made]
        columns = self._vitals(who, at, turn, np.full(len(who), now))
        self.now = max(self.now, now)
        if now >= self._mend_at:
            self.state.mend(now)
        return columns

    def history(self, seconds: float, until: float | None = None) -> Iterator[VitalColumns]:
        """The `seconds` before `until` (its start, if not given) in big batches, sorted by `at`.

        As if each batch had been taken in step by step: `received_at` is `at`. Afterwards `step`
        goes on from `until`.
        """
        end = self.start_at if until is None else until
        begin = end - seconds
        self._next_at = begin + self.interval_s * self._rng.random(len(self))
        for window_end in windows(begin, end, len(self) / self.interval_s):
            who, at, turn = self._due(window_end)
            self.steps_made += len(who)
            yield self._vitals(who, at, turn, at.copy())

    def _due(self, now: float) -> tuple[Int64, Float64, Int64]:
        """Agents, ends and turns of all steps due until `now`, by end; moves the schedule on."""
        due = np.flatnonzero(self._next_at <= now)
        if not len(due):
            return due, np.empty(0), due
        next_at = self._next_at[due]
        interval = self.law.interval_s[due]
        most = int((now - next_at.min()) / (interval.min() * (1.0 - JITTER))) + 1
        gaps = self._rng.uniform(1.0 - JITTER, 1.0 + JITTER, (len(due), most))
        ends = np.empty((len(due), most + 1))
        ends[:, 0] = next_at
        np.cumsum(gaps * interval[:, None], axis=1, out=ends[:, 1:])
        ends[:, 1:] += next_at[:, None]
        done = ends <= now
        counts = done.sum(1)
        self._next_at[due] = ends[np.arange(len(due)), counts]
        place, turn = np.nonzero(done)
        at = ends[done]
        order = np.argsort(at, kind="stable")
        return due[place[order]], at[order], turn[order]

    def _vitals(self, who: Int64, at: Float64, turn: Int64, received_at: Float64) -> VitalColumns:
        law, state = self.law, self.state
        m = len(who)
        rows = law.table[who]
        values = np.full((m, N_METRICS), np.nan, np.float32)
        sizes = self._chance.sizes(rows, who, turn)
        tokens = np.maximum(np.rint(sizes[:, 1:]), 1.0)
        values[:, Metric.LATENCY_MS] = sizes[:, 0]
        values[:, Metric.INPUT_TOKENS : Metric.OUTPUT_TOKENS + 1] = tokens
        values[:, Metric.COST_USD] = (tokens * rows[:, laws.PRICE]).sum(1)

        free = self._rng.poisson(rows[:, laws.FREE])
        loop = self._rng.poisson(rows[:, laws.LOOP]) if law.loops else None
        values[:, Metric.TOOL_CALLS] = free if loop is None else free + loop

        luck = self._rng.random((m, 2))
        retried = luck[:, 0] < rows[:, laws.RETRY]
        by_tool = luck[:, 0] < rows[:, laws.TOOL_RETRY]
        in_run = self._chance.runs(who, turn)
        if in_run is not None:
            retried |= in_run
        values[:, Metric.RETRIES] = self._chance.retries(retried)
        failed = luck[:, 1] < rows[:, laws.ERROR]
        values[:, Metric.ERRORS] = failed
        error_type = np.where(failed, self._failed, 0).astype(np.int32)
        error_type[luck[:, 1] < rows[:, laws.PROVIDER_ERROR]] = self._overloaded

        codes = law.codes[who]
        return VitalColumns(
            agent=codes[:, laws.AGENT].copy(),
            kind=np.full(m, RUN, np.uint8),
            at=at,
            received_at=received_at,
            values=values,
            agent_type=codes[:, laws.TYPE].copy(),
            model=codes[:, laws.MODEL].copy(),
            provider=codes[:, laws.PROVIDER].copy(),
            prompt_hash=codes[:, laws.PROMPT].copy(),
            error_type=error_type,
            calls=draw_calls(
                self._rng,
                law,
                state.tool_code,
                who,
                free,
                loop,
                retried,
                by_tool,
                state.loop_slot,
                state.loop_hashes,
            ),
        )
