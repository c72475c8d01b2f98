"""``immune release``: let an agent go."""

from __future__ import annotations

from typing import Annotated

import typer

from immune.cli import options


def release(
    target: Annotated[str, typer.Argument(metavar="INCIDENT|AGENT")],
    verdict: Annotated[
        options.Verdict | None,
        typer.Option(help="What it was; needed to end an incident.", show_default=False),
    ] = None,
    why: options.Why = "",
    cause: Annotated[
        str, typer.Option(metavar="CAUSE", help="The true cause, if the diagnosis is wrong.")
    ] = "",
    who: options.Who = "",
    server: options.Server = options.SERVER,
) -> None:
    """Let an agent go: end its incident with a verdict, lift the holds that people put on it.

    [bold]false_alarm[/bold]: it was well all along. [bold]new_normal[/bold]: it changed for good,
    and that is fine. [bold]fixed_by_hand[/bold]: somebody repaired it; the cure is watched.
    """
    from immune.cli.deciding import send
    from immune.cli.remote import Remote, SaidNo, agent_path, incident_path, login, read
    from immune.cli.shapes import AgentDetail, Incident, IncidentDetail
    from immune.cli.show import case, console
    from immune.errors import InvalidInput, NotFound

    remote = Remote(server)

    def end(incident: Incident) -> None:
        case(incident)
        if verdict is None:
            raise InvalidInput("--verdict", f"say what {incident.id} was")
        send(remote, incident, "release", who, verdict=str(verdict), why=why, cause=cause)

    try:
        end(read(remote.get(incident_path(target)), IncidentDetail).incident)
        return
    except SaidNo as no:
        if no.status != 404:
            raise
    seen = read(remote.get(agent_path(target)), AgentDetail)
    held = any(fence.incident_id is None for fence in seen.fences)
    incident_id = seen.agent.incident_id
    if not held and incident_id is None:
        raise NotFound(f"nothing holds {target}: it has neither an open incident nor a fence")
    if incident_id is not None:
        end(read(remote.get(incident_path(incident_id)), IncidentDetail).incident)
    if held:
        remote.post(agent_path(target, "release"), {"who": who or login(), "why": why})
        console.print(f"done: people's holds on {target} are lifted")
