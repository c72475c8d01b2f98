"""Whose clock is off: a delay that stays is told from one that passes.

What one request brings of one agent from one source is a delivery; its delay is the age of its
newest step when it came. Transport makes that delay vary, from its floor upwards. A clock that is
behind (or ahead) moves the floor itself, and there it stays. So the delays of an agent's deliveries
are sorted into at most `MODES` narrow modes, each from one floor: one that is hit again and again
for a minute, and is not undercut, is a clock's offset. Steps of it are moved by that offset, onto
the agent's best clock. A backlog runs through many modes and stays in none.

Only agents with a delivery more than `order_s` off are watched, for an hour after the last such.
What moved a step is told with it: whether a step is fresh is judged by its host's own word.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import msgspec
import numpy as np
import numpy.typing as npt

from immune.columns import Bool, Float64, Int32, VitalColumns
from immune.detection.grouping import Indices, Runs, grown

MODES = 8
"""Delays of an agent that are kept apart: hosts with a clock that is off, and stragglers."""
STEADY_S = 60.0
"""For so long, at least, deliveries have come with the delay of a steady mode."""
STEADY_HITS = 16
UNDERCUT = 4
"""A steady mode has so many hits, where each delivery that undercut it takes back `UNDERCUT`. Of
delays that fall anywhere within a minute, as many undercut as hit: no mode gets there."""
HITS_MAX = 32
OFFSET_MAX_S = 900.0
"""A clock that is further behind is told, and not put right: it may be old steps that are sent at
their own pace."""
LATELY_S = 600.0
"""A mode without a delivery for so long counts no more as one of the present."""
FORGET_S = 3600.0
"""An agent of which no delivery was off for so long is watched no more."""
_EVER_S = 1e12
"""More than any epoch second."""


class Offset(NamedTuple):
    """A clock that is off."""

    code: int
    """Of the agent that reports by it."""
    behind_s: float
    """Negative where it is ahead."""

    @property
    def put_right(self) -> bool:
        """Whether its steps are moved where the agent has a better clock."""
        return self.behind_s <= OFFSET_MAX_S


class SavedClocks(msgspec.Struct, frozen=True, array_like=True):
    """An agent's steady modes as stored."""

    best_s: float
    modes: tuple[tuple[float, float], ...]
    """The least and the greatest delay of each."""


class _Deliveries(NamedTuple):
    """n deliveries, in the order of their agents and then as they came."""

    agent: Int32
    came_at: Float64
    delay_s: Float64
    of: Indices
    """The delivery of each of the m vitals that they hold, (m,)."""


