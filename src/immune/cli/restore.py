"""``immune restore``: an installation from a backup, where none is yet."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from immune.cli import options
from immune.cli.configured import configured

File = Annotated[Path, typer.Argument(metavar="FILE", help="What `immune backup` wrote.")]


def restore(file: File, data: options.Data = None, config: options.Config = None) -> None:
    """Put a backup in an empty data folder, or an empty database and folder.

    Nothing is ever replaced: move away what stands there.
    """
    settings, _ = configured(config, {"store.directory": None if data is None else str(data)})
    import asyncio
    from datetime import UTC, datetime

    from immune.cli.show import console
    from immune.clock import SystemClock
    from immune.stores.archive import restore as put_back
    from immune.stores.place import place_of

    place = place_of(settings.store)
    manifest = asyncio.run(put_back(file, place, SystemClock().time()))
    made_at = datetime.fromtimestamp(manifest.made_at, UTC)
    console.print(f"restored to {place.folder} as of {made_at:%Y-%m-%d %H:%M:%S} UTC")
