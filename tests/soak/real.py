"""A server in real time, under load and chaos.

`tests.crash.server` is what `immune serve` runs, with a link to a fleet in a process of its own
(`tests.crash.fleet`), so that cases go all the way: fenced, healed, watched, released. The fleet
falls ill again and again, other agents come and go, people decide and look on. The first hour is
the warm-up, or half of a shorter run; an agent is retired a sixth of that after its last step, so
that as many go as come by then.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path
from typing import Protocol

import httpx2
import msgspec

from immune.clock import stopwatch_s
from immune.views import StatsView, StatusView
from tests.crash.ledger import Target
from tests.crash.process import faults, running, serving, stop, wait
from tests.soak.memory import Trend, memory_of, trend
from tests.soak.passers import Passers
from tests.soak.people import OnCall, Page

WARMUP_S = 3600.0
STEP_S = 1.0
INFECT_EVERY_S = 10.0
PAGES = 5


class Part(Protocol):
    """What goes on beside the measuring, in a thread of its own, until it is told to leave."""

    def run(self) -> None: ...


class Figures(msgspec.Struct, frozen=True, kw_only=True):
    """What the server had to do, and what it took."""

    vitals: int
    cases: int
    healed: int
    passers: int
    decisions: int
    visits: int
    trend: Trend

    def __str__(self) -> str:
        return (
            f"{self.vitals:,} vitals, {self.cases} cases, {self.healed} cured, "
            f"{self.decisions} decisions, {self.passers} agents came and went, "
            f"{self.visits} visits of the page\n{self.trend}"
        )


def _looks(seconds: float, every_s: float) -> Iterator[float]:
    """Wait again and again; yields the seconds that have passed."""
    began_s, passed_s = stopwatch_s(), 0.0
    while passed_s < seconds:
        wait(every_s)
        passed_s = stopwatch_s() - began_s
        yield passed_s


def soak(folder: Path, *, seconds: float, agents: int, seed: int, every_s: float) -> Figures:
    """Serve for so long and read the server's memory every `every_s`.

    Raises AssertionError for a wrong answer and for a fault in the server's log.
    """
    log = folder / "log"
    warmup_s = min(WARMUP_S, seconds / 2)
    settings = {
        "IMMUNE_MODE": "enforce",
        "IMMUNE_SERVER__PORT": "0",
        "IMMUNE_STORE__DIRECTORY": str(folder / "data"),
        "IMMUNE_BRAKE__SHARE": "1",
        "IMMUNE_CASES__STAY_WELL_S": "120",
        "IMMUNE_CASES__APPROVAL_DEADLINE_S": "60",
        "IMMUNE_INTAKE__RETIRE_AFTER_S": str(warmup_s / 6),
    }
    with ExitStack() as stack:
        fleet = stack.enter_context(
            running("tests.crash.fleet", str(agents), str(seed), str(STEP_S))
        )
        assert fleet.stdout is not None
        fleet_url = f"http://127.0.0.1:{fleet.stdout.readline().strip()}"
        server = stack.enter_context(running("tests.crash.server", fleet_url, environment=settings))
        client = stack.enter_context(serving(server, log))
        order = stack.enter_context(httpx2.Client(base_url=fleet_url, timeout=60, trust_env=False))
        order.post("/aim", content=msgspec.json.encode(Target(client.base_url.port or 0)))
        leaving = threading.Event()
        url = str(client.base_url)
        passers, on_call = Passers(url, leaving, seed), OnCall(url, leaving, seed)
        pages = [Page(url, leaving, seed + number) for number in range(PAGES)]
        parts: list[Part] = [passers, on_call, *pages]
        infected: list[int] = []
        with ThreadPoolExecutor(len(parts)) as threads:
            under_way = [threads.submit(part.run) for part in parts]
            try:
                hours, readings = [], []
                for passed_s in _looks(seconds, every_s):
                    hours.append(passed_s / 3600)
                    readings.append(memory_of(server.pid))
                    if passed_s >= len(infected) * INFECT_EVERY_S:
                        infected.append(order.post("/infect").status_code)
                    for part in under_way:
                        if part.done():
                            part.result()  # raises what ended it
            finally:
                leaving.set()
            for part in under_way:
                part.result()
        status = msgspec.json.decode(client.get("/api/status").content, type=StatusView)
        stats = msgspec.json.decode(client.get("/api/stats").content, type=StatsView)
        stop(server)
    assert set(infected) == {200}, infected
    assert not faults(log), faults(log)[:3]
    return Figures(
        vitals=status.accepted,
        cases=stats.incidents,
        healed=stats.cured,
        passers=passers.came,
        decisions=sum(on_call.decisions.values()),
        visits=sum(page.visits for page in pages),
        trend=trend(hours, readings, warmup_h=warmup_s / 3600),
    )
