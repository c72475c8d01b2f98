"""``immune replay``: recorded telemetry, sent as if it happened now."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from immune.cli import options


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
    """Send recorded traces or vitals to a server, with their times moved to now."""
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

    from immune.cli.paced import send_paced
    from immune.cli.remote import Remote
    from immune.cli.show import console
    from immune.clock import SystemClock
    from immune.errors import InvalidInput
    from immune.intake.replay import replay as requests_of

    if not speed > 0:
        raise InvalidInput("--speed", "must be above 0")
    clock = SystemClock()
    # counted first, so that the bar knows its end; it is read a line at a time
    total = sum(1 for _ in requests_of(file, now=clock.time(), speed=speed))
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn())
    with (
        Remote(server) as remote,
        Progress(*columns, TimeElapsedColumn(), console=console, transient=True) as progress,
    ):
        task = progress.add_task(file.name, total=total)
        requests = requests_of(file, now=clock.time(), speed=speed)
        sent = send_paced(remote, requests, clock, lambda: progress.advance(task))
    console.print(f"done: {sent.requests} requests, {sent.said()}")
