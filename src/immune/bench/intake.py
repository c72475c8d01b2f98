"""`immune bench intake`: what a vital and a span cost on their way in, through a real server.

`immune serve` runs in a process of its own, on loopback, with its stores on disk; a client here
sends what it has made beforehand and reads every answer. A rate is what one core of the server
does: vitals by the seconds of processor that the server spent from the first request until all of
them were durable, scored and learned, so that what the machine does besides does not count. The
wall's rate is told beside it.

Spans are counted on their whole way, from the bytes of the request to vitals that are durable,
scored and learned: alone, each of which gives a vital, and in whole runs. What decoding alone takes
of it is measured in this process, beside protobuf's own json_format on the same request.
"""

from __future__ import annotations

import asyncio
import os
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

import msgspec
import numpy as np
from google.protobuf import json_format
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

from immune.bench.exports import AGENTS, RUN, RUN_STEPS, alone, runs
from immune.bench.figures import Figure, Report, at_least
from immune.bench.options import Options
from immune.clock import SystemClock, cpu_s, stopwatch_s
from immune.intake.otlp.decode import PROTOBUF, decode_traces
from immune.intake.otlp.from_protobuf import COMPILED
from immune.intake.salt import Salt

BATCH = 1000
CONNECTIONS = 8
"""Of clients that send batches."""
AGENTS_AT_ONCE = 64
"""Connections of agents that each send one step at a time."""
PATIENCE_S = 120.0
"""Seconds after the last answer in which all must have been scored."""
POLL_S = 0.25
"""Seconds between two looks at that, which the server spends time on as well."""
SPANS = 1000
"""Spans of one request."""


class Spent(NamedTuple):
    """What a server did with what it was sent."""

    cpu_s: float
    wall_s: float


class Server:
    """A running `immune serve`."""

    def __init__(self, process: subprocess.Popen[bytes], port: int) -> None:
        self._pid = process.pid
        self._port = port
        self._vitals = 0

    def cpu_s(self) -> float:
        """Seconds of processor that it has spent."""
        fields = Path(f"/proc/{self._pid}/stat").read_text().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    def send(
        self,
        path: str,
        content_type: str,
        bodies: Sequence[bytes],
        vitals: int,
        clients: int = CONNECTIONS,
    ) -> Spent:
        """Post all of `bodies`, and wait until the vitals that they hold are stored and scored."""
        self._vitals += vitals
        began, spent = stopwatch_s(), self.cpu_s()
        asyncio.run(self._send(path, content_type, bodies, clients))
        return Spent(self.cpu_s() - spent, stopwatch_s() - began)

    async def _send(
        self, path: str, content_type: str, bodies: Sequence[bytes], clients: int
    ) -> None:
        left = iter(bodies)
        await asyncio.gather(*(self._client(path, content_type, left) for _ in range(clients)))
        clock = SystemClock()
        reader, writer = await asyncio.open_connection("127.0.0.1", self._port)
        until = clock.monotonic() + PATIENCE_S
        while True:
            _, answer = await _exchange(reader, writer, "GET", "/api/status", self._port)
            told = msgspec.json.decode(answer)
            if told["accepted"] >= self._vitals and told["queued"] == 0:
                break
            if clock.monotonic() > until:
                raise RuntimeError(f"{told['accepted']} of {self._vitals} vitals were taken")
            await clock.sleep(POLL_S)
        writer.close()

    async def _client(self, path: str, content_type: str, left: Iterator[bytes]) -> None:
        clock = SystemClock()
        reader, writer = await asyncio.open_connection("127.0.0.1", self._port)
        for body in left:
            while True:
                status, answer = await _exchange(
                    reader, writer, "POST", path, self._port, content_type, body
                )
                if status != 429:  # detection lags: the queue is the brake
                    break
                await clock.sleep(0.1)
            if status not in (200, 202):
                raise RuntimeError(f"{path} answered {status}: {answer[:200]!r}")
        writer.close()


async def _exchange(
    reader: asyncio.StreamReader,
    writer: asyncio.StreamWriter,
    method: str,
    path: str,
    port: int,
    content_type: str = "",
    body: bytes = b"",
) -> tuple[int, bytes]:
    head = f"{method} {path} HTTP/1.1\r\nhost: 127.0.0.1:{port}\r\n"
    if body:
        head += f"content-type: {content_type}\r\ncontent-length: {len(body)}\r\n"
    writer.write(head.encode() + b"\r\n" + body)
    answer = await reader.readuntil(b"\r\n\r\n")
    lines = answer.decode("latin-1").lower().split("\r\n")
    fields = dict(line.split(": ", 1) for line in lines[1:] if ": " in line)
    return int(lines[0].split()[1]), await reader.readexactly(int(fields["content-length"]))


@contextmanager
def serving() -> Iterator[Server]:
    """A server on a folder of its own."""
    with tempfile.TemporaryDirectory(prefix="immune-bench-") as folder:
        command = [sys.executable, "-m", "immune", "serve", "--port", "0", "--data", folder]
        log = Path(folder, "log")
        with (
            log.open("w") as stderr,  # a file: a pipe that nobody reads would stop it
            subprocess.Popen(command, cwd=folder, stderr=stderr) as process,  # noqa: S603  # ours
        ):
            try:
                yield Server(process, _port(process, log))
            finally:
                process.terminate()


def _port(process: subprocess.Popen[bytes], log: Path) -> int:
    """Wait until the server says where it listens."""
    while (port := port_told(said := log.read_bytes())) is None:
        if process.poll() is not None:
            raise RuntimeError(f"the server did not start: {said.decode()}")
        asyncio.run(SystemClock().sleep(0.05))
    return port


