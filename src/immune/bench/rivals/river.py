"""river, which only the benches need: https://riverml.xyz."""

from __future__ import annotations

from importlib import import_module
from types import ModuleType

from immune.errors import NotFound


def river(part: str) -> ModuleType:
    """Return one of river's modules; raises NotFound where it isn't installed."""
    try:
        return import_module(f"river.{part}")
    except ModuleNotFoundError as error:
        raise NotFound("the rivals need river: pip install 'river>=0.22,<1'") from error
