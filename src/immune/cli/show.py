"""How things look on a terminal. What comes from agents is text, never markup."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Sequence

from rich.console import Console
from rich.table import Table
from rich.text import Text

from immune.cli.shapes import Attempt, Incident
from immune.clock import SystemClock
from immune.words import outcome_name, plain

BAR_WIDTH = 10

STYLES = {
    "learning": "dim",
    "healthy": "green",
    "held": "magenta",
    "suspected": "yellow",
    "observed": "yellow",
    "contained": "red",
    "awaiting_approval": "bold red",
    "rejected": "red",
    "healing": "cyan",
    "probation": "cyan",
    "exhausted": "bold red",
    "resolved": "green",
    "dismissed": "dim",
}

PIPE_WIDTH = 200
"""Columns where nobody's terminal says how many there are."""

console = Console(
    markup=False,
    highlight=False,
    soft_wrap=True,
    width=None if sys.stdout.isatty() else PIPE_WIDTH,
)


def state(name: str) -> Text:
    """A state in its colour and in words."""
    return Text(plain(name), STYLES.get(name, ""))


def table(columns: Sequence[str], rows: Iterable[Sequence[str | Text]], right: str = "") -> Table:
    """A table; the columns named in `right`, parted by blanks, are set to the right."""
    made = Table(box=None, pad_edge=False, header_style="bold", padding=(0, 2, 0, 0))
    for column in columns:
        made.add_column(
            column, justify="right" if column in right.split() else "left", overflow="fold"
        )
    for row in rows:
        made.add_row(*(cell if isinstance(cell, Text) else Text(cell) for cell in row))
    return made


def bar(value: float, full: float) -> str:
    """Evidence as a bar up to the tier of quarantine, and in nats."""
    if full <= 0:
        return ""
    filled = min(BAR_WIDTH, max(0, round(BAR_WIDTH * value / full)))
    return f"{'█' * filled}{'·' * (BAR_WIDTH - filled)} {value:5.1f} of {full:.1f}"


def span(seconds: float) -> str:
    """A length of time in its largest fitting unit: ``3 min``."""
    for unit, length in (("d", 86_400.0), ("h", 3600.0), ("min", 60.0)):
        if seconds >= length:
            return f"{seconds / length:.0f} {unit}"
    return f"{max(seconds, 0.0):.0f} s"


def ago(at: float, now: float | None = None) -> str:
    """How long ago, by this machine's clock unless `now` is given."""
    if not at:
        return "never"
    return f"{span((SystemClock().time() if now is None else now) - at)} ago"


def case(incident: Incident, attempts: Sequence[Attempt] = ()) -> None:
    """Print what a person needs to decide: harm, cause, evidence, what would be done, in order."""
    console.print(Text(f"{incident.id}  ", "bold"), Text(incident.name), state(incident.state))
    if incident.summary:
        console.print(f"  what       {incident.summary}")
    console.print(f"  severity   {incident.severity:.1f} of 10")
    if incident.diagnosis is not None:
        likely = [r for r in incident.diagnosis.ranked[:3] if r.confidence >= 0.01]
        ranked = ", ".join(one.words() for one in likely)
        console.print(f"  diagnosis  {ranked}")
        for reason in incident.diagnosis.reasons:
            console.print(f"             · {reason}")
    if incident.asks:
        console.print(f"  asks       {incident.asks}")
    for place, attempt in enumerate(attempts):
        note = f" ({attempt.note})" if attempt.note else ""
        outcome = f"{outcome_name(attempt.outcome)}{note}"
        console.print(f"  {'tried' if not place else '':<9}  {attempt.action}: {outcome}")
    number = 0
    for place, rung in enumerate(incident.ladder[incident.next_rung :]):
        number += not rung.skipped
        order = "-." if rung.skipped else f"{number}."
        said = f"skipped: {rung.skipped}" if rung.skipped else rung.expected
        console.print(f"  {'plan' if not place else '':<9}  {order} {rung.action}  {said}".rstrip())
    console.print(f"  version    {incident.version}")
