"""Orders on the whole fleet: fence everything, take exactly that back; fleet incidents."""

from __future__ import annotations

import msgspec

from immune.incidents import events as e
from immune.incidents.incident import Subject
from immune.incidents.states import State
from tests.web.conftest import Site


async def test_everything_is_fenced_and_exactly_that_is_undone(site: Site) -> None:
    """The fence of a case and somebody's own hold stay; so does what was lifted meanwhile."""
    for name in ("a", "b", "c/d"):
        await site.agent(name)
    await site.case("a")
    await site.client.post("/api/agents/b/quarantine", json={"who": "bob", "why": "mine"})
    quarantine = site.system.orchestrator.quarantine
    before = {fence.id for fence in quarantine.standing()}
    made = (await site.client.post("/api/lockdowns", json={"who": "ann", "why": "a leak"})).json()
    assert made["agents"] == 3
    assert quarantine.fenced_agents() == {"a", "b", "c/d"}
    await site.system.orchestrator.turn()
    assert all(fence.enforced_at for fence in quarantine.standing("c/d"))
    (standing,) = (await site.client.get("/api/lockdowns")).json()
    assert standing == made
    undone = await site.client.post(f"/api/lockdowns/{made['id']}/undo", json={"who": "eve"})
    assert undone.json()["agents"] == 3
    assert {fence.id for fence in quarantine.standing()} == before
    assert (await site.client.get("/api/lockdowns")).json() == []
    again = await site.client.post(f"/api/lockdowns/{made['id']}/undo", json={})
    assert again.status_code == 404
    lifted = await site.system.orchestrator.workflow.fences(standing_only=False)
    assert any("undone by eve" in fence.reason for fence in lifted)


async def test_a_red_button_needs_a_reason_and_somebody_to_fence(site: Site) -> None:
    """Both are refused with what is missing."""
    nobody = await site.client.post("/api/lockdowns", json={"why": "a leak"})
    assert nobody.status_code == 404
    await site.agent("a")
    no_reason = await site.client.post("/api/lockdowns", json={"who": "ann"})
    assert (no_reason.status_code, no_reason.json()["field"]) == (422, "why")
    assert not site.system.orchestrator.quarantine.fenced_agents()


async def test_each_order_to_fence_everything_is_undone_by_itself(site: Site) -> None:
    """Two of them leave two holds; one undo takes one."""
    await site.agent("a")
    ids = []
    for who in ("ann", "bob"):
        site.clock.advance(1.0)
        order = {"who": who, "why": "a leak"}
        ids.append((await site.client.post("/api/lockdowns", json=order)).json()["id"])
    await site.client.post(f"/api/lockdowns/{ids[0]}/undo", json={})
    assert [f.by for f in site.system.orchestrator.quarantine.standing("a")] == ["bob"]


async def test_a_fleet_incident_is_acknowledged_at_the_version_that_was_seen(site: Site) -> None:
    """It says who looks at it and changes nothing else; the case of one agent has no such word."""
    case = await site.case("a")
    shared = msgspec.structs.replace(
        case, id="inc-9", subject=Subject("outage", "provider x"), version=1, state=State.OBSERVED
    )
    await site.system.orchestrator.casework.open(shared, e.Opened(at=1.0))
    path = "/api/incidents/inc-9/acknowledge"
    done = (await site.client.post(path, json={"version": 1, "who": "ann"})).json()
    assert (done["state"], done["acknowledged_by"], done["version"]) == ("observed", "ann", 2)
    stale = await site.client.post(path, json={"version": 1, "who": "bob"})
    assert stale.status_code == 409
    own = await site.client.post(
        f"/api/incidents/{case.id}/acknowledge", json={"version": case.version}
    )
    assert (own.status_code, own.json()["current"]["id"]) == (409, case.id)


async def test_a_page_begins_with_one_answer(site: Site) -> None:
    """Status, counts, the fleet and the open cases; compressed for whoever takes it."""
    await site.agent("a")
    await site.case("a")
    await site.dashboard.feed.tell()
    answer = await site.client.get("/api/start", headers={"accept-encoding": "gzip"})
    assert answer.headers["content-encoding"] == "gzip"
    start = answer.json()
    assert start["fleet"]["ids"] == ["a"]
    assert start["fleet"]["cases"] == {"0": "inc-1"}
    assert [case["state"] for case in start["cases"]] == ["awaiting_approval"]
    tally = start["tally"]
    assert (tally["agents"], tally["infections"], tally["quarantined"]) == (1, 1, 1)
    assert tally["success_rate"] is None


async def test_the_table_of_states_is_served_as_data(site: Site) -> None:
    """What the stepper is made of is what the system obeys."""
    rows = {row["state"]: row for row in (await site.client.get("/api/states")).json()}
    assert list(rows) == [str(state) for state in State]
    assert rows["awaiting_approval"]["fenced"]
    steps = {step["event"]: step["to"] for step in rows["awaiting_approval"]["steps"]}
    assert (steps["approved"], steps["rejected"]) == (["healing"], ["rejected"])
    assert rows["resolved"] == {"state": "resolved", "fenced": False, "is_open": False, "steps": []}


async def test_an_agent_s_evidence_has_a_trail(site: Site) -> None:
    """As the feed saw it; an agent that never reported has none."""
    await site.agent("svc/a")
    for _ in range(3):
        site.clock.advance(2.0)
        await site.dashboard.feed.tell()
    trail = (await site.client.get("/api/agents/svc%2Fa/evidence")).json()
    assert len(trail["share"]) == 3
    assert (await site.client.get("/api/agents/nobody/evidence")).status_code == 404
