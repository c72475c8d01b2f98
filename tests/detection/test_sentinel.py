"""From evidence to findings: tiers, episodes, youth, rules, and what is never said."""

from __future__ import annotations

import msgspec
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from immune.columns import CallColumns, VitalColumns
from immune.detection import DetectionParams, Finding, Source, Subsided, Tier
from immune.detection.episodes import Episode, Level
from immune.detection.params import Budgets, EpisodeParams
from immune.detection.rule_params import Limits, RuleParams
from immune.detection.thresholds import thresholds
from immune.errors import InvalidInput
from immune.vitals import Kind, Metric
from tests.detection.workload import Watch, columns

LATENCY, INPUT, OUTPUT, TOOLS = (
    Metric.LATENCY_MS,
    Metric.INPUT_TOKENS,
    Metric.OUTPUT_TOKENS,
    Metric.TOOL_CALLS,
)


def warm(
    seed: int, agents: int = 6, steps: int = 400, params: DetectionParams | None = None
) -> Watch:
    watch = Watch(agents, seed, params)
    assert watch.run(steps) == []
    return watch


# ---- healthy and sick


def test_a_healthy_fleet_raises_nothing() -> None:
    """From the first sample on, young phase included."""
    assert Watch(15, seed=100).run(900) == []


@pytest.mark.parametrize(
    ("metrics", "factor", "affected"),
    [
        ((LATENCY,), 5.0, {"latency_ms"}),
        ((INPUT, OUTPUT), 6.0, {"input_tokens", "output_tokens", "cost_usd"}),
        ((TOOLS,), 7.0, {"tool_calls"}),
        ((Metric.COST_USD,), 6.0, {"cost_usd"}),
        ((Metric.INTERVAL_S,), 8.0, {"interval_s"}),
    ],
)
def test_the_sick_are_fenced_within_fifteen_steps(
    metrics: tuple[int, ...], factor: float, affected: set[str]
) -> None:
    """Suspicion first, then quarantine, with the onset and the pattern right."""
    watch = warm(101)
    began = float(watch.work.at[2])
    watch.work.factors[2, list(metrics)] = factor
    found = watch.until(2, Tier.QUARANTINE)
    assert found is not None
    steps, finding = found
    assert steps <= 15
    assert finding.can_fence
    assert finding.source is Source.EVIDENCE
    assert finding.kind is Kind.RUN
    assert finding.evidence >= finding.threshold == pytest.approx(18.3, abs=0.2)
    assert abs(finding.onset_at - began) <= 2.5
    assert {effect.metric for effect in finding.affected} == affected


def test_failing_retries_are_fenced() -> None:
    """Rare events take longer: a few dozen steps at most."""
    watch = warm(102)
    watch.work.retry_rate[1] = 0.75
    found = watch.until(1, Tier.QUARANTINE)
    assert found is not None
    assert found[0] <= 40
    assert {effect.metric for effect in found[1].affected} == {"retries"}


def test_a_young_fleet_is_watched_too() -> None:
    """Sixty own samples and five peers as young: sickness is seen, and its samples not learned."""
    watch = warm(103, steps=60)
    watch.work.factors[0, LATENCY] = 5.0
    found = watch.until(0, Tier.QUARANTINE)
    assert found is not None
    assert found[0] <= 60
    assert found[1].can_fence


@pytest.mark.parametrize(("factor", "severe"), [((4, 5, 6), True), ((5, 1, 1), False)])
def test_only_a_meltdown_asks_a_person(factor: tuple[int, int, int], severe: bool) -> None:
    """Latency, spend and work at once are severe; latency alone is not."""
    watch = warm(104)
    watch.work.factors[3, [LATENCY, INPUT, TOOLS]] = factor
    watch.work.factors[3, OUTPUT] = factor[1]
    found = watch.until(3, Tier.QUARANTINE)
    assert found is not None
    assert (found[1].severity >= 7) is severe


# ---- episodes


def test_each_tier_is_told_once() -> None:
    """One suspicion and one quarantine in a sickness that does not change."""
    watch = warm(105)
    watch.work.factors[0, LATENCY] = 4.0
    told = [f for f in watch.run(120) if f.agent_id == watch.work.ids[0]]
    assert [f.tier for f in told[:2]] == [Tier.SUSPICION, Tier.QUARANTINE]
    assert all(f.tier is Tier.QUARANTINE for f in told[2:])
    assert len(told) <= 4
    assert len({f.onset_at for f in told[1:]}) == 1


