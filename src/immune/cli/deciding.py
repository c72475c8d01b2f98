"""What the verbs that decide on an incident have in common.

A decision is on one version of an incident, as a person saw it. Either the person names it, having
read it elsewhere, or the incident is shown here and the person is asked. The newest version is
never fetched and decided on unseen, unless ``--yes`` says just that.
"""

from __future__ import annotations

import sys

import typer

from immune.cli.remote import NoServer, Remote, SaidNo, incident_path, login, read
from immune.cli.shapes import Incident, IncidentDetail
from immune.cli.show import case, console, span
from immune.cli.timeline import told
from immune.errors import InvalidInput, Refused


class MovedOn(Refused):
    """The incident is no longer as the person saw it."""


def decide(
    server: str,
    incident_id: str,
    verb: str,
    who: str,
    *,
    version: int | None,
    yes: bool,
    **order: object,
) -> None:
    """Send the order for the version that was seen, and say what became of it."""
    with Remote(server) as remote:
        seen = version_seen(remote, incident_id, _question(verb, order), version, yes)
        send(remote, incident_id, seen, verb, who, **order)


def version_seen(
    remote: Remote, incident_id: str, question: str, version: int | None, yes: bool
) -> int:
    """The version that the person decides on: the one named, or the one shown here.

    Raises InvalidInput where there is nobody to ask, Refused where the person says no.
    """
    if version is not None:
        return version
    if not yes and not sys.stdin.isatty():
        raise InvalidInput(
            "--version",
            f"say which version you saw (`immune incidents {incident_id}` shows it), "
            "or decide on whatever is there now with --yes",
        )
    detail = read(remote.get(incident_path(incident_id)), IncidentDetail)
    case(detail.incident, detail.attempts)
    seen = detail.incident.version
    if not yes and not typer.confirm(f"{question} (version {seen})"):
        raise Refused("nothing was sent")
    return seen


def send(
    remote: Remote, incident_id: str, version: int, verb: str, who: str, **order: object
) -> None:
    """Send an order for an incident at the version seen. Raises MovedOn for a conflict."""
    said = {"version": version, "who": who or login(), **order}
    try:
        moved = read(remote.post(incident_path(incident_id, verb), said), Incident)
    except SaidNo as no:
        if no.status != 409:
            raise
        raise MovedOn(f"{no}{_meanwhile(remote, incident_id, version)}") from no
    console.print(f"done: {moved.headline()}")


def _meanwhile(remote: Remote, incident_id: str, version: int) -> str:
    try:
        detail = read(remote.get(incident_path(incident_id)), IncidentDetail)
    except (NoServer, Refused):  # what is known already is told all the same
        return ""
    later = [one for one in told(detail.events) if one.version > version]
    lines = [
        f"\n  +{span(one.after_s)}: {one.what}, by {one.who}" + (f": {one.why}" if one.why else "")
        for one in later
    ]
    return "".join([*lines, f"\n  now: {detail.incident.headline()}"])


def _question(verb: str, order: dict[str, object]) -> str:
    match verb:
        case "approve":
            plan = order.get("plan")
            part = " → ".join(map(str, plan)) if isinstance(plan, tuple) and plan else "this plan"
            return f"Approve {part}?"
        case "reject":
            return "Reject it, and leave the agent fenced?"
    return f"Heal it now with {order.get('action') or 'the next action of the plan'}?"
