"""``POST /v1/traces``: OTLP over HTTP, in protobuf or JSON.

Answered when the spans are on disk. They wait in the spool until their step is complete, so a step
goes out with a later request or with none at all: `tick` flushes what became ready. Vitals that the
collector could not take are kept and go first the next time; until they went, no more spans are
taken in.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from immune.vitals import Vital
from immune.web.ingest import take_in
from immune.web.reception import Inlet, OtlpReception
from immune.web.spool import SpanSpool

FLUSH_S = 0.5
"""Seconds between two looks at what became ready."""


class TracesIngest:
    """Takes traces in."""

    def __init__(self, inlet: Inlet) -> None:
        self._inlet = inlet
        self._spool = SpanSpool(inlet.intake.assembler, inlet.intake.journal, inlet.clock)
        self._ready: list[Vital] = []
        self._leaving: list[Any] = []
        self.reception = OtlpReception(inlet, self._take, "Spans")
        """The requests, as plain ASGI."""

    async def _take(self, raw: bytes, sent_as: str) -> Mapping[str, int]:
        await self._hand_on()
        decoded = self._inlet.intake.spans(raw, content_type=sent_as)
        await self._spool.take(decoded.spans)
        self._inlet.losses.rejected(decoded.rejected)
        return decoded.rejected

    async def _hand_on(self) -> None:
        # taken out first: while one request waits for the store, another must not send them too
        vitals, self._ready = self._ready + self._spool.ready(), []
        gone: Sequence[Any] = [*self._leaving, *self._spool.leaving()]
        self._leaving = []
        try:
            await take_in(self._inlet.collector, vitals)
        except BaseException:
            self._ready = vitals + self._ready
            self._leaving = [*gone, *self._leaving]
            raise
        self._spool.left(gone)

    async def tick(self) -> None:
        """One round of the task that flushes what became ready without a further request."""
        await self._inlet.clock.sleep(FLUSH_S)
        await self._hand_on()
        self._spool.tidy()

    async def close(self) -> None:
        """Hand on what is ready: the process stops. What still waits stays in the journal."""
        try:
            await self._hand_on()
        finally:
            await self._spool.close()
