"""The OpenAPI 3.1 document, made from the table of routes and the types of their bodies."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from typing import Any

import msgspec

from immune.web.asgi import JSON
from immune.web.guard import TOKEN_HEADER
from immune.web.links import example_of, links_of
from immune.web.once import HEADER as KEY_HEADER
from immune.web.once import KEY_LENGTH_MAX
from immune.web.problem import PROBLEM_JSON, Problem
from immune.web.route import Area, Route

_REF = "#/components/schemas/{name}"

_SAID = {
    400: "The request could not be read",
    403: "The Host or the Origin is not ours",
    404: "There is no such thing",
    409: (
        "The incident has moved on: `current` shows it as it is now, `meanwhile` what happened "
        "since the version that was stated. Or its state, or the agent's, does not allow the "
        "order. Or the first order with this key was interrupted: look before you try again"
    ),
    413: "The body is too large",
    415: "The body's type is not read here",
    422: "A field is wrong; `field` says which",
    429: "Too much at once; Retry-After says when to come back",
    503: "The store does not answer; Retry-After says when to come back",
}

_KEY = {
    "name": KEY_HEADER,
    "in": "header",
    "description": (
        "An order sent again with its key within a day is answered again and not carried out; "
        "where it was interrupted and its answer is not known, the answer is 409."
    ),
    "schema": {
        "type": "string",
        "maxLength": KEY_LENGTH_MAX,
        "pattern": "^[!-~]([ -~]*[!-~])?$",  # blanks at its ends are none of a header's value
    },
}
_RESUME = {
    "name": "Last-Event-ID",
    "in": "header",
    "description": "The last event that was read; what came after it is told first.",
    "schema": {"type": "string", "pattern": "^[0-9]{0,18}$"},
}
_HEADERS = {Area.ORDERS: [_KEY], Area.EVENTS: [_RESUME]}
"""Headers that the routes of an area read."""

_RETRY = {"Retry-After": {"description": "Seconds", "schema": {"type": "integer", "minimum": 1}}}

_TOKEN = {
    "type": "apiKey",
    "in": "header",
    "name": TOKEN_HEADER,
    "description": "What a browser's orders carry, from /api/token. Programs need none.",
}
_WITH_OR_WITHOUT: list[dict[str, list[str]]] = [{}, {"page": []}]


def document(routes: Sequence[Route], version: str) -> dict[str, Any]:
    """The document of all routes."""
    types = _types(routes)
    schemas, components = msgspec.json.schema_components(types, ref_template=_REF)
    schema = {id(kind): found for kind, found in zip(types, schemas, strict=True)}
    paths: dict[str, dict[str, Any]] = {}
    for route in routes:
        paths.setdefault(route.path, {})[route.method.lower()] = _operation(
            route, schema, components
        )
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "Immune",
            "version": version,
            "description": "An immune system for fleets of AI agents.",
            "license": {"name": "Apache-2.0", "identifier": "Apache-2.0"},
        },
        "tags": [{"name": area} for area in dict.fromkeys(str(r.area) for r in routes)],
        "paths": paths,
        "components": {"schemas": components, "securitySchemes": {"page": _TOKEN}},
    }


def operation_id(method: str, path: str) -> str:
    """What the document calls a method on a path: ``post_api_incidents_incident_approve``."""
    words = re.findall(r"[A-Za-z0-9]+", path.replace("_id}", "}"))
    return "_".join([method.lower(), *words])


def _types(routes: Iterable[Route]) -> list[Any]:
    wanted: list[Any] = [Problem]
    for route in routes:
        kinds = (route.query, route.order, route.returns, route.refusal)
        wanted += [kind for kind in kinds if kind is not None]
        wanted += (route.events or {}).values()
    return wanted


def _operation(
    route: Route, schema: dict[int, dict[str, Any]], components: dict[str, Any]
) -> dict[str, Any]:
    operation: dict[str, Any] = {
        "operationId": operation_id(route.method, route.path),
        "summary": route.summary,
        "tags": [str(route.area)],
        "responses": {
            str(route.status): _answer(route, schema),
            **{str(status): _refused(route, status, schema) for status in sorted(_errors(route))},
        },
    }
    parameters = [
        *_path_parameters(route),
        *_query_parameters(route, components),
        *_HEADERS.get(route.area, []),
    ]
    if parameters:
        operation["parameters"] = parameters
    if route.method != "GET":
        operation["security"] = _WITH_OR_WITHOUT
    if route.order is not None:
        operation["requestBody"] = {
            "required": True,
            "content": {kind: _body(route, kind, schema) for kind in route.order_types},
        }
    return operation


def _errors(route: Route) -> set[int]:
    keyed = route.area is Area.ORDERS
    return {
        *route.errors,
        403,
        *([422] if route.query or keyed else []),
        *([409] if keyed else []),
    }


def _answer(route: Route, schema: dict[int, dict[str, Any]]) -> dict[str, Any]:
    answer: dict[str, Any] = {"description": route.summary}
    if route.returns is not None:
        answer["content"] = {route.return_type: {"schema": schema[id(route.returns)]}}
    elif route.events:
        events = [_event(name, schema[id(data)]) for name, data in route.events.items()]
        answer["content"] = {route.return_type: {"schema": {"type": "object", "anyOf": events}}}
    elif route.return_type:
        answer["content"] = {route.return_type: {"schema": {"type": "string"}}}
    if route.refusal is not None:  # OTLP answers in the encoding that it was asked in
        answer["content"] |= {kind: {} for kind in route.order_types if kind != JSON}
    if links := links_of(route, operation_id):
        answer["links"] = links
    return answer


def _event(name: str, data: dict[str, Any]) -> dict[str, Any]:
    """One kind of server-sent event, as its fields are read."""
    told = {"type": "string", "contentMediaType": JSON, "contentSchema": data}
    return {"properties": {"event": {"const": name}, "data": told}, "required": ["event", "data"]}


def _refused(route: Route, status: int, schema: dict[int, dict[str, Any]]) -> dict[str, Any]:
    content = {PROBLEM_JSON: {"schema": schema[id(Problem)]}}
    if route.refusal is not None:
        content |= {kind: {} for kind in route.order_types}
        content[JSON] = {"schema": schema[id(route.refusal)]}
    answer: dict[str, Any] = {"description": _SAID[status], "content": content}
    if status in (429, 503):
        answer["headers"] = _RETRY
    return answer


def _body(route: Route, kind: str, schema: dict[int, dict[str, Any]]) -> dict[str, Any]:
    if kind != JSON:  # lines and protobuf: what is in them, no JSON Schema can say
        return {}
    example = {} if route.example is None else {"example": route.example}
    return {"schema": schema[id(route.order)], **example}


def _path_parameters(route: Route) -> list[dict[str, Any]]:
    return [
        {
            "name": name,
            "in": "path",
            "required": True,
            "schema": {"type": "string", "minLength": 1},
            "example": example_of(route.path, name),
        }
        for name in re.findall(r"{(\w+)}", route.path)
    ]


def _query_parameters(route: Route, components: dict[str, Any]) -> list[dict[str, Any]]:
    if route.query is None:
        return []
    component = components[route.query.__name__]
    properties: dict[str, Any] = component["properties"]
    required = component.get("required", [])
    example = route.example if route.order is None and isinstance(route.example, dict) else {}
    return [
        {
            "name": name,
            "in": "query",
            "schema": found,
            **({"required": True} if name in required else {}),
            **({"example": example[name]} if name in example else {}),
            **({"style": "form", "explode": False} if found.get("type") == "array" else {}),
        }
        for name, found in properties.items()
    ]
