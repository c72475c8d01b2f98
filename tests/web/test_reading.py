"""What can be read, and how a wrong question is answered."""

from __future__ import annotations

import pytest

from tests.web.conftest import Site


async def test_agents_are_found_by_state_type_and_words(site: Site) -> None:
    """Filters are joined by and; a limit cuts the list."""
    await site.agent("shop/clerk", "support")
    await site.agent("builder", "coder")

    async def ids(query: str) -> list[str]:
        answer = await site.client.get(f"/api/agents?{query}")
        return [agent["agent_id"] for agent in answer.json()]

    assert await ids("") == ["builder", "shop/clerk"]
    assert await ids("type=coder") == ["builder"]
    assert await ids("search=SHOP") == ["shop/clerk"]
    assert await ids("state=healthy,learning&limit=1") == ["builder"]
    assert await ids("state=held") == []


async def test_an_id_with_slashes_is_one_id(site: Site) -> None:
    """Written plainly or escaped, and its vitals beside it."""
    await site.agent("shop/clerk")
    for path in ("/api/agents/shop/clerk", "/api/agents/shop%2Fclerk"):
        assert (await site.client.get(path)).json()["agent"]["agent_id"] == "shop/clerk"
    vitals = (await site.client.get("/api/agents/shop/clerk/vitals?kind=run&limit=5")).json()
    assert [vital["latency_ms"] for vital in vitals] == [500.0]


async def test_an_agent_s_minutes_are_told(site: Site) -> None:
    """How many steps, and of each metric what was measured; the minute still open is exact."""
    start = site.clock.time()
    minute = start - start % 60
    await site.agent("shop/clerk")
    for _ in range(2):
        site.clock.advance(60.0)
        await site.agent("shop/clerk")
        await site.agent("shop/clerk")
    path = "/api/agents/shop/clerk/minutes"
    told = (await site.client.get(path)).json()
    latency = {"count": 2, "sum": 1000.0, "mean": 500.0, "max": 500.0}
    assert told[-1] == {
        "at": minute + 120,
        "kind": "run",
        "steps": 2,
        "metrics": {"latency_ms": latency},
    }
    assert [(row["at"] - minute, row["steps"]) for row in told] == [(0, 1), (60, 2), (120, 2)]

    async def times(query: str) -> list[float]:
        return [row["at"] - minute for row in (await site.client.get(f"{path}?{query}")).json()]

    assert await times(f"since={minute + 60}") == [60, 120]
    assert await times(f"until={minute + 61}") == [0, 60]
    assert await times("limit=1") == [120]
    assert await times("kind=call") == []


async def test_incidents_are_found_by_state_and_agent(site: Site) -> None:
    """``open`` stands for all open states."""
    case = await site.case("a")
    await site.case("b", asks="")

    async def ids(path: str) -> list[str]:
        return [incident["id"] for incident in (await site.client.get(path)).json()]

    assert await ids("/api/incidents?state=awaiting_approval") == [case.id]
    assert len(await ids("/api/incidents?state=open")) == 2
    assert await ids("/api/incidents?agent=a") == [case.id]
    assert await ids("/api/incidents?state=resolved&state=dismissed") == []
    assert await ids("/api/pending") == [case.id]
    assert await ids("/api/rejected") == []


@pytest.mark.parametrize(
    ("path", "status", "field"),
    [
        ("/api/agents?state=grumpy", 422, "state"),
        ("/api/agents?limit=0", 422, "limit"),
        ("/api/agents?limit=many", 422, "limit"),
        ("/api/agents?limit=1&limit=2", 422, "limit"),
        ("/api/agents?colour=red", 422, "colour"),
        ("/api/agents/a/minutes?until=-1", 422, "until"),
        ("/api/agents/a/minutes?since=noon", 422, "since"),
        ("/api/agents/a/minutes?step=60", 422, "step"),
        ("/api/incidents?state=sleeping", 422, "state"),
        ("/api/agents/nobody", 404, None),
        ("/api/incidents/inc-99", 404, None),
        ("/api/nowhere", 404, None),
        ("/api/mode", 405, None),
    ],
)
async def test_a_wrong_question_is_told_what_is_wrong(
    site: Site, path: str, status: int, field: str | None
) -> None:
    """Every error is a problem document; a wrong field is named."""
    answer = await site.client.get(path)
    assert answer.status_code == status
    assert answer.headers["content-type"] == "application/problem+json"
    problem = answer.json()
    assert (problem["status"], problem.get("field")) == (status, field)
    assert problem["title"]
    assert problem["detail"]


async def test_no_method_is_answered_that_is_not_documented(site: Site) -> None:
    """OPTIONS is 405 here as it is before the intake; it names the methods there are."""
    for path, allowed in (
        ("/api/status", "GET, HEAD"),
        ("/api/mode", "POST"),
        ("/api/vitals", "POST"),
    ):
        answer = await site.client.options(path)
        assert (answer.status_code, answer.headers["allow"]) == (405, allowed)


async def test_a_fault_of_ours_tells_nothing_of_our_inside(demo_site: Site) -> None:
    """500, the same to everybody; the log has the rest."""
    order = {"agent_id": "a", "infection": "gremlin"}
    answer = await demo_site.client.post("/api/chaos", json=order)
    assert answer.status_code == 500
    assert answer.headers["content-type"] == "application/problem+json"
    assert "42" not in answer.text


async def test_the_page_comes_in_one_piece(site: Site) -> None:
    """Everything that it loads is there, and comes from here."""
    page = await site.client.get("/")
    assert page.headers["content-type"].startswith("text/html")
    assert "http://" not in page.text
    assert "https://" not in page.text
    assert "<style" not in page.text
    assert " style=" not in page.text
    head = await site.client.head("/")
    assert (head.status_code, head.content) == (200, b"")
