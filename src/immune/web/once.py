"""The same order sent again is carried out once: what an ``Idempotency-Key`` promises.

An order that was carried out is kept with its answer in the workflow store, so that the promise
outlives a restart; one that was refused did nothing, and is judged anew. Each key has one of a
fixed number of places by its hash, so that what is kept is bounded: some thousand orders later
another key takes the place, and an order this old is carried out again (one on an incident names
the version that was seen, and is then refused).
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from hashlib import blake2b
from typing import Protocol

import msgspec

from immune.errors import InvalidInput

HEADER = "Idempotency-Key"
KEY_LENGTH_MAX = 256
PLACES = 4096


class Settings(Protocol):
    """Where the answers are kept: the `WorkflowStore`."""

    async def setting(self, key: str) -> str | None: ...

    async def put_setting(self, key: str, value: str) -> None: ...


class _Kept(msgspec.Struct, frozen=True):
    key: str
    """Hash of the key: what a client chose is not ours to store."""
    order: str
    """Hash of the order."""
    answer: msgspec.Raw


class Once:
    """Carries out each keyed order once."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._under_way: dict[str, tuple[str, asyncio.Future[bytes]]] = {}

    async def answer(
        self, key: str, order: bytes, carry_out: Callable[[], Awaitable[bytes]]
    ) -> bytes:
        """Return the answer to `order`: the one given before, or what carrying it out gives.

        Raises InvalidInput where the key was another order's, or is none, and what carrying out
        raises.
        """
        if not (key.isascii() and key.isprintable()) or len(key) > KEY_LENGTH_MAX:
            raise InvalidInput(HEADER, f"must be ASCII text of at most {KEY_LENGTH_MAX} characters")
        hashed, said = _hash(key.encode()), _hash(order)
        if (running := self._under_way.get(hashed)) is not None:
            _check(running[0], said)
            return await asyncio.shield(running[1])
        work = asyncio.ensure_future(self._answer(hashed, said, carry_out))
        self._under_way[hashed] = said, work
        try:
            return await work
        finally:
            del self._under_way[hashed]

    async def _answer(
        self, hashed: str, said: str, carry_out: Callable[[], Awaitable[bytes]]
    ) -> bytes:
        place = f"once/{int(hashed, 16) % PLACES}"
        stored = await self._settings.setting(place)
        if stored is not None:
            kept = msgspec.json.decode(stored.encode(), type=_Kept)
            if kept.key == hashed:
                _check(kept.order, said)
                return bytes(kept.answer)
        answer = await carry_out()
        keep = _Kept(hashed, said, msgspec.Raw(answer))
        await self._settings.put_setting(place, msgspec.json.encode(keep).decode())
        return answer


def _check(before: str, now: str) -> None:
    if before != now:
        raise InvalidInput(HEADER, "was used for another order: choose a new one for each")


def _hash(data: bytes) -> str:
    return blake2b(data, digest_size=16).hexdigest()
