"""``immune migrate``: a workflow from one database to another."""

from __future__ import annotations

from typing import Annotated

import typer

Source = Annotated[
    str, typer.Option("--from", metavar="URL", help="Such as sqlite:///immune-data/workflow.db.")
]
Target = Annotated[
    str,
    typer.Option(
        "--to", metavar="URL", help="An empty one, such as postgresql://user@host/immune."
    ),
]


def migrate(source: Source, target: Target) -> None:
    """Copy a workflow into an empty database, in one transaction, and count what arrived.

    No server may run on either. The source stays as it is; the telemetry is no part of it.
    """
    import asyncio

    from immune.cli.show import console, table
    from immune.clock import SystemClock
    from immune.stores.transfer import migrate_store

    counts = asyncio.run(migrate_store(source, target, SystemClock().time()))
    rows = [(name, f"{count:,}") for name, count in counts.items()]
    console.print(table(("table", "rows"), rows, right="rows"))
