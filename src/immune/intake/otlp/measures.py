"""Metrics of model calls to vitals, for agents that send no spans.

A data point sums up all calls of an interval, so one vital stands for an agent's interval: the mean
call of it, at its end. What no metric tells is missing. It failed if at least half of its calls
did. See docs/decisions/0010.

A cumulative point tells what there was since its start: the interval is its difference from the
point before, and the first one only says where to begin. One whose start is later, or whose count
has fallen, is of a process that began anew. An agent or service whose spans come is left to those.
"""

from __future__ import annotations

from collections import Counter, OrderedDict
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from hashlib import blake2b
from typing import NamedTuple

from immune.intake.otlp import names
from immune.intake.otlp.facts import Facts, facts_of
from immune.intake.otlp.identity import Agent, Identity
from immune.intake.otlp.points import Point
from immune.intake.otlp.spans import Role, role_of
from immune.vitals import Kind, Vital, refusal

SERIES_MAX = 200_000
"""Cumulative series whose last point is remembered; then the one unheard of for longest goes."""


class _Last(NamedTuple):
    start_ns: int
    at_ns: int
    calls: int | None
    total: float


@dataclass(slots=True)
class _Interval:
    """What one agent's points of one request add up to."""

    agent: Agent
    identity: Identity
    at_ns: int = 0
    facts: Facts = field(default_factory=Facts)
    calls: int = 0
    failed: int = 0
    latency_s: float = 0.0
    tokens: dict[str, float] = field(default_factory=dict)
    token_calls: dict[str, int] = field(default_factory=dict)
    keys: list[str] = field(default_factory=list)


class Measured(NamedTuple):
    """What a request's points came to; `keep` it once the vitals are durable."""

    vitals: list[Vital]
    series: dict[bytes, _Last]


class Measures:
    """Remembers the last point of each cumulative series."""

    def __init__(self, has_spans: Callable[[str, str | None, bool, float], bool]) -> None:
        """`has_spans(agent_id, service, named, now)`: whether spans of this agent come, or, where
        nothing names it, of its service."""
        self._has_spans = has_spans
        self._series: OrderedDict[bytes, _Last] = OrderedDict()
        self.unmapped: Counter[str] = Counter()
        """Points that are part of no vital, by reason."""

    def measure(self, points: Sequence[Point], now: float) -> Measured:
        """Return what `points`, of one request, come to at `now`, epoch seconds."""
        series: dict[bytes, _Last] = {}
        intervals: dict[str, _Interval] = {}
        for point in points:
            interval = self._interval(point, intervals, now)
            if interval is None:
                continue
            since = self._since(point, series)
            if since is not None:
                _add(interval, point, *since)
        vitals = [
            vital
            for interval in intervals.values()
            if (vital := self._vital(interval, now)) is not None
        ]
        return Measured(vitals, series)

    def keep(self, measured: Measured) -> None:
        """Go on from these points: their vitals are durable."""
        for key, last in measured.series.items():
            self._series[key] = last
            self._series.move_to_end(key)
        while len(self._series) > SERIES_MAX:
            self._series.popitem(last=False)

    def _interval(
        self, point: Point, intervals: dict[str, _Interval], now: float
    ) -> _Interval | None:
        if names.OPERATION in point.wanted and role_of(point.wanted, speaks=True) is not Role.MODEL:
            self.unmapped["point_of_other_work"] += 1
            return None
        facts = facts_of(point.wanted)
        about = point.resource.facts
        agent = Agent(
            facts.immune_id or about.immune_id,
            facts.agent_id or (None if facts.agent_name else about.agent_id),
            facts.agent_name or about.agent_name,
            facts.agent_type or about.agent_type,
            point.resource.service,
        )
        identity = agent.identity()
        if identity is None:
            self.unmapped["point_without_agent"] += 1
            return None
        if self._has_spans(identity.agent_id, agent.service, agent.named, now):
            self.unmapped["point_of_an_agent_with_spans"] += 1
            return None
        found = intervals.setdefault(identity.agent_id, _Interval(agent, identity))
        found.at_ns = max(found.at_ns, point.at_ns)
        if found.facts.model is None:
            found.facts = facts
        return found

    def _since(self, point: Point, series: dict[bytes, _Last]) -> tuple[int | None, float] | None:
        """Count and sum since the point before; None where that cannot be told."""
        if not point.cumulative:
            return point.count, point.total
        last = series.get(point.series) or self._series.get(point.series)
        if last is not None and point.at_ns <= last.at_ns:
            self.unmapped["old_point"] += 1
            return None
        series[point.series] = _Last(point.start_ns, point.at_ns, point.count, point.total)
        if last is None:
            self.unmapped["first_point"] += 1
            return None
        fell = (point.count or 0) < (last.calls or 0) or point.total < last.total
        if fell or point.start_ns > last.start_ns:  # it began anew: all of it is since then
            return point.count, point.total
        count = None if point.count is None else point.count - (last.calls or 0)
        return count, point.total - last.total

    def _vital(self, interval: _Interval, now: float) -> Vital | None:
        if not interval.calls and not any(interval.token_calls.values()):
            return None  # nothing was called
        said = "\n".join([interval.identity.agent_id, str(interval.at_ns), *sorted(interval.keys)])
        calls = interval.calls
        vital = Vital(
            agent_id=interval.identity.agent_id,
            at=interval.at_ns / 1e9,
            kind=Kind.CALL,
            received_at=now,
            step_id=f"metrics-{blake2b(said.encode(), digest_size=12).hexdigest()}",
            latency_ms=1000 * interval.latency_s / calls if calls else None,
            input_tokens=_mean(interval, "input"),
            output_tokens=_mean(interval, "output"),
            errors=float(2 * interval.failed >= calls) if calls else None,
            agent_type=interval.agent.agent_type or interval.agent.name,
            model=interval.facts.model,
            provider=interval.facts.provider,
        )
        refused = refusal(vital, 0, now)
        if refused is not None:
            self.unmapped[f"refused_{refused.field}"] += 1
            return None
        return vital


def _add(interval: _Interval, point: Point, count: int | None, total: float) -> None:
    if point.metric in names.DURATION_METRICS:
        if count:
            interval.calls += count
            interval.latency_s += total
            if "error.type" in point.wanted:
                interval.failed += count
            interval.keys.append(f"{point.metric} {count} {total}")
        return
    which = _direction(point)
    interval.tokens[which] = interval.tokens.get(which, 0.0) + total
    interval.token_calls[which] = interval.token_calls.get(which, 0) + (count or 0)
    interval.keys.append(f"{point.metric} {which} {count} {total}")


def _direction(point: Point) -> str:
    for which in ("input", "output"):
        if point.metric in names.TOKEN_METRICS[which]:
            return which
    told = point.wanted.get(names.TOKEN_TYPE)
    return "output" if told in names.OUTPUT_TOKEN_TYPES else "input"


def _mean(interval: _Interval, which: str) -> float | None:
    """Tokens of the mean call; None where nothing tells of how many calls they are."""
    if which not in interval.tokens:
        return None
    calls = interval.token_calls[which] or interval.calls
    return interval.tokens[which] / calls if calls else None
