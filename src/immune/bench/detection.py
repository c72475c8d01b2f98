"""`immune bench detection`: false alarms and delays of the statistic, on samples of known law.

Thresholds were fixed before anything was measured. Every part is seeded; `--only` picks parts by
the beginning of their name.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from pathlib import Path

import numpy as np

from immune.bench.alarms import STEPS_PER_HOUR, watch_healthy
from immune.bench.delays import CHANGES, delay_figures
from immune.bench.figures import Figure, Report
from immune.bench.lasting import acceptance_figures, cycle_figures, drift_figures
from immune.bench.options import Options
from immune.bench.outages import AGENTS, DIMENSIONS, SEEDS, outage_figures
from immune.bench.real_agents import real_agent_figures
from immune.bench.rivals.contest import FIELDS, contest
from immune.bench.watch import FLEET
from immune.bench.workloads.fleets import HEALTHY, UNLIKE
from immune.bench.youth import watch_newcomers, young_age_figures, young_delay_figures

AGENT_HOURS = 72_000.0
QUICK_AGENT_HOURS = 200.0
UNLIKE_AGENTS = 1000
_FLEETS, _QUICK_FLEETS = 64, 12
_DELAY_FLEETS, _QUICK_DELAY_FLEETS = 60, 8

Part = Callable[[], list[Figure]]


def run(options: Options) -> Report:
    """Run the parts that are wanted, two at a time."""
    parts = {name: part for name, part in _parts(options) if options.wants(name)}
    figures: list[Figure] = []
    with ProcessPoolExecutor(max_workers=2) as pool:
        running = [(name, pool.submit(part)) for name, part in parts.items()]
        for name, part in running:
            options.progress(name)
            figures += part.result()
    return Report("detection", options.quick, figures)


def _parts(options: Options) -> Iterator[tuple[str, Part]]:
    quick = options.quick
    seed = options.seeds[0] if options.seeds else 1
    for change in CHANGES:
        fleets = _QUICK_DELAY_FLEETS if quick else _DELAY_FLEETS
        yield f"delay/{change.name}", partial(_listed, delay_figures, change, fleets, seed)
    each = 100 if quick else 600
    yield "young/delay", partial(_sized, young_delay_figures, each, seed)
    yield "young/ages", partial(_sized, young_age_figures, each, seed)
    yield "lasting/drift", partial(_sized, drift_figures, 1 if quick else 8, seed)
    yield "lasting/daily_cycle", partial(_sized, cycle_figures, 1 if quick else 48, seed)
    yield "lasting/accepted_change", partial(_sized, acceptance_figures, 1 if quick else 8, seed)
    seeds, agents = (range(2), 200) if quick else (range(SEEDS), AGENTS)
    for dimension in DIMENSIONS:
        yield f"fleet/{dimension}", partial(_outages, dimension, [seed + i for i in seeds], agents)
    for name in FIELDS:
        agents, well = (4, 1200) if quick else (FLEET, 5 * STEPS_PER_HOUR)
        yield f"rivals/{name}", partial(_contest, name, agents, well, seed)
    yield "real_agents", partial(_real, options.data)
    hours = options.agent_hours or (QUICK_AGENT_HOURS if quick else AGENT_HOURS)
    for name in HEALTHY:
        agents = (_QUICK_FLEETS if quick else _FLEETS) * FLEET
        yield f"alarms/{name}", partial(_alarms, name, agents, hours, seed)
    yield "alarms/unlike_agents", partial(_alarms, "unlike_agents", UNLIKE_AGENTS, hours, seed)
    for name, alone in (("young_alone", True), ("young_20_peers", False)):
        agents = (_QUICK_FLEETS if quick else _FLEETS) * FLEET
        yield f"alarms/{name}", partial(_young_alarms, name, agents, hours, seed, alone)


def _listed(
    measure: Callable[..., Iterable[Figure]], subject: object, size: int, seed: int
) -> list[Figure]:
    return list(measure(subject, size, np.random.default_rng(seed)))


def _sized(measure: Callable[[int, int], Iterable[Figure]], size: int, seed: int) -> list[Figure]:
    return list(measure(size, seed))


def _outages(dimension: str, seeds: Sequence[int], agents: int) -> list[Figure]:
    return list(outage_figures(dimension, seeds, agents))


def _contest(name: str, agents: int, well: int, seed: int) -> list[Figure]:
    return list(contest(name, agents, well, seed))


def _real(folder: Path | None) -> list[Figure]:
    return list(real_agent_figures(folder))


def _young_alarms(name: str, agents: int, hours: float, seed: int, alone: bool) -> list[Figure]:
    rng = np.random.Generator(np.random.SFC64(seed))
    workload = HEALTHY["latency_lognormal"]
    return watch_newcomers(workload, agents, hours, rng, alone=alone).figures(name)


def _alarms(name: str, agents: int, hours: float, seed: int) -> list[Figure]:
    steps = round(hours * STEPS_PER_HOUR / agents)
    rng = np.random.Generator(np.random.SFC64(seed))
    if name in HEALTHY:
        return watch_healthy(HEALTHY[name], agents, steps, rng).figures(name)
    return watch_healthy(UNLIKE, agents, steps, rng, fleet=agents).figures(name)
