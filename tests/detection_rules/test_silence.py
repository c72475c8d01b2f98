"""Silence is told of regular agents only, once, and it never fences."""

from __future__ import annotations

from collections.abc import Callable, Iterable

import numpy as np
import pytest
from tests.detection_rules.steps import START, batch, step

from immune.columns import Names, from_vitals
from immune.detection.findings import Source, Tier
from immune.detection.rule_params import SilenceParams
from immune.detection.silence import Silence
from immune.errors import InvalidInput
from immune.vitals import Kind, Vital


class Story:
    """A rule, its names, and time in seconds since the start."""

    def __init__(self, *pauses: str) -> None:
        self.names = Names()
        self.rule = Silence(SilenceParams(pauses=pauses), self.names, 1 / 30)

    def tell(self, vitals: Iterable[Vital]) -> list[str]:
        """Hand steps on one by one; return who came back."""
        back = []
        for vital in vitals:
            columns = batch(self.names, [vital])
            self.rule.observe(columns)
            back += [self.names.agents.text(code) for code in self.rule.returned(columns)]
        return back

    def silent(self, at: float) -> list[str]:
        return [self.names.agents.text(hit.agent) for hit in self.rule.sweep(START + at)]

    def code(self, agent: str = "a") -> int:
        return self.names.agents.code(agent)


@pytest.fixture
def story() -> Story:
    """Agent a has stepped each second for a minute; its last step is at 59."""
    story = Story()
    story.tell(step(t) for t in range(60))
    return story


def test_a_regular_agent_that_stops_is_silent(story: Story) -> None:
    """Ten seconds after the last step of an agent of one step a second it is told, as suspicion."""
    assert story.rule.sweep(START + 68) == []
    (hit,) = story.rule.sweep(START + 70)
    assert hit.tier is Tier.SUSPICION
    assert hit.source is Source.SILENCE
    assert not hit.can_fence
    assert hit.why_not == "silence never fences"
    assert hit.facts.silent_s == pytest.approx(11)
    assert hit.onset_at == START + 59


def test_one_silence_is_told_once(story: Story) -> None:
    """The same silence is not told again, a new one is."""
    assert story.silent(80) == ["a"]
    assert story.silent(500) == []
    assert story.tell(step(t) for t in range(600, 603)) == ["a"]
    assert story.silent(603) == []
    assert story.silent(800) == ["a"]


def test_an_irregular_agent_is_never_silent() -> None:
    """Of an agent that steps at the whim of its users, hours without a step say nothing."""
    story = Story()
    gaps = np.random.default_rng(1).lognormal(2, 1.5, 400)
    story.tell(step(float(t)) for t in np.cumsum(gaps))
    assert story.silent(float(gaps.sum()) + 86_400) == []


def test_a_young_agent_is_never_silent() -> None:
    """Before twenty intervals nobody knows the rhythm."""
    story = Story()
    story.tell(step(t) for t in range(15))
    assert story.silent(10_000) == []


def test_a_slow_agent_is_given_its_own_time() -> None:
    """An agent of one step in five minutes is not silent after ten, but after an hour."""
    story = Story()
    noise = np.random.default_rng(2).normal(0, 20, 50)
    story.tell(step(300.0 * t + x) for t, x in enumerate(noise))
    last = 300.0 * 49
    assert story.silent(last + 600) == []
    assert story.silent(last + 3600) == ["a"]


@pytest.mark.parametrize("spread", [0.05, 0.3, 0.6])
def test_false_alarms_keep_to_their_budget(spread: float) -> None:
    """Agents of log-normal intervals raise at most about one false silence in an agent-month."""
    rng = np.random.default_rng(3)
    agents, steps = 200, 1000
    story = Story()
    gaps = 20.0 * np.exp(spread * rng.standard_normal((steps, agents)))
    alarms = 0
    at = np.cumsum(gaps, axis=0)
    for row, gap in zip(at, gaps, strict=True):
        limits = [story.rule.limit_s(story.code(f"a{i}")) for i in range(agents)]
        alarms += sum(limit is not None and g > limit for limit, g in zip(limits, gap, strict=True))
        columns = batch(story.names, [step(float(t), agent=f"a{i}") for i, t in enumerate(row)])
        story.rule.observe(columns)
    agent_days = gaps.sum() / 86_400
    assert alarms <= 2 + 1.5 * agent_days / 30


