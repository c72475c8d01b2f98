"""An order whose answer got lost can be sent again."""

from __future__ import annotations

import asyncio

import msgspec

from immune.incidents.states import State
from immune.testing import MemoryWorkflow
from immune.web.once import Once
from tests.web.conftest import Site

KEY = {"idempotency-key": "7b1c"}


async def test_an_order_sent_again_is_answered_again_and_not_carried_out(site: Site) -> None:
    """Without the key the second one is told that somebody decided meanwhile."""
    case = await site.case()
    path, order = f"/api/incidents/{case.id}/reject", {"version": case.version, "why": "no"}
    first = await site.client.post(path, json=order, headers=KEY)
    again = await site.client.post(path, json=order, headers=KEY)
    assert (first.status_code, again.status_code) == (200, 200)
    assert first.content == again.content
    assert msgspec.json.decode(first.content)["state"] == State.REJECTED
    assert (await site.client.post(path, json=order)).status_code == 409


async def test_a_key_of_another_order_is_refused(site: Site) -> None:
    """422 naming the header: the client mixes up its keys."""
    await site.agent("a")
    await site.agent("b")
    why = {"why": "it sends mail"}
    post = site.client.post
    assert (await post("/api/agents/a/quarantine", json=why, headers=KEY)).status_code == 200
    for path, body in (
        ("/api/agents/b/quarantine", why),
        ("/api/agents/a/quarantine", {"why": "x"}),
    ):
        answer = await post(path, json=body, headers=KEY)
        assert (answer.status_code, answer.json()["field"]) == (422, "Idempotency-Key")
    assert len(site.system.orchestrator.quarantine.standing("a")) == 1
    assert not site.system.orchestrator.quarantine.standing("b")


async def test_what_was_refused_is_judged_anew(site: Site) -> None:
    """Nothing was done, so nothing is kept of it."""
    why = {"why": "it sends mail"}
    path = "/api/agents/late/quarantine"
    assert (await site.client.post(path, json=why, headers=KEY)).status_code == 404
    await site.agent("late")
    assert (await site.client.post(path, json=why, headers=KEY)).status_code == 200


async def test_two_at_once_are_one_and_a_restart_changes_nothing() -> None:
    """The second waits for the first one's answer; the next process knows it too."""
    store = MemoryWorkflow("r")
    await store.open()
    gate, times = asyncio.Event(), 0

    async def carry_out() -> bytes:
        nonlocal times
        await gate.wait()
        times += 1
        return b'{"times":%d}' % times

    once = Once(store)
    both = [asyncio.create_task(once.answer("k", b"order", carry_out)) for _ in range(2)]
    await asyncio.sleep(0)  # noqa: TID251  # lets both begin
    gate.set()
    assert await asyncio.gather(*both) == [b'{"times":1}'] * 2
    assert await Once(store).answer("k", b"order", carry_out) == b'{"times":1}'
    assert times == 1
