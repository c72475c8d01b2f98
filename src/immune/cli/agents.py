"""``immune agents``: who is there and how they are."""

from __future__ import annotations

from typing import Annotated

import typer

from immune.cli import options


def agents(
    state: Annotated[
        str,
        typer.Option(metavar="STATE", help="Only these, with commas: healthy, suspected, held …"),
    ] = "",
    type: Annotated[str, typer.Option(metavar="TYPE", help="Only agents of this type.")] = "",
    search: Annotated[
        str, typer.Option(metavar="TEXT", help="Only with this in the id, type, model or provider.")
    ] = "",
    limit: options.Limit = 100,
    server: options.Server = options.SERVER,
    json: options.Json = False,
) -> None:
    """List agents with their state, evidence against them, and fence."""
    from immune.cli import show
    from immune.cli.remote import Remote, read
    from immune.cli.shapes import Agent

    query = {"state": state, "type": type, "search": search, "limit": limit}
    with Remote(server) as remote:
        body = remote.get("/api/agents", query)
    if json:
        print(body.decode())
        return
    found = read(body, list[Agent])
    if not found:
        show.console.print("no agent matches; agents appear with their first vital")
        return
    rows = [
        (
            agent.agent_id,
            agent.agent_type,
            show.state(agent.state),
            show.bar(agent.evidence, agent.quarantine_at),
            f"{agent.severity:.1f}" if agent.severity else "",
            _fence(agent),
            agent.incident_id or "",
            show.ago(agent.last_seen_at),
        )
        for agent in found
    ]
    show.console.print(
        show.table(
            ("agent", "type", "state", "evidence", "severity", "fence", "incident", "seen"),
            rows,
            right="severity",
        )
    )
    if len(found) == limit:
        show.console.print(f"the first {limit}; --limit shows more")


def _fence(agent: object) -> str:
    from immune.cli.shapes import Agent

    assert isinstance(agent, Agent)
    if not agent.fenced:
        return ""
    return "enforced" if agent.enforced else "ordered, not enforced"