def test_an_exporter_that_sends_once_a_minute_makes_nobody_silent() -> None:
    """Steps that arrive in bundles are late, their agent is not."""
    story = Story()
    for minute in range(10):
        at = range(minute * 60, minute * 60 + 60)
        received_at = START + minute * 60 + 60
        columns = batch(story.names, [step(t, received_at=received_at) for t in at])
        assert story.silent(minute * 60 + 59) == []
        story.rule.observe(columns)
    assert story.silent(600 + 100) == []
    assert story.silent(600 + 300) == ["a"]


def test_a_fenced_agent_is_not_silent(story: Story) -> None:
    """While its calls are refused nothing is expected; after the release the clock starts anew."""
    story.rule.pause(story.code())
    assert story.silent(10_000) == []
    story.rule.resume(story.code(), START + 10_000)
    assert story.silent(10_005) == []
    assert story.silent(10_020) == ["a"]


def test_the_clock_may_start_with_the_next_sweep(story: Story) -> None:
    """Where the moment of the release is not told, it is the next look."""
    story.rule.pause(story.code())
    story.rule.resume(story.code())
    assert story.silent(10_000) == []
    assert story.silent(10_020) == ["a"]


def test_the_pause_is_not_learned(story: Story) -> None:
    """A fence of hours does not make the rhythm slow."""
    story.rule.pause(story.code())
    story.rule.resume(story.code(), START + 9_000)
    story.tell(step(t) for t in range(9_000, 9_005))
    assert story.rule.limit_s(story.code()) == pytest.approx(10, abs=1)


def test_a_goodbye_is_no_silence(story: Story) -> None:
    """An agent that said goodbye may stay away, and is expected again once it is back."""
    story.rule.goodbye(story.code(), START + 5_000)
    assert story.silent(10_000) == []
    story.tell(step(t) for t in range(20_000, 20_003))
    assert story.silent(20_030) == ["a"]


def test_what_was_done_before_a_goodbye_does_not_take_it_back(story: Story) -> None:
    """Its last steps may be scored after the word; only a later one brings the agent back."""
    story.rule.goodbye(story.code(), START + 62)
    story.tell(step(t) for t in (60, 61, 62))
    assert story.silent(10_000) == []
    story.tell(step(t) for t in (20_000, 61.5, 20_001, 20_002))
    assert story.rule.limit_s(story.code()) == pytest.approx(10, abs=1)
    assert story.silent(20_030) == ["a"]


def test_whoever_has_the_place_of_one_that_left_is_expected(story: Story) -> None:
    """A goodbye goes with the agent that said it."""
    story.rule.goodbye(story.code(), START + 62)
    story.rule.retire(story.code())
    story.tell(step(t) for t in range(60))
    assert story.silent(80) == ["a"]


def test_after_our_own_absence_clocks_start_anew(story: Story) -> None:
    """If it was us who were away, nobody is silent for it."""
    story.rule.restart(START + 5_000)
    assert story.silent(5_005) == []
    assert story.silent(5_020) == ["a"]


def test_an_agent_that_became_slower_is_learned(story: Story) -> None:
    """An agent that goes from 1 s to 60 s for good stops being told within an hour."""
    told = 0
    for minute in range(2, 122):
        told += len(story.silent(minute * 60 - 1))
        story.tell([step(minute * 60)])
    late = sum(len(story.silent(minute * 60 - 1)) for minute in range(122, 123))
    assert told < 60
    assert late == 0


