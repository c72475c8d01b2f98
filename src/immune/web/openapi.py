"""The OpenAPI 3.1 document, made from the table of routes and the types of their bodies."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from typing import Any

import msgspec

from immune.web.problem import PROBLEM_JSON, Problem
from immune.web.route import Route

_REF = "#/components/schemas/{name}"

_SAID = {
    400: "The request could not be read",
    403: "The Host or the Origin is not ours",
    404: "There is no such thing",
    409: "The incident has moved on; `current` shows it as it is now",
    413: "The body is too large",
    415: "The body's type is not read here",
    422: "A field is wrong; `field` says which",
    429: "Too much at once; Retry-After says when to come back",
    503: "The store does not answer; Retry-After says when to come back",
}


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
        "components": {"schemas": components},
    }


def _types(routes: Iterable[Route]) -> list[Any]:
    wanted: list[Any] = [Problem]
    for route in routes:
        wanted += [kind for kind in (route.query, route.order) if kind is not None]
        if route.returns is not None:
            wanted.append(route.returns)
    return wanted


def _operation(
    route: Route, schema: dict[int, dict[str, Any]], components: dict[str, Any]
) -> dict[str, Any]:
    answer: dict[str, Any] = {"description": route.summary}
    if route.returns is not None:
        answer["content"] = {route.return_type: {"schema": schema[id(route.returns)]}}
    elif route.return_type:
        answer["content"] = {route.return_type: {"schema": {"type": "string"}}}
    problem = {PROBLEM_JSON: {"schema": schema[id(Problem)]}}
    errors = {*route.errors, 403, *([422] if route.query else [])}
    operation: dict[str, Any] = {
        "operationId": _operation_id(route),
        "summary": route.summary,
        "tags": [str(route.area)],
        "responses": {
            str(route.status): answer,
            **{
                str(status): {"description": _SAID[status], "content": problem}
                for status in sorted(errors)
            },
        },
    }
    parameters = _path_parameters(route) + _query_parameters(route, components)
    if parameters:
        operation["parameters"] = parameters
    if route.order is not None:
        operation["requestBody"] = {
            "required": True,
            "content": {kind: {"schema": schema[id(route.order)]} for kind in route.order_types},
        }
    return operation


def _operation_id(route: Route) -> str:
    words = re.findall(r"[A-Za-z0-9]+", route.path.replace("_id}", "}"))
    return "_".join([route.method.lower(), *words])


def _path_parameters(route: Route) -> list[dict[str, Any]]:
    return [
        {"name": name, "in": "path", "required": True, "schema": {"type": "string"}}
        for name in re.findall(r"{(\w+)}", route.path)
    ]


def _query_parameters(route: Route, components: dict[str, Any]) -> list[dict[str, Any]]:
    if route.query is None:
        return []
    properties: dict[str, Any] = components[route.query.__name__]["properties"]
    return [
        {
            "name": name,
            "in": "query",
            "schema": found,
            **({"style": "form", "explode": False} if found.get("type") == "array" else {}),
        }
        for name, found in properties.items()
    ]
