"""Two hours of load and chaos, then a week of virtual time: ``python -m tests.soak``.

Each part prints what was done and how the memory went, and fails where the resident memory grows by
1 MB an hour or more after the first hour: of real time, and of virtual time. ``--minutes 0`` or
``--days 0`` leaves a part out.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from pathlib import Path

from immune.cli.logs import faults_only
from immune.run.allocator import return_freed_memory
from tests.soak import real, virtual
from tests.soak.memory import Trend


def main() -> int:
    """Soak; return 0 where both parts held."""
    parser = argparse.ArgumentParser(prog="python -m tests.soak", description=__doc__)
    parser.add_argument("--minutes", type=float, default=120.0, help="of the real part; 0: none")
    parser.add_argument("--agents", type=int, default=200, help="of the real part, at a step a s")
    parser.add_argument("--days", type=float, default=7.0, help="of the virtual part; 0: none")
    parser.add_argument("--fleet", type=int, default=15, help="agents of the virtual part")
    parser.add_argument("--seed", type=int, default=1, help="of all that is drawn by lot")
    told = parser.parse_args()
    faults_only()
    return_freed_memory()
    held = True
    if told.minutes:
        with tempfile.TemporaryDirectory(prefix="immune-soak-") as folder:
            served = real.soak(
                Path(folder),
                seconds=60 * told.minutes,
                agents=told.agents,
                seed=told.seed,
                every_s=5.0,
            )
        held &= _told(f"{told.minutes:g} minutes of real time", str(served), served.trend)
    if told.days:
        with tempfile.TemporaryDirectory(prefix="immune-soak-") as folder:
            simulated = virtual.soak(
                Path(folder),
                seconds=round(86_400 * told.days),
                agents=told.fleet,
                seed=told.seed,
                every_s=600,
            )
        held &= _told(f"{told.days:g} days of virtual time", str(simulated), simulated.trend)
    return 0 if held else 1


def _told(part: str, figures: str, trend: Trend) -> bool:
    verdict = "held" if trend.holds else "FAILED: it grows by 1 MB an hour or more"
    print(f"{part}: {figures}\n  {verdict}", flush=True)  # noqa: T201  # its answer
    return trend.holds


if __name__ == "__main__":
    sys.exit(main())
