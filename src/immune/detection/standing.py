"""How far a baseline may be trusted: to suspect, and to fence.

From 15 own samples it may suspect. It may fence from 450, or from 15 with three peers of its type.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from immune.detection.params import LearningParams


@dataclass(frozen=True, slots=True)
class Standing:
    """What a baseline is good for."""

    ready: bool
    can_fence: bool
    why_not: str


def standing_of(seen: int, own: int, peers: Callable[[], int], params: LearningParams) -> Standing:
    """Judge a baseline of `seen` samples, `own` of them of the metrics that matter.

    `peers` counts the ready ones of its type; it is asked only where they decide.
    """
    if own < params.samples_ready:
        return Standing(
            seen >= params.samples_ready,
            False,
            f"the baseline rests on {own} own samples; it takes {params.samples_ready}",
        )
    if own >= params.samples_alone or (alike := peers()) >= params.peers_min:
        return Standing(True, True, "")
    return Standing(
        True,
        False,
        f"the baseline rests on {own} own samples and {alike} peers of its type; alone it "
        f"takes {params.samples_alone}, with {params.peers_min} peers {params.samples_ready}",
    )
