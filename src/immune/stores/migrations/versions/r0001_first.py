"""The first shape of the workflow store."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op
from sqlalchemy.schema import SchemaItem

revision = "0001"
down_revision = None


def _of_run(*key: str) -> tuple[SchemaItem, ...]:
    return (
        sa.Column("run_id", sa.String, sa.ForeignKey("runs.run_id"), primary_key=True),
        *(sa.Column(name, sa.String, primary_key=True) for name in key),
    )


def _text(name: str) -> sa.Column[str]:
    return sa.Column(name, sa.String, nullable=False)


def _time(name: str, nullable: bool = False) -> sa.Column[float]:
    return sa.Column(name, sa.Double, nullable=nullable)


def _body() -> sa.Column[str]:
    return sa.Column("body", sa.Text, nullable=False)


def _partial_index(
    name: str, table: str, columns: list[str], where: str, unique: bool = False
) -> None:
    condition = sa.text(where)
    op.create_index(
        name, table, columns, unique=unique, sqlite_where=condition, postgresql_where=condition
    )


def upgrade() -> None:
    op.create_table(
        "runs",
        sa.Column("run_id", sa.String, primary_key=True),
        sa.Column("number", sa.Integer, nullable=False, unique=True),
        _time("started_at"),
    )
    op.create_table("agents", *_of_run("agent_id"), _body())
    op.create_table(
        "incidents",
        *_of_run("id"),
        sa.Column("number", sa.Integer, nullable=False),
        _text("subject_kind"),
        _text("subject_name"),
        _text("state"),
        sa.Column("is_open", sa.Boolean, nullable=False),
        sa.Column("version", sa.Integer, nullable=False),
        _time("opened_at"),
        _time("updated_at"),
        _body(),
    )
    _partial_index(
        "incidents_one_open",
        "incidents",
        ["run_id", "subject_kind", "subject_name"],
        "is_open IS true",
        unique=True,
    )
    op.create_index("incidents_newest", "incidents", ["run_id", "opened_at", "number"])
    op.create_index("incidents_subject", "incidents", ["run_id", "subject_name"])
    op.create_table(
        "incident_events",
        *_of_run(),
        sa.Column("seq", sa.BigInteger, primary_key=True, autoincrement=False),
        _text("incident_id"),
        sa.Column("version", sa.Integer, nullable=False),
        _text("state"),
        _time("at"),
        _body(),
    )
    op.create_index("incident_events_of", "incident_events", ["run_id", "incident_id", "seq"])
    op.create_table(
        "outbox",
        *_of_run("key"),
        sa.Column("number", sa.BigInteger, nullable=False),
        _time("due_at"),
        sa.Column("attempts", sa.Integer, nullable=False),
        _time("done_at", nullable=True),
        _body(),
    )
    _partial_index("outbox_waiting", "outbox", ["run_id", "due_at", "number"], "done_at IS NULL")
    op.create_table(
        "fences",
        *_of_run("id"),
        _text("agent_id"),
        _time("ordered_at"),
        _time("lifted_at", nullable=True),
        _body(),
    )
    _partial_index("fences_standing", "fences", ["run_id", "ordered_at"], "lifted_at IS NULL")
    op.create_table(
        "treatments", *_of_run("id"), _text("agent_id"), _text("state"), _time("since"), _body()
    )
    op.create_index("treatments_state", "treatments", ["run_id", "state"])
    op.create_table(
        "healings",
        *_of_run("key"),
        _text("incident_id"),
        _text("agent_id"),
        _time("ordered_at"),
        _body(),
    )
    op.create_index("healings_newest", "healings", ["run_id", "ordered_at"])
    op.create_index("healings_agent", "healings", ["run_id", "agent_id", "ordered_at"])
    op.create_index("healings_incident", "healings", ["run_id", "incident_id"])
    op.create_table(
        "baselines",
        *_of_run("agent_id", "kind"),
        _time("saved_at"),
        sa.Column("blob", sa.LargeBinary, nullable=False),
    )
    op.create_table("settings", *_of_run("key"), _text("value"))
