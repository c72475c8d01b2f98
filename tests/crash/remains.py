"""What a killed server left behind, read from its stores while it is down."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from pathlib import Path

import msgspec

from immune.clock import SystemClock
from immune.columns import Names
from immune.errors import Fatal, StoreDown
from immune.healing.actions import Healing, Outcome
from immune.incidents import events as e
from immune.incidents.incident import Incident
from immune.incidents.states import FENCED, State
from immune.ports import IncidentEvent
from immune.quarantine import Fence
from immune.stores.sql import SqlStore
from immune.stores.telemetry_sqlite import SqliteTelemetry
from immune.vitals import Vital
from tests.crash.ledger import Ledger

RELEASED_TRIES = 200


class Remains(msgspec.Struct, kw_only=True):
    """The rows of the run that was served last."""

    incidents: dict[str, Incident]
    fences: list[Fence]
    healings: dict[str, Healing]
    events: list[IncidentEvent]
    fresh: dict[str, int]
    """Incident on probation -> its agent's stored steps that count for the trial."""

    @property
    def pending(self) -> set[str]:
        """Incidents that wait for a person."""
        return {i.id for i in self.incidents.values() if i.state is State.AWAITING_APPROVAL}

    @property
    def fenced(self) -> set[str]:
        """Agents that may not call."""
        return {fence.agent_id for fence in self.fences if fence.lifted_at is None}

    @property
    def probations(self) -> list[Incident]:
        return [i for i in self.incidents.values() if i.state is State.PROBATION]


async def read(url: str, telemetry: Path) -> Remains:
    """Read the stores; waits until the killed server's session has ended."""
    workflow = SqlStore(url)
    await _opened(workflow)
    try:
        incidents = {i.id: i for i in await workflow.incidents()}
        fences = await workflow.fences(standing_only=False)
        healings = {h.key: h for h in await workflow.healings()}
        events = await workflow.events()
        run_id = workflow.run_id
    finally:
        await workflow.close()
    found = Remains(incidents=incidents, fences=fences, healings=healings, events=events, fresh={})
    store = SqliteTelemetry(telemetry, run_id, Names())
    await store.open()
    try:
        for incident in found.probations:
            assert incident.probation is not None
            since = incident.probation.since
            vitals = await store.read(incident.agent_id, since=since)
            found.fresh[incident.id] = sum(_started_at(vital) > since for vital in vitals)
    finally:
        await store.close()
    return found


async def steps_of(url: str, telemetry: Path, agents: Iterable[str]) -> dict[str, Counter[str]]:
    """How often each step of these agents is stored."""
    workflow = SqlStore(url)
    await _opened(workflow)
    run_id = workflow.run_id
    await workflow.close()
    store = SqliteTelemetry(telemetry, run_id, Names())
    await store.open()
    try:
        return {
            agent_id: Counter(str(vital.step_id) for vital in await store.read(agent_id))
            for agent_id in agents
        }
    finally:
        await store.close()


async def _opened(workflow: SqlStore) -> None:
    for _ in range(RELEASED_TRIES):
        try:
            await workflow.open()
        except (Fatal, StoreDown) as fault:
            if "in use" not in str(fault) and "session" not in str(fault):
                raise
            await SystemClock().sleep(0.05)
        else:
            return
    raise AssertionError("the killed server's session does not end")


def _started_at(vital: Vital) -> float:
    return vital.at - (vital.latency_ms or 0.0) / 1000.0


# --- what must be so, whenever the server died ------------------------------------------------


def check_cases(found: Remains) -> None:
    """Each case was opened once, its timeline has no gap, and no agent has two at a time."""
    lines: dict[str, list[IncidentEvent]] = {}
    for line in found.events:
        lines.setdefault(line.incident_id, []).append(line)
    assert set(lines) == set(found.incidents)
    for incident_id, told in lines.items():
        incident = found.incidents[incident_id]
        assert [line.version for line in told] == list(range(1, incident.version + 1)), incident_id
        assert [isinstance(line.event, e.Opened) for line in told] == [True] + [False] * (
            len(told) - 1
        )
        assert told[-1].state == incident.state
    ends: dict[str, tuple[int, bool]] = {}
    for incident_id, told in sorted(lines.items(), key=lambda item: item[1][0].seq):
        name = found.incidents[incident_id].subject.name
        last, is_open = ends.get(name, (0, False))
        assert not is_open, f"{name} has a second case, {incident_id}, beside an open one"
        assert told[0].seq > last, f"{incident_id} of {name} was opened before the last one ended"
        ends[name] = (told[-1].seq, found.incidents[incident_id].is_open)


def check_fences(found: Remains) -> None:
    """A system's fence stands around exactly the cases whose state says so, one for each."""
    standing = Counter(
        fence.incident_id for fence in found.fences if fence.lifted_at is None and fence.incident_id
    )
    assert standing == Counter(i.id for i in found.incidents.values() if i.state in FENCED)


def _story(found: Remains, incident_id: str) -> str:
    """A case's timeline and attempts, for whoever must find out what went wrong."""
    lines = [line for line in found.events if line.incident_id == incident_id]
    rows = [row for row in found.healings.values() if row.incident_id == incident_id]
    return "\n".join(map(str, [incident_id, *lines, *rows]))


def check_actions(found: Remains, ledger: Ledger) -> None:
    """What the fleet did is what was ordered: each attempt once, none that nobody ordered."""
    applied = {key: done for key, done in ledger.done.items() if not done.lifted}
    for key, done in applied.items():
        if key not in found.healings:
            assert key.endswith("/again"), f"{key} was never ordered"
            continue
        row = found.healings[key]
        assert (row.agent_id, row.action) == (done.agent_id, done.action)
        if row.applied_at is None:
            # the server died before it heard, or the case was decided otherwise meanwhile
            assert row.outcome in (Outcome.PENDING, Outcome.SUPERSEDED), row
        else:
            assert (row.applied_at, row.changes) == (done.answer.at, done.answer.changes)
    for key, row in found.healings.items():
        if row.applied_at is not None:
            assert key in applied, f"{key} is said to be applied, and the fleet knows nothing"
    attempts: dict[str, list[Healing]] = {}
    for row in found.healings.values():
        attempts.setdefault(row.incident_id, []).append(row)
    for incident_id, rows in attempts.items():
        numbers = sorted(int(row.key.rpartition("/")[2]) for row in rows)
        assert numbers == list(range(1, found.incidents[incident_id].attempts + 1))
        # a person may order it again, and another sickness makes a case begin its ladder anew
        alone = [
            (row.cause, row.action)
            for row in rows
            if row.trigger != "heal_now" and row.outcome is not Outcome.SUPERSEDED
        ]
        assert len(alone) == len(set(alone)), _story(found, incident_id)
