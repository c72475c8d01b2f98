"""``POST /v1/traces`` as plain ASGI: OTLP over HTTP, in protobuf or JSON.

Spans wait in the assembler until their step is complete, so a step may go out with a later request
or with none at all: `tick` flushes what became ready. Vitals that the collector could not take are
kept and go first the next time; until they went, no more spans are taken in.
"""

from __future__ import annotations

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
from immune.web.ports import Collector, DecodedSpans, Intake
from immune.web.problem import extra_headers, problem_of
from immune.web.refusals import WrongMediaType

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
        self._ready: list[Vital] = []

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        sent_as = content_type(scope)
        encoding = otlp_answer.encoding_of(media_type(sent_as))
        try:
            if encoding is None:
                raise WrongMediaType(
                    f"the content type is {sent_as or 'missing'}; "
                    "it must be application/x-protobuf or application/json"
                )
            decoded = await self._take(scope, receive, sent_as)
        except ImmuneError as error:
            await _refuse(send, error, encoding or otlp_answer.JSON_ANSWER)
            return
        await respond(
            send, 200, encoding.success(decoded.rejected, decoded.reason), encoding.media_type
        )

    async def _take(self, scope: Scope, receive: Receive, sent_as: str) -> DecodedSpans:
        raw = await body.read_plain(scope, receive, self._limit, self._intake.inflate)
        await self._hand_on()
        decoded = self._intake.spans(raw, content_type=sent_as)
        self._losses.rejected(decoded.rejected, decoded.reason)
        self._ready += self._intake.assembler.feed(decoded.spans, self._clock.time())
        await self._hand_on()
        return decoded

    async def _hand_on(self) -> None:
        # taken out first: while one request waits for the store, another must not send them too
        vitals, self._ready = self._ready, []
        try:
            await take_in(self._collector, vitals)
        except ImmuneError:
            self._ready = vitals + self._ready
            raise

    async def tick(self) -> None:
        """One round of the task that flushes what became ready without a further request."""
        await self._clock.sleep(FLUSH_S)
        if not self._ready:
            self._ready += self._intake.assembler.flush(self._clock.time())
        await self._hand_on()

    async def close(self) -> None:
        """Hand on all that is held: the process stops."""
        self._ready += self._intake.assembler.drain(self._clock.time())
        await self._hand_on()


async def _refuse(send: Send, error: ImmuneError, encoding: Answer) -> None:
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
