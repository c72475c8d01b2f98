"""What the verbs that decide on an incident have in common: read it, show it, send its version."""

from __future__ import annotations

from immune.cli.remote import Remote, incident_path, login, read
from immune.cli.shapes import Incident, IncidentDetail
from immune.cli.show import case, console


def decide(server: str, incident_id: str, verb: str, who: str, **order: object) -> None:
    """Show the incident as it is, send the order for just this version, say what became of it."""
    with Remote(server) as remote:
        seen = read(remote.get(incident_path(incident_id)), IncidentDetail).incident
        case(seen)
        send(remote, seen, verb, who, **order)


def send(remote: Remote, seen: Incident, verb: str, who: str, **order: object) -> None:
    """Send an order for an incident at the version seen."""
    said = {"version": seen.version, "who": who or login(), **order}
    moved = read(remote.post(incident_path(seen.id, verb), said), Incident)
    console.print(f"done: {moved.headline()}")