class Skew:
    """The delays of the agents that are watched: one row an agent, some 300 bytes."""

    def __init__(self, order_s: float) -> None:
        """Delays up to `order_s` are put right by ordering alone."""
        self._order_s = order_s
        self._width_s = order_s / 2
        """Of a mode, and of the space below it that must stay empty."""
        self._row = np.zeros(0, np.int32)
        """By agent: 1 + its row, 0 for who is not watched."""
        self._free: list[int] = []
        self._forget_at = 0.0
        self._agent = np.zeros(0, np.int32)
        """The agent of each row; of a free one it means nothing."""
        self._best_s = np.zeros(0)
        """The least delay of the row's agent, 0 at least: that of its best clock."""
        self._off_at = np.zeros(0)
        """When the last delivery came that was off; 0 in a free row."""
        self._low = np.zeros((0, MODES))
        self._high = np.zeros((0, MODES))
        self._since = np.zeros((0, MODES))
        self._last = np.zeros((0, MODES))
        self._hits = np.zeros((0, MODES), np.int32)
        """Hits less undercuts; 0 where the place is free."""

    @property
    def watched(self) -> int:
        """Agents whose delays are kept."""
        return len(self._agent) - len(self._free)

    def offsets(self, columns: VitalColumns, newest: Float64) -> Float64 | None:
        """Learn from a batch; return by how much each row's `at` is to be moved, seconds, (n,).

        None where nothing is. `newest` is the latest `at` before the batch of each agent and kind,
        by their codes, -inf where there is none.
        """
        self._row = grown(self._row, len(newest), 0)
        arrived = columns.received_at > 0
        delay = np.where(arrived, columns.received_at - columns.at, 0.0)
        odd = np.abs(delay) > self._order_s
        if odd.any():
            looked_at = self._row > 0
            looked_at[columns.agent[odd]] = True
        elif self.watched:
            looked_at = self._row > 0
        else:
            return None
        vitals = np.flatnonzero(looked_at[columns.agent] & arrived)
        if not len(vitals):
            return None
        found = _deliveries(columns, vitals, delay)
        off = np.abs(found.delay_s) > self._order_s
        self._watch(found, off, newest)
        row = self._row[found.agent].astype(np.intp) - 1
        watched = np.flatnonzero(row >= 0)
        self._off_at[row[off]] = found.came_at[off]
        for places, rows in Runs.of(row[watched]).rounds():
            which = watched[places]
            self._learn(rows, found.delay_s[which], found.came_at[which])
        moved = np.zeros(len(row))
        moved[watched] = self._moved(row[watched], found.delay_s[watched])
        self._forget(float(found.came_at.max()))
        if not moved.any():
            return None
        offsets = np.zeros(len(columns))
        offsets[vitals] = moved[found.of]
        return offsets

    def off(self, now: float) -> list[Offset]:
        """The clocks that are off at present, by agent, the one furthest off first."""
        there = self._off_at > 0
        told = self._is_steady() & there[:, None] & (now - self._last <= LATELY_S)
        told &= np.abs(self._low) > self._order_s
        found = [
            Offset(int(self._agent[row]), float(self._low[row, mode]))
            for row, mode in zip(*(places.tolist() for places in np.nonzero(told)), strict=True)
        ]
        return sorted(found, key=lambda offset: -abs(offset.behind_s))

    def retire(self, codes: npt.NDArray[np.intp]) -> None:
        """Watch these agents no more."""
        known = codes[codes < len(self._row)]
        rows = self._row[known].astype(np.intp) - 1
        self._release(rows[rows >= 0])

    # ---- storing

    def save(self) -> dict[int, SavedClocks]:
        """Return the steady modes of each agent that has one that is off, by its code."""
        steady = self._is_steady()
        off = (steady & (np.abs(self._low) > self._order_s)).any(axis=1) & (self._off_at > 0)
        return {
            int(self._agent[row]): SavedClocks(
                float(self._best_s[row]),
                tuple(
                    (float(self._low[row, mode]), float(self._high[row, mode]))
                    for mode in np.flatnonzero(steady[row]).tolist()
                ),
            )
            for row in np.flatnonzero(off).tolist()
        }

    def load(self, code: int, saved: SavedClocks, now: float) -> None:
        """Take up what `save` told of an agent that is not watched, as if it was seen at `now`."""
        self._row = grown(self._row, code + 1, 0)
        if self._row[code]:
            return
        (row,) = self._rows_for(np.array([code], np.int32))
        self._best_s[row], self._off_at[row] = saved.best_s, now
        for mode, (low, high) in enumerate(saved.modes[:MODES]):
            self._low[row, mode], self._high[row, mode] = low, high
            self._since[row, mode], self._last[row, mode] = now - STEADY_S, now
            self._hits[row, mode] = HITS_MAX

    # ---- who is watched

    def _watch(self, found: _Deliveries, off: Bool, newest: Float64) -> None:
        """Begin to watch those whose deliveries are off, each from its first such on."""
        agents, first = np.unique(found.agent[off], return_index=True)
        new = self._row[agents] == 0
        agents, first = agents[new], first[new]
        if not len(agents):
            return
        rows = self._rows_for(agents)
        # somebody was as near as this to the present, maybe by another clock
        self._best_s[rows] = np.maximum(found.came_at[off][first] - newest[agents].max(axis=1), 0)

    def _rows_for(self, agents: Int32) -> Indices:
        """Give each of these agents a row; none has one."""
        missing = len(agents) - len(self._free)
        if missing > 0:
            size = len(self._agent)
            more = size + missing
            self._agent, self._best_s = grown(self._agent, more, 0), grown(self._best_s, more, 0)
            self._off_at, self._hits = grown(self._off_at, more, 0), grown(self._hits, more, 0)
            self._low, self._high = grown(self._low, more, 0), grown(self._high, more, 0)
            self._since, self._last = grown(self._since, more, 0), grown(self._last, more, 0)
            self._free += range(size, len(self._agent))
        rows = np.array([self._free.pop() for _ in range(len(agents))], np.intp)
        self._row[agents] = rows + 1
        self._agent[rows] = agents
        return rows

    def _forget(self, now: float) -> None:
        if now < self._forget_at:
            return
        self._forget_at = now + LATELY_S
        self._release(np.flatnonzero((self._off_at > 0) & (now - self._off_at > FORGET_S)))

    def _release(self, rows: Indices) -> None:
        self._row[self._agent[rows]] = 0
        self._off_at[rows] = 0
        self._hits[rows] = 0
        self._free += rows.tolist()

    # ---- their delays

    def _learn(self, rows: Indices, delay: Float64, came_at: Float64) -> None:
        """Take in one delivery of each of these rows."""
        self._best_s[rows] = np.minimum(self._best_s[rows], np.maximum(delay, 0))
        d, hits = delay[:, None], self._hits[rows]
        low, high = self._low[rows], self._high[rows]
        used, width = hits > 0, self._width_s
        fits = used & (d >= high - width) & (d <= low + width)
        hit = np.asarray(fits.any(axis=1))
        undercut = used & ~fits & (d < low) & (d >= low - width)
        hits[undercut] = np.maximum(hits[undercut] - UNDERCUT, 0)

        # a mode of the present that is steady makes room for nobody
        kept = self._is_steady(rows) & (came_at[:, None] - self._last[rows] <= LATELY_S)
        use: Float64 = np.where(kept, np.inf, hits * _EVER_S + self._last[rows])
        place = np.where(hit, fits.argmax(axis=1), use.argmin(axis=1))
        here = np.arange(len(rows))
        takes = hit | np.isfinite(use[here, place])
        here, place = here[takes], place[takes]
        hit, delay, came_at, taking = hit[takes], delay[takes], came_at[takes], rows[takes]
        hits[here, place] = np.where(hit, np.minimum(hits[here, place] + 1, HITS_MAX), 1)
        self._hits[rows] = hits
        self._low[taking, place] = np.where(hit, np.minimum(low[here, place], delay), delay)
        self._high[taking, place] = np.where(hit, np.maximum(high[here, place], delay), delay)
        self._since[taking, place] = np.where(hit, self._since[taking, place], came_at)
        self._last[taking, place] = came_at

    def _is_steady(self, rows: Indices | slice = slice(None)) -> Bool:
        """Which modes of these rows (all) are a clock's offset, (g, MODES)."""
        lasted_s = self._last[rows] - self._since[rows]
        steady: Bool = (self._hits[rows] >= STEADY_HITS) & (lasted_s >= STEADY_S)
        return steady

    def _moved(self, rows: Indices, delay: Float64) -> Float64:
        """By how much the steps of deliveries with these delays are moved, (n,)."""
        low, d = self._low[rows], delay[:, None]
        fits = self._is_steady(rows) & (low <= np.minimum(d, OFFSET_MAX_S))
        fits &= (low >= 0) | (d - low <= self._order_s)
        offset = np.where(fits, low, -np.inf).max(axis=1)
        return np.where(np.isfinite(offset), offset - self._best_s[rows], 0.0)


def _deliveries(columns: VitalColumns, vitals: Indices, delay: Float64) -> _Deliveries:
    """Join these vitals, rows of the batch, by agent, source and the time that they came."""
    keys: list[npt.NDArray[Any]] = [columns.received_at[vitals], columns.agent[vitals]]
    if columns.source is not None:
        keys.insert(0, columns.source[vitals])
    order = np.lexsort(keys)
    head = np.zeros(len(order), np.bool_)
    head[0] = True
    for key in keys:
        head[1:] |= key[order[1:]] != key[order[:-1]]
    first = np.flatnonzero(head)
    of = np.empty(len(order), np.intp)
    of[order] = np.cumsum(head) - 1
    one = vitals[order[first]]
    least = np.minimum.reduceat(delay[vitals[order]], first)
    return _Deliveries(columns.agent[one], columns.received_at[one], least, of)
