"""``immune serve``: the system, waiting for real agents."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from immune.cli import options
from immune.cli.configured import configured


def serve(
    host: Annotated[
        str | None,
        typer.Option(
            metavar="ADDRESS", help="Address to listen on; loopback only.", show_default="127.0.0.1"
        ),
    ] = None,
    port: Annotated[
        int | None,
        typer.Option(min=0, max=65535, metavar="N", help="TCP port.", show_default="8090"),
    ] = None,
    data: Annotated[
        Path | None,
        typer.Option(
            metavar="DIR", help="Folder of its data, made when missing.", show_default="immune-data"
        ),
    ] = None,
    mode: Annotated[
        options.Mode | None,
        typer.Option(help="What it does with the sick; see `immune mode`.", show_default="observe"),
    ] = None,
    config: options.Config = None,
) -> None:
    """Run the server for real agents, in mode observe until you say otherwise.

    Goes on where it was stopped. Flags go before the environment ([bold]IMMUNE_*[/bold]), and that
    before the file.
    """
    flags = {
        "server.host": host,
        "server.port": port,
        "store.directory": None if data is None else str(data),
        "mode": None if mode is None else str(mode),
    }
    settings, origins = configured(config, flags)
    from immune.cli.logs import as_json
    from immune.run.serve import run_serve

    as_json()
    # a mode that is set here and now stands above the one that was set last time
    run_serve(settings, set_mode=settings.mode if "mode" in origins else None)
