"""A drift too slow for the statistic is told before it has doubled; days and weeks are not."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
from tests.detection.workload import START, Watch, columns

from immune.columns import KINDS, Float64, Names
from immune.detection import BaselineLearner, DetectionParams, Sentinel
from immune.detection.drift import LANES, Drift
from immune.detection.findings import Finding, Source, Tier
from immune.detection.hits import Hit
from immune.detection.ring import Ring
from immune.detection.rule_params import DriftParams
from immune.detection.state import AT, F
from immune.detection.streams import Streams
from immune.vitals import N_METRICS, Kind, Metric

DAY, HOUR, MINUTE = 86_400, 3600, 60
SIGMA = 0.6
LATENCY = LANES.index(Metric.LATENCY_MS)
Level = Callable[[Float64], Float64]
"""Time in seconds, (n,) -> how many times the usual latency, as a log: (n,), or (n, agents)."""


class Agents:
    """Agents of `per_minute` steps a minute whose latency's law moves.

    `each_for` lets each step stand for as many of the same noise: that saves time.
    """

    def __init__(self, agents: int, seed: int, per_minute: int = 60, each_for: int = 1) -> None:
        self.n, self.per_minute = agents, per_minute
        self.sigma = SIGMA / np.sqrt(each_for)
        params = DriftParams()
        params = DriftParams(recent_samples=params.recent_samples / each_for)
        self.rng = np.random.default_rng(seed)
        self.streams, self.ring, self.drift = Streams(), Ring(60), Drift(params)
        self.rows = self.streams.open(np.arange(1, agents + 1) * len(KINDS) + 1)
        self.ring.grow(len(self.streams))
        self.drift.grow(len(self.streams))
        self.block = np.zeros((len(self.streams), F, N_METRICS), np.float32)
        self.block[:, AT["var"]] = self.sigma**2
        self.frozen = np.zeros(len(self.streams), np.bool_)
        self.now = 0.0

    def live(self, seconds: float, level: Level) -> list[Hit]:
        """Let them step; return what is told."""
        hits = []
        for _ in range(round(seconds / MINUTE)):
            at: Float64 = self.now + np.arange(1.0, self.per_minute + 1) * MINUTE / self.per_minute
            self.now += MINUTE
            noise = self.sigma * self.rng.standard_normal((self.per_minute, self.n))
            values = np.full((self.per_minute, self.n, N_METRICS), np.nan, np.float32)
            logs = np.broadcast_to(level(at).reshape(self.per_minute, -1), noise.shape)
            values[..., Metric.LATENCY_MS] = 800 * np.exp(noise + logs)
            self.ring.add(
                np.tile(self.rows, self.per_minute),
                np.repeat(START + at, self.n),
                values.reshape(-1, N_METRICS),
            )
            hits += self.drift.look(
                START + self.now, self.streams, self.ring, self.block, self.frozen
            )
        return hits


def steady(at: Float64) -> Float64:
    return np.zeros(len(at))


def rising(since: float) -> Level:
    """Half a per cent a minute from then on."""
    return lambda at: np.log(1.005) * np.maximum(at - since, 0) / MINUTE


def test_half_a_per_cent_a_minute_is_told_before_it_doubles() -> None:
    """After an hour of history all of sixty agents are told, as suspicion that never fences, with
    how much it is and about since when."""
    agents = Agents(60, seed=1)
    assert agents.live(HOUR, steady) == []
    hits = agents.live(139 * MINUTE, rising(HOUR))
    assert sorted(hit.agent for hit in hits) == list(range(1, 61))
    for hit in hits:
        assert (hit.tier, hit.source, hit.can_fence) == (Tier.SUSPICION, Source.DRIFT, False)
        assert hit.why_not == "a slow drift never fences"
        assert hit.effects is not None
        (effect,) = hit.effects
        assert effect.metric == "latency_ms"
        assert effect.affected
        assert effect.normal < 950
        assert effect.now == pytest.approx(effect.normal * effect.ratio, rel=0.01)
        assert 1.55 <= effect.ratio < 1.9
        assert hit.onset_at == pytest.approx(START + HOUR, abs=40 * MINUTE)


@pytest.mark.parametrize("period", ["day", "week"])
def test_a_cycle_of_days_or_weeks_is_never_told(period: str) -> None:
    """Between 1/1.5 and 1.5 times its usual latency, with weekends at the least, whatever the hour
    of the first step."""
    span = 7 * DAY if period == "week" else DAY
    start = np.arange(0, span, 2 * HOUR)

    def level(at: Float64) -> Float64:
        time = at[:, None] + start
        hour: Float64 = -np.cos(2 * np.pi * time / DAY)
        if period == "week":
            hour[time % span >= 5 * DAY] = -1
        return float(np.log(1.5)) * hour

    agents = Agents(len(start), seed=2, per_minute=3, each_for=20)
    assert agents.live(span + DAY, level) == []


@pytest.mark.parametrize("per_minute", [4, 6])
def test_the_first_days_of_a_slow_agent_are_no_drift(per_minute: int) -> None:
    """Whatever hour it began at, a day's swing is not told of one that steps a few times a
    minute: its anchor has then seen too little of a day to be held against the rest."""
    start = np.arange(0, DAY, 2 * HOUR)
    agents = Agents(len(start), seed=8, per_minute=per_minute)
    swing = float(np.log(1.5))
    assert (
        agents.live(2 * DAY, lambda at: swing * np.sin(2 * np.pi * (at[:, None] + start) / DAY))
        == []
    )


def test_a_night_without_steps_is_no_drift() -> None:
    """Time in which nothing came moves no anchor: the morning is compared with the days before."""
    agents = Agents(20, seed=3, per_minute=6, each_for=10)
    for _ in range(4):
        assert agents.live(8 * HOUR, lambda at: 0.3 * np.sin(at / HOUR)) == []
        agents.now += 16 * HOUR


def test_a_burst_is_no_drift() -> None:
    """Three minutes at eight times the usual are the statistic's to tell."""
    agents = Agents(20, seed=4)
    agents.live(2 * HOUR, steady)
    assert agents.live(3 * MINUTE, lambda at: np.full(len(at), np.log(8))) == []
    assert agents.live(HOUR, steady) == []


