"""Between which bounds each number of the settings makes sense.

The settings say what a number means; this table says where it ends. A value outside would not fail
at once but hours later and elsewhere: a queue of -1 rows, a threshold of NaN that nothing crosses.
Bounds are wide: they refuse mistakes (a sign, a unit, a missing point), not opinions.
"""

from __future__ import annotations

import math
from collections.abc import Iterator

import msgspec

from immune.errors import InvalidInput

DAY_S = 86_400.0
YEAR_S = 366 * DAY_S


class Range(msgspec.Struct, frozen=True):
    """From `low` to `high`, both included unless `above` leaves `low` out."""

    low: float
    high: float
    above: bool = False

    def holds(self, value: float) -> bool:
        """Whether `value` is a number within."""
        return self.low <= value <= self.high and not (self.above and value == self.low)

    def __str__(self) -> str:
        if self.above:
            return f"above {_plain(self.low)} and at most {_plain(self.high)}"
        return f"between {_plain(self.low)} and {_plain(self.high)}"


def _plain(number: float) -> str:
    return f"{number:,.0f}" if number == int(number) else f"{number:g}"


SHARE = Range(0, 1)
SOME_SHARE = Range(0, 1, above=True)
CHANCE = Range(0, 0.49, above=True)
TIMES = Range(1, 1000)
"""Times normal, or times as often."""
SIGMAS = Range(0, 100, above=True)
NATS = Range(0, 1000, above=True)
SEVERITY = Range(0, 10)
SECONDS = Range(0, YEAR_S, above=True)
WAIT = Range(0, YEAR_S)
"""Seconds, where none at all makes sense too."""
STEPS = Range(1, 100_000)
SAMPLES = Range(0, 1e6, above=True)
"""Observations that something is worth; not always whole ones."""
COUNT = Range(1, 10_000)
BUDGET = Range(0, 1e6, above=True)
CEILING = Range(0, 1e12, above=True)
"""What an owner allows, in its own unit."""


def _group(name: str, **ranges: Range) -> dict[str, Range]:
    return {f"{name}.{field}": found for field, found in ranges.items()}