def test_a_worse_picture_is_told_again() -> None:
    """A metric that joins an open episode is news, and comes within a few steps."""
    watch = warm(106)
    watch.work.factors[0, LATENCY] = 4.0
    assert watch.until(0, Tier.QUARANTINE) is not None
    watch.run(10)
    watch.work.factors[0, TOOLS] = 8.0
    told = [f for f in watch.run(15) if f.agent_id == watch.work.ids[0]]
    assert "tool_calls" in {effect.metric for effect in told[-1].affected}
    assert told[-1].severity > 5


def recovered(watch: Watch, steps: int = 300) -> tuple[list[Finding], list[Subsided]]:
    watch.work.factors[:] = 1.0
    seen = watch.observations(steps)
    return [f for s in seen for f in s.findings], [s for o in seen for s in o.subsided]


def test_a_recovered_agent_subsides_once_and_can_fall_ill_again() -> None:
    """The episode ends when the evidence has fallen back; the next one speaks anew."""
    watch = warm(107)
    watch.work.factors[0, LATENCY] = 5.0
    assert watch.until(0, Tier.QUARANTINE) is not None
    findings, subsided = recovered(watch)
    assert [s.agent_id for s in subsided] == [watch.work.ids[0]]
    assert findings == []
    watch.work.factors[0, LATENCY] = 5.0
    again = watch.until(0, Tier.QUARANTINE)
    assert again is not None
    assert again[1].onset_at > subsided[0].at


def test_forgetting_ends_the_episode_and_keeps_the_baseline() -> None:
    """At the start of probation the evidence is zero; a sickness that goes on is found again."""
    watch = warm(108)
    watch.work.factors[0, LATENCY] = 5.0
    assert watch.until(0, Tier.QUARANTINE) is not None
    assert watch.evidence(0) > 18
    watch.sentinel.forget(watch.work.ids[0])
    assert watch.evidence(0) == 0
    assert watch.sentinel.observe(watch.work.step()).subsided == []
    again = watch.until(0, Tier.QUARANTINE)
    assert again is not None
    assert again[0] <= 15


def test_a_retired_agent_leaves_no_episode_behind() -> None:
    """Its stream goes to another agent, who is not sick."""
    watch = warm(109)
    watch.work.factors[0, LATENCY] = 5.0
    assert watch.until(0, Tier.QUARANTINE) is not None
    watch.sentinel.retire(watch.work.ids[0])
    assert watch.sentinel.evidence(watch.work.ids[0]) == 0
    watch.work.factors[0, LATENCY] = 1.0
    seen = watch.observations(100)
    assert not [o for o in seen if o.findings or o.subsided]


# ---- youth and harm


def test_below_fifteen_samples_nothing_is_said() -> None:
    """Even wild values of a newborn are no finding."""
    watch = Watch(4, seed=110)
    watch.run(10)
    watch.work.factors[:, LATENCY] = 100.0
    assert watch.run(4) == []


def test_alone_and_young_it_is_told_but_not_fenced() -> None:
    """Without peers a young baseline is too thin to fence on, and the finding says so."""
    watch = Watch(1, seed=111)
    watch.run(200)
    watch.work.factors[0, LATENCY] = 8.0
    found = watch.until(0, Tier.QUARANTINE)
    assert found is not None
    assert not found[1].can_fence
    assert "own samples" in found[1].why_not


def test_small_harm_is_told_but_not_fenced() -> None:
    """Latency ×1.4 for good is a change, and none that justifies a fence."""
    watch = Watch(12, seed=112)
    watch.work.sigma[:] = 0.3
    watch.run(600)
    watch.work.factors[:4, LATENCY] = 1.4
    told = [f for f in watch.run(250) if f.tier is Tier.QUARANTINE]
    assert told
    assert not [f for f in told if f.can_fence]
    assert "harm is small" in told[0].why_not


def test_what_could_not_fence_is_told_when_it_can() -> None:
    """The peers become ready while the sickness lasts: the same episode may fence now."""
    watch = Watch(8, seed=113)
    watch.run(120, only=[0])
    watch.work.factors[0, LATENCY] = 8.0
    first = next(f for f in watch.run(60, only=[0]) if f.tier is Tier.QUARANTINE)
    assert not first.can_fence
    later = [f for f in watch.run(40) if f.agent_id == watch.work.ids[0]]
    assert [f.can_fence for f in later][-1:] == [True]


