"""The events of an incident as sentences: what was done, with which action, and who decided it."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import NamedTuple

from immune.cli.shapes import Event, Line
from immune.words import EVENTS, cause_name, plain


class Told(NamedTuple):
    """One event in words."""

    after_s: float
    """Seconds since the first event of the incident."""
    what: str
    state: str
    """The state that it led to."""
    who: str
    why: str
    version: int


def told(lines: Sequence[Line]) -> Iterator[Told]:
    """Yield the events of an incident, in order, as sentences."""
    first = lines[0].event.at if lines else 0.0
    applied = ""
    for line in lines:
        event = line.event
        if event.type == "applied":
            applied = event.action or ""
        yield Told(
            event.at - first,
            _what(event, applied),
            line.state,
            event.who,
            event.why,
            line.version,
        )


def _what(event: Event, applied: str) -> str:
    more = _MORE.get(event.type)
    return EVENTS.get(event.type, plain(event.type)) + (more(event, applied) if more else "")


def _opened(event: Event, applied: str) -> str:
    return f": {event.diagnosis.likeliest}" if event.diagnosis else ""


def _diagnosed(event: Event, applied: str) -> str:
    cause = event.diagnosis.likeliest if event.diagnosis else cause_name("unknown")
    plan = " → ".join(rung.action for rung in event.ladder if not rung.skipped) or "nothing to do"
    return f": {cause}; plan {plan}" + (f"; asks: {event.asks}" if event.asks else "")


def _applied(event: Event, applied: str) -> str:
    changes = ", ".join(f"{c.what}: {c.before} → {c.after}" for c in event.changes)
    return f": {event.action}" + (f" ({changes})" if changes else "")


def _tried(applied: str) -> str:
    return f" with {applied}" if applied else ""


_MORE: dict[str, Callable[[Event, str], str]] = {
    "opened": _opened,
    "confirmed": lambda event, applied: ": fenced" if event.enforce else ", only watched",
    "braked": lambda event, applied: ": not fenced",
    "diagnosed": _diagnosed,
    "approved": lambda event, applied: f": {' → '.join(event.plan)}",
    "rejected": lambda event, applied: ": no healing, the fence stays",
    "overdue": lambda event, applied: f": contact {event.contact} was told",
    "heal_now": lambda event, applied: f": {event.action or 'the next action of the plan'}",
    "applied": _applied,
    "failed": lambda event, applied: f": {event.action}",
    "unreachable": lambda event, applied: f": {event.action}",
    "verified": lambda event, applied: f"{_tried(applied)} on {event.fresh_steps} fresh steps",
    "relapsed": lambda event, applied: f"{_tried(applied)} after {event.fresh_steps} fresh steps",
    "stale": lambda event, applied: ": nothing is proved",
    "released": lambda event, applied: f" as {plain(event.verdict)}",
    "absorbed": lambda event, applied: f": {event.by}",
}
"""What follows the word for an event."""
