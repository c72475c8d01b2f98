"""``immune lockdown``: the red button, and its undo."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from immune.cli import options

if TYPE_CHECKING:
    from immune.cli.remote import Remote


def lockdown(
    why: options.Why = "",
    undo: Annotated[
        bool,
        typer.Option("--undo", help="Lift the holds of the latest lockdown, and no other fence."),
    ] = False,
    yes: Annotated[
        bool, typer.Option("--yes", "-y", help="Fence them all without asking.")
    ] = False,
    who: options.Who = "",
    server: options.Server = options.SERVER,
) -> None:
    """Fence every agent at once, or undo exactly that.

    It needs a reason ([bold]--why[/bold]). On a terminal you are asked first; elsewhere say
    [bold]--yes[/bold]. Agents that report for the first time later are not fenced.
    """
    from immune.cli.remote import Remote, login

    with Remote(server) as remote:
        if undo:
            _undo(remote, who or login(), why)
        else:
            _order(remote, who or login(), why, server, yes)


def _order(remote: Remote, who: str, why: str, server: str, yes: bool) -> None:
    import sys

    from immune.cli.remote import read
    from immune.cli.shapes import Lockdown, Status, counted
    from immune.cli.show import console
    from immune.cli.status import UNDO
    from immune.errors import InvalidInput, Refused

    if not why.strip():
        raise InvalidInput("--why", "say why: the next person will want to know")
    if not yes:
        if not sys.stdin.isatty():
            raise InvalidInput("--yes", "nobody is there to ask: say --yes to fence every agent")
        known = read(remote.get("/api/status"), Status).agents
        if not typer.confirm(f"Fence everything at {server} ({counted(known, 'agent')})?"):
            raise Refused("nothing was sent")
    done = read(remote.post("/api/lockdowns", {"who": who, "why": why}), Lockdown)
    console.print(f"done: {done.words()}; undo with `{UNDO}`")


def _undo(remote: Remote, who: str, why: str) -> None:
    from immune.cli.remote import lockdown_path, read
    from immune.cli.shapes import Lockdown, Status, counted
    from immune.cli.show import console
    from immune.errors import NotFound

    standing = read(remote.get("/api/lockdowns"), list[Lockdown])
    if not standing:
        raise NotFound("there is nothing to undo: no lockdown stands")
    latest = max(standing, key=lambda one: one.at)
    order = {"who": who, "why": why}
    done = read(remote.post(lockdown_path(latest.id, "undo"), order), Lockdown)
    held = counted(done.agents, "agent")
    console.print(f"done: the hold of {done.by} on {held} is lifted ({latest.reason})")
    known = read(remote.get("/api/status"), Status).agents
    for other in standing:
        if other is not latest:
            console.print(f"another stands: {other.words(known)}")
