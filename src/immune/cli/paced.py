"""Sends requests at their time, and waits where the server says it is full."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Protocol

import msgspec

from immune.cli.remote import Remote, SaidNo, read
from immune.cli.shapes import Refusal
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


class _Partial(msgspec.Struct, rename="camel"):
    rejected_spans: int = 0
    error_message: str = ""


class _Answer(msgspec.Struct, rename={"partial": "partialSuccess"}):
    accepted: int = 0
    refused: list[Refusal] = []
    partial: _Partial = msgspec.field(default_factory=_Partial)


@dataclass(slots=True)
class Sent:
    """What became of a recording."""

    requests: int = 0
    accepted: int = 0
    """Vitals; of spans a server doesn't say at once what they come to."""
    refused: Counter[str] = field(default_factory=Counter)
    """Refused vitals or spans, by reason."""

    def why(self) -> str:
        """The refusals by reason, the most frequent first."""
        return "; ".join(f"{count:,} {reason}" for reason, count in self.refused.most_common())

    def note(self, body: bytes) -> None:
        """Count one answer in; raises Refused for one that is none of ours."""
        answer = read(body, _Answer, strict=False)
        self.accepted += answer.accepted
        self.note_refused(answer.refused)
        if answer.partial.rejected_spans:
            self.refused[answer.partial.error_message] += answer.partial.rejected_spans

    def note_refused(self, refused: Iterable[Refusal]) -> None:
        """Count refused items in."""
        self.refused.update(f"{one.field} {one.reason}" for one in refused)


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
                if no.problem.refused:  # each of its items was: the next request may do better
                    sent.note_refused(no.problem.refused)
                    break
                if no.status not in FULL or not left:
                    raise
                await clock.sleep(no.retry_after_s)
        sent.requests += 1
        sent_one()
    return sent
