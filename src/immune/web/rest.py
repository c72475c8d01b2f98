"""Quart, for all that is no hot path: binds the routes, turns errors into answers."""

from __future__ import annotations

from urllib.parse import unquote

import msgspec
import structlog
from quart import Quart, Response, request
from werkzeug.exceptions import HTTPException

from immune.errors import IllegalEvent, ImmuneError, NotFound, StaleVersion, TooLarge
from immune.incidents.incident import Incident
from immune.views import Views
from immune.web.once import Once
from immune.web.problem import PROBLEM_JSON, Problem, extra_headers, problem_of, unexpected
from immune.web.refusals import WrongMethod
from immune.web.route import Route, SegmentConverter, agent_ids, bind

log = structlog.get_logger(__name__)

ORDER_MAX_BYTES = 1024 * 1024
"""Largest body of an order: a bulk order of some 10,000 incidents."""


def rest(routes: list[Route], views: Views, once: Once) -> Quart:
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
        current = None
        if isinstance(error, IllegalEvent | StaleVersion | NotFound):
            current = await _current(views)
        if current is not None and isinstance(error, NotFound):
            error = IllegalEvent(
                f"incident {current.id} is closed ({current.state}): nothing is left to decide"
            )
        return _answer(problem_of(error, current), error)

    async def http(error: HTTPException) -> Response:
        return await refused(_of_werkzeug(error))

    async def fault(error: Exception) -> Response:
        log.exception("request failed", method=request.method, path=request.path)
        return _answer(unexpected(), None)

    app.register_error_handler(ImmuneError, refused)
    app.register_error_handler(HTTPException, http)
    app.register_error_handler(Exception, fault)
    return app


async def _current(views: Views) -> Incident | None:
    """The incident that an order was about, as it is now."""
    incident_id = (request.view_args or {}).get("incident_id")
    if request.method != "POST" or incident_id is None:
        return None
    try:
        return (await views.incident(incident_id)).incident
    except NotFound:
        return None


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
