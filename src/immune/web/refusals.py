"""Refusals that only HTTP knows, beside those in `immune.errors`."""

from __future__ import annotations

from immune.errors import Refused


class WrongMediaType(Refused):
    """The body's type or encoding is not one that is read here (415)."""


class WrongMethod(Refused):
    """The path exists, the method on it does not (405)."""

    def __init__(self, allowed: str) -> None:
        super().__init__(f"only {allowed} is known here")
        self.allowed = allowed


class Interrupted(Refused):
    """An order was begun under this key, and nobody knows how far it went (409)."""
