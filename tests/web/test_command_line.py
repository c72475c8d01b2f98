"""The command line against the real web, over a real socket: nothing between them is scripted."""

from __future__ import annotations

import asyncio
import os
import sys
from collections.abc import AsyncIterator
from dataclasses import dataclass

import httpx2
import pytest
import uvicorn

from immune.cli.remote import agent_path
from immune.incidents.states import State
from tests.web.conftest import Site

AGENTS = (
    "ci/release",
    "svc/vitals",
    "svc",
    "quarantine/release/vitals",
    "a b",
    "x//y",
    "/before",
    "after/",
    "ünïcode/агент 😀",
    "100%",
    "%2F",
    "a%2Fb",
    "a?b#c&d=e+f;g",
    "...",
    "a/../b",
    "-x",
)


@dataclass(slots=True)
class Shell:
    """A way to run commands against the site."""

    url: str

    async def run(self, *arguments: str) -> tuple[int, str, str]:
        """Run a command without a terminal; its exit code and what it printed."""
        process = await asyncio.create_subprocess_exec(
            sys.executable,
            *("-m", "immune", *arguments),
            env={"PATH": "", "IMMUNE_SERVER": self.url, "PYTHONUTF8": "1"},
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
        )
        out, error = await process.communicate()
        return process.returncode or 0, out.decode(), error.decode()

    async def answer(self, text: str, *arguments: str) -> tuple[int, str]:
        """Run a command on a terminal and type `text`; its exit code and what it showed."""
        ours, theirs = os.openpty()
        process = await asyncio.create_subprocess_exec(
            sys.executable,
            *("-m", "immune", *arguments),
            env={"PATH": "", "IMMUNE_SERVER": self.url, "PYTHONUTF8": "1"},
            stdin=theirs,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.STDOUT,
        )
        os.close(theirs)
        os.write(ours, text.encode())
        out, _ = await process.communicate()
        os.close(ours)
        return process.returncode or 0, out.decode()


@pytest.fixture
async def shell(site: Site) -> AsyncIterator[Shell]:
    """The site behind a real server."""
    config = uvicorn.Config(site.dashboard, port=0, lifespan="off", log_config=None)
    server = uvicorn.Server(config)
    serving = asyncio.create_task(server.serve())
    while not server.started:
        await asyncio.wait({serving}, timeout=0.01)
    yield Shell(f"http://127.0.0.1:{server.servers[0].sockets[0].getsockname()[1]}")
    site.dashboard.leave()
    server.should_exit = True
    await serving


@pytest.mark.parametrize("agent_id", AGENTS)
async def test_an_agent_s_id_is_any_text(site: Site, shell: Shell, agent_id: str) -> None:
    """Reported, read, held and let go under its own name, and no other agent in its place."""
    async with httpx2.AsyncClient(base_url=shell.url) as client:
        reports = [{"agent_id": one, "latency_ms": 5} for one in AGENTS]
        assert (await client.post("/api/vitals", json=reports)).json() == {"accepted": len(AGENTS)}
        await site.system.orchestrator.turn()
        detail = await client.get(agent_path(agent_id))
        assert detail.json()["agent"]["agent_id"] == agent_id
        vitals = await client.get(agent_path(agent_id, "vitals"))
        assert [vital["agent_id"] for vital in vitals.json()] == [agent_id]
        held = await client.post(agent_path(agent_id, "quarantine"), json={"why": "odd"})
        assert held.json()["fence"]["agent_id"] == agent_id
        freed = await client.post(agent_path(agent_id, "release"), json={})
        assert [fence["agent_id"] for fence in freed.json()] == [agent_id]


@pytest.mark.parametrize("agent_id", ["ci/release", "svc/vitals", "ünïcode 100%", "-x"])
async def test_the_verbs_take_any_id(site: Site, shell: Shell, agent_id: str) -> None:
    """From the terminal to the fence and back."""
    await site.agent(agent_id)
    code, out, error = await shell.run("quarantine", "--why", "odd", "--", agent_id)
    assert (code, error) == (0, "")
    assert f"{agent_id} is held" in out
    assert site.system.orchestrator.quarantine.refuses(agent_id)
    code, out, error = await shell.run("release", "--", agent_id)
    assert (code, error) == (0, "")
    assert not site.system.orchestrator.quarantine.refuses(agent_id)


async def test_on_a_terminal_the_case_is_shown_and_the_person_asked(
    site: Site, shell: Shell
) -> None:
    """Severity, diagnosis, the plan in order; no sends nothing, yes sends what was shown."""
    case = await site.case()
    code, out = await shell.answer("n\n", "approve", case.id)
    assert code == 1
    assert "nothing was sent" in out
    assert site.system.orchestrator.casework.get(case.id) == case
    for said in ("severity   8.0", "1. ", f"Approve this plan? (version {case.version})"):
        assert said in out
    places = [out.index(f" {action}") for action in case.plan]
    assert places == sorted(places)
    code, out = await shell.answer("y\n", "approve", case.id, "--why", "go on", "--who", "ann")
    assert code == 0
    assert site.system.orchestrator.casework.get(case.id).state is State.HEALING
    _, out, _ = await shell.run("incidents", case.id)
    row = next(line for line in out.splitlines() if "approved: " in line)
    assert f"approved: {' → '.join(case.plan)}" in row
    assert "ann" in row
    assert "go on" in row


async def test_what_was_decided_meanwhile_is_told(site: Site, shell: Shell) -> None:
    """The slower of two people learns who was faster, and with what reason."""
    case = await site.case()
    seen = ("--version", str(case.version))
    said = ("--who", "bob", "--why", "too risky")
    assert (await shell.run("reject", case.id, *seen, *said))[0] == 0
    code, _, error = await shell.run("approve", case.id, *seen)
    assert code == 1
    assert "by bob: too risky" in error
    assert f"now: {case.id} of a is rejected (version {case.version + 1})" in error


