"""Which run a store is opened for."""

from __future__ import annotations

import enum
from datetime import UTC, datetime

import sqlalchemy as sa

from immune.stores.schema import runs


class RunChoice(enum.Enum):
    """Which run, where it isn't named by its id."""

    NEW = enum.auto()
    """A run of its own, as for a demo."""
    LAST = enum.auto()
    """The one begun last, as for a server that restarts; a new one where there is none."""


def begin_run(connection: sa.Connection, choice: RunChoice | str, now: float) -> str:
    """Find or make the run; returns its id. A new one is named by the time it began."""
    last = connection.execute(
        sa.select(runs.c.run_id, runs.c.number).order_by(runs.c.number.desc()).limit(1)
    ).first()
    if choice is RunChoice.LAST and last is not None:
        return str(last.run_id)
    known = set(connection.scalars(sa.select(runs.c.run_id)))
    if isinstance(choice, str):
        run_id = choice
    else:
        run_id = name = f"{datetime.fromtimestamp(now, UTC):%Y%m%d-%H%M%S}"
        again = 2
        while run_id in known:
            run_id = f"{name}-{again}"
            again += 1
    if run_id not in known:
        number = 1 if last is None else last.number + 1
        connection.execute(sa.insert(runs).values(run_id=run_id, number=number, started_at=now))
    return run_id
