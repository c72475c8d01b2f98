"""`immune bench page`: what the live page costs with ten thousand agents and twenty viewers.

The server runs in this process as `immune serve` would, on SQLite, while every agent reports a step
a second. What the feed costs is the processor's time of seconds with twenty viewers less that of
seconds with none and the feed at rest, in turns; the viewers are in a process of their own. The
browser is Chromium, driven by Playwright: the first meaningful paint is the first frame that shows
rows of agents, on a cold cache; a frame's work is what the trace says the page's main thread had to
do for it.
"""

from __future__ import annotations

import asyncio
import json
import shutil
import statistics
import tempfile
from collections.abc import AsyncIterator, Iterator
from concurrent.futures import ProcessPoolExecutor
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import uvicorn

from immune.bench.figures import Figure, Report, at_most
from immune.bench.options import Options
from immune.clock import SystemClock, cpu_s, stopwatch_s
from immune.columns import Names
from immune.run.house import House, house
from immune.settings import Settings, StoreSettings
from immune.simulation.fleet import SimulatedFleet
from immune.simulation.link import SimulatedLink
from immune.stores.runs import RunChoice

AGENTS = 10_000
VIEWERS = 20
PAST_S = 120
"""Steps that every agent has behind it: baselines are ready, and their evidence moves."""
TURN_S = 8
"""Seconds with viewers, then as many without."""

PAINTED = """
new MutationObserver((_, observer) => {
  if (!document.querySelector(".agents-body .agent-row")) return;
  observer.disconnect();
  requestAnimationFrame(() => setTimeout(() => { window.painted = performance.now(); }));
}).observe(document, {childList: true, subtree: true});
"""

MAIN_THREAD = "CrRendererMain"


@dataclass(slots=True)
class Measured:
    """What was measured; None where it could not be."""

    feed_share: float | None = None
    """Of a core."""
    bytes_a_second: list[float] = field(default_factory=list)
    """Of each viewer."""
    paints_ms: list[float] = field(default_factory=list)
    tasks_ms: list[float] = field(default_factory=list)
    """Work of the main thread while the table is scrolled, one number a task."""


def run(options: Options) -> Report:
    """Run it; without Chromium or Playwright the browser's figures are not measured."""
    measured = asyncio.run(_measure(options))
    return Report("page", options.quick, [f for f in _figures(measured) if options.wants(f.name)])


def _figures(measured: Measured) -> Iterator[Figure]:
    share = measured.feed_share
    yield at_most("feed/cpu_of_a_core", None if share is None else 100 * share, 10.0, "%")
    yield at_most(
        "feed/kb_a_second_and_viewer",
        max(measured.bytes_a_second, default=0.0) / 1000 or None,
        5.0,
        "KB/s",
    )
    paints = measured.paints_ms
    yield at_most("page/first_paint", statistics.median(paints) if paints else None, 1500.0, "ms")
    yield at_most("page/scrolling_longest_frame", max(measured.tasks_ms, default=None), 50.0, "ms")


async def _measure(options: Options) -> Measured:
    measured = Measured()
    async with _served(options) as (home, address, life):
        options.progress("feed")
        await _feed(home, address, life, 2 if options.quick else 5, measured)
        options.progress("page")
        await _page(home, address, 2 if options.quick else 5, measured)
    return measured


# --- the server ------------------------------------------------------------------------------


class Life:
    """Lets the fleet live, a step a second; says what each second cost."""

    def __init__(self, home: House, fleet: SimulatedFleet, clock: SystemClock) -> None:
        self._home = home
        self._fleet = fleet
        self._clock = clock
        self.seconds_cpu: list[float] = []
        self.feeding = False

    async def go_on(self) -> None:
        """Live until cancelled."""
        due = stopwatch_s()
        while True:
            before = cpu_s()
            columns = self._fleet.step(self._clock.time())
            if len(columns):
                await self._home.system.collector.accept(columns)
            await self._home.system.orchestrator.turn()
            if self.feeding:
                await self._home.dashboard.feed.tell()
            due = max(due + 1.0, stopwatch_s())
            await self._clock.sleep(due - stopwatch_s())
            self.seconds_cpu.append(cpu_s() - before)


@asynccontextmanager
async def _served(options: Options) -> AsyncIterator[tuple[House, str, Life]]:
    clock, names = SystemClock(), Names()
    options.progress("past")
    fleet = SimulatedFleet(AGENTS, seed=1, names=names, start_at=clock.time())
    with tempfile.TemporaryDirectory() as folder:
        settings = Settings(store=StoreSettings(directory=folder))
        link = SimulatedLink(fleet, clock)
        async with house(settings, clock=clock, names=names, run=RunChoice.NEW, link=link) as home:
            for columns in fleet.history(PAST_S):
                await home.system.orchestrator.recall(columns)
            server = uvicorn.Server(
                uvicorn.Config(home.dashboard, port=0, lifespan="off", log_config=None)
            )
            serving = asyncio.create_task(server.serve())
            while not server.started:
                await clock.sleep(0.01)
            port = server.servers[0].sockets[0].getsockname()[1]
            life = Life(home, fleet, clock)
            living = asyncio.create_task(life.go_on())
            try:
                yield home, f"http://127.0.0.1:{port}", life
            finally:
                living.cancel()
                await asyncio.gather(living, return_exceptions=True)
                home.dashboard.feed.close()
                server.should_exit = True
                await serving


