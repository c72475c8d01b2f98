"""The page: its three kinds of files, read once at start."""

from __future__ import annotations

from importlib import resources

from immune.errors import NotFound
from immune.web.asgi import Receive, Scope, Send, respond

_TYPES = {
    ".html": "text/html; charset=utf-8",
    ".css": "text/css; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".svg": "image/svg+xml",
}


class Page:
    """``GET /`` and ``GET /static/...``: the files of the package, and no others."""

    def __init__(self) -> None:
        self._files: dict[str, tuple[bytes, str]] = {}
        for file in (resources.files("immune.web") / "static").iterdir():
            kind = _TYPES.get(file.name[file.name.rfind(".") :])
            if kind is not None:
                self._files[f"/static/{file.name}"] = (file.read_bytes(), kind)
        self._files["/"] = self._files["/static/index.html"]

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        found = self._files.get(scope["path"])
        if found is None:
            raise NotFound(f"there is no page {scope['path']}")
        content, kind = found
        await respond(send, 200, b"" if scope["method"] == "HEAD" else content, kind)
