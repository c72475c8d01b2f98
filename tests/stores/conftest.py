"""A real PostgreSQL of our own, where its programs are installed."""

from __future__ import annotations

import os
import pwd
import shutil
import subprocess
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

PROGRAMS = [Path(p) for p in sorted(map(str, Path("/usr/lib/postgresql").glob("*/bin")))]


@pytest.fixture(scope="session")
def postgresql() -> Iterator[Callable[[str], str]]:
    """Start a server on a socket in a new directory; returns what makes a database's URL."""
    if not PROGRAMS:
        if os.environ.get("IMMUNE_CI"):
            pytest.fail("PostgreSQL is not installed")
        pytest.skip("PostgreSQL is not installed")
    programs = PROGRAMS[-1]
    home = Path(tempfile.mkdtemp(prefix="immune-pg-"))
    as_user: list[str] = []
    if os.geteuid() == 0:  # the server refuses to run as root
        owner = pwd.getpwnam("postgres")
        os.chown(home, owner.pw_uid, owner.pw_gid)
        as_user = ["runuser", "-u", "postgres", "--"]

    def run(program: str, *arguments: str) -> None:
        command = [*as_user, str(programs / program), *arguments]
        subprocess.run(command, check=True, cwd=home, stdout=subprocess.DEVNULL)  # noqa: S603

    data, log = str(home / "data"), str(home / "log")
    options = f"-k {home} -h '' -c fsync=off -c synchronous_commit=off"
    try:
        run("initdb", "-D", data, "-U", "immune", "-A", "trust", "--no-sync", "-E", "UTF8")
        run("pg_ctl", "-D", data, "-l", log, "-o", options, "-w", "start")
        try:

            def database(name: str) -> str:
                run("createdb", "-h", str(home), "-U", "immune", name)
                return f"postgresql+asyncpg://immune@/{name}?host={home}"

            yield database
        finally:
            run("pg_ctl", "-D", data, "-m", "immediate", "-w", "stop")
    finally:
        shutil.rmtree(home, ignore_errors=True)