RANGES: dict[str, Range] = {
    "tick_s": Range(0, 60, above=True),
    "grace_s": Range(0, DAY_S),
    **_group(
        "server",
        port=Range(0, 65_535),
        body_max_bytes=Range(1024, 1024**3),
        items_max=Range(1, 10_000_000),
    ),
    **_group(
        "store",
        raw_hours=Range(0, 24 * 3660, above=True),
        reserve_bytes=Range(1024**2, 1024**4),
        raw_bytes=Range(1024**2, 1024**5),
        rollup_days=Range(0, 3660, above=True),
        rollup_bytes=Range(1024**2, 1024**5),
        checkpoint_s=Range(0, DAY_S, above=True),
    ),
    **_group(
        "intake",
        queue_rows=Range(1, 100_000_000),
        batch_rows=Range(1, 100_000_000),
        order_s=Range(0, DAY_S),
        active_s=SECONDS,
        agents_max=Range(1, 10_000_000),
        retire_after_s=SECONDS,
    ),
    **_group("cases", approval_deadline_s=SECONDS, stale_s=SECONDS, stay_well_s=SECONDS),
    **_group(
        "outbox",
        unreachable_after=Range(1, 1000),
        retry_s=Range(0, DAY_S, above=True),
        retry_max_s=Range(0, DAY_S, above=True),
        notices_a_minute=Range(1, 1000),
    ),
    **_group(
        "detection.budgets",
        false_suspicions_per_agent_day=BUDGET,
        false_quarantines_per_1000_agent_days=BUDGET,
        false_quarantines_per_fleet_week=BUDGET,
        nats_min=NATS,
    ),
    **_group(
        "detection.statistic",
        bet=Range(0, 10, above=True),
        bet_nats=NATS,
        weights=SHARE,
        metric_weights=Range(0, 1000),
        pair_weight=Range(0, 1000),
        gate_weights=SHARE,
        rare_weights=SHARE,
        rare_odds=Range(1, 10_000, above=True),
        z_clip=SIGMAS,
        ar_clip=SIGMAS,
        ar_max=Range(0, 0.99),
        ar_shrink=SAMPLES,
        ar_prior=Range(-0.99, 0.99),
        ar_prior_rare=Range(-0.99, 0.99),
        kappa_min=Range(0, 10),
        kappa_young=Range(0, 100),
        kappa_first=Range(0, 1000),
        peak_from=Range(1, 50),
        peak_over=Range(0, 50),
        peak_max=Range(0, 50),
        peaks_prior=Range(1, 10_000),
        peaks_memory=Range(2, 100_000),
        width_max=Range(1, 3),
        drift=Range(0, 10),
        bets_prior=SAMPLES,
        rare_slack=Range(0, 100),
        rare_slack_hits=SAMPLES,
        rare_floor=CHANCE,
        bend_min=Range(0, 10),
        bend_max=Range(0, 10),
        bend_shrink=SAMPLES,
        work_clip=SIGMAS,
        work_shrink=SAMPLES,
        work_share_max=SHARE,
        spread_floor=SIGMAS,
        count_spread_floor=SIGMAS,
        interval_slack=TIMES,
        burst_steps=STEPS,
        burst_ahead=SAMPLES,
        ceiling_nats=NATS,
    ),
    **_group(
        "detection.learning",
        memory=SAMPLES,
        memory_rare=SAMPLES,
        slow_from_s=SECONDS,
        slow_power=SHARE,
        slow_least=SAMPLES,
        slow_swing=Range(0, 3),
        block_min=STEPS,
        block_max=STEPS,
        block_share=SOME_SHARE,
        gate=Range(1, 1e12),
        gate_odd=Range(1, 1e12),
        patience=Range(0, 100_000),
        relearn=TIMES,
        samples_ready=STEPS,
        samples_alone=STEPS,
        peers_min=COUNT,
        prior_spread=SAMPLES,
        prior_mean_max=SAMPLES,
        prior_tau=SIGMAS,
        prior_tau_peers=SAMPLES,
        prior_rare=SAMPLES,
        history=Range(16, 1000),
    ),
    **_group(
        "detection.episodes",
        speak_every_steps=STEPS,
        severity_step=Range(0, 10, above=True),
        subsided_share=SOME_SHARE,
        subsided_steps=STEPS,
        returned_steps=STEPS,
        affected_nats=NATS,
        affected_ratio=TIMES,
        affected_increase=SHARE,
        fence_from_severity=SEVERITY,
        severe_from_usd_per_hour=Range(0, 1e9),
    ),
    **_group(
        "detection.rules.limits",
        step_cost_usd=CEILING,
        step_tokens=CEILING,
        step_tool_calls=CEILING,
        step_latency_ms=CEILING,
        session_cost_usd=CEILING,
        session_tokens=CEILING,
        session_tool_calls=CEILING,
        hour_cost_usd=CEILING,
        hour_tokens=CEILING,
        hour_tool_calls=CEILING,
        session_idle_s=SECONDS,
        severity_floor=Range(0, 10, above=True),
    ),
    **_group(
        "detection.rules.repetition",
        repeats=Range(2, 10_000),
        cycle_max=Range(1, 64),
        poll_s=SECONDS,
        poll_times=TIMES,
        pause_s=SECONDS,
        slow_s=SECONDS,
        back_off_s=WAIT,
        back_off_growth=TIMES,
        back_off_steps=COUNT,
        back_off_held=TIMES,
        severity_floor=SEVERITY,
    ),
    **_group(
        "detection.rules.silence",
        samples_min=Range(2, 100_000),
        spread_max=SIGMAS,
        factor_min=TIMES,
        silent_min_s=WAIT,
        delivery_factor=Range(0, 1000),
        memory=SAMPLES,
        pause_slack_s=WAIT,
    ),
    **_group(
        "detection.rules.drift",
        times=Range(1, 1000, above=True),
        errors=SIGMAS,
        anchor_s=SECONDS,
        recent_s=SECONDS,
        recent_samples=SAMPLES,
        young_s=SECONDS,
        pause_s=SECONDS,
        every_s=SECONDS,
    ),
    **_group(
        "detection.rules.facts",
        recent_calls=COUNT,
        values_kept=Range(1, 64),
        settled_steps=STEPS,
        forget_s=SECONDS,
        onset_slack_steps=Range(0, 1000),
        calls_min=Range(0, 1e6),
        tools_max=Range(1, 4096),
        failing_min=COUNT,
        failing_chance_max=SOME_SHARE,
        failing_share_min=SHARE,
        active_s=SECONDS,
    ),
    **_group(
        "detection.rules.fleet",
        agents_min=Range(2, 1_000_000),
        share_min=SOME_SHARE,
        fleet_share_min=SOME_SHARE,
        within_s=SECONDS,
        nats_min=NATS,
        certain_nats=NATS,
        changed_min=COUNT,
        lagging_nats=NATS,
        steps_min=STEPS,
        outside_factor=TIMES,
        ratio_min=TIMES,
        increase_min=SHARE,
        ratio_alike=TIMES,
        least_share=SHARE,
        beyond_ratio=TIMES,
        beyond_increase=SHARE,
        errors_of_outage=SHARE,
        chance_min=CHANCE,
        scans_max=COUNT,
        looks_max=COUNT,
        refresh_s=SECONDS,
        subsided_s=SECONDS,
        subsided_share=SHARE,
    ),
    **_group(
        "healing.trial",
        false_cure=CHANCE,
        false_relapse=CHANCE,
        steps_min=STEPS,
        steps_max=STEPS,
        ratio_min=Range(1, 1000, above=True),
        z_clip=SIGMAS,
        cure_clip=NATS,
        relapse_clip=NATS,
        autocorrelation=Range(0, 0.99),
        autocorrelation_weight=SAMPLES,
        clean_steps=STEPS,
        pace_steps=STEPS,
        model_slack=TIMES,
        model_ratio_min=Range(1, 1000, above=True),
    ),
    **_group(
        "healing.memory",
        prior_weight=SAMPLES,
        cause_weight=SAMPLES,
        pattern_weight=SAMPLES,
        doubt=Range(0, 100),
        exhausted_cost=Range(0, 1e6),
        ban_s=WAIT,
        incidents_max=Range(1, 100_000_000),
    ),
    **_group(
        "healing.limits",
        agent_incidents=COUNT,
        agent_window_s=SECONDS,
        fleet_heals=Range(1, 1_000_000),
        fleet_window_s=SECONDS,
    ),
    **_group(
        "brake",
        share=SHARE,
        at_least=Range(0, 1_000_000),
        hourly_share=SHARE,
        hourly_at_least=Range(0, 1_000_000),
    ),
}
"""Dotted name of each number (or list of numbers) among the settings -> its range."""

