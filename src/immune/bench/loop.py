"""`immune bench loop`: the whole loop, on simulated fleets, against what it promises.

Every figure comes from runs of the system that `immune simulate` runs; the rival is the naive
window rule on the same vitals. Thresholds were fixed before anything was measured.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ProcessPoolExecutor

from immune.bench.figures import Figure, Report, at_least, at_most
from immune.bench.loop_runs import Outcome, run_alone, run_one
from immune.bench.options import Options
from immune.bench.scale import scale_figures
from immune.bench.startup import startup_figures
from immune.healing.actions import DISRUPTION, Action
from immune.run.simulate import SimulateOptions

NOISES = ("real", "calm", "clustered")
RETRIES = "high_retry_rate"
MILD = ("latency_spike", "tool_loop", "token_explosion", RETRIES)

SEEDS = tuple(range(1, 21))
QUICK_SEEDS = (1, 2)


def run(options: Options) -> Report:
    """Run all parts; the seeds are those of the healthy and the sick runs."""
    quick = options.quick
    seeds = options.seeds or (QUICK_SEEDS if quick else SEEDS)
    figures: list[Figure] = []
    parts: list[tuple[str, Callable[[bool, Sequence[int]], Iterable[Figure]]]] = [
        ("healthy fleets", _healthy),
        ("sick fleets", _sick),
        ("young agents", _young),
        ("memory", _memory),
        ("operators", _operators),
        ("outage and release", _fleetwide),
        ("10,000 agents", lambda quick, seeds: scale_figures(quick)),
        ("start", lambda quick, seeds: startup_figures(quick)),
    ]
    for name, part in parts:
        if options.wants(name):
            options.progress(name)
            figures += part(quick, seeds)
    return Report("loop", quick, figures)


def _runs(options: Iterable[SimulateOptions]) -> list[Outcome]:
    with ProcessPoolExecutor(max_workers=2) as pool:
        return list(pool.map(run_one, options))


def _healthy(quick: bool, seeds: Sequence[int]) -> Iterable[Figure]:
    seconds = 900 if quick else 1800
    for noise in NOISES[:1] if quick else NOISES:
        outcomes = _runs(
            SimulateOptions(seconds=seconds, warmup_s=0, seed=s, chaos="none", noise=noise)
            for s in seeds
        )
        alarms = sum(o.naive_alarms for o in outcomes)
        yield at_most(
            f"healthy/{noise}/false_quarantines",
            sum(o.summary["false_quarantines"] for o in outcomes),
            0,
            f"in {sum(o.summary['agent_steps'] for o in outcomes)} steps",
            rival=alarms,
        )
        yield at_most(
            f"healthy/{noise}/false_suspicions",
            sum(o.summary["false_suspicions"] for o in outcomes),
            5,
            "in all",
            rival=alarms,
        )


def _sick(quick: bool, seeds: Sequence[int]) -> Iterable[Figure]:
    for noise in NOISES[:1] if quick else NOISES:
        outcomes = _runs(
            SimulateOptions(
                seconds=1400 if quick else 1800, warmup_s=900, seed=s, chaos="waves", noise=noise
            )
            for s in seeds
        )
        yield from _sick_figures(f"sick/{noise}", outcomes)


def _sick_figures(name: str, outcomes: list[Outcome]) -> Iterable[Figure]:
    injections = [i for o in outcomes for i in o.injections]
    contained = [i for i in injections if i["steps_to_contain"] is not None]
    yield at_least(f"{name}/contained", _share(len(contained), len(injections)), 0.99, "share")
    for infection in sorted({i["infection"] for i in injections}):
        mine = [i for i in injections if i["infection"] == infection]
        # one never contained counts as endless
        steps = sorted(
            float("inf") if i["steps_to_contain"] is None else i["steps_to_contain"] for i in mine
        )
        median, p90 = (26, 40) if infection == RETRIES else (10, 15)
        yield at_most(f"{name}/{infection}/median_steps", _quantile(steps, 0.5), median, "steps")
        yield at_most(f"{name}/{infection}/p90_steps", _quantile(steps, 0.9), p90, "steps")
        asked = _share(sum(bool(i["asked_human"]) for i in mine), len(mine))
        if infection in MILD:
            yield at_most(f"{name}/{infection}/asked_human", asked, 0.05, "share")
        if infection == "full_meltdown":
            yield at_least(f"{name}/{infection}/asked_human", asked, 1.0, "share")
    yield at_most(
        f"{name}/false_quarantines",
        sum(o.summary["false_quarantines"] for o in outcomes),
        0,
        "in all",
        rival=sum(o.naive_false for o in outcomes),
    )
    right = sum(o.summary["right_diagnosis"] * o.summary["contained"] for o in outcomes)
    yield at_least(f"{name}/right_diagnosis", _share(right, len(contained)), 0.8, "share")
    resolved = sum(o.summary["resolved"] for o in outcomes)
    yield at_least(f"{name}/resolved", _share(resolved, len(injections)), 0.95, "share")
    yield at_most(
        f"{name}/resolved_while_sick",
        sum(o.summary["resolved_while_sick"] for o in outcomes),
        0,
        "in all",
    )
    verified = sum(o.summary["verified_on_fresh_vitals"] for o in outcomes)
    yield at_least(f"{name}/verified_on_fresh_vitals", _share(verified, resolved), 1.0, "share")
    yield at_least(
        f"{name}/actions_relapsed",
        sum(o.summary["actions_relapsed"] for o in outcomes),
        1,
        "in all",
    )


def _young(quick: bool, seeds: Sequence[int]) -> Iterable[Figure]:
    outcomes = _runs(
        SimulateOptions(seconds=500, warmup_s=40, seed=s, chaos="waves") for s in seeds
    )
    injections = [i for o in outcomes for i in o.injections]
    for name, threshold, mine in (
        ("others", 0.95, [i for i in injections if i["infection"] != RETRIES]),
        (RETRIES, 0.85, [i for i in injections if i["infection"] == RETRIES]),
    ):
        contained = sum(i["steps_to_contain"] is not None for i in mine)
        yield at_least(
            f"young/60_steps/{name}/contained", _share(contained, len(mine)), threshold, "share"
        )
    with ProcessPoolExecutor(max_workers=2) as pool:
        fenced = sum(pool.map(run_alone, seeds))
    yield at_most("young/15_steps_alone/quarantines", fenced, 0, "in all")


def _memory(quick: bool, seeds: Sequence[int]) -> Iterable[Figure]:
    if quick:
        return  # what a few hundred infections teach can't be told from a few dozen
    outcomes = _runs(
        SimulateOptions(agents=60, seconds=14_400, seed=s, chaos="steady", memory=memory)
        for s in list(seeds)[:6]
        for memory in (True, False)
    )
    with_memory = [o for o in outcomes if o.options.memory]
    without = [o for o in outcomes if not o.options.memory]
    ours, rival = (_late_disruption(outcomes) for outcomes in (with_memory, without))
    ratio = ours / rival if ours is not None and rival else None
    yield at_most("memory/disruption_per_cure_of_without", ratio, 0.9, "ratio", rival=1.0)


def _late_disruption(outcomes: list[Outcome]) -> float | None:
    """Disruption per cure among the infections of the last third."""
    spent, cures = 0.0, 0
    for outcome in outcomes:
        late = outcome.options.seconds * 2 / 3
        for injection in outcome.injections:
            if injection["at_s"] < late or injection["resolved_at_s"] is None:
                continue
            cures += 1
            spent += sum(DISRUPTION[Action(a["action"])] for a in injection["actions"])
    return spent / cures if cures else None


def _operators(quick: bool, seeds: Sequence[int]) -> Iterable[Figure]:
    operators = ("absent", "reject")
    outcomes = _runs(
        SimulateOptions(seconds=1300, seed=s, chaos="waves", operator=operator)
        for s in list(seeds)[: 2 if quick else 5]
        for operator in operators
    )
    for operator in operators:
        mine = [o for o in outcomes if o.options.operator == operator]
        severe = sum(o.severe_asked for o in mine)
        yield at_least(f"operator/{operator}/severe_cases", severe, 1, "in all")
        yield at_most(
            f"operator/{operator}/healed_or_let_go_without_a_yes",
            sum(o.moved_without_a_yes for o in mine),
            0,
            "in all",
        )


def _fleetwide(quick: bool, seeds: Sequence[int]) -> Iterable[Figure]:
    some = list(seeds)[: 1 if quick else 10]
    outcomes = _runs(
        SimulateOptions(agents=30, seconds=1300 if quick else 1800, seed=s, chaos=chaos)
        for s in some
        for chaos in ("outage", "release")
    )
    outages = [o for o in outcomes if o.options.chaos == "outage"]
    releases = [o for o in outcomes if o.options.chaos == "release"]
    yield at_most("outage/fleet_incidents_most", max(o.fleet_incidents for o in outages), 1, "")
    yield at_least("outage/fleet_incidents_least", min(o.fleet_incidents for o in outages), 1, "")
    yield at_most(
        "outage/quarantines_of_others",
        sum(o.quarantined_others for o in outages),
        0,
        "in all",
        rival=sum(o.naive_false for o in outages),
    )
    yield at_least(
        "outage/the_three_contained",
        _share(
            sum(i["steps_to_contain"] is not None for o in outages for i in o.single_injections),
            sum(len(o.single_injections) for o in outages),
        ),
        1.0,
        "share",
    )
    yield at_most("release/fleet_incidents_most", max(o.fleet_incidents for o in releases), 1, "")
    yield at_least("release/fleet_incidents_least", min(o.fleet_incidents for o in releases), 1, "")
    yield at_most(
        "release/incidents_after_acceptance", sum(o.after_acceptance for o in releases), 0, "in all"
    )


def _share(part: float, whole: int) -> float | None:
    return part / whole if whole else None


def _quantile(ordered: list[float], q: float) -> float | None:
    """The smallest value that at least a share `q` does not pass."""
    if not ordered:
        return None
    return ordered[max(0, math.ceil(q * len(ordered)) - 1)]
