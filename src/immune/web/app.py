"""`WebDashboard`: the ASGI application, from the socket's side.

Every request passes the guard, then goes to a plain ASGI callable (intake, events, page) or to
Quart. The guard's headers are on every answer, whoever gave it.
"""

from __future__ import annotations

import asyncio
from typing import Any

import msgspec
import structlog

from immune import __version__
from immune.clock import Clock
from immune.desk import OperatorDesk
from immune.errors import ImmuneError, Transient
from immune.incidents.incident import Incident
from immune.ports import IncidentEvent
from immune.settings import ServerSettings
from immune.supervisor import Supervisor
from immune.tally import TallyView
from immune.views import StatusView, Views
from immune.web.asgi import AsgiApp, Message, Receive, Scope, Send, respond
from immune.web.board import FleetMoved
from immune.web.body import ClientGone
from immune.web.feed import CasesMoved, EventFeed, Reset
from immune.web.guard import Guard, guarded_send, require_utf8
from immune.web.ingest import VITALS_TYPES, VitalsIngest, VitalsTaken
from immune.web.losses import IntakeView, Losses
from immune.web.metrics import MetricsIngest
from immune.web.once import Once
from immune.web.openapi import document
from immune.web.orders import orders
from immune.web.page import Page
from immune.web.ports import Chaos, Collector, Intake
from immune.web.problem import PROBLEM_JSON, Problem, extra_headers, problem_of, unexpected
from immune.web.reading import reading
from immune.web.reception import Inlet
from immune.web.refusals import WrongMethod
from immune.web.register import register
from immune.web.reported import Exported, ExportMetrics, ExportTraces, ReportedStep, Status
from immune.web.rest import rest
from immune.web.route import Area, Route, undecoded
from immune.web.stream import EventsQuery, EventStream
from immune.web.traces import TracesIngest
from immune.web.watch import AgentNews, TrialNews, Watches

log = structlog.get_logger(__name__)


class LiveStatus(msgspec.Struct, frozen=True):
    """The data of a ``status`` event; fleet incidents are among the cases."""

    status: StatusView
    tally: TallyView


class WebDashboard:
    """The running system on HTTP: an ASGI application.

    `committed` is to be among the casework's listeners, `run` called once the loop runs, and
    `close` awaited before the orchestrator stops: it ends the streams and hands on held spans.
    """

    def __init__(
        self,
        *,
        desk: OperatorDesk,
        views: Views,
        collector: Collector,
        intake: Intake,
        settings: ServerSettings,
        clock: Clock,
        chaos: Chaos | None = None,
    ) -> None:
        self._guard = Guard(settings.allowed_hosts)

        async def status() -> LiveStatus:
            return LiveStatus(
                msgspec.structs.replace(views.status(), fleet_incidents=[]),
                await views.tally.view(),
            )

        self.feed = EventFeed(views, views.roster, status, Watches(views), clock)
        losses = Losses([intake.assembler.unmapped, intake.measures.unmapped], collector.retired)
        inlet = Inlet(intake, collector, clock, settings, losses)
        self._traces = TracesIngest(inlet)
        page = Page()
        self._front: dict[str, tuple[str, AsgiApp]] = {
            "/api/vitals": ("POST", VitalsIngest(inlet)),
            "/v1/traces": ("POST", self._traces.reception),
            "/v1/metrics": ("POST", MetricsIngest(inlet).reception),
            "/api/events": ("GET", EventStream(self.feed)),
            "/": ("GET", page),
        }
        self._page: AsgiApp = page
        self.routes = [
            *reading(views, chaos, self.feed, self._guard.token),
            *orders(desk, chaos),
            *register(desk.departures),
            *_in_front(),
            _intake(losses),
            self._openapi(),
        ]
        self._once = Once(desk.workflow, clock)
        self.rest = rest(self.routes, desk, self._once)
        self._openapi_document = document(self.routes, __version__)
        self._leaving = False

    def committed(self, line: IncidentEvent, incident: Incident) -> None:
        """A step of an incident was committed: to be called for each, in order."""
        self.feed.committed(line, incident)

    def run(self, supervisor: Supervisor) -> None:
        """Start the tasks behind the feed, the traces and the keys of orders."""
        supervisor.start("event feed", self.feed.tick)
        supervisor.start("traces", self._traces.tick)
        supervisor.start("order keys", self._once.tick)

    def leave(self) -> None:
        """The server stops: end the streams, which would hold it up, and answer 503 to whoever
        is cut off in the middle of a request."""
        self._leaving = True
        self.feed.close()

    async def close(self) -> None:
        """End the streams and hand on what is held; raises Transient where it is not taken."""
        self.feed.close()
        await self._traces.close()

    # --- ASGI --------------------------------------------------------------------------------

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            await _lifespan(receive, send)
        elif scope["type"] == "http":
            await self._http(scope, receive, send)
        else:  # no websockets here
            await send({"type": "websocket.close", "code": 1000})

    async def _http(self, scope: Scope, receive: Receive, send: Send) -> None:
        sending = _Sending(guarded_send(scope, send))
        try:
            self._guard.check(scope)
            require_utf8(scope)
            await self._answering(scope)(scope, receive, sending)
        except ClientGone:
            return
        except asyncio.CancelledError:
            if not self._leaving:
                raise
            # the time to drain is over: an answer, as uvicorn would log each as a fault of ours
            stops = Transient("the server stops: send this again when it is back")
            if not sending.started:
                await _problem(sending, problem_of(stops), stops)
        except ImmuneError as error:
            problem = problem_of(error)
            await _problem(sending, problem, error)
        except Exception:  # the last one who can: said to the log and the client
            log.exception("request failed", method=scope["method"], path=scope["path"])
            if sending.started:
                raise
            await _problem(sending, unexpected(), None)

    def _answering(self, scope: Scope) -> AsgiApp:
        path: str = scope["path"]
        if path.startswith("/static/"):
            method, app = "GET", self._page
        elif path in self._front:
            method, app = self._front[path]
        else:
            return self._rest
        asked = "GET" if scope["method"] == "HEAD" and app is self._page else scope["method"]
        if asked != method:
            raise WrongMethod(method)
        return app

    async def _rest(self, scope: Scope, receive: Receive, send: Send) -> None:
        quart: Any = self.rest
        await quart(undecoded(scope), receive, send)

    def _openapi(self) -> Route:
        async def openapi() -> dict[str, Any]:
            return self._openapi_document

        return Route(
            "GET", "/api/openapi.json", "This document", Area.READING, dict[str, Any], openapi
        )


