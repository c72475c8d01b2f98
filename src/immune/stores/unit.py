"""One transaction of the workflow, gathered first and written later.

The methods of `SqlUnit` only note rows; a `Group` (see `group`) writes those of one or many units
statement by statement. What must be refused is therefore raised at the end of the unit's block.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import msgspec
import sqlalchemy as sa

from immune.healing.actions import Healing, Treatment
from immune.incidents.effects import AnyEffect
from immune.incidents.events import AnyEvent
from immune.incidents.incident import Incident
from immune.ports import AgentRow, BaselineRow, IncidentEvent, OrderKey
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
        i, o = s.incidents, s.outbox
        self.incident_new = sa.insert(i)
        self.incident = (
            sa.update(i)
            .where(i.c.run_id == sa.bindparam("of_run"), i.c.id == sa.bindparam("of_id"))
            .values({c.name: sa.bindparam(c.name) for c in i.c if c.name not in ("run_id", "id")})
        )
        self.event = sa.insert(s.incident_events)
        self.effect = dialect.add(o, name)
        waiting = sa.update(o).where(
            o.c.run_id == sa.bindparam("of_run"),
            o.c.key == sa.bindparam("of_key"),
            o.c.done_at.is_(None),
        )
        self.effect_done = waiting.values(done_at=sa.bindparam("at"))
        self.effect_later = waiting.values(due_at=sa.bindparam("at"), attempts=o.c.attempts + 1)
        self.fence = dialect.put(s.fences, name)
        self.treatment = dialect.put(s.treatments, name)
        self.healing = dialect.put(s.healings, name)
        self.agent = dialect.put(s.agents, name)
        self.baseline = dialect.put(s.baselines, name)
        self.setting = dialect.put(s.settings, name)
        self.order_key = dialect.put(s.order_keys, name)


class SqlUnit:
    """The `Unit` of `SqlStore`, and what else the store writes."""

    def __init__(self, run_id: str, statements: Statements, next_number: Callable[[], int]) -> None:
        self._run_id = run_id
        self._statements = statements
        self._next = next_number
        self.incidents: list[tuple[Incident, int]] = []
        """To be saved, each at the version that it must have."""
        self.rows: dict[sa.Insert | sa.Update, list[Row]] = {}
        """What else is to be written, by statement."""

    async def save_incident(self, incident: Incident, expected_version: int) -> None:
        self.incidents.append((incident, expected_version))

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

    def effect_done(self, key: str, at: float) -> None:
        self._move_effect(self._statements.effect_done, key, at)

    def effect_later(self, key: str, due_at: float) -> None:
        self._move_effect(self._statements.effect_later, key, due_at)

    def _move_effect(self, statement: sa.Update, key: str, at: float) -> None:
        row = {"of_run": self._run_id, "of_key": key, "at": at}
        self.rows.setdefault(statement, []).append(row)

    def put_agent(self, row: AgentRow) -> None:
        self._note(self._statements.agent, agent_id=row.agent_id, body=body(row))

    def put_baseline(self, row: BaselineRow) -> None:
        self._note(
            self._statements.baseline,
            agent_id=row.agent_id,
            kind=str(row.kind),
            saved_at=row.saved_at,
            blob=row.blob,
        )

    def put_setting(self, key: str, value: str) -> None:
        self._note(self._statements.setting, key=key, value=value)

    def put_order_key(self, row: OrderKey) -> None:
        self._note(
            self._statements.order_key,
            key=row.key,
            order=row.order,
            at=row.at,
            answer=row.answer,
        )

    def _note(self, statement: sa.Insert, **row: Any) -> None:
        self.rows.setdefault(statement, []).append({"run_id": self._run_id, **row})

    @property
    def empty(self) -> bool:
        return not self.incidents and not self.rows
