"""The rules of a trial: what counts as fresh, what is tested, and what can never prove a cure."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.healing.patients import (
    baseline,
    effect,
    events,
    found,
    learned,
    lognormal,
    rows,
    steps,
)

from immune.detection.findings import Source
from immune.healing.actions import Action
from immune.healing.trial import Trial, Verdict
from immune.vitals import Metric

RNG = np.random.default_rng(3)
LATENCY = learned(Metric.LATENCY_MS, lognormal(0.3)(RNG, 600, 1.0))
TOKENS = learned(Metric.INPUT_TOKENS, lognormal(0.3)(RNG, 600, 1.0))
COST = learned(Metric.COST_USD, lognormal(0.3)(RNG, 600, 1e-5))
RETRIES = learned(Metric.RETRIES, events(RNG, 600, 0.03))
INTERVAL = learned(Metric.INTERVAL_S, lognormal(0.1)(RNG, 600, 1e-3))
KNOWN = baseline(LATENCY, TOKENS, COST, RETRIES, INTERVAL)
SLOW = found(effect(Metric.LATENCY_MS, 5.0))


def begun(action: Action | None = Action.RESET_MEMORY, since: float = 0.0) -> Trial:
    """A trial of an agent that was slow."""
    return Trial.begin(SLOW, KNOWN, action, since)


def test_normal_again_is_cured() -> None:
    """Fresh steps like the baseline's prove the cure, in words too."""
    state = begun().feed(steps(20), rows(20, latency_ms=1000.0))
    assert state.verdict is Verdict.CURED
    assert state.reason == f"latency_ms back to normal over {state.fresh_steps} fresh steps"
    assert [metric.clear for metric in state.metrics] == [True]


def test_still_slow_is_relapsed() -> None:
    """Steps as slow as before are a relapse, once there are five."""
    trial = begun()
    assert trial.feed(steps(4), rows(4, latency_ms=5000.0)).verdict is Verdict.UNDECIDED
    state = trial.feed(steps(1, 5.0), rows(1, latency_ms=5000.0))
    assert state.verdict is Verdict.RELAPSED
    assert state.reason == "latency_ms is still worse than normal"


def test_better_than_normal_is_no_sickness() -> None:
    """Only worse counts."""
    state = begun().feed(steps(20), rows(20, latency_ms=200.0))
    assert state.verdict is Verdict.CURED


def test_steps_from_before_do_not_count() -> None:
    """A step that was running when the action was acknowledged says nothing about it."""
    trial = begun(since=100.0)
    state = trial.feed(steps(50, 51.0), rows(50, latency_ms=1000.0))
    assert (state.verdict, state.fresh_steps) == (Verdict.UNDECIDED, 0)


def test_five_steps_at_least() -> None:
    """Four steps prove nothing, however clear they are."""
    state = begun().feed(steps(4), rows(4, latency_ms=1.0))
    assert state.verdict is Verdict.UNDECIDED


def test_all_metrics_must_clear() -> None:
    """A cured latency does not hide retries that go on."""
    both = found(effect(Metric.LATENCY_MS, 5.0), effect(Metric.RETRIES, 20, 0.03, 0.7))
    trial = Trial.begin(both, KNOWN, Action.RESET_MEMORY, 0.0)
    state = trial.feed(steps(8), rows(8, latency_ms=1000.0, retries=0.0))
    assert state.verdict is Verdict.UNDECIDED
    assert state.reason == "retries is not proved normal"
    state = trial.feed(steps(20, 9.0), rows(20, latency_ms=1000.0, retries=1.0))
    assert state.reason == "retries is still worse than normal"


def test_missing_metric_is_never_success() -> None:
    """A metric that is not reported again leaves the trial open, and then it is a relapse."""
    trial = begun()
    state = trial.feed(steps(199), rows(199, input_tokens=1000.0))
    assert (state.verdict, state.reason) == (Verdict.UNDECIDED, "latency_ms is not reported")
    state = trial.feed(steps(1, 200.0), rows(1, input_tokens=1000.0))
    assert state.verdict is Verdict.RELAPSED
    assert state.reason == "not proved in 200 fresh steps: latency_ms is not reported"


@pytest.mark.parametrize("known", [None, baseline(), baseline(LATENCY, ready=False)])
def test_nothing_to_test_is_never_success(known: object) -> None:
    """Without a finding's metrics and without a ready baseline nothing can be proved."""
    trial = Trial.begin(None, known, None, 0.0)  # type: ignore[arg-type]
    state = trial.feed(steps(200), rows(200, latency_ms=1000.0))
    assert state.verdict is Verdict.RELAPSED


def test_metric_without_baseline_is_never_success() -> None:
    """An affected metric that has no normal can't be proved normal."""
    trial = Trial.begin(found(effect(Metric.ERRORS, 9, 0.0, 0.5)), KNOWN, None, 0.0)
    state = trial.feed(steps(30), rows(30, errors=0.0))
    assert state.reason == "errors has no baseline to be judged by"


