"""What a simulated run comes to: the JSON of ``immune simulate --json``, as records.

None where a figure does not apply. Times are seconds since the start of the run.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import msgspec
import numpy as np


class ActionTaken(msgspec.Struct, kw_only=True):
    """One attempt at healing."""

    action: str
    applied: bool
    verified: bool | None = None
    """None: never proved either way."""


class InjectionRow(msgspec.Struct, kw_only=True):
    """One injection and what was made of it."""

    agent_id: str
    infection: str
    strain: str
    at_s: float
    steps_to_suspect: int | None = None
    """The agent's own steps from the injection to the suspicion."""
    steps_to_contain: int | None = None
    severity: float | None = None
    diagnosis: str | None = None
    """The most likely cause when it was contained."""
    asked_human: bool = False
    actions: list[ActionTaken] = msgspec.field(default_factory=list)
    resolved_at_s: float | None = None


class Summary(msgspec.Struct, kw_only=True):
    """The run in figures."""

    agent_steps: int
    healthy_agent_steps: int
    injected: int
    contained: int
    median_steps_to_contain: float | None
    p90_steps_to_contain: float | None
    false_suspicions: int
    false_quarantines: int
    resolved: int
    resolved_while_sick: int
    asked_human: int
    actions_applied: int
    actions_relapsed: int
    verified_on_fresh_vitals: int
    mean_disruption_per_cure: float | None
    right_diagnosis: float | None
    availability: float | None
    cpu_s: float | None
    simulator_cpu_s: float | None


class Report(msgspec.Struct, kw_only=True):
    """All of it."""

    seed: int
    agents: int
    seconds: float
    warmup_s: float
    injections: list[InjectionRow]
    summary: Summary


class InfectionSummary(msgspec.Struct, kw_only=True):
    """One kind of infection in figures, for the bench."""

    injected: int
    suspected: int
    contained: int
    resolved: int
    median_steps_to_suspect: float | None
    median_steps_to_contain: float | None
    p90_steps_to_contain: float | None
    right_diagnosis: float | None


def quantile(values: Iterable[float | None], q: float) -> float | None:
    """The q-quantile of those that are not None; None where there are none."""
    known = [value for value in values if value is not None]
    return float(np.quantile(known, q)) if known else None


def share(verdicts: Sequence[bool]) -> float | None:
    """The share of True; None of nothing."""
    return sum(verdicts) / len(verdicts) if verdicts else None