def test_a_slow_agent_takes_its_time() -> None:
    """One step a minute is too few for an hour's judgement: nothing is told by chance, and a
    lasting change in the end."""
    agents = Agents(20, seed=5, per_minute=1)
    assert agents.live(4 * DAY, steady) == []
    assert len(agents.live(2 * DAY, lambda at: np.full(len(at), np.log(2.5)))) == 20


def drifted(seed: int = 6) -> Agents:
    agents = Agents(4, seed=seed)
    agents.live(HOUR, steady)
    assert len(agents.live(139 * MINUTE, rising(HOUR))) == 4
    return agents


def half_more(at: Float64) -> Float64:
    return np.full(len(at), np.log(2))


def test_it_is_told_once_and_stands_until_it_falls_back() -> None:
    """Frozen for its case, its anchor waits; when the latency is back, the drift stands no more,
    and a second one is news."""
    agents = drifted()
    agents.frozen[:] = True
    assert agents.live(2 * HOUR, half_more) == []
    assert all(agents.drift.stands(row) for row in agents.rows.tolist())
    assert agents.live(HOUR, steady) == []
    assert not any(agents.drift.stands(row) for row in agents.rows.tolist())
    agents.frozen[:] = False
    assert len(agents.live(180 * MINUTE, rising(agents.now))) == 4


def test_a_frozen_stream_that_was_not_told_is_left_alone() -> None:
    """What an agent suffers while it is fenced is known, and no drift."""
    agents = Agents(4, seed=7)
    agents.live(HOUR, steady)
    agents.frozen[:] = True
    assert agents.live(HOUR, half_more) == []
    agents.frozen[:] = False
    agents.drift.reset(agents.rows)
    assert agents.live(2 * HOUR, half_more) == []


def test_what_was_accepted_is_the_new_anchor() -> None:
    """After a false alarm the same level is told no more; another half as much again is."""
    agents = drifted()
    agents.drift.accept(agents.rows)
    assert agents.live(2 * HOUR, half_more) == []
    assert len(agents.live(HOUR, lambda at: np.full(len(at), np.log(2 * 2.2)))) == 4


