"""While the room on a full disk is kept for decisions, intake writes nothing and can be read."""

from __future__ import annotations

import asyncio
import shutil
from pathlib import Path

import pytest

from immune.clock import ManualClock
from immune.columns import Names, from_vitals
from immune.errors import StoreDown
from immune.intake.otlp.journal import SpanJournal
from immune.run.ration import LOOK_S, Refill, ration
from immune.stores.reserve import MB, SLICES, Reserve
from immune.supervisor import Supervisor
from immune.testing import MemoryTelemetry
from immune.vitals import Vital


class Sweeping(MemoryTelemetry):
    """Counts how often it was swept."""

    swept = 0

    async def sweep(self, now: float) -> bool:
        self.swept += 1
        return await super().sweep(now)


@pytest.fixture
def reserve(tmp_path: Path) -> Reserve:
    made = Reserve(tmp_path / "workflow.db", 1 * MB)
    made.open()
    return made


async def test_intake_writes_nothing_while_the_reserve_is_short(
    reserve: Reserve, tmp_path: Path
) -> None:
    """Vitals and spans alike are asked to come again; both go on once it is whole."""
    names = Names()
    journal = SpanJournal(tmp_path / "spans.journal", "run-a")
    journal.open()
    store = MemoryTelemetry(names)
    telemetry, spans = ration(store, journal, reserve, tmp_path)
    columns = from_vitals([Vital(agent_id="a", at=1.0, latency_ms=1.0)], names)
    frame = spans.taken([])
    await telemetry.append(columns)
    spans.append([frame])
    size = journal.size
    reserve.give_up()
    for _ in range(2):
        with pytest.raises(StoreDown, match=r"no room left on the disk of .* 0\.9 of 1\.0 MB"):
            await telemetry.append(columns)
        with pytest.raises(StoreDown, match="no room left"):
            spans.append([frame])
        with pytest.raises(StoreDown, match="no room left"):
            spans.rewrite([frame])
    assert await telemetry.count() == len(await telemetry.read("a")) == 1
    assert journal.size == size
    clock = ManualClock()
    looking = asyncio.create_task(Refill(reserve, clock)())
    await clock.sleep(0)
    clock.advance(LOOK_S)
    await looking
    await telemetry.append(columns)
    spans.append([frame])
    assert journal.size > size
    journal.close()


async def test_retention_goes_on_while_half_of_it_is_there(
    reserve: Reserve, tmp_path: Path
) -> None:
    """What it removes may be all that ever makes room; it writes for it, so not to the end."""
    store = Sweeping(Names())
    telemetry, _ = ration(store, SpanJournal(tmp_path / "s", "r"), reserve, tmp_path)
    for _ in range(SLICES):
        reserve.give_up()
        await telemetry.sweep(1.0)
    assert store.swept == SLICES // 2


async def test_a_full_disk_is_one_failure_however_often_it_is_looked_at(
    reserve: Reserve, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each slice that is given up is one; it is degraded until there is room again."""
    usage = shutil.disk_usage(".")
    monkeypatch.setattr(shutil, "disk_usage", lambda path: usage._replace(free=0))
    clock = ManualClock()
    supervisor = Supervisor(clock)
    supervisor.start("disk", Refill(reserve, clock))

    async def look(times: int) -> tuple[int, bool]:
        for _ in range(times):
            clock.advance(LOOK_S)
            for _ in range(3):
                await asyncio.sleep(0.002)  # noqa: TID251 - it looks from another thread
        health = supervisor.health["disk"]
        return health.failures, health.failing

    await clock.sleep(0)
    assert await look(3) == (0, False)
    reserve.give_up()
    assert await look(30) == (1, True)
    reserve.give_up()
    assert await look(30) == (2, True)
    monkeypatch.undo()
    assert await look(30) == (2, False)
    await supervisor.stop()
