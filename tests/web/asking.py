"""What the machine of `test_model` asks with: a site, its model, and requests."""

from __future__ import annotations

import asyncio
import itertools
import shutil
import tempfile
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any, NamedTuple

import httpx2
from hypothesis.stateful import RuleBasedStateMachine

from tests.web.conftest import Site, _site
from tests.web.model import Model, path_of


class Keyed(NamedTuple):
    """An order that was carried out."""

    method: str
    path: str
    body: Any
    answered: bytes
    key: str
    at: float


class Asking(RuleBasedStateMachine):
    """A system of its own for each run, the model of it, and a way to ask it."""

    def __init__(self) -> None:
        super().__init__()
        self.runner = asyncio.Runner()
        self.folder = Path(tempfile.mkdtemp())
        self.opened: AsyncIterator[Site] = _site(self.folder, chaos=False)
        self.site: Site = self.runner.run(anext(self.opened))  # type: ignore[arg-type]
        self.model = Model()
        self.numbers = itertools.count()
        self.weeks = 0
        self.keyed: list[Keyed] = []

    def teardown(self) -> None:
        async def closed() -> None:
            async for _ in self.opened:
                raise AssertionError("the site is opened once")

        self.runner.run(closed())
        self.runner.close()
        shutil.rmtree(self.folder)

    # --- asking ------------------------------------------------------------------------------

    def ask(self, method: str, path: str, body: Any = None, key: str = "") -> httpx2.Response:
        """One request; no answer is ever a fault of ours."""
        headers = {"idempotency-key": key} if key else {}
        send = self.site.client.request(method, path, json=body, headers=headers)
        answer: httpx2.Response = self.runner.run(send)
        assert answer.status_code < 500, answer.text
        return answer

    def get(self, path: str) -> Any:
        """What can be read at a path."""
        answer = self.ask("GET", path)
        assert answer.status_code == 200, answer.text
        return answer.json()

    def order(self, path: str, body: Any, method: str = "POST") -> httpx2.Response:
        """An order with a key of its own; what was carried out can be sent again."""
        key = f"key-{next(self.numbers)}"
        answer = self.ask(method, path, body, key)
        if answer.status_code == 200:
            at = self.site.clock.time()
            self.keyed.append(Keyed(method, path, body, answer.content, key, at))
        return answer

    def look(self) -> None:
        """Take in what the system did by itself: a case goes on, and never back."""
        for case_id, case in self.model.cases.items():
            now = self.get(f"/api/incidents/{case_id}")["incident"]
            assert now["version"] >= case.version
            if not case.is_open:
                assert (now["state"], now["version"]) == (case.state, case.version)
            case.state, case.version = now["state"], now["version"]

    def kept(self, agent: str) -> bool:
        """Whether somebody must decide about an agent before it can go."""
        if self.model.open_case(agent) is not None or agent in self.model.fenced():
            return True
        return bool(self.get(path_of(agent))["treatments"])