ORDERED = (
    ("outbox.retry_s", "outbox.retry_max_s"),
    ("detection.statistic.bend_min", "detection.statistic.bend_max"),
    ("detection.learning.block_min", "detection.learning.block_max"),
    ("detection.learning.samples_ready", "detection.learning.samples_alone"),
    ("healing.trial.steps_min", "healing.trial.steps_max"),
)
"""Pairs of which the first may not exceed the second."""


def check(settings: msgspec.Struct) -> None:
    """Raise InvalidInput naming the first number that lies outside its range, and the range."""
    found = dict(numbers(settings))
    for name, values in found.items():
        within = RANGES.get(name)
        for value in values:
            if math.isnan(value):
                raise InvalidInput(name, "must be a number, not NaN")
            if within is not None and not within.holds(value):
                raise InvalidInput(name, f"must lie {within}; it is {value:g}")
    for lower, upper in ORDERED:
        if found[lower] > found[upper]:
            raise InvalidInput(lower, f"must be at most {upper}, which is {found[upper][0]:g}")


def numbers(settings: msgspec.Struct, prefix: str = "") -> Iterator[tuple[str, tuple[float, ...]]]:
    """Yield the dotted name and the values of every number that is set, lists of them included."""
    for field in settings.__struct_fields__:
        name, value = f"{prefix}{field}", getattr(settings, field)
        if isinstance(value, msgspec.Struct):
            yield from numbers(value, f"{name}.")
            continue
        values = value if isinstance(value, tuple) else (value,)
        if all(isinstance(v, (int, float)) and not isinstance(v, bool) for v in values) and values:
            yield name, tuple(values)
