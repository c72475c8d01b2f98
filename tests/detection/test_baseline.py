"""What is normal: young and old, frozen and thawed, with peers and without, saved and loaded."""

from __future__ import annotations

import msgspec
import numpy as np
import pytest

from immune.columns import Names
from immune.detection import BaselineLearner, DetectionParams
from immune.detection.profile import count_quantiles
from immune.detection.state import AT
from immune.vitals import Kind, Metric
from tests.detection.workload import START, Watch, Workload, columns

PARAMS = DetectionParams()


def latency(watch: Watch, agent: int = 0) -> float:
    profile = watch.learner.profile(watch.work.ids[agent], Kind.RUN)
    assert profile is not None
    metric = profile.metric("latency_ms")
    assert metric is not None
    return metric.median


# ---- learning


def test_a_profile_says_what_is_usual() -> None:
    """Bands of positive metrics, mean and dispersion of counts, rates of rare ones."""
    watch = Watch(3, seed=1)
    watch.run(900)
    work = watch.work
    profile = watch.learner.profile(work.ids[0], Kind.RUN)
    assert profile is not None
    assert profile.samples == 900
    assert profile.ready
    assert profile.can_fence
    by = {metric.metric: metric for metric in profile.metrics}
    assert by["latency_ms"].median == pytest.approx(work.typical[0, 0], rel=0.1)
    assert by["latency_ms"].spread == pytest.approx(work.sigma[0, 0], rel=0.15)
    ratio = by["latency_ms"].high / by["latency_ms"].median
    assert ratio == pytest.approx(np.exp(2.326 * work.sigma[0, 0]), rel=0.2)
    assert by["cost_usd"].low < by["cost_usd"].median < by["cost_usd"].high < 0.1
    assert by["tool_calls"].mean == pytest.approx(work.typical[3, 0], rel=0.1)
    assert by["tool_calls"].dispersion == pytest.approx(1.0, abs=0.25)
    assert by["retries"].rate == pytest.approx(work.retry_rate[0], abs=0.03)
    assert by["interval_s"].centre == pytest.approx(np.log(2), abs=0.02)
    assert by["interval_s"].low < 1 < by["interval_s"].high


def test_quantiles_of_counts_are_those_of_the_law() -> None:
    """Poisson where the variance is the mean, wider where it is more."""
    draws = np.random.default_rng(0).negative_binomial(4 / 2, 1 / 3, 200_000)
    assert count_quantiles(4.0, 3.0, (0.01, 0.5, 0.99)) == tuple(
        np.quantile(draws, [0.01, 0.5, 0.99])
    )
    poisson = np.random.default_rng(0).poisson(5.5, 200_000)
    assert count_quantiles(5.5, 0.4, (0.01, 0.99)) == tuple(np.quantile(poisson, [0.01, 0.99]))
    assert count_quantiles(0.0, 1.0, (0.5,)) == (0.0,)


def test_unknown_agents_have_no_profile() -> None:
    """Nothing is made up for an agent, or a kind, that was never seen."""
    watch = Watch(1, seed=2)
    watch.run(20)
    assert watch.learner.profile("nobody", Kind.RUN) is None
    assert watch.learner.profile(watch.work.ids[0], Kind.CALL) is None
    assert watch.learner.history("nobody", Kind.RUN, 0)[1].shape == (0, 8)
    assert not watch.learner.peer_shift("nobody", Kind.RUN, 0).any()


def test_history_holds_the_last_sixty_in_order() -> None:
    """The ring forgets the oldest, and gives what is asked for from a time on."""
    watch = Watch(2, seed=3)
    watch.run(100)
    at, values = watch.learner.history(watch.work.ids[1], Kind.RUN, 0.0)
    assert len(at) == PARAMS.learning.history == len(values)
    assert (np.diff(at) > 0).all()
    assert at[-1] == watch.work.at[1]
    later, _ = watch.learner.history(watch.work.ids[1], Kind.RUN, at[40])
    np.testing.assert_array_equal(later, at[40:])


