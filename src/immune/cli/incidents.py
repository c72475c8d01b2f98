"""``immune incidents``: the cases, or one with its timeline."""

from __future__ import annotations

from typing import Annotated

import typer

from immune.cli import options
from immune.words import EVENTS, plain


def incidents(
    incident: Annotated[
        str, typer.Argument(metavar="[INCIDENT]", help="Show this one with its timeline.")
    ] = "",
    state: Annotated[
        str,
        typer.Option(
            metavar="STATE", help="Only these, with commas: open, all, healing, resolved …"
        ),
    ] = "open",
    agent: Annotated[str, typer.Option(metavar="AGENT", help="Only this agent's.")] = "",
    limit: options.Limit = 50,
    server: options.Server = options.SERVER,
    json: options.Json = False,
) -> None:
    """List the open incidents, or show one with its timeline."""
    from immune.cli import show
    from immune.cli.remote import Remote, incident_path, read
    from immune.cli.shapes import Incident, IncidentDetail

    query = {"state": "" if state == "all" else state, "agent": agent, "limit": limit}
    with Remote(server) as remote:
        if incident:
            body = remote.get(incident_path(incident))
        else:
            body = remote.get("/api/incidents", query)
    if json:
        print(body.decode())
    elif incident:
        _timeline(read(body, IncidentDetail))
    else:
        found = read(body, list[Incident])
        if not found:
            show.console.print("none; `--state all` shows the closed ones too")
            return
        rows = [
            (
                one.id,
                one.name,
                show.state(one.state),
                f"{one.severity:.1f}",
                one.cause,
                one.asks or plain(one.verdict) or (EVENTS["braked"] if one.braked else ""),
                show.ago(one.opened_at),
            )
            for one in found
        ]
        columns = ("incident", "about", "state", "severity", "cause", "note", "opened")
        show.console.print(show.table(columns, rows, right="severity"))


def _timeline(detail: object) -> None:
    from immune.cli import show
    from immune.cli.shapes import IncidentDetail
    from immune.cli.timeline import told

    assert isinstance(detail, IncidentDetail)
    show.case(detail.incident, detail.attempts)
    rows = [
        (f"+{show.span(one.after_s)}", one.what, show.state(one.state), one.who, one.why)
        for one in told(detail.events)
    ]
    show.console.print()
    show.console.print(show.table(("at", "what", "state", "who", "why"), rows, right="at"))
