"""The data folder: made, proved to be writable, and the home of the installation's salt."""

from __future__ import annotations

import os
import secrets
import tempfile
from pathlib import Path

from immune.errors import Fatal
from immune.intake.salt import Salt


def data_folder(directory: str) -> Path:
    """Return the folder, made when missing. Raises Fatal where nothing can be written to it."""
    folder = Path(directory)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder):
            pass
    except OSError as fault:
        reason = "a file stands there" if isinstance(fault, FileExistsError) else fault.strerror
        raise Fatal(
            f"the data folder {folder} cannot be written to: {reason}; "
            "store.directory or --data names another"
        ) from fault
    return folder


def salt_of(folder: Path) -> Salt:
    """The installation's salt, made once: hashes of one installation mean nothing in another."""
    path = folder / "salt"
    try:
        if not path.exists():
            _write(path, secrets.token_bytes(32))
        secret = path.read_bytes()
    except OSError as fault:
        raise Fatal(f"the salt {path} cannot be read or made: {fault.strerror}") from fault
    if not secret:
        raise Fatal(f"the salt {path} is empty: restore it, or delete it to have a new one made")
    return Salt(secret)


def _write(path: Path, secret: bytes) -> None:
    # whole or not at all, also where the process dies meanwhile
    made, name = tempfile.mkstemp(dir=path.parent, prefix="salt.")  # readable by its owner alone
    with os.fdopen(made, "wb") as file:
        file.write(secret)
    Path(name).replace(path)
