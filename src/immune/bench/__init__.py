"""Benchmarks: each prints its figures beside the thresholds that were fixed before looking.

`benches()` lists them; `run_bench` runs one. They are what speed, memory and quality are judged
by; the tests assert no time.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from importlib import import_module

from immune.bench.figures import Report
from immune.errors import NotFound

_BENCHES = {
    "loop": "the whole loop on simulated fleets: false alarms, delay, cures, cost",
}

SEEDS = tuple(range(1, 21))
QUICK_SEEDS = (1, 2)


def benches() -> dict[str, str]:
    """Name and purpose of each benchmark."""
    return dict(_BENCHES)


def run_bench(
    name: str,
    *,
    quick: bool = False,
    seeds: Sequence[int] | None = None,
    data: str | None = None,
    progress: Callable[[str], None] = lambda part: None,
) -> Report:
    """Run one benchmark. Raises NotFound for an unknown name.

    `data` is the folder of recorded data, for those that need it.
    """
    if name not in _BENCHES:
        raise NotFound(f"no benchmark {name}; there are: {', '.join(_BENCHES)}")
    chosen = seeds or (QUICK_SEEDS if quick else SEEDS)
    report: Report = import_module(f"immune.bench.{name}").run(
        quick=quick, seeds=chosen, progress=progress
    )
    return report
