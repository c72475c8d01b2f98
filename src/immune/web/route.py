"""One route as data: what is asked for, what is answered, who answers.

The same table makes the Quart routes and the OpenAPI document, so neither can know of a route that
the other does not. A handler is a coroutine that takes the path's parts by name, the decoded
`query` and `order` where the route has them, and returns a record.
"""

from __future__ import annotations

import asyncio
import dataclasses
import enum
import gzip
import re
from collections.abc import Awaitable, Callable, Iterable, Mapping
from typing import Any
from urllib.parse import quote, unquote

import msgspec
from quart import Quart, Response, request
from werkzeug.datastructures import MultiDict
from werkzeug.routing import BaseConverter

from immune.errors import InvalidInput
from immune.web.asgi import JSON, Scope
from immune.web.guard import require_json
from immune.web.once import HEADER as KEY_HEADER
from immune.web.once import Once
from immune.web.problem import invalid
from immune.web.refusals import WrongMediaType

Handler = Callable[..., Awaitable[object]]


class Area(enum.StrEnum):
    """How the routes are grouped in the document."""

    READING = "reading"
    ORDERS = "orders"
    INTAKE = "intake"
    EVENTS = "events"
    PAGE = "page"


@dataclasses.dataclass(frozen=True, slots=True)
class Route:
    """One method on one path."""

    method: str
    path: str
    """With ``{agent_id}`` for any text, slashes too, and ``{incident_id}`` for one segment."""
    summary: str
    area: Area
    returns: Any
    """The type of the answer's body."""
    handler: Handler | None = None
    """None where an ASGI callable in front of Quart answers."""
    query: type[msgspec.Struct] | None = None
    order: Any = None
    """The type of the request's body; None where it has none."""
    order_types: tuple[str, ...] = (JSON,)
    example: object = None
    """A body that could be sent, or without one a query's values, for the document."""
    return_type: str = JSON
    events: Mapping[str, Any] | None = None
    """Where the answer is a stream of events: the types of their data, by the event's name."""
    refusal: Any = None
    """What a refusal looks like where it is not only a `Problem`: OTLP's own."""
    status: int = 200
    errors: tuple[int, ...] = ()
    packed: bool = False
    """Whether the answer may be large: sent compressed to whoever takes it."""


def undecoded(scope: Scope) -> Scope:
    """The scope with its path as it was sent, for the converters below to decode.

    Decoded first, ``/api/agents/svc%2Fvitals`` would be the vitals of ``svc`` and no longer the
    agent ``svc/vitals``.
    """
    raw: bytes = scope.get("raw_path") or quote(scope["path"]).encode()
    return {**scope, "path": raw.decode("latin-1")}


class SegmentConverter(BaseConverter):
    """One segment of a path, percent-decoded."""

    def to_python(self, value: str) -> str:
        return unquote(value)

    def to_url(self, value: str) -> str:
        return quote(value, safe="")


class AgentIdConverter(SegmentConverter):
    """An agent's id in a path: any text. Its slashes may stand as they are where no verb of ours
    follows one; as %2F always."""

    part_isolating = False
    weight = 200


def agent_ids(routes: Iterable[Route]) -> type[AgentIdConverter]:
    """The converter among these routes: no id ends in the verb of one, whatever the method.

    Else ``DELETE /api/agents/svc/vitals``, which nobody knows, would delete ``svc/vitals``.
    """
    verbs = {route.path.partition("{agent_id}/")[2] for route in routes} - {""}
    regex = ".+?" + "".join(f"(?<!/{verb})" for verb in sorted(verbs))
    return type("AgentIdConverter", (AgentIdConverter,), {"regex": regex})


def bind(app: Quart, route: Route, once: Once) -> None:
    """Make Quart answer `route`; an order with a key of its own is carried out `once`."""
    handler = route.handler
    assert handler is not None, f"{route.path} has no handler"
    under_way: set[asyncio.Future[bytes]] = set()

    async def view(**parts: Any) -> Response:
        if route.query is not None:
            parts["query"] = read_query(request.args, route.query)
        if route.order is not None:
            parts["order"] = await read_order(route.order)

        async def carried_out() -> bytes:
            return msgspec.json.encode(await handler(**parts))

        keys = request.headers.getlist(KEY_HEADER) if route.area is Area.ORDERS else []
        if len(keys) > 1:
            raise InvalidInput(KEY_HEADER, "is given more than once")
        if keys:
            query = b"?" + request.query_string if request.query_string else b""
            asked = f"{route.method} {request.path}".encode() + query
            said = asked + b"\n" + await request.body
            answering = once.answer(keys[0], said, carried_out)
        else:
            answering = carried_out()
        # Quart cancels us when the client goes away: an order that has begun is carried out
        work = asyncio.ensure_future(answering)
        under_way.add(work)
        work.add_done_callback(under_way.discard)
        body = await asyncio.shield(work)
        response = Response(body, status=route.status, content_type=route.return_type)
        if route.packed and "gzip" in request.headers.get("accept-encoding", ""):
            response.set_data(gzip.compress(body, 5))
            response.headers["content-encoding"] = "gzip"
        return response

    path = route.path.replace("{agent_id}", "<agent:agent_id>")
    app.add_url_rule(
        re.sub(r"{(\w+)}", r"<segment:\1>", path),
        endpoint=f"{route.method} {route.path}",
        view_func=view,
        methods=[route.method],
        provide_automatic_options=False,
    )


async def read_order(order: Any) -> Any:
    """Decode the request's body; raises InvalidInput naming the field."""
    require_json(request.headers.get("content-type", ""))
    if request.headers.get("content-encoding", "identity").strip().lower() != "identity":
        raise WrongMediaType("an order is read as it is: send it without a Content-Encoding")
    body = await request.get_data(as_text=False)
    if not body.strip():
        raise InvalidInput("body", "is empty: an order says what it is about")
    try:
        return msgspec.json.decode(body, type=order)
    except msgspec.ValidationError as fault:
        raise invalid(fault) from fault
    except msgspec.DecodeError as fault:
        raise InvalidInput("body", f"is not JSON: {fault}") from fault


def read_query(args: MultiDict[str, str], query: type[msgspec.Struct]) -> msgspec.Struct:
    """Decode the query; a field of several values may be repeated or written with commas."""
    several = {
        field.name for field in msgspec.structs.fields(query) if isinstance(field.default, tuple)
    }
    values: dict[str, object] = {}
    for name, texts in args.lists():
        if name in several:
            values[name] = [part for text in texts for part in text.split(",") if part]
        elif len(texts) > 1:
            raise InvalidInput(name, "is given more than once")
        else:
            values[name] = texts[0]
    return _convert(values, query)


def _convert(values: Mapping[str, object], query: type[msgspec.Struct]) -> msgspec.Struct:
    try:
        # strict=False reads numbers from the query's text
        return msgspec.convert(values, query, strict=False)
    except msgspec.ValidationError as fault:
        raise invalid(fault) from fault
