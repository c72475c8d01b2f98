"""What a browser must not be talked into: checks on every request, headers on every answer.

A page of somebody else's, open in the operator's browser, can reach a server on loopback. The
Host allow-list stops it from reading (DNS rebinding); Origin, content type and a token that only
our own page can read stop it from ordering. Programs send no Origin and need no token.
"""

from __future__ import annotations

import hmac
import re
import secrets
from collections.abc import Iterable, Sequence
from urllib.parse import urlsplit

from immune.errors import Forbidden
from immune.web.asgi import JSON, Message, Scope, Send, header, headers_of, media_type
from immune.web.refusals import WrongMediaType

TOKEN_HEADER = "x-immune-token"  # noqa: S105  # where it stands, not what it is

SAFE_METHODS = frozenset({"GET", "HEAD", "OPTIONS"})

_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; "
    "connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'; "
    "require-trusted-types-for 'script'; trusted-types 'none'"
)
POLICY = b"content-security-policy"

SECURITY_HEADERS: tuple[tuple[bytes, bytes], ...] = (
    (POLICY, _POLICY.encode()),
    (b"x-content-type-options", b"nosniff"),
    (b"referrer-policy", b"no-referrer"),
    (b"cross-origin-resource-policy", b"same-origin"),
    (b"cross-origin-opener-policy", b"same-origin"),
)


def policy_with(script_hash: str) -> str:
    """The policy for a document that holds one inline script of its own, by its hash."""
    return _POLICY.replace("script-src 'self'", f"script-src 'self' '{script_hash}'")


def host_name(host: str) -> str:
    """A Host header or an allowed name without its port: ``[::1]:8090`` -> ``[::1]``."""
    host = host.strip().lower()
    if host.startswith("["):
        return host.partition("]")[0] + "]"
    if host.count(":") > 1:
        return f"[{host}]"
    return host.partition(":")[0].rstrip(".")


class Guard:
    """Refuses requests that a browser may have been talked into."""

    def __init__(self, allowed_hosts: Iterable[str]) -> None:
        self._allowed = frozenset(host_name(host) for host in allowed_hosts)
        self.token = secrets.token_urlsafe(32)
        """What a browser's orders must carry; new with each start."""

    def check(self, scope: Scope) -> None:
        """Raise Forbidden for a Host that is not ours, or for a browser's order that is not the
        page's: from another origin, or without the token."""
        hosts = headers_of(scope, "host")
        if len(hosts) != 1 or host_name(hosts[0]) not in self._allowed:
            raise Forbidden(
                f"the Host {', '.join(hosts) or '(none)'!r} is not one of ours; "
                "server.allowed_hosts lists them"
            )
        if scope["method"] in SAFE_METHODS:
            return
        origins = headers_of(scope, "origin")
        for origin in origins:
            if _authority(origin) != _authority(f"{scope['scheme']}://{hosts[0]}", origin):
                raise Forbidden(f"orders from the origin {origin!r} are not taken")
        if origins or header(scope, "sec-fetch-site"):
            told = header(scope, TOKEN_HEADER).encode("latin-1", "replace")
            if not hmac.compare_digest(told, self.token.encode()):
                raise Forbidden(
                    f"a browser's order needs the token of /api/token in {TOKEN_HEADER}"
                )


def _authority(url: str, like: str = "") -> tuple[str, int | None] | None:
    """Host and port of a URL, the port of the scheme where none is written.

    With `like`, that one's scheme decides the port: behind a TLS proxy the browser says https and
    the proxy http.
    """
    try:
        parts = urlsplit(url)
        port = parts.port
        scheme = urlsplit(like).scheme if like else parts.scheme
    except ValueError:
        return None
    if not parts.hostname:
        return None
    return parts.hostname.lower(), port or {"http": 80, "https": 443}.get(scheme)


_CHARSET = re.compile(r";\s*charset\s*=\s*\"?([^\";\s]*)", re.IGNORECASE)
_READ = ("utf-8", "utf8", "us-ascii")


def require_utf8(scope: Scope) -> None:
    """Raise WrongMediaType for a body said to be in another character set: we would misread it."""
    for told in _CHARSET.findall(content_type(scope)):
        if told.lower() not in _READ:
            raise WrongMediaType(f"the charset {told} is not read here; utf-8 is")


def require_json(content_type: str) -> None:
    """Raise WrongMediaType unless it is JSON: what no form of another page can send."""
    if media_type(content_type) != JSON:
        raise WrongMediaType(f"the content type is {content_type or 'missing'}; it must be {JSON}")


def guarded_send(scope: Scope, send: Send) -> Send:
    """Return a `send` that adds the security headers to the response."""
    fixed: Sequence[tuple[bytes, bytes]] = SECURITY_HEADERS
    # the page's own files change with a new version and are small: always asked for anew
    static = scope["path"].startswith("/static/")
    cache = (b"cache-control", b"no-cache" if static else b"no-store")

    async def sending(message: Message) -> None:
        if message["type"] == "http.response.start":
            given = list(message.get("headers", ()))
            ours = [cache, *fixed]
            if scope["path"] == "/" and any(name == POLICY for name, _ in given):
                # the page's own document brings the policy with its script's hash
                ours.remove(SECURITY_HEADERS[0])
            names = {name for name, _ in ours}
            kept = [pair for pair in given if pair[0].lower() not in names]
            message = {**message, "headers": [*kept, *ours]}
        await send(message)

    return sending


def content_type(scope: Scope) -> str:
    """The request's content type as it was sent."""
    return header(scope, "content-type")
