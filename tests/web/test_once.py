"""An order whose answer got lost can be sent again."""

from __future__ import annotations

import asyncio

import msgspec
import pytest

from immune.clock import ManualClock
from immune.errors import InvalidInput, StoreDown
from immune.incidents.states import State
from immune.ports import OrderKey, WorkflowStore
from immune.testing import MemoryWorkflow
from immune.web.once import DROPPED_AT_ONCE, KEPT_S, Once
from immune.web.refusals import Interrupted
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


async def test_of_a_thousand_orders_sent_again_none_is_carried_out_again(site: Site) -> None:
    """Each key has a row of its own, and none takes the place of another."""
    agents = [f"a-{number}" for number in range(1000)]
    for agent in agents:
        await site.agent(agent)
    why = {"why": "a leak"}
    answers: list[list[bytes]] = [[], []]
    for answered in answers:
        for agent in agents:
            order = site.client.post(
                f"/api/agents/{agent}/quarantine",
                json=why,
                headers={"idempotency-key": f"batch/{agent}"},
            )
            answered.append((await order).content)
    assert answers[0] == answers[1]
    assert len(site.system.orchestrator.quarantine.standing()) == 1000


async def _done(store: WorkflowStore) -> bytes:
    await store.put_setting("mode", "ask")
    return b"{}"


async def test_two_at_once_are_one_and_a_restart_changes_nothing() -> None:
    """The second waits for the first one's answer; the next process knows it too."""
    store, clock = MemoryWorkflow("r"), ManualClock()
    gate, times = asyncio.Event(), 0

    async def carry_out() -> bytes:
        nonlocal times
        await gate.wait()
        times += 1
        return b'{"times":%d}' % times

    once = Once(store, clock)
    both = [asyncio.create_task(once.answer("k", b"order", carry_out)) for _ in range(2)]
    await asyncio.sleep(0)  # noqa: TID251  # lets both begin
    gate.set()
    assert await asyncio.gather(*both) == [b'{"times":1}'] * 2
    assert await Once(store, clock).answer("k", b"order", carry_out) == b'{"times":1}'
    assert times == 1


async def test_an_order_that_broke_off_is_not_carried_out_again() -> None:
    """It had written something, and nobody knows how much: whoever asks again must look first."""
    store = MemoryWorkflow("r")
    once = Once(store, ManualClock())

    async def breaks_off() -> bytes:
        await _done(store)
        raise StoreDown("the disk is full")

    with pytest.raises(StoreDown):
        await once.answer("k", b"order", breaks_off)
    with pytest.raises(Interrupted, match="look before you try again"):
        await once.answer("k", b"order", lambda: _done(store))
    with pytest.raises(InvalidInput, match="another order"):
        await once.answer("k", b"another", lambda: _done(store))


async def test_an_order_that_wrote_nothing_is_tried_again() -> None:
    """The store did not answer: nothing was done, and the client was told to come back."""
    store = MemoryWorkflow("r")
    once = Once(store, ManualClock())

    async def does_nothing() -> bytes:
        raise StoreDown("the disk is full")

    with pytest.raises(StoreDown):
        await once.answer("k", b"order", does_nothing)
    assert await once.answer("k", b"order", lambda: _done(store)) == b"{}"


async def test_what_was_done_is_said_also_where_its_answer_cannot_be_kept() -> None:
    """503 would say that nothing was done."""
    store = _Forgetful("r")
    once = Once(store, ManualClock())
    assert await once.answer("k", b"order", lambda: _done(store)) == b"{}"
    with pytest.raises(Interrupted):
        await once.answer("k", b"order", lambda: _done(store))


class _Forgetful(MemoryWorkflow):
    """Its disk is full whenever an answer is to be kept."""

    async def put_order_key(self, row: OrderKey) -> None:
        raise StoreDown("the disk is full")


async def test_a_key_is_known_for_a_day() -> None:
    """Then it is forgotten, however many there are, and its order is a new one."""
    store, clock = MemoryWorkflow("r"), ManualClock()
    once = Once(store, clock)
    times = 0

    async def count() -> bytes:
        nonlocal times
        times += 1
        return b"%d" % times

    for number in range(DROPPED_AT_ONCE + 1):
        await once.answer(f"k-{number}", b"order", count)
    clock.advance(KEPT_S - 1)
    await once.answer("young", b"order", count)
    assert await once.answer("k-0", b"order", count) == b"1"
    clock.advance(2)
    assert await once.answer("k-0", b"order", count) == b"%d" % times
    assert times == DROPPED_AT_ONCE + 3
    await once.forget()
    assert await store.drop_order_keys(clock.time() + 1, 10) == 2


async def test_of_too_many_keys_the_oldest_go() -> None:
    """A client that makes up a new one for each order does not fill the disk within the day."""
    store, clock = MemoryWorkflow("r"), ManualClock()
    once = Once(store, clock, most=3)
    for number in range(5):
        clock.advance(1)
        await once.answer(f"k-{number}", b"order", lambda: _done(store))
    await once.forget()
    assert await store.drop_order_keys(clock.time() + 1, 10) == 3


@pytest.mark.parametrize(
    "keys", [[""], ["k" * 257], ["k" * 10_240], ["schl\xfcssel"], ["a\tb"], ["a", "b"], ["a", "a"]]
)
async def test_a_key_that_is_none_is_refused(site: Site, keys: list[str]) -> None:
    """Before anything is done: its client believes that it may send the order again."""
    await site.agent("a")
    headers = [(b"idempotency-key", key.encode("latin-1")) for key in keys]
    answer = await site.client.post(
        "/api/agents/a/quarantine",
        content=b'{"why": "it sends mail"}',
        headers=[(b"content-type", b"application/json"), *headers],
    )
    assert (answer.status_code, answer.json()["field"]) == (422, "Idempotency-Key")
    assert not site.system.orchestrator.quarantine.standing("a")


async def test_an_interrupted_order_on_a_case_shows_the_case(site: Site) -> None:
    """409, with the case as it is now and what happened to it, so that one can look."""
    case = await site.case()
    path, order = f"/api/incidents/{case.id}/reject", {"version": case.version, "who": "ann"}
    await site.client.post(path, json=order, headers=KEY)
    workflow = site.system.desk.workflow
    (row,) = workflow._order_keys.values()  # type: ignore[attr-defined]
    await workflow.put_order_key(msgspec.structs.replace(row, answer=None))
    answer = await site.client.post(path, json=order, headers=KEY)
    problem = answer.json()
    assert (answer.status_code, problem["type"]) == (409, "urn:immune:problem:interrupted")
    assert problem["current"]["state"] == "rejected"
    assert [line["event"]["who"] for line in problem["meanwhile"]] == ["ann"]
