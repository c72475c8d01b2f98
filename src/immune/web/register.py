"""Who is an agent here: the routes that let one go, say goodbye for it, or give it another name."""

from __future__ import annotations

from collections.abc import Mapping

import msgspec

from immune.departures import Departures
from immune.web.reported import Id
from immune.web.route import Area, Route

ERRORS = (400, 404, 503)


class Gone(msgspec.Struct, frozen=True):
    """An agent of which nothing is known any more; with its next vital it is there again."""

    agent_id: str


class Goodbye(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The agent stops: its silence is expected until it steps again."""


class Alias(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Another name under which the agent reports from now on."""

    alias: Id


class AliasQuery(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Which of the agent's other names is none any more."""

    alias: Id


class Aliases(msgspec.Struct, frozen=True):
    """Every alias, and the agent that it stands for."""

    aliases: Mapping[str, str]


def register(departures: Departures) -> list[Route]:
    """The routes over `Departures`."""

    async def delete(agent_id: str) -> Gone:
        await departures.delete(agent_id)
        return Gone(agent_id)

    async def goodbye(agent_id: str, order: Goodbye) -> Gone:
        await departures.goodbye(agent_id)
        return Gone(agent_id)

    async def alias(agent_id: str, order: Alias) -> Aliases:
        return Aliases(await departures.alias(agent_id, order.alias))

    async def unalias(agent_id: str, query: AliasQuery) -> Aliases:
        return Aliases(await departures.unalias(agent_id, query.alias))

    async def aliases() -> Aliases:
        return Aliases(departures.aliases())

    return [
        Route(
            "GET",
            "/api/aliases",
            "Every other name of an agent",
            Area.READING,
            Aliases,
            aliases,
        ),
        Route(
            "DELETE",
            "/api/agents/{agent_id}",
            "Forget an agent; its vitals and incidents stay",
            Area.ORDERS,
            Gone,
            delete,
            errors=(*ERRORS, 409),
        ),
        Route(
            "POST",
            "/api/agents/{agent_id}/goodbye",
            "Say that an agent stops: its silence is expected",
            Area.ORDERS,
            Gone,
            goodbye,
            order=Goodbye,
            example={},
            errors=(*ERRORS, 413, 415, 422),
        ),
        Route(
            "POST",
            "/api/agents/{agent_id}/aliases",
            "Count the steps of another name as this agent's",
            Area.ORDERS,
            Aliases,
            alias,
            order=Alias,
            example={"alias": "billing/triage-v2"},
            errors=(*ERRORS, 409, 413, 415, 422),
        ),
        Route(
            "DELETE",
            "/api/agents/{agent_id}/aliases",
            "Take another name of an agent's back: its steps are an agent's own again",
            Area.ORDERS,
            Aliases,
            unalias,
            query=AliasQuery,
            example={"alias": "billing/triage-v1"},
            errors=ERRORS,
        ),
    ]
