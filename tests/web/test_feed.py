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

from immune.errors import InvalidInput, NotFound
from immune.web.feed import PAGE, EventFeed, encode
from immune.web.stream import last_event_id
from immune.web.watch import Watches
from tests.web.conftest import Site

Event = tuple[str, str, Any]


def parse(chunk: bytes) -> list[Event]:
    """The events of a chunk as (id, name, data)."""
    found = []
    for block in chunk.decode().split("\n\n"):
        fields = dict(line.split(": ", 1) for line in block.splitlines() if ": " in line)
        if "event" in fields:
            found.append((fields.get("id", ""), fields["event"], json.loads(fields["data"])))
    return found


async def follow(site: Site, chunks: AsyncIterator[bytes], name: str) -> Any:
    """Let the feed tell what is new; return the data of the event called `name`."""
    await site.dashboard.feed.tell()
    for _, found, data in parse(await anext(chunks)):
        if found == name:
            return data
    raise AssertionError(f"nothing was told of {name}")


async def begin(chunks: AsyncIterator[bytes]) -> None:
    """Read what every stream begins with."""
    assert (await anext(chunks)).startswith(b"retry:")
    assert parse(await anext(chunks))[0][1] == "status"


def test_an_event_is_one_line_of_data() -> None:
    """Whatever an agent is called, it cannot end the event."""
    chunk = encode("cases", {"name": "a\n\ndata: forged\r\n"}, 7)
    assert chunk.count(b"\n") == 4
    assert chunk.startswith(b"id: 7\nevent: cases\ndata: {")
    assert b"\r" not in chunk


async def test_the_steps_of_a_second_come_together_with_their_incident(site: Site) -> None:
    """First the status, then every committed step with its place in the log."""
    async with aclosing(site.dashboard.feed.stream(None)) as chunks:
        await begin(chunks)
        case = await site.case()
        moves = (await follow(site, chunks, "cases"))["moves"]
    assert [move["event"] for move in moves] == ["opened", "confirmed", "diagnosed"]
    places = [move["seq"] for move in moves]
    assert places == sorted(set(places))
    last = moves[-1]["case"]
    assert (last["id"], last["state"], last["version"]) == (case.id, "awaiting_approval", 3)
    assert last["plan"] == list(case.plan)
    assert site.dashboard.feed.viewers == 0


async def test_a_viewer_resumes_where_it_was(site: Site) -> None:
    """The log first, then live; a step committed in between comes once."""
    await site.case("a")
    seen = (await site.system.views.events(0))[0].seq
    async with aclosing(site.dashboard.feed.stream(seen)) as chunks:
        await begin(chunks)
        reading = asyncio.ensure_future(anext(chunks))
        await asyncio.wait({reading}, timeout=1)
        await site.case("b")  # not read yet: it waits to be told
        ((place, _, resumed),) = parse(await reading)
        told = [move["seq"] for move in resumed["moves"]]
        assert place == str(told[-1])
        told += [move["seq"] for move in (await follow(site, chunks, "cases"))["moves"]]
    assert told == [line.seq for line in await site.system.views.events(seen)]
    assert resumed["moves"][0]["case"]["state"] == "awaiting_approval"


async def test_what_was_read_from_the_log_is_not_told_again(site: Site) -> None:
    """A step that was committed before the log was read, and not told yet, comes once."""
    feed = site.dashboard.feed
    async with aclosing(feed.stream(None)) as other, aclosing(feed.stream(0)) as chunks:
        await begin(other)
        await site.case("a")
        await begin(chunks)
        ((_, _, resumed),) = parse(await anext(chunks))
        assert len(resumed["moves"]) == 3
        await feed.tell()
        assert "cases" in [name for _, name, _ in parse(await anext(other))]
        assert "cases" not in [name for _, name, _ in parse(await anext(chunks))]


