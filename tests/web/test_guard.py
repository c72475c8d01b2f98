"""What a browser must not be talked into."""

from __future__ import annotations

import pytest

from immune.web.guard import host_name
from tests.web.conftest import HOST, Site

ORDER = {"mode": "observe"}
VITAL = {"agent_id": "a"}


@pytest.mark.parametrize(
    ("host", "name"),
    [
        ("LocalHost:8090", "localhost"),
        ("localhost.", "localhost"),
        ("127.0.0.1", "127.0.0.1"),
        ("[::1]:8090", "[::1]"),
        ("::1", "[::1]"),
    ],
)
def test_the_port_of_a_host_does_not_matter(host: str, name: str) -> None:
    """Names are compared without port and case."""
    assert host_name(host) == name


@pytest.mark.parametrize("host", ["evil.example", "127.0.0.1.evil.example", "localhost@evil", ""])
@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("GET", "/"),
        ("GET", "/static/main.js"),
        ("GET", "/api/status"),
        ("GET", "/api/events"),
        ("POST", "/api/vitals"),
        ("POST", "/v1/traces"),
        ("POST", "/api/mode"),
        ("GET", "/nowhere"),
    ],
)
async def test_a_foreign_host_is_refused_everywhere(
    site: Site, host: str, method: str, path: str
) -> None:
    """DNS rebinding reads and writes nothing."""
    answer = await site.client.request(method, path, headers={"host": host})
    assert answer.status_code == 403
    assert answer.json()["type"] == "urn:immune:problem:forbidden"


@pytest.mark.parametrize(
    "origin",
    ["https://evil.example", "null", "http://127.0.0.1:9999", f"http://{HOST}.evil", "file://"],
)
@pytest.mark.parametrize("path", ["/api/mode", "/api/vitals", "/v1/traces", "/api/approve"])
async def test_orders_from_another_origin_are_refused(site: Site, origin: str, path: str) -> None:
    """Also from another port of this machine: that is another program's page."""
    answer = await site.client.post(path, json=ORDER, headers={"origin": origin})
    assert answer.status_code == 403


@pytest.mark.parametrize("origin", [f"http://{HOST}", None])
async def test_orders_from_our_own_page_or_from_a_program_are_taken(
    site: Site, origin: str | None
) -> None:
    """The page sends its origin and the token that only it can read, a program neither."""
    token = (await site.client.get("/api/token")).json()["token"]
    headers = {} if origin is None else {"origin": origin, "x-immune-token": token}
    assert (await site.client.post("/api/mode", json=ORDER, headers=headers)).status_code == 200


async def test_behind_a_tls_proxy_the_origin_says_https(site: Site) -> None:
    """The proxy speaks http to us and keeps the Host: still the same origin."""
    token = (await site.client.get("/api/token")).json()["token"]
    headers = {"host": "localhost", "origin": "https://localhost", "x-immune-token": token}
    assert (await site.client.post("/api/mode", json=ORDER, headers=headers)).status_code == 200


@pytest.mark.parametrize("told", [{}, {"x-immune-token": ""}, {"x-immune-token": "guessed"}])
@pytest.mark.parametrize("mark", [{"origin": f"http://{HOST}"}, {"sec-fetch-site": "same-origin"}])
@pytest.mark.parametrize("path", ["/api/mode", "/api/vitals", "/api/lockdowns"])
async def test_a_browser_s_order_needs_the_token(
    site: Site, told: dict[str, str], mark: dict[str, str], path: str
) -> None:
    """Whatever says that a browser asks; the right origin alone is not enough."""
    answer = await site.client.post(path, json=ORDER, headers={**told, **mark})
    assert answer.status_code == 403
    assert "/api/token" in answer.json()["detail"]


async def test_each_start_has_a_token_of_its_own(site: Site, demo_site: Site) -> None:
    """One that was overheard is worth nothing after the next."""
    tokens = {(await one.client.get("/api/token")).json()["token"] for one in (site, demo_site)}
    assert len(tokens) == 2
    assert all(len(token) >= 40 for token in tokens)


@pytest.mark.parametrize(
    "content_type",
    ["application/x-www-form-urlencoded", "text/plain", "multipart/form-data", "", "text/json"],
)
@pytest.mark.parametrize("path", ["/api/mode", "/api/vitals", "/v1/traces", "/api/reject"])
async def test_what_a_form_can_send_is_no_order(site: Site, content_type: str, path: str) -> None:
    """A form of another page sends no JSON without the browser asking us first."""
    answer = await site.client.post(
        path, content=b'{"mode":"observe"}', headers={"content-type": content_type}
    )
    assert answer.status_code == 415


@pytest.mark.parametrize("path", ["/", "/api/status", "/nowhere", "/static/none.js"])
async def test_every_answer_carries_the_security_headers(site: Site, path: str) -> None:
    """Errors too; no script or style but our own files."""
    headers = (await site.client.get(path)).headers
    policy = headers["content-security-policy"]
    assert "default-src 'none'" in policy
    assert "unsafe" not in policy
    assert headers["x-content-type-options"] == "nosniff"
    assert headers["referrer-policy"] == "no-referrer"
    assert headers["cache-control"] == ("no-cache" if "static" in path else "no-store")


async def test_no_other_origin_is_ever_allowed(site: Site) -> None:
    """There are no CORS headers, not even for a preflight."""
    answer = await site.client.options("/api/mode", headers={"origin": "https://evil.example"})
    assert not [name for name in answer.headers if name.startswith("access-control")]


async def test_files_outside_the_page_are_not_served(site: Site) -> None:
    """No path leads out of the folder."""
    for path in ("/static/../app.py", "/static/%2e%2e/app.py", "/static/", "/static//etc/passwd"):
        assert (await site.client.get(path)).status_code == 404
