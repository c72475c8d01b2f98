"""Reading a request's body, never more of it than is allowed."""

from __future__ import annotations

from immune.errors import InvalidInput, TooLarge
from immune.web.asgi import Receive, Scope, header
from immune.web.ports import Inflate
from immune.web.refusals import WrongMediaType


class ClientGone(Exception):
    """The client went away before it had sent everything: there is nobody to answer."""


async def read(scope: Scope, receive: Receive, limit: int) -> bytes:
    """Return the body as sent; raises TooLarge, by Content-Length before anything is read."""
    declared = header(scope, "content-length")
    if declared:
        if not (declared.isascii() and declared.isdigit()):
            raise InvalidInput("body", "its Content-Length is not a number")
        if int(declared) > limit:
            raise TooLarge("bytes in the body", limit)
    parts: list[bytes] = []
    size = 0
    while True:
        message = await receive()
        if message["type"] == "http.disconnect":
            raise ClientGone
        part = message.get("body", b"")
        size += len(part)
        if size > limit:
            raise TooLarge("bytes in the body", limit)
        parts.append(part)
        if not message.get("more_body", False):
            return b"".join(parts)


async def read_plain(scope: Scope, receive: Receive, limit: int, inflate: Inflate) -> bytes:
    """Return the body decompressed; raises TooLarge and WrongMediaType."""
    encoding = header(scope, "content-encoding").strip().lower()
    if encoding not in ("", "identity", "gzip"):
        raise WrongMediaType(f"the encoding {encoding} is not read here; gzip is")
    body = await read(scope, receive, limit)
    return inflate(body, limit) if encoding == "gzip" else body
