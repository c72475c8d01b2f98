"""A real server in a thread for the verbs to speak to, and a way to run them."""

from __future__ import annotations

import asyncio
import json
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

import pytest
import uvicorn

from immune.cli import main

Run = Callable[..., tuple[int, str, str]]


@dataclass(slots=True)
class Scripted:
    """An HTTP server that answers each path as it was told to, and keeps what it was sent."""

    url: str = ""
    answers: dict[tuple[str, str], list[tuple[int, object]]] = field(default_factory=dict)
    """(method, path) -> answers in turn, the last one for ever."""
    orders: list[tuple[str, Any]] = field(default_factory=list)
    queries: list[tuple[str, str]] = field(default_factory=list)

    def on(self, method: str, path: str, *answers: tuple[int, object]) -> None:
        """Say how a path is answered."""
        self.answers[method, path] = list(answers)

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        body, more = b"", True
        while more:
            message = await receive()
            body += message.get("body", b"")
            more = message.get("more_body", False)
        method, path = scope["method"], scope["path"]
        self.queries.append((path, scope["query_string"].decode()))
        if method == "POST":
            lines = [json.loads(line) for line in body.splitlines()]
            self.orders.append((path, lines[0] if len(lines) == 1 else lines))
        nothing = {
            "title": "There is no such thing",
            "status": 404,
            "detail": f"there is no {path}",
        }
        answers = self.answers.get((method, path), [(404, nothing)])
        status, answer = answers.pop(0) if len(answers) > 1 else answers[0]
        kind = b"application/json" if status < 400 else b"application/problem+json"
        headers = [(b"content-type", kind), (b"retry-after", b"0")]
        await send({"type": "http.response.start", "status": status, "headers": headers})
        await send({"type": "http.response.body", "body": json.dumps(answer).encode()})


@pytest.fixture
def server() -> Iterator[Scripted]:
    """A server on a private port."""
    scripted = Scripted()
    real = uvicorn.Server(uvicorn.Config(scripted, port=0, lifespan="off", log_config=None))
    started = threading.Event()

    async def serve() -> None:
        running = asyncio.create_task(real.serve())
        while not real.started:
            await asyncio.wait({running}, timeout=0.01)
        started.set()
        await running

    thread = threading.Thread(target=asyncio.run, args=(serve(),))
    thread.start()
    assert started.wait(10)
    scripted.url = f"http://127.0.0.1:{real.servers[0].sockets[0].getsockname()[1]}"
    yield scripted
    real.should_exit = True
    thread.join(10)


@pytest.fixture
def run(capsys: pytest.CaptureFixture[str]) -> Run:
    """Run a command in this process; returns its exit code and what it printed."""

    def running(*arguments: str) -> tuple[int, str, str]:
        capsys.readouterr()
        with pytest.raises(SystemExit) as ended:
            main(arguments)
        said = capsys.readouterr()
        return int(ended.value.code or 0), said.out, said.err

    return running