def test_it_goes_on_after_a_restart() -> None:
    """Anchor, age and what was told are stored with the baseline."""
    agents, others = Agents(4, seed=8), Agents(4, seed=8)
    agents.live(HOUR, steady)
    others.now = agents.now
    for mine, theirs in zip(agents.rows.tolist(), others.rows.tolist(), strict=True):
        others.drift.load(theirs, agents.drift.save(mine))
    others.rng = np.random.default_rng(9)
    assert len(others.live(139 * MINUTE, rising(HOUR))) == 4
    again = Drift(DriftParams())
    again.grow(4)
    again.load(0, others.drift.save(int(others.rows[0])))
    assert again.stands(0)


# ---- in the sentinel


def story(watch: Watch, minutes: int, factor: Callable[[float], float]) -> list[Finding]:
    """Let one agent of a steady latency step once a second for so many minutes."""
    found = []
    agent = watch.work.codes[[0]]
    for minute in range(minutes):
        at: Float64 = watch.work.at[0] + np.arange(1.0, 61.0)
        values = np.full((60, N_METRICS), np.nan, np.float32)
        noise = 0.5 * watch.work.rng.standard_normal(60)
        values[:, Metric.LATENCY_MS] = 800 * factor(minute) * np.exp(noise)
        watch.work.at[0] = at[-1]
        found += watch.sentinel.observe(columns(np.repeat(agent, 60), at, values)).findings
    return found


def test_the_sentinel_tells_a_drift_and_its_end() -> None:
    """The finding has a severity and an onset like any other; the case subsides when the latency is
    back, and a drift that a person called the new normal is told no more."""
    watch = Watch(1, seed=10)
    agent = watch.work.ids[0]
    assert story(watch, 70, lambda minute: 1.0) == []
    found = story(watch, 139, lambda minute: 1.005**minute)
    (finding,) = [f for f in found if f.source is Source.DRIFT]
    assert finding.tier is Tier.SUSPICION
    assert not finding.can_fence
    assert 1 < finding.severity < 3
    assert [effect.metric for effect in finding.affected] == ["latency_ms"]
    watch.learner.freeze(agent, finding.onset_at)
    saved = watch.learner.save([agent])
    other = Watch(1, seed=10)
    other.learner.load(saved)
    other.sentinel.follow(finding)
    other.work.at = watch.work.at.copy()
    assert subsided(other, 1.0)
    watch.learner.thaw(agent, "restart")
    watch.sentinel.forget(agent)
    assert [f for f in story(watch, 130, lambda minute: 2.0) if f.source is Source.DRIFT] == []


def subsided(watch: Watch, factor: float) -> bool:
    """Whether the case of the first agent subsides within an hour and a half."""
    agent = watch.work.codes[[0]]
    for _ in range(90 * 60):
        watch.work.at[0] += 1
        values = np.full((1, N_METRICS), np.nan, np.float32)
        values[0, Metric.LATENCY_MS] = 800 * factor * np.exp(0.5 * watch.work.rng.normal())
        if watch.sentinel.observe(columns(agent, watch.work.at[[0]], values)).subsided:
            return True
    return False


@pytest.mark.parametrize("order", ["learn", "discard", "restart"])
def test_every_end_of_a_case_ends_its_drift(order: str) -> None:
    """Whatever becomes of the samples that waited, the same drift is not told again at once."""
    names = Names()
    learner = BaselineLearner(DetectionParams(), names)
    sentinel = Sentinel(learner, DetectionParams(), names)
    watch = Watch(1, seed=11)
    watch.learner, watch.sentinel = learner, sentinel
    watch.work.codes = np.array([names.agents.code(a) for a in watch.work.ids], np.int32)
    story(watch, 70, lambda minute: 1.0)
    drifts = [
        f for f in story(watch, 139, lambda minute: 1.005**minute) if f.source is Source.DRIFT
    ]
    assert len(drifts) == 1
    learner.freeze(watch.work.ids[0], drifts[0].onset_at)
    learner.thaw(watch.work.ids[0], order)
    sentinel.forget(watch.work.ids[0])
    row = learner.stream(watch.work.ids[0], Kind.RUN)
    assert row is not None
    assert not learner.drift.stands(row)
    assert [f for f in story(watch, 30, lambda minute: 2.0) if f.source is Source.DRIFT] == []