def test_a_learned_stream_is_free_again_after_retiring() -> None:
    """A retired agent leaves no state; the next one starts from nothing in its place."""
    watch = Watch(1, seed=4)
    watch.run(50)
    row = watch.learner.stream(watch.work.ids[0], Kind.RUN)
    watch.learner.retire(watch.work.ids[0])
    assert watch.learner.profile(watch.work.ids[0], Kind.RUN) is None
    assert watch.learner.streams.n_agents == 0
    watch.learner.learn(
        columns([watch.work.names.agents.code("new")], np.array([START]), watch.work.values())
    )
    assert watch.learner.stream("new", Kind.RUN) == row
    assert watch.learner.profile("new", Kind.RUN) is None
    watch.run(1)
    assert watch.learner.streams.n_agents == 2


# ---- peers


def test_a_newcomer_starts_from_its_peers() -> None:
    """Before its own samples tell, a young baseline is as wide and as high as its peers'."""
    watch = Watch(12, seed=5)
    old = list(range(11))
    watch.run(300, only=old)
    watch.run(16)
    row = watch.learner.stream(watch.work.ids[11], Kind.RUN)
    assert row is not None
    spread = 1 / watch.learner.kernel.block[row, AT["inverse"], Metric.LATENCY_MS]
    assert spread == pytest.approx(np.median(watch.work.sigma[0, old]), rel=0.25)


def test_a_sick_minority_does_not_set_the_prior() -> None:
    """Four of fifteen that are ten times slower from birth leave the others' prior as it was."""
    priors = []
    for sick in (0, 4):
        watch = Watch(15, seed=6)
        watch.work.factors[:sick, Metric.LATENCY_MS] = 10.0
        watch.run(40)
        row = watch.learner.stream(watch.work.ids[14], Kind.RUN)
        assert row is not None
        state = watch.learner.kernel.block[row, :, Metric.LATENCY_MS]
        priors.append(state[AT["prior_mean"] : AT["prior_nu"]].copy())
    mean, samples, var = priors[1] / priors[0]
    assert mean == pytest.approx(1, abs=0.03)
    assert samples == pytest.approx(1, abs=0.6)
    assert var == pytest.approx(1, abs=0.3)


@pytest.mark.parametrize("metric", [Metric.LATENCY_MS, Metric.OUTPUT_TOKENS, Metric.RETRIES])
@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("from_birth", [True, False])
def test_three_in_ten_sick_peers_leave_the_prior_as_it_was(
    metric: Metric, seed: int, from_birth: bool
) -> None:
    """Six times as slow, as wordy, or failing three steps in four, from birth on or half-way: mean,
    spread and autocorrelation that a newcomer borrows are about those of the healthy."""
    priors = []
    for sick in (0, 6):
        watch = Watch(20, seed=seed)
        watch.work.retry_rate[:] = 0.05
        watch.run(0 if from_birth else 20)
        watch.work.factors[:sick, :3] = 6.0
        watch.work.retry_rate[:sick] = 0.75
        watch.run(40 if from_birth else 20)
        watch.learner.refresh_priors()
        row = watch.learner.stream(watch.work.ids[19], Kind.RUN)
        assert row is not None
        priors.append(watch.learner.kernel.block[row, AT["prior_mean"] :, metric].copy())
    healthy, mixed = priors
    apart = 0.03 if metric is Metric.RETRIES else 0.15
    assert mixed[0] == pytest.approx(healthy[0], abs=apart)
    assert mixed[1] >= 0.5 * healthy[1]
    assert mixed[2] == pytest.approx(healthy[2], rel=0.4)
    assert mixed[4] == pytest.approx(healthy[4], abs=0.2)


