"""``immune heal-now``: heal after all."""

from __future__ import annotations

from typing import Annotated

import typer

from immune.cli import options


def heal_now(
    incident: options.Incident,
    action: Annotated[
        str,
        typer.Option(
            metavar="ACTION",
            help="What to try, such as reset_memory; needed where the plan is exhausted.",
        ),
    ] = "",
    version: options.Version = None,
    yes: options.Yes = False,
    why: options.Why = "",
    who: options.Who = "",
    server: options.Server = options.SERVER,
) -> None:
    """Heal after a rejection, or with an action of your choice once all have failed.

    On a terminal the case is shown and you are asked. Elsewhere say which version you saw with
    [bold]--version[/bold].
    """
    from immune.cli.deciding import decide

    decide(server, incident, "heal-now", who, version=version, yes=yes, why=why, action=action)
