"""The same tool with the same arguments again and again without progress.

Agents loop in cycles: one call over and over, or a ping-pong between two. A streak is a row of
calls each equal to the call p before it, for a cycle of p = 1..4 calls: same tool, same known
arguments, same result or an unknown one. What is not a loop ends the streak: other arguments
(pagination), another result (progress), another session, a wait twice as long as the step
(polling), or longer and longer waits up to a ceiling (back-off). What a person called a false alarm
is told no more.

State is O(1) per agent and kind: the last p calls and the length of the streak for each p.
"""

from __future__ import annotations

from dataclasses import dataclass
from hashlib import blake2b

import msgspec
import numpy as np

from immune.columns import KINDS, Bool, CallColumns, Float64, Names, UInt64, VitalColumns
from immune.detection.findings import Facts, Source, Tier
from immune.detection.grouping import Indices, Runs, grown, last_before, slots_of
from immune.detection.hits import Hit
from immune.detection.rule_params import RepetitionParams
from immune.vitals import Metric

ACCEPTED_MAX = 16
"""Patterns that a person may call normal for one agent; of more the first ones go."""
_ODD = np.uint64(0x9E3779B97F4A7C15)


class SavedPatterns(msgspec.Struct, frozen=True, array_like=True):
    """An agent's loops as stored."""

    told: tuple[int, float] | None
    accepted: tuple[int, ...]


