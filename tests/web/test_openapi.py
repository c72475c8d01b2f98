"""The OpenAPI document says what is there, and nothing else."""

from __future__ import annotations

import re

from tests.web.conftest import Site

IN_FRONT = {
    ("POST", "/api/vitals"),
    ("POST", "/v1/metrics"),
    ("POST", "/v1/traces"),
    ("GET", "/api/events"),
    ("GET", "/"),
}


async def test_every_route_is_documented_and_every_documented_route_is_there(site: Site) -> None:
    """Quart's own map, and what stands in front of it, against the document."""
    document = (await site.client.get("/api/openapi.json")).json()
    documented = {
        (method.upper(), path)
        for path, operations in document["paths"].items()
        for method in operations
    }
    bound = {
        (method, re.sub(r"<(?:\w+:)?(\w+)>", r"{\1}", rule.rule))
        for rule in site.dashboard.rest.url_map.iter_rules()
        for method in (rule.methods or set()) - {"HEAD", "OPTIONS"}
    }
    assert documented == bound | IN_FRONT


async def test_every_documented_get_answers(demo_site: Site) -> None:
    """With ids that exist: 200 and the type that was promised."""
    await demo_site.agent()
    case = await demo_site.case()
    document = (await demo_site.client.get("/api/openapi.json")).json()
    for path, operations in document["paths"].items():
        if "get" not in operations or path == "/api/events":
            continue
        there = path.replace("{agent_id}", "a").replace("{incident_id}", case.id)
        answer = await demo_site.client.get(there)
        assert answer.status_code == 200, path
        promised = operations["get"]["responses"]["200"]["content"]
        assert answer.headers["content-type"].partition(";")[0] in promised


async def test_every_reference_leads_somewhere(site: Site) -> None:
    """No schema is missing, and no two operations share an id."""
    answer = await site.client.get("/api/openapi.json")
    schemas = answer.json()["components"]["schemas"]
    references = set(re.findall(r'"#/components/schemas/([^"]+)"', answer.text))
    assert references <= set(schemas)
    operations = [one for path in answer.json()["paths"].values() for one in path.values()]
    ids = [operation["operationId"] for operation in operations]
    assert len(ids) == len(set(ids))
    links = [
        link
        for one in operations
        for link in next(iter(one["responses"].values())).get("links", {})
    ]
    assert links
    assert set(links) <= set(ids)
