"""``immune alias``: other names of an agent."""

from __future__ import annotations

from typing import Annotated

import typer

from immune.cli import options


def alias(
    agent: Annotated[
        str, typer.Argument(metavar="AGENT", help="The agent's id.", show_default=False)
    ] = "",
    name: Annotated[
        str, typer.Argument(metavar="NAME", help="Its other name.", show_default=False)
    ] = "",
    clear: Annotated[bool, typer.Option("--clear", help="Take the other name back.")] = False,
    server: options.Server = options.SERVER,
) -> None:
    """Count the steps of another name as an agent's, as after a release that renamed it.

    An agent of that name is forgotten, and its own other names are this agent's, too. Without an
    agent all other names are listed.
    """
    from immune.cli.remote import Remote, agent_path, read
    from immune.cli.shapes import Aliases
    from immune.cli.show import console, table
    from immune.errors import InvalidInput

    if bool(agent) != bool(name) or (clear and not name):
        raise InvalidInput("AGENT NAME", "say both, or neither to list all other names")
    with Remote(server) as remote:
        if not agent:
            known = read(remote.get("/api/aliases"), Aliases).aliases
            if known:
                console.print(table(("name", "agent"), sorted(known.items())))
            else:
                console.print("no agent has another name")
        elif clear:
            remote.delete(agent_path(agent, "aliases"), {"alias": name})
            console.print(f"done: steps of {name} are an agent's own again")
        else:
            remote.post(agent_path(agent, "aliases"), {"alias": name})
            console.print(f"done: steps of {name} count as those of {agent}")
