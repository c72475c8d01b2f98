"""``immune doctor``: is all well with a running server, and what to do where it is not."""

from __future__ import annotations

from typing import Annotated

import typer

from immune.cli import options

STYLES = {"ok": "green", "warn": "yellow", "fail": "bold red"}


def doctor(
    server: options.Server = options.SERVER,
    json: Annotated[bool, typer.Option("--json", help="Print the findings as JSON.")] = False,
) -> None:
    """Examine a running server and say what to do; exit with 1 where something fails.

    It looks at the red button, the mode, the stores, degraded parts, the clocks, who reports,
    what was refused, which spans came to nothing, the queue, the brake, and what waits for people.
    """
    import msgspec
    from rich.text import Text

    from immune.cli.examination import Level, examine
    from immune.cli.remote import Remote
    from immune.cli.show import console
    from immune.clock import SystemClock

    with Remote(server) as remote:
        findings = examine(remote, SystemClock())
    if json:
        print(msgspec.json.encode(findings).decode())
    else:
        for one in findings:
            level = Text(f"{one.level:<5}", STYLES[one.level])
            console.print(level, Text(f"{one.name:<10}", "bold"), one.said)
            if one.todo:
                console.print(f"{'':<17} -> {one.todo}")
    if any(one.level is Level.FAIL for one in findings):
        raise typer.Exit(1)
