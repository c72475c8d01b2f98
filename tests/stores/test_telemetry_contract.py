"""What every `TelemetryStore` promises, run against each of them."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from pathlib import Path

import numpy as np
import pytest

from immune.columns import Names, from_vitals
from immune.ports import AgentRow, TelemetryStore
from immune.stores.telemetry_sqlite import SqliteTelemetry
from immune.testing import MemoryTelemetry
from immune.vitals import Kind, Metric, Vital
from tests.stores import cases as c
from tests.stores.cases import NOW, vital

DAY_S = 86_400.0


@pytest.fixture
def names() -> Names:
    return Names()


@pytest.fixture(params=["file", "fake"])
async def store(
    request: pytest.FixtureRequest, tmp_path: Path, names: Names
) -> AsyncIterator[TelemetryStore]:
    kinds: dict[str, TelemetryStore] = {
        "file": SqliteTelemetry(tmp_path / "vitals.db", "run-a", names),
        "fake": MemoryTelemetry(names),
    }
    store = kinds[request.param]
    await store.open()
    yield store
    await store.close()


@pytest.fixture(params=["fresh", "settled"])
def later(request: pytest.FixtureRequest) -> float:
    """When the sweep comes: too early to do anything, or late enough to sort what came."""
    return NOW + (0.0 if request.param == "fresh" else 1000.0)


async def put(store: TelemetryStore, names: Names, vitals: Sequence[Vital]) -> None:
    await store.append(from_vitals(vitals, names))


async def test_nothing_is_known_of_an_unknown_agent(store: TelemetryStore, names: Names) -> None:
    """Asking for it makes no name either."""
    assert await store.read("nobody") == []
    assert await store.rollups("nobody") == []
    assert await store.count() == 0
    assert len(names.agents) == 1


async def test_who_reported_lately_is_known_from_its_vitals(
    store: TelemetryStore, names: Names
) -> None:
    """By the latest of each fact; none before the time asked for, none ahead of its arrival."""
    assert await store.lately(60) == []
    await put(store, names, [vital(NOW - 100, "gone", received_at=NOW - 100)])
    told = vital(NOW - 2, "a", received_at=NOW, model="m-1", agent_type="coder", provider="p")
    await put(store, names, [told, vital(NOW + 9, "b", received_at=NOW)])
    await put(store, names, [vital(NOW + 1, "a", received_at=NOW + 2, model="m-2")])
    assert sorted(await store.lately(60), key=lambda row: row.agent_id) == [
        AgentRow("a", "coder", "m-2", "p", first_seen_at=NOW - 2, last_seen_at=NOW + 1),
        AgentRow("b", first_seen_at=NOW, last_seen_at=NOW),
    ]


async def test_a_vital_comes_back_as_it_was(
    store: TelemetryStore, names: Names, later: float
) -> None:
    """Every metric, every fact, every call."""
    bare = Vital(agent_id="agent-1", at=NOW + 1)
    await put(store, names, [c.FULL_VITAL, bare, vital(NOW, "agent-2", step_id="x")])
    await store.sweep(later)
    assert await store.read("agent-1") == [c.FULL_VITAL, bare]


async def test_vitals_are_read_in_order_of_their_time(
    store: TelemetryStore, names: Names, later: float
) -> None:
    """Late ones go where they belong, whichever batch brought them."""
    await put(store, names, [vital(NOW + 3), vital(NOW + 1), vital(NOW + 2, "agent-2")])
    await store.sweep(later)
    await put(store, names, [vital(NOW + 2), vital(NOW + 9)])
    await put(store, names, [vital(NOW)])
    times = [v.at - NOW for v in await store.read("agent-1")]
    assert times == [0, 1, 2, 3, 9]
    assert [v.at - NOW for v in await store.read("agent-1", limit=3)] == [2, 3, 9]
    assert [v.at - NOW for v in await store.read("agent-1", since=NOW + 1, until=NOW + 3)] == [
        1,
        2,
        3,
    ]
    assert [v.at - NOW for v in await store.read("agent-1", until=NOW + 3, limit=2)] == [2, 3]
    assert await store.read("agent-1", limit=0) == []


async def test_kinds_are_told_apart(store: TelemetryStore, names: Names, later: float) -> None:
    """An agent's calls and its runs are two series."""
    await put(
        store,
        names,
        [vital(NOW, kind=Kind.CALL), vital(NOW + 1), vital(NOW + 2, kind=Kind.CALL)],
    )
    await store.sweep(later)
    assert [v.at - NOW for v in await store.read("agent-1", kind=Kind.CALL)] == [0, 2]
    assert [v.at - NOW for v in await store.read("agent-1", kind=Kind.RUN, limit=5)] == [1]
    assert [r.kind for r in await store.rollups("agent-1", kind=Kind.RUN)] == [Kind.RUN]