def test_persons_quarantine_tests_everything() -> None:
    """Without a finding every metric of the baseline must be free of harm."""
    trial = Trial.begin(None, KNOWN, Action.RESET_MEMORY, 0.0)
    names = {metric.metric for metric in trial.state.metrics}
    assert names == {"latency_ms", "input_tokens", "cost_usd", "retries"}
    well = rows(200, latency_ms=1000.0, input_tokens=1000.0, cost_usd=0.01, retries=0.0)
    assert trial.feed(steps(200), well).verdict is Verdict.CURED
    trial = Trial.begin(None, KNOWN, Action.RESET_MEMORY, 0.0)
    well[:, Metric.COST_USD] = 0.03
    assert trial.feed(steps(200), well).verdict is Verdict.RELAPSED


def test_shift_shared_by_peers_is_taken_out() -> None:
    """When healthy peers are twice as slow too, twice as slow is well; alone it is not."""
    shift = np.zeros(8, np.float32)
    shift[Metric.LATENCY_MS] = np.log(2.2)
    slow = rows(40, latency_ms=2200.0)
    assert begun().feed(steps(40), slow, shift).verdict is Verdict.CURED
    assert begun().feed(steps(40), slow).verdict is Verdict.RELAPSED
    shift[:] = np.nan
    assert begun().feed(steps(40), slow, shift).verdict is Verdict.RELAPSED


def test_shared_rates_are_taken_out() -> None:
    """Where all retry half of their steps, an agent that does is no sicker than they."""
    flaky = found(effect(Metric.RETRIES, 20, 0.03, 0.9))
    shift = np.zeros(8, np.float32)
    shift[Metric.RETRIES] = 0.2
    fresh = rows(200, retries=(np.arange(200) % 4 == 0).astype(np.float64))
    assert Trial.begin(flaky, KNOWN, None, 0.0).feed(steps(200), fresh, shift).verdict is (
        Verdict.CURED
    )


class TestSwitchedModel:
    """A new model has its own latency and cost."""

    def test_leaves_them_out(self) -> None:
        """Where something else was affected, that alone is tested."""
        drift = found(effect(Metric.COST_USD, 6.0), effect(Metric.INPUT_TOKENS, 6.0))
        trial = Trial.begin(drift, KNOWN, Action.SWITCH_MODEL, 0.0)
        state = trial.feed(steps(20), rows(20, cost_usd=0.04, input_tokens=1000.0))
        assert state.verdict is Verdict.CURED
        assert [metric.metric for metric in state.metrics] == ["input_tokens"]

    @pytest.mark.parametrize(
        ("latency", "verdict"),
        [(1250.0, Verdict.CURED), (700.0, Verdict.CURED), (2300.0, Verdict.RELAPSED)],
    )
    def test_widens_the_band_where_nothing_else_is_left(
        self, latency: float, verdict: Verdict
    ) -> None:
        """A quarter slower is the new model's right; more than twice is not a cure."""
        trial = begun(Action.SWITCH_MODEL)
        assert trial.feed(steps(60), rows(60, latency_ms=latency)).verdict is verdict


class TestRules:
    """Trials of what a rule and not the statistic had found."""

    @pytest.mark.parametrize("source", [Source.HARD_LIMIT, Source.REPETITION])
    def test_twenty_clean_steps(self, source: Source) -> None:
        """A limit or a loop is over after twenty steps without a hit."""
        trial = Trial.begin(found(source=source), None, Action.REDUCE_AUTONOMY, 0.0)
        assert trial.feed(steps(19), rows(19, tool_calls=1.0)).verdict is Verdict.UNDECIDED
        state = trial.feed(steps(1, 20.0), rows(1, tool_calls=1.0))
        assert (state.verdict, state.reason) == (
            Verdict.CURED,
            "no sign of it over 20 fresh steps",
        )

    def test_empty_steps_are_not_clean(self) -> None:
        """A step that measures nothing can't show that a limit was kept."""
        trial = Trial.begin(found(source=Source.HARD_LIMIT), None, None, 0.0)
        assert trial.feed(steps(100), rows(100, interval_s=1.0)).verdict is Verdict.UNDECIDED

    def test_a_hit_is_a_relapse(self) -> None:
        """One more hit ends any trial, and nothing revives it."""
        trial = begun()
        assert trial.note_hit().verdict is Verdict.RELAPSED
        state = trial.feed(steps(50), rows(50, latency_ms=1000.0))
        assert (state.verdict, state.fresh_steps) == (Verdict.RELAPSED, 0)

    def test_silence_ends_with_five_steps_at_its_pace(self) -> None:
        """An agent that steps as often as it used to is back."""
        silent = found(source=Source.SILENCE)
        trial = Trial.begin(silent, KNOWN, Action.CLONE_AGENT, 0.0)
        assert trial.feed(steps(4), rows(4, latency_ms=900.0)).verdict is Verdict.UNDECIDED
        assert trial.feed(steps(1, 5.0), rows(1)).verdict is Verdict.CURED

    def test_slow_steps_do_not_end_silence(self) -> None:
        """One step a minute is not the pace of one a second."""
        trial = Trial.begin(found(source=Source.SILENCE), KNOWN, Action.WAIT, 0.0)
        state = trial.feed(60.0 * steps(20), rows(20))
        assert (state.verdict, state.reason) == (
            Verdict.UNDECIDED,
            "it is not back at its own pace",
        )
        assert trial.feed(steps(5, 2000.0), rows(5)).verdict is Verdict.CURED