# ---- thresholds


def test_thresholds_follow_the_budgets() -> None:
    """ln of the steps that the budget allows between two false alarms, the stricter budget."""
    steps = np.array([86_400.0, 8_640.0, 10.0], np.float32)
    suspicion, quarantine = thresholds(Budgets(), steps, 15)
    np.testing.assert_allclose(suspicion, [np.log(30 * 86_400), np.log(30 * 8_640), 7.0], rtol=1e-5)
    np.testing.assert_allclose(quarantine, np.log([8.64e7, 8.64e6, 1e4]), rtol=1e-5)
    big = thresholds(Budgets(), steps, 100_000)[1]
    np.testing.assert_allclose(big, np.log(3.5 * 100_000 * steps), rtol=1e-5)


@given(
    steps=st.floats(1, 1e8),
    agents=st.integers(1, 1_000_000),
    suspicions=st.floats(1e-3, 1e3),
    quarantines=st.floats(1e-3, 1e3),
)
def test_quarantine_never_comes_before_suspicion(
    steps: float, agents: int, suspicions: float, quarantines: float
) -> None:
    """Whatever budgets somebody sets."""
    budgets = Budgets(
        false_suspicions_per_agent_day=suspicions,
        false_quarantines_per_1000_agent_days=quarantines,
    )
    low, high = thresholds(budgets, np.array([steps], np.float32), agents)
    assert budgets.nats_min <= low[0] <= high[0]


def test_a_budget_must_be_positive() -> None:
    """No false alarm ever is not on offer."""
    with pytest.raises(InvalidInput, match="false_suspicions"):
        DetectionParams(budgets=Budgets(false_suspicions_per_agent_day=0))


def test_levels_show_every_stream() -> None:
    """Codes, evidence and thresholds as arrays, in agreement with the single answers."""
    watch = warm(114, agents=5)
    watch.work.factors[3, LATENCY] = 6.0
    watch.run(12)
    agent, kind, evidence, suspicion, quarantine = watch.sentinel.levels()
    assert sorted(agent.tolist()) == sorted(watch.work.codes.tolist())
    assert set(kind.tolist()) == {1}
    assert (suspicion < quarantine).all()
    sick = int(np.argmax(evidence))
    assert agent[sick] == watch.work.codes[3]
    assert evidence[sick] == pytest.approx(watch.evidence(3))
    worst = watch.sentinel.fleet_levels().by_metric.argmax(axis=1)[sick]
    assert worst == LATENCY
    assert watch.sentinel.ready_agents() == set(watch.work.codes.tolist())
    effects = watch.sentinel.recent_effects(watch.work.ids[3], Kind.RUN)
    assert [e.metric for e in effects if e.affected] == ["latency_ms"]
    assert watch.sentinel.recent_effects("nobody", Kind.RUN) == ()
    assert watch.sentinel.evidence("nobody") == 0


# ---- rules


def test_a_hard_limit_needs_no_baseline() -> None:
    """A newborn that passes a ceiling is fenced at once, at severity 8 or more, and told once."""
    rules = RuleParams(limits=Limits(step_tokens=100_000.0))
    watch = Watch(1, seed=115, params=DetectionParams(rules=rules))
    watch.run(3)
    watch.work.factors[0, INPUT] = 1000.0
    told = watch.run(4)
    assert len(told) == 1
    assert told[0].source is Source.HARD_LIMIT
    assert told[0].tier is Tier.QUARANTINE
    assert told[0].can_fence
    assert told[0].severity >= 8
    assert "100000" in (told[0].facts.limit or "")


def test_a_repetition_becomes_a_finding() -> None:
    """The same call again and again, at least severity 5, with the tool named."""
    watch = warm(116, agents=4)
    search = watch.work.names.facts.code("search")
    told: list[Finding] = []
    for _ in range(14):
        batch = watch.work.step()
        row = np.flatnonzero(batch.agent == watch.work.codes[0]).astype(np.int32)
        batch.calls = CallColumns(
            row,
            np.array([search], np.int32),
            np.array([7], np.uint64),
            np.array([8], np.uint64),
            np.array([True]),
        )
        told += watch.sentinel.observe(batch).findings
    assert [f.source for f in told] == [Source.REPETITION]
    assert told[0].facts.repeated_tool == "search"
    assert told[0].severity >= 5
    assert told[0].can_fence


