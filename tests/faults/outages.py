"""What befalls the stores of a running server, and how long.

Each of these makes its trouble, lets it last, ends it, and asserts what was promised; the tests
run them for a few seconds, ``make crash`` for half a minute.
"""

from __future__ import annotations

import contextlib
import sqlite3
import subprocess
import threading
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

from immune.incidents.states import FENCED
from immune.testing.postgresql import Postgresql
from tests.crash.process import stop, until, wait
from tests.faults.conftest import locked
from tests.faults.served import Served, served, started
from tests.faults.slow_server import slow

LATENCY_S = 1.0
DISK = "64m"
"""Of the small disk: room for a write-ahead log of 16 MB and what the fleet reports."""


def hung_server(folder: Path, server: Postgresql, seconds: float) -> Served:
    """PostgreSQL is paused: vitals are taken while there is room, orders are asked to come
    again, the fence comes when it answers."""
    with served(folder, server.database("hung")) as (process, plant):
        server.pause()
        try:
            _without_workflow(plant, seconds)
        finally:
            server.resume()
        plant.until_fenced(1, 2)
        plant.check(process, set())
        return plant


def locked_workflow(folder: Path, seconds: float) -> Served:
    """Somebody else is in the workflow's file: the same."""
    with served(folder) as (process, plant):
        with locked(plant.data / "workflow.db"):
            _without_workflow(plant, seconds)
        plant.until_fenced(1, 2)
        plant.check(process, set())
        return plant


def _without_workflow(plant: Served, seconds: float) -> None:
    plant.sicken(1, 2)
    until(lambda: {"agent-1", "agent-2"} <= plant.ill, "vitals are taken all the same")
    assert plant.hold(3) == 503
    until(lambda: "workflow store" in plant.degraded, "it is shown")
    wait(seconds)
    assert plant.fenced == {"agent-0"}
    until(lambda: plant.answers[429] > 0, "intake says that it has enough")
    assert plant.status.queued <= plant.queue_rows


def locked_telemetry(folder: Path, seconds: float) -> Served:
    """Somebody else is in the telemetry's file: vitals are asked to come again, and a person's
    order goes through."""
    with served(folder) as (process, plant):
        with locked(plant.data / "telemetry.db"):
            plant.sicken(1)
            until(lambda: plant.answers[503] > 0, "intake says that it can take nothing")
            assert plant.hold(2) == 200
            assert plant.fenced == {"agent-0", "agent-2"}, plant.fenced
            assert "telemetry store" in plant.degraded
            wait(seconds)
            assert "agent-1" not in plant.ill
        plant.until_fenced(1)
        plant.check(process, {"agent-2"})
        return plant


def slow_writes_of_a_server(folder: Path, server: Postgresql, seconds: float) -> Served:
    """Each commit takes a second: decisions go on, many of them by one commit."""
    with slow(server.database("slow"), folder / "socket", LATENCY_S) as url:
        with served(folder, url) as (process, plant):
            _slowly(plant, seconds)
            plant.check(process, {"agent-30"})
        return plant


def slow_writes_of_files(folder: Path, seconds: float) -> Served:
    """Whoever writes to a file waits a second for somebody else: the same, and vitals are taken."""
    with served(folder) as (process, plant):
        with _held_up(plant.data / "workflow.db"), _held_up(plant.data / "telemetry.db"):
            _slowly(plant, seconds)
        plant.check(process, {"agent-30"})
        return plant


def _slowly(plant: Served, seconds: float) -> None:
    plant.sicken(*range(1, 6))
    assert plant.hold(30) == 200
    plant.until_fenced(30, *range(1, 6))
    wait(seconds)
    plant.sicken(6)
    plant.until_fenced(6)


@contextmanager
def _held_up(path: Path) -> Iterator[None]:
    """Another connection writes to a file, a second at a time, with a little room in between."""
    done = threading.Event()

    def hold() -> None:
        with closing(sqlite3.connect(path, isolation_level=None, timeout=60)) as other:
            while not done.is_set():
                other.execute("BEGIN IMMEDIATE")
                done.wait(LATENCY_S)
                other.execute("ROLLBACK")
                wait(0.15)  # longer than SQLite sleeps between two tries

    thread = threading.Thread(target=hold)
    thread.start()
    try:
        yield
    finally:
        done.set()
        thread.join()


def full_disk(folder: Path, seconds: float) -> Served:
    """The disk of both files is full: what was taken still comes to its fence, a person quarantines
    and releases, vitals are asked to come again, and all goes on when there is room."""
    with _small_disk(folder / "data") as disk, served(folder) as (process, plant):
        ballast = disk / "ballast"
        with locked(plant.data / "workflow.db"):
            plant.sicken(1)
            until(lambda: "agent-1" in plant.ill, "its vital is taken, and its fence waits")
            _fill(ballast)
        plant.until_fenced(1)
        until(lambda: plant.answers[503] > 0, "intake says that it can take nothing")
        assert plant.hold(2) == 200
        assert plant.release(0) == 200
        assert plant.fenced == {"agent-1", "agent-2"}
        until(lambda: "disk" in plant.degraded, "it is shown")
        (disk_is,) = (part for part in plant.status.degraded if part.name == "disk")
        assert "vitals are refused; decisions go on" in disk_is.last_error
        plant.sicken(3)
        taken = plant.answers[202]
        wait(seconds)
        assert plant.answers[202] == taken  # what was given up is for decisions alone
        assert plant.hold(4) == 200
        ballast.unlink()
        plant.until_fenced(3)
        until(lambda: "disk" not in plant.degraded, "what was given up is kept again")
        plant.check(process, {"agent-2", "agent-4"})
        return plant


def start_on_full_disk(folder: Path) -> None:
    """The server is killed on a full disk and started again: fences stand, a person decides, and
    vitals are taken when there is room."""
    with _small_disk(folder / "data") as disk:
        ballast = disk / "ballast"
        with served(folder) as (process, plant):
            _fill(ballast)
            assert plant.hold(2) == 200
            process.kill()
            plant.leave()
        _fill(ballast)
        with started(folder) as (process, plant):
            assert [case.subject.name for case in plant.cases] == ["agent-0"]
            assert all(case.state in FENCED for case in plant.cases)
            assert plant.fenced == {"agent-0", "agent-2"}, plant.fenced
            assert plant.release(0) == 200
            until(lambda: "disk" in plant.degraded, "it is shown")
            ballast.unlink()
            until(lambda: not plant.degraded, "all is well again")
            plant.report_once(plant.client)
            assert plant.answers == {202: 1}
            stop(process)


@contextmanager
def _small_disk(folder: Path) -> Iterator[Path]:
    """A disk of its own. Raises CalledProcessError for who may not mount one."""
    folder.mkdir()
    options = ["-t", "tmpfs", "-o", f"size={DISK}", "tmpfs", str(folder)]
    subprocess.run(["mount", *options], check=True, capture_output=True)  # noqa: S603, S607
    try:
        yield folder
    finally:
        subprocess.run(["umount", "-l", str(folder)], check=True)  # noqa: S603, S607


def _fill(ballast: Path) -> None:
    with ballast.open("wb", buffering=0) as file, contextlib.suppress(OSError):
        while True:
            file.write(bytes(4096))
