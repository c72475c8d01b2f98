"""What intake did not take, counted by reason since the start: what ``GET /api/intake`` answers.

Each sender is told its own refusals at once; here whoever runs the server sees them all.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence

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
    """Spans that could not be taken, by reason."""
    unmapped: Mapping[str, int]
    """Spans that are part of no vital, and vitals made of spans that were refused, by reason."""
    retired: Mapping[str, int]
    """Agents that were forgotten: deleted, silent for too long, or one too many."""


class Losses:
    """Counts what is not taken."""

    def __init__(self, unmapped: Sequence[Mapping[str, int]], retired: Mapping[str, int]) -> None:
        """`unmapped` are others' own counts, which grow, and so is `retired`."""
        self._refused: Counter[str] = Counter()
        self._rejected: Counter[str] = Counter()
        self._unread: Counter[str] = Counter()
        self._unmapped = (*unmapped, self._unread)
        self._retired = retired

    def refused(self, refusals: Iterable[Refusal]) -> None:
        """Vitals were refused."""
        for refusal in refusals:
            _count(self._refused, f"{refusal.field} {refusal.reason}", 1)

    def rejected(self, spans: Mapping[str, int]) -> None:
        """Spans of one request were rejected, by reason."""
        for reason, number in spans.items():
            _count(self._rejected, reason, number)

    def unread(self, points: Mapping[str, int]) -> None:
        """Data points of one request were rightly left, by reason."""
        self._unread.update(points)

    def view(self) -> IntakeView:
        """The counts as they are now."""
        return IntakeView(
            dict(self._refused),
            dict(self._rejected),
            {k: n for counts in self._unmapped for k, n in counts.items()},
            dict(self._retired),
        )


def _count(counts: Counter[str], reason: str, number: int) -> None:
    known = reason in counts or len(counts) < REASONS_MAX
    counts[reason if known else FURTHER] += number
