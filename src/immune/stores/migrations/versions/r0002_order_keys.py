"""Keys of orders have a table of their own, each its row, until it expires.

They were settings at one of 4096 places, which overwrote one another. Those that are still there
move, as if they had come now.
"""

from __future__ import annotations

import json

import sqlalchemy as sa
from alembic import op

from immune.clock import SystemClock

revision = "0002"
down_revision = "0001"

_settings = sa.table("settings", sa.column("run_id"), sa.column("key"), sa.column("value"))


def upgrade() -> None:
    order_keys = op.create_table(
        "order_keys",
        sa.Column("run_id", sa.String, sa.ForeignKey("runs.run_id"), primary_key=True),
        sa.Column("key", sa.String, primary_key=True),
        sa.Column("order", sa.String, nullable=False),
        sa.Column("at", sa.Double, nullable=False),
        sa.Column("answer", sa.LargeBinary),
    )
    op.create_index("order_keys_oldest", "order_keys", ["run_id", "at"])
    connection = op.get_bind()
    places = _settings.c.key.like("once/%")
    now = SystemClock().time()
    rows = [
        _row(place.run_id, json.loads(place.value), now)
        for place in connection.execute(sa.select(_settings).where(places))
    ]
    op.bulk_insert(order_keys, rows)
    connection.execute(sa.delete(_settings).where(places))


def _row(run_id: str, kept: dict[str, object], now: float) -> dict[str, object]:
    answer = json.dumps(kept["answer"], ensure_ascii=False, separators=(",", ":")).encode()
    return {
        "run_id": run_id,
        "key": kept["key"],
        "order": kept["order"],
        "at": now,
        "answer": answer,
    }
