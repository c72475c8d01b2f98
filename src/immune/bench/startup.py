"""How fast things start: a server to its first answer, and the import of the SDK."""

from __future__ import annotations

import os
import socket
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Iterable

import httpx2

from immune.bench.figures import Figure, at_most
from immune.clock import stopwatch_s

_IMPORT = """
import sys, time
began = time.perf_counter()
import immune
took = time.perf_counter() - began
heavy = [m for m in ("numpy", "quart", "sqlalchemy", "uvicorn", "asyncio") if m in sys.modules]
print(1000 * took, len(heavy))
"""


def startup_figures(quick: bool) -> Iterable[Figure]:
    """Seconds from `immune serve` to its first answer; milliseconds of `import immune`."""
    rounds = 3 if quick else 5
    times = [_serve_s() for _ in range(rounds)]
    yield at_most("start/serve_to_first_answer", statistics.median(times), 2.0, "s")
    imports = [
        subprocess.run(  # noqa: S603  # our own interpreter and our own text
            [sys.executable, "-c", _IMPORT], capture_output=True, text=True, check=True
        ).stdout.split()
        for _ in range(rounds)
    ]
    yield at_most(
        "start/import_immune", statistics.median(float(ms) for ms, _ in imports), 60.0, "ms"
    )
    yield at_most(
        "start/server_modules_imported", max(int(heavy) for _, heavy in imports), 0, "modules"
    )


def _serve_s() -> float:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    with tempfile.TemporaryDirectory() as folder:
        environment = {k: v for k, v in os.environ.items() if not k.startswith("IMMUNE_")}
        began = stopwatch_s()
        server = subprocess.Popen(  # noqa: S603  # our own command
            [sys.executable, "-m", "immune", "serve", "--port", str(port), "--data", folder],
            env=environment,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        try:
            with httpx2.Client(trust_env=False) as client:
                while stopwatch_s() - began < 30.0:
                    try:
                        if client.get(f"http://127.0.0.1:{port}/api/status").is_success:
                            return stopwatch_s() - began
                    except httpx2.TransportError:
                        continue
            return float("inf")
        finally:
            server.terminate()
            server.wait(timeout=10)
