"""Quart, for all that is no hot path: binds the routes, turns errors into answers."""

from __future__ import annotations

from urllib.parse import unquote

import msgspec
import structlog
from quart import Quart, Response, request
from werkzeug.exceptions import HTTPException

from immune.desk import Decision, OperatorDesk, Since, closed
from immune.errors import IllegalEvent, ImmuneError, NotFound, StaleVersion, TooLarge
from immune.web.once import Once
from immune.web.problem import PROBLEM_JSON, Problem, extra_headers, problem_of, unexpected
from immune.web.refusals import Interrupted, WrongMethod
from immune.web.route import Route, SegmentConverter, agent_ids, bind

log = structlog.get_logger(__name__)

ORDER_MAX_BYTES = 1024 * 1024
"""Largest body of an order: a bulk order of some 10,000 incidents."""


def rest(routes: list[Route], desk: OperatorDesk, once: Once) -> Quart:
    """The Quart application that answers `routes`."""
    app = Quart("immune.web", static_folder=None, template_folder=None)
    app.config["MAX_CONTENT_LENGTH"] = ORDER_MAX_BYTES
    app.url_map.merge_slashes = False  # an agent's id may hold two in a row
    app.url_map.strict_slashes = True
    app.url_map.converters["agent"] = agent_ids(routes)
    app.url_map.converters["segment"] = SegmentConverter
    for route in routes:
        if route.handler is not None:
            bind(app, route, once)

    async def refused(error: ImmuneError) -> Response:
        since = None
        if isinstance(error, IllegalEvent | StaleVersion | NotFound | Interrupted):
            since = await _since(desk)
        if since is None:
            return _answer(problem_of(error), error)
        if isinstance(error, NotFound):
            error = closed(since.current)
        return _answer(problem_of(error, since.current, since.meanwhile), error)

    async def http(error: HTTPException) -> Response:
        return await refused(_of_werkzeug(error))

    async def fault(error: Exception) -> Response:
        log.exception("request failed", method=request.method, path=request.path)
        return _answer(unexpected(), None)

    app.register_error_handler(ImmuneError, refused)
    app.register_error_handler(HTTPException, http)
    app.register_error_handler(Exception, fault)
    return app


class _Seen(msgspec.Struct):
    """What an order on an incident says of the version that the person saw."""

    version: int


async def _since(desk: OperatorDesk) -> Since | None:
    """What became of the incident that an order was about, after the version that it states."""
    incident_id = (request.view_args or {}).get("incident_id")
    if request.method != "POST" or incident_id is None:
        return None
    seen = msgspec.json.decode(await request.get_data(as_text=False), type=_Seen)
    return await desk.since(Decision(incident_id, seen.version))


def _of_werkzeug(error: HTTPException) -> ImmuneError:
    if error.code == 405:
        methods = getattr(error, "valid_methods", None) or ()
        return WrongMethod(", ".join(sorted(methods)))
    if error.code == 413:
        return TooLarge("bytes in the body", ORDER_MAX_BYTES)
    return NotFound(f"there is no {unquote(request.path)}")


def _answer(problem: Problem, error: ImmuneError | None) -> Response:
    response = Response(
        msgspec.json.encode(problem), status=problem.status, content_type=PROBLEM_JSON
    )
    for name, value in extra_headers(problem, error):
        response.headers[name] = value
    return response
