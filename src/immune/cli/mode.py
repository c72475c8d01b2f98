"""``immune mode``: how far the system may go by itself."""

from __future__ import annotations

from typing import Annotated

import typer

from immune.cli import options
from immune.cli.status import MEANS


def mode(
    mode: Annotated[options.Mode, typer.Argument()],
    type: Annotated[str, typer.Option(metavar="TYPE", help="For agents of this type only.")] = "",
    agent: Annotated[str, typer.Option(metavar="AGENT", help="For this agent only.")] = "",
    server: options.Server = options.SERVER,
) -> None:
    """Set how far the system may go: for all, for a type, or for one agent.

    [bold]observe[/bold] only says what it would have done, [bold]ask[/bold] fences and asks before
    any healing, [bold]enforce[/bold] fences and heals and asks in severe cases.
    """
    from immune.cli.remote import Remote
    from immune.cli.show import console

    with Remote(server) as remote:
        remote.post("/api/mode", {"mode": str(mode), "agent_type": type, "agent_id": agent})
    whom = f"agents of type {type}" if type else agent or "all agents"
    console.print(f"done: {mode} for {whom}: {MEANS[mode]}")
