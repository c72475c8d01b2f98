"""The way of a span as it is where nothing could be compiled, beside the one that is in use."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from importlib import import_module
from importlib.abc import MetaPathFinder
from importlib.machinery import ModuleSpec, PathFinder, SourceFileLoader
from importlib.util import spec_from_file_location
from pathlib import Path
from types import ModuleType

import immune.intake.otlp as in_use

PACKAGE = in_use.__name__
FOLDER = Path(in_use.__path__[0])


class _Sources(MetaPathFinder):
    """Finds the modules of the package by their sources alone."""

    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        if not fullname.startswith(f"{PACKAGE}."):
            return PathFinder.find_spec(fullname, path) if fullname == PACKAGE else None
        file = FOLDER / f"{fullname.rpartition('.')[2]}.py"
        return spec_from_file_location(fullname, file, loader=SourceFileLoader(fullname, str(file)))


def from_source(*names: str) -> dict[str, ModuleType]:
    """Import these modules of the package, and those that they need, once more from source."""
    kept = {name: sys.modules.pop(name) for name in list(sys.modules) if name.startswith(PACKAGE)}
    sources = _Sources()
    sys.meta_path.insert(0, sources)
    try:
        return {name: import_module(f"{PACKAGE}.{name}") for name in names}
    finally:
        sys.meta_path.remove(sources)
        for name in list(sys.modules):
            if name.startswith(PACKAGE):
                del sys.modules[name]
        sys.modules.update(kept)
        sys.modules["immune.intake"].otlp = in_use  # type: ignore[attr-defined]


IN_PYTHON = from_source("assemble", "decode", "facts")
