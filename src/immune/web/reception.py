"""The frame of a request that brings what agents report: what is read before it is taken.

A request is refused by its content type before its body is read, and its body is never read beyond
the limit. Requests of OTLP are answered in OTLP's own words, also where they are refused.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Collection, Mapping
from typing import NamedTuple

from immune.clock import Clock
from immune.errors import ImmuneError
from immune.settings import ServerSettings
from immune.web import body, otlp_answer
from immune.web.asgi import Receive, Scope, Send, media_type, respond
from immune.web.guard import content_type
from immune.web.losses import Losses
from immune.web.ports import Collector, Intake
from immune.web.problem import extra_headers, problem_of
from immune.web.refusals import WrongMediaType


class Inlet(NamedTuple):
    """What every way in works with."""

    intake: Intake
    collector: Collector
    clock: Clock
    settings: ServerSettings
    losses: Losses


class Reception:
    """Reads the bodies of requests of some content types; `told` names them to who sent another."""

    def __init__(self, inlet: Inlet, types: Collection[str], told: str) -> None:
        self._inflate = inlet.intake.inflate
        self._limit = inlet.settings.body_max_bytes
        self._types = types
        self._told = told

    async def read(self, scope: Scope, receive: Receive) -> tuple[bytes, str]:
        """Return the body, decompressed, and its content type as it was sent.

        Raises WrongMediaType, TooLarge and InvalidInput.
        """
        sent_as = content_type(scope)
        if media_type(sent_as) not in self._types:
            raise WrongMediaType(
                f"the content type is {sent_as or 'missing'}; it must be {self._told}"
            )
        return await body.read_plain(scope, receive, self._limit, self._inflate), sent_as


Take = Callable[[bytes, str], Awaitable[Mapping[str, int]]]
"""Takes a body of that content type in; returns what of it was rejected, by reason."""


class OtlpReception:
    """Requests of one signal of OTLP, in protobuf or JSON, as plain ASGI."""

    def __init__(self, inlet: Inlet, take: Take, what: str) -> None:
        self._reception = Reception(
            inlet, otlp_answer.ANSWERS, "application/x-protobuf or application/json"
        )
        self._take = take
        self._what = what
        """What the answer calls the things that were rejected: ``Spans``."""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        encoding = otlp_answer.ANSWERS.get(media_type(content_type(scope)), otlp_answer.JSON_ANSWER)
        try:
            rejected = await self._take(*await self._reception.read(scope, receive))
        except ImmuneError as error:
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
            return
        answer = encoding.success(sum(rejected.values()), _in_words(rejected), self._what)
        await respond(send, 200, answer, encoding.media_type)


def _in_words(rejected: Mapping[str, int]) -> str:
    """``2: the span ends before it starts; 1: …``; empty where nothing was rejected."""
    return "; ".join(f"{count}: {reason}" for reason, count in rejected.items())
