"""``immune delete``: forget an agent."""

from __future__ import annotations

from typing import Annotated

import typer

from immune.cli import options


def delete(
    agent: options.Agent,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Forget it without asking.")] = False,
    server: options.Server = options.SERVER,
) -> None:
    """Forget an agent and what was learned of it; its vitals and incidents stay.

    With its next step it is there again and learns anew. On a terminal you are asked first;
    elsewhere say [bold]--yes[/bold].
    """
    import sys

    from immune.cli.remote import Remote, agent_path
    from immune.cli.show import console
    from immune.errors import InvalidInput, Refused

    if not yes:
        if not sys.stdin.isatty():
            raise InvalidInput("--yes", f"nobody is there to ask: say --yes to forget {agent}")
        if not typer.confirm(f"Forget {agent} and what was learned of it?"):
            raise Refused("nothing was sent")
    with Remote(server) as remote:
        remote.delete(agent_path(agent))
    console.print(f"done: {agent} is forgotten; with its next step it learns anew")
