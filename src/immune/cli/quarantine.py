"""``immune quarantine``: cut an agent off by hand."""

from __future__ import annotations

from typing import Annotated

import typer

from immune.cli import options


def quarantine(
    agent: options.Agent,
    why: Annotated[
        str,
        typer.Option(
            "--why", metavar="TEXT", help="The reason: the next person will want to know."
        ),
    ],
    who: options.Who = "",
    server: options.Server = options.SERVER,
) -> None:
    """Fence an agent until a person lets it go."""
    from immune.cli.remote import Remote, agent_path, login, read
    from immune.cli.shapes import Quarantined
    from immune.cli.show import console

    order = {"who": who or login(), "why": why}
    with Remote(server) as remote:
        done = read(remote.post(agent_path(agent, "quarantine"), order), Quarantined)
    if done.incident is not None:
        console.print(f"done: {done.incident.headline()}")
    else:
        console.print(f"done: {agent} is held; `immune release {agent}` lets it go")