def test_peers_of_another_type_lend_no_mean() -> None:
    """Types differ by what they do: the prior of a type is its own once it has three."""
    names = Names()
    learner = BaselineLearner(PARAMS, names)
    fast, slow = Workload(5, 7, "fast", names), Workload(5, 8, "slow", names)
    slow.factors[:, Metric.LATENCY_MS] = 20.0
    for _ in range(24):
        learner.learn(fast.step())
        learner.learn(slow.step())
    means = [
        learner.kernel.block[learner.stream(work.ids[0], Kind.RUN), AT["prior_mean"], 0]
        for work in (fast, slow)
    ]
    assert means[1] - means[0] == pytest.approx(np.log(20), abs=0.6)


# ---- young and old


def test_below_fifteen_samples_nothing_is_ready() -> None:
    """Neither suspicion nor fence, whatever the peers."""
    watch = Watch(6, seed=9)
    watch.run(14)
    profile = watch.learner.profile(watch.work.ids[0], Kind.RUN)
    assert profile is not None
    assert not profile.ready
    assert not profile.can_fence


@pytest.mark.parametrize(
    ("agents", "agent_type", "steps", "can_fence"),
    [
        (1, "worker", 449, False),
        (1, "worker", 450, True),
        (3, "worker", 100, False),
        (4, "worker", 15, True),
        (4, "", 100, False),
    ],
)
def test_who_may_be_fenced(agents: int, agent_type: str, steps: int, can_fence: bool) -> None:
    """Alone from 450 own samples on; with three ready peers of the same type from 15 on."""
    watch = Watch(agents, seed=10, agent_type=agent_type)
    watch.run(steps)
    row = watch.learner.stream(watch.work.ids[0], Kind.RUN)
    assert row is not None
    standing = watch.learner.standing(row)
    assert standing.ready
    assert standing.can_fence is can_fence
    assert bool(standing.why_not) is not can_fence


def test_a_metric_newly_reported_is_young_by_itself() -> None:
    """An old baseline does not vouch for a metric that it has seen ten times."""
    watch = Watch(1, seed=11)
    row = 0
    for step in range(500):
        batch = watch.work.step()
        if step < 490:
            batch.values[:, Metric.COST_USD] = np.nan
        watch.sentinel.observe(batch)
    assert watch.learner.standing(row).can_fence
    assert watch.learner.standing(row, np.array([Metric.LATENCY_MS])).can_fence
    young = watch.learner.standing(row, np.array([Metric.COST_USD]))
    assert not young.can_fence
    assert "10 own samples" in young.why_not


# ---- freezing


def sick_and_frozen(seed: int, steps: int = 40, factor: float = 3.0) -> Watch:
    watch = Watch(5, seed)
    watch.run(300)
    since = float(watch.work.at[0]) + 0.1
    watch.work.factors[0, Metric.LATENCY_MS] = factor
    watch.learner.freeze(watch.work.ids[0], since)
    watch.run(steps)
    return watch


def test_frozen_means_nothing_is_learned() -> None:
    """The profile stays as it was, sample count included, and other agents go on learning."""
    watch = Watch(5, seed=12)
    watch.run(300)
    before = watch.learner.profile(watch.work.ids[0], Kind.RUN)
    watch.learner.freeze(watch.work.ids[0], float(watch.work.at[0]))
    assert watch.learner.frozen(watch.work.ids[0])
    assert not watch.learner.frozen(watch.work.ids[1])
    watch.work.factors[:, Metric.LATENCY_MS] = 1.2
    watch.run(200)
    assert watch.learner.profile(watch.work.ids[0], Kind.RUN) == before
    other = watch.learner.profile(watch.work.ids[1], Kind.RUN)
    assert other is not None
    assert other.samples == 500


def test_thawed_to_learn_takes_in_what_waited() -> None:
    """A false alarm: the samples held back were well, and count."""
    watch = sick_and_frozen(13, steps=150, factor=1.3)
    before = latency(watch)
    watch.learner.thaw(watch.work.ids[0], "learn")
    assert not watch.learner.frozen(watch.work.ids[0])
    assert before * 1.03 < latency(watch) < before * 1.3
    profile = watch.learner.profile(watch.work.ids[0], Kind.RUN)
    assert profile is not None
    assert profile.samples == 450


