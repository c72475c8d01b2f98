"""Two tasks that detect at the same time, on a store whose commits take a moment."""

from __future__ import annotations

import asyncio

import msgspec

from immune.detection import Observation
from immune.detection.findings import Finding, Source, Tier
from immune.healing.actions import Action, Treatment, TreatmentState
from immune.healing.treatments import ended, ill_again, settled
from immune.healing.trial import Verdict
from immune.incidents import events as e
from immune.incidents.states import FENCED
from tests.faults.conftest import Plant
from tests.incidents.cases import finding

AGENTS = [f"agent-{n}" for n in range(40)]


async def test_two_findings_of_one_agent_at_the_same_time_become_one_case(on_file: Plant) -> None:
    """One task saw a suspicion and then more, the other a repetition: nothing of it is lost."""
    live = on_file
    await live.report(AGENTS)
    await live.until(lambda: not live.system.collector.queued)
    now = live.clock.time()

    def found(tier: Tier, source: Source) -> Observation:
        seen = finding(tier=tier, source=source)
        return Observation(
            [_of(seen, agent_id, now) for agent_id in AGENTS],
        )

    admission = live.system.orchestrator.admission
    await asyncio.gather(
        admission.take(found(Tier.SUSPICION, Source.EVIDENCE)),
        admission.take(found(Tier.QUARANTINE, Source.HARD_LIMIT)),
        admission.take(found(Tier.QUARANTINE, Source.REPETITION)),
    )
    cases = await live.workflow.incidents(open_only=True)
    assert sorted(case.agent_id for case in cases) == sorted(AGENTS)
    assert all(case.state in FENCED for case in cases)
    for case in cases:
        told = [line.event for line in await live.workflow.events(incident_id=case.id)]
        seen = {
            event.finding.source
            for event in told
            if isinstance(event, e.Opened | e.Confirmed | e.FindingAdded) and event.finding
        }
        assert seen == {Source.EVIDENCE, Source.HARD_LIMIT, Source.REPETITION}


def _of(found: Finding, agent_id: str, at: float) -> Finding:
    return msgspec.structs.replace(found, agent_id=agent_id, at=at, onset_at=at)


async def test_two_changes_of_one_treatment_at_the_same_time_are_both_made(on_file: Plant) -> None:
    """It is kept because the agent fell ill without it, and its new case sets no time for it."""
    casework = on_file.system.orchestrator.casework
    lifting = Treatment(
        "inc-0/1", "a", "inc-0", Action.REDUCE_AUTONOMY, (), 1.0, 2.0, TreatmentState.LIFTING, 3.0
    )
    await casework.put_treatment(lifting)
    await asyncio.gather(
        casework.change_treatment(lifting.id, lambda known: settled(known, Verdict.RELAPSED)),
        casework.change_treatment(lifting.id, lambda known: ended(known, 10.0, 20.0)),
        casework.change_treatment(lifting.id, ill_again),
    )
    (stored,) = await on_file.workflow.treatments()
    assert stored == casework.treatments[lifting.id]
    assert stored.state is TreatmentState.KEPT
