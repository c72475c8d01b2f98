"""The state table of an incident, as data.

The diagram in the docs, the dashboard's stepper and the exhaustive test are made from `TABLE`. A
pair of state and event that is not in it is illegal: it raises and changes nothing.
"""

from __future__ import annotations

import enum

from immune.incidents import events as e


class State(enum.StrEnum):
    """Where an incident stands."""

    SUSPECTED = "suspected"
    OBSERVED = "observed"
    CONTAINED = "contained"
    AWAITING_APPROVAL = "awaiting_approval"
    REJECTED = "rejected"
    HEALING = "healing"
    PROBATION = "probation"
    EXHAUSTED = "exhausted"
    RESOLVED = "resolved"
    DISMISSED = "dismissed"


S = State

FENCED = frozenset({S.CONTAINED, S.AWAITING_APPROVAL, S.REJECTED, S.HEALING, S.EXHAUSTED})
"""States in which the system's fence stands."""

CLOSED = frozenset({S.RESOLVED, S.DISMISSED})
OPEN = frozenset(S) - CLOSED

_NEXT_RUNG = (S.HEALING, S.AWAITING_APPROVAL, S.EXHAUSTED)
_RELEASE = (S.DISMISSED, S.PROBATION)

TABLE: dict[State, dict[type[e.Event], tuple[State, ...]]] = {
    S.SUSPECTED: {
        e.Confirmed: (S.CONTAINED, S.OBSERVED),
        e.Braked: (S.SUSPECTED,),
        e.Subsided: (S.DISMISSED,),
        e.QuarantinedByPerson: (S.CONTAINED,),
        e.FindingAdded: (S.SUSPECTED,),
        e.Released: _RELEASE,
        e.Absorbed: (S.DISMISSED,),
    },
    S.OBSERVED: {
        e.Confirmed: (S.CONTAINED,),
        e.QuarantinedByPerson: (S.CONTAINED,),
        e.Subsided: (S.DISMISSED,),
        e.FindingAdded: (S.OBSERVED,),
        e.Acknowledged: (S.OBSERVED,),
        e.Released: _RELEASE,
        e.Absorbed: (S.DISMISSED,),
    },
    S.CONTAINED: {
        e.Diagnosed: (S.HEALING, S.AWAITING_APPROVAL, S.EXHAUSTED),
        e.FindingAdded: (S.CONTAINED,),
        e.Released: _RELEASE,
        e.Absorbed: (S.DISMISSED,),
    },
    S.AWAITING_APPROVAL: {
        e.Approved: (S.HEALING,),
        e.Rejected: (S.REJECTED,),
        e.Overdue: (S.AWAITING_APPROVAL,),
        e.Diagnosed: (S.AWAITING_APPROVAL,),
        e.FindingAdded: (S.AWAITING_APPROVAL,),
        e.Released: _RELEASE,
        e.Absorbed: (S.DISMISSED,),
    },
    S.REJECTED: {
        e.HealNow: (S.HEALING,),
        e.Diagnosed: (S.REJECTED,),
        e.FindingAdded: (S.REJECTED,),
        e.Released: _RELEASE,
    },
    S.HEALING: {
        e.Applied: (S.PROBATION,),
        e.Failed: _NEXT_RUNG,
        e.Unreachable: (S.EXHAUSTED,),
        e.Diagnosed: (S.HEALING,),
        e.FindingAdded: (S.HEALING,),
        e.Released: _RELEASE,
        e.Absorbed: (S.DISMISSED,),
    },
    S.PROBATION: {
        e.Verified: (S.RESOLVED,),
        e.Relapsed: (*_NEXT_RUNG, S.OBSERVED),
        e.Stale: (S.PROBATION,),
        e.Resumed: (S.PROBATION,),
        e.Diagnosed: (S.PROBATION,),
        e.FindingAdded: (S.PROBATION,),
        e.Released: _RELEASE,
    },
    S.EXHAUSTED: {
        e.HealNow: (S.HEALING,),
        e.FindingAdded: (S.EXHAUSTED,),
        e.Released: _RELEASE,
    },
    S.RESOLVED: {},
    S.DISMISSED: {},
}
"""state -> event -> the states it can lead to."""