# --- the feed --------------------------------------------------------------------------------


async def _feed(home: House, address: str, life: Life, turns: int, measured: Measured) -> None:
    clock = SystemClock()
    loop = asyncio.get_running_loop()
    with_viewers: list[float] = []
    alone: list[float] = []
    with ProcessPoolExecutor(max_workers=1) as pool:
        for _ in range(turns):
            life.feeding = True
            watching = loop.run_in_executor(pool, watch, address, TURN_S + 4.0)
            while home.dashboard.feed.viewers < VIEWERS:
                await clock.sleep(0.1)
            await clock.sleep(2.0)  # what a stream begins with is no running cost
            life.seconds_cpu.clear()
            await clock.sleep(TURN_S)
            with_viewers += life.seconds_cpu
            measured.bytes_a_second += await watching
            life.feeding = False
            await clock.sleep(1.0)
            life.seconds_cpu.clear()
            await clock.sleep(TURN_S)
            alone += life.seconds_cpu
    measured.feed_share = max(statistics.median(with_viewers) - statistics.median(alone), 0.0)
    life.feeding = True


def watch(address: str, seconds: float) -> list[float]:
    """Twenty viewers read the feed for so long; return the bytes a second of each.

    The first second and what a stream begins with are left out.
    """
    return asyncio.run(_watch(address, seconds))


async def _watch(address: str, seconds: float) -> list[float]:
    port = int(address.rpartition(":")[2])
    return await asyncio.gather(*(_viewer(port, seconds) for _ in range(VIEWERS)))


async def _viewer(port: int, seconds: float) -> float:
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(b"GET /api/events HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n")
    began = stopwatch_s()
    taken, since = 0, began
    while (now := stopwatch_s()) < began + seconds:
        with suppress(TimeoutError):
            part = await asyncio.wait_for(reader.read(65536), began + seconds - now)
            if stopwatch_s() < began + 1.0:
                since = stopwatch_s()
            else:
                taken += len(part)
    writer.close()
    return taken / (stopwatch_s() - since)


# --- the browser -----------------------------------------------------------------------------


async def _page(home: House, address: str, rounds: int, measured: Measured) -> None:
    chromium = shutil.which("chromium")
    try:
        from playwright.async_api import async_playwright
    except ModuleNotFoundError:
        return
    if chromium is None:
        return
    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(
            executable_path=chromium, args=["--no-sandbox", "--no-proxy-server"]
        )
        for number in range(rounds):
            context = await browser.new_context(viewport={"width": 1440, "height": 900})
            page = await context.new_page()
            await page.add_init_script(PAINTED)
            await page.goto(address)
            await page.wait_for_selector(".agents-body .agent-row")
            while (painted := await page.evaluate("window.painted ?? 0")) == 0:
                await page.wait_for_timeout(50)
            measured.paints_ms.append(float(painted))
            if number == rounds - 1:
                measured.tasks_ms = await _scroll(browser, page)
            await context.close()
        await browser.close()


async def _scroll(browser: Any, page: Any) -> list[float]:
    """Scroll through the table for some seconds; return the main thread's tasks, ms each."""
    await page.mouse.move(700, 600)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "trace.json"
        await browser.start_tracing(
            page=page, path=path, categories=["toplevel", "devtools.timeline", "__metadata"]
        )
        for _ in range(120):
            await page.mouse.wheel(0, 700)
            await page.wait_for_timeout(16)
        await browser.stop_tracing()
        trace = json.loads(path.read_text())
    events = trace["traceEvents"] if isinstance(trace, dict) else trace
    return main_thread_tasks(events)


def main_thread_tasks(events: list[dict[str, Any]]) -> list[float]:
    """Milliseconds that each task of the busiest page's main thread worked.

    It is the thread's own time where the trace tells it: a busy machine must not count as a slow
    page.
    """
    named = {
        (event["pid"], event["tid"])
        for event in events
        if event.get("name") == "thread_name" and event["args"].get("name") == MAIN_THREAD
    }
    by_thread: dict[tuple[int, int], list[float]] = {}
    for event in events:
        thread = (event.get("pid", 0), event.get("tid", 0))
        if thread in named and event.get("ph") == "X" and "RunTask" in event.get("name", ""):
            took = event.get("tdur", event.get("dur", 0)) / 1000
            by_thread.setdefault(thread, []).append(took)
    return max(by_thread.values(), key=sum, default=[])
