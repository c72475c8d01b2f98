"""Onset, effects, severity: what a known shift looks like."""

from __future__ import annotations

import numpy as np
import pytest

from immune.columns import Float32
from immune.detection.findings import MetricEffect
from immune.detection.onset import Normal, Scored, effects_of, find_onset
from immune.detection.params import EpisodeParams
from immune.detection.severity import at_least, severity, tempered
from immune.vitals import Metric
from tests.detection.workload import Watch

PARAMS = EpisodeParams()


def learned(seed: int = 0) -> tuple[Normal, Watch]:
    watch = Watch(1, seed)
    watch.run(900)
    row = watch.learner.stream(watch.work.ids[0], watch.kind)
    assert row is not None
    return watch.learner.normal(row), watch


def window(watch: Watch, before: int, after: int) -> Float32:
    """Well for some steps, then with the factors that are set."""
    sick = watch.work.factors.copy(), watch.work.retry_rate.copy()
    watch.work.factors = np.ones_like(sick[0])
    watch.work.retry_rate = np.full(1, 0.05)
    well = [watch.work.values() for _ in range(before)]
    watch.work.factors, watch.work.retry_rate = sick
    return np.concatenate([*well, *(watch.work.values() for _ in range(after))])


def affected(effects: tuple[MetricEffect, ...]) -> set[str]:
    return {effect.metric for effect in effects if effect.affected}


def effects(values: Float32, normal: Normal) -> tuple[MetricEffect, ...]:
    """What happened over all of these samples."""
    return effects_of(Scored.of(np.arange(float(len(values))), values, normal), PARAMS)


@pytest.mark.parametrize(("after", "seed"), [(8, 1), (12, 2), (25, 3), (45, 4)])
def test_a_known_shift_is_dated(after: int, seed: int) -> None:
    """The scan finds the first sick sample, give or take two."""
    normal, watch = learned(seed)
    watch.work.factors[:, Metric.LATENCY_MS] = 4.0
    values = window(watch, 60 - after, after)
    onset = find_onset(Scored.of(np.arange(60.0), values, normal))
    assert abs(onset.index - (60 - after)) <= 2
    assert onset.at == onset.index


def test_without_a_change_the_onset_is_now() -> None:
    """A single quiet sample dates nothing back."""
    normal, _ = learned()
    quiet = np.array([[700, 1000, 200, 0.001, 2, 0, 0, 1.0]], np.float32)
    assert find_onset(Scored.of(np.array([5.0]), quiet, normal)).at == 5.0


@pytest.mark.parametrize("seed", range(12))
def test_only_the_sick_metric_is_affected(seed: int) -> None:
    """Retries do not drag latency in, nor latency the retries, nor input the output tokens."""
    normal, watch = learned(seed)
    watch.work.retry_rate[:] = 0.75
    assert affected(effects(window(watch, 0, 15), normal)) == {"retries"}
    watch.work.retry_rate[:] = 0.05
    watch.work.factors[:, Metric.LATENCY_MS] = 4.0
    assert affected(effects(window(watch, 0, 10), normal)) == {"latency_ms"}
    watch.work.factors[:, Metric.LATENCY_MS] = 1.0
    watch.work.factors[:, Metric.INPUT_TOKENS] = 6.0
    found = affected(effects(window(watch, 0, 10), normal))
    assert found == {"input_tokens", "cost_usd"}


def test_effects_are_in_the_metrics_own_terms() -> None:
    """Ratios of what is typical, the rise of a probability, and an interval turned round."""
    normal, watch = learned()
    watch.work.factors[:, [Metric.LATENCY_MS, Metric.TOOL_CALLS]] = 4.0
    watch.work.factors[:, Metric.INTERVAL_S] = 5.0
    watch.work.retry_rate[:] = 0.7
    by = {effect.metric: effect for effect in effects(window(watch, 0, 60), normal)}
    assert by["latency_ms"].ratio == pytest.approx(4, rel=0.25)
    assert by["tool_calls"].ratio == pytest.approx(4, rel=0.15)
    assert by["tool_calls"].normal == pytest.approx(watch.work.typical[3, 0], rel=0.1)
    assert by["interval_s"].ratio == pytest.approx(5, rel=0.1)
    assert by["interval_s"].now == pytest.approx(0.2, rel=0.1)
    assert by["retries"].increase == pytest.approx(0.65, abs=0.15)
    assert by["retries"].now == pytest.approx(0.7, abs=0.15)
    assert not by["errors"].affected
    assert by["errors"].evidence == 0


