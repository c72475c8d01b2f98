"""The score, on stories told by hand."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import msgspec
import pytest

from immune.columns import Names, from_vitals
from immune.diagnosis.causes import Cause, Diagnosis, RankedCause
from immune.healing.actions import Action
from immune.incidents import events as e
from immune.incidents.incident import Incident, Subject
from immune.incidents.states import State
from immune.ports import IncidentEvent
from immune.simulation.infections import Infection, Injection
from immune.simulation.report import ActionTaken, Report
from immune.simulation.scoreboard import Scoreboard
from immune.vitals import Vital
from tests.incidents.cases import finding, incident

START = 1000.0


@dataclass
class ToldTruth:
    """A truth that is what the test says."""

    injections: list[Injection] = field(default_factory=list)
    ill: set[str] = field(default_factory=set)
    shared: set[str] = field(default_factory=set)

    def is_sick(self, agent_id: str) -> bool:
        return agent_id in self.ill | self.shared

    def is_sick_itself(self, agent_id: str) -> bool:
        return agent_id in self.ill

    def sick(self) -> frozenset[str]:
        return frozenset(self.ill | self.shared)


class Story:
    """A run told step by step."""

    def __init__(self) -> None:
        self.truth = ToldTruth()
        self.names = Names()
        self.board = Scoreboard(
            self.truth, self.names, seed=3, agents=2, start_at=START, warmup_s=5.0
        )
        self.now = START

    def steps(self, seconds: int, agents: Sequence[str] = ("a", "b"), refused: int = 0) -> None:
        for _ in range(seconds):
            self.now += 1.0
            vitals = [Vital(agent_id=agent, at=self.now) for agent in agents]
            self.board.saw(from_vitals(vitals, self.names), self.now, refused)

    def falls_sick(
        self,
        agent_id: str = "a",
        infection: Infection = Infection.TOOL_LOOP,
        strain: str = "planner",
    ) -> None:
        self.truth.ill.add(agent_id)
        self.truth.injections.append(Injection(agent_id, infection, strain, self.now))

    def tell(self, event: e.AnyEvent, case: Incident) -> None:
        line = IncidentEvent(0, case.id, case.version, str(case.state), event)
        self.board.record(line, case)

    def opened(self, case_id: str = "inc-1", agent_id: str = "a") -> None:
        self.tell(e.Opened(at=self.now), _case(State.SUSPECTED, case_id, agent_id))

    def contained(self, case_id: str = "inc-1", agent_id: str = "a") -> None:
        self.tell(
            e.Confirmed(at=self.now, finding=finding(), enforce=True),
            _case(State.CONTAINED, case_id, agent_id),
        )

    def applied(self, action: Action, case_id: str = "inc-1") -> None:
        self.tell(
            e.Applied(at=self.now, key="k", action=action),
            _case(State.PROBATION, case_id),
        )

    def relapsed(self, case_id: str = "inc-1") -> None:
        self.tell(
            e.Relapsed(at=self.now, fresh_steps=9, approval_deadline_at=0.0),
            _case(State.HEALING, case_id),
        )

    def verified(self, fresh_steps: int = 6, case_id: str = "inc-1") -> None:
        self.tell(e.Verified(at=self.now, fresh_steps=fresh_steps), _case(State.RESOLVED, case_id))

    def report(self) -> Report:
        return self.board.report(self.now, cpu_s=2.0, simulator_cpu_s=0.5)


def _case(
    state: State,
    case_id: str = "inc-1",
    agent_id: str = "a",
    cause: Cause = Cause.INFINITE_LOOP,
    severity: float = 5.0,
) -> Incident:
    return msgspec.structs.replace(
        incident(state, Subject("agent", agent_id)),
        id=case_id,
        severity=severity,
        diagnosis=Diagnosis((RankedCause(cause, 0.9),), (), "p"),
    )


def test_a_whole_case() -> None:
    """An infection is suspected, contained, treated twice, cured and proved."""
    story = Story()
    story.steps(10)
    story.falls_sick()
    story.steps(4)
    story.opened()
    story.steps(3)
    story.contained()
    story.steps(5, ["b"], refused=5)
    story.applied(Action.RESET_MEMORY)
    story.steps(6, refused=5)
    story.relapsed()
    story.applied(Action.REDUCE_AUTONOMY)
    story.truth.ill.clear()
    story.steps(6, refused=5)
    story.verified()
    report = story.report()
    (row,) = report.injections
    assert (row.agent_id, row.infection, row.strain, row.at_s) == ("a", "tool_loop", "planner", 10)
    assert (row.steps_to_suspect, row.steps_to_contain) == (4, 7)
    assert (row.severity, row.diagnosis, row.asked_human) == (5.0, "infinite_loop", False)
    assert row.actions == [
        ActionTaken(action="reset_memory", applied=True, verified=False),
        ActionTaken(action="reduce_autonomy", applied=True, verified=True),
    ]
    assert row.resolved_at_s == 34.0
    assert (report.seed, report.agents, report.seconds, report.warmup_s) == (3, 2, 34.0, 5.0)
    s = report.summary
    assert (s.injected, s.contained, s.resolved, s.resolved_while_sick) == (1, 1, 1, 0)
    assert (s.false_suspicions, s.false_quarantines, s.asked_human) == (0, 0, 0)
    assert (s.actions_applied, s.actions_relapsed, s.verified_on_fresh_vitals) == (2, 1, 1)
    assert (s.mean_disruption_per_cure, s.right_diagnosis) == (2.0, 1.0)
    assert s.median_steps_to_contain == s.p90_steps_to_contain == 7.0
    assert s.agent_steps == 2 * 29 + 5
    assert s.healthy_agent_steps == s.agent_steps - 4 - 3 - 6
    assert s.availability == pytest.approx(s.agent_steps / (s.agent_steps + 5))
    assert (s.cpu_s, s.simulator_cpu_s) == (2.0, 0.5)
    kind = story.board.by_infection["tool_loop"]
    assert (kind.injected, kind.contained, kind.median_steps_to_suspect) == (1, 1, 4.0)


def test_json_has_the_agreed_fields() -> None:
    """The report is the object that `immune simulate --json` prints, null where nothing applies."""
    story = Story()
    story.falls_sick()
    plain = msgspec.json.decode(msgspec.json.encode(story.report()))
    assert list(plain) == ["seed", "agents", "seconds", "warmup_s", "injections", "summary"]
    assert " ".join(plain["injections"][0]) == (
        "agent_id infection strain at_s steps_to_suspect steps_to_contain severity diagnosis "
        "asked_human actions resolved_at_s"
    )
    assert " ".join(plain["summary"]) == (
        "agent_steps healthy_agent_steps injected contained median_steps_to_contain "
        "p90_steps_to_contain false_suspicions false_quarantines resolved resolved_while_sick "
        "asked_human actions_applied actions_relapsed verified_on_fresh_vitals "
        "mean_disruption_per_cure right_diagnosis availability cpu_s simulator_cpu_s"
    )
    assert plain["injections"][0]["steps_to_suspect"] is None
    assert plain["summary"]["median_steps_to_contain"] is None
    assert plain["summary"]["mean_disruption_per_cure"] is None
    assert plain["summary"]["availability"] is None


def test_an_alarm_on_a_healthy_agent_is_false() -> None:
    """Suspecting and fencing a healthy agent each count once, whatever follows."""
    story = Story()
    story.steps(3)
    story.opened()
    story.contained()
    story.applied(Action.RESET_MEMORY)
    story.relapsed()
    story.verified()
    s = story.report().summary
    assert (s.false_suspicions, s.false_quarantines) == (1, 1)
    assert (s.injected, s.contained, s.resolved, s.verified_on_fresh_vitals) == (0, 0, 0, 0)
    assert story.board.false_quarantines == ["inc-1"]


def test_an_alarm_just_after_the_sickness_ended_is_none_too_many() -> None:
    """What ended by itself a few seconds ago was still rightly suspected; a minute ago, not."""
    story = Story()
    story.falls_sick()
    story.steps(3)
    story.truth.ill.clear()
    story.steps(5)
    story.opened()
    assert story.report().summary.false_suspicions == 0
    story.steps(60)
    story.opened("inc-2")
    assert story.report().summary.false_suspicions == 1


def test_an_outages_member_is_no_false_alarm_but_is_told_apart() -> None:
    """A member of an outage counts as sick; fencing it for that alone is listed apart."""
    story = Story()
    story.truth.shared = {"a", "b"}
    story.truth.injections.append(
        Injection("a", Infection.PROVIDER_OUTAGE, "outage", START, ("a", "b"))
    )
    story.steps(5)
    fleet = msgspec.structs.replace(
        incident(State.OBSERVED, Subject("outage", "provider northwind")),
        id="inc-9",
        members=("a", "b"),
    )
    story.tell(e.Opened(at=story.now), fleet)
    story.opened()
    story.contained()
    report = story.report()
    assert report.summary.false_suspicions == report.summary.false_quarantines == 0
    assert story.board.shared_quarantines == ["inc-1"]
    assert report.summary.injected == 0
    assert report.injections[0].steps_to_suspect == 5
    assert report.injections[0].steps_to_contain is None


def test_a_fleet_incident_about_nobody_sick_is_false() -> None:
    """A fleet incident none of whose members changed is a false suspicion; the brake's is not."""
    story = Story()
    story.steps(1)
    for kind, case_id in (("outage", "inc-1"), ("brake", "inc-2")):
        case = msgspec.structs.replace(
            incident(State.OBSERVED, Subject(kind, "x")), id=case_id, members=("a", "b")
        )
        story.tell(e.Opened(at=story.now), case)
    assert story.board.false_suspicions == ["inc-1"]