async def test_whoever_was_away_for_too_long_takes_everything_anew(site: Site) -> None:
    """Beyond some hundred steps a page is read faster than a log."""
    case = await site.case("a")
    for _ in range(PAGE // 2 + 1):
        for order in ("reject", "heal-now"):
            path = f"/api/incidents/{case.id}/{order}"
            version = site.system.orchestrator.casework.get(case.id).version
            await site.client.post(path, json={"version": version})
        await site.case(f"other {_}")
    async with aclosing(site.dashboard.feed.stream(0)) as chunks:
        await begin(chunks)
        assert [name for _, name, _ in parse(await anext(chunks))] == ["reset"]


async def test_a_place_in_another_run_s_log_hides_nothing(site: Site) -> None:
    """After a new run began, an old place is beyond its log: live events still come."""
    async with aclosing(site.dashboard.feed.stream(10_000)) as chunks:
        await begin(chunks)
        waiting = asyncio.ensure_future(anext(chunks))
        await asyncio.wait({waiting}, timeout=0.05)
        await site.case()
        await site.dashboard.feed.tell()
        assert parse(await waiting)[0][2]["moves"][0]["event"] == "opened"


async def test_the_fleet_s_changes_are_told_once(site: Site) -> None:
    """A new agent, then its state; then nothing more of it."""
    async with aclosing(site.dashboard.feed.stream(None)) as chunks:
        await begin(chunks)
        await site.agent("a")
        first = await follow(site, chunks, "fleet")
        assert first["joined"] == [["a", "coder", "", ""]]
        await site.case("a")
        second = await follow(site, chunks, "fleet")
        ((place, _, severity, flags, case),) = second["rows"]
        assert (place, severity, flags & 1, case) == (0, 80, 1, "inc-1")
        assert "rows" not in await follow(site, chunks, "fleet")


async def test_who_is_too_slow_is_cut_off_alone(site: Site) -> None:
    """Its queue is bounded; the others go on."""
    views = site.system.views

    async def status() -> Any:
        return views.status()

    feed = EventFeed(views, views.roster, status, Watches(views), site.clock, room=4)
    slow, quick = feed.stream(None), feed.stream(None)
    for chunks in (slow, quick):
        await begin(chunks)
    for _ in range(6):
        await feed.tell()
        assert parse(await anext(quick))[0][1] == "fleet"
    assert [chunk async for chunk in slow] == []
    assert feed.viewers == 1
    await quick.aclose()


async def test_the_status_comes_again_and_again(site: Site) -> None:
    """Every few seconds: it tells a viewer that it is live."""
    chunks = site.dashboard.feed.stream(None)
    await begin(chunks)
    site.dashboard.run(site.system.orchestrator.supervisor)
    told = []
    for _ in range(9):
        for _ in range(5):
            await site.clock.sleep(0)
        site.clock.advance(1.0)
        told += parse(await anext(chunks))
    await site.system.orchestrator.supervisor.stop()
    await chunks.aclose()
    assert [name for _, name, _ in told].count("status") == 3


async def test_an_agent_is_watched_closely_by_whoever_asks(site: Site) -> None:
    """Its new steps and its evidence, each step once; the others hear nothing of it."""
    await site.agent("svc/a")
    feed = site.dashboard.feed
    async with (
        aclosing(feed.stream(None, "agent:svc/a")) as close,
        aclosing(feed.stream(None)) as far,
    ):
        await begin(close)
        await begin(far)
        told = []
        for _ in range(3):
            site.clock.advance(1.0)
            await site.agent("svc/a")
            await feed.tell()
            await anext(close)
            ((_, name, data),) = parse(await anext(close))
            assert name == "agent"
            told += [vital["at"] for vital in data["vitals"]]
            assert "agent" not in [name for _, name, _ in parse(await anext(far))]
    assert len(told) == len(set(told)) == 4


@pytest.mark.parametrize(
    ("subject", "refused"),
    [("agent:nobody", NotFound), ("weather:today", InvalidInput), ("incident:", InvalidInput)],
)
def test_what_there_is_not_cannot_be_watched(
    site: Site, subject: str, refused: type[Exception]
) -> None:
    """It is refused before the stream begins."""
    with pytest.raises(refused):
        site.dashboard.feed.check(subject)


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
            while not (line := await anext(lines)).startswith("id:"):
                pass
            assert line == "id: 3"
            assert site.dashboard.feed.viewers == 1
        while site.dashboard.feed.viewers:
            await asyncio.wait({asyncio.create_task(site.clock.sleep(0))}, timeout=0.01)
        async with client.stream("GET", "/api/events?after=2") as answer:
            lines = answer.aiter_lines()
            while not (line := await anext(lines)).startswith("data:") or '"moves"' not in line:
                pass
            assert [move["seq"] for move in json.loads(line[5:])["moves"]] == [3]
            site.dashboard.feed.close()
            assert [line async for line in lines]
        nobody = await client.get("/api/events?watch=agent:nobody")
        assert nobody.status_code == 404
