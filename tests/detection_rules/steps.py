"""Short ways to write the steps of a story down."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from itertools import pairwise
from typing import Any

import numpy as np

from immune.columns import Names, VitalColumns, from_vitals
from immune.vitals import Kind, ToolCall, Vital

START = 1_700_000_040.0
"""Epoch seconds, on a whole minute."""


def call(tool: str, args: int = 1, result: int = 1, ok: bool = True) -> ToolCall:
    return ToolCall(tool, args, result, ok)


def step(at: float, *calls: ToolCall, agent: str = "a", **facts: Any) -> Vital:
    """One step `at` seconds after the start."""
    facts.setdefault("kind", Kind.RUN)
    return Vital(agent_id=agent, at=START + at, calls=calls or None, **facts)


def batch(names: Names, vitals: Iterable[Vital]) -> VitalColumns:
    """The steps in the order of time, as intake hands them on."""
    return from_vitals(sorted(vitals, key=lambda vital: vital.at), names)


def cut(vitals: Sequence[Vital], rng: np.random.Generator) -> list[list[Vital]]:
    """The same steps in batches of random lengths."""
    ends = np.flatnonzero(rng.random(len(vitals)) < 0.3).tolist()
    edges = [0, *[end + 1 for end in ends], len(vitals)]
    return [list(vitals[a:b]) for a, b in pairwise(edges) if b > a]