def test_resolved_while_sick() -> None:
    """A case that is closed as cured while the agent is sick is counted against the proof."""
    story = Story()
    story.falls_sick()
    story.steps(2)
    story.opened()
    story.contained()
    story.applied(Action.WAIT)
    story.verified(fresh_steps=2)
    s = story.report().summary
    assert (s.resolved, s.resolved_while_sick, s.verified_on_fresh_vitals) == (1, 1, 0)
    assert s.mean_disruption_per_cure == 0.5


def test_a_wrong_diagnosis() -> None:
    """The share of right diagnoses is taken over contained infections; a meltdown may be any."""
    story = Story()
    story.falls_sick("a", Infection.PROMPT_DRIFT, "drifted_prompt")
    story.falls_sick("b", Infection.FULL_MELTDOWN, "meltdown")
    story.steps(2)
    for agent_id, case_id in (("a", "inc-1"), ("b", "inc-2")):
        story.opened(case_id, agent_id)
        story.contained(case_id, agent_id)
    assert story.report().summary.right_diagnosis == 0.5


def test_asking_a_person() -> None:
    """An incident that came to wait for a person counts once, however often it waited."""
    story = Story()
    story.falls_sick()
    story.steps(2)
    story.opened()
    story.contained()
    for _ in range(2):
        story.tell(
            e.Overdue(at=story.now, contact=1, approval_deadline_at=0.0),
            _case(State.AWAITING_APPROVAL, severity=8.2),
        )
    report = story.report()
    assert report.injections[0].asked_human
    assert report.injections[0].severity == 8.2
    assert report.summary.asked_human == 1


