"""Benchmarks: each prints its figures beside the thresholds that were fixed before looking.

`benches()` lists them; `run_bench` runs one. They are what speed, memory and quality are judged
by; the tests assert no time.
"""

from __future__ import annotations

from importlib import import_module

from immune.bench.figures import Report
from immune.bench.options import Options
from immune.errors import NotFound

_BENCHES = {
    "loop": "the whole loop on simulated fleets: false alarms, delay, cures, cost",
    "detection": "the statistic: false alarms of 72,000 agent-hours, delay against an oracle",
    "nab": "machine metrics of the Numenta Anomaly Benchmark, by its own scoring",
    "page": "the live page with 10,000 agents and 20 viewers: feed, first paint, scrolling",
    "intake": "vitals and spans a second through a real server, durable",
    "workflow": "cases opened and agents fenced a second, on SQLite and PostgreSQL",
    "throughput": "samples a second of the statistic, its memory, its import",
}


def benches() -> dict[str, str]:
    """Name and purpose of each benchmark."""
    return dict(_BENCHES)


def run_bench(name: str, options: Options) -> Report:
    """Run one benchmark. Raises NotFound for an unknown name, and for parts that it has not."""
    if name not in _BENCHES:
        raise NotFound(f"no benchmark {name}; there are: {', '.join(_BENCHES)}")
    report: Report = import_module(f"immune.bench.{name}").run(options)
    if options.only and not report.figures:
        raise NotFound(f"no part of {name} begins with {options.only}")
    return report