def _intake(losses: Losses) -> Route:
    async def intake() -> IntakeView:
        return losses.view()

    return Route(
        "GET",
        "/api/intake",
        "What was refused or lost since the start, by reason",
        Area.READING,
        IntakeView,
        intake,
    )


class _Sending:
    """A `send` that knows whether an answer has begun."""

    def __init__(self, send: Send) -> None:
        self._send = send
        self.started = False

    async def __call__(self, message: Message) -> None:
        self.started = True
        await self._send(message)


async def _problem(send: Send, problem: Problem, error: ImmuneError | None) -> None:
    await respond(
        send,
        problem.status,
        msgspec.json.encode(problem),
        PROBLEM_JSON,
        extra_headers(problem, error),
    )


async def _lifespan(receive: Receive, send: Send) -> None:
    while True:
        message = await receive()
        await send({"type": f"{message['type']}.complete"})
        if message["type"] == "lifespan.shutdown":
            return


_STEP = {
    "agent_id": "billing/triage",
    "kind": "run",
    "step_id": "7b1c",
    "latency_ms": 1830,
    "input_tokens": 2100,
    "output_tokens": 340,
    "cost_usd": 0.011,
    "tool_calls": 3,
    "retries": 0,
    "errors": 0,
}


def _in_front() -> list[Route]:
    """The routes that are answered in front of Quart."""
    return [
        Route(
            "POST",
            "/api/vitals",
            "Report steps: one, a list, or one a line",
            Area.INTAKE,
            VitalsTaken,
            order=ReportedStep | list[ReportedStep],
            order_types=tuple(sorted(VITALS_TYPES)),
            example=_STEP,
            status=202,
            errors=(400, 413, 415, 422, 429, 503),
        ),
        Route(
            "POST",
            "/v1/traces",
            "Report spans: OTLP over HTTP, in protobuf or JSON",
            Area.INTAKE,
            Exported,
            order=ExportTraces,
            order_types=("application/json", "application/x-protobuf"),
            example={"resourceSpans": []},
            refusal=Status,
            errors=(400, 413, 415, 429, 503),
        ),
        Route(
            "POST",
            "/v1/metrics",
            "Report gen_ai.* metrics of agents that send no spans: OTLP over HTTP",
            Area.INTAKE,
            Exported,
            order=ExportMetrics,
            order_types=("application/json", "application/x-protobuf"),
            example={"resourceMetrics": []},
            refusal=Status,
            errors=(400, 413, 415, 429, 503),
        ),
        Route(
            "GET",
            "/api/events",
            "What is new, each second, as server-sent events; Last-Event-ID resumes",
            Area.EVENTS,
            None,
            query=EventsQuery,
            events={
                "status": LiveStatus,
                "fleet": FleetMoved,
                "cases": CasesMoved,
                "agent": AgentNews,
                "trial": TrialNews,
                "reset": Reset,
            },
            return_type="text/event-stream",
            errors=(404, 422),
        ),
        Route("GET", "/", "The page", Area.PAGE, None, return_type="text/html"),
    ]
