"""``immune reject``: no to a plan."""

from __future__ import annotations

from immune.cli import options


def reject(
    incident: options.Incident,
    why: options.Why = "",
    who: options.Who = "",
    server: options.Server = options.SERVER,
) -> None:
    """Reject the healing of an incident; its agent stays fenced."""
    from immune.cli.deciding import decide

    decide(server, incident, "reject", who, why=why)
