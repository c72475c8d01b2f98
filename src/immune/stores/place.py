"""Where an installation keeps what: two stores, the journal of spans and the salt of its hashes."""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

import sqlalchemy as sa

from immune.settings import StoreSettings
from immune.stores import dialect


class Place(NamedTuple):
    """The parts of an installation; none of them need exist."""

    folder: Path
    workflow: sa.URL
    telemetry: Path
    journal: Path
    """Of the spans that wait for the rest of their step."""
    salt: Path


def place_of(store: StoreSettings) -> Place:
    """Where the settings say. Raises InvalidInput for a workflow URL that is none."""
    folder = Path(store.directory)
    return Place(
        folder,
        dialect.url_of(store.workflow_url)
        if store.workflow_url
        else dialect.url_of_file(folder / "workflow.db"),
        folder / "telemetry.db",
        folder / "spans.journal",
        folder / "salt",
    )
