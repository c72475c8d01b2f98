"""The live feed: each committed step of an incident, as server-sent events.

An event's id is its place in the run's log, so a viewer that lost the connection says where it was
and reads on from the store before it follows live. Every viewer has a queue of its own; one that
is too slow is cut off and resumes, so that it can hold up nobody. Now and then everyone is sent
the status, computed once for all.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator
from typing import Protocol

import msgspec

from immune.clock import Clock
from immune.incidents.incident import Incident
from immune.ports import IncidentEvent

STATUS_S = 3.0
"""Seconds between two statuses: fresh enough to trust, rare enough to cost nothing."""

HEARTBEAT_S = 15.0
"""Seconds between two comments that keep proxies from closing a quiet stream."""

ROOM = 512
"""Events that wait for one viewer at the most."""

PAGE = 500
"""Lines of the log read at once when a viewer resumes."""


class IncidentSummary(msgspec.Struct, frozen=True):
    """What a list shows of an incident."""

    id: str
    kind: str
    """``agent``, or what a fleet incident is about."""
    name: str
    state: str
    version: int
    severity: float
    cause: str | None
    asks: str
    fenced: bool
    is_open: bool
    verdict: str


class FeedEvent(msgspec.Struct, frozen=True):
    """The data of an ``incident`` event."""

    line: IncidentEvent
    incident: IncidentSummary | None
    """The incident after the event when live, as it is now when resumed; None if too old."""


class FeedSource(Protocol):
    """What the feed reads: a part of `Views`."""

    def status(self) -> msgspec.Struct: ...

    async def events(self, after_seq: int, limit: int = ...) -> list[IncidentEvent]: ...

    async def incidents(self, *, limit: int = ...) -> list[Incident]: ...


def summary(incident: Incident) -> IncidentSummary:
    """The summary of an incident."""
    return IncidentSummary(
        id=incident.id,
        kind=incident.subject.kind,
        name=incident.subject.name,
        state=str(incident.state),
        version=incident.version,
        severity=incident.severity,
        cause=str(incident.diagnosis.cause) if incident.diagnosis else None,
        asks=incident.asks,
        fenced=incident.fenced,
        is_open=incident.is_open,
        verdict=incident.verdict,
    )


def encode(event: str, data: object, seq: int | None = None) -> bytes:
    """One server-sent event; JSON holds no raw line break, so one data line is enough."""
    place = b"" if seq is None else b"id: %d\n" % seq
    return place + b"event: %s\ndata: %s\n\n" % (event.encode(), msgspec.json.encode(data))


HEARTBEAT = b": still here\n\n"
RECONNECT = b"retry: 1000\n\n"
"""Milliseconds after which a browser that lost the stream comes back."""


class _Viewer:
    def __init__(self, room: int) -> None:
        self.queue: asyncio.Queue[tuple[int, bytes]] = asyncio.Queue(room)
        self.cut = False

    def keeps_up(self) -> bool:
        return not self.cut

    def offer(self, seq: int, chunk: bytes) -> None:
        """Queue a chunk; `seq` is 0 for what is not of the log."""
        try:
            self.queue.put_nowait((seq, chunk))
        except asyncio.QueueFull:
            if seq:
                self.cut = True


class EventFeed:
    """Sends every committed step to everyone who watches."""

    def __init__(self, source: FeedSource, clock: Clock, *, room: int = ROOM) -> None:
        self._source = source
        self._clock = clock
        self._room = room
        self._viewers: set[_Viewer] = set()
        self._heartbeat_at = 0.0

    @property
    def viewers(self) -> int:
        """How many watch."""
        return len(self._viewers)

    def committed(self, line: IncidentEvent, incident: Incident) -> None:
        """A step was committed: the listener that `Casework` calls."""
        if self._viewers:
            chunk = encode("incident", FeedEvent(line, summary(incident)), line.seq)
            for viewer in self._viewers:
                viewer.offer(line.seq, chunk)

    async def stream(self, after: int | None) -> AsyncGenerator[bytes]:
        """Yield the stream for one viewer, until it is too slow or the feed is closed.

        `after` is the place that the viewer has read up to; None to follow from now on.
        """
        viewer = _Viewer(self._room)
        self._viewers.add(viewer)
        try:
            yield RECONNECT
            yield encode("status", self._source.status())
            read_to = 0
            if after is not None:
                async for seq, chunk in self._log(after):
                    read_to = seq
                    yield chunk
            while viewer.keeps_up():
                seq, chunk = await viewer.queue.get()
                # what was committed while the log was read stands in both
                if viewer.keeps_up() and (not seq or seq > read_to):
                    yield chunk
        finally:
            self._viewers.discard(viewer)

    async def _log(self, after: int) -> AsyncIterator[tuple[int, bytes]]:
        now: dict[str, Incident] | None = None
        while lines := await self._source.events(after, limit=PAGE):
            if now is None:
                now = {i.id: i for i in await self._source.incidents(limit=2 * PAGE)}
            for line in lines:
                incident = now.get(line.incident_id)
                data = FeedEvent(line, summary(incident) if incident else None)
                yield line.seq, encode("incident", data, line.seq)
            after = lines[-1].seq

    async def tick(self) -> None:
        """One round of the task that sends the status and keeps quiet streams open."""
        await self._clock.sleep(STATUS_S)
        if not self._viewers:
            return
        now = self._clock.monotonic()
        if now >= self._heartbeat_at:
            self._heartbeat_at = now + HEARTBEAT_S
            self._to_all(HEARTBEAT)
        self._to_all(encode("status", self._source.status()))

    def close(self) -> None:
        """End every stream, so that the server can stop."""
        for viewer in self._viewers:
            viewer.cut = True
        self._to_all(b"")

    def _to_all(self, chunk: bytes) -> None:
        for viewer in self._viewers:
            viewer.offer(0, chunk)
