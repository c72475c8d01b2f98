"""How a benchmark is to run."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path


def _silent(part: str) -> None:
    pass


@dataclass(frozen=True, slots=True)
class Options:
    """What the caller of a benchmark chose."""

    quick: bool = False
    seeds: Sequence[int] | None = None
    """None leaves the choice to the benchmark."""
    data: Path | None = None
    """The folder of recorded data, where one was given."""
    only: str = ""
    """Run only the parts whose name begins so."""
    agent_hours: float | None = None
    """Exposure of each healthy workload, where it is not the bench's own."""
    progress: Callable[[str], None] = _silent
    """Told each part's name as it begins."""

    def wants(self, part: str) -> bool:
        """Whether a part is to be run."""
        return part.startswith(self.only)
