"""The same order sent again is carried out once: what an ``Idempotency-Key`` promises.

For a day each key is known with the hash of its order and the answer, in the workflow store, so
that the promise outlives a restart; of more than `KEYS_MAX` the oldest are forgotten before. The
key is written with the first thing that its order writes (see `keyed`), the answer when it is
known. Who sends an order again whose answer never came to be known is told so, instead of having
it carried out twice. An order that was refused did nothing, and is judged anew.
"""

from __future__ import annotations

import asyncio
import math
from collections.abc import Awaitable, Callable
from hashlib import blake2b
from typing import Protocol

import msgspec
import structlog

from immune import keyed
from immune.clock import Clock
from immune.errors import InvalidInput, StoreDown
from immune.ports import OrderKey
from immune.web.refusals import Interrupted

log = structlog.get_logger(__name__)

HEADER = "Idempotency-Key"
KEY_LENGTH_MAX = 256
KEPT_S = 24 * 3600.0
"""Seconds for which a key is known; an order older than that is a new one."""
SWEEP_S = 60.0
KEYS_MAX = 100_000
"""Keys kept at most: a client that makes up a new one each time must not fill the disk."""
DROPPED_AT_ONCE = 500
"""Expired keys removed in one transaction: a longer one would hold up the orders."""


class Keys(Protocol):
    """Where they are kept: the `WorkflowStore`."""

    async def order_key(self, key: str) -> OrderKey | None: ...

    async def put_order_key(self, row: OrderKey) -> None: ...

    async def drop_order_keys(self, before: float, limit: int) -> int: ...

    async def order_key_beyond(self, number: int) -> float | None: ...


class Once:
    """Carries out each keyed order once."""

    def __init__(self, keys: Keys, clock: Clock, most: int = KEYS_MAX) -> None:
        """`most` keys are kept."""
        self._keys = keys
        self._clock = clock
        self._most = most
        self._under_way: dict[str, tuple[str, asyncio.Future[bytes]]] = {}

    async def answer(
        self, key: str, order: bytes, carry_out: Callable[[], Awaitable[bytes]]
    ) -> bytes:
        """Return the answer to `order`: the one given before, or what carrying it out gives.

        Raises InvalidInput where the key was another order's, or is none, Interrupted where the
        order was begun and its answer is not known, and what carrying out raises.
        """
        if not (key.isascii() and key.isprintable() and 0 < len(key) <= KEY_LENGTH_MAX):
            raise InvalidInput(HEADER, f"must be ASCII text of 1 to {KEY_LENGTH_MAX} characters")
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
        now = self._clock.time()
        kept = await self._keys.order_key(hashed)
        if kept is not None and kept.at > now - KEPT_S:
            _check(kept.order, said)
            if kept.answer is None:
                raise Interrupted(
                    "this key's first request was interrupted, and all of it, a part or nothing "
                    "may have been done: look before you try again, with a new key"
                )
            return kept.answer
        row = OrderKey(hashed, said, now)
        with keyed.along(row):
            answer = await carry_out()
        try:
            await self._keys.put_order_key(msgspec.structs.replace(row, answer=answer))
        except StoreDown as down:
            # it was carried out, and to say anything else would be wrong
            log.warning("the answer to an order was not kept", reason=str(down))
        return answer

    async def tick(self) -> None:
        """Wait, then forget what has expired."""
        await self._clock.sleep(SWEEP_S)
        await self.forget()

    async def forget(self) -> None:
        """Forget the keys that have expired, and the oldest of too many, slice by slice."""
        before = self._clock.time() - KEPT_S
        beyond = await self._keys.order_key_beyond(self._most)
        if beyond is not None:
            before = max(before, math.nextafter(beyond, math.inf))
        while await self._keys.drop_order_keys(before, DROPPED_AT_ONCE) == DROPPED_AT_ONCE:
            pass


def _check(before: str, now: str) -> None:
    if before != now:
        raise InvalidInput(HEADER, "was used for another order: choose a new one for each")


def _hash(data: bytes) -> str:
    return blake2b(data, digest_size=16).hexdigest()
