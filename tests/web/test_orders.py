"""What people order over HTTP: refused with the field's name, recorded, never doubled."""

from __future__ import annotations

import msgspec
import pytest

from immune.incidents import events as e
from immune.incidents.incident import Subject
from immune.incidents.states import State
from tests.web.conftest import HOST, Site


async def test_an_approval_names_the_version_that_was_seen(site: Site) -> None:
    """The case moves on, and who decided stands in its timeline."""
    case = await site.case()
    order = {"version": case.version, "who": "ann", "why": "go on"}
    answer = await site.client.post(f"/api/incidents/{case.id}/approve", json=order)
    assert answer.status_code == 200
    assert answer.json()["state"] == "healing"
    timeline = (await site.client.get(f"/api/incidents/{case.id}")).json()["events"]
    assert (timeline[-1]["event"]["type"], timeline[-1]["event"]["who"]) == ("approved", "ann")


async def test_the_slower_of_two_people_sees_what_happened_meanwhile(site: Site) -> None:
    """409, with the incident as it is now."""
    case = await site.case()
    path = f"/api/incidents/{case.id}"
    await site.client.post(f"{path}/reject", json={"version": case.version})
    late = await site.client.post(f"{path}/approve", json={"version": case.version})
    assert late.status_code == 409
    assert late.headers["content-type"] == "application/problem+json"
    problem = late.json()
    assert problem["type"] == "urn:immune:problem:stale-version"
    assert problem["current"]["state"] == "rejected"
    assert problem["current"]["version"] == case.version + 1


async def test_a_closed_incident_is_a_conflict_not_a_riddle(site: Site) -> None:
    """Nothing is left to decide, and the answer says so; what never was is not found."""
    case = await site.case()
    path = f"/api/incidents/{case.id}"
    let_go = {"version": case.version, "verdict": "false_alarm"}
    assert (await site.client.post(f"{path}/release", json=let_go)).status_code == 200
    late = await site.client.post(f"{path}/approve", json={"version": case.version})
    assert (late.status_code, late.json()["current"]["state"]) == (409, "dismissed")
    never = await site.client.post("/api/incidents/inc-99/approve", json={"version": 1})
    assert never.status_code == 404


@pytest.mark.parametrize(
    ("order", "status", "field"),
    [
        ({}, 422, "version"),
        ({"version": "four"}, 422, "version"),
        ({"version": 3, "force": True}, 422, "force"),
        ({"version": 3, "plan": ["pray"]}, 422, "plan[0]"),
        ({"version": 3, "plan": ["wait"]}, 422, "plan"),
        ({"version": 3, "cause": "bad luck"}, 422, "cause"),
        ({"version": 3, "who": "System"}, 422, "who"),
        ({"version": 3, "who": " "}, 422, "who"),
        ([], 422, "body"),
    ],
)
async def test_a_wrong_field_is_named(site: Site, order: object, status: int, field: str) -> None:
    """An order that is not understood in full is not carried out."""
    case = await site.case()
    answer = await site.client.post(f"/api/incidents/{case.id}/approve", json=order)
    problem = answer.json()
    assert problem["field"] == field
    assert problem["status"] == answer.status_code
    assert answer.status_code == (400 if field == "body" else status)
    assert site.system.orchestrator.casework.get(case.id) == case


@pytest.mark.parametrize("verb", ["approve", "reject", "heal-now"])
@pytest.mark.parametrize("body", [b"", b"[]", b"{}", b'{"decisions": []}', b"null"])
async def test_an_empty_bulk_order_never_means_all(site: Site, verb: str, body: bytes) -> None:
    """It is refused, and every case stays as it was."""
    case = await site.case()
    answer = await site.client.post(
        f"/api/{verb}", content=body, headers={"content-type": "application/json"}
    )
    assert answer.status_code in (400, 422)
    assert site.system.orchestrator.casework.get(case.id) == case


