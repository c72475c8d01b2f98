"""``immune heal-now``: heal after all."""

from __future__ import annotations

from typing import Annotated

import typer

from immune.cli import options


def heal_now(
    incident: options.Incident,
    action: Annotated[
        str,
        typer.Option(metavar="ACTION", help="What to try; needed once the ladder is exhausted."),
    ] = "",
    why: options.Why = "",
    who: options.Who = "",
    server: options.Server = options.SERVER,
) -> None:
    """Heal an incident that was rejected, or whose ladder is exhausted."""
    from immune.cli.deciding import decide

    decide(server, incident, "heal-now", who, why=why, action=action)
