"""``POST /v1/metrics``: OTLP over HTTP, in protobuf or JSON.

Only for agents that send no spans: each request gives an agent at most one vital, which is durable
before the answer. A request that could not be stored changes nothing, and can be sent again.
"""

from __future__ import annotations

from collections.abc import Mapping

from immune.web.ingest import take_in
from immune.web.reception import Inlet, OtlpReception


class MetricsIngest:
    """Takes metrics in."""

    def __init__(self, inlet: Inlet) -> None:
        self._inlet = inlet
        self.reception = OtlpReception(inlet, self._take, "DataPoints")
        """The requests, as plain ASGI."""

    async def _take(self, raw: bytes, sent_as: str) -> Mapping[str, int]:
        measures, losses = self._inlet.intake.measures, self._inlet.losses
        decoded = self._inlet.intake.points(raw, content_type=sent_as)
        measured = measures.measure(decoded.points, self._inlet.clock.time())
        await take_in(self._inlet.collector, measured.vitals)
        measures.keep(measured)
        losses.rejected(decoded.rejected)
        losses.unread(decoded.unread)
        return decoded.rejected
