"""Parquet, by pyarrow, which only recorded data needs."""

from __future__ import annotations

from collections.abc import Iterable
from importlib import import_module
from pathlib import Path
from types import ModuleType
from typing import Any

from immune.errors import InvalidInput, NotFound


def arrow(part: str = "") -> ModuleType:
    """Return pyarrow or a module of it; raises NotFound where it isn't installed."""
    try:
        return import_module(f"pyarrow.{part}" if part else "pyarrow")
    except ModuleNotFoundError as error:
        raise NotFound("Parquet needs pyarrow: pip install 'agent-immune-system[data]'") from error


def table_of(file: Path, needed: Iterable[str] = ()) -> Any:
    """Return a Parquet file as a pyarrow table.

    Raises InvalidInput where it is none, or lacks one of the columns needed.
    """
    pa = arrow()
    try:
        table = arrow("parquet").read_table(file)
    except (pa.ArrowInvalid, OSError) as error:
        raise InvalidInput(str(file), f"is not Parquet: {error}") from error
    for column in needed:
        if column not in table.column_names:
            raise InvalidInput(str(file), f"has no column {column}")
    return table
