"""Decompression that stops in time. How much one request may bring is in `ServerSettings`."""

from __future__ import annotations

import zlib

from immune.errors import InvalidInput, TooLarge

_GZIP = zlib.MAX_WBITS | 16


def check_size(body: bytes, max_bytes: int) -> None:
    """Raise TooLarge if `body` is longer than `max_bytes`."""
    if len(body) > max_bytes:
        raise TooLarge("bytes in the body", max_bytes)


def inflate(body: bytes, max_bytes: int) -> bytes:
    """Return gzip-compressed `body` decompressed, never making more than `max_bytes` + 1 of it.

    Raises TooLarge where it holds more, InvalidInput where it is no gzip or is cut short.
    """
    parts: list[bytes] = []
    room = max_bytes + 1
    while body:
        stream = zlib.decompressobj(_GZIP)
        try:
            part = stream.decompress(body, room)
        except zlib.error as error:
            raise InvalidInput("body", "is not gzip, though its encoding says so") from error
        parts.append(part)
        room -= len(part)
        if room <= 0:
            raise TooLarge("bytes in the decompressed body", max_bytes)
        if not stream.eof:
            raise InvalidInput("body", "is gzip cut short")
        body = stream.unused_data  # gzip files may be joined end to end
    return b"".join(parts)
