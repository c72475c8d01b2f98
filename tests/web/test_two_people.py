"""Two people who decide about the same version of a case at once, over two connections."""

from __future__ import annotations

import asyncio
import os
import random
from collections.abc import AsyncIterator
from pathlib import Path

import httpx2
import pytest
import uvicorn

from immune.incidents.states import State
from immune.stores.sql import SqlStore
from tests.web.conftest import Site, _site

TIMES = int(os.environ.get("IMMUNE_DUELS", "300"))
"""How many cases are decided by two; `IMMUNE_DUELS=1000` is what the promise is checked with."""

WORDS: dict[str, dict[str, str]] = {
    "approve": {},
    "reject": {"why": "I look at it myself"},
    "release": {"verdict": "false_alarm"},
}
LEADS_TO = {
    "approve": State.HEALING,
    "reject": State.REJECTED,
    "release": State.DISMISSED,
}

REFUSALS = {"urn:immune:problem:stale-version", "urn:immune:problem:illegal-event"}
"""It has moved on, or by that it is closed already."""


@pytest.fixture
async def stored_site(tmp_path: Path) -> AsyncIterator[Site]:
    """A system on a SQLite file."""
    store = SqlStore(f"sqlite:///{tmp_path}/immune.db", "r")
    async for made in _site(tmp_path, chaos=False, workflow=store):
        yield made
    await store.close()


@pytest.fixture
async def people(stored_site: Site) -> AsyncIterator[tuple[httpx2.AsyncClient, httpx2.AsyncClient]]:
    """Two clients of a real server, each with a connection of its own."""
    config = uvicorn.Config(stored_site.dashboard, port=0, lifespan="off", log_config=None)
    server = uvicorn.Server(config)
    serving = asyncio.create_task(server.serve())
    while not server.started:
        await asyncio.wait({serving}, timeout=0.01)
    url = f"http://127.0.0.1:{server.servers[0].sockets[0].getsockname()[1]}"
    async with httpx2.AsyncClient(base_url=url) as ann, httpx2.AsyncClient(base_url=url) as bob:
        yield ann, bob
    stored_site.dashboard.leave()
    server.should_exit = True
    await serving


async def test_of_two_who_decide_at_once_one_does(
    stored_site: Site, people: tuple[httpx2.AsyncClient, httpx2.AsyncClient]
) -> None:
    """Each time exactly one is obeyed; the other is told who decided what, and nothing is lost."""
    rng = random.Random(1)
    won = {"ann": 0, "bob": 0}
    both = dict(zip(("ann", "bob"), people, strict=True))
    for number in range(TIMES):
        case = await stored_site.case(f"agent-{number}")
        path = f"/api/incidents/{case.id}"
        verbs = {who: rng.choice(list(WORDS)) for who in rng.sample(sorted(both), 2)}
        answers = await asyncio.gather(
            *(
                both[who].post(
                    f"{path}/{verb}", json={"version": case.version, "who": who, **WORDS[verb]}
                )
                for who, verb in verbs.items()
            )
        )
        by_status = {answer.status_code: answer.json() for answer in answers}
        assert set(by_status) == {200, 409}
        done, refused = by_status[200], by_status[409]
        assert refused["type"] in REFUSALS
        assert refused["current"] == done
        (meanwhile,) = refused["meanwhile"]
        assert done["version"] == case.version + 1
        timeline = (await people[0].get(path)).json()["events"]
        (decision,) = [line for line in timeline if line["event"]["who"] in won]
        assert meanwhile == decision
        winner = decision["event"]["who"]
        assert done["state"] == decision["state"] == LEADS_TO[verbs[winner]]
        won[winner] += 1
    assert min(won.values()) > TIMES / 4