class Repetition:
    """Watches the streaks of all agents; arrays have one slot per agent and kind."""

    def __init__(self, params: RepetitionParams, names: Names) -> None:
        self._params = params
        self._names = names
        cycles = params.cycle_max
        self._calls = np.zeros((0, cycles), np.uint64)
        """The last calls, latest first; 0 where unknown."""
        self._results = np.zeros((0, cycles), np.uint64)
        self._linked = np.zeros((0, cycles), np.int32)
        """For each cycle, calls in a row that were equal to the one a cycle before."""
        self._at = np.zeros(0)
        """End of the last step with a call."""
        self._session = np.zeros(0, np.int64)
        self._since = np.zeros(0)
        """End of the step where the streak began."""
        self._next = np.zeros(0, np.int32)
        """Calls that the streak must have to be told again; 0 if it was not told."""
        self._idle_s = np.zeros(0)
        """Idle seconds before the last step with a call."""
        self._growths = np.zeros(0, np.int32)
        """Times in a row that these have grown."""
        self._least_s = np.zeros(0)
        """The wait that they have grown from."""
        self._tools = np.zeros(0, np.uint64)
        """A number for each tool's name, the same in every process."""
        self._told: dict[int, tuple[int, float]] = {}
        """Pattern of the last loop that was told, and the step that it was told at, by agent."""
        self._accepted: dict[int, list[int]] = {}
        """Patterns that a person called normal, by agent."""

    def observe(self, columns: VitalColumns) -> list[Hit]:
        """Take a batch, each agent's steps in their order; return the streaks that are loops.

        A step hits at most once; a streak hits again only when it has doubled. How the steps are
        cut into batches makes no difference.
        """
        calls = columns.calls
        if not len(calls):
            return []
        self._grow(len(self._names.agents) * len(KINDS))
        runs = Runs.of(slots_of(columns)[calls.row])
        row = calls.row[runs.order].astype(np.intp)
        joined = self._joined(columns, row, runs)
        call, result = self._identity(calls, runs)
        linked, patterns = self._links(call, result, joined, runs)
        streaks = self._streaks(linked, patterns, columns.at[row], runs)
        return self._hits(columns, row, runs, streaks)

    def accept(self, agent: int, since: float) -> None:
        """Take the loop that was last told of this agent as normal, after a person said so; if it
        was told at `since`, epoch seconds, or later."""
        pattern, told_at = self._told.get(agent, (0, -np.inf))
        if told_at >= since:
            del self._told[agent]
            known = self._accepted.setdefault(agent, [])
            known.append(pattern)
            del known[:-ACCEPTED_MAX]

    def save(self, agent: int) -> SavedPatterns:
        """Return what was told and accepted of the agent."""
        return SavedPatterns(self._told.get(agent), tuple(self._accepted.get(agent, ())))

    def load(self, agent: int, saved: SavedPatterns) -> None:
        """Take up what `save` returned."""
        if saved.told is not None:
            self._told[agent] = saved.told
        if saved.accepted:
            self._accepted[agent] = list(saved.accepted)

    def forget(self, agent: int) -> None:
        """End the agent's streaks: after a healing that empties its memory the count is anew."""
        places = self._places(agent)
        self._calls[places] = 0
        self._linked[places] = 0
        self._next[places] = 0

    def retire(self, agent: int) -> None:
        """Drop all state of an agent."""
        self.forget(agent)
        places = self._places(agent)
        self._at[places] = 0
        self._told.pop(agent, None)
        self._accepted.pop(agent, None)

    def _places(self, agent: int) -> slice:
        return slice(agent * len(KINDS), (agent + 1) * len(KINDS))

    def _grow(self, size: int) -> None:
        if len(self._at) < size:
            self._calls = grown(self._calls, size, 0)
            self._results = grown(self._results, size, 0)
            self._linked = grown(self._linked, size, 0)
            self._at = grown(self._at, size, 0)
            self._session = grown(self._session, size, 0)
            self._since = grown(self._since, size, 0)
            self._next = grown(self._next, size, 0)
            self._idle_s = grown(self._idle_s, size, 0)
            self._growths = grown(self._growths, size, 0)
            self._least_s = grown(self._least_s, size, 0)

    def _joined(self, columns: VitalColumns, row: Indices, runs: Runs) -> Bool:
        """Return whether each call follows the one before at the pace of a loop, same session."""
        p = self._params
        took_s = columns.values[:, Metric.LATENCY_MS].astype(np.float64) / 1e3
        latency_s = np.nan_to_num(took_s)
        count = np.bincount(columns.calls.row, minlength=len(columns))
        joined: Bool = latency_s[row] < p.slow_s * count[row]
        head = np.ones(len(row), np.bool_)
        head[1:] = (row[1:] != row[:-1]) | (runs.slot[1:] != runs.slot[:-1])
        heads = np.flatnonzero(head)
        step = row[heads]
        slot = runs.slot[heads]
        opens = np.zeros(len(row), np.bool_)
        opens[runs.first] = True
        opens = opens[heads]

        before = np.where(opens, self._at[slot], np.roll(columns.at[step], 1))
        gap_s = columns.at[step] - before
        idle_s = gap_s - latency_s[step]
        joined[heads] = (gap_s < p.slow_s) & (idle_s < p.pause_s)
        joined[heads] &= ~((idle_s >= p.poll_s) & (idle_s >= p.poll_times * took_s[step]))
        joined[heads] &= ~self._backs_off(slot, idle_s)
        if columns.session_id is not None or self._session.any():
            session = self._sessions(columns, step)
            joined[heads] &= session == np.where(opens, self._session[slot], np.roll(session, 1))
            self._session[slot] = session
        return joined

    def _backs_off(self, slot: Indices, idle_s: Float64) -> Bool:
        """Return whether each of these steps, in the order of runs, waited longer than the one
        before it, and that longer than the one before, and so on, or as long since it did."""
        p = self._params
        backs_off = np.zeros(len(slot), np.bool_)
        for rows, slots in Runs.of(slot).rounds():
            before, now = self._idle_s[slots], idle_s[rows]
            growths = self._growths[slots]
            grew = now >= p.back_off_growth * before
            at_ceiling = (growths >= p.back_off_steps) & (now >= before / 2)
            at_ceiling &= now >= p.back_off_held * self._least_s[slots]
            goes_on = (now >= p.back_off_s) & (grew | at_ceiling)
            growths = np.where(goes_on, growths + grew, 0)
            self._least_s[slots] = np.where(growths > 0, self._least_s[slots], now)
            self._growths[slots] = growths
            self._idle_s[slots] = np.maximum(now, 0)
            backs_off[rows] = growths >= p.back_off_steps
        return backs_off

    def _sessions(self, columns: VitalColumns, step: Indices) -> Indices:
        if columns.session_id is None:
            return np.zeros(len(step), np.intp)
        ids = columns.session_id
        return np.array([0 if ids[i] is None else hash(ids[i]) for i in step.tolist()], np.intp)

    def _identity(self, calls: CallColumns, runs: Runs) -> tuple[UInt64, UInt64]:
        """Return tool and arguments as one number, 0 where the arguments are unknown, and
        result."""
        facts = self._names.facts
        if len(self._tools) < len(facts):
            fresh = [_number(facts.text(code)) for code in range(len(self._tools), len(facts))]
            self._tools = np.concatenate([self._tools, np.array(fresh, np.uint64)])
        args = calls.args_hash[runs.order]
        call = (args ^ self._tools[calls.tool[runs.order]]) * _ODD
        # a call whose number happens to be 0 must not look unknown
        call = np.where(args == 0, np.uint64(0), np.maximum(call, np.uint64(1)))
        return call, calls.result_hash[runs.order]

    def _links(
        self, call: UInt64, result: UInt64, joined: Bool, runs: Runs
    ) -> tuple[Indices, UInt64]:
        """Return (cycles, m) streaks so far, in calls, and (cycles, m) the patterns of the last
        1, 2, ... calls; store the last calls of each run."""
        cycles = self._params.cycle_max
        m, g = len(call), len(runs.first)
        slots = runs.slot[runs.first]
        # each run is led by the calls remembered from before it, oldest first
        shift = cycles * (np.repeat(np.arange(g), runs.last - runs.first + 1) + 1)
        place = np.arange(m) + shift
        lead = (runs.first + cycles * np.arange(g))[:, None] + np.arange(cycles)
        calls = np.empty(m + cycles * g, np.uint64)
        results = np.empty(m + cycles * g, np.uint64)
        calls[place], results[place] = call, result
        calls[lead], results[lead] = self._calls[slots, ::-1], self._results[slots, ::-1]

        linked = np.zeros((cycles, m), np.int64)
        open_to_link = joined & (call != 0)
        for back in range(1, cycles + 1):
            # few calls of a healthy fleet are equal: look closer at these alone
            some = np.flatnonzero(open_to_link & (call == calls[place - back]))
            now, prior = result[some], results[place[some] - back]
            some = some[(now == prior) | (now == 0) | (prior == 0)]
            if not len(some):
                continue
            opens = some == runs.start[some]
            head = opens.copy()
            head[0] = True
            head[1:] |= some[1:] != some[:-1] + 1
            begin = np.maximum.accumulate(np.where(head, np.arange(len(some)), 0))
            carried = np.where(opens[begin], self._linked[runs.slot[some], back - 1], 0)
            linked[back - 1, some] = np.arange(len(some)) - begin + 1 + carried
        tail = place[runs.last][:, None] - np.arange(cycles)
        self._calls[slots], self._results[slots] = calls[tail], results[tail]
        # a sum: wherever in its cycle a loop is told, it is the same
        ago = np.arange(cycles)[:, None]
        patterns: UInt64 = np.cumsum(calls[place - ago], axis=0, dtype=np.uint64)
        return linked, patterns

    def _streaks(self, linked: Indices, patterns: UInt64, at: Float64, runs: Runs) -> _Streaks:
        alone = np.ones(linked.shape[1], np.bool_)
        for chain in linked:
            alone &= chain == 0
        begin = last_before(alone, runs.start)
        slots, ends = runs.slot[runs.last], runs.last
        goes_on = begin[ends] < runs.start[ends]
        known_since, known_next = self._since[slots], self._next[slots]
        self._since[slots] = np.where(goes_on, known_since, at[np.maximum(begin[ends], 0)])
        self._next[slots] = np.where(goes_on, known_next, 0)
        self._linked[slots] = linked[:, ends].T
        self._at[slots] = at[ends]

        some = np.flatnonzero(~alone)
        chains = linked[:, some]
        cycle = np.arange(1, len(linked) + 1)[:, None]
        often = chains // cycle + 1
        repeats = often.max(axis=0)
        length = np.where(chains > 0, chains + cycle, 1).max(axis=0)
        run = np.searchsorted(runs.first, some, "right") - 1
        older = begin[some] < runs.start[some]
        told = np.where(older, known_next[run], 0)
        since = np.where(older, known_since[run], at[np.maximum(begin[some], 0)])
        due = (repeats >= self._params.repeats) & (length >= told)
        return _Streaks(
            some[due],
            repeats[due],
            length[due],
            begin[some[due]],
            since[due],
            begin[some[due]] == begin[ends][run[due]],
            patterns[often.argmax(axis=0)[due], some[due]],
        )

    def _hits(
        self, columns: VitalColumns, row: Indices, runs: Runs, streaks: _Streaks
    ) -> list[Hit]:
        # the last due call of each step speaks for the step
        steps = row[streaks.call]
        speaks = np.ones(len(steps), np.bool_)
        speaks[:-1] = steps[1:] != steps[:-1]
        told: dict[tuple[int, int], int] = {}
        hits: list[Hit] = []
        for i in np.flatnonzero(speaks).tolist():
            call = int(streaks.call[i])
            slot, length = int(runs.slot[call]), int(streaks.length[i])
            streak = (slot, int(streaks.begin[i]))
            agent, pattern = slot // len(KINDS), int(streaks.pattern[i])
            if length < told.get(streak, 0) or pattern in self._accepted.get(agent, ()):
                continue
            self._told[agent] = pattern, float(columns.at[steps[i]])
            told[streak] = 2 * length
            if streaks.lasts[i]:
                self._next[slot] = 2 * length
            tool = self._names.facts.text(int(columns.calls.tool[runs.order[call]]))
            hits.append(
                Hit(
                    agent=agent,
                    kind=slot % len(KINDS),
                    at=float(columns.at[steps[i]]),
                    tier=Tier.QUARANTINE,
                    source=Source.REPETITION,
                    facts=Facts(repeated_tool=tool, repeats=int(streaks.repeats[i])),
                    severity_floor=self._params.severity_floor,
                    onset_at=float(streaks.since[i]),
                )
            )
        return hits


@dataclass(frozen=True, slots=True)
class _Streaks:
    """The calls that are worth a hit, and the streak that each is the latest of."""

    call: Indices
    repeats: Indices
    length: Indices
    """In calls."""
    begin: Indices
    """Its first call's place, or before its run where the streak is older than the batch."""
    since: Float64
    lasts: Bool
    """Whether the batch leaves it unbroken."""
    pattern: UInt64
    """Of the calls in its cycle."""


def _number(text: str) -> int:
    return int.from_bytes(blake2b(text.encode(), digest_size=8).digest(), "little")
