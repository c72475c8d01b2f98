"""``immune mode``: how far the system may go by itself."""

from __future__ import annotations

from typing import Annotated

import typer

from immune.cli import options
from immune.words import MODES


def mode(
    mode: Annotated[
        options.Mode | None,
        typer.Argument(metavar="MODE", help="observe, ask or enforce.", show_default=False),
    ] = None,
    type: Annotated[str, typer.Option(metavar="TYPE", help="For agents of this type only.")] = "",
    agent: Annotated[str, typer.Option(metavar="AGENT", help="For this agent only.")] = "",
    clear: Annotated[
        bool, typer.Option("--clear", help="Take back what was set for the type or the agent.")
    ] = False,
    server: options.Server = options.SERVER,
) -> None:
    """Set how far the system may go: for all, for a type, or for one agent.

    [bold]observe[/bold] only says what it would have done, [bold]ask[/bold] fences and asks before
    any healing, [bold]enforce[/bold] fences and heals and asks in severe cases. The narrowest
    holds: the agent's, else its type's, else that for all.
    """
    import msgspec

    from immune.cli.remote import JSON, Remote
    from immune.cli.show import console
    from immune.errors import InvalidInput

    if clear == (mode is not None):
        raise InvalidInput("MODE", "say either observe, ask or enforce, or --clear")
    order = {"mode": mode, "agent_type": type, "agent_id": agent}
    with Remote(server) as remote:
        remote.send("/api/mode", msgspec.json.encode(order), JSON)  # null is what clears it
    whom = f"agents of type {type}" if type else agent or "all agents"
    if mode is None:
        wider = "the mode of all agents" if type else "the mode of its type, or of all agents,"
        console.print(f"done: {whom}: {wider} holds again")
    else:
        console.print(f"done: {mode} for {whom}: {MODES[mode]}")
