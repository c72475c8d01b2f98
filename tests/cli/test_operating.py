"""The verbs that speak to a running server."""

from __future__ import annotations

import json
from typing import Any

import pytest

from tests.cli.conftest import Run, Scripted

INCIDENT: dict[str, Any] = {
    "id": "inc-7",
    "subject": {"kind": "agent", "name": "coder-3"},
    "state": "awaiting_approval",
    "version": 4,
    "opened_at": 1_700_000_000.0,
    "severity": 8.2,
    "diagnosis": {
        "ranked": [{"cause": "tool_instability", "confidence": 0.82}],
        "reasons": ["latency 5.1 times normal [bold]"],
    },
    "ladder": [
        {"action": "revoke_tools", "expected": "takes the slow tool away"},
        {"action": "rollback_prompt", "skipped": "failed lately"},
        {"action": "clone_agent", "asks": True},
    ],
    "next_rung": 0,
    "asks": "severity 8.2",
    "a_field_of_tomorrow": 1,
}
DETAIL = {
    "incident": INCIDENT,
    "events": [
        {"version": 1, "state": "suspected", "event": {"type": "opened", "at": 100.0}},
        {
            "version": 4,
            "state": "awaiting_approval",
            "event": {
                "type": "diagnosed",
                "at": 220.0,
                "who": "system",
                "why": "",
                "diagnosis": {"ranked": [{"cause": "tool_instability", "confidence": 0.82}]},
                "ladder": [{"action": "revoke_tools"}, {"action": "clone_agent"}],
                "asks": "severity 8.2",
            },
        },
    ],
    "attempts": [{"action": "reset_memory", "outcome": "relapsed", "note": "still slow"}],
}
MOVED = {
    "incident": {**INCIDENT, "state": "rejected", "version": 5},
    "events": [
        *DETAIL["events"],
        {
            "version": 5,
            "state": "rejected",
            "event": {"type": "rejected", "at": 280.0, "who": "bob", "why": "too risky"},
        },
    ],
}
AGENT: dict[str, Any] = {
    "agent_id": "team/coder 3",
    "agent_type": "coder",
    "state": "awaiting_approval",
    "last_seen_at": 0,
    "evidence": 21.0,
    "quarantine_at": 16.0,
    "severity": 8.2,
    "incident_id": "inc-7",
    "fenced": True,
    "enforced": False,
}
HEALING = {**INCIDENT, "state": "healing", "version": 5}


def test_an_approval_is_of_the_version_that_was_seen(run: Run, server: Scripted) -> None:
    """Named on the command line it is posted as it is: nothing newer is read and decided on."""
    server.on("POST", "/api/incidents/inc-7/approve", (200, HEALING))
    at = ("--server", server.url)
    assert run("approve", "inc-7", "--version", "3", "--who", "ann", *at)[0] == 0
    assert server.orders == [("/api/incidents/inc-7/approve", {"version": 3, "who": "ann"})]
    assert [path for path, _ in server.queries] == ["/api/incidents/inc-7/approve"]


@pytest.mark.parametrize(
    "verb", [["approve"], ["reject"], ["heal-now"], ["release", "--verdict", "new_normal"]]
)
def test_nobody_decides_unseen(run: Run, server: Scripted, verb: list[str]) -> None:
    """Without a terminal, a version or --yes it is wrong usage, and nothing is sent."""
    server.on("GET", "/api/incidents/inc-7", (200, DETAIL))
    code, _, error = run(*verb, "inc-7", "--server", server.url)
    assert (code, server.orders) == (2, [])
    assert error.startswith("immune: --version: say which version you saw")
    assert error.count("\n") == 1


def test_yes_shows_what_it_approves_and_sends_that_version(run: Run, server: Scripted) -> None:
    """Diagnosis, plan and version are read, printed, and just that version is approved."""
    server.on("GET", "/api/incidents/inc-7", (200, DETAIL))
    server.on("POST", "/api/incidents/inc-7/approve", (200, HEALING))
    code, out, _ = run(
        "approve", "inc-7", "--yes", "--why", "go on", "--plan", "revoke_tools, clone_agent",
        "--who", "ann", "--server", server.url,
    )  # fmt: skip
    assert code == 0
    for said in (
        "severity   8.2",
        "tool instability 82 %",
        "times normal [bold]",
        "1. revoke_tools  takes the slow tool away",
        "-. rollback_prompt  skipped: failed lately",
        "2. clone_agent",
        "reset_memory: still sick (still slow)",
        "version    4",
        "inc-7 of coder-3 is healing",
    ):
        assert said in out
    assert server.orders == [
        (
            "/api/incidents/inc-7/approve",
            {"version": 4, "who": "ann", "why": "go on", "plan": ["revoke_tools", "clone_agent"]},
        )
    ]


