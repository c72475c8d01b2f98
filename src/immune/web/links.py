"""What leads from one answer to the next request, for the OpenAPI document.

A reader, a generated client and a test see from it which field of an answer is which parameter of
what may follow: an incident's id and version in a decision on it, a lockdown's id in its undo.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import msgspec

from immune.web.route import Route

_FLEET_INCIDENT = "inc-2"

EXAMPLES: Mapping[str, str] = {
    "agent_id": "billing/triage",
    "incident_id": "inc-1",
    "lockdown_id": "1700000000.000",
}
"""What stands in a path in the document's examples."""


def example_of(path: str, name: str) -> str:
    """The example of one parameter of a path: only a fleet incident can be acknowledged."""
    return _FLEET_INCIDENT if path.endswith("/acknowledge") else EXAMPLES[name]


_FIRST = "$response.body#/0"
_ALL = "$response.body#"


class Link(msgspec.Struct, frozen=True):
    """One request that may follow an answer; texts beginning with $ are runtime expressions."""

    method: str
    path: str
    name: str
    """Of the parameter in the path."""
    value: str
    order: Mapping[str, str] | None = None
    query: Mapping[str, str] = {}


def _decided(at: str, id_field: str, *verbs: str) -> tuple[Link, ...]:
    order = {"version": f"{at}/version"}
    return tuple(
        Link("POST", f"/api/incidents/{{incident_id}}/{verb}", "incident_id", at + id_field, order)
        for verb in verbs
    )


def _read(what: str, name: str, value: str) -> Link:
    return Link("GET", f"/api/{what}/{{{name}}}", name, value)


def _of_agent(value: str) -> tuple[Link, ...]:
    path = "/api/agents/{agent_id}"
    return (
        Link("GET", path, "agent_id", value),
        Link("GET", f"{path}/vitals", "agent_id", value),
        Link("GET", f"{path}/minutes", "agent_id", value),
        Link("GET", f"{path}/evidence", "agent_id", value),
        Link("POST", f"{path}/goodbye", "agent_id", value, {}),
        Link("POST", f"{path}/quarantine", "agent_id", value, {"why": "it sends mail"}),
        Link("POST", f"{path}/release", "agent_id", value, {}),
        Link("DELETE", path, "agent_id", value),
    )


_LINKS: Mapping[tuple[str, str], tuple[Link, ...]] = {
    ("GET", "/api/agents"): _of_agent(f"{_FIRST}/agent_id"),
    ("DELETE", "/api/agents/{agent_id}"): (_read("agents", "agent_id", "$request.path.agent_id"),),
    ("POST", "/api/agents/{agent_id}/aliases"): (
        Link(
            "DELETE",
            "/api/agents/{agent_id}/aliases",
            "agent_id",
            "$request.path.agent_id",
            query={"alias": "$request.body#/alias"},
        ),
    ),
    ("GET", "/api/incidents"): (
        _read("incidents", "incident_id", f"{_FIRST}/id"),
        *_decided(_FIRST, "/id", "acknowledge"),
    ),
    ("GET", "/api/pending"): _decided(_FIRST, "/id", "approve", "reject"),
    ("GET", "/api/rejected"): _decided(_FIRST, "/id", "heal-now"),
    ("POST", "/api/incidents/{incident_id}/reject"): _decided(_ALL, "/id", "heal-now"),
    ("POST", "/api/incidents/{incident_id}/approve"): (
        _read("incidents", "incident_id", f"{_ALL}/id"),
    ),
    ("POST", "/api/lockdowns"): (
        Link("POST", "/api/lockdowns/{lockdown_id}/undo", "lockdown_id", f"{_ALL}/id", {}),
    ),
    ("GET", "/api/lockdowns"): (
        Link("POST", "/api/lockdowns/{lockdown_id}/undo", "lockdown_id", f"{_FIRST}/id", {}),
    ),
}


def links_of(route: Route, operation_id: Callable[[str, str], str]) -> dict[str, Any]:
    """The links of a route's answer, by the name of the operation that may follow."""
    links: dict[str, Any] = {}
    for link in _LINKS.get((route.method, route.path), ()):
        follows = operation_id(link.method, link.path)
        parameters = {link.name: link.value, **link.query}
        links[follows] = {"operationId": follows, "parameters": parameters}
        if link.order is not None:
            links[follows]["requestBody"] = link.order
    return links
