"""One transaction of the workflow, gathered first and written at once.

The methods of `SqlUnit` only note rows. On leaving the unit they are written table by table, in the
order in which they came, so that a unit costs a handful of statements. What must be refused
(StaleVersion, a second open incident) is therefore raised at the end of the block.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import msgspec
import sqlalchemy as sa
from sqlalchemy.exc import IntegrityError

from immune.errors import IllegalEvent, StaleVersion
from immune.healing.actions import Healing, Treatment
from immune.incidents.effects import AnyEffect
from immune.incidents.events import AnyEvent
from immune.incidents.incident import Incident
from immune.ports import IncidentEvent
from immune.quarantine import Fence
from immune.stores import dialect
from immune.stores import schema as s

Row = dict[str, Any]
"""One row's columns: what SQLAlchemy takes."""

_encode = msgspec.json.Encoder().encode


def body(record: msgspec.Struct) -> str:
    """The record as JSON text."""
    return _encode(record).decode()


def number_of(incident_id: str) -> int:
    """The 7 of ``inc-7``; 0 for an id that ends in no number."""
    digits = incident_id.rpartition("-")[2]
    return int(digits) if digits.isdecimal() else 0


class Statements:
    """The writing statements, built once for a dialect."""

    def __init__(self, name: str) -> None:
        i = s.incidents
        self.incident_new = sa.insert(i)
        self.incident = (
            sa.update(i)
            .where(
                i.c.run_id == sa.bindparam("of_run"),
                i.c.id == sa.bindparam("of_id"),
                i.c.version == sa.bindparam("expected"),
            )
            .values({c.name: sa.bindparam(c.name) for c in i.c if c.name not in ("run_id", "id")})
        )
        self.event = sa.insert(s.incident_events)
        self.effect = dialect.add(s.outbox, name)
        self.fence = dialect.put(s.fences, name)
        self.treatment = dialect.put(s.treatments, name)
        self.healing = dialect.put(s.healings, name)


class SqlUnit:
    """The `Unit` of `SqlStore`."""

    def __init__(self, run_id: str, statements: Statements, next_number: Callable[[], int]) -> None:
        self._run_id = run_id
        self._statements = statements
        self._next = next_number
        self._incidents: list[tuple[Incident, int]] = []
        self._rows: dict[sa.Insert, list[Row]] = {}

    async def save_incident(self, incident: Incident, expected_version: int) -> None:
        self._incidents.append((incident, expected_version))

    async def append_event(self, incident: Incident, event: AnyEvent, at: float) -> IncidentEvent:
        row = IncidentEvent(self._next(), incident.id, incident.version, incident.state, event)
        self._note(
            self._statements.event,
            seq=row.seq,
            incident_id=row.incident_id,
            version=row.version,
            state=str(row.state),
            at=at,
            body=body(event),
        )
        return row

    async def put_fence(self, fence: Fence) -> None:
        self._note(
            self._statements.fence,
            id=fence.id,
            agent_id=fence.agent_id,
            ordered_at=fence.ordered_at,
            lifted_at=fence.lifted_at,
            body=body(fence),
        )

    async def put_treatment(self, treatment: Treatment) -> None:
        self._note(
            self._statements.treatment,
            id=treatment.id,
            agent_id=treatment.agent_id,
            state=str(treatment.state),
            since=treatment.since,
            body=body(treatment),
        )

    async def put_healing(self, healing: Healing) -> None:
        self._note(
            self._statements.healing,
            key=healing.key,
            incident_id=healing.incident_id,
            agent_id=healing.agent_id,
            ordered_at=healing.ordered_at,
            body=body(healing),
        )

    async def add_effects(self, effects: Sequence[AnyEffect], due_at: float) -> None:
        for effect in effects:
            self._note(
                self._statements.effect,
                key=effect.key,
                number=self._next(),
                due_at=due_at,
                attempts=0,
                done_at=None,
                body=body(effect),
            )

    def _note(self, statement: sa.Insert, **row: Any) -> None:
        self._rows.setdefault(statement, []).append({"run_id": self._run_id, **row})

    @property
    def empty(self) -> bool:
        return not self._incidents and not self._rows

    def flush(self, connection: sa.Connection) -> None:
        """Write all of it; raises Conflict where an incident can't be saved."""
        for incident, expected in self._incidents:
            self._save(connection, incident, expected)
        for statement, rows in self._rows.items():
            connection.execute(statement, rows)

    def _save(self, connection: sa.Connection, incident: Incident, expected: int) -> None:
        row: Row = {
            "number": number_of(incident.id),
            "subject_kind": incident.subject.kind,
            "subject_name": incident.subject.name,
            "state": str(incident.state),
            "is_open": incident.is_open,
            "version": incident.version,
            "opened_at": incident.opened_at,
            "updated_at": incident.updated_at,
            "body": body(incident),
        }
        try:
            if expected == 0:
                row |= {"run_id": self._run_id, "id": incident.id}
                connection.execute(self._statements.incident_new, row)
                return
            row |= {"of_run": self._run_id, "of_id": incident.id, "expected": expected}
            if connection.execute(self._statements.incident, row).rowcount == 1:
                return
        except IntegrityError as error:
            raise Conflict(self._run_id, incident, expected) from error
        raise Conflict(self._run_id, incident, expected)


class Conflict(Exception):
    """The unit was rolled back since this incident could not be saved."""

    def __init__(self, run_id: str, incident: Incident, expected: int) -> None:
        super().__init__(incident.id)
        self.run_id = run_id
        self.incident = incident
        self.expected = expected

    def explain(self, connection: sa.Connection) -> StaleVersion | IllegalEvent:
        """Find out why, after the rollback: on PostgreSQL the failed transaction can't be asked."""
        i = s.incidents
        incident = self.incident
        actual = connection.execute(
            sa.select(i.c.version).where(i.c.run_id == self.run_id, i.c.id == incident.id)
        ).scalar()
        if actual != (self.expected or None):
            return StaleVersion(incident.id, self.expected, actual or 0)
        other = connection.execute(
            sa.select(i.c.id).where(
                i.c.run_id == self.run_id,
                i.c.id != incident.id,
                i.c.subject_kind == incident.subject.kind,
                i.c.subject_name == incident.subject.name,
                i.c.is_open.is_(sa.true()),
            )
        ).scalar()
        return IllegalEvent(
            f"{incident.subject.kind} {incident.subject.name} has an open incident already"
            f"{f' ({other})' if other else ''}: add to that one"
        )
