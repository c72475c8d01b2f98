"""Turning text into what may be kept: hashes keyed with a salt of this installation.

Equal values give equal hashes, and nobody without the salt can find out by trying whether a hash
stands for a text that they guess. The hash of JSON does not depend on the order of keys or on
blanks, and JSON inside a string (as models write arguments) counts as that JSON.
"""

from __future__ import annotations

import json
from hashlib import blake2b

import msgspec

_KEY_BYTES_MAX = blake2b.MAX_KEY_SIZE


def canonical(value: object) -> bytes:
    """Return `value`, any JSON, as the same bytes however it was written.

    Raises RecursionError for nesting too deep to be walked.
    """
    if isinstance(value, str):
        if not value.lstrip().startswith(("{", "[")):
            return value.encode("utf-8", "surrogatepass")
        try:
            value = msgspec.json.decode(value.encode())
        except (ValueError, RecursionError):
            assert isinstance(value, str)
            return value.encode("utf-8", "surrogatepass")
    try:
        return msgspec.json.encode(value, order="sorted")
    except (ValueError, OverflowError, TypeError):  # huge integers, lone surrogates
        return json.dumps(value, sort_keys=True, separators=(",", ":")).encode()


class Salt:
    """The installation's secret, and the hashes made with it.

    `secret` is at least 1 byte, best 32 random ones; it must stay the same over restarts, or every
    hash changes at once.
    """

    __slots__ = ("_key",)

    def __init__(self, secret: bytes) -> None:
        if not secret:
            raise ValueError("the salt must not be empty")
        if len(secret) > _KEY_BYTES_MAX:
            secret = blake2b(secret).digest()
        self._key = secret

    def __repr__(self) -> str:
        return "Salt(...)"

    def hash(self, value: object) -> int:
        """Return the 64-bit hash of `value`, any JSON; never 0, which means unknown."""
        data = canonical(value)
        return int.from_bytes(blake2b(data, digest_size=8, key=self._key).digest(), "big") or 1

    def label(self, text: str) -> str:
        """Return the hash of `text` as 16 hexadecimal digits: what `prompt_hash` holds."""
        data = text.encode("utf-8", "surrogatepass")
        return blake2b(data, digest_size=8, key=self._key).hexdigest()
