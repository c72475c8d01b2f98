"""``POST /v1/traces`` as plain ASGI: OTLP over HTTP, in protobuf or JSON.

Answered when the spans are on disk. They wait in the spool until their step is complete, so a step
may go out with a later request or with none at all: `tick` flushes what became ready. Vitals that
the collector could not take are kept and go first the next time; until they went, no more spans are
taken in.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from immune.clock import Clock
from immune.errors import ImmuneError
from immune.settings import ServerSettings
from immune.vitals import Vital
from immune.web import body, otlp_answer
from immune.web.asgi import Receive, Scope, Send, media_type, respond
from immune.web.guard import content_type
from immune.web.ingest import take_in
from immune.web.losses import Losses
from immune.web.otlp_answer import Answer
from immune.web.ports import Collector, Intake
from immune.web.problem import extra_headers, problem_of
from immune.web.refusals import WrongMediaType
from immune.web.spool import SpanSpool

FLUSH_S = 0.5
"""Seconds between two looks at what became ready."""


class TracesIngest:
    """Takes traces in."""

    def __init__(
        self,
        intake: Intake,
        collector: Collector,
        clock: Clock,
        settings: ServerSettings,
        losses: Losses,
    ) -> None:
        self._losses = losses
        self._intake = intake
        self._collector = collector
        self._clock = clock
        self._limit = settings.body_max_bytes
        self._spool = SpanSpool(intake.assembler, intake.journal, clock)
        self._ready: list[Vital] = []
        self._leaving: list[Any] = []

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        sent_as = content_type(scope)
        encoding = otlp_answer.encoding_of(media_type(sent_as))
        try:
            if encoding is None:
                raise WrongMediaType(
                    f"the content type is {sent_as or 'missing'}; "
                    "it must be application/x-protobuf or application/json"
                )
            rejected = await self._take(scope, receive, sent_as)
        except ImmuneError as error:
            await refuse(send, error, encoding or otlp_answer.JSON_ANSWER)
            return
        answer = encoding.success(sum(rejected.values()), in_words(rejected))
        await respond(send, 200, answer, encoding.media_type)

    async def _take(self, scope: Scope, receive: Receive, sent_as: str) -> Mapping[str, int]:
        raw = await body.read_plain(scope, receive, self._limit, self._intake.inflate)
        await self._hand_on()
        decoded = self._intake.spans(raw, content_type=sent_as)
        await self._spool.take(decoded.spans)
        self._losses.rejected(decoded.rejected)
        await self._hand_on()
        return decoded.rejected

    async def _hand_on(self) -> None:
        # taken out first: while one request waits for the store, another must not send them too
        vitals, self._ready = self._ready + self._spool.ready(), []
        gone: Sequence[Any] = [*self._leaving, *self._spool.leaving()]
        self._leaving = []
        try:
            await take_in(self._collector, vitals)
        except BaseException:
            self._ready = vitals + self._ready
            self._leaving = [*gone, *self._leaving]
            raise
        self._spool.left(gone)

    async def tick(self) -> None:
        """One round of the task that flushes what became ready without a further request."""
        await self._clock.sleep(FLUSH_S)
        await self._hand_on()
        self._spool.tidy()

    async def close(self) -> None:
        """Hand on what is ready: the process stops. What still waits stays in the journal."""
        try:
            await self._hand_on()
        finally:
            await self._spool.close()


def in_words(rejected: Mapping[str, int]) -> str:
    """``2: the span ends before it starts; 1: …``; empty where nothing was rejected."""
    return "; ".join(f"{count}: {reason}" for reason, count in rejected.items())


async def refuse(send: Send, error: ImmuneError, encoding: Answer) -> None:
    """Answer that nothing of the request was taken, and why."""
    problem = problem_of(error)
    # OTLP knows 400 for what will never be taken; exporters do not read 422 as that
    status = 400 if problem.status == 422 else problem.status
    await respond(
        send,
        status,
        encoding.status(problem.detail),
        encoding.media_type,
        extra_headers(problem, error),
    )