def test_steps_of_one_kind_excuse_the_other() -> None:
    """An agent in a long run whose calls go on is not silent."""
    story = Story()
    for t in range(200):
        story.tell([step(t, kind=Kind.CALL)])
        if t < 100 and t % 4 == 0:
            story.tell([step(t, kind=Kind.RUN)])
        assert story.silent(t + 0.5) == []


def test_a_retired_agent_is_not_silent(story: Story) -> None:
    """Who was retired is not waited for, and must show its rhythm anew."""
    story.rule.retire(story.code())
    assert story.silent(10_000) == []
    story.tell(step(t) for t in range(20_000, 20_010))
    assert story.silent(30_000) == []


# ---- pauses that are no silence

HOUR, DAY = 3600, 86_400
MONDAY = 6 * DAY - START % DAY
"""From the start, a Tuesday, to midnight of the next Monday."""
STEP_S = 120


def weeks(story: Story, weeks: int, works: Callable[[int, float], bool], seed: int) -> list[float]:
    """Let an agent step every two minutes whenever it works, by day and hour, looked at every ten;
    return when it was told to be silent, in days since the first Monday."""
    rng = np.random.default_rng(seed)
    told = []
    for i in range(weeks * 7 * DAY // STEP_S):
        at = i * STEP_S
        if works(at // DAY, at % DAY / HOUR):
            story.tell([step(MONDAY + at + float(rng.uniform(-30, 30)))])
        if i % 5 == 0 and story.silent(MONDAY + at):
            told.append(at / DAY)
    return told


def test_a_nightly_pause_is_silence_once() -> None:
    """An agent that works from six to ten in the evening, give or take half an hour, is told on its
    first night and never again."""
    edges = np.random.default_rng(5).uniform(-0.5, 0.5, (30, 2))
    told = weeks(
        Story(), 3, lambda day, hour: 6 + edges[day, 0] <= hour < 22 + edges[day, 1], seed=6
    )
    assert len(told) == 1
    assert told[0] < 1


def test_weekends_are_silence_once() -> None:
    """Whoever works from Monday to Friday is told on the first night and the first weekend."""
    told = weeks(Story(), 4, lambda day, hour: day % 7 < 5 and 8 <= hour < 18, seed=7)
    assert [int(day) for day in told] == [0, 5]


def test_a_death_by_day_is_told_whatever_its_nights_are() -> None:
    """That an agent sleeps at night excuses no silence at noon; nor does its weekend one on a
    Wednesday evening beyond the next morning."""

    def works(day: int, hour: float) -> bool:
        died = day in (15, 23) and hour >= (12 if day == 15 else 18)
        return day % 7 < 5 and 8 <= hour < 18 and not died and day != 24

    story = Story()
    told = weeks(story, 4, works, seed=8)
    assert [int(day) for day in told] == [0, 5, 15, 24]
    assert told[2] % 1 * 24 == pytest.approx(12, abs=0.5)
    assert 8 <= told[3] % 1 * 24 <= 10


def test_a_pause_that_does_not_come_again_is_forgotten() -> None:
    """An agent that once slept and then worked through for ten days is told on its next night."""

    def works(day: int, hour: float) -> bool:
        return not ((day in (1, 13) and hour >= 22) or (day == 2 and hour < 6))

    assert [int(day) for day in weeks(Story(), 2, works, seed=9)] == [1, 13]


def hourly(died_at: float = np.inf) -> list[float]:
    """For two days an agent steps every ten seconds for about 40 minutes of each hour from six to
    ten; return when it was told to be silent, in hours."""
    story, told = Story(), []
    edges = np.random.default_rng(12).uniform(36, 44, 48) * 60
    for at in range(0, 2 * DAY, 10):
        if 6 <= at % DAY / HOUR < 22 and at % HOUR < edges[at // HOUR] and at < died_at:
            story.tell([step(MONDAY + at)])
        if at % 60 == 0 and story.silent(MONDAY + at):
            told.append(at / HOUR)
    return told


def test_a_pause_that_comes_each_hour_is_an_interval_of_its_own() -> None:
    """Four are told, and the night's; the next day none is."""
    assert [int(hour) for hour in hourly()] == [6, 7, 8, 9, 22]


def test_who_pauses_often_and_dies_is_told_half_a_pause_later() -> None:
    """Once it has been away half as long again as it ever was, whenever it stopped."""
    told = hourly(died_at=33.25 * HOUR)
    assert [int(hour) for hour in told[:-1]] == [6, 7, 8, 9, 22]
    assert 33.25 + 1 / 3 < told[-1] < 33.25 + 1 / 2 + 0.15


def test_two_pauses_a_day_excuse_no_third() -> None:
    """Lunch and supper are expected at their hours; a death at nine is told at once."""

    def works(day: int, hour: float) -> bool:
        return not (12 <= hour < 13 or 17 <= hour < 18 or (day == 10 and hour >= 9))

    told = weeks(Story(), 2, works, seed=13)
    assert [int(day) for day in told] == [0, 0, 10]
    assert told[2] % 1 * 24 == pytest.approx(9, abs=0.5)


def test_a_declared_pause_is_never_silence() -> None:
    """With the nights and the weekend declared nothing is told; but who does not come back after
    one is, once the pause and an hour are over."""
    story = Story("18:00-08:00", "sat-sun 00:00-24:00")

    def works(day: int, hour: float) -> bool:
        return day % 7 < 5 and 8 <= hour < 18 and day < 8

    told = weeks(story, 2, works, seed=10)
    assert [int(day) for day in told] == [8]
    assert 8 <= told[0] % 1 * 24 <= 9.2


@pytest.mark.parametrize(
    "pause", ["night", "22:00", "22:00-25:00", "08:70-09:00", "day 08:00-09:00", "08:00-08:00"]
)
def test_a_pause_that_cannot_be_read_is_refused(pause: str) -> None:
    """A slip in the settings is told at once, and not in the first night."""
    with pytest.raises(InvalidInput, match=r"silence\.pauses"):
        SilenceParams(pauses=(pause,))


def test_the_rhythm_survives_a_restart() -> None:
    """Limit, pauses and deliveries go on; the clock starts with the first look after it."""
    story, again = Story(), Story()

    def works(day: int, hour: float) -> bool:
        return 6 <= hour < 22

    weeks(story, 1, works, seed=11)
    again.names.agents.code("somebody else")
    again.rule.load(again.code(), story.rule.save(story.code()))
    assert again.rule.limit_s(again.code()) == story.rule.limit_s(story.code())
    began = MONDAY + 7 * DAY + 12 * HOUR
    assert again.silent(began) == []
    assert again.silent(began + 2 * HOUR) == ["a"]
    again.rule.load(again.code(), story.rule.save(story.code()))
    late = MONDAY + 7 * DAY + 22 * HOUR
    again.tell(step(late + t * STEP_S) for t in range(-9, 1))
    assert again.silent(late + 7 * HOUR) == []
    assert again.silent(late + 10 * HOUR) == ["a"]


def test_the_fenced_are_not_waited_for_after_a_restart(story: Story) -> None:
    """Who was fenced when the process ended is not silent in the next."""
    story.rule.pause(story.code())
    again = Story()
    again.rule.load(again.code(), story.rule.save(story.code()))
    assert again.silent(0) == []
    assert again.silent(10_000) == []


def test_agents_that_come_one_at_a_time_all_have_their_place() -> None:
    """Room is made as they come, whatever their number."""
    names = Names()
    rule = Silence(SilenceParams(), names, 1 / 30)
    for number in range(700):
        vital = Vital(agent_id=f"agent-{number}", at=float(number), received_at=float(number))
        rule.observe(from_vitals([vital], names))
        assert rule.sweep(float(number)) == []