def test_thawed_to_discard_forgets_what_waited() -> None:
    """Healed: the sick samples leave no trace, and learning goes on."""
    watch = sick_and_frozen(14)
    before = latency(watch)
    watch.learner.thaw(watch.work.ids[0], "discard")
    assert latency(watch) == before
    watch.work.factors[0, Metric.LATENCY_MS] = 1.0
    watch.run(100)
    assert latency(watch) == pytest.approx(before, rel=0.1)
    assert watch.evidence(0) < 6


def test_thawed_to_restart_learns_the_new_normal() -> None:
    """A change for good, accepted: learned within a hundred samples, without another alarm."""
    watch = sick_and_frozen(15)
    watch.learner.thaw(watch.work.ids[0], "restart")
    watch.sentinel.forget(watch.work.ids[0])
    profile = watch.learner.profile(watch.work.ids[0], Kind.RUN)
    assert profile is not None
    assert profile.samples == 40
    assert not [f for f in watch.run(100) if f.agent_id == watch.work.ids[0]]
    assert latency(watch) == pytest.approx(3 * watch.work.typical[0, 0], rel=0.2)


def test_a_frozen_baseline_keeps_its_first_onset() -> None:
    """Frozen twice, it starts anew from the earlier onset."""
    watch = sick_and_frozen(16)
    agent = watch.work.ids[0]
    at, _ = watch.learner.history(agent, Kind.RUN, 0)
    watch.learner.freeze(agent, at[-1])
    watch.learner.thaw(agent, "restart")
    profile = watch.learner.profile(agent, Kind.RUN)
    assert profile is not None
    assert profile.samples == 40


def test_thawing_what_is_not_frozen_changes_nothing() -> None:
    """`learn` and `discard` are for what waits; an unknown order is refused."""
    watch = Watch(2, seed=17)
    watch.run(61)
    state = watch.learner.kernel.block.copy()
    for order in ("learn", "discard"):
        watch.learner.thaw(watch.work.ids[0], order)
    np.testing.assert_array_equal(watch.learner.kernel.block, state)
    with pytest.raises(ValueError, match="forget"):
        watch.learner.thaw(watch.work.ids[0], "forget")


# ---- what peers share


def test_a_shift_that_peers_share_is_measured_on_the_healthy() -> None:
    """All ran 1.5 times slower: the log of it; the one that is frozen does not count."""
    watch = Watch(7, seed=18)
    watch.run(300)
    since = float(watch.work.at.max())
    watch.work.factors[:, Metric.LATENCY_MS] = 1.5
    watch.work.factors[1, Metric.LATENCY_MS] = 30.0
    watch.work.factors[:, Metric.INTERVAL_S] = 2.0
    watch.work.retry_rate[:] = 0.5
    watch.learner.freeze(watch.work.ids[1], since)
    watch.run(40)
    shift = watch.learner.peer_shift(watch.work.ids[0], Kind.RUN, since)
    assert shift[Metric.LATENCY_MS] == pytest.approx(np.log(1.5), abs=0.15)
    assert shift[Metric.INTERVAL_S] == pytest.approx(np.log(1.5) - np.log(2), abs=0.03)
    assert shift[Metric.RETRIES] == pytest.approx(0.44, abs=0.1)
    assert shift[Metric.INPUT_TOKENS] == pytest.approx(0, abs=0.15)


def test_two_peers_are_no_witness() -> None:
    """Where fewer than three healthy peers are known, nothing is taken out."""
    watch = Watch(3, seed=19)
    watch.run(100)
    since = float(watch.work.at.max())
    watch.work.factors[:, Metric.LATENCY_MS] = 3.0
    watch.run(20)
    assert not watch.learner.peer_shift(watch.work.ids[0], Kind.RUN, since).any()


# ---- saving


