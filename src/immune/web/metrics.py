"""``POST /v1/metrics``: OTLP over HTTP, in protobuf or JSON.

Only for agents that send no spans: each request gives an agent at most one vital, which is durable
before the answer. A request that could not be stored changes nothing, and can be sent again.
"""

from __future__ import annotations

from collections.abc import Mapping

from immune.clock import Clock
from immune.settings import ServerSettings
from immune.web.asgi import Receive, Scope, Send
from immune.web.ingest import take_in
from immune.web.losses import Losses
from immune.web.ports import Collector, Intake
from immune.web.reception import OtlpReception


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
        self._reception = OtlpReception(intake, settings, self._take, "DataPoints")

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        await self._reception(scope, receive, send)

    async def _take(self, raw: bytes, sent_as: str) -> Mapping[str, int]:
        decoded = self._intake.points(raw, content_type=sent_as)
        measured = self._intake.measures.measure(decoded.points, self._clock.time())
        await take_in(self._collector, measured.vitals)
        self._intake.measures.keep(measured)
        self._losses.rejected(decoded.rejected)
        self._losses.unread(decoded.unread)
        return decoded.rejected
