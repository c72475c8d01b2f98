"""What can be read: the routes over `Views`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Annotated, Any

import msgspec

from immune.diagnosis.causes import Cause
from immune.errors import InvalidInput, NotFound
from immune.healing.actions import Action, Healing
from immune.incidents.events import Verdict, name
from immune.incidents.incident import Incident
from immune.incidents.states import FENCED, OPEN, TABLE, State
from immune.minutes import Minute, MinutesAsked
from immune.modes import Mode
from immune.tally import TallyView
from immune.views import AgentDetail, AgentView, IncidentDetail, StatsView, StatusView, Views
from immune.vitals import Kind, Vital
from immune.web.board import FleetBoard
from immune.web.case import CaseSummary, summary
from immune.web.feed import EventFeed
from immune.web.ports import Chaos
from immune.web.route import Area, Handler, Route
from immune.web.trail import EvidenceTrail

Limit = Annotated[int, msgspec.Meta(ge=1, le=10_000)]
Text = Annotated[str, msgspec.Meta(max_length=256)]

AGENT_STATES = frozenset({"learning", "healthy", "held", *OPEN})
CASE_STATES = frozenset({"open", *State})
AgentState = Annotated[str, msgspec.Meta(extra_json_schema={"enum": sorted(AGENT_STATES)})]
CaseState = Annotated[str, msgspec.Meta(extra_json_schema={"enum": sorted(CASE_STATES)})]


class AgentsQuery(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Which agents to list."""

    state: tuple[AgentState, ...] = ()
    """``learning``, ``healthy``, ``held`` or an open incident's state; several with commas."""
    type: tuple[str, ...] = ()
    search: Text = ""
    """Part of the id, type, model or provider, in any case."""
    limit: Limit = 1000


