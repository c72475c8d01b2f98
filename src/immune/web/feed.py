"""The live feed, as server-sent events: made once a second, encoded once, sent to everybody.

A second's chunk holds the committed steps of incidents (event ``cases``), what changed of the fleet
(``fleet``) and, now and then, the status. The id of ``cases`` is its place in the run's log, so a
viewer that lost the connection says where it was and reads on from the store before it follows
live. A viewer may watch one agent or one incident more closely. Each has a queue of its own; one
that is too slow is cut off and resumes, so that it can hold up nobody.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncGenerator
from dataclasses import dataclass, field
from typing import Protocol

import msgspec

from immune.clock import Clock
from immune.incidents.incident import Incident
from immune.ports import IncidentEvent
from immune.web.board import Board, Source
from immune.web.case import CaseMoved, moved
from immune.web.trail import Trail

TICK_S = 1.0
"""Seconds between two chunks: fresh enough for a person, rare enough to batch."""

STATUS_TICKS = 3
"""Ticks between two statuses: what tells a viewer that it is live."""

BYTES_A_SECOND = 4_500
"""What a viewer of a large fleet is sent on average at the most, beside what it watches closely."""

BURST_BYTES = 60_000
"""What may be sent at once after a quiet time: a wave is told as it comes."""

CASE_BYTES = 600
"""About what a step of an incident takes as JSON."""

ROOM = 512
"""Chunks that wait for one viewer at the most."""

PAGE = 500
"""Lines of the log that a viewer may resume over; farther behind it takes everything anew."""


class Reset(msgspec.Struct, frozen=True):
    """The data of a ``reset`` event: too much happened to tell it, read everything anew."""


class CasesMoved(msgspec.Struct, frozen=True):
    """The data of a ``cases`` event."""

    moves: list[CaseMoved]


class FeedSource(Protocol):
    """What the feed reads beside the fleet: a part of `Views`."""

    async def events(self, after_seq: int, limit: int = ...) -> list[IncidentEvent]: ...

    async def incidents(self, *, limit: int = ...) -> list[Incident]: ...


class StatusSource(Protocol):
    """What the ``status`` event holds, computed once for all."""

    async def __call__(self) -> msgspec.Struct: ...


class Watch(Protocol):
    """What a viewer watches closely."""

    async def news(self) -> tuple[str, msgspec.Struct] | None:
        """The event's name and data; None where nothing is new."""


class WatchSource(Protocol):
    """Makes watches; raises NotFound."""

    def __call__(self, subject: str) -> Watch: ...


def encode(event: str, data: object, seq: int | None = None) -> bytes:
    """One server-sent event; JSON holds no raw line break, so one data line is enough."""
    place = b"" if seq is None else b"id: %d\n" % seq
    return place + b"event: %s\ndata: %s\n\n" % (event.encode(), msgspec.json.encode(data))


RECONNECT = b"retry: 1000\n\n"
"""Milliseconds after which a browser that lost the stream comes back."""


@dataclass(frozen=True, slots=True)
class Chunk:
    """What all are sent; `moves` is in `cases`, the rest in `body`."""

    body: bytes = b""
    moves: tuple[CaseMoved, ...] = ()
    cases: bytes = b""

    def after(self, seq: int) -> bytes:
        """The chunk for a viewer that has read up to `seq` of the log."""
        if not self.moves or self.moves[0].seq > seq:
            return self.cases + self.body
        return _cases([move for move in self.moves if move.seq > seq]) + self.body


def _cases(moves: list[CaseMoved]) -> bytes:
    return encode("cases", CasesMoved(moves), moves[-1].seq) if moves else b""


@dataclass(eq=False, slots=True)
class _Viewer:
    queue: asyncio.Queue[Chunk]
    subject: str
    cut: bool = False

    def offer(self, chunk: Chunk) -> None:
        try:
            self.queue.put_nowait(chunk)
        except asyncio.QueueFull:
            self.cut = True


@dataclass(slots=True)
class _Watched:
    """A subject that somebody watches, and by how many."""

    watch: Watch
    viewers: set[_Viewer] = field(default_factory=set)


