"""``immune reject``: no to a plan."""

from __future__ import annotations

from immune.cli import options


def reject(
    incident: options.Incident,
    version: options.Version = None,
    yes: options.Yes = False,
    why: options.Why = "",
    who: options.Who = "",
    server: options.Server = options.SERVER,
) -> None:
    """Reject the healing plan of an incident; its agent stays fenced.

    On a terminal the case is shown and you are asked. Elsewhere say which version you saw with
    [bold]--version[/bold].
    """
    from immune.cli.deciding import decide

    decide(server, incident, "reject", who, version=version, yes=yes, why=why)
