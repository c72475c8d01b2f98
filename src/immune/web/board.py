"""What every viewer of the fleet has been told, and what has changed since.

A viewer takes the whole board once and the changes from then on. Both are made for all viewers
together, from what was told and not from what is: so whoever comes later sees the same. What does
not fit into a second's allowance waits, the most telling changes first.
"""

from __future__ import annotations

from typing import NamedTuple, Protocol

import msgspec
import numpy as np
import numpy.typing as npt

from immune.columns import Float32, Int32
from immune.ports import AgentRow
from immune.roster import STATES, FleetColumns

Ints = npt.NDArray[np.int32]

EVIDENCE_STEP = 5
"""Percent of the quarantine's threshold that are news: less is noise."""
COST_STEP = 0.25
"""Relative change of an agent's spending that is news."""
LOOK_ROUND = 15
"""Ticks in which every agent's facts and spending are looked at once."""
JOINED_MAX = 100
"""Agents that may join in one tick; with more, viewers take the whole board anew."""

DRIFT_BYTES = 2_000
"""What the evidence of one tick may take: it always moves, and a burst is for what happened."""

ROW_BYTES, PAIR_BYTES, JOINED_BYTES = 28, 9, 80
"""About what one changed agent, one value, and one new agent take as JSON."""

FENCED, ENFORCED, ACTIVE, SHARED = 1, 2, 4, 8


class Source(Protocol):
    """What the board reads: the `Roster`."""

    def columns(self) -> FleetColumns: ...

    def row(self, code: int) -> AgentRow: ...

    def usd_per_hour(self, codes: Int32) -> Float32: ...


class FleetMoved(msgspec.Struct, frozen=True, omit_defaults=True):
    """What changed in one tick. Agents are named by their place on the board."""

    tick: int
    reset: bool = False
    """Too much changed at once: take the whole board anew."""
    joined: list[tuple[str, str, str, str]] = []
    """Id, type, model and provider of the agents that come next on the board."""
    facts: list[tuple[int, str, str, str]] = []
    """Place, type, model, provider."""
    rows: list[tuple[int, int, int, int, str]] = []
    """Place, state, severity in tenths, flags, open incident's id."""
    evidence: list[int] = []
    """Place, percent of what quarantines; again and again."""
    cost: list[float] = []
    """Place, USD an hour; again and again."""


class FleetBoard(msgspec.Struct, frozen=True):
    """The whole fleet, in columns of one length; the place on the board is the index."""

    tick: int
    """Changes of later ticks are to be applied, earlier ones are in here."""
    states: tuple[str, ...]
    words: list[str]
    """Types, models and providers; columns hold places in it."""
    ids: list[str]
    types: list[int]
    models: list[int]
    providers: list[int]
    state: list[int]
    evidence: list[int]
    """Percent of what quarantines the agent."""
    severity: list[int]
    """Tenths, 0..100."""
    flags: list[int]
    """1 fenced, 2 enforced, 4 active, 8 named by an open fleet incident."""
    cost: list[float]
    """USD an hour over the last stored steps; -1 where unknown."""
    cases: dict[int, str]
    """Place -> open incident's id."""


class _Changing(NamedTuple):
    """The fleet as it is, in the board's units and by its places."""

    state: Ints
    evidence: Ints
    severity: Ints
    flags: Ints
    case: dict[int, str]
    """Open incident's id, of those who have one."""


