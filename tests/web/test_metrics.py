"""Metrics over HTTP: each interval counts once, in whatever order the store answers."""

from __future__ import annotations

import asyncio
from typing import Any

from immune.errors import StoreDown
from tests.web.conftest import Site

S = 1_000_000_000


def export(now: float, at: float, count: int, total: float) -> dict[str, Any]:
    """A running total of calls and of their seconds, `at` seconds from `now`."""
    point = {
        "startTimeUnixNano": str(round((now - 3600) * S)),
        "timeUnixNano": str(round((now + at) * S)),
        "count": str(count),
        "sum": total,
    }
    histogram = {"aggregationTemporality": 2, "dataPoints": [point]}
    metric = {"name": "gen_ai.client.operation.duration", "histogram": histogram}
    service = {"key": "service.name", "value": {"stringValue": "svc"}}
    resource = {"attributes": [service]}
    return {"resourceMetrics": [{"resource": resource, "scopeMetrics": [{"metrics": [metric]}]}]}


async def latencies(site: Site) -> list[float | None]:
    """What was stored of the service, in order of time."""
    stored = await site.telemetry.read("svc")
    return [vital.latency_ms for vital in stored]


async def test_two_exports_on_their_way_at_once_count_each_interval_once(site: Site) -> None:
    """A collector sends from several queues: the second does not bring the first's calls again."""
    now = site.clock.time()
    await site.client.post("/v1/metrics", json=export(now, -180, 100, 100.0))
    site.gate.open.clear()
    first = asyncio.ensure_future(
        site.client.post("/v1/metrics", json=export(now, -120, 110, 120.0))
    )
    second = asyncio.ensure_future(
        site.client.post("/v1/metrics", json=export(now, -60, 120, 160.0))
    )
    for _ in range(100):  # both have come as far as they come
        await site.clock.sleep(0)
    site.gate.open.set()
    assert [answer.status_code for answer in await asyncio.gather(first, second)] == [200, 200]
    assert await latencies(site) == [2000, 4000]


async def test_what_waited_for_one_that_was_not_stored_brings_its_calls(site: Site) -> None:
    """Else the calls of the first would be in neither."""
    now = site.clock.time()
    await site.client.post("/v1/metrics", json=export(now, -180, 100, 100.0))
    site.gate.fault = StoreDown("disk full")
    answer = await site.client.post("/v1/metrics", json=export(now, -120, 110, 120.0))
    assert answer.status_code == 503
    site.gate.fault = None
    answer = await site.client.post("/v1/metrics", json=export(now, -60, 120, 160.0))
    assert answer.status_code == 200
    assert await latencies(site) == [3000]
