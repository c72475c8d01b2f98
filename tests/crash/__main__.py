"""The long runs: ``python -m tests.crash --kills 100 --outage 30``.

Servers are killed at random moments on both workflow stores, then the stores of running servers
fail for a while. Each part tells what it saw and how long it took; a broken promise ends it.
"""

from __future__ import annotations

import argparse
import tempfile
from collections.abc import Callable
from pathlib import Path

from immune.clock import stopwatch_s
from immune.testing.postgresql import PROGRAMS, Postgresql, postgresql
from tests.crash.killing import Killing
from tests.faults import outages


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m tests.crash", description=__doc__)
    parser.add_argument("--kills", type=int, default=100, help="kills on each store; 0: none")
    parser.add_argument("--life", type=float, default=6.0, help="the longest life of a server, s")
    parser.add_argument("--seed", type=int, default=1, help="of the moments and the sicknesses")
    parser.add_argument("--outage", type=float, default=30.0, help="of each store, s; 0: none")
    parser.add_argument("--only", default="", help="parts whose names hold this text")
    told = parser.parse_args()
    if not PROGRAMS:
        parser.error("PostgreSQL is not installed")

    def kill(folder: Path, url: str) -> object:
        return Killing(folder, url, kills=told.kills, life_s=told.life, seed=told.seed).run()

    with postgresql(durable=True) as server:
        for name, part in _parts(kill, server, told.kills, told.outage).items():
            if told.only in name:
                _run(name, part)


def _parts(
    kill: Callable[[Path, str], object], server: Postgresql, kills: int, outage_s: float
) -> dict[str, Callable[[Path], object]]:
    killed: dict[str, Callable[[Path], object]] = {
        "kills on a file": lambda folder: kill(folder, ""),
        "kills on a server": lambda folder: kill(folder, server.database("killed")),
    }
    failing: dict[str, Callable[[Path], object]] = {
        "a server that hangs": lambda f: outages.hung_server(f, server, outage_s),
        "a locked workflow": lambda f: outages.locked_workflow(f, outage_s),
        "locked telemetry": lambda f: outages.locked_telemetry(f, outage_s),
        "slow commits of a server": lambda f: outages.slow_writes_of_a_server(f, server, outage_s),
        "slow writes of files": lambda f: outages.slow_writes_of_files(f, outage_s),
        "a full disk": lambda f: outages.full_disk(f, outage_s),
        "a start on a full disk": outages.start_on_full_disk,
    }
    return {**(killed if kills else {}), **(failing if outage_s else {})}


def _run(name: str, part: Callable[[Path], object]) -> None:
    with tempfile.TemporaryDirectory(prefix="immune-crash-") as folder:
        began_s = stopwatch_s()
        seen = part(Path(folder))
        print(f"{name}: {stopwatch_s() - began_s:.0f} s, {seen}", flush=True)  # noqa: T201  # its answer


if __name__ == "__main__":
    main()
