"""Each agent's last tool calls one by one, to answer what happened since an onset."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from immune.columns import Bool, CallColumns, Float64, Int32, Int64
from immune.detection.grouping import Indices, Runs, grown
from immune.detection.rule_params import RepetitionParams
from immune.detection.stamps import Stamps, stamps, times

_STAMP_S = 0.002
"""A call may seem older than it is, by half of this."""
_ODD = np.uint64(0x9E3779B97F4A7C15)


@dataclass(frozen=True, slots=True)
class Calls:
    """The calls of one agent since a moment, in their order; arrays of one length."""

    place: Indices
    """In `ToolUse`; -1 where unknown."""
    ok: Bool
    same: Int64
    """Equal for calls with the same tool, arguments and result; 0 where arguments are unknown."""
    at: Float64

    def __len__(self) -> int:
        return len(self.place)

    def repeated(self, params: RepetitionParams) -> tuple[int | None, int]:
        """Return the place and number of the call that makes up at least half of all, if it came
        often enough and too fast for a poll."""
        known = self.same != 0
        if known.sum() < params.repeats:
            return None, 0
        keys, counts = np.unique(self.same[known], return_counts=True)
        most = int(counts.max())
        if most < params.repeats or 2 * most < len(self):
            return None, 0
        equal = np.flatnonzero(self.same == keys[counts.argmax()])
        pace_s = (self.at[equal[-1]] - self.at[equal[0]]) / (most - 1)
        if pace_s >= params.pause_s:
            return None, 0
        return int(self.place[equal[0]]), most


class RecentCalls:
    """A ring of the last calls of every agent; arrays (agents, length)."""

    def __init__(self, length: int) -> None:
        self._length = length
        self._call = np.zeros((0, length), np.int32)
        """2·(place + 1) + ok; 0 where there was no call."""
        self._same = np.zeros((0, length), np.int32)
        self._stamp: Stamps = np.zeros((0, length), np.uint32)
        self._latest = np.zeros(0)
        """End of the step with the latest call."""
        self._head = np.zeros(0, np.int64)

    def grow(self, agents: int) -> None:
        """Make room for `agents` codes."""
        self._call = grown(self._call, agents, 0)
        self._same = grown(self._same, agents, 0)
        self._stamp = grown(self._stamp, agents, 0)
        self._latest = grown(self._latest, agents, 0)
        self._head = grown(self._head, agents, 0)

    def observe(self, runs: Runs, place: Int64, ok: Bool, same: Int32, at: Float64) -> None:
        """Take (m,) calls in the order of `runs`, whose slots are agents."""
        length = runs.last - runs.first + 1
        nth = np.arange(len(place)) - runs.start
        where = (self._head[runs.slot] + nth) % self._length
        who = runs.slot
        if length.max() > self._length:
            # of a burst longer than the ring the last ones count
            late = nth >= np.repeat(length, length) - self._length
            who, where = who[late], where[late]
            place, ok, same, at = place[late], ok[late], same[late], at[late]
        self._call[who, where] = 2 * (place + 1) + ok
        self._same[who, where] = same
        self._stamp[who, where] = stamps(at)
        np.maximum.at(self._latest, who, at)
        ends = runs.slot[runs.last]
        self._head[ends] = (self._head[ends] + length) % self._length

    def since(self, agent: int, since: float) -> Calls:
        """Return the agent's calls since then, to the millisecond."""
        order = (self._head[agent] + np.arange(self._length)) % self._length
        order = order[self._call[agent, order] > 0]
        at = times(self._stamp[agent, order], self._latest[agent])
        lately = at >= since - _STAMP_S
        order, at = order[lately], at[lately]
        call = self._call[agent, order]
        return Calls(
            (call // 2 - 1).astype(np.intp),
            call % 2 == 1,
            self._same[agent, order].astype(np.int64),
            at,
        )

    def forget(self, agent: int) -> None:
        """Drop the agent's calls."""
        self._call[agent] = 0
        self._latest[agent] = 0


def same_calls(calls: CallColumns) -> Int32:
    """Return 31 bits for tool, arguments and result; 0 where the arguments are unknown."""
    mixed = (calls.args_hash ^ calls.tool.astype(np.uint64)) * _ODD
    mixed = ((mixed ^ (mixed >> np.uint64(29))) + calls.result_hash) * _ODD
    folded = (mixed >> np.uint64(33)).astype(np.int32) | 1
    out: Int32 = np.where(calls.args_hash == 0, 0, folded).astype(np.int32)
    return out
