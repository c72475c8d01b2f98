"""An alias is the agent: whatever is ordered or read under one of its names."""

from __future__ import annotations

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