def test_silence_suspects_and_ends_with_the_return() -> None:
    """A regular agent that stops is suspected once, never fenced, and subsides when it is back."""
    watch = warm(117, agents=3, steps=60)
    stopped = float(watch.work.at.max())
    watch.run(40, only=[1, 2])
    seen = watch.sentinel.sweep(stopped + 40)
    assert [f.agent_id for f in seen.findings] == [watch.work.ids[0]]
    assert [f.source for f in seen.findings] == [Source.SILENCE]
    assert len(seen.silences) == 1
    assert not seen.findings[0].can_fence
    assert watch.sentinel.sweep(stopped + 41).findings == []
    subsided = [s for o in watch.observations(10) for s in o.subsided]
    assert [s.agent_id for s in subsided] == [watch.work.ids[0]]


def test_what_the_rules_have_learned_survives_a_restart() -> None:
    """An agent that died while we were down is missed by its old rhythm, and a loop that a person
    called a false alarm stays one."""
    watch = Watch(3, seed=17)
    watch.run(60)
    agent, code = watch.work.ids[0], int(watch.work.codes[0])
    last = float(watch.work.at.max())
    (told,) = watch.sentinel.observe(looping(watch, code, last + 1)).findings
    watch.sentinel.accept(agent, told.at)
    other = Watch(3, seed=17)
    other.learner.load(watch.learner.save(watch.work.ids))
    assert other.sentinel.observe(looping(other, code, last + 60)).findings == []
    now = last + 500.0
    assert [f.agent_id for f in other.sentinel.sweep(now).findings] == [agent]
    assert {f.agent_id for f in other.sentinel.sweep(now + 60).findings} == set(watch.work.ids[1:])


def looping(watch: Watch, code: int, at: float) -> VitalColumns:
    """One step of an agent that makes the same call twelve times."""
    step = columns([code], np.array([at]), watch.work.values()[:1])
    tool = watch.work.names.facts.code("search")
    n = 12
    step.calls = CallColumns(
        np.zeros(n, np.int32),
        np.full(n, tool, np.int32),
        np.full(n, 7, np.uint64),
        np.full(n, 7, np.uint64),
        np.ones(n, np.bool_),
    )
    return step


def test_the_fenced_are_not_silent() -> None:
    """Paused, no clock runs; resumed, it runs anew."""
    watch = warm(118, agents=3, steps=60)
    watch.sentinel.pause(watch.work.ids[0])
    stopped = float(watch.work.at.max())
    watch.run(40, only=[1, 2])
    assert watch.sentinel.sweep(stopped + 40).findings == []
    watch.sentinel.resume(watch.work.ids[0])
    assert watch.sentinel.sweep(stopped + 45).findings == []
    watch.run(60, only=[1, 2])
    late = watch.sentinel.sweep(stopped + 100).findings
    assert [f.agent_id for f in late] == [watch.work.ids[0]]


# ---- episodes by themselves

HIGH, MIDDLE, LOW = 20.0, 12.0, 2.0


def level(evidence: float) -> Level:
    return Level(at=0.0, evidence=evidence, suspicion=11.4, quarantine=18.3)


def finding(tier: Tier, severity: float = 3.0, *, fences: bool = True) -> Finding:
    return Finding("a", Kind.RUN, tier, Source.EVIDENCE, 0, 0, 12, 11, severity, can_fence=fences)


def test_an_untold_tier_is_looked_at_again() -> None:
    """What crossed but named no metric is looked at each step at first, then every few steps."""
    params = EpisodeParams()
    episode = Episode(onset_at=0.0)
    looks = []
    for _ in range(20):
        tier = episode.step(level(MIDDLE), params)
        if tier is not None:
            episode.looked = episode.steps
        looks.append(tier is not None)
    assert [i for i, looked in enumerate(looks) if looked] == [*range(10), 14, 19]
    assert episode.step(level(HIGH), params) is Tier.QUARANTINE


