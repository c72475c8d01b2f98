"""Who is fenced, who only watched: a finding's event for its case."""

from __future__ import annotations

import pytest

from immune.detection.findings import Source, Tier
from immune.diagnosis.causes import Cause, Diagnosis, RankedCause
from immune.incidents import events as e
from immune.incidents.incident import Incident
from immune.incidents.states import State
from immune.incidents.step import step
from immune.incidents.triage import answer, overturned
from immune.modes import Mode
from tests.incidents.cases import DIAGNOSIS, finding, incident, relapsed, released

BRAKE = "5 of 10 are fenced"


def said(
    state: State = State.SUSPECTED, mode: Mode = Mode.ENFORCE, brake: str = "", **of: object
) -> tuple[str, bool | None]:
    """The event's name, and whether it fences."""
    event = answer(finding(**of), incident(state), DIAGNOSIS, mode, brake)  # type: ignore[arg-type]
    return e.name(event), event.enforce if isinstance(event, e.Confirmed) else None


@pytest.mark.parametrize(
    ("expected", "given"),
    [
        (("confirmed", True), {}),
        (("confirmed", True), {"mode": Mode.ASK}),
        (("confirmed", False), {"mode": Mode.OBSERVE}),
        (("confirmed", False), {"can_fence": False}),
        (("braked", None), {"brake": BRAKE}),
        (("confirmed", True), {"brake": BRAKE, "source": Source.HARD_LIMIT}),
        (("finding_added", None), {"tier": Tier.SUSPICION}),
        (
            ("confirmed", False),
            {"tier": Tier.SUSPICION, "source": Source.SILENCE, "can_fence": False},
        ),
        # watched so far, and now it can be fenced: a hard limit, a grown baseline, a new mode
        (("confirmed", True), {"state": State.OBSERVED}),
        (("confirmed", True), {"state": State.OBSERVED, "source": Source.HARD_LIMIT}),
        (("finding_added", None), {"state": State.OBSERVED, "mode": Mode.OBSERVE}),
        (("finding_added", None), {"state": State.OBSERVED, "can_fence": False}),
        (("finding_added", None), {"state": State.OBSERVED, "brake": BRAKE}),
        (("finding_added", None), {"state": State.PROBATION}),
        (("finding_added", None), {"state": State.REJECTED}),
    ],
)
def test_the_answer_to_a_finding(
    expected: tuple[str, bool | None], given: dict[str, object]
) -> None:
    """The tier, the mode, the brake and what the rule may do decide together."""
    assert said(**given) == expected  # type: ignore[arg-type]


def test_what_was_only_watched_is_never_fenced_by_a_relapse() -> None:
    """Repaired by hand in mode observe and sick again: watched again."""
    watched: Incident = incident(State.OBSERVED)
    watched = Incident(
        **{**{f: getattr(watched, f) for f in Incident.__struct_fields__}, "ladder": ()}
    )
    on_trial, _ = step(watched, released(e.Verdict.FIXED_BY_HAND))
    again, wishes = step(on_trial, relapsed())
    assert again.state is State.OBSERVED
    assert wishes == ()


def ranked(**confidences: float) -> Diagnosis:
    causes = tuple(RankedCause(Cause(name), p) for name, p in confidences.items())
    return Diagnosis(causes, (), "p")


@pytest.mark.parametrize(
    ("diagnosis", "clear"),
    [
        (ranked(tool_instability=0.8, infinite_loop=0.1), True),
        (ranked(tool_instability=0.55, infinite_loop=0.45), False),
        (ranked(tool_instability=0.45, infinite_loop=0.1), False),
        (ranked(infinite_loop=0.9, tool_instability=0.1), False),
        (ranked(unknown=0.9, infinite_loop=0.1), False),
    ],
)
def test_only_a_clear_change_of_cause_changes_the_plan(diagnosis: Diagnosis, clear: bool) -> None:
    """Likelier than not, and twice as likely as the plan's own cause."""
    assert overturned(incident(State.PROBATION), diagnosis) is clear


@pytest.mark.parametrize("state", [State.SUSPECTED, State.OBSERVED, State.EXHAUSTED])
def test_where_there_is_no_plan_to_follow_none_is_changed(state: State) -> None:
    """Not yet planned, or past all plans: a person is there."""
    assert not overturned(incident(state), ranked(tool_instability=0.9))
