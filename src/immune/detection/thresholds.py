"""Budgets of false alarms as thresholds on the evidence.

The statistic's mean time to a false alarm is at least e^threshold steps (R minus the steps so far
is a martingale), so a budget of one in D days is ln(D · steps a day) nats.
"""

from __future__ import annotations

import numpy as np

from immune.columns import Float32
from immune.detection.params import Budgets

DAY_S = 86_400.0
_WEEK_DAYS = 7.0


def steps_per_day(interval_s: Float32) -> Float32:
    """Return (n,) for agents of these usual intervals; one step a second where it is NaN."""
    known: Float32 = np.where(np.isnan(interval_s), np.float32(1.0), interval_s)
    steps: Float32 = (DAY_S / np.minimum(np.maximum(known, 1e-3), DAY_S)).astype(np.float32)
    return steps


def thresholds(budgets: Budgets, steps: Float32, n_agents: int) -> tuple[Float32, Float32]:
    """Return nats of suspicion and of quarantine, (n,) each, for agents of so many steps a day.

    >>> suspicion, quarantine = thresholds(Budgets(), np.array([86400.0], np.float32), 15)
    >>> round(float(suspicion[0]), 1), round(float(quarantine[0]), 1)
    (14.8, 18.3)
    """
    suspicion_days = 1 / budgets.false_suspicions_per_agent_day
    agent_days = 1000 / budgets.false_quarantines_per_1000_agent_days
    fleet_days = _WEEK_DAYS / budgets.false_quarantines_per_fleet_week * max(n_agents, 1)
    log_steps = np.log(steps)
    suspicion = np.maximum(log_steps + np.log(suspicion_days), budgets.nats_min)
    quarantine = np.maximum(log_steps + np.log(max(agent_days, fleet_days)), suspicion)
    return suspicion.astype(np.float32), quarantine.astype(np.float32)