async def test_a_bulk_order_answers_item_by_item(site: Site) -> None:
    """One that is refused stops no other."""
    first, second = await site.case("a"), await site.case("b")
    order = [
        {"incident_id": first.id, "version": first.version - 1},
        {"incident_id": second.id, "version": second.version},
    ]
    answer = await site.client.post("/api/reject", json=order)
    assert answer.status_code == 200
    refused, done = answer.json()
    assert "is at version" in refused["error"]
    assert refused["incident"] is None
    assert done["incident"]["state"] == "rejected"
    assert (done["current"], done["meanwhile"]) == (None, [])
    named = {"decisions": order[:1], "who": "ann", "why": "no"}
    assert (await site.client.post("/api/reject", json=named)).status_code == 200


async def test_a_bulk_order_says_what_happened_meanwhile(site: Site) -> None:
    """Who decided, when and why, of each case by itself; a closed one is told by its state."""
    cases = [await site.case(agent) for agent in "abc"]
    for case, verb, more in (
        (cases[0], "reject", {"why": "I look myself"}),
        (cases[1], "release", {"verdict": "false_alarm"}),
    ):
        path = f"/api/incidents/{case.id}/{verb}"
        await site.client.post(path, json={"version": case.version, "who": "bob", **more})
    order = [{"incident_id": case.id, "version": case.version} for case in cases]
    order.append({"incident_id": "inc-99", "version": 1})
    rejected, closed, done, never = (await site.client.post("/api/approve", json=order)).json()
    assert (rejected["incident"], rejected["current"]["state"]) == (None, "rejected")
    (line,) = rejected["meanwhile"]
    event = line["event"]
    assert (event["type"], event["who"], event["why"]) == ("rejected", "bob", "I look myself")
    assert event["at"] > 0
    assert "is closed (dismissed)" in closed["error"]
    assert [line["event"]["verdict"] for line in closed["meanwhile"]] == ["false_alarm"]
    assert (done["incident"]["state"], done["error"]) == ("healing", "")
    assert (never["current"], "no open incident inc-99" in never["error"]) == (None, True)


async def test_an_agent_can_be_ordered_about_once_its_vitals_were_accepted(site: Site) -> None:
    """Even before they are scored, and however many agents are new."""
    report = [{"agent_id": f"new-{number}", "latency_ms": 1} for number in range(100)]
    for part in range(3):
        renamed = [step | {"agent_id": f"{step['agent_id']}-{part}"} for step in report]
        assert (await site.client.post("/api/vitals", json=renamed)).status_code == 202
    for agent in ("new-0-0", "new-99-2"):
        held = await site.client.post(f"/api/agents/{agent}/quarantine", json={"why": "a leak"})
        assert (held.status_code, held.json()["fence"]["agent_id"]) == (200, agent)
    mode = await site.client.post("/api/mode", json={"mode": "ask", "agent_id": "new-98-2"})
    assert mode.status_code == 200
    await site.system.orchestrator.turn()
    agents = {a["agent_id"]: a for a in (await site.client.get("/api/agents?limit=1000")).json()}
    assert {name for name, agent in agents.items() if agent["fenced"]} == {"new-0-0", "new-99-2"}
    assert agents["new-98-2"]["mode"] == "ask"


async def test_an_agent_is_held_and_let_go_by_hand(site: Site) -> None:
    """Ids with slashes are ids; a hold needs a reason; it is lifted by a person."""
    await site.agent("team/billing agent?")
    path = "/api/agents/team%2Fbilling%20agent%3F"
    no_reason = await site.client.post(f"{path}/quarantine", json={"who": "ann"})
    assert (no_reason.status_code, no_reason.json()["field"]) == (422, "why")
    held = await site.client.post(f"{path}/quarantine", json={"who": "ann", "why": "odd mails"})
    assert held.json()["fence"]["by"] == "ann"
    detail = (await site.client.get(path)).json()
    assert detail["agent"]["state"] == "held"
    freed = await site.client.post("/api/agents/team/billing agent%3F/release", json={})
    assert [fence["lifted_at"] is None for fence in freed.json()] == [False]
    again = await site.client.post(f"{path}/release", json={})
    assert again.status_code == 404


