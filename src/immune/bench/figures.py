"""What a benchmark reports: figures beside their thresholds, and a rival from the same run."""

from __future__ import annotations

import enum
import math

import msgspec


class Sense(enum.StrEnum):
    """Which side of the threshold is good."""

    AT_MOST = "at_most"
    AT_LEAST = "at_least"


class Figure(msgspec.Struct, frozen=True):
    """One measured number."""

    name: str
    value: float | None
    """None where nothing was measured: that never passes."""
    unit: str
    threshold: float
    sense: Sense
    rival: float | None = None
    """The same number of the rival named in `name` or in the benchmark's description."""
    note: str = ""
    """How sure it is and of how much it tells: an interval, an exposure."""

    @property
    def passed(self) -> bool:
        """Whether the value is on the good side of the threshold."""
        if self.value is None or math.isnan(self.value):
            return False
        if self.sense is Sense.AT_MOST:
            return self.value <= self.threshold
        return self.value >= self.threshold


def at_most(
    name: str,
    value: float | None,
    threshold: float,
    unit: str,
    rival: float | None = None,
    note: str = "",
) -> Figure:
    """A figure that is good when small."""
    return Figure(name, value, unit, threshold, Sense.AT_MOST, rival, note)


def at_least(
    name: str,
    value: float | None,
    threshold: float,
    unit: str,
    rival: float | None = None,
    note: str = "",
) -> Figure:
    """A figure that is good when large."""
    return Figure(name, value, unit, threshold, Sense.AT_LEAST, rival, note)


class Report(msgspec.Struct, frozen=True):
    """One benchmark's outcome."""

    bench: str
    quick: bool
    figures: list[Figure]

    @property
    def passed(self) -> bool:
        """Whether every figure passed; a report without figures does not."""
        return bool(self.figures) and all(figure.passed for figure in self.figures)

    def to_json(self) -> bytes:
        """The object that `immune bench NAME --json` prints."""
        return msgspec.json.encode(
            {
                "bench": self.bench,
                "quick": self.quick,
                "figures": [_row(figure) for figure in self.figures],
                "pass": self.passed,
            }
        )


def _row(figure: Figure) -> dict[str, str | float | None]:
    row = {**msgspec.structs.asdict(figure), "pass": figure.passed}
    return row if figure.note else {k: v for k, v in row.items() if k != "note"}
