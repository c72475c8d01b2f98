"""``immune doctor``: every check, well and unwell, and what to do about it."""

from __future__ import annotations

import json
import time
from typing import Any

import pytest

from immune import __version__
from immune.cli.examination import CHECKS
from tests.cli.conftest import Run, Scripted


def _status(**changed: object) -> dict[str, Any]:
    now = time.time()  # noqa: TID251  # the command compares it with this machine's clock
    status: dict[str, Any] = {
        "run_id": "r-1",
        "version": __version__,
        "now": now,
        "started_at": now - 3600,
        "mode": "enforce",
        "modes_by_type": {},
        "degraded": [],
        "failures": 0,
        "agents": 1,
        "active": 1,
        "by_state": {"healthy": 1},
        "brake": {"fenced": 0, "active": 1, "room": 5, "share": 0.3, "holding": ""},
        "would_have": {"quarantined": 0, "asked": 0},
        "accepted": 100,
        "queued": 0,
        "late": 0,
        "fleet_incidents": [],
    }
    return {**status, **changed}


def _agent(**changed: object) -> dict[str, Any]:
    agent: dict[str, Any] = {
        "agent_id": "a",
        "agent_type": "coder",
        "state": "healthy",
        "last_seen_at": time.time(),  # noqa: TID251  # see above
        "evidence": 0.0,
        "quarantine_at": 16.0,
        "severity": 0.0,
        "incident_id": None,
        "fenced": False,
        "enforced": False,
    }
    return {**agent, **changed}


def _incident(state: str) -> dict[str, Any]:
    subject = {"kind": "agent", "name": "a"}
    return {"id": "inc-1", "subject": subject, "state": state, "version": 1, "opened_at": 1.0}


NOTHING: dict[str, dict[str, int]] = {
    "refused": {}, "rejected": {}, "unmapped": {}, "retired": {}
}  # fmt: skip


def _script(
    server: Scripted,
    status: dict[str, Any],
    agents: list[dict[str, Any]],
    incidents: list[dict[str, Any]],
    intake: dict[str, dict[str, int]],
) -> None:
    server.on("GET", "/api/status", (200, status))
    server.on("GET", "/api/agents", (200, agents))
    server.on("GET", "/api/incidents", (200, incidents))
    server.on("GET", "/api/intake", (200, intake))
    server.on("GET", "/api/lockdowns", (200, []))


def test_a_healthy_server_has_nothing_to_do(run: Run, server: Scripted) -> None:
    """Each check says ok, and the exit code is 0."""
    _script(server, _status(), [_agent()], [], {**NOTHING, "unmapped": {"chain": 9}})
    code, out, error = run("doctor", "--server", server.url)
    assert (code, error) == (0, "")
    assert [line.split()[0] for line in out.splitlines()] == ["ok"] * len(CHECKS)


DOWN = [{"name": "workflow store", "last_error": "disk full"}]
FENCED = {"fenced": True, "enforced": False}
BEHIND = [{"agent_id": "b", "behind_s": 12.3, "put_right": True}]
AHEAD = [{"agent_id": "b", "behind_s": -200.0, "put_right": True}] * 9
FAR = [{"agent_id": "b", "behind_s": 3600.0, "put_right": False}]
AT_AHEAD = "at is 400 s ahead; at most 300 s are allowed"
HOLDS = {"fenced": 5, "active": 9, "room": 0, "share": 0.3, "holding": "5 of 9 are fenced"}


@pytest.mark.parametrize(
    ("status", "agent", "incidents", "intake", "check", "level", "said"),
    [
        ({"version": "0.0.1"}, {}, [], {}, "server", "warn", "use one of the server's"),
        ({"degraded": DOWN}, {}, [], {}, "stores", "fail", "workflow store: disk full"),
        ({"degraded": [{"name": "outbox"}]}, {}, [], {}, "parts", "fail", "outbox fails"),
        ({"failures": 3}, {}, [], {}, "parts", "warn", "3 failures since the start"),
        ({"now": 1e9}, {}, [], {}, "clocks", "fail", "set both by NTP"),
        ({"clocks": BEHIND, "clocks_off": 1}, {}, [], {}, "hosts", "warn", "b 12 s behind"),
        ({"clocks": AHEAD, "clocks_off": 9}, {}, [], {}, "hosts", "warn", "and 4 more"),
        ({"clocks": FAR, "clocks_off": 1}, {}, [], {}, "hosts", "warn", "not scored"),
        ({"agents": 0}, {}, [], {}, "agents", "warn", "none has reported yet"),
        ({}, {"last_seen_at": 1.0}, [], {}, "agents", "warn", "0 of 1 seen in the last minute"),
        ({}, FENCED, [], {}, "fences", "warn", "1 of 1 are ordered, not enforced"),
        ({"queued": 150_000}, {}, [], {}, "scoring", "warn", "detection can't keep up"),
        ({"late": 20}, {}, [], {}, "scoring", "warn", "intake.order_s"),
        ({}, {}, [], {"refused": {"at is old": 7}}, "refused", "warn", "7 at is old"),
        ({}, {}, [], {"refused": {AT_AHEAD: 7}}, "refused", "warn", "set its clock"),
        ({}, {}, [], {"rejected": {"no trace_id": 2}}, "refused", "warn", "2 no trace_id"),
        ({}, {}, [], {"retired": {"too many": 9}}, "room", "warn", "9 agents forgotten"),
        ({}, {}, [], {"retired": {"too many": 1}}, "room", "warn", "1 agent forgotten"),
        ({}, {}, [], {"unmapped": {"no_identity": 4}}, "spans", "warn", "4 no agent's id"),
        ({"brake": HOLDS}, {}, [], {}, "brake", "fail", "it holds: 5 of 9 are fenced"),
        ({}, {}, [_incident("exhausted")], {}, "people", "warn", "1 exhausted"),
    ],
)
def test_what_is_unwell_is_told_with_what_to_do(
    run: Run,
    server: Scripted,
    status: dict[str, Any],
    agent: dict[str, Any],
    incidents: list[dict[str, Any]],
    intake: dict[str, dict[str, int]],
    check: str,
    level: str,
    said: str,
) -> None:
    """The check is named; only a failure makes the exit code 1."""
    _script(server, _status(**status), [_agent(**agent)], incidents, {**NOTHING, **intake})
    code, out, _ = run("doctor", "--server", server.url)
    assert said in out
    code_as_json, found, _ = run("doctor", "--json", "--server", server.url)
    finding = next(one for one in json.loads(found) if one["name"] == check)
    assert finding["level"] == level
    assert finding["todo"]
    assert code == code_as_json == (1 if level == "fail" else 0)


def test_a_single_fence_is_counted_as_one(run: Run, server: Scripted) -> None:
    """One agent is no "1 agents"."""
    _script(server, _status(), [_agent(fenced=True, enforced=True)], [], NOTHING)
    _, out, _ = run("doctor", "--server", server.url)
    assert "1 agent fenced, all enforced" in out


def test_no_server_is_a_failure_of_its_own(run: Run) -> None:
    """One finding, with how to start one."""
    code, out, _ = run("doctor", "--server", "http://127.0.0.1:1")
    assert code == 1
    assert out.startswith("fail  server     no server at http://127.0.0.1:1")
    assert out.count("\n") == 1
