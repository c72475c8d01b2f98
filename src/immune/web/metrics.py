"""``POST /v1/metrics``: OTLP over HTTP, in protobuf or JSON.

Only for agents that send no spans: each request gives an agent at most one vital, which is durable
before the answer. A request that could not be stored changes nothing, and can be sent again.
Requests that tell of the same running total are measured one after the other: what the second adds
to the first is known when that is stored, or was not.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Collection, Mapping
from contextlib import asynccontextmanager

from immune.web.ingest import take_in
from immune.web.reception import Inlet, OtlpReception


class MetricsIngest:
    """Takes metrics in."""

    def __init__(self, inlet: Inlet) -> None:
        self._inlet = inlet
        self._under_way: dict[bytes, asyncio.Event] = {}
        """By cumulative series, the end of the request that brings it."""
        self.reception = OtlpReception(inlet, self._take, "DataPoints")
        """The requests, as plain ASGI."""

    async def _take(self, raw: bytes, sent_as: str) -> Mapping[str, int]:
        measures, losses = self._inlet.intake.measures, self._inlet.losses
        decoded = self._inlet.intake.points(raw, content_type=sent_as)
        async with self._turn({point.series for point in decoded.points if point.cumulative}):
            measured = measures.measure(decoded.points, self._inlet.clock.time())
            await take_in(self._inlet.collector, measured.vitals)
            measures.keep(measured)
        losses.rejected(decoded.rejected)
        losses.unread(decoded.unread)
        return decoded.rejected

    @asynccontextmanager
    async def _turn(self, series: Collection[bytes]) -> AsyncIterator[None]:
        """Wait until no other request has any of these series, then have them."""
        while others := [self._under_way[key] for key in series if key in self._under_way]:
            await others[0].wait()
        ended = asyncio.Event()
        self._under_way |= dict.fromkeys(series, ended)
        try:
            yield
        finally:
            for key in series:
                del self._under_way[key]
            ended.set()
