"""``GET /api/events`` as plain ASGI: a viewer that stopped reading is let go of."""

from __future__ import annotations

import asyncio
import contextlib
from typing import Annotated
from urllib.parse import parse_qs

import msgspec

from immune.errors import InvalidInput
from immune.web.asgi import Receive, Scope, Send, header
from immune.web.feed import EventFeed

SEND_S = 30.0
"""How long one piece may take to be taken off us before the viewer is cut off, seconds."""


class EventsQuery(msgspec.Struct, frozen=True):
    """Where to begin, and what to watch closely."""

    after: Annotated[str, msgspec.Meta(pattern=r"^[0-9]{0,18}$")] = ""
    """The last event that was read; ``Last-Event-ID`` outweighs it."""
    watch: Annotated[str, msgspec.Meta(pattern=r"^((agent|incident):.+)?$")] = ""
    """``agent:ID`` or ``incident:ID``."""


class EventStream:
    """The feed on HTTP."""

    def __init__(self, feed: EventFeed) -> None:
        self._feed = feed

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        query = parse_qs(scope["query_string"].decode("latin-1"), errors="replace")
        # a browser that comes back by itself says it in the header, one that begins anew can't
        after = last_event_id(query.get("after", [""])[-1], "after")
        place = last_event_id(header(scope, "last-event-id"))
        after = after if place is None else place
        subject = query.get("watch", [""])[-1]
        self._feed.check(subject)
        await send(
            {
                "type": "http.response.start",
                "status": 200,
                "headers": [
                    (b"content-type", b"text/event-stream; charset=utf-8"),
                    (b"x-accel-buffering", b"no"),
                ],
            }
        )
        gone = asyncio.create_task(_gone(receive))
        pump = asyncio.create_task(self._pump(send, after, subject))
        try:
            await asyncio.wait({gone, pump}, return_when=asyncio.FIRST_COMPLETED)
        finally:
            gone.cancel()
            pump.cancel()
            await asyncio.gather(gone, pump, return_exceptions=True)
        if not pump.cancelled() and (error := pump.exception()) is not None:
            raise error

    async def _pump(self, send: Send, after: int | None, subject: str) -> None:
        async with contextlib.aclosing(self._feed.stream(after, subject)) as chunks:
            async for chunk in chunks:
                async with asyncio.timeout(SEND_S):
                    await send({"type": "http.response.body", "body": chunk, "more_body": True})
        await send({"type": "http.response.body", "body": b""})


async def _gone(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass


def last_event_id(text: str, field: str = "Last-Event-ID") -> int | None:
    """The place a viewer has read up to, as it says in `field`; None where it says none."""
    if not text:
        return None
    if not (text.isascii() and text.isdigit() and len(text) < 19):
        raise InvalidInput(field, "is not an id of ours: it is a whole number")
    return int(text)
