"""The events of an incident as sentences: what was done, with which action, and who decided it."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import NamedTuple

from immune.cli.shapes import Event, Line, words


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
            _SAID.get(event.type, _plain)(event, applied),
            line.state,
            event.who,
            event.why,
            line.version,
        )


def _plain(event: Event, applied: str) -> str:
    return words(event.type)


def _opened(event: Event, applied: str) -> str:
    return "suspected" + (f": {event.diagnosis.likeliest}" if event.diagnosis else "")


def _confirmed(event: Event, applied: str) -> str:
    return "confirmed: fenced" if event.enforce else "confirmed, only watched"


def _diagnosed(event: Event, applied: str) -> str:
    cause = event.diagnosis.likeliest if event.diagnosis else "unknown"
    plan = " → ".join(rung.action for rung in event.ladder if not rung.skipped) or "nothing to do"
    return f"diagnosed {cause}; plan {plan}" + (f"; asks: {event.asks}" if event.asks else "")


def _approved(event: Event, applied: str) -> str:
    return f"approved {' → '.join(event.plan)}"


def _heal_now(event: Event, applied: str) -> str:
    return f"healing ordered: {event.action or 'the next action of the plan'}"


def _applied(event: Event, applied: str) -> str:
    changes = ", ".join(f"{c.what}: {c.before} → {c.after}" for c in event.changes)
    return f"{event.action} done" + (f" ({changes})" if changes else "")


def _tried(applied: str) -> str:
    return f" with {applied}" if applied else ""


_SAID: dict[str, Callable[[Event, str], str]] = {
    "opened": _opened,
    "confirmed": _confirmed,
    "braked": lambda event, applied: "not fenced: held back by the brake",
    "subsided": lambda event, applied: "back to normal by itself",
    "quarantined_by_person": lambda event, applied: "fenced by hand",
    "diagnosed": _diagnosed,
    "approved": _approved,
    "rejected": lambda event, applied: "rejected: no healing, the fence stays",
    "overdue": lambda event, applied: f"nobody decided: contact {event.contact} was told",
    "heal_now": _heal_now,
    "applied": _applied,
    "failed": lambda event, applied: f"{event.action} failed",
    "unreachable": lambda event, applied: f"{event.action}: the agent does not answer",
    "verified": lambda event, applied: (
        f"cured{_tried(applied)}: proved on {event.fresh_steps} fresh steps"
    ),
    "relapsed": lambda event, applied: (
        f"still sick{_tried(applied)} after {event.fresh_steps} fresh steps"
    ),
    "stale": lambda event, applied: "no fresh vitals: nothing is proved",
    "resumed": lambda event, applied: "vitals come again",
    "finding_added": lambda event, applied: "a further finding",
    "released": lambda event, applied: f"let go as {event.verdict}",
    "absorbed": lambda event, applied: f"explained by {event.by}",
}
