"""Limiting treatments: what a rung leaves in force, when it is taken back, and what comes of that.

::

    in_force ── lift_at, agent well ──> lifting ── trial cured ──> lifted
                                            └───── trial relapsed, re-applied ──> kept

A treatment gives back exactly what it took. So two that took the same thing from one agent are
lifted in the opposite order of their taking, and a kept one keeps those below it.
"""

from __future__ import annotations

from collections.abc import Iterable

import msgspec

from immune.detection.findings import BaselineProfile, Finding
from immune.errors import IllegalEvent
from immune.healing.actions import (
    LIMITING,
    ActionAnswer,
    Healing,
    Treatment,
    TreatmentState,
)
from immune.healing.params import TrialParams
from immune.healing.trial import Trial, Verdict


def treatment_of(healing: Healing, answer: ActionAnswer) -> Treatment | None:
    """What the acknowledged attempt left in force, or None where it limits nothing.

    An action that changed nothing (the tools were revoked already) leaves nothing to give back.
    """
    changes = tuple(change for change in answer.changes if change.before != change.after)
    if healing.action not in LIMITING or not changes:
        return None
    return Treatment(
        id=healing.key,
        agent_id=healing.agent_id,
        incident_id=healing.incident_id,
        action=healing.action,
        changes=changes,
        since=answer.at,
    )


def ended(treatment: Treatment, at: float, stay_well_s: float = 1800.0) -> Treatment:
    """Its incident is over: try to take it back once the agent has stayed well for so long.

    A kept one stays: a person was told, and decides.
    """
    if treatment.state is not TreatmentState.IN_FORCE:
        return treatment
    return msgspec.structs.replace(treatment, lift_at=at + stay_well_s)


def ill_again(treatment: Treatment) -> Treatment:
    """The agent has a new incident: its end sets a new time."""
    if treatment.state is not TreatmentState.IN_FORCE:
        return treatment
    return msgspec.structs.replace(treatment, lift_at=None)


def due(treatments: Iterable[Treatment], now: float) -> list[Treatment]:
    """Those to lift now, at most one of each agent, its latest; the others wait for its trial."""
    of_agent: dict[str, list[Treatment]] = {}
    for treatment in sorted(treatments, key=lambda t: t.since, reverse=True):
        if treatment.state is not TreatmentState.LIFTED:
            of_agent.setdefault(treatment.agent_id, []).append(treatment)
    found = []
    for latest_first in of_agent.values():
        if any(t.state is TreatmentState.LIFTING for t in latest_first):
            continue
        for place, treatment in enumerate(latest_first):
            if (
                treatment.state is TreatmentState.IN_FORCE
                and treatment.lift_at is not None
                and treatment.lift_at <= now
                and not any(_share(treatment, later) for later in latest_first[:place])
            ):
                found.append(treatment)
                break
    return found


def _share(one: Treatment, other: Treatment) -> bool:
    return not {c.what for c in one.changes}.isdisjoint(c.what for c in other.changes)


def lifting(treatment: Treatment, at: float) -> Treatment:
    """It was taken back at `at`, and is on trial for it. IllegalEvent unless it was in force."""
    _require(treatment, TreatmentState.IN_FORCE)
    return msgspec.structs.replace(treatment, state=TreatmentState.LIFTING, lifted_at=at)


def lift_trial(
    treatment: Treatment,
    finding: Finding | None,
    baseline: BaselineProfile | None,
    params: TrialParams | None = None,
) -> Trial:
    """The probation for a lifting: its incident's affected metrics against its frozen baseline.

    Nothing is left out: what the action had changed is changed back.
    """
    _require(treatment, TreatmentState.LIFTING)
    assert treatment.lifted_at is not None
    return Trial.begin(finding, baseline, None, treatment.lifted_at, params)


def settled(treatment: Treatment, verdict: Verdict) -> Treatment:
    """The trial is over: lifted for good, or kept because the sickness came back."""
    _require(treatment, TreatmentState.LIFTING)
    state = {Verdict.CURED: TreatmentState.LIFTED, Verdict.RELAPSED: TreatmentState.KEPT}.get(
        verdict
    )
    return treatment if state is None else msgspec.structs.replace(treatment, state=state)


def learns(treatments: Iterable[Treatment]) -> bool:
    """Whether the agent's baseline may learn: no treatment stands or is on trial."""
    return all(treatment.state is TreatmentState.LIFTED for treatment in treatments)


def _require(treatment: Treatment, state: TreatmentState) -> None:
    if treatment.state is not state:
        raise IllegalEvent(f"treatment {treatment.id} is {treatment.state}, not {state}")