async def test_the_newest_are_found_over_many_batches(
    store: TelemetryStore, names: Names, later: float
) -> None:
    """With a limit, the newest of all, sorted already or not."""
    rng = np.random.default_rng(5)
    offsets = rng.permutation(600).astype(float)
    for part in np.split(offsets, 30):
        await put(store, names, [vital(NOW + t, f"agent-{int(t) % 3}") for t in part.tolist()])
    await store.sweep(later)
    await put(store, names, [vital(NOW + 600, "agent-0")])
    for limit in (1, 7, 50, 500):
        found = [v.at - NOW for v in await store.read("agent-0", limit=limit)]
        assert found == [float(t) for t in range(0, 601, 3)][-limit:]


async def test_a_step_counts_once(store: TelemetryStore, names: Names, later: float) -> None:
    """A batch sent twice, a step twice in a batch: the first one holds. Without an id, all do."""
    batch = [vital(NOW, step_id="s-1"), vital(NOW + 1, step_id="s-2"), vital(NOW + 2)]
    await put(store, names, batch)
    await store.sweep(later)
    await put(store, names, batch)
    await put(store, names, [vital(NOW + 3, step_id="s-3"), vital(NOW + 4, step_id="s-3")])
    await put(store, names, [vital(NOW + 9, step_id="s-1")])
    assert [v.at - NOW for v in await store.read("agent-1")] == [0, 1, 2, 2, 3]
    assert await store.count() == 5


async def new_rows(
    store: TelemetryStore, names: Names, vitals: Sequence[Vital]
) -> list[int] | None:
    """What `append` says of them, as a list."""
    rows = await store.append(from_vitals(vitals, names))
    return None if rows is None else rows.tolist()


async def test_append_tells_which_rows_were_new(
    store: TelemetryStore, names: Names, later: float
) -> None:
    """Those are the ones stored; all of them is told without a list."""
    batch = [vital(NOW, step_id="s-1"), vital(NOW + 1), vital(NOW + 2, step_id="s-2")]
    assert await new_rows(store, names, batch) is None
    await store.sweep(later)
    assert await new_rows(store, names, batch) == [1]
    assert await new_rows(store, names, batch[::2]) == []
    more = [vital(NOW + 3, step_id="s-3"), batch[2], vital(NOW, "agent-2", step_id="s-1")]
    assert await new_rows(store, names, more) == [0, 2]
    assert await new_rows(store, names, [vital(NOW + 4), vital(NOW + 4)]) is None
    assert await new_rows(store, names, []) is None
    assert await store.count() == 8


async def test_of_a_step_twice_in_a_batch_the_first_is_new(
    store: TelemetryStore, names: Names
) -> None:
    """However often it is there."""
    batch = [vital(NOW + t, step_id=s) for t, s in enumerate(["a", "b", "a", "a", "b", "c"])]
    assert await new_rows(store, names, batch) == [0, 1, 5]
    assert [v.at - NOW for v in await store.read("agent-1")] == [0, 1, 5]


async def test_of_appends_at_the_same_time_the_first_is_new(
    store: TelemetryStore, names: Names
) -> None:
    """Each is told its own rows, also where they are written together."""

    def step(n: int) -> Vital:
        return vital(NOW + n, step_id=f"s-{n}")

    told = await asyncio.gather(
        *(
            new_rows(store, names, batch)
            for batch in (
                [step(0)],
                [step(1), step(2)],
                [vital(NOW + 9), step(2), step(3)],
                [],
                [step(3), step(1)],
                [vital(NOW + 9), vital(NOW + 9)],
                [step(2), step(4), step(4), step(5)],
            )
        )
    )
    assert told == [None, None, [0, 2], None, [], None, [1, 3]]
    assert [v.at - NOW for v in await store.read("agent-1")] == [0, 1, 2, 3, 4, 5, 9, 9, 9]


async def test_a_step_id_is_its_agents_own(store: TelemetryStore, names: Names) -> None:
    """Two agents that both number their steps from 1 lose nothing."""
    await put(store, names, [vital(NOW, "a", step_id="1"), vital(NOW, "b", step_id="1")])
    assert await store.count() == 2


