"""Programs of ours in processes of their own, and a server among them once it answers."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TextIO

import httpx2

Process = subprocess.Popen[str]

PATIENCE_S = 90.0
"""How long something that must come to pass may take on a machine that has much to do."""
POLL_S = 0.05

wait = threading.Event().wait
"""Wait for so many seconds."""


@contextmanager
def running(
    module: str, *arguments: str, environment: Mapping[str, str] | None = None
) -> Iterator[Process]:
    """``python -m module``, killed at the end; its output is for whoever asks."""
    with subprocess.Popen(  # noqa: S603  # our own interpreter
        [sys.executable, "-m", module, *arguments],
        cwd=Path(__file__).parents[2],
        env={"PATH": os.environ.get("PATH", ""), **(environment or {})},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        try:
            yield process
        finally:
            process.kill()


@contextmanager
def serving(process: Process, log: Path) -> Iterator[httpx2.Client]:
    """A client of a server that has just been started, once it answers; `log` gets its log."""
    assert process.stderr is not None
    with log.open("a", buffering=1) as file:
        address = ""
        for line in process.stderr:
            file.write(line)
            if '"serving"' in line:
                address = json.loads(line)["address"]
                break
        assert address, f"it does not start: {log.read_text()[-4000:]}"
        reader = threading.Thread(target=_copy, args=(process.stderr, file))
        reader.start()
        try:
            with httpx2.Client(base_url=address, timeout=60, trust_env=False) as client:
                yield client
        finally:
            process.kill()
            reader.join()


def _copy(stream: TextIO, file: TextIO) -> None:
    for line in stream:
        file.write(line)


def stop(process: Process) -> None:
    """Stop a server as is due; it leaves nothing undone that it could still do."""
    process.terminate()
    assert process.wait(30) == 0


def faults(log: Path) -> list[str]:
    """Lines of a server's log that tell of an unexpected fault."""
    return [line for line in log.read_text().splitlines() if '"exception"' in line]


def until(come_true: Callable[[], bool], what: str) -> None:
    """Wait for something that must come to pass."""
    for _ in range(round(PATIENCE_S / POLL_S)):
        if come_true():
            return
        wait(POLL_S)
    raise AssertionError(f"it has not come to pass within {PATIENCE_S:.0f} s: {what}")
