"""Speaking to a running server.

What it answers is decoded into the few fields that are shown (`shapes`), so that these verbs load
neither numpy nor the server's parts and also read a newer server.
"""

from __future__ import annotations

import getpass
from collections.abc import Mapping
from typing import Self, TypeVar
from urllib.parse import quote

import httpx2
import msgspec

from immune.cli.shapes import Problem
from immune.errors import InvalidInput, Refused, Transient

TIMEOUT_S = 30.0
JSON = "application/json"

T = TypeVar("T")


class NoServer(Transient):
    """Nobody answers there."""


class SaidNo(Refused):
    """The server refused, or could not."""

    def __init__(self, status: int, problem: Problem, retry_after_s: float = 1.0) -> None:
        super().__init__(problem.words())
        self.status = status
        self.retry_after_s = retry_after_s
        self.problem = problem


class Remote:
    """One server, by its address; a context manager, as it keeps a connection."""

    def __init__(self, server: str) -> None:
        self._server = server.rstrip("/")
        if not self._server.startswith(("http://", "https://")):
            raise InvalidInput("--server", f"must begin with http://, such as http://{server}")
        # trust_env=False: a proxy that stands in the environment must not get to see loopback
        self._client = httpx2.Client(timeout=TIMEOUT_S, trust_env=False)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *fault: object) -> None:
        self._client.close()

    def get(self, path: str, query: Mapping[str, object] | None = None) -> bytes:
        """Return the body of the answer; raises NoServer and SaidNo."""
        given = {name: value for name, value in (query or {}).items() if value not in (None, "")}
        return self._send("GET", path, params=given)

    def post(self, path: str, order: Mapping[str, object]) -> bytes:
        """Send an order, leaving out what is None or empty; raises NoServer and SaidNo."""
        said = {name: value for name, value in order.items() if value not in (None, "", ())}
        return self._send("POST", path, content=msgspec.json.encode(said))

    def delete(self, path: str, query: Mapping[str, object] | None = None) -> bytes:
        """Have something taken away; raises NoServer and SaidNo."""
        return self._send("DELETE", path, params=query)

    def send(self, path: str, body: bytes, content_type: str) -> bytes:
        """Post a body as it is; raises NoServer and SaidNo."""
        return self._send("POST", path, content=body, content_type=content_type)

    def _send(
        self,
        method: str,
        path: str,
        params: Mapping[str, object] | None = None,
        content: bytes | None = None,
        content_type: str = JSON,
    ) -> bytes:
        headers = {} if content is None else {"Content-Type": content_type}
        try:
            response = self._client.request(
                method,
                self._server + path,
                params=params,  # type: ignore[arg-type]
                content=content,
                headers=headers,
            )
        except httpx2.ReadTimeout as fault:
            raise NoServer(f"{self._server} did not answer within {TIMEOUT_S:.0f} s") from fault
        except (httpx2.HTTPError, httpx2.InvalidURL) as fault:
            raise NoServer(
                f"no server at {self._server} ({type(fault).__name__}): start one with "
                "`immune serve` or `immune demo`, or say where it is with --server"
            ) from fault
        if response.is_success:
            return response.content
        wait = response.headers.get("retry-after", "")
        raise SaidNo(
            response.status_code, _problem(response), float(wait) if wait.isdigit() else 1.0
        )


def _problem(response: httpx2.Response) -> Problem:
    if "json" in response.headers.get("content-type", ""):
        try:
            return msgspec.json.decode(response.content, type=Problem)
        except msgspec.DecodeError:
            pass
    return Problem(detail=f"answered {response.status_code}: is this an Immune server?")


def read(body: bytes, kind: type[T], *, strict: bool = True) -> T:
    """Decode an answer; raises Refused for what is none of ours."""
    try:
        return msgspec.json.decode(body, type=kind, strict=strict)
    except msgspec.DecodeError as fault:
        raise Refused(f"the answer is not an Immune server's of this version: {fault}") from fault


def agent_path(agent_id: str, verb: str = "") -> str:
    """The path of an agent, whatever its id holds."""
    return f"/api/agents/{_segment(agent_id)}" + (f"/{verb}" if verb else "")


def incident_path(incident_id: str, verb: str = "") -> str:
    """The path of an incident."""
    return f"/api/incidents/{_segment(incident_id)}" + (f"/{verb}" if verb else "")


def lockdown_path(lockdown_id: str, verb: str) -> str:
    """The path of an order on a lockdown."""
    return f"/api/lockdowns/{_segment(lockdown_id)}/{verb}"


def _segment(name: str) -> str:
    if name in (".", ".."):
        return name.replace(".", "%2E")  # clients and proxies would walk up the path
    return quote(name, safe="", errors="surrogateescape")


def login() -> str:
    """The name of who sits here; empty where the system knows none."""
    try:
        return getpass.getuser()
    except (KeyError, OSError):
        return ""