async def test_a_mode_is_set_only_where_somebody_has_it(site: Site, shell: Shell) -> None:
    """A typo is refused with the types there are; what was set can be taken back."""
    await site.agent("a", "coder")
    modes = site.system.orchestrator.modes
    code, _, error = await shell.run("mode", "observe", "--type", "codr")
    assert (code, error) == (
        1,
        "immune: no agent of type codr ever reported: known are coder\n",
    )
    assert (await shell.run("mode", "observe", "--agent", "b"))[0] == 1
    assert not modes.by_type
    for whom, name, kept in (
        ("--type", "coder", modes.by_type),
        ("--agent", "a", modes.by_agent),
    ):
        assert (await shell.run("mode", "observe", whom, name))[0] == 0
        assert kept == {name: "observe"}
        assert (await shell.run("mode", "--clear", whom, name))[0] == 0
        assert kept == {}
    assert (await shell.run("mode", "--clear"))[0] == 1
    saved = await site.system.orchestrator.workflow.setting("modes")
    assert saved == '{"":"enforce"}'
    assert [row.mode for row in await site.system.orchestrator.workflow.agents()] == [""]


async def test_the_doctor_sees_what_was_refused(site: Site, shell: Shell) -> None:
    """Every check has a finding; what intake did not take stands there by its reason."""
    async with httpx2.AsyncClient(base_url=shell.url) as client:
        await client.post("/api/vitals", json=[{"agent_id": "a", "latency_ms": -1}] * 3)
        counts = (await client.get("/api/intake")).json()
    assert list(counts["refused"].values()) == [3]
    await site.agent("a")
    await site.case()
    code, out, error = await shell.run("doctor")
    assert error == ""
    levels = {line.split()[1]: line.split()[0] for line in out.splitlines() if "->" not in line}
    assert levels["refused"] == "warn"
    assert "3 latency_ms" in out
    assert levels["people"] == "warn"
    assert levels["clocks"] == "fail"  # the site's clock stands at its own time
    assert levels["stores"] == levels["brake"] == levels["spans"] == "ok"
    assert code == 1


async def test_the_red_button_is_pressed_seen_and_undone(site: Site, shell: Shell) -> None:
    """Every agent is fenced; status says so first, the doctor fails; the undo takes it back."""
    await site.agent("a")
    await site.agent("b")
    quarantine = site.system.orchestrator.quarantine
    pressed = ("lockdown", "--why", "a leak", "--yes", "--who", "ann")
    code, out, error = await shell.run(*pressed)
    assert (code, error) == (0, "")
    assert "everything is fenced (2 agents) by ann since " in out
    assert quarantine.fenced_agents() == {"a", "b"}
    _, out, _ = await shell.run("status")
    first = out.splitlines()[0]
    assert first.startswith("LOCKDOWN   everything is fenced (2 agents) by ann since ")
    assert first.endswith(" UTC: a leak; undo with `immune lockdown --undo`")
    assert "0 of at most 20 an hour (always allowed, however small the fleet)" in out
    code, out, _ = await shell.run("doctor")
    assert code == 1
    said = out.splitlines()
    place = next(n for n, line in enumerate(said) if line.startswith("fail  lockdown"))
    assert "by ann since " in said[place]
    assert said[place].endswith(" UTC: a leak")
    assert said[place + 1].endswith("-> undo with `immune lockdown --undo`")
    assert (await shell.run("release", "a", "--who", "eve"))[0] == 0
    _, out, _ = await shell.run("status")
    assert out.startswith("LOCKDOWN   1 of 2 agents still fenced by ann since ")
    code, out, error = await shell.run("lockdown", "--undo", "--who", "eve")
    assert (code, error) == (0, "")
    assert "the hold of ann on 1 agent is lifted (a leak)" in out
    assert not quarantine.standing()
    assert (await shell.run("status"))[1].startswith("mode ")
    code, _, error = await shell.run("lockdown", "--undo")
    assert (code, error) == (1, "immune: there is nothing to undo: no lockdown stands\n")


async def test_the_latest_of_two_lockdowns_is_undone_first(site: Site, shell: Shell) -> None:
    """The other stands, and is told."""
    await site.agent("a")
    for who in ("ann", "bob"):
        site.clock.advance(1.0)
        assert (await shell.run("lockdown", "--why", "a leak", "-y", "--who", who))[0] == 0
    _, out, _ = await shell.run("lockdown", "--undo")
    assert "the hold of bob on 1 agent is lifted" in out
    assert "another stands: everything is fenced (1 agent) by ann" in out
    assert [f.by for f in site.system.orchestrator.quarantine.standing("a")] == ["ann"]


async def test_the_red_button_is_not_pressed_by_accident(site: Site, shell: Shell) -> None:
    """It needs a reason, and a yes: on the terminal or, where nobody is there, beforehand."""
    await site.agent("a")
    quarantine = site.system.orchestrator.quarantine
    code, _, error = await shell.run("lockdown", "--yes")
    assert (code, error.startswith("immune: --why: say why")) == (2, True)
    code, _, error = await shell.run("lockdown", "--why", "a leak")
    assert (code, error.startswith("immune: --yes: nobody is there to ask")) == (2, True)
    code, out = await shell.answer("n\n", "lockdown", "--why", "a leak")
    assert (code, "(1 agent)?" in out, "nothing was sent" in out) == (1, True, True)
    assert not quarantine.standing()
    code, _ = await shell.answer("y\n", "lockdown", "--why", "a leak")
    assert code == 0
    assert quarantine.fenced_agents() == {"a"}
