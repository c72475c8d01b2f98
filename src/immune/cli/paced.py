"""Sends requests at their time, and waits where the server says it is full."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Protocol

import msgspec

from immune.cli.remote import Remote, SaidNo
from immune.clock import Clock

FULL = (429, 503)
TRIES = 20


class Request(Protocol):
    """One request of a recording."""

    @property
    def offset_s(self) -> float: ...

    @property
    def content_type(self) -> str: ...

    @property
    def path(self) -> str: ...

    @property
    def body(self) -> bytes: ...


class _Refusal(msgspec.Struct):
    field: str
    reason: str


class _Partial(msgspec.Struct, rename="camel"):
    rejected_spans: int = 0
    error_message: str = ""


class _Answer(msgspec.Struct, rename={"partial": "partialSuccess"}):
    accepted: int = 0
    refused: list[_Refusal] = []
    partial: _Partial = msgspec.field(default_factory=_Partial)


@dataclass(slots=True)
class Sent:
    """What became of a recording."""

    requests: int = 0
    accepted: int = 0
    refused: int = 0
    reason: str = ""
    """Why the first refused item was."""

    def said(self) -> str:
        """The outcome in words."""
        taken = f"{self.accepted:,} vitals accepted" if self.accepted else "spans taken"
        if not self.refused:
            return f"{taken}, none refused"
        return f"{taken}, {self.refused:,} refused ({self.reason})"

    def note(self, body: bytes) -> None:
        """Count one answer in."""
        answer = msgspec.json.decode(body, type=_Answer, strict=False)
        self.requests += 1
        self.accepted += answer.accepted
        self.refused += len(answer.refused) + answer.partial.rejected_spans
        if not self.reason and answer.refused:
            self.reason = f"{answer.refused[0].field} {answer.refused[0].reason}"
        self.reason = self.reason or answer.partial.error_message


def send_paced(
    remote: Remote, requests: Iterable[Request], clock: Clock, sent_one: Callable[[], None]
) -> Sent:
    """Send each request at its offset from now; raises NoServer, and SaidNo for a refusal."""
    return asyncio.run(_send(remote, requests, clock, sent_one))


async def _send(
    remote: Remote, requests: Iterable[Request], clock: Clock, sent_one: Callable[[], None]
) -> Sent:
    began = clock.monotonic()
    sent = Sent()
    for request in requests:
        await clock.sleep(began + request.offset_s - clock.monotonic())
        for left in reversed(range(TRIES)):
            try:
                sent.note(remote.send(request.path, request.body, request.content_type))
                break
            except SaidNo as no:
                if no.status not in FULL or not left:
                    raise
                await clock.sleep(no.retry_after_s)
        sent_one()
    return sent
