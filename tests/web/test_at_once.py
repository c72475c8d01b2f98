"""Orders within one millisecond: each is its own, and none is done twice."""

from __future__ import annotations

import asyncio

from tests.web.conftest import Site

WHY = {"why": "odd mails"}


async def test_two_lockdowns_at_once_are_two(site: Site) -> None:
    """One undo takes one back; the other's holds stand."""
    await site.agent("a")
    ids = [
        (await site.client.post("/api/lockdowns", json=WHY | {"who": who})).json()["id"]
        for who in ("ann", "bob")
    ]
    assert len(set(ids)) == 2
    await site.client.post(f"/api/lockdowns/{ids[0]}/undo", json={})
    assert [fence.by for fence in site.system.orchestrator.quarantine.standing("a")] == ["bob"]


async def test_a_hold_raised_anew_at_once_is_a_new_one(site: Site) -> None:
    """The first stays in the log as lifted, and the enforcement point hears of all three."""
    await site.agent("a")
    for verb in ("quarantine", "release", "quarantine"):
        done = await site.client.post(f"/api/agents/a/{verb}", json=WHY)
        assert done.status_code == 200
    await site.system.orchestrator.turn()
    rows = await site.system.orchestrator.workflow.fences(standing_only=False)
    assert sorted(row.lifted_at is None for row in rows) == [False, True]
    assert all(row.enforced_at for row in site.system.orchestrator.quarantine.standing("a"))


async def test_two_who_hold_an_agent_at_once_hold_it_twice(site: Site) -> None:
    """Neither hold is written over the other."""
    await site.agent("a")
    post = site.client.post
    both = [post("/api/agents/a/quarantine", json=WHY | {"who": who}) for who in ("ann", "bob")]
    assert [answer.status_code for answer in await asyncio.gather(*both)] == [200, 200]
    standing = site.system.orchestrator.quarantine.standing("a")
    assert {fence.by for fence in standing} == {"ann", "bob"}


async def test_a_hold_is_lifted_by_one_of_two(site: Site) -> None:
    """The slower one is told that none stands, and the row names who did it."""
    await site.agent("a")
    await site.client.post("/api/agents/a/quarantine", json=WHY)
    post = site.client.post
    both = [post("/api/agents/a/release", json={"who": who}) for who in ("ann", "bob")]
    answers = await asyncio.gather(*both)
    assert sorted(answer.status_code for answer in answers) == [200, 404]
    winner = "ann" if answers[0].status_code == 200 else "bob"
    (row,) = await site.system.orchestrator.workflow.fences(standing_only=False)
    assert f"released by {winner}" in row.reason


async def test_a_lockdown_is_undone_by_one_of_two(site: Site) -> None:
    """As with a single hold."""
    await site.agent("a")
    made = (await site.client.post("/api/lockdowns", json=WHY)).json()
    path = f"/api/lockdowns/{made['id']}/undo"
    both = [site.client.post(path, json={"who": who}) for who in ("ann", "bob")]
    statuses = [answer.status_code for answer in await asyncio.gather(*both)]
    assert sorted(statuses) == [200, 404]
