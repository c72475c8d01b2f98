"""``POST /v1/metrics`` as plain ASGI: OTLP over HTTP, in protobuf or JSON.

Only for agents that send no spans: each request gives an agent at most one vital, which is durable
before the answer. A request that could not be stored changes nothing, and can be sent again.
"""

from __future__ import annotations

from collections.abc import Mapping

from immune.clock import Clock
from immune.errors import ImmuneError
from immune.settings import ServerSettings
from immune.web import body, otlp_answer
from immune.web.asgi import Receive, Scope, Send, media_type, respond
from immune.web.guard import content_type
from immune.web.ingest import take_in
from immune.web.losses import Losses
from immune.web.ports import Collector, Intake
from immune.web.refusals import WrongMediaType
from immune.web.traces import in_words, refuse


class MetricsIngest:
    """Takes metrics in."""

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
        answer = encoding.success(sum(rejected.values()), in_words(rejected), "DataPoints")
        await respond(send, 200, answer, encoding.media_type)

    async def _take(self, scope: Scope, receive: Receive, sent_as: str) -> Mapping[str, int]:
        raw = await body.read_plain(scope, receive, self._limit, self._intake.inflate)
        decoded = self._intake.points(raw, content_type=sent_as)
        measured = self._intake.measures.measure(decoded.points, self._clock.time())
        await take_in(self._collector, measured.vitals)
        self._intake.measures.keep(measured)
        self._losses.rejected(decoded.rejected)
        self._losses.unread(decoded.unread)
        return decoded.rejected