def test_a_told_tier_is_not_told_again() -> None:
    """Once told, only a higher tier speaks by itself."""
    params, episode = EpisodeParams(), Episode(onset_at=0.0)
    assert episode.step(level(HIGH), params) is Tier.QUARANTINE
    episode.told(finding(Tier.QUARANTINE))
    assert episode.step(level(HIGH), params) is None
    assert episode.step(level(MIDDLE), params) is None


@pytest.mark.parametrize(
    ("said", "now", "news"),
    [
        (finding(Tier.SUSPICION, 3.0), finding(Tier.SUSPICION, 3.4), False),
        (finding(Tier.SUSPICION, 3.0), finding(Tier.SUSPICION, 3.5), True),
        (finding(Tier.SUSPICION, 6.9), finding(Tier.SUSPICION, 7.1), True),
        (finding(Tier.QUARANTINE, 7.1), finding(Tier.QUARANTINE, 7.2), False),
        (finding(Tier.QUARANTINE, fences=False), finding(Tier.QUARANTINE), True),
        (finding(Tier.SUSPICION, fences=False), finding(Tier.SUSPICION), False),
        (finding(Tier.QUARANTINE, 5.0), finding(Tier.QUARANTINE, 2.0), False),
    ],
)
def test_what_counts_as_news(said: Finding, now: Finding, news: bool) -> None:
    """A severity up by half a point or across 7, or a fence that has become possible."""
    episode = Episode(onset_at=0.0)
    episode.told(said)
    assert episode.is_news(now, EpisodeParams()) is news


def test_an_episode_is_over_when_evidence_stays_low() -> None:
    """Thirty steps since the last crossing, and low at the end of them."""
    params, episode = EpisodeParams(), Episode(onset_at=0.0)
    episode.step(level(MIDDLE), params)
    episode.told(finding(Tier.SUSPICION))
    for _ in range(29):
        episode.step(level(LOW), params)
        assert not episode.is_over(level(LOW), params)
    episode.step(level(LOW), params)
    assert episode.is_over(level(LOW), params)
    assert not episode.is_over(level(6.0), params)


@settings(max_examples=40)
@given(st.lists(st.floats(0, 30), min_size=1, max_size=120))
def test_tiers_only_rise_within_an_episode(evidence: list[float]) -> None:
    """Whatever the evidence does, at most one word each for suspicion and quarantine."""
    params, episode = EpisodeParams(), Episode(onset_at=0.0)
    told = []
    for nats in evidence:
        tier = episode.step(level(nats), params)
        if tier is not None:
            episode.looked = episode.steps
            episode.told(finding(tier))
            told.append(tier)
    assert told in ([], [Tier.SUSPICION], [Tier.QUARANTINE], [Tier.SUSPICION, Tier.QUARANTINE])


def test_findings_survive_the_store() -> None:
    """A finding is plain data: encoded and decoded it is the same."""
    watch = warm(119)
    watch.work.factors[0, LATENCY] = 5.0
    found = watch.until(0, Tier.QUARANTINE)
    assert found is not None
    data = msgspec.json.encode(found[1])
    assert msgspec.json.decode(data, type=Finding) == found[1]


def test_a_shift_too_small_to_matter_lends_its_evidence_to_nobody() -> None:
    """A tenth more of latency while a treatment lasts, and then an error: it is judged alone."""
    watch = Watch(6, seed=131)
    watch.work.sigma[:] = 0.06
    assert watch.run(600) == []
    watch.learner.freeze(watch.work.ids[2], float(watch.work.at.max()))
    watch.work.factors[2, LATENCY] = 1.1
    assert watch.run(200) == []
    assert watch.evidence(2) > 18.3
    watch.work.error_rate[2] = 1.0
    assert [f.tier for f in watch.run(1) if f.agent_id == watch.work.ids[2]] == []


def test_after_a_cure_no_onset_is_older_than_it() -> None:
    """What an agent did while it was sick proves nothing against it once it is well."""
    watch = warm(132)
    sick = watch.work.ids[2]
    watch.work.factors[2, LATENCY] = 5.0
    assert watch.until(2, Tier.QUARANTINE) is not None
    watch.sentinel.forget(sick, cured=True)
    cured_at = float(watch.work.at.max())
    found = watch.until(2, Tier.SUSPICION)
    assert found is not None
    assert found[1].onset_at > cured_at - 2
