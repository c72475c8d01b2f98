"""The page: the package's own files and the third-party modules beside them, read once at start.

Each is sent compressed where the browser takes it, and not at all where it has it already.
"""

from __future__ import annotations

import base64
import gzip
import hashlib
import re
from dataclasses import dataclass
from importlib import resources
from importlib.resources.abc import Traversable

from immune.errors import Fatal, NotFound
from immune.web.asgi import Receive, Scope, Send, header, respond
from immune.web.guard import POLICY, policy_with

_TYPES = {
    ".html": "text/html; charset=utf-8",
    ".css": "text/css; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".svg": "image/svg+xml",
}

_FIRST = "main.js"
"""The module that the document starts; all that it imports is fetched along with it."""

_IMPORT = re.compile(
    r"""^(?:import|export)\b(?:[^"';=(]*?\bfrom\s*|\s*)["']([^"']+)["']""", re.MULTILINE
)
_IMPORT_MAP = re.compile(r'<script type="importmap">(.*?)</script>', re.DOTALL)


@dataclass(slots=True)
class _File:
    content: bytes
    kind: str
    tag: str = ""
    packed: bytes = b""

    def __post_init__(self) -> None:
        self.tag = f'"{hashlib.sha256(self.content).hexdigest()[:20]}"'
        self.packed = gzip.compress(self.content, 9, mtime=0)


class Page:
    """``GET /`` and ``GET /static/...``: the files of the package, and no others."""

    def __init__(self) -> None:
        self._files = dict(_read(resources.files("immune.web") / "static", "/static/"))
        if "/static/vendor/preact.js" not in self._files:
            raise Fatal("the page's modules are missing: install the package anew with npm at hand")
        document = self._files.pop("/static/index.html").content.decode()
        found = _IMPORT_MAP.search(document)
        assert found is not None, "index.html has an import map"
        digest = base64.b64encode(hashlib.sha256(found[1].encode()).digest()).decode()
        self._policy = policy_with(f"sha256-{digest}")
        links = [f'<link rel="modulepreload" href="{path}">' for path in self._along(found[1])]
        document = document.replace("<!-- modules -->", "\n    ".join(links))
        self._files["/"] = _File(document.encode(), _TYPES[".html"])

    def _along(self, import_map: str) -> list[str]:
        """Paths of all modules that the first one imports, directly or not."""
        names = dict(re.findall(r'"([^"]+)":\s*"(/static/[^"]+)"', import_map))
        paths, waiting = [f"/static/{_FIRST}"], [f"/static/{_FIRST}"]
        while waiting:
            path = waiting.pop()
            for name in _IMPORT.findall(self._files[path].content.decode()):
                folder = path.rpartition("/")[0]
                other = names.get(name) or _joined(folder, name)
                if other not in paths:
                    paths.append(other)
                    waiting.append(other)
        return paths

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        file = self._files.get(scope["path"])
        if file is None:
            raise NotFound(f"there is no page {scope['path']}")
        extra = [("etag", file.tag), ("vary", "accept-encoding")]
        if scope["path"] == "/":
            extra.append((POLICY.decode(), self._policy))
        if header(scope, "if-none-match") == file.tag:
            await respond(send, 304, b"", file.kind, extra)
            return
        content = file.content
        if "gzip" in header(scope, "accept-encoding"):
            content = file.packed
            extra.append(("content-encoding", "gzip"))
        await respond(send, 200, b"" if scope["method"] == "HEAD" else content, file.kind, extra)


def _read(folder: Traversable, under: str) -> list[tuple[str, _File]]:
    files = []
    for entry in folder.iterdir():
        if entry.is_dir():
            files += _read(entry, f"{under}{entry.name}/")
        elif (kind := _TYPES.get(entry.name[entry.name.rfind(".") :])) is not None:
            files.append((under + entry.name, _File(entry.read_bytes(), kind)))
    return files


def _joined(folder: str, name: str) -> str:
    """``/static/views`` and ``../html.js`` -> ``/static/html.js``."""
    parts = folder.split("/")
    for step in name.split("/"):
        if step == "..":
            parts.pop()
        elif step != ".":
            parts.append(step)
    return "/".join(parts)
