"""The live feed: nothing is missed, nothing comes twice, and nobody is held up."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import aclosing, asynccontextmanager
from typing import Any

import httpx2
import pytest
import uvicorn

from immune.errors import InvalidInput
from immune.web.feed import EventFeed, encode
from immune.web.stream import last_event_id
from tests.web.conftest import Site

Event = tuple[str, str, Any]


def parse(chunk: bytes) -> Event:
    """An event as (id, name, data)."""
    fields = dict(line.split(": ", 1) for line in chunk.decode().splitlines() if ": " in line)
    return fields.get("id", ""), fields.get("event", ""), json.loads(fields.get("data", "null"))


async def take(chunks: AsyncIterator[bytes], count: int) -> list[Event]:
    """The next `count` incident events."""
    found: list[Event] = []
    while len(found) < count:
        event = parse(await anext(chunks))
        if event[1] == "incident":
            found.append(event)
    return found


async def _all(chunks: AsyncIterator[bytes]) -> list[bytes]:
    return [chunk async for chunk in chunks]


def test_an_event_is_one_line_of_data() -> None:
    """Whatever an agent is called, it cannot end the event."""
    chunk = encode("incident", {"name": "a\n\ndata: forged\r\n"}, 7)
    assert chunk.count(b"\n") == 4
    assert chunk.startswith(b"id: 7\nevent: incident\ndata: {")
    assert b"\r" not in chunk


async def test_each_committed_step_comes_with_its_place_and_its_incident(site: Site) -> None:
    """First the status, then every step as it is committed."""
    async with aclosing(site.dashboard.feed.stream(None)) as chunks:
        assert (await anext(chunks)).startswith(b"retry:")
        assert parse(await anext(chunks))[1] == "status"
        case = await site.case()
        events = await take(chunks, 3)
    assert [data["line"]["event"]["type"] for _, _, data in events] == [
        "opened",
        "confirmed",
        "diagnosed",
    ]
    places = [int(place) for place, _, _ in events]
    assert places == sorted(set(places))
    summary = events[-1][2]["incident"]
    assert (summary["id"], summary["state"]) == (case.id, "awaiting_approval")
    assert site.dashboard.feed.viewers == 0


async def test_a_viewer_resumes_where_it_was(site: Site) -> None:
    """The log first, then live; a step committed in between comes once."""
    await site.case("a")
    seen = (await site.system.views.events(0))[0].seq
    async with aclosing(site.dashboard.feed.stream(seen)) as chunks:
        resumed = await take(chunks, 1)
        await site.case("b")  # while the log is still being read
        resumed += await take(chunks, 4)
    places = [int(place) for place, _, _ in resumed]
    expected = [line.seq for line in await site.system.views.events(seen)]
    assert places == expected
    assert resumed[0][2]["incident"]["state"] == "awaiting_approval"


async def test_a_place_in_another_run_s_log_hides_nothing(site: Site) -> None:
    """After a new run began, an old place is beyond its log: live events still come."""
    async with aclosing(site.dashboard.feed.stream(10_000)) as chunks:
        await anext(chunks)
        await anext(chunks)
        waiting = asyncio.create_task(take(chunks, 1))
        await site.clock.sleep(0)
        await site.case()
        assert (await waiting)[0][2]["line"]["event"]["type"] == "opened"


async def test_who_is_too_slow_is_cut_off_alone(site: Site) -> None:
    """Its queue is bounded; the others go on."""
    feed = EventFeed(site.system.views, site.clock, room=4)
    site.system.orchestrator.casework.listeners.append(feed.committed)
    slow, quick = feed.stream(None), feed.stream(None)
    for chunks in (slow, quick):
        await anext(chunks)
        await anext(chunks)
    for name in "abc":
        await site.case(name)
        assert len(await take(quick, 3)) == 3
    assert [chunk async for chunk in slow] == []
    assert feed.viewers == 1
    await quick.aclose()


async def test_the_status_comes_again_and_again_and_keeps_the_stream_open(site: Site) -> None:
    """Every few seconds, with a comment now and then."""
    chunks = site.dashboard.feed.stream(None)
    await anext(chunks)
    await anext(chunks)
    watching = asyncio.create_task(_all(chunks))
    site.dashboard.run(site.system.orchestrator.supervisor)
    for _ in range(8):
        for _ in range(5):
            await site.clock.sleep(0)
        site.clock.advance(3.0)
    for _ in range(5):
        await site.clock.sleep(0)
    await site.system.orchestrator.supervisor.stop()
    site.dashboard.feed.close()
    rest = await watching
    assert sum(chunk.startswith(b"event: status") for chunk in rest) >= 7
    assert sum(chunk.startswith(b":") for chunk in rest) == 2


@pytest.mark.parametrize("text", ["-1", "1.5", "abc", "٣", "9" * 30])
def test_a_place_that_is_none_of_ours_is_refused(text: str) -> None:
    """An id is a whole number."""
    with pytest.raises(InvalidInput):
        last_event_id(text)
    assert last_event_id("") is None
    assert last_event_id("7") == 7


@asynccontextmanager
async def served(site: Site) -> AsyncIterator[str]:
    """The site on a real socket."""
    server = uvicorn.Server(uvicorn.Config(site.dashboard, port=0, lifespan="off", log_config=None))
    running = asyncio.create_task(server.serve())
    while not server.started:
        await asyncio.wait({running}, timeout=0.01)
    port = server.servers[0].sockets[0].getsockname()[1]
    try:
        yield f"http://127.0.0.1:{port}"
    finally:
        site.dashboard.feed.close()
        server.should_exit = True
        await running


async def test_the_stream_on_a_real_socket(site: Site) -> None:
    """It begins at once, resumes by Last-Event-ID, forgets who left, and ends when we stop."""
    await site.case()
    async with (
        served(site) as address,
        httpx2.AsyncClient(base_url=address, trust_env=False) as client,
    ):
        async with client.stream("GET", "/api/events", headers={"last-event-id": "1"}) as answer:
            assert answer.headers["content-type"].startswith("text/event-stream")
            lines = answer.aiter_lines()
            ids: list[str] = []
            while len(ids) < 2:
                line = await anext(lines)
                if line.startswith("id:"):
                    ids.append(line)
            assert ids == ["id: 2", "id: 3"]
            assert site.dashboard.feed.viewers == 1
        while site.dashboard.feed.viewers:
            await asyncio.wait({asyncio.create_task(site.clock.sleep(0))}, timeout=0.01)
        async with client.stream("GET", "/api/events") as answer:
            lines = answer.aiter_lines()
            await anext(lines)
            site.dashboard.feed.close()
            assert [line async for line in lines]
