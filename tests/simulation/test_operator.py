"""The simulated person on call."""

from __future__ import annotations

import msgspec
import pytest

from immune.detection.findings import Source
from immune.errors import InvalidInput
from immune.incidents.incident import Incident, Subject
from immune.incidents.states import State
from immune.simulation.operator import Decision, Operator, Verb
from tests.incidents.cases import finding, incident

WAITING = incident(State.AWAITING_APPROVAL)


def _as(case: Incident, **changes: object) -> Incident:
    return msgspec.structs.replace(case, **changes)


@pytest.mark.parametrize(("policy", "verb"), [("approve", Verb.APPROVE), ("reject", Verb.REJECT)])
def test_decides_once_the_delay_has_passed(policy: str, verb: Verb) -> None:
    """An incident is decided ten seconds after it began to wait, at the version shown, once."""
    operator = Operator(policy)
    assert operator.decide([WAITING], 100.0) == []
    assert operator.decide([WAITING], 109.9) == []
    assert operator.decide([WAITING], 110.0) == [Decision("inc-1", 3, verb)]
    assert operator.decide([WAITING], 111.0) == []


def test_decides_again_at_a_new_version() -> None:
    """If the incident moved on meanwhile, the operator decides on what it shows now."""
    operator = Operator(delay_s=0.0)
    assert operator.decide([WAITING], 100.0)
    assert operator.decide([_as(WAITING, version=4)], 100.0) == [Decision("inc-1", 4, Verb.APPROVE)]


def test_a_new_wait_begins_anew() -> None:
    """An incident that waits again after another attempt is given the delay again."""
    operator = Operator()
    operator.decide([WAITING], 100.0)
    assert operator.decide([WAITING], 110.0)
    again = _as(WAITING, version=9, attempts=2)
    assert operator.decide([again], 111.0) == []
    assert operator.decide([again], 121.0)


def test_absent_says_nothing() -> None:
    """Nobody there, nothing decided, however long it waits."""
    operator = Operator("absent", delay_s=0.0)
    assert operator.decide([WAITING], 1.0) == []
    assert operator.decide([WAITING], 1e9) == []


@pytest.mark.parametrize("state", [s for s in State if s is not State.AWAITING_APPROVAL])
def test_passes_over_what_does_not_wait(state: State) -> None:
    """Only incidents that await an approval need a word."""
    assert Operator(delay_s=0.0).decide([incident(state)], 1.0) == []


def test_an_approving_operator_takes_up_what_is_only_watched() -> None:
    """A silent agent is quarantined and a release accepted; a rejecting operator leaves both."""
    silent = _as(incident(State.OBSERVED), finding=finding(source=Source.SILENCE))
    release = _as(
        incident(State.OBSERVED, Subject("release", "coder")),
        id="inc-2",
    )
    verbs = {d.incident_id: d.verb for d in Operator(delay_s=0).decide([silent, release], 1)}
    assert verbs == {"inc-1": Verb.QUARANTINE, "inc-2": Verb.ACCEPT}
    assert Operator("reject", delay_s=0).decide([silent, release], 1) == []


def test_unknown_policy_is_refused() -> None:
    """An operator with a policy of its own is refused."""
    with pytest.raises(InvalidInput):
        Operator("maybe")
