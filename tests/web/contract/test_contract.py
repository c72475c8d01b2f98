"""The server does what its OpenAPI document says, whatever it is sent.

Schemathesis reads the document from a real server and sends what follows from it, valid and not:
the document's examples, the edges of every schema, random requests, and chains along the links. All
its checks are on; `schemathesis.toml` beside this file has the exceptions, each with its reason.
"""

from __future__ import annotations

import asyncio
import json
import os
import re
import sys
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import msgspec
import pytest
import uvicorn

from immune.incidents import events as e
from immune.incidents.incident import Subject
from immune.incidents.states import State
from tests.web.conftest import Site

HERE = Path(__file__).parent
EXAMPLES = os.environ.get("IMMUNE_CONTRACT_EXAMPLES", "12")
"""Random requests for each operation and each phase."""


CASES = 12
"""An order on a case uses it up, so there are several."""


class Living:
    """The dashboard of a system that takes a turn after each order."""

    def __init__(self, site: Site) -> None:
        self.site = site
        self.taken: set[tuple[str, str]] = set()
        """Method and path of requests that were answered with success."""

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        async def sending(message: Any) -> None:
            if message["type"] == "http.response.start" and message["status"] < 300:
                self.taken.add((scope["method"], scope["path"]))
            await send(message)

        await self.site.dashboard(scope, receive, sending)
        if scope["method"] not in ("GET", "HEAD", "OPTIONS"):
            await self._turn()

    async def _turn(self) -> None:
        clock, lockdowns = self.site.clock, self.site.system.desk.lockdowns
        clock.advance(0.1)
        for lockdown in lockdowns.standing():
            if lockdown.at < clock.time() - 1.0:  # else nobody is ever free again
                await lockdowns.undo(lockdown.id, who="ann")
        await self.site.system.orchestrator.turn()

    def never_taken(self, document: Any) -> set[str]:
        """The operations of which no request was answered with success."""
        never = set()
        for path, operations in document["paths"].items():
            pattern = re.compile(re.sub(r"{\w+}", ".+", path))
            for method in operations:
                found = (m == method.upper() and pattern.fullmatch(p) for m, p in self.taken)
                if not any(found):
                    never.add(f"{method.upper()} {path}")
        return never


@pytest.fixture
async def living(demo_site: Site) -> Living:
    """A server with agents, cases that wait for a person, some rejected, and a fleet incident."""
    await demo_site.agent("billing/triage")
    await demo_site.system.desk.departures.alias("billing/triage", "billing/triage-v1")
    casework = demo_site.system.orchestrator.casework
    waiting = await demo_site.case("svc/0")
    fleet = Subject("outage", "x")
    outage = msgspec.structs.replace(
        waiting, id=casework.new_id(), subject=fleet, state=State.OBSERVED
    )
    await casework.open(outage, e.Opened(at=outage.updated_at))
    for number in range(1, CASES):
        case = await demo_site.case(f"svc/{number}")
        if number % 2:
            await casework.apply(case.id, e.Rejected(at=case.updated_at, who="ann", version=3))
    return Living(demo_site)


@pytest.fixture
async def url(living: Living) -> AsyncIterator[str]:
    """Where it listens."""
    config = uvicorn.Config(living, port=0, lifespan="off", log_config=None)
    server = uvicorn.Server(config)
    serving = asyncio.create_task(server.serve())
    while not server.started:
        await asyncio.wait({serving}, timeout=0.01)
    yield f"http://127.0.0.1:{server.servers[0].sockets[0].getsockname()[1]}"
    living.site.dashboard.leave()
    server.should_exit = True
    await serving


async def test_the_server_keeps_to_its_document(living: Living, url: str, tmp_path: Path) -> None:
    """Every operation in every phase: no undocumented status, type or shape of an answer, nothing
    wrong accepted, nothing right refused, no fault of ours."""
    report = tmp_path / "report.json"
    run = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "schemathesis.cli", "--no-color"),
        *("--config-file", str(HERE / "schemathesis.toml"), "run", f"{url}/api/openapi.json"),
        *("--checks", "all", "--max-examples", EXAMPLES, "--report-json-path", str(report)),
        cwd=tmp_path,
        env={**os.environ, "SCHEMATHESIS_HOOKS": str(HERE / "hooks.py")},
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    said, _ = await run.communicate()
    assert run.returncode == 0, said.decode()
    told = json.loads(report.read_text())
    assert told["operations"]["tested"] == told["operations"]["total"]
    assert {phase["status"] for phase in told["phases"].values()} == {"success"}
    document = (await living.site.client.get("/api/openapi.json")).json()
    assert living.never_taken(document) == set()
