"""``immune approve``: yes to a plan."""

from __future__ import annotations

from typing import Annotated

import typer

from immune.cli import options


def approve(
    incident: options.Incident,
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
    """Approve the plan of an incident, as it is shown now."""
    from immune.cli.deciding import decide

    actions = tuple(part.strip() for part in plan.split(",") if part.strip())
    decide(server, incident, "approve", who, why=why, plan=actions, cause=cause)