async def test_calls_stay_with_their_step(
    store: TelemetryStore, names: Names, later: float
) -> None:
    """Also where steps before it were left out, and after sorting."""
    tools = [{"tool": f"tool-{i}", "args_hash": i} for i in range(4)]
    await put(store, names, [vital(NOW, step_id="s-0", calls=tools[:2])])
    await put(
        store,
        names,
        [
            vital(NOW + 5, "agent-2", calls=tools),
            vital(NOW, step_id="s-0", calls=tools[:2]),
            vital(NOW + 2, calls=tools[2:]),
            vital(NOW + 1),
        ],
    )
    await store.sweep(later)
    found = await store.read("agent-1")
    assert [[call.tool for call in v.calls or ()] for v in found] == [
        ["tool-0", "tool-1"],
        [],
        ["tool-2", "tool-3"],
    ]
    (other,) = await store.read("agent-2")
    assert [call.args_hash for call in other.calls or ()] == [0, 1, 2, 3]


async def test_rollups_sum_up_minutes(store: TelemetryStore, names: Names, later: float) -> None:
    """Steps, and per metric how many, their sum and the largest; late ones are added."""
    start = NOW - NOW % 60
    await put(
        store,
        names,
        [
            vital(start + 1, latency_ms=100.0, retries=1.0),
            vital(start + 59.9, latency_ms=300.0),
            vital(start + 60, latency_ms=50.0),
            vital(start + 1, "agent-2", latency_ms=9.0),
        ],
    )
    await store.sweep(later)
    await put(store, names, [vital(start + 30, latency_ms=200.0)])
    first, second = await store.rollups("agent-1")
    assert (first.agent_id, first.kind, first.minute, first.steps) == (
        "agent-1",
        Kind.RUN,
        start,
        3,
    )
    assert first.counts[Metric.LATENCY_MS] == 3
    assert first.sums[Metric.LATENCY_MS] == 600.0
    assert first.maxima[Metric.LATENCY_MS] == 300.0
    assert (first.counts[Metric.RETRIES], first.sums[Metric.RETRIES]) == (1, 1.0)
    assert (first.counts[Metric.COST_USD], first.maxima[Metric.COST_USD]) == (0, 0.0)
    assert (second.minute, second.steps) == (start + 60, 1)
    assert await store.rollups("agent-1", since=start + 60) == [second]
    assert await store.rollups("agent-1", since=start, until=start + 59) == [first]
    assert await store.rollups("agent-1", until=start - 1) == []


async def test_minutes_that_come_in_pieces_are_whole(store: TelemetryStore, names: Names) -> None:
    """Summed up in many sweeps or not at all yet: every reading has all that came."""
    start = NOW - NOW % 60
    for i in range(40):
        kind = Kind.CALL if i % 4 == 3 else Kind.RUN
        await put(store, names, [vital(start + 5 * i, kind=kind, latency_ms=float(i))])
        await store.sweep(start + 1000)
        found = await store.rollups("agent-1")
        assert sum(r.steps for r in found) == i + 1
        assert sum(r.sums[Metric.LATENCY_MS] for r in found) == sum(range(i + 1))
    runs = await store.rollups("agent-1", kind=Kind.RUN)
    assert [(r.minute - start, r.steps) for r in runs] == [(0, 9), (60, 9), (120, 9), (180, 3)]
    assert [r.maxima[Metric.LATENCY_MS] for r in runs] == [10.0, 22.0, 34.0, 38.0]


async def test_vitals_older_than_a_day_go(store: TelemetryStore, names: Names) -> None:
    """The count of what was written stays, and so does what is younger."""
    await put(store, names, [vital(NOW, step_id="s-1"), vital(NOW + 1)])
    await put(store, names, [vital(NOW + DAY_S)])
    while await store.sweep(NOW + 3600):
        pass
    assert len(await store.read("agent-1")) == 3
    while await store.sweep(NOW + DAY_S + 10):
        pass
    assert [v.at for v in await store.read("agent-1")] == [NOW + DAY_S]
    assert await store.count() == 3


async def test_appends_at_the_same_time_are_all_there(store: TelemetryStore, names: Names) -> None:
    """Each knows its own names, whoever is written first."""
    batches = [[vital(NOW + i, f"agent-{i % 7}", model=f"m-{i}")] for i in range(50)]
    await asyncio.gather(*(put(store, names, batch) for batch in batches))
    assert await store.count() == 50
    for i in range(7):
        found = await store.read(f"agent-{i}")
        assert [v.model for v in found] == [f"m-{n}" for n in range(i, 50, 7)]


async def test_an_empty_batch_is_nothing(store: TelemetryStore, names: Names) -> None:
    """It may be appended all the same."""
    await put(store, names, [])
    assert await store.count() == 0
