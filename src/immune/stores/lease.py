"""One instance per store: a lock on a file beside it, and who holds it.

The kernel gives the lock back when the process ends, however it ends, so that a crash leaves
nothing to clean up. The lock file itself stays. (On PostgreSQL the lease is an advisory lock of the
session that writes, see `database_server`.)
"""

from __future__ import annotations

import os
import re
import socket
import sys
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import NamedTuple

from immune.errors import Fatal

_TEXT = re.compile(r"immune (?P<pid>\d+) (?P<since>\d+) (?P<host>\S*)")
_LONGEST = 63
"""Characters that PostgreSQL keeps of a session's name."""


class Holder(NamedTuple):
    """The process that holds a lease."""

    pid: int
    host: str
    since: int
    """Epoch seconds."""

    @classmethod
    def ourselves(cls, now: float) -> Holder:
        return cls(os.getpid(), socket.gethostname(), int(now))

    @classmethod
    def of_text(cls, text: str) -> Holder | None:
        """Read what `text` gave; None where it is something else."""
        found = _TEXT.fullmatch(text.strip())
        if found is None:
            return None
        return cls(int(found["pid"]), found["host"], int(found["since"]))

    @property
    def text(self) -> str:
        """One line, at most as long as a session's name."""
        return f"immune {self.pid} {self.since} {self.host}"[:_LONGEST]

    def __str__(self) -> str:
        since = datetime.fromtimestamp(self.since, UTC)
        return f"process {self.pid} on {self.host}, since {since:%Y-%m-%d %H:%M:%S} UTC"


def in_use(store: object, holder: Holder | None) -> Fatal:
    """The error of a second instance."""
    return Fatal(
        f"{store} is in use by another instance ({holder or 'unknown'}): "
        "stop that one first, or name another store"
    )


class Lease:
    """The right to write to one store file."""

    def __init__(self, path: Path) -> None:
        self._store = path
        self._path = path.with_name(path.name + ".lock")
        self._fd: int | None = None

    def take(self, now: float) -> None:
        """Take it; raises Fatal where another instance holds it."""
        if self._fd is not None:
            return
        try:
            fd = os.open(self._path, os.O_RDWR | os.O_CREAT, 0o600)
        except OSError as error:
            raise Fatal(f"cannot make the lock file {self._path}: {error.strerror}") from error
        try:
            _lock(fd)
        except OSError:
            holder = Holder.of_text(os.read(fd, 1024).decode(errors="replace"))
            os.close(fd)
            raise in_use(self._store, holder) from None
        with suppress(OSError):  # a full disk: the lock counts, the line only tells who has it
            os.ftruncate(fd, 0)
            os.write(fd, f"{Holder.ourselves(now).text}\n".encode())
        self._fd = fd

    def give_back(self) -> None:
        """Let go of it; harmless if it isn't held."""
        if self._fd is not None:
            os.close(self._fd)
            self._fd = None


if sys.platform == "win32":
    import msvcrt

    _FAR = 1 << 30
    """Windows refuses reads of a locked byte: lock one beyond the holder's line."""

    def _lock(fd: int) -> None:
        os.lseek(fd, _FAR, os.SEEK_SET)
        msvcrt.locking(fd, msvcrt.LK_NBLCK, 1)
        os.lseek(fd, 0, os.SEEK_SET)
else:
    import fcntl

    def _lock(fd: int) -> None:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
