"""When the system has healed enough by itself: what keeps coming back, and waves, call a person."""

from __future__ import annotations

from collections.abc import Iterable

from immune.healing.params import LimitParams

_ORDINALS = {1: "first", 2: "second", 3: "third", 4: "fourth", 5: "fifth", 6: "sixth"}


class HealingLimits:
    """Times in, a reason to ask out."""

    def __init__(self, params: LimitParams | None = None) -> None:
        self._params = params or LimitParams()

    def reason(
        self, earlier_incidents: Iterable[float], fleet_heals: Iterable[float], now: float
    ) -> str:
        """Why nothing more may be healed without a person, in words; empty where it may.

        `earlier_incidents`: when the agent's other incidents were opened, the present one left
        out; `fleet_heals`: when healing actions were ordered in the fleet; all in epoch seconds.
        """
        p = self._params
        count = 1 + sum(now - at < p.agent_window_s for at in earlier_incidents)
        if p.agent_incidents is not None and count >= p.agent_incidents:
            return f"{_ordinal(count)} incident in {_hours(p.agent_window_s)}"
        heals = sum(now - at < p.fleet_window_s for at in fleet_heals)
        if p.fleet_heals is not None and heals >= p.fleet_heals:
            return (
                f"{heals} healing actions in the fleet in {_hours(p.fleet_window_s)}, "
                f"at most {p.fleet_heals} go without a person"
            )
        return ""


def _ordinal(n: int) -> str:
    return _ORDINALS.get(n, f"{n}th")


def _hours(seconds: float) -> str:
    return f"{seconds / 3600:g} h"