def test_a_metric_never_reported_has_no_effect() -> None:
    """Missing is not zero: it is left out."""
    normal, watch = learned()
    values = window(watch, 0, 10)
    values[:, Metric.COST_USD] = np.nan
    assert "cost_usd" not in {e.metric for e in effects(values, normal)}


def effect(metric: str, ratio: float = 1.0, increase: float = 0.0) -> MetricEffect:
    return MetricEffect(metric, ratio, 1.0, ratio, increase, evidence=30.0, affected=True)


@pytest.mark.parametrize(
    ("effects", "expected"),
    [
        ((), 0.0),
        ((effect("latency_ms", 4),), 3.75),
        ((effect("latency_ms", 16),), 7.5),
        ((effect("latency_ms", 1000),), 7.5),
        ((effect("latency_ms", 0.2),), 0.0),
        ((effect("cost_usd", 4), effect("input_tokens", 16)), 3.75),
        ((effect("tool_calls", 4), effect("interval_s", 16)), 7.5),
        ((effect("retries", increase=0.5),), 3.0),
        ((effect("errors", increase=0.5),), 4.5),
        ((effect("errors", increase=0.2), effect("retries", increase=0.5)), 3.0),
        ((effect("latency_ms", 4), effect("cost_usd", 4)), 10 * (1 - 0.625**2)),
        (
            (effect("latency_ms", 3), effect("cost_usd", 4), effect("tool_calls", 5)),
            7.52,
        ),
    ],
)
def test_the_table_of_severities(effects: tuple[MetricEffect, ...], expected: float) -> None:
    """Harm by group, each metric by how many times worse or how much more often."""
    assert severity(effects) == pytest.approx(expected, abs=0.01)


def test_unaffected_metrics_do_no_harm() -> None:
    """What chance alone explains is not counted."""
    assert severity((MetricEffect("latency_ms", 8.0, 1.0, 8.0),)) == 0.0


def test_tokens_speak_where_the_cost_does_not() -> None:
    """Without a cost the sum of tokens is the spend: a small part that grows much is little."""
    big = MetricEffect("input_tokens", 1.0, 1000.0, 1000.0)
    small = MetricEffect("output_tokens", 4.0, 100.0, 400.0, affected=True)
    assert severity((big, small)) == pytest.approx(10 * 0.75 * np.log2(1400 / 1100) / 4)


def test_a_rule_sets_the_least() -> None:
    """A hard limit is at least 8, and harm beyond it still counts."""
    assert severity((effect("latency_ms", 4),), floor=8.0) == 8.0
    worst = tuple(effect(m, 16) for m in ("latency_ms", "cost_usd", "tool_calls"))
    assert severity(worst, floor=8.0) > 9.5


def test_small_money_wakes_nobody() -> None:
    """Below the configured dollars an hour the severity stays under 7; at 0 the rule is off."""
    assert tempered(8.6, 0.02, 1.0) < 7
    assert tempered(8.6, 2.0, 1.0) == 8.6
    assert tempered(8.6, 0.0, 0.0) == 8.6


def test_what_is_sure_is_less_than_what_is_seen() -> None:
    """Thin evidence leaves little of an effect, thick evidence most of it."""
    thin, thick = effect("latency_ms", 4), effect("latency_ms", 4)
    thin = MetricEffect("latency_ms", 4.0, 1.0, 4.0, evidence=5.0, affected=True)
    assert 1 < at_least((thin,))[0].ratio < at_least((thick,))[0].ratio < 4


def test_a_value_as_good_as_zero_is_told_in_plain_numbers() -> None:
    """A metric that was next to nothing gives a ratio that can be stored, not numpy's own float."""
    normal, watch = learned()
    values = window(watch, 0, 20)
    values[:, Metric.TOOL_CALLS] = 0
    assert {type(effect.ratio) for effect in effects(values, normal)} == {float}


def test_few_samples_are_not_believed_to_the_last() -> None:
    """The luck of eight steps is taken back in part; that of forty hardly."""
    normal, watch = learned()
    watch.work.factors[:, Metric.LATENCY_MS] = 8.0
    values = window(watch, 0, 40)
    log_of = {}
    for steps in (2, 40):
        told = effects(values[:steps], normal)[Metric.LATENCY_MS].ratio
        plain = np.log1p(values[:steps, Metric.LATENCY_MS]).mean() - normal.centre[0]
        log_of[steps] = np.log(told) / plain
    assert 0.5 < log_of[2] < log_of[40] < 1.0
