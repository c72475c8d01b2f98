"""Hard limits: absolute ceilings that need no baseline and act at once.

Three spans: one step, one session, the last hour. The hour slides by whole minutes: it holds the
current minute and the 59 before it, so a burst is forgotten after 59 to 60 minutes. Sums are kept
only for ceilings that are set. A passed sum hits once, and again each time it has doubled.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from immune.columns import KINDS, Float64, Int64, Names, VitalColumns
from immune.detection.findings import Facts, Source, Tier
from immune.detection.grouping import Indices, Runs, grown, slots_of
from immune.detection.hits import Hit
from immune.detection.rule_params import Limits
from immune.vitals import Metric

HOUR_MIN = 60
SESSIONS_MAX = 1_000_000
"""Sessions remembered at once; when more are open, the half that was idle longest is forgotten."""

_AMOUNTS = ("cost_usd", "tokens", "tool_calls", "latency_ms")
_SUMMED = _AMOUNTS[:3]


class HardLimits:
    """The ceilings of all agents; sums have one slot per agent and kind."""

    def __init__(self, params: Limits, names: Names) -> None:
        self._params = params
        self._names = names
        self._step = self._ceilings("step", _AMOUNTS)
        self._hours = {
            label: _HourSums(ceiling) for label, ceiling in self._ceilings("hour", _SUMMED).items()
        }
        sessions = self._ceilings("session", _SUMMED)
        self._sessions = _Sessions(sessions, params.session_idle_s) if sessions else None

    def _ceilings(self, span: str, labels: tuple[str, ...]) -> dict[str, float]:
        ceilings = {label: getattr(self._params, f"{span}_{label}") for label in labels}
        return {label: value for label, value in ceilings.items() if value is not None}

    def observe(self, columns: VitalColumns) -> list[Hit]:
        """Take a batch, each agent's steps in their order; return a hit per step that passes."""
        passed: dict[int, list[str]] = {}

        def note(rows: Indices, sums: Float64, label: str, span: str, ceiling: float) -> None:
            for row in rows.tolist():
                words = f"{label} {_figure(label, sums[row])} in one {span}"
                words += f", limit {_figure(label, ceiling)}"
                passed.setdefault(row, []).append(words)

        if not len(columns):
            return []
        for label, ceiling in self._step.items():
            amount = _amount(columns, label)
            note(np.flatnonzero(amount > ceiling), amount, label, "step", ceiling)
        if self._sessions is not None and columns.session_id is not None:
            for label, ceiling, rows, sums in self._sessions.observe(columns):
                note(rows, sums, label, "session", ceiling)
        if self._hours:
            runs = Runs.of(slots_of(columns))
            size = len(self._names.agents) * len(KINDS)
            for label, hour in self._hours.items():
                amount = np.nan_to_num(_amount(columns, label))
                rows, sums = hour.observe(amount, columns.at, runs, size)
                note(rows, sums, label, "hour", hour.ceiling)
        return [self._hit(columns, row, words) for row, words in sorted(passed.items())]

    @property
    def open_sessions(self) -> int:
        """How many sessions are remembered."""
        return len(self._sessions.open) if self._sessions else 0

    def _hit(self, columns: VitalColumns, row: int, words: list[str]) -> Hit:
        return Hit(
            agent=int(columns.agent[row]),
            kind=int(columns.kind[row]),
            at=float(columns.at[row]),
            tier=Tier.QUARANTINE,
            source=Source.HARD_LIMIT,
            facts=Facts(limit="; ".join(words)),
            severity_floor=self._params.severity_floor,
        )

    def retire(self, agent: int) -> None:
        """Drop the agent's sums; its sessions go when they have been idle."""
        for hour in self._hours.values():
            hour.retire(slice(agent * len(KINDS), (agent + 1) * len(KINDS)))


