"""``immune approve``: yes to a plan."""

from __future__ import annotations

from typing import Annotated

import typer

from immune.cli import options


def approve(
    incident: options.Incident,
    version: options.Version = None,
    yes: options.Yes = False,
    why: options.Why = "",
    plan: Annotated[
        str,
        typer.Option(
            metavar="A,B", help="Only these actions of the plan, in this order.", show_default=False
        ),
    ] = "",
    cause: Annotated[
        str, typer.Option(metavar="CAUSE", help="The true cause, if the diagnosis is wrong.")
    ] = "",
    who: options.Who = "",
    server: options.Server = options.SERVER,
) -> None:
    """Approve the healing plan of an incident, exactly as you saw it.

    On a terminal the case is shown and you are asked. Elsewhere say which version you saw with
    [bold]--version[/bold].
    """
    from immune.cli.deciding import decide

    actions = tuple(part.strip() for part in plan.split(",") if part.strip())
    decide(
        server,
        incident,
        "approve",
        who,
        version=version,
        yes=yes,
        why=why,
        plan=actions,
        cause=cause,
    )
