"""An installation with something in all of its stores, and a picture of its workflow."""

from __future__ import annotations

import uuid
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import sqlalchemy as sa

from immune.clock import ManualClock
from immune.columns import Names, from_vitals
from immune.healing.actions import TreatmentState
from immune.incidents import events as e
from immune.ports import AgentRow, BaselineRow, OrderKey
from immune.settings import StoreSettings
from immune.stores.place import Place, place_of
from immune.stores.runs import RunChoice
from immune.stores.sql import SqlStore
from immune.stores.telemetry_sqlite import SqliteTelemetry
from immune.testing.postgresql import Postgresql
from immune.vitals import Kind
from tests.stores import cases as c
from tests.stores.cases import NOW, vital

JOURNAL = b"spans that wait"


def installation(folder: Path, server: Postgresql | None = None) -> Place:
    """Where a new one is: in a folder, with its workflow on a server where one is given."""
    url = "" if server is None else server.database(f"db_{uuid.uuid4().hex}")
    return place_of(StoreSettings(directory=str(folder), workflow_url=url))


@asynccontextmanager
async def opened(
    url: sa.URL | str, run_id: RunChoice | str = RunChoice.LAST
) -> AsyncIterator[SqlStore]:
    """A workflow store for the length of the block."""
    store = SqlStore(url, run_id, clock=ManualClock())
    await store.open()
    try:
        yield store
    finally:
        await store.close()


async def fill(store: SqlStore, cases: int = 1) -> None:
    """One row of each kind, and more cases where that is asked for."""
    async with store.unit() as unit:
        for number in range(1, cases + 1):
            await unit.save_incident(c.incident(number, agent=f"agent-{number}"), 0)
        await unit.append_event(c.incident(), e.Opened(at=NOW), NOW)
        await unit.put_fence(c.fence())
        await unit.put_treatment(c.treatment("t-1", TreatmentState.IN_FORCE))
        await unit.put_healing(c.healing(1))
        await unit.add_effects([c.push("k1")], NOW)
    await store.put_agents([AgentRow("agent-1")])
    await store.put_baselines([BaselineRow("agent-1", Kind.RUN, NOW, b"b\x00")])
    await store.put_setting("mode", "ask")
    await store.put_order_key(OrderKey("k", "o", NOW, b'{"state":"ask"}'))


async def image(store: SqlStore) -> list[object]:
    """All that the run of a store holds."""
    return [
        await store.incidents(),
        await store.events(),
        await store.fences(),
        await store.treatments(),
        await store.healings(),
        await store.due_effects(NOW),
        await store.agents(),
        await store.baselines(),
        await store.setting("mode"),
        await store.order_key("k"),
    ]


async def furnish(place: Place) -> list[object]:
    """Put something into each store; return the workflow's image."""
    place.folder.mkdir(exist_ok=True)
    place.salt.write_bytes(b"s" * 32)
    place.journal.write_bytes(JOURNAL)
    async with opened(place.workflow, "run-a") as store:
        await fill(store)
        before = await image(store)
    telemetry = SqliteTelemetry(place.telemetry, "run-a", names := Names())
    await telemetry.open()
    await telemetry.append(from_vitals([vital(NOW), vital(NOW + 1)], names))
    await telemetry.close()
    return before


async def contents(place: Place) -> tuple[list[object], int, bytes, bytes]:
    """The workflow's image, the number of vitals, the journal, and the salt."""
    async with opened(place.workflow) as store:
        found = await image(store)
    telemetry = SqliteTelemetry(place.telemetry, "run-a", Names())
    await telemetry.open()
    vitals = len(await telemetry.read("agent-1"))
    await telemetry.close()
    return found, vitals, place.journal.read_bytes(), place.salt.read_bytes()