def test_saved_and_loaded_it_goes_on_as_if_nothing_had_happened() -> None:
    """The same evidence and profile from the next sample on, with other codes for names."""
    watch = Watch(1, seed=20)
    watch.run(350)
    watch.learner.freeze(watch.work.ids[0], float(watch.work.at[0]))
    watch.run(10)
    saved = watch.learner.save(watch.learner.dirty())
    names = Names()
    names.agents.code("somebody else")
    names.facts.code("another fact")
    other = BaselineLearner(PARAMS, names)
    other.load(saved)
    agent = watch.work.ids[0]
    assert other.frozen(agent)
    assert other.profile(agent, Kind.RUN) == watch.learner.profile(agent, Kind.RUN)
    for mine, theirs in zip(
        other.history(agent, Kind.RUN, 0), watch.learner.history(agent, Kind.RUN, 0), strict=True
    ):
        np.testing.assert_array_equal(mine, theirs)
    for learner in (watch.learner, other):
        learner.thaw(agent, "learn")
    batches = [watch.work.step() for _ in range(80)]
    expected = np.concatenate([watch.learner.learn(batch) for batch in batches])
    for batch in batches:
        batch.agent[:] = names.agents.code(agent)
        batch.agent_type[:] = names.facts.code("worker")
    np.testing.assert_array_equal(
        np.concatenate([other.learn(batch) for batch in batches]), expected
    )
    code = names.agents.code(agent)
    assert names.facts.text(int(other.facts.agent_type[code])) == "worker"


def test_only_what_changed_is_dirty() -> None:
    """A saved agent is clean until its next sample or order."""
    watch = Watch(3, seed=21)
    watch.run(5)
    assert set(watch.learner.dirty()) == set(watch.work.ids)
    watch.learner.save(watch.work.ids[:2])
    assert watch.learner.dirty() == [watch.work.ids[2]]
    watch.learner.freeze(watch.work.ids[0], START)
    assert set(watch.learner.dirty()) == {watch.work.ids[0], watch.work.ids[2]}
    watch.learner.retire(watch.work.ids[2])
    assert watch.learner.dirty() == [watch.work.ids[0]]


@pytest.mark.parametrize("damage", [b"", b"\x00\x01", b"not a baseline"])
def test_foreign_bytes_are_refused(damage: bytes) -> None:
    """Bytes of no version, or another, raise ValueError and leave the learner as it was."""
    learner = BaselineLearner(PARAMS, Names())
    with pytest.raises(ValueError, match="version"):
        learner.load([("agent", Kind.RUN, damage)])
    assert learner.streams.n_agents == 0


def test_another_version_is_refused() -> None:
    """A state with other fields is not guessed at."""
    watch = Watch(1, seed=22)
    watch.run(20)
    ((agent, kind, data),) = watch.learner.save(watch.work.ids)
    older = data.replace(b"prior_phi", b"prior_rho")
    with pytest.raises(ValueError, match="version"):
        BaselineLearner(PARAMS, Names()).load([(agent, kind, older)])


@pytest.mark.parametrize(
    ("field", "place"), [("block", 3), ("at", 8), ("values", 9), ("drift", 12)]
)
def test_a_stored_stream_cut_short_is_refused_by_field(field: str, place: int) -> None:
    """Which field, how long it is and how long it should be; the learner stays as it was."""
    watch = Watch(1, seed=23)
    watch.run(20)
    ((agent, kind, data),) = watch.learner.save(watch.work.ids)
    record = msgspec.msgpack.decode(data)
    record[place] = record[place][:-3]
    learner = BaselineLearner(PARAMS, Names())
    with pytest.raises(ValueError, match=f"a baseline's {field} has [0-9]+ bytes in place of"):
        learner.load([(agent, kind, msgspec.msgpack.encode(record))])
    assert learner.streams.n_agents == 0


def test_a_stored_stream_that_was_blinded_is_refused() -> None:
    """What is no number never comes back from a store: the stream is learned anew."""
    watch = Watch(1, seed=24)
    watch.run(20)
    watch.learner.kernel.block[0, 0, 0] = np.nan
    saved = watch.learner.save(watch.work.ids)
    with pytest.raises(ValueError, match="block holds what is no number"):
        BaselineLearner(PARAMS, Names()).load(saved)