async def test_the_mode_is_set_for_all_for_a_type_or_for_an_agent(site: Site) -> None:
    """The narrowest holds; an unknown word is refused."""
    await site.agent("a", "coder")
    for order in (
        {"mode": "observe"},
        {"mode": "ask", "agent_type": "coder"},
        {"mode": "enforce", "agent_id": "a"},
    ):
        assert (await site.client.post("/api/mode", json=order)).status_code == 200
    status = (await site.client.get("/api/status")).json()
    assert (status["mode"], status["modes_by_type"]) == ("observe", {"coder": "ask"})
    assert (await site.client.get("/api/agents/a")).json()["agent"]["mode"] == "enforce"
    wrong = await site.client.post("/api/mode", json={"mode": "panic"})
    assert (wrong.status_code, wrong.json()["field"]) == (422, "mode")


async def test_only_a_simulated_fleet_can_be_infected(site: Site, demo_site: Site) -> None:
    """Real agents: 404. The demo: done, and its capabilities say so beforehand."""
    order = {"agent_id": "a", "infection": "tool_loop"}
    assert (await site.client.post("/api/chaos", json=order)).status_code == 404
    assert not (await site.client.get("/api/capabilities")).json()["simulated"]
    done = await demo_site.client.post("/api/chaos", json=order)
    assert done.json() == {**order, "strain": "planner"}
    assert demo_site.infections.given == [("a", "tool_loop", None)]
    said = (await demo_site.client.get("/api/capabilities")).json()
    assert said["infections"] == {"tool_loop": ["planner"]}


async def test_an_order_is_carried_out_though_the_client_has_gone(site: Site) -> None:
    """What was begun is finished: store and memory never part."""
    case = await site.case()
    body = msgspec.json.encode({"version": case.version})
    messages: list[dict[str, object]] = [
        {"type": "http.request", "body": body},
        {"type": "http.disconnect"},
    ]
    scope = {
        "type": "http",
        "asgi": {"version": "3.0"},
        "http_version": "1.1",
        "method": "POST",
        "scheme": "http",
        "path": f"/api/incidents/{case.id}/reject",
        "raw_path": f"/api/incidents/{case.id}/reject".encode(),
        "query_string": b"",
        "headers": [(b"host", HOST.encode()), (b"content-type", b"application/json")],
        "client": ("127.0.0.1", 1),
        "server": ("127.0.0.1", 8090),
        "extensions": {},
    }
    casework = site.system.orchestrator.casework

    async def receive() -> dict[str, object]:
        for _ in range(10):
            await site.clock.sleep(0)
        return messages.pop(0)

    async def send(message: object) -> None: ...

    async with casework._turn(case.agent_id):  # somebody else decides about it just now
        await site.dashboard(scope, receive, send)
        assert casework.get(case.id).state is State.AWAITING_APPROVAL
    for _ in range(10):
        await site.clock.sleep(0)
    assert casework.get(case.id).state is State.REJECTED


async def test_a_fleet_incident_is_nothing_to_heal(site: Site) -> None:
    """Refused with the reason, not a fault of ours."""
    case = await site.case()
    shared = msgspec.structs.replace(
        case, id="inc-9", subject=Subject("outage", "provider x"), version=1, state=State.OBSERVED
    )
    await site.system.orchestrator.casework.open(shared, e.Opened(at=1.0))
    order = {"version": 1, "action": "wait"}
    answer = await site.client.post("/api/incidents/inc-9/heal-now", json=order)
    assert (answer.status_code, answer.json()["current"]["id"]) == (409, "inc-9")
