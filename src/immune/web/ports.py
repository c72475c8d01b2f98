"""What the web part needs from others and may not import: each passed in by `assemble`."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from immune.columns import Names, VitalColumns
from immune.vitals import Refusal, Vital


class Decoded(Protocol):
    """What a body of vitals held."""

    @property
    def vitals(self) -> Sequence[Vital]: ...

    @property
    def refused(self) -> Sequence[Refusal]: ...

    @property
    def unknown_fields(self) -> Mapping[str, int]:
        """How often each field occurred that nobody knows."""


class VitalsDecoder(Protocol):
    """Reads the body of ``POST /api/vitals``: an object, a list of them, or one a line."""

    def __call__(self, body: bytes, *, received_at: float, content_type: str) -> Decoded:
        """Raises InvalidInput for the field ``body`` where it holds no JSON."""


class DecodedSpans(Protocol):
    """What a body of traces held."""

    @property
    def spans(self) -> Sequence[Any]:
        """Spans as the assembler takes them; nothing here looks into one."""

    @property
    def rejected(self) -> int: ...

    @property
    def reason(self) -> str:
        """Why spans were rejected, in words; empty where none were."""


class SpansDecoder(Protocol):
    """Reads the body of ``POST /v1/traces``, decompressed."""

    def __call__(self, body: bytes, *, content_type: str) -> DecodedSpans:
        """Raises InvalidInput where it is no OTLP."""


class Assembler(Protocol):
    """Joins spans, as they arrive, to steps; all times are epoch seconds."""

    @property
    def unmapped(self) -> Mapping[str, int]:
        """Spans that are part of no step so far, by reason; the same mapping, which grows."""

    def feed(self, spans: Iterable[Any], now: float) -> list[Vital]:
        """Take spans in; return the steps that are ready."""

    def flush(self, now: float) -> list[Vital]:
        """Return the steps that became ready meanwhile."""

    def drain(self, now: float) -> list[Vital]:
        """Return all that is held, waiting for nothing: the process stops."""


class Inflate(Protocol):
    """Decompresses gzip, in bounds."""

    def __call__(self, body: bytes, max_bytes: int, /) -> bytes:
        """Raises a refusal beyond `max_bytes`, and InvalidInput for what is no gzip."""


@dataclass(frozen=True, slots=True)
class Intake:
    """The decoders of what agents send."""

    vitals: VitalsDecoder
    spans: SpansDecoder
    assembler: Assembler
    inflate: Inflate


class Collector(Protocol):
    """Where accepted vitals go: the `TelemetryCollector`."""

    @property
    def names(self) -> Names: ...

    async def accept(self, columns: VitalColumns) -> None:
        """Make them durable; raises QueueFull and StoreDown."""


class Injected(Protocol):
    """One infection as it was given."""

    @property
    def strain(self) -> str: ...


class Injector(Protocol):
    """Infects an agent of the simulated fleet."""

    def __call__(self, agent_id: str, infection: str, strain: str | None = None) -> Injected:
        """Infect it now. Raises NotFound for the agent, InvalidInput for the other two."""


@dataclass(frozen=True, slots=True)
class Chaos:
    """What can befall the simulated fleet, and the way to make it."""

    inject: Injector
    infections: Mapping[str, Sequence[str]]
    """Each infection's name with the names of its strains."""
    score: Callable[[], object]
    """The scoreboard's report so far: for people's eyes, and for nothing that decides."""
