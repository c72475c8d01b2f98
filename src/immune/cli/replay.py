"""``immune replay``: recorded telemetry, sent as if it happened now."""

from __future__ import annotations

import math
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from immune.cli import options

if TYPE_CHECKING:
    from immune.cli.paced import Sent
    from immune.intake.preview import Preview


def replay(
    file: Annotated[
        Path,
        typer.Argument(
            exists=True,
            dir_okay=False,
            readable=True,
            metavar="FILE",
            help="OTLP traces as JSON, or vitals, one a line or a list; gzip or not.",
        ),
    ],
    speed: Annotated[
        float, typer.Option(metavar="X", help="1 is the recording's own pace, 10 ten times it.")
    ] = 1.0,
    server: options.Server = options.SERVER,
) -> None:
    """Send recorded traces or vitals to a server, with their times moved to now.

    Says how many vitals the traces come to, how many were refused, and why.
    """
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

    from immune.cli.paced import send_paced
    from immune.cli.remote import Remote
    from immune.cli.show import console
    from immune.clock import SystemClock
    from immune.errors import InvalidInput
    from immune.intake.preview import preview
    from immune.intake.replay import replay as requests_of

    if not 0 < speed < math.inf:
        raise InvalidInput("--speed", "must be above 0")
    clock = SystemClock()
    now = clock.time()
    # read once beforehand, a line at a time: for the end of the bar, and for what it will come to
    found = preview(requests_of(file, now=now, speed=speed), now=now)
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn())
    with (
        Remote(server) as remote,
        Progress(*columns, TimeElapsedColumn(), console=console, transient=True) as progress,
    ):
        task = progress.add_task(file.name, total=found.requests)
        requests = requests_of(file, now=clock.time(), speed=speed)
        sent = send_paced(remote, requests, clock, lambda: progress.advance(task))
    _tell(sent, found)
    if not (sent.accepted or found.vitals):
        raise typer.Exit(1)


def _tell(sent: Sent, found: Preview) -> None:
    from immune.cli.show import console
    from immune.cli.unmapped import in_words

    what = f"{found.spans:,} spans" if found.spans else f"{sent.accepted:,} vitals accepted"
    refused = f"{sent.refused.total():,} refused: {sent.why()}" if sent.refused else "none refused"
    console.print(f"done: {sent.requests:,} requests, {what}, {refused}")
    if found.spans:
        most = ", ".join(f"{name} {count:,}" for name, count in found.agents.most_common(5))
        more = f", and {len(found.agents) - 5} more" if len(found.agents) > 5 else ""
        whose = f" of {len(found.agents):,} agents ({most}{more})" if found.agents else ""
        console.print(f"  the spans come to {found.vitals:,} vitals{whose}")
        if found.unmapped:
            console.print(f"  spans that are no vital of their own: {in_words(found.unmapped)}")
