"""The socket that the server listens on, taken before anything else is done.

Whoever starts a server on a taken port is told at once, and not after an hour of history has been
simulated or a store migrated. From here on connections queue; they are answered once the system
stands.
"""

from __future__ import annotations

import asyncio
import errno
import socket
from collections.abc import Callable

from immune.errors import Fatal, InvalidInput
from immune.settings import ServerSettings

LOOPBACK = ("127.0.0.1", "::1", "localhost")
BACKLOG = 2048
"""Connections that may queue: uvicorn's own figure."""


def listen(settings: ServerSettings) -> socket.socket:
    """Return the listening socket; the caller closes it.

    Raises InvalidInput for an address that is not loopback, and Fatal, naming the port, where it
    can't be had.
    """
    host, port = settings.host, settings.port
    if host not in LOOPBACK:
        raise InvalidInput("server.host", f"{host} is not loopback: there are no keys yet")
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        return socket.create_server((host, port), family=family, backlog=BACKLOG)
    except OSError as fault:
        if fault.errno == errno.EADDRINUSE:
            raise Fatal(
                f"port {port} of {host} is in use: stop what listens there, "
                "or choose another with --port (0 takes a free one)"
            ) from fault
        raise Fatal(f"cannot listen on port {port} of {host}: {fault.strerror}") from fault


def fast_loop() -> Callable[[], asyncio.AbstractEventLoop] | None:
    """What makes uvloop's event loop, where that is installed; None for Python's own."""
    try:
        import uvloop
    except ModuleNotFoundError:
        return None
    return uvloop.new_event_loop


def address_of(listener: socket.socket, host: str) -> str:
    """The URL of the page behind a listening socket."""
    name = f"[{host}]" if ":" in host else host
    return f"http://{name}:{listener.getsockname()[1]}/"