def port_told(said: bytes) -> int | None:
    """The port that a server listens on, by its log so far; None until a whole line tells it.

    Others may come first: what the start found, a copy of the store, a warning of a library.
    """
    for line in said.splitlines(keepends=True):
        if b'"serving"' in line and line.endswith(b"\n"):
            address: str = msgspec.json.decode(line)["address"]
            return int(address.rstrip("/").rpartition(":")[2])
    return None


def steps(count: int, rng: np.random.Generator) -> list[dict[str, object]]:
    """Steps of a healthy fleet, agent by agent, in order of time, the last of them now."""
    now = SystemClock().time()
    latency, tokens = rng.lognormal(7, 0.4, count), rng.lognormal(6, 0.4, (2, count))
    return [
        {
            "agent_id": f"agent-{i % AGENTS}",
            "at": now - (count - i) / AGENTS,
            "kind": "run",
            "latency_ms": round(float(latency[i]), 1),
            "input_tokens": int(tokens[0, i]),
            "output_tokens": int(tokens[1, i]),
            "cost_usd": round(float(tokens[0, i]) * 1e-5, 6),
            "tool_calls": 3,
            "retries": 0,
            "errors": 0,
            "agent_type": "coder",
            "model": "gpt-5",
            "provider": "openai",
        }
        for i in range(count)
    ]


def run(options: Options) -> Report:
    """Run the parts that are wanted, one after another."""
    rng = np.random.default_rng(1)
    figures: list[Figure] = []
    parts = {"vitals": _vitals, "alone": _single, "decoding": _decoding, "spans": _spans}
    for name, part in parts.items():
        if options.wants(name):
            options.progress(name)
            figures += part(rng, options.quick)
    return Report("intake", options.quick, figures)


def _figure(
    name: str, count: int, threshold: float, unit: str, spent: Spent, of_it: str = ""
) -> Figure:
    note = f"{count / spent.wall_s:,.0f} a second by the wall, the client on another core"
    return at_least(name, count / spent.cpu_s, threshold, unit, note=of_it + note)


def _vitals(rng: np.random.Generator, quick: bool) -> Iterator[Figure]:
    count = 100_000 if quick else 600_000
    made = steps(count, rng)
    bodies = [msgspec.json.encode(made[i : i + BATCH]) for i in range(0, count, BATCH)]
    with serving() as server:
        server.send("/api/vitals", "application/json", bodies[:20], 20 * BATCH)  # agents are new
        counted = count - 20 * BATCH
        spent = server.send("/api/vitals", "application/json", bodies[20:], counted)
    yield _figure("vitals/batches_of_1000", counted, 60_000, "vitals/s a core", spent)


def _single(rng: np.random.Generator, quick: bool) -> Iterator[Figure]:
    made = steps(5_000 if quick else 30_000, rng)
    bodies = [msgspec.json.encode(step) for step in made]
    with serving() as server:
        server.send("/api/vitals", "application/json", bodies[:1000], 1000)
        counted = len(bodies) - 1000
        spent = server.send(
            "/api/vitals", "application/json", bodies[1000:], counted, AGENTS_AT_ONCE
        )
    yield _figure("alone/one_a_request", counted, 4_000, "vitals/s a core", spent)


def _decoding(rng: np.random.Generator, quick: bool) -> Iterator[Figure]:
    body, salt = alone(SPANS, _now_ns(), rng), Salt(rng.bytes(32))
    ours, theirs = [], []
    for _ in range(5 if quick else 25):
        began, spans = cpu_s(), 0
        for _ in range(10):  # about as long as the other takes once
            found = decode_traces(body, content_type=PROTOBUF, salt=salt, max_bytes=len(body))
            spans += len(found.spans)
        ours.append(spans / (cpu_s() - began))
        began = cpu_s()
        json_format.MessageToDict(ExportTraceServiceRequest.FromString(body))
        theirs.append(SPANS / (cpu_s() - began))
    rate, rival = statistics.median(ours), statistics.median(theirs)
    ratio = statistics.median(one / other for one, other in zip(ours, theirs, strict=True))
    how = "read off the wire, compiled" if COMPILED else "read by protobuf's library"
    note = f"{how}; nothing but bytes to spans"
    yield at_least("decoding/12_attributes", rate, 50_000, "spans/s a core", rival, note)
    yield at_least("decoding/times_json_format", ratio, 10.0, "ratio", note="in the same run")


def _spans(rng: np.random.Generator, quick: bool) -> Iterator[Figure]:
    yield _taken("spans/alone", alone, SPANS, rng, quick)
    yield _taken("spans/in_runs", runs, SPANS // len(RUN) * RUN_STEPS, rng, quick)


def _taken(
    name: str,
    export: Callable[[int, int, np.random.Generator], bytes],
    vitals: int,
    rng: np.random.Generator,
    quick: bool,
) -> Figure:
    """Spans on their whole way: from the request to vitals that are stored, scored and learned."""
    requests = 30 if quick else 250
    bodies = [export(SPANS, _now_ns(), rng) for _ in range(requests)]
    with serving() as server:
        server.send("/v1/traces", PROTOBUF, bodies[:5], 5 * vitals)
        counted = requests - 5
        spent = server.send("/v1/traces", PROTOBUF, bodies[5:], counted * vitals)
    whole = "HTTP, decoding, journal, joining, store and detector; "
    return _figure(name, counted * SPANS, 50_000, "spans/s a core", spent, whole)


def _now_ns() -> int:
    return round(SystemClock().time() * 1e9)