class Board:
    """The board and its changes."""

    def __init__(self, source: Source) -> None:
        self._source = source
        self.tick = 0
        self._look_from = 0
        self._rows: list[AgentRow] = []
        self._codes: Ints = np.zeros(0, np.int32)
        self._place: Ints = np.zeros(0, np.int32)
        """By agent code; -1 where it is not on the board."""
        none = np.zeros(0, np.int32)
        self._told = _Changing(none, none, none, none, {})
        self._cost: Float32 = np.zeros(0, np.float32)

    def advance(self, now: FleetColumns, allowance: int) -> FleetMoved:
        """Take in the fleet as it is; say what is news, in about `allowance` bytes."""
        self.tick += 1
        gone = self._forget_gone(now)
        joined, many = self._join(now, allowance)
        if gone or many:
            self._told = self._current(now)
            self._look(PAIR_BYTES * len(self._rows))
            return FleetMoved(self.tick, reset=True)
        allowance -= JOINED_BYTES * len(joined)
        facts, cost = self._look(min(max(allowance, 0), DRIFT_BYTES) // 4)
        allowance -= ROW_BYTES * len(facts) + PAIR_BYTES * len(cost) // 2
        current = self._current(now)
        rows = self._move(current, max(allowance, 0) // ROW_BYTES)
        allowance -= ROW_BYTES * len(rows)
        drift = min(max(allowance, 0), DRIFT_BYTES)
        evidence = self._shift(current.evidence, drift // PAIR_BYTES)
        return FleetMoved(self.tick, False, joined, facts, rows, evidence, cost)

    def _forget_gone(self, now: FleetColumns) -> bool:
        """Take those off the board who were retired; the places of the others change."""
        here = np.isin(self._codes, now.code)
        if here.all():
            return False
        self._rows = [row for row, stays in zip(self._rows, here.tolist(), strict=True) if stays]
        self._codes, self._cost = self._codes[here], self._cost[here]
        self._place[:] = -1
        self._place[self._codes] = np.arange(len(self._codes))
        told = self._told
        self._told = _Changing(
            told.state[here], told.evidence[here], told.severity[here], told.flags[here], {}
        )
        return True

    # --- who is there ------------------------------------------------------------------------

    def _join(
        self, now: FleetColumns, allowance: int
    ) -> tuple[list[tuple[str, str, str, str]], bool]:
        size = int(now.code.max(initial=0)) + 1
        if size > len(self._place):
            grown = np.full(size + size // 8, -1, np.int32)
            grown[: len(self._place)] = self._place
            self._place = grown
        new = now.code[self._place[now.code] < 0]
        if not len(new):
            return [], False
        many = len(new) > JOINED_MAX or JOINED_BYTES * len(new) > allowance
        rows = [self._source.row(code) for code in new.tolist()]
        self._place[new] = np.arange(len(self._rows), len(self._rows) + len(new))
        self._rows += rows
        self._codes = np.concatenate([self._codes, new])
        blank = np.zeros(len(new), np.int32)
        # an agent joins as learning, and the same tick tells what it is else
        learning = np.full(len(new), STATES.index("learning"), np.int32)
        told = self._told
        self._told = _Changing(
            np.concatenate([told.state, learning]),
            np.concatenate([told.evidence, blank]),
            np.concatenate([told.severity, blank]),
            np.concatenate([told.flags, blank]),
            told.case,
        )
        if many:
            self._cost = np.concatenate([self._cost, _rounded(self._source.usd_per_hour(new))])
            return [], True
        self._cost = np.concatenate([self._cost, np.full(len(new), -1, np.float32)])
        return [(r.agent_id, r.agent_type, r.model, r.provider) for r in rows], False

    def _look(self, allowance: int) -> tuple[list[tuple[int, str, str, str]], list[float]]:
        """Look at a part of the agents for changed facts and changed spending."""
        count = len(self._rows)
        if not count:
            return [], []
        part = np.arange(self._look_from, count, LOOK_ROUND)
        self._look_from = (self._look_from + 1) % LOOK_ROUND
        facts = []
        for place in part.tolist():
            row = self._source.row(int(self._codes[place]))
            before = self._rows[place]
            if (row.agent_type, row.model, row.provider) != (
                before.agent_type,
                before.model,
                before.provider,
            ):
                facts.append((place, row.agent_type, row.model, row.provider))
                self._rows[place] = row
        usd = _rounded(self._source.usd_per_hour(self._codes[part]))
        before_usd = self._cost[part]
        changed = np.abs(usd - before_usd) > COST_STEP * np.maximum(np.abs(before_usd), 1e-4)
        size = np.abs(usd - before_usd)[changed]
        news = _largest(np.flatnonzero(changed), size, allowance // PAIR_BYTES)
        self._cost[part[news]] = usd[news]
        pairs = zip(part[news].tolist(), usd[news].tolist(), strict=True)
        return facts, [number for place, value in pairs for number in (place, _short(value))]

    # --- how they are ------------------------------------------------------------------------

    def _current(self, now: FleetColumns) -> _Changing:
        place = self._place[now.code]
        told = self._told
        current = _Changing(
            told.state.copy(),
            told.evidence.copy(),
            told.severity.copy(),
            told.flags.copy(),
            {int(self._place[code]): incident.id for code, incident in now.cases.items()},
        )
        current.state[place] = now.state
        percent = np.minimum(np.round(100 * now.evidence), 999).astype(np.int32)
        current.evidence[place] = percent
        current.severity[place] = np.round(10 * now.severity).astype(np.int32)
        current.flags[place] = (
            FENCED * now.fenced
            + ENFORCED * now.enforced
            + ACTIVE * now.active
            + SHARED * now.shared
        )
        return current

    def _move(self, now: _Changing, room: int) -> list[tuple[int, int, int, int, str]]:
        """Tell the changed states, what is fenced and severe first."""
        told = self._told
        changed = (
            (now.state != told.state) | (now.severity != told.severity) | (now.flags != told.flags)
        )
        for place in now.case.keys() | told.case.keys():
            changed[place] |= now.case.get(place) != told.case.get(place)
        weight = 1000 * (now.flags & FENCED) + now.severity + (now.state != told.state)
        rows = []
        for place in _largest(np.flatnonzero(changed), weight[changed], room).tolist():
            told.state[place] = now.state[place]
            told.severity[place] = now.severity[place]
            told.flags[place] = now.flags[place]
            case = now.case.get(place, "")
            if case:
                told.case[place] = case
            else:
                told.case.pop(place, None)
            rows.append(
                (
                    place,
                    int(now.state[place]),
                    int(now.severity[place]),
                    int(now.flags[place]),
                    case,
                )
            )
        return rows

    def _shift(self, now: Ints, room: int) -> list[int]:
        """Tell the evidence that moved most."""
        change = np.abs(now - self._told.evidence)
        news = change >= EVIDENCE_STEP
        places = _largest(np.flatnonzero(news), change[news], room)
        self._told.evidence[places] = now[places]
        return np.stack([places, now[places]], axis=1).ravel().tolist() if len(places) else []

    # --- the whole ---------------------------------------------------------------------------

    def whole(self) -> FleetBoard:
        """What was told so far."""
        words: dict[str, int] = {}
        types, models, providers = (
            [words.setdefault(text, len(words)) for text in column]
            for column in (
                [row.agent_type for row in self._rows],
                [row.model for row in self._rows],
                [row.provider for row in self._rows],
            )
        )
        told = self._told
        return FleetBoard(
            tick=self.tick,
            states=STATES,
            words=list(words),
            ids=[row.agent_id for row in self._rows],
            types=types,
            models=models,
            providers=providers,
            state=told.state.tolist(),
            evidence=told.evidence.tolist(),
            severity=told.severity.tolist(),
            flags=told.flags.tolist(),
            cost=[_short(value) for value in self._cost.tolist()],
            cases=dict(told.case),
        )

    def place_of(self, code: int) -> int | None:
        """An agent's place on the board, by its code."""
        place = int(self._place[code]) if code < len(self._place) else -1
        return place if place >= 0 else None


def _largest(
    places: npt.NDArray[np.intp], weight: npt.NDArray[np.generic], room: int
) -> npt.NDArray[np.intp]:
    """Of `places` (n,), those `room` with the greatest weight (n,)."""
    if len(places) <= room:
        return places
    order = np.argsort(-weight.astype(np.float64), kind="stable")[: max(room, 0)]
    return places[order]


def _rounded(usd: Float32) -> Float32:
    return np.where(np.isnan(usd), np.float32(-1), usd).astype(np.float32)


def _short(value: float) -> float:
    """Three digits are enough, and zero needs no point."""
    return float(f"{value:.3g}")
