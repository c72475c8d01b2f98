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
    def columns(self) -> VitalColumns | None:
        """What was taken; None where nothing was."""

    @property
    def refused(self) -> Sequence[Refusal]: ...

    @property
    def unknown_fields(self) -> Mapping[str, int]:
        """How often each field occurred that nobody knows."""


class VitalsDecoder(Protocol):
    """Reads the body of ``POST /api/vitals``: an object, a list of them, or one a line."""

    def __call__(
        self, body: bytes, *, received_at: float, content_type: str, names: Names
    ) -> Decoded:
        """Raises InvalidInput for the field ``body`` where it holds no JSON."""


class DecodedSpans(Protocol):
    """What a body of traces held."""

    @property
    def spans(self) -> Sequence[Any]:
        """Spans as the assembler takes them; nothing here looks into one."""

    @property
    def rejected(self) -> Mapping[str, int]:
        """How many spans could not be taken, by reason in words."""


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

    def shrink(self, now: float) -> list[Vital]:
        """Give half of the room that is taken free; return the steps that were cut short."""

    def entries(self) -> Iterable[Any]:
        """All that waits, for the journal."""

    def gone(self) -> Sequence[Any]:
        """What need not be kept any longer, for the journal; each once."""


class Journal(Protocol):
    """Keeps on disk the spans that wait. Its methods but `frame` block; one thread at a time."""

    @property
    def bloated(self) -> bool:
        """Whether it should be rewritten."""

    @property
    def full(self) -> bool:
        """Whether it is too large although it was just rewritten."""

    def taken(self, spans: Sequence[Any]) -> bytes:
        """Spans that were taken, as they are appended."""

    def frame(self, entries: Sequence[Any], /) -> bytes:
        """Entries of the assembler's, as they are appended."""

    def append(self, frames: Sequence[bytes], /) -> None:
        """Write durably; raises StoreDown, having written none of it."""

    def rewrite(self, frames: Sequence[bytes], /) -> None:
        """Replace all that is in it; raises StoreDown, having changed nothing."""


class Inflate(Protocol):
    """Decompresses gzip, in bounds."""

    def __call__(self, body: bytes, max_bytes: int, /) -> bytes:
        """Raises a refusal beyond `max_bytes`, and InvalidInput for what is no gzip."""


class DecodedPoints(Protocol):
    """What a body of metrics held."""

    @property
    def points(self) -> Sequence[Any]: ...

    @property
    def rejected(self) -> Mapping[str, int]:
        """How many points could not be taken, by reason in words."""

    @property
    def unread(self) -> Mapping[str, int]:
        """Points rightly left, by reason."""


class PointsDecoder(Protocol):
    """Reads the body of ``POST /v1/metrics``, decompressed."""

    def __call__(self, body: bytes, *, content_type: str) -> DecodedPoints:
        """Raises InvalidInput where it is no OTLP."""


class Measured(Protocol):
    """What the points of a request came to."""

    @property
    def vitals(self) -> Sequence[Vital]: ...


class Measures(Protocol):
    """Makes vitals of points, remembering the points before; all times are epoch seconds."""

    @property
    def unmapped(self) -> Mapping[str, int]:
        """Points that are part of no vital, by reason; the same mapping, which grows."""

    def measure(self, points: Sequence[Any], now: float) -> Measured:
        """Return what they come to; nothing is remembered yet."""

    def keep(self, measured: Any, /) -> None:
        """The vitals are durable: go on from these points."""


@dataclass(frozen=True, slots=True)
class Intake:
    """The decoders of what agents send."""

    vitals: VitalsDecoder
    spans: SpansDecoder
    assembler: Assembler
    journal: Journal
    points: PointsDecoder
    measures: Measures
    inflate: Inflate


class Collector(Protocol):
    """Where accepted vitals go: the `TelemetryCollector`."""

    @property
    def names(self) -> Names: ...

    @property
    def retired(self) -> Mapping[str, int]:
        """Agents that were forgotten, by why; the same mapping, which grows."""

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
