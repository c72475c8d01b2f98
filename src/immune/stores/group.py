"""Several units as one transaction, each whole or not at all, in their order.

What each unit may not do is found out before anything is written, from what is stored and what the
units before it in the group leave behind; a unit that is refused leaves nothing. The rest is
written table by table, so that a hundred units cost hardly more statements than one.
"""

from __future__ import annotations

from collections.abc import Sequence

import sqlalchemy as sa

from immune.errors import IllegalEvent, Refused, StaleVersion
from immune.incidents.incident import Incident, Subject
from immune.incidents.register import Register
from immune.stores import schema as s
from immune.stores.unit import Row, SqlUnit, Statements, body, number_of


class Group:
    """The units of one transaction."""

    def __init__(self, run_id: str, statements: Statements, units: Sequence[SqlUnit]) -> None:
        self._run_id = run_id
        self._statements = statements
        self._units = units
        self.refusals: list[Refused | None] = []
        """Of each unit, what it was refused for; None where it was written."""
        self._proof: tuple[sa.Table, Row] | None = None
        """A row that is there, just so, once the transaction was made."""

    def flush(self, connection: sa.Connection) -> None:
        """Write all of it, within the connection's transaction."""
        register = _register(connection, self._run_id, self._units)
        self.refusals = [_refusal(register, unit) for unit in self._units]
        taken = [
            u for u, refused in zip(self._units, self.refusals, strict=True) if refused is None
        ]
        saved = [pair for unit in taken for pair in unit.incidents]
        first_written = {incident.id for incident, expected in saved if expected == 0}
        new, old = [], []
        for incident in {incident.id: incident for incident, _ in saved}.values():
            row = _row(incident)
            if incident.id in first_written:
                new.append({**row, "run_id": self._run_id, "id": incident.id})
            else:
                old.append({**row, "of_run": self._run_id, "of_id": incident.id})
        work: dict[sa.Insert | sa.Update, list[Row]] = {}
        # what is closed here makes room for what is opened
        work[self._statements.incident] = old
        work[self._statements.incident_new] = new
        for unit in taken:
            for statement, rows in unit.rows.items():
                work.setdefault(statement, []).extend(rows)
        for statement, rows in work.items():
            if rows:
                connection.execute(statement, rows)
                self._note_proof(statement, rows[0])

    def _note_proof(self, statement: sa.Insert | sa.Update, row: Row) -> None:
        table = statement.table
        # an effect whose key is known is left out, and adding it again does no harm
        assert isinstance(table, sa.Table)
        if self._proof is None and "body" in row and table is not s.outbox:
            key = {"run_id": self._run_id, "id": row["of_id"]} if "of_id" in row else {}
            self._proof = table, {**row, **key}

    def made(self, connection: sa.Connection) -> bool:
        """Whether the transaction was made, where its COMMIT got no answer.

        False too where that can't be told, and where writing all of it again does no harm.
        """
        if self._proof is None:
            return False
        table, row = self._proof
        where = [column == row[column.name] for column in table.primary_key]
        return bool(connection.scalar(sa.select(table.c.body).where(*where)) == row["body"])


def _register(connection: sa.Connection, run_id: str, units: Sequence[SqlUnit]) -> Register:
    """What is stored about the incidents of a group."""
    incidents = [incident for unit in units for incident, _ in unit.incidents]
    if not incidents:
        return Register({}, {})
    i = s.incidents
    rows = connection.execute(
        sa.select(i.c.id, i.c.version).where(
            i.c.run_id == run_id, i.c.id.in_(_padded({incident.id for incident in incidents}))
        )
    )
    versions = {row.id: row.version for row in rows}
    rows = connection.execute(
        sa.select(i.c.id, i.c.subject_kind, i.c.subject_name).where(
            i.c.run_id == run_id,
            i.c.subject_kind.in_({incident.subject.kind for incident in incidents}),
            i.c.subject_name.in_(_padded({incident.subject.name for incident in incidents})),
            i.c.is_open.is_(sa.true()),
        )
    )
    return Register(versions, {Subject(row.subject_kind, row.subject_name): row.id for row in rows})


def _refusal(register: Register, unit: SqlUnit) -> Refused | None:
    try:
        register.enter(unit.incidents)
    except (StaleVersion, IllegalEvent) as refused:
        return refused
    return None


def _padded(names: set[str]) -> list[str]:
    """The names in a list whose length is a power of two: a server prepares each length anew."""
    known = list(names)
    return known + known[:1] * ((1 << (len(known) - 1).bit_length()) - len(known))


def _row(incident: Incident) -> Row:
    return {
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
