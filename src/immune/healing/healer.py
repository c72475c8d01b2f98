"""Composes a plan: the ladder for a diagnosis, and why a person must decide, if one must.

The `Healer` does nothing to an agent; the orchestrator orders the rungs through the agent's link,
and `trial` judges what came of them.
"""

from __future__ import annotations

from collections.abc import Iterable
from collections.abc import Set as AbstractSet
from typing import NamedTuple

from immune.diagnosis.causes import Diagnosis
from immune.healing import ladder
from immune.healing.actions import Action, Healing, Rung
from immune.healing.limits import HealingLimits
from immune.healing.params import HealingParams
from immune.incidents.incident import SEVERE
from immune.memory import ImmuneMemory


class Plan(NamedTuple):
    """What a `Diagnosed` event carries."""

    ladder: tuple[Rung, ...]
    asks: str
    """Why a person must decide, in words; empty where none must."""


class Healer:
    """Plans healing from memory and the limits on ourselves."""

    def __init__(
        self, params: HealingParams | None = None, memory: ImmuneMemory | None = None
    ) -> None:
        self.params = params or HealingParams()
        self.memory = memory or ImmuneMemory(self.params.memory)
        self.limits = HealingLimits(self.params.limits)

    def plan(
        self,
        *,
        agent_id: str,
        agent_type: str,
        diagnosis: Diagnosis,
        severity: float,
        capabilities: AbstractSet[Action],
        ask_mode: bool,
        now: float,
        earlier_incidents: Iterable[float] = (),
        fleet_heals: Iterable[float] = (),
    ) -> Plan:
        """Return the ladder and why a person must decide.

        `capabilities` is what the agent's link can do to it. `earlier_incidents` and `fleet_heals`
        are what `HealingLimits.reason` wants.
        """
        allowed = self.params.irreversible_types
        rungs = ladder.plan(
            diagnosis.cause,
            diagnosis.pattern,
            agent_id,
            capabilities,
            self.memory,
            now,
            allow_irreversible="*" in allowed or agent_type in allowed,
        )
        asks = [
            f"severity {severity:.1f}" if severity >= SEVERE else "",
            "mode ask" if ask_mode else "",
            self.limits.reason(earlier_incidents, fleet_heals, now),
        ]
        return Plan(rungs, ", ".join(reason for reason in asks if reason))

    def took(self, healing: Healing) -> bool:
        """Hand a finished attempt to memory; return whether it counted."""
        return self.memory.take(healing)
