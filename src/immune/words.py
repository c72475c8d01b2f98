"""What the page, the command line and the demo call things: one list, so that they agree.

Machine names (``reset_memory``) stay as they are where a person types them again. The page has the
same list in `static/words.js`; a test compares the two.
"""

from __future__ import annotations

import math

CAUSES = {"unknown": "no known cause"}
"""Causes that are not called by their name's own words."""

OUTCOMES = {
    "pending": "being proved",
    "relapsed": "still sick",
    "unreachable": "no answer",
    "superseded": "ended before proof",
}
"""Outcomes of an attempt that are not called by their name's own words."""

MODES = {
    "observe": "Nothing is fenced or healed; only what would be is counted.",
    "ask": "Sick agents are fenced; healing always asks a person.",
    "enforce": "Sick agents are fenced and healed; severe cases ask a person.",
}
"""What each mode means."""

EVENTS = {
    "opened": "opened",
    "confirmed": "infection confirmed",
    "braked": "held back by the brake",
    "subsided": "back to normal by itself",
    "quarantined_by_person": "quarantined",
    "diagnosed": "diagnosed",
    "approved": "approved",
    "rejected": "rejected",
    "overdue": "nobody answered in time",
    "heal_now": "healing ordered",
    "applied": "action done",
    "failed": "action failed",
    "unreachable": "agent did not answer",
    "verified": "cure proved",
    "relapsed": "still sick",
    "stale": "no fresh vitals",
    "resumed": "fresh vitals again",
    "finding_added": "further finding",
    "released": "released",
    "absorbed": "explained by a fleet incident",
    "acknowledged": "acknowledged",
}
"""What happened to a case, in the past tense."""


def subject_name(name: str) -> str:
    """Read what a fleet incident is about.

    >>> subject_name("agent_type coder"), subject_name("model large")
    ('type coder', 'model large')
    """
    return f"type {name.removeprefix('agent_type ')}" if name.startswith("agent_type ") else name


def plain(name: str) -> str:
    """Read a machine name as words: ``awaiting_approval`` is ``awaiting approval``."""
    return name.replace("_", " ")


def cause_name(cause: str) -> str:
    """What a cause is called."""
    return CAUSES.get(cause, plain(cause))


def outcome_name(outcome: str) -> str:
    """What the outcome of an attempt is called."""
    return OUTCOMES.get(outcome, plain(outcome))


def percent(share: float, places: int = 0) -> str:
    """Write a share (0..1 or more) in percent, halves up; all and nothing are said of no other.

    >>> percent(0.625), percent(0.004), percent(0.997), percent(0.9953, 1)
    ('63 %', '<1 %', '>99 %', '99.5 %')
    """
    unit = 10**places
    size = 100 * share * unit
    rounded = math.floor(size + 0.5)
    if 0 < size < 1:
        return f"<{1 / unit:.{places}f} %"
    if rounded == 100 * unit and size < rounded:
        return f">{(rounded - 1) / unit:.{places}f} %"
    return f"{rounded / unit:.{places}f} %"
