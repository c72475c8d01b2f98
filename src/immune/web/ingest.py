"""``POST /api/vitals`` as plain ASGI: the hot path of intake.

It answers after the vitals are durable. What is refused is refused item by item, the rest is kept;
only where nothing could be taken is the answer a problem.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import msgspec

from immune.columns import from_vitals
from immune.vitals import Refusal, Vital
from immune.web.asgi import Receive, Scope, Send, respond
from immune.web.ports import Collector
from immune.web.problem import PROBLEM_JSON, Problem
from immune.web.reception import Inlet, Reception

VITALS_TYPES = frozenset(
    {
        "application/json",
        "application/x-ndjson",
        "application/ndjson",
        "application/jsonl",
        "application/x-jsonlines",
    }
)


class VitalsTaken(msgspec.Struct, frozen=True, omit_defaults=True):
    """How many vitals were taken, and which were not."""

    accepted: int
    refused: Sequence[Refusal] = msgspec.field(default_factory=list)
    unknown_fields: Mapping[str, int] = msgspec.field(default_factory=dict)
    """How often each field occurred that nobody knows; its values were not looked at."""


class VitalsIngest:
    """``POST /api/vitals``."""

    def __init__(self, inlet: Inlet) -> None:
        self._inlet = inlet
        self._reception = Reception(inlet, VITALS_TYPES, "application/json or application/x-ndjson")

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        answer = await self._take(scope, receive)
        if isinstance(answer, Problem):
            await respond(send, answer.status, msgspec.json.encode(answer), PROBLEM_JSON)
        else:
            await respond(send, 202, msgspec.json.encode(answer))

    async def _take(self, scope: Scope, receive: Receive) -> VitalsTaken | Problem:
        raw, sent_as = await self._reception.read(scope, receive)
        decoded = self._inlet.intake.vitals(
            raw,
            received_at=self._inlet.clock.time(),
            content_type=sent_as,
            names=self._inlet.collector.names,
        )
        self._inlet.losses.refused(decoded.refused)
        columns = decoded.columns
        if decoded.refused and columns is None:
            first = decoded.refused[0]
            return Problem(
                type="urn:immune:problem:invalid-input",
                title="Every vital was refused",
                status=422,
                detail=f"{len(decoded.refused)} refused; item {first.index}: "
                f"{first.field} {first.reason}",
                field=first.field,
                refused=list(decoded.refused),
            )
        if columns is not None:
            await self._inlet.collector.accept(columns)
        taken = 0 if columns is None else len(columns)
        return VitalsTaken(taken, decoded.refused, decoded.unknown_fields)


async def take_in(collector: Collector, vitals: Sequence[Vital]) -> None:
    """Hand vitals on as columns; returns when they are durable."""
    if vitals:
        await collector.accept(from_vitals(vitals, collector.names))