class VitalsQuery(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Which vitals of an agent to read: the latest ones."""

    kind: Kind | None = None
    since: Annotated[float, msgspec.Meta(ge=0)] = 0.0
    """Epoch seconds."""
    limit: Limit = 300


class IncidentsQuery(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Which incidents to list: the newest ones."""

    state: tuple[CaseState, ...] = ()
    """States, several with commas; ``open`` stands for all that are open."""
    agent: Text | None = None
    limit: Limit = 200


class HealingsQuery(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """How many attempts at healing to list: the newest ones."""

    limit: Limit = 200


class Capabilities(msgspec.Struct, frozen=True):
    """What this server can do and which words it takes."""

    simulated: bool
    """Whether the fleet is simulated, so that agents can be infected."""
    infections: Mapping[str, Sequence[str]]
    """Infections with their strains; empty where the fleet is real."""
    modes: Sequence[Mode] = tuple(Mode)
    actions: Sequence[Action] = tuple(Action)
    causes: Sequence[Cause] = tuple(Cause)
    verdicts: Sequence[Verdict] = tuple(Verdict)


class Step(msgspec.Struct, frozen=True):
    """One way out of a state."""

    event: str
    to: tuple[State, ...]


class StateRow(msgspec.Struct, frozen=True):
    """One row of the table that every incident obeys."""

    state: State
    fenced: bool
    """Whether the system's fence stands."""
    is_open: bool
    steps: tuple[Step, ...]


class Token(msgspec.Struct, frozen=True):
    """What a browser's orders carry."""

    token: str


class Start(msgspec.Struct, frozen=True):
    """Everything the page begins with; the feed tells what changes from then on."""

    status: StatusView
    tally: TallyView
    fleet: FleetBoard
    cases: list[CaseSummary]
    """The open incidents."""


def states() -> list[StateRow]:
    """The table of states, as data."""
    return [
        StateRow(
            state,
            state in FENCED,
            state in OPEN,
            tuple(Step(name(event), to) for event, to in row.items()),
        )
        for state, row in TABLE.items()
    ]


def reading(views: Views, chaos: Chaos | None, feed: EventFeed, token: str) -> list[Route]:
    """The routes that change nothing."""

    async def status() -> StatusView:
        return views.status()

    async def capabilities() -> Capabilities:
        return Capabilities(chaos is not None, chaos.infections if chaos else {})

    async def the_token() -> Token:
        return Token(token)

    async def table() -> list[StateRow]:
        return states()

    async def start() -> Start:
        open_ones = [summary(incident) for incident in views.open_incidents()]
        return Start(views.status(), await views.tally.view(), feed.board.whole(), open_ones)

    async def evidence(agent_id: str) -> EvidenceTrail:
        code = views.code(agent_id)
        if code is None:
            raise NotFound(f"no agent {agent_id} ever reported")
        return feed.trail.of(code)

    async def score() -> object:
        if chaos is None:
            raise NotFound("there is no simulated fleet here: nobody knows the truth")
        return chaos.score()

    async def stats() -> StatsView:
        return await views.stats()

    async def agents(query: AgentsQuery) -> list[AgentView]:
        _known("state", query.state, AGENT_STATES)
        wanted = query.search.casefold()
        found = (
            agent
            for agent in views.agents()
            if (not query.state or agent.state in query.state)
            and (not query.type or agent.agent_type in query.type)
            and (not wanted or wanted in _words(agent))
        )
        return [agent for agent, _ in zip(found, range(query.limit), strict=False)]

    async def agent(agent_id: str) -> AgentDetail:
        return await views.agent(views.name(agent_id))

    async def vitals(agent_id: str, query: VitalsQuery) -> list[Vital]:
        return await views.vitals(
            views.name(agent_id), kind=query.kind, since=query.since, limit=query.limit
        )

    async def minutes(agent_id: str, query: MinutesAsked) -> list[Minute]:
        return await views.minutes(views.name(agent_id), query)

    async def incidents(query: IncidentsQuery) -> list[Incident]:
        _known("state", query.state, CASE_STATES)
        states = {state for state in query.state if state != "open"}
        if "open" in query.state:
            states |= OPEN
        subject = query.agent and views.name(query.agent)
        return await views.incidents(states=sorted(states), subject=subject, limit=query.limit)

    async def incident(incident_id: str) -> IncidentDetail:
        return await views.incident(incident_id)

    async def pending() -> list[Incident]:
        return views.queue(State.AWAITING_APPROVAL)

    async def rejected() -> list[Incident]:
        return views.queue(State.REJECTED)

    async def healings(query: HealingsQuery) -> list[Healing]:
        return await views.healings(query.limit)

    def get(
        path: str,
        said: str,
        returns: object,
        handler: Handler,
        query: type[msgspec.Struct] | None = None,
        *,
        packed: bool = False,
    ) -> Route:
        errors = (404,) if "{" in path or path == "/api/score" else ()
        return Route(
            "GET",
            path,
            said,
            Area.READING,
            returns,
            handler,
            query=query,
            errors=errors,
            packed=packed,
        )

    return [
        get("/api/status", "The system in one look", StatusView, status),
        get("/api/capabilities", "What this server can do", Capabilities, capabilities),
        get("/api/stats", "The run in numbers", StatsView, stats),
        get("/api/start", "Everything a page begins with", Start, start, packed=True),
        get("/api/states", "The table of an incident's states", list[StateRow], table),
        get("/api/token", "What a browser's orders must carry", Token, the_token),
        get("/api/score", "The simulated fleet's scoreboard", dict[str, Any], score),
        get(
            "/api/agents/{agent_id}/evidence",
            "An agent's evidence over the last minutes",
            EvidenceTrail,
            evidence,
        ),
        get("/api/agents", "Agents, by id", list[AgentView], agents, AgentsQuery),
        get(
            "/api/agents/{agent_id}/vitals",
            "An agent's latest vitals, oldest first",
            list[Vital],
            vitals,
            VitalsQuery,
        ),
        get(
            "/api/agents/{agent_id}/minutes",
            "What an agent did in each minute of up to 30 days, oldest first",
            list[Minute],
            minutes,
            MinutesAsked,
            packed=True,
        ),
        get("/api/agents/{agent_id}", "All of one agent", AgentDetail, agent),
        get("/api/incidents", "Incidents, newest first", list[Incident], incidents, IncidentsQuery),
        get(
            "/api/incidents/{incident_id}",
            "One incident with its timeline",
            IncidentDetail,
            incident,
        ),
        get(
            "/api/pending",
            "Incidents that wait for a person, the most severe first",
            list[Incident],
            pending,
        ),
        get(
            "/api/rejected",
            "Incidents whose healing a person rejected",
            list[Incident],
            rejected,
        ),
        get(
            "/api/healings",
            "Attempts at healing, newest first",
            list[Healing],
            healings,
            HealingsQuery,
        ),
    ]


def _words(agent: AgentView) -> str:
    return f"{agent.agent_id} {agent.agent_type} {agent.model} {agent.provider}".casefold()


def _known(field: str, given: Sequence[str], known: frozenset[str]) -> None:
    for text in given:
        if text not in known:
            raise InvalidInput(field, f"{text!r} is none of {', '.join(sorted(known))}")
