"""The workflow's tables.

A row is the record as msgspec-JSON in `body`, beside the columns that are filtered or ordered on.
Every row belongs to a run. This is the present shape; how older files come to it is told by
`migrations`, and a test holds the two together.
"""

from __future__ import annotations

import sqlalchemy as sa
from sqlalchemy.schema import SchemaItem

metadata = sa.MetaData()

TIME = sa.Double
"""Epoch seconds."""


def _of_run(*key: str) -> tuple[SchemaItem, ...]:
    return (
        sa.Column("run_id", sa.String, sa.ForeignKey("runs.run_id"), primary_key=True),
        *(sa.Column(name, sa.String, primary_key=True) for name in key),
    )


runs = sa.Table(
    "runs",
    metadata,
    sa.Column("run_id", sa.String, primary_key=True),
    sa.Column("number", sa.Integer, nullable=False, unique=True),
    sa.Column("started_at", TIME, nullable=False),
)

agents = sa.Table(
    "agents",
    metadata,
    *_of_run("agent_id"),
    sa.Column("body", sa.Text, nullable=False),
)

incidents = sa.Table(
    "incidents",
    metadata,
    *_of_run("id"),
    sa.Column("number", sa.Integer, nullable=False),
    sa.Column("subject_kind", sa.String, nullable=False),
    sa.Column("subject_name", sa.String, nullable=False),
    sa.Column("state", sa.String, nullable=False),
    sa.Column("is_open", sa.Boolean, nullable=False),
    sa.Column("version", sa.Integer, nullable=False),
    sa.Column("opened_at", TIME, nullable=False),
    sa.Column("updated_at", TIME, nullable=False),
    sa.Column("body", sa.Text, nullable=False),
)
_is_open = incidents.c.is_open.is_(sa.true())
sa.Index(
    "incidents_one_open",
    incidents.c.run_id,
    incidents.c.subject_kind,
    incidents.c.subject_name,
    unique=True,
    sqlite_where=_is_open,
    postgresql_where=_is_open,
)
sa.Index(
    "incidents_newest",
    incidents.c.run_id,
    incidents.c.opened_at,
    incidents.c.number,
)
sa.Index("incidents_subject", incidents.c.run_id, incidents.c.subject_name)

incident_events = sa.Table(
    "incident_events",
    metadata,
    *_of_run(),
    sa.Column("seq", sa.BigInteger, primary_key=True, autoincrement=False),
    sa.Column("incident_id", sa.String, nullable=False),
    sa.Column("version", sa.Integer, nullable=False),
    sa.Column("state", sa.String, nullable=False),
    sa.Column("at", TIME, nullable=False),
    sa.Column("body", sa.Text, nullable=False),
)
sa.Index(
    "incident_events_of",
    incident_events.c.run_id,
    incident_events.c.incident_id,
    incident_events.c.seq,
)

outbox = sa.Table(
    "outbox",
    metadata,
    *_of_run("key"),
    sa.Column("number", sa.BigInteger, nullable=False),
    sa.Column("due_at", TIME, nullable=False),
    sa.Column("attempts", sa.Integer, nullable=False),
    sa.Column("done_at", TIME),
    sa.Column("body", sa.Text, nullable=False),
)
_waiting = outbox.c.done_at.is_(None)
sa.Index(
    "outbox_waiting",
    outbox.c.run_id,
    outbox.c.due_at,
    outbox.c.number,
    sqlite_where=_waiting,
    postgresql_where=_waiting,
)

fences = sa.Table(
    "fences",
    metadata,
    *_of_run("id"),
    sa.Column("agent_id", sa.String, nullable=False),
    sa.Column("ordered_at", TIME, nullable=False),
    sa.Column("lifted_at", TIME),
    sa.Column("body", sa.Text, nullable=False),
)
_standing = fences.c.lifted_at.is_(None)
sa.Index(
    "fences_standing",
    fences.c.run_id,
    fences.c.ordered_at,
    sqlite_where=_standing,
    postgresql_where=_standing,
)

treatments = sa.Table(
    "treatments",
    metadata,
    *_of_run("id"),
    sa.Column("agent_id", sa.String, nullable=False),
    sa.Column("state", sa.String, nullable=False),
    sa.Column("since", TIME, nullable=False),
    sa.Column("body", sa.Text, nullable=False),
)
sa.Index("treatments_state", treatments.c.run_id, treatments.c.state)

healings = sa.Table(
    "healings",
    metadata,
    *_of_run("key"),
    sa.Column("incident_id", sa.String, nullable=False),
    sa.Column("agent_id", sa.String, nullable=False),
    sa.Column("ordered_at", TIME, nullable=False),
    sa.Column("body", sa.Text, nullable=False),
)
sa.Index("healings_newest", healings.c.run_id, healings.c.ordered_at)
sa.Index("healings_agent", healings.c.run_id, healings.c.agent_id, healings.c.ordered_at)
sa.Index("healings_incident", healings.c.run_id, healings.c.incident_id)

baselines = sa.Table(
    "baselines",
    metadata,
    *_of_run("agent_id", "kind"),
    sa.Column("saved_at", TIME, nullable=False),
    sa.Column("blob", sa.LargeBinary, nullable=False),
)

order_keys = sa.Table(
    "order_keys",
    metadata,
    *_of_run("key"),
    sa.Column("order", sa.String, nullable=False),
    sa.Column("at", TIME, nullable=False),
    sa.Column("answer", sa.LargeBinary),
)
sa.Index("order_keys_oldest", order_keys.c.run_id, order_keys.c.at)

settings = sa.Table(
    "settings",
    metadata,
    *_of_run("key"),
    sa.Column("value", sa.String, nullable=False),
)