def test_fence_does_not_count_as_calm() -> None:
    """The first interval spans the fence, and says nothing about a runaway's pace."""
    runaway = found(effect(Metric.INTERVAL_S, 8.0))
    trial = Trial.begin(runaway, KNOWN, Action.REDUCE_AUTONOMY, 0.0)
    state = trial.feed(steps(1), rows(1, interval_s=300.0))
    assert state.metrics[0].samples == 0
    fast = trial.feed(steps(20, 2.0), rows(20, interval_s=0.12))
    assert fast.verdict is Verdict.RELAPSED


class TestWiden:
    """The detector goes on watching all metrics."""

    def test_new_metric_must_clear_too(self) -> None:
        """A finding on another metric keeps the agent from being let go."""
        trial = begun()
        trial.feed(steps(3), rows(3, latency_ms=1000.0, input_tokens=6000.0))
        trial.widen(found(effect(Metric.INPUT_TOKENS, 6.0)))
        state = trial.feed(steps(20, 4.0), rows(20, latency_ms=1000.0, input_tokens=6000.0))
        assert state.verdict is Verdict.RELAPSED

    def test_known_metric_must_be_proved_anew(self) -> None:
        """A suspicion on the metric on trial takes back what was proved."""
        trial = begun()
        trial.feed(steps(4), rows(4, latency_ms=1000.0))
        assert trial.widen(SLOW).metrics[0].log_odds == 0
        assert trial.feed(steps(1, 5.0), rows(1, latency_ms=1000.0)).verdict is Verdict.UNDECIDED

    def test_a_rule_joins(self) -> None:
        """A loop seen meanwhile asks for twenty clean steps from then on."""
        trial = begun()
        trial.feed(steps(4), rows(4, latency_ms=1000.0))
        trial.widen(found(source=Source.REPETITION))
        state = trial.feed(steps(19, 5.0), rows(19, latency_ms=1000.0))
        assert state.verdict is Verdict.UNDECIDED
        assert trial.feed(steps(1, 24.0), rows(1, latency_ms=1000.0)).verdict is Verdict.CURED

    def test_decided_trials_stay_decided(self) -> None:
        """What was proved is history."""
        trial = begun()
        trial.feed(steps(20), rows(20, latency_ms=1000.0))
        assert trial.widen(found(effect(Metric.INPUT_TOKENS, 6.0))).verdict is Verdict.CURED


@given(cuts=st.lists(st.integers(0, 60), max_size=6), seed=st.integers(0, 2**32 - 1))
def test_batches_do_not_matter(cuts: list[int], seed: int) -> None:
    """Steps fed one by one, at once, or in any batches end the same way."""
    rng = np.random.default_rng(seed)
    fresh = rows(60, latency_ms=lognormal(0.5)(rng, 60, 1.5))
    whole, parts = begun(), begun()
    for start, end in zip([0, *sorted(cuts)], [*sorted(cuts), 60], strict=True):
        parts.feed(steps(60)[start:end], fresh[start:end])
    assert parts.state == whole.feed(steps(60), fresh)


@given(
    seed=st.integers(0, 2**32 - 1),
    lost=st.floats(0, 1),
    metrics=st.sets(st.sampled_from(["latency_ms", "input_tokens", "retries"]), min_size=1),
)
def test_cured_means_every_affected_metric_was_seen_enough(
    seed: int, lost: float, metrics: set[str]
) -> None:
    """However much is lost on the way, a cure rests on five steps and on every metric."""
    rng = np.random.default_rng(seed)
    effects = [effect(Metric[label.upper()], 5.0, 0.03, 0.7) for label in sorted(metrics)]
    trial = Trial.begin(found(*effects), KNOWN, Action.RESET_MEMORY, 0.0)
    fresh = rows(100, latency_ms=1000.0, input_tokens=1000.0, retries=0.0)
    fresh[rng.random(fresh.shape) < lost] = np.nan
    state = trial.feed(steps(100), fresh)
    if state.verdict is Verdict.CURED:
        assert state.fresh_steps >= 5
        assert all(metric.clear and metric.samples >= 4 for metric in state.metrics)
