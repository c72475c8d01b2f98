"""What intake did not take, counted by reason since the start: what ``GET /api/intake`` answers.

Each sender is told its own refusals at once; here whoever runs the server sees them all.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping

import msgspec

from immune.vitals import Refusal

REASONS_MAX = 200
"""Reasons kept apart: a sender can make up field names without end."""
FURTHER = "further reasons"


class IntakeView(msgspec.Struct, frozen=True):
    """Counts by reason, since the server's start."""

    refused: Mapping[str, int]
    """Vitals of ``POST /api/vitals``, by field and reason."""
    rejected: Mapping[str, int]
    """Spans that could not be read, by the first reason of their request."""
    unmapped: Mapping[str, int]
    """Spans that are part of no vital, and vitals made of spans that were refused, by reason."""


class Losses:
    """Counts what is not taken."""

    def __init__(self, unmapped: Mapping[str, int]) -> None:
        """`unmapped` is the assembler's own count, which grows."""
        self._refused: Counter[str] = Counter()
        self._rejected: Counter[str] = Counter()
        self._unmapped = unmapped

    def refused(self, refusals: Iterable[Refusal]) -> None:
        """Vitals were refused."""
        for refusal in refusals:
            _count(self._refused, f"{refusal.field} {refusal.reason}", 1)

    def rejected(self, spans: int, reason: str) -> None:
        """Spans of one request were rejected."""
        if spans:
            _count(self._rejected, reason, spans)

    def view(self) -> IntakeView:
        """The counts as they are now."""
        return IntakeView(dict(self._refused), dict(self._rejected), dict(self._unmapped))


def _count(counts: Counter[str], reason: str, number: int) -> None:
    known = reason in counts or len(counts) < REASONS_MAX
    counts[reason if known else FURTHER] += number