def test_a_conflict_says_what_happened_meanwhile(run: Run, server: Scripted) -> None:
    """Exit code 1, the server's own words, who did what since, and the incident as it is now."""
    problem = {
        "title": "Somebody decided meanwhile",
        "status": 409,
        "detail": "incident inc-7 is at version 5, not 4",
        "current": MOVED["incident"],
    }
    server.on("GET", "/api/incidents/inc-7", (200, MOVED))
    server.on("POST", "/api/incidents/inc-7/approve", (409, problem))
    code, _, error = run("approve", "inc-7", "--version", "4", "--server", server.url)
    assert code == 1
    assert error.splitlines() == [
        "immune: incident inc-7 is at version 5, not 4",
        "  +3 min: rejected: no healing, the fence stays, by bob: too risky",
        "  now: inc-7 of coder-3 is rejected (version 5)",
    ]


def test_no_server_is_said_plainly(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    """And no proxy of the environment is asked for one."""
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:2")
    for verb in (
        ["status"],
        ["agents"],
        ["approve", "inc-1", "--yes"],
        ["chaos", "a", "tool_loop"],
    ):
        code, out, error = run(*verb, "--server", "http://127.0.0.1:1")
        assert (code, out) == (1, "")
        assert error.startswith("immune: no server at http://127.0.0.1:1")
        assert error.count("\n") == 1


def test_another_program_s_server_is_recognised(run: Run, server: Scripted) -> None:
    """An answer that is no problem document is not taken apart, nor one that is none of ours."""
    server.on("GET", "/api/status", (500, "oops"), (200, ["hello"]))
    for said in ("answered 500: is this an Immune server?", "is not an Immune server's"):
        code, _, error = run("status", "--server", server.url)
        assert (code, error.count("\n")) == (1, 1)
        assert said in error
    code, _, error = run("status", "--server", "localhost:8090")
    assert (code, "must begin with http://" in error) == (2, True)


def test_a_fault_of_the_server_s_is_one_clear_line(run: Run, server: Scripted) -> None:
    """Its title says whose fault it is, its detail where to look."""
    fault = {"title": "Something is wrong on our side", "status": 500, "detail": "see\nthe log"}
    server.on("GET", "/api/status", (500, fault))
    code, _, error = run("status", "--server", server.url)
    assert (code, error) == (1, "immune: Something is wrong on our side: see the log\n")


def test_the_address_comes_from_the_environment(
    run: Run, server: Scripted, monkeypatch: pytest.MonkeyPatch
) -> None:
    """IMMUNE_SERVER, unless --server says otherwise."""
    monkeypatch.setenv("IMMUNE_SERVER", server.url)
    server.on("GET", "/api/incidents", (200, []))
    assert run("incidents")[0] == 0


def test_agents_are_listed_in_words(run: Run, server: Scripted) -> None:
    """A fence that nobody enforces says so; --json is the server's answer as it came."""
    server.on("GET", "/api/agents", (200, [AGENT]))
    _, out, _ = run("agents", "--state", "healing", "--server", server.url)
    assert "awaiting approval" in out
    assert "ordered, not enforced" in out
    assert "21.0 of 16.0" in out
    assert server.queries[-1] == ("/api/agents", "state=healing&limit=100")
    _, raw, _ = run("agents", "--json", "--server", server.url)
    assert json.loads(raw) == [AGENT]


def test_an_incident_is_shown_with_its_timeline(run: Run, server: Scripted) -> None:
    """Each event with its time since the first, its actions, and who decided it."""
    server.on("GET", "/api/incidents/inc-7", (200, DETAIL))
    _, out, _ = run("incidents", "inc-7", "--server", server.url)
    said = "diagnosed: tool instability 82 %; plan revoke_tools → clone_agent; asks: severity 8.2"
    row = next(line for line in out.splitlines() if line.lstrip().startswith("+2 min"))
    assert said in row
    assert row.split()[-1] == "system"
    server.on("GET", "/api/incidents", (200, [INCIDENT]))
    _, out, _ = run("incidents", "--server", server.url)
    assert "inc-7" in out
    assert server.queries[-1] == ("/api/incidents", "state=open&limit=50")


def test_release_takes_an_incident_or_an_agent(run: Run, server: Scripted) -> None:
    """An agent's incident needs a verdict; a person's hold is lifted without one."""
    server.on("GET", "/api/incidents/inc-7", (200, DETAIL))
    server.on("POST", "/api/incidents/inc-7/release", (200, {**INCIDENT, "state": "dismissed"}))
    agent = "/api/agents/team/coder 3"
    server.on("GET", agent, (200, {"agent": AGENT, "fences": []}))
    code, _, error = run("release", "team/coder 3", "--server", server.url)
    assert (code, server.orders) == (2, [])
    assert "--verdict" in error
    code, _, _ = run(
        "release", "team/coder 3", "--verdict", "false_alarm", "--version", "4",
        "--who", "ann", "--server", server.url,
    )  # fmt: skip
    assert code == 0
    order = {"version": 4, "who": "ann", "verdict": "false_alarm"}
    assert server.orders == [("/api/incidents/inc-7/release", order)]
    held = {"agent": {**AGENT, "incident_id": None}, "fences": [{"id": "h", "incident_id": None}]}
    server.on("GET", agent, (200, held))
    server.on("POST", f"{agent}/release", (200, []))
    code, out, _ = run("release", "team/coder 3", "--server", server.url)
    assert code == 0
    assert "holds on team/coder 3 are lifted" in out
    server.on("GET", agent, (200, {**held, "fences": []}))
    code, _, error = run("release", "team/coder 3", "--server", server.url)
    assert code == 1
    assert "nothing holds" in error


def test_the_other_verbs_say_what_was_done(run: Run, server: Scripted) -> None:
    """Heal now, quarantine, mode, chaos."""
    server.on("GET", "/api/incidents/inc-7", (200, DETAIL))
    server.on("POST", "/api/incidents/inc-7/heal-now", (200, HEALING))
    server.on(
        "POST", "/api/agents/a/quarantine", (200, {"fence": {"id": "h", "incident_id": None}})
    )
    server.on("POST", "/api/mode", (200, {"mode": "ask"}))
    infected = {"agent_id": "a", "infection": "tool_loop", "strain": "planner"}
    server.on("POST", "/api/chaos", (200, infected))
    at = ("--server", server.url)
    assert "is healing" in run("heal-now", "inc-7", "--yes", "--action", "wait", *at)[1]
    assert "a is held" in run("quarantine", "a", "--why", "odd", *at)[1]
    assert "ask for agents of type coder" in run("mode", "ask", "--type", "coder", *at)[1]
    assert "strain planner" in run("chaos", "a", "tool_loop", *at)[1]
    assert run("quarantine", "a", *at)[0] == 2  # the reason is not optional
    assert run("mode", "panic", *at)[0] == 2
    assert server.orders[2] == ("/api/mode", {"mode": "ask", "agent_type": "coder", "agent_id": ""})


def test_a_mode_is_taken_back(run: Run, server: Scripted) -> None:
    """Null is what clears it; to name both or neither is a mistake."""
    server.on("POST", "/api/mode", (200, {"mode": None}))
    at = ("--server", server.url)
    code, out, _ = run("mode", "--type", "coder", "--clear", *at)
    assert code == 0
    assert "the mode of all agents holds again" in out
    assert server.orders == [("/api/mode", {"mode": None, "agent_type": "coder", "agent_id": ""})]
    assert run("mode", "--agent", "a", *at)[0] == 2
    assert run("mode", "ask", "--agent", "a", "--clear", *at)[0] == 2
    assert len(server.orders) == 1


def test_an_alias_is_given_taken_back_and_listed(run: Run, server: Scripted) -> None:
    """Under whatever name; half an order is wrong usage."""
    at = ("--server", server.url)
    path = "/api/agents/team/coder 3/aliases"
    server.on("POST", path, (200, {"aliases": {"coder-4": "team/coder 3"}}))
    server.on("DELETE", path, (200, {"aliases": {}}))
    server.on("GET", "/api/aliases", (200, {"aliases": {"coder-4": "team/coder 3"}}))
    code, out, _ = run("alias", "team/coder 3", "coder-4", *at)
    assert (code, out) == (0, "done: steps of coder-4 count as those of team/coder 3\n")
    assert server.orders == [(path, {"alias": "coder-4"})]
    code, out, _ = run("alias", "team/coder 3", "coder-4", "--clear", *at)
    assert (code, out) == (0, "done: steps of coder-4 are an agent's own again\n")
    assert server.queries[-1] == (path, "alias=coder-4")
    code, out, _ = run("alias", *at)
    assert code == 0
    assert out.splitlines()[-1].split() == ["coder-4", "team/coder", "3"]
    for half in (["coder"], ["--clear"]):
        code, _, error = run("alias", *half, *at)
        assert (code, error) == (
            2,
            "immune: AGENT NAME: say both, or neither to list all other names\n",
        )


def test_an_agent_is_forgotten_only_by_somebody_who_says_so(run: Run, server: Scripted) -> None:
    """Nobody is there to ask: --yes says it."""
    server.on("DELETE", "/api/agents/team/coder 3", (200, {"agent_id": "team/coder 3"}))
    at = ("team/coder 3", "--server", server.url)
    code, _, error = run("delete", *at)
    assert (code, server.queries) == (2, [])
    assert error.startswith("immune: --yes: nobody is there to ask")
    code, out, _ = run("delete", *at, "--yes")
    assert (code, out.startswith("done: team/coder 3 is forgotten")) == (0, True)
    assert server.queries == [("/api/agents/team/coder 3", "")]
