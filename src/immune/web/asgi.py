"""The few words of ASGI that the callables in front of Quart need."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, MutableMapping, Sequence
from typing import Any

Scope = MutableMapping[str, Any]
Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
AsgiApp = Callable[[Scope, Receive, Send], Awaitable[None]]

JSON = "application/json"


def headers_of(scope: Scope, name: str) -> list[str]:
    """Every value of one header; `name` in lower case."""
    wanted = name.encode()
    return [value.decode("latin-1") for key, value in scope["headers"] if key.lower() == wanted]


def header(scope: Scope, name: str) -> str:
    """The first value of one header, or an empty string; `name` in lower case."""
    return next(iter(headers_of(scope, name)), "")


def media_type(content_type: str) -> str:
    """``Application/JSON; charset=utf-8`` -> ``application/json``."""
    return content_type.partition(";")[0].strip().lower()


async def respond(
    send: Send,
    status: int,
    body: bytes,
    content_type: str = JSON,
    extra: Sequence[tuple[str, str]] = (),
) -> None:
    """Send one whole response."""
    headers = [("content-type", content_type), ("content-length", str(len(body))), *extra]
    await send(
        {
            "type": "http.response.start",
            "status": status,
            "headers": [(name.encode(), value.encode("latin-1")) for name, value in headers],
        }
    )
    await send({"type": "http.response.body", "body": body})
