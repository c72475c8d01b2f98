"""An alias is the agent: whatever is ordered or read under one of its names."""

from __future__ import annotations

import json

from tests.web.conftest import Site


async def _with_alias(site: Site) -> None:
    await site.agent("triage")
    await site.agent("writer")
    order = {"alias": "triage-v2"}
    assert (await site.client.post("/api/agents/triage/aliases", json=order)).status_code == 200


async def test_a_hold_under_an_alias_is_a_hold_around_the_agent(site: Site) -> None:
    """Else its calls would go through, and the person believe they did not."""
    await _with_alias(site)
    held = await site.client.post("/api/agents/triage-v2/quarantine", json={"why": "odd mails"})
    assert held.json()["fence"]["agent_id"] == "triage"
    assert site.system.orchestrator.quarantine.fenced_agents() == {"triage"}
    detail = await site.client.get("/api/agents/triage-v2")
    assert detail.json() == (await site.client.get("/api/agents/triage")).json()
    assert (await site.client.post("/api/agents/triage-v2/release", json={})).status_code == 200
    assert not site.system.orchestrator.quarantine.fenced_agents()


async def test_a_mode_set_under_an_alias_is_the_agent_s(site: Site) -> None:
    """The order says ask, and the agent's mode is ask."""
    await _with_alias(site)
    await site.client.post("/api/mode", json={"mode": "ask", "agent_id": "triage-v2"})
    assert (await site.client.get("/api/agents/triage")).json()["agent"]["mode"] == "ask"


async def test_an_alias_may_be_given_to_another_agent(site: Site) -> None:
    """The one that had it loses the name and nothing else."""
    await _with_alias(site)
    await site.agent("triage-v2")
    moved = await site.client.post("/api/agents/writer/aliases", json={"alias": "triage-v2"})
    assert moved.json()["aliases"] == {"triage-v2": "writer"}
    there = [agent["agent_id"] for agent in (await site.client.get("/api/agents")).json()]
    assert there == ["triage", "writer"]


async def test_an_agent_in_a_case_is_not_deleted_by_its_alias(site: Site) -> None:
    """Nor is it said to be gone: 409 under either name."""
    await _with_alias(site)
    await site.case("triage")
    for name in ("triage", "triage-v2"):
        answer = await site.client.delete(f"/api/agents/{name}")
        assert (answer.status_code, "has an open case" in answer.json()["detail"]) == (409, True)


async def test_an_agent_that_is_renamed_twice_keeps_its_names(site: Site) -> None:
    """All that it was ever called is the last one now, after a restart as well."""
    await _with_alias(site)
    renamed = await site.client.post("/api/agents/writer/aliases", json={"alias": "triage"})
    expected = {"triage-v2": "writer", "triage": "writer"}
    assert (renamed.status_code, renamed.json()["aliases"]) == (200, expected)
    for name in expected:
        await site.agent(name)
    assert [a["agent_id"] for a in (await site.client.get("/api/agents")).json()] == ["writer"]
    assert (await site.client.get("/api/aliases")).json() == {"aliases": expected}
    stored = await site.system.desk.workflow.setting("aliases")
    assert stored is not None
    assert json.loads(stored) == expected


async def test_an_alias_is_taken_back(site: Site) -> None:
    """Its steps are an agent's own again, and what the other agent had before stays its own."""
    await _with_alias(site)
    path = "/api/agents/triage/aliases"
    for agent, alias, status in (
        ("writer", "triage-v2", 404),
        ("triage", "triage", 404),
        ("triage", "nobody", 404),
        ("triage", "", 422),
    ):
        wrong = await site.client.delete(f"/api/agents/{agent}/aliases", params={"alias": alias})
        assert wrong.status_code == status
    await site.agent("svc/aliases")
    for unnamed in (path, "/api/agents/svc/aliases"):  # deletes no agent of such a name
        assert (await site.client.delete(unnamed)).json()["field"] == "alias"
    assert (await site.client.delete("/api/agents/svc%2Faliases")).status_code == 200
    done = await site.client.delete(path, params={"alias": "triage-v2"})
    assert (done.status_code, done.json()) == (200, {"aliases": {}})
    assert await site.system.desk.workflow.setting("aliases") == "{}"
    await site.agent("triage-v2")
    there = [agent["agent_id"] for agent in (await site.client.get("/api/agents")).json()]
    assert there == ["triage", "triage-v2", "writer"]


async def test_an_alias_of_an_agent_that_is_gone_can_be_taken_back(site: Site) -> None:
    """Else a wrong one would last for ever; a key of its own answers each of two."""
    await _with_alias(site)
    path = "/api/agents/triage/aliases"
    await site.client.post(path, json={"alias": "t/3"})
    assert (await site.client.delete("/api/agents/triage")).status_code == 200
    first, again, other = [
        await site.client.delete(path, params={"alias": alias}, headers={"idempotency-key": "one"})
        for alias in ("t/3", "t/3", "triage-v2")
    ]
    assert first.json() == again.json() == {"aliases": {"triage-v2": "triage"}}
    assert (other.status_code, other.json()["field"]) == (422, "Idempotency-Key")
