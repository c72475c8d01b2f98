"""The causes an incident can have, and what a diagnosis says of them."""

from __future__ import annotations

import enum

import msgspec


class Cause(enum.StrEnum):
    """Why an agent is sick."""

    PROMPT_DRIFT = "prompt_drift"
    PROMPT_INJECTION = "prompt_injection"
    INFINITE_LOOP = "infinite_loop"
    TOOL_INSTABILITY = "tool_instability"
    MEMORY_CORRUPTION = "memory_corruption"
    COST_OVERRUN = "cost_overrun"
    UNRESPONSIVE = "unresponsive"
    EXTERNAL_CAUSE = "external_cause"
    UNKNOWN = "unknown"


class RankedCause(msgspec.Struct, frozen=True):
    """One cause and how sure we are of it, 0..1; a diagnosis' confidences sum to 1."""

    cause: Cause
    confidence: float


class Diagnosis(msgspec.Struct, frozen=True):
    """Ranked causes, most likely first, and the evidence in plain words."""

    ranked: tuple[RankedCause, ...]
    reasons: tuple[str, ...]
    pattern: str
    """Which metrics left normal, e.g. ``latency_ms+retries``: what memory groups outcomes by."""

    @property
    def cause(self) -> Cause:
        """The most likely cause."""
        return self.ranked[0].cause