class EventFeed:
    """Sends everyone who watches what is new."""

    def __init__(
        self,
        source: FeedSource,
        fleet: Source,
        status: StatusSource,
        watching: WatchSource,
        clock: Clock,
        *,
        room: int = ROOM,
    ) -> None:
        self._source = source
        self._fleet = fleet
        self._status = status
        self._watching = watching
        self._clock = clock
        self._room = room
        self.board = Board(fleet)
        self.trail = Trail()
        self._viewers: set[_Viewer] = set()
        self._watched: dict[str, _Watched] = {}
        self._moves: deque[CaseMoved] = deque()
        self._allowance = BURST_BYTES
        self._ticks = 0

    @property
    def viewers(self) -> int:
        """How many watch."""
        return len(self._viewers)

    def committed(self, line: IncidentEvent, incident: Incident) -> None:
        """A step was committed: the listener that `Casework` calls."""
        if self._viewers:
            self._moves.append(moved(line, incident))

    # --- one viewer --------------------------------------------------------------------------

    def check(self, subject: str) -> None:
        """Raise NotFound where there is no such thing to watch."""
        if subject:
            self._watching(subject)

    async def stream(self, after: int | None, subject: str = "") -> AsyncGenerator[bytes]:
        """Yield the stream for one viewer, until it is too slow or the feed is closed.

        `after` is the place that the viewer has read up to; None to follow from now on. `subject`
        is what it watches closely: ``agent:ID`` or ``incident:ID``. Raises NotFound.
        """
        viewer = _Viewer(asyncio.Queue(self._room), subject)
        self._enter(viewer)
        try:
            yield RECONNECT
            yield encode("status", await self._status())
            read_to = 0
            if after is not None:
                lines = await self._source.events(after, limit=PAGE + 1)
                if len(lines) > PAGE:
                    yield encode("reset", Reset())
                elif lines:
                    read_to = lines[-1].seq
                    yield await self._log(lines)
            while not self._is_cut(viewer):
                chunk = await viewer.queue.get()
                # what was committed while the log was read stands in both
                data = b"" if self._is_cut(viewer) else chunk.after(read_to)
                if data:
                    yield data
        finally:
            self._leave(viewer)

    @staticmethod
    def _is_cut(viewer: _Viewer) -> bool:
        return viewer.cut

    async def _log(self, lines: list[IncidentEvent]) -> bytes:
        now = {i.id: i for i in await self._source.incidents(limit=2 * PAGE)}
        return _cases([moved(line, now.get(line.incident_id)) for line in lines])

    def _enter(self, viewer: _Viewer) -> None:
        if viewer.subject:
            watched = self._watched.get(viewer.subject)
            if watched is None:
                watched = _Watched(self._watching(viewer.subject))
                self._watched[viewer.subject] = watched
            watched.viewers.add(viewer)
        self._viewers.add(viewer)

    def _leave(self, viewer: _Viewer) -> None:
        self._viewers.discard(viewer)
        watched = self._watched.get(viewer.subject)
        if watched is not None:
            watched.viewers.discard(viewer)
            if not watched.viewers:
                del self._watched[viewer.subject]

    # --- all of them -------------------------------------------------------------------------

    async def tick(self) -> None:
        """One round of the task that tells what is new."""
        await self._clock.sleep(TICK_S)
        await self.tell()

    async def tell(self) -> None:
        """Look at the fleet, and tell every viewer what is new."""
        self._ticks += 1
        self._allowance = min(self._allowance + round(BYTES_A_SECOND * TICK_S), BURST_BYTES)
        columns = self._fleet.columns()
        self.trail.add(self._clock.time(), columns.code, columns.evidence)
        if not self._viewers:
            self._moves.clear()
            self.board.advance(columns, BURST_BYTES)
            return
        moves = [
            self._moves.popleft()
            for _ in range(min(len(self._moves), max(self._allowance // CASE_BYTES, 1)))
        ]
        cases = _cases(moves)
        self._allowance -= len(cases)
        body = encode("fleet", self.board.advance(columns, self._allowance))
        if self._ticks % STATUS_TICKS == 0:
            body += encode("status", await self._status())
        self._allowance -= len(body)
        self._to_all(Chunk(body, tuple(moves), cases))
        for watched in list(self._watched.values()):
            news = await watched.watch.news()
            if news is not None:
                chunk = Chunk(encode(*news))
                for viewer in watched.viewers:
                    viewer.offer(chunk)

    def close(self) -> None:
        """End every stream, so that the server can stop."""
        for viewer in self._viewers:
            viewer.cut = True
        self._to_all(Chunk())

    def _to_all(self, chunk: Chunk) -> None:
        for viewer in self._viewers:
            viewer.offer(chunk)
