"""``immune backup``: the whole installation in one file, while it runs."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from immune.cli import options
from immune.cli.configured import configured

File = Annotated[Path, typer.Argument(metavar="FILE", help="The backup; it must not exist yet.")]


def backup(file: File, data: options.Data = None, config: options.Config = None) -> None:
    """Write a backup: workflow, telemetry, spans that wait and the salt, as of now.

    The server may go on meanwhile. Whoever reads the file can make the server's hashes: keep it
    as you keep the data folder.
    """
    settings, _ = configured(config, {"store.directory": None if data is None else str(data)})
    import asyncio

    from immune.cli.show import console
    from immune.clock import SystemClock
    from immune.stores.archive import back_up
    from immune.stores.place import place_of

    place = place_of(settings.store)
    manifest = asyncio.run(back_up(place, file, SystemClock().time()))
    size = sum(manifest.parts.values())
    console.print(f"{', '.join(manifest.parts)}: {size:,} bytes, in {file}")
