"""``immune chaos``: make a simulated agent sick."""

from __future__ import annotations

from typing import Annotated

import typer

from immune.cli import options


def chaos(
    agent: options.Agent,
    infection: Annotated[
        str, typer.Argument(metavar="INFECTION", help="Such as latency_spike or tool_loop.")
    ],
    strain: Annotated[
        str, typer.Option(metavar="STRAIN", help="Its hidden cause; drawn if left out.")
    ] = "",
    server: options.Server = options.SERVER,
) -> None:
    """Infect an agent of a running [bold]immune demo[/bold]."""
    from immune.cli.remote import Remote, read
    from immune.cli.shapes import Infected
    from immune.cli.show import console

    order = {"agent_id": agent, "infection": infection, "strain": strain}
    with Remote(server) as remote:
        done = read(remote.post("/api/chaos", order), Infected)
    console.print(f"done: {done.agent_id} has {done.infection} (strain {done.strain})")