def test_a_second_incident_of_one_infection_adds_to_its_row() -> None:
    """A sickness that came back after a false cure is one injection with two cases."""
    story = Story()
    story.falls_sick()
    story.steps(5)
    story.opened()
    story.contained()
    story.applied(Action.WAIT)
    story.verified()
    story.steps(5)
    story.opened("inc-2")
    story.contained("inc-2")
    story.applied(Action.REDUCE_AUTONOMY, "inc-2")
    story.truth.ill.clear()
    story.steps(6)
    story.verified(case_id="inc-2")
    report = story.report()
    (row,) = report.injections
    assert row.steps_to_contain == 5
    assert [a.action for a in row.actions] == ["wait", "reduce_autonomy"]
    assert row.resolved_at_s == 16.0
    assert (report.summary.resolved, report.summary.resolved_while_sick) == (1, 1)
    assert report.summary.false_suspicions == 0


def test_an_action_that_did_not_happen() -> None:
    """A failed order is told as not applied, costs no disruption and is no relapse."""
    story = Story()
    story.falls_sick()
    story.steps(2)
    story.opened()
    story.contained()
    story.tell(
        e.Failed(at=story.now, key="k", action=Action.REVOKE_TOOLS, approval_deadline_at=0.0),
        _case(State.HEALING),
    )
    report = story.report()
    assert report.injections[0].actions == [ActionTaken(action="revoke_tools", applied=False)]
    assert report.summary.actions_applied == report.summary.actions_relapsed == 0


def test_an_alarm_from_before_the_infection_stays_false() -> None:
    """An incident that was open when the infection came was false, and then takes it over."""
    story = Story()
    story.steps(3)
    story.opened()
    story.falls_sick()
    story.steps(4)
    story.contained()
    report = story.report()
    assert report.summary.false_suspicions == 1
    assert report.summary.false_quarantines == 0
    assert report.injections[0].steps_to_contain == 4
