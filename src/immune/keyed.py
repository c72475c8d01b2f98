"""The key that an order came with goes into the store with the first thing that the order writes.

Both are in one transaction, so that a key is known exactly when its order has done something,
whatever happens in between. An order is carried out by parts that know of no keys; so the key goes
along in the context of the task that carries it out, and the stores ask here for it.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar

from immune.ports import OrderKey


class _Going:
    """A key on its way into the store; None once it is there, or its order has ended."""

    def __init__(self, key: OrderKey) -> None:
        self.key: OrderKey | None = key


_going: ContextVar[_Going | None] = ContextVar("going", default=None)


@contextmanager
def along(key: OrderKey) -> Iterator[None]:
    """Let what this task writes first within the block take `key` with it."""
    going = _Going(key)
    token = _going.set(going)
    try:
        yield
    finally:
        going.key = None  # tasks that were begun within may outlive the order
        _going.reset(token)


def waiting() -> OrderKey | None:
    """The key that the next transaction must take with it, if there is one."""
    going = _going.get()
    return None if going is None else going.key


def written() -> None:
    """That transaction was made."""
    if (going := _going.get()) is not None:
        going.key = None