class _HourSums:
    """One amount per slot in the last 60 minutes, in 60 buckets."""

    def __init__(self, ceiling: float) -> None:
        self.ceiling = ceiling
        self._buckets = np.zeros((0, HOUR_MIN), np.float32)
        self._minute = np.zeros(0, np.int64)
        """The latest minute that was counted, since the epoch."""
        self._total = np.zeros(0)
        self._next = np.zeros(0)
        """The sum above which the slot hits."""

    def observe(
        self, amount: Float64, at: Float64, runs: Runs, size: int
    ) -> tuple[Indices, Float64]:
        """Return the rows that pass, and each row's sum (n,)."""
        if len(self._total) < size:
            self._buckets = grown(self._buckets, size, 0)
            self._minute = grown(self._minute, size, 0)
            self._total = grown(self._total, size, 0)
            self._next = grown(self._next, size, self.ceiling)
        minute = (at // 60).astype(np.int64)
        sums = np.zeros(len(at))
        passed = np.zeros(len(at), np.bool_)
        for rows, slots in runs.rounds():
            self._turn(slots, minute[rows])
            # a late step counts in the latest minute: the sum may be early, never too low
            self._buckets[slots, self._minute[slots] % HOUR_MIN] += amount[rows]
            sums[rows] = self._total[slots] = self._total[slots] + amount[rows]
            above = sums[rows] > self._next[slots]
            passed[rows[above]] = True
            self._next[slots[above]] = 2 * sums[rows[above]]
        return np.flatnonzero(passed), sums

    def _turn(self, slots: Indices, minute: Int64) -> None:
        """Void the buckets that a new minute leaves behind."""
        aged = minute > self._minute[slots]
        if not aged.any():
            return
        slots, now = slots[aged], minute[aged][:, None]
        # bucket b holds the latest minute m <= now with m % 60 == b; void it if never counted
        held = now - (now - np.arange(HOUR_MIN)) % HOUR_MIN
        counted = held <= self._minute[slots][:, None]
        self._buckets[slots] = np.where(counted, self._buckets[slots], 0)
        self._minute[slots] = minute[aged]
        self._total[slots] = self._buckets[slots].sum(axis=1, dtype=np.float64)
        # fallen below again: the next passing is news
        self._next[slots[self._total[slots] <= self.ceiling]] = self.ceiling

    def retire(self, places: slice) -> None:
        self._buckets[places] = 0
        self._total[places] = 0
        self._next[places] = self.ceiling


@dataclass(slots=True)
class _Session:
    seen_at: float
    sums: list[float]
    next: list[float]


@dataclass(slots=True)
class _Sessions:
    """Sums of each open session; keyed by agent, kind and session id."""

    ceilings: dict[str, float]
    idle_s: float
    open: dict[tuple[int, str], _Session] = field(default_factory=dict)
    _swept_at: float = 0.0

    def observe(self, columns: VitalColumns) -> list[tuple[str, float, Indices, Float64]]:
        """Return for each ceiling its label, itself, the rows that pass, and each row's sum."""
        # a session is known by its text alone, so this is the one loop over rows
        ids = columns.session_id or []
        slots, at = slots_of(columns).tolist(), columns.at.tolist()
        limits = list(self.ceilings.values())
        amounts = [np.nan_to_num(_amount(columns, label)).tolist() for label in self.ceilings]
        sums = np.zeros((len(limits), len(ids)))
        passed: list[list[int]] = [[] for _ in limits]
        for row, session_id in enumerate(ids):
            if session_id is None:
                continue
            key = (slots[row], session_id)
            session = self.open.get(key)
            if session is None or at[row] - session.seen_at > self.idle_s:
                session = self.open[key] = _Session(at[row], [0.0] * len(limits), list(limits))
            session.seen_at = at[row]
            for i, amount in enumerate(amounts):
                total = session.sums[i] = session.sums[i] + amount[row]
                sums[i, row] = total
                if total > session.next[i]:
                    passed[i].append(row)
                    session.next[i] = 2 * total
        self._sweep(max(at, default=0.0))
        return [
            (label, ceiling, np.array(passed[i], np.intp), sums[i])
            for i, (label, ceiling) in enumerate(self.ceilings.items())
        ]

    def _sweep(self, now: float) -> None:
        if now - self._swept_at > self.idle_s / 4 or len(self.open) > SESSIONS_MAX:
            self._swept_at = now
            oldest = now - self.idle_s
            if len(self.open) > SESSIONS_MAX:
                seen = np.array([session.seen_at for session in self.open.values()])
                oldest = max(oldest, float(np.median(seen)))
            self.open = {k: s for k, s in self.open.items() if s.seen_at > oldest}


def _amount(columns: VitalColumns, label: str) -> Float64:
    """Return (n,) of what the ceiling counts; NaN where nothing was measured."""
    values = columns.values.astype(np.float64)
    if label == "tokens":
        both = values[:, [Metric.INPUT_TOKENS, Metric.OUTPUT_TOKENS]]
        tokens: Float64 = np.where(np.isnan(both).all(axis=1), np.nan, np.nansum(both, axis=1))
        return tokens
    amount: Float64 = values[:, Metric[label.upper()]]
    return amount


def _figure(label: str, value: float) -> str:
    if label != "cost_usd":
        return f"{value:.0f}"
    return f"{value:.2f}" if value >= 0.1 else f"{value:.2g}"
