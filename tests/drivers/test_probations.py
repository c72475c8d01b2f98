"""The watched return: what is flagged while nothing comes, and cleared when it does."""

from __future__ import annotations

import msgspec
from tests.incidents.cases import finding, incident
from tests.stores.cases import NOW, PROFILE, vital

from immune.casework import Casework
from immune.clock import ManualClock
from immune.columns import Names, from_vitals
from immune.detection import BaselineLearner, DetectionParams
from immune.healing.actions import Action, Treatment, TreatmentState
from immune.healing.params import TrialParams
from immune.healing.trial import Verdict
from immune.incidents import events as e
from immune.incidents.incident import Probation
from immune.incidents.states import State
from immune.probations import Probations
from immune.quarantine import BrakeParams, QuarantineController
from immune.settings import CaseSettings
from immune.supervisor import Supervisor
from immune.testing import MemoryTelemetry, MemoryWorkflow


class Ward:
    """One agent on probation since now."""

    def __init__(self) -> None:
        self.clock, self.names = ManualClock(NOW), Names()
        self.telemetry, workflow = MemoryTelemetry(self.names), MemoryWorkflow("r")
        self.casework = Casework(
            workflow, QuarantineController(BrakeParams()), self.clock, Supervisor(self.clock)
        )
        self.events: list[str] = []
        self.casework.listeners.append(lambda line, case: self.events.append(e.name(line.event)))
        self.probations = Probations(
            casework=self.casework,
            learner=BaselineLearner(DetectionParams(), self.names),
            telemetry=self.telemetry,
            workflow=workflow,
            names=self.names,
            clock=self.clock,
            cases=CaseSettings(stale_s=120.0),
            params=TrialParams(),
            companions=lambda agent_id: (),
        )

    async def begin(self) -> None:
        case = msgspec.structs.replace(
            incident(State.PROBATION),
            version=1,
            finding=finding(),
            baseline=PROFILE,
            probation=Probation("inc-1/1", Action.WAIT, NOW),
        )
        await self.casework.open(case, e.Opened(at=NOW))
        self.probations.begin(case)

    async def wait(self, seconds: float) -> None:
        self.clock.advance(seconds)
        await self.probations.overdue(self.clock.time())

    async def step(self, *, at: float | None = None) -> None:
        """A fresh step of the agent arrives; by its own clock it ended `at`."""
        now = self.clock.time()
        step = vital(now if at is None else at, "a", received_at=now)
        await self.probations.feed(from_vitals([step], self.names))

    def stale(self) -> bool:
        case = self.casework.get("inc-1")
        assert case.probation is not None
        return case.probation.stale


async def test_a_probation_is_stale_until_fresh_vitals_come_again() -> None:
    """Told once an episode, cleared by the first step, and told again in the next one."""
    ward = Ward()
    await ward.begin()
    await ward.wait(119.0)
    assert not ward.stale()
    await ward.wait(2.0)
    await ward.wait(500.0)
    assert ward.stale()
    await ward.step()
    assert not ward.stale()
    await ward.wait(119.0)
    assert not ward.stale()
    await ward.wait(2.0)
    assert ward.events == ["opened", "stale", "resumed", "stale"]


async def test_an_agents_clock_that_is_behind_makes_nothing_stale() -> None:
    """We heard of it just now, whatever time it thinks it is."""
    ward = Ward()
    await ward.begin()
    ward.clock.advance(200.0)
    await ward.step(at=NOW + 1.0)
    await ward.wait(100.0)
    assert not ward.stale()


async def test_a_restart_goes_on_with_a_case_and_not_with_the_lifting_that_it_ended() -> None:
    """The agent fell ill while a treatment was being lifted: its case is what is on trial."""
    ward = Ward()
    await ward.begin()
    await ward.casework.put_treatment(
        Treatment(
            "inc-0/1",
            "a",
            "inc-0",
            Action.REDUCE_AUTONOMY,
            (),
            NOW - 60.0,
            NOW - 30.0,
            TreatmentState.LIFTING,
            NOW - 20.0,
        )
    )
    await ward.telemetry.append(from_vitals([vital(NOW + 10.0, "a")], ward.names))
    decided: list[tuple[str, Verdict]] = []

    async def hear(treatment_id: str, verdict: Verdict) -> None:
        decided.append((treatment_id, verdict))

    ward.probations.lift_decided = hear
    await ward.probations.load()
    assert decided == [("inc-0/1", Verdict.RELAPSED)]
    state = ward.probations.state("a")
    assert state is not None
    assert state.fresh_steps == 1
