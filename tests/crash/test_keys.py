"""Orders with a key, sent by many at once to a server that is killed: each is carried out once."""

from __future__ import annotations

import asyncio
import threading
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import httpx2
import numpy as np
import pytest

from immune.clock import SystemClock
from immune.testing.postgresql import Postgresql
from tests.crash import remains
from tests.faults.served import started
from tests.stores.conftest import postgresql

__all__ = ["postgresql"]

LIVES = 4
ORDERS = 12
SENDERS = 50
"""Of each order, at once."""
LIFE_S = 0.6
Answer = tuple[int, str]


def _agent(key: str) -> str:
    return f"agent-{key}"


def _report(client: httpx2.Client, keys: list[str]) -> None:
    at = SystemClock().time()
    steps = [{"agent_id": _agent(key), "at": at, "latency_ms": 800.0} for key in keys]
    assert client.post("/api/vitals", json=steps).status_code == 202


def _send(client: httpx2.Client, key: str, who: str = "ann") -> Answer | None:
    """Order a hold; the answer, or None where the server died."""
    try:
        answer = client.post(
            f"/api/agents/{_agent(key)}/quarantine",
            json={"who": who, "why": "audit"},
            headers={"Idempotency-Key": key},
        )
    except httpx2.HTTPError:
        return None
    return answer.status_code, answer.text


def _carried_out_once(folder: Path, url: str, seed: int, lives: int = LIVES) -> None:
    rng = np.random.default_rng(seed)
    told: dict[str, set[Answer]] = {}
    again: list[str] = []
    for life in range(lives + 1):
        fresh = [f"{life}-{number}" for number in range(ORDERS)] if life < lives else []
        with started(folder, url) as (process, plant):
            _report(plant.client, again + fresh)
            for key in again:  # what an earlier life was asked
                answer = _send(plant.client, key)
                assert answer is not None
                assert answer[0] == 200 or "interrupted" in answer[1], answer
                if told[key]:
                    assert told[key] == {answer}, "the answer that was given before"
                told[key].add(answer)
                other = _send(plant.client, key, who="bob")
                assert other is not None
                assert other[0] == 422, "the key is another order's"
            if not fresh:
                break
            end = threading.Timer(float(rng.uniform(0.05, LIFE_S)), process.kill)
            asked = [key for key in fresh for _ in range(SENDERS)]
            with ThreadPoolExecutor(SENDERS) as threads:
                end.start()
                answers = list(threads.map(lambda key: _send(plant.client, key), asked))
            end.join()
            process.wait(10)
        for key, answer in zip(asked, answers, strict=True):
            told.setdefault(key, set()).update(() if answer is None else (answer,))
        for key in fresh:
            # on an agent that was answered for, nobody was told that it is not known
            assert {status for status, _ in told[key]} <= {200}, told[key]
            assert len(told[key]) <= 1, "all who sent it were told the same"
        again = fresh
    url = url or f"sqlite:///{folder}/data/workflow.db"
    found = asyncio.run(remains.read(url, folder / "data" / "telemetry.db"))
    holds = Counter(fence.agent_id for fence in found.fences)
    assert set(holds.values()) == {1}
    for key, said in told.items():
        ((status, _),) = said
        assert status != 200 or holds[_agent(key)] == 1


def test_an_order_with_a_key_is_carried_out_once_on_a_file(tmp_path: Path) -> None:
    """Fifty send it at the same time, the server is killed, they send it again."""
    _carried_out_once(tmp_path, "", seed=1)


@pytest.mark.server
def test_an_order_with_a_key_is_carried_out_once_on_a_server(
    tmp_path: Path, postgresql: Postgresql
) -> None:
    """The same with the workflow in PostgreSQL."""
    _carried_out_once(tmp_path, postgresql.database("keys"), seed=2)
