"""One instance per store: a lock on a file beside it.

The kernel gives the lock back when the process ends, however it ends, so that a crash leaves
nothing to clean up. The lock file itself stays. (On PostgreSQL the lease is an advisory lock, see
`Database.lease`.)
"""

from __future__ import annotations

import os
import sys
from pathlib import Path

from immune.errors import Fatal


class Lease:
    """The right to write to one store file."""

    def __init__(self, path: Path) -> None:
        self._store = path
        self._path = path.with_name(path.name + ".lock")
        self._fd: int | None = None

    def take(self) -> None:
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
            holder = os.read(fd, 32).decode(errors="replace").strip()
            os.close(fd)
            raise Fatal(
                f"{self._store} is in use by another instance (process {holder or 'unknown'}): "
                "stop that one first, or name another store"
            ) from None
        os.ftruncate(fd, 0)
        os.write(fd, f"{os.getpid()}\n".encode())
        self._fd = fd

    def give_back(self) -> None:
        """Let go of it; harmless if it isn't held."""
        if self._fd is not None:
            os.close(self._fd)
            self._fd = None


if sys.platform == "win32":
    import msvcrt

    _FAR = 1 << 30
    """Windows refuses reads of a locked byte: lock one beyond the process id."""

    def _lock(fd: int) -> None:
        os.lseek(fd, _FAR, os.SEEK_SET)
        msvcrt.locking(fd, msvcrt.LK_NBLCK, 1)
        os.lseek(fd, 0, os.SEEK_SET)
else:
    import fcntl

    def _lock(fd: int) -> None:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
