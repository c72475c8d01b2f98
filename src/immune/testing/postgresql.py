"""A real PostgreSQL server of one's own, on a socket in a new folder, for tests and benchmarks.

Needs the programs that Debian's package postgresql installs; as root the server runs as the user
that the package makes. It is stopped, and its folder removed, at the end.
"""

from __future__ import annotations

import os
import pwd
import shutil
import signal
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

PROGRAMS = sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb"))
"""Of each version that is installed; empty where none is."""

USER = "postgres"


class Postgresql:
    """A running server."""

    def __init__(self, home: Path) -> None:
        self._home = home
        self._programs = PROGRAMS[-1].parent
        self._as_user: list[str] = []
        if os.geteuid() == 0:  # the server refuses to run as root
            owner = pwd.getpwnam(USER)
            os.chown(home, owner.pw_uid, owner.pw_gid)
            self._as_user = ["runuser", "-u", USER, "--"]

    def _run(self, program: str, *arguments: str) -> None:
        command = [*self._as_user, str(self._programs / program), *arguments]
        subprocess.run(command, check=True, cwd=self._home, stdout=subprocess.DEVNULL)  # noqa: S603  # our own words

    @property
    def _data(self) -> str:
        return str(self._home / "data")

    def start(self, durable: bool) -> None:
        """Start it; one that isn't durable waits for no disk."""
        options = f"-k {self._home} -h ''"
        if not durable:
            options += " -c fsync=off -c synchronous_commit=off"
        self._run("initdb", "-D", self._data, "-U", "immune", "-A", "trust", "--no-sync", "-EUTF8")
        log = str(self._home / "log")
        self._run("pg_ctl", "-D", self._data, "-l", log, "-o", options, "-w", "start")

    def stop(self) -> None:
        """Stop it at once, paused or not."""
        self.resume()
        self._run("pg_ctl", "-D", self._data, "-m", "immediate", "-w", "stop")

    def database(self, name: str) -> str:
        """Make a database; return its URL."""
        self._run("createdb", "-h", str(self._home), "-U", "immune", name)
        return f"postgresql://immune@/{name}?host={self._home}"

    def pause(self) -> None:
        """Let no process of the server run, as on a machine that hangs."""
        self._signal(signal.SIGSTOP)

    def resume(self) -> None:
        """End a pause."""
        self._signal(signal.SIGCONT)

    def _signal(self, number: signal.Signals) -> None:
        for process in self._processes():
            os.kill(process, number)

    def _processes(self) -> list[int]:
        """The server's own, and its sessions'."""
        first = int((self._home / "data" / "postmaster.pid").read_text().split()[0])
        found = [first]
        for path in Path("/proc").glob("[0-9]*/stat"):
            try:
                fields = path.read_text().rpartition(")")[2].split()
            except OSError:
                continue  # it has ended meanwhile
            if int(fields[1]) == first:
                found.append(int(path.parent.name))
        return found


@contextmanager
def postgresql(*, durable: bool = False) -> Iterator[Postgresql]:
    """Run a server for the length of the block; FileNotFoundError where none is installed."""
    if not PROGRAMS:
        raise FileNotFoundError("PostgreSQL is not installed")
    home = Path(tempfile.mkdtemp(prefix="immune-pg-"))
    try:
        server = Postgresql(home)
        server.start(durable)
        try:
            yield server
        finally:
            server.stop()
    finally:
        shutil.rmtree(home, ignore_errors=True)
