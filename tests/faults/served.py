"""`immune serve` as it is run, a fleet that reports over HTTP, and what must be so in the end.

The fleet notes what each report was answered: 202 is a promise, 429 and 503 are a request to come
again, which it does, and anything else is a fault.
"""

from __future__ import annotations

import asyncio
import threading
from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import httpx2
import msgspec

from immune.clock import SystemClock
from immune.incidents.incident import Incident
from immune.incidents.states import FENCED
from immune.views import AgentView, StatusView
from immune.vitals import Vital
from tests.crash import remains
from tests.crash.process import Process, faults, running, serving, stop, until

AGENTS = 40
REPORT_EVERY_S = 0.1
LIMIT_USD = 50.0
QUEUE_ROWS = 400
PROMISES = {202, 429, 503}


class Served:
    """A running server, its fleet, and what the fleet was answered."""

    def __init__(self, client: httpx2.Client, data: Path, url: str, log: Path) -> None:
        self.client = client
        self.data = data
        self._url = url
        self._log = log
        self._clock = SystemClock()
        self._steps = 0
        self._unsent: list[Vital] = []
        self._sick: set[str] = set()
        self._leaving = threading.Event()
        self._turn = threading.Lock()
        self._accepted: dict[str, set[str]] = {}
        self.queue_rows = QUEUE_ROWS
        self.answers: Counter[int] = Counter()
        """How often a report was answered so."""
        self.ill: set[str] = set()
        """Agents whose sick step was answered 202: each must be fenced, once."""

    def __str__(self) -> str:
        taken = sum(map(len, self._accepted.values()))
        answers = ", ".join(f"{times} times {status}" for status, times in self.answers.items())
        return f"{taken} vitals taken, {len(self.ill)} agents fenced; answers: {answers}"

    # --- the fleet ---------------------------------------------------------------------------

    def sicken(self, *agents: int) -> None:
        """The next step of each of these agents goes beyond a limit."""
        with self._turn:
            self._sick |= {f"agent-{n}" for n in agents}

    def report(self) -> None:
        """Report until told to leave, each step until it is taken."""
        with httpx2.Client(base_url=self.client.base_url, timeout=60, trust_env=False) as client:
            while not self._leaving.wait(REPORT_EVERY_S):
                self.report_once(client)

    def report_once(self, client: httpx2.Client) -> None:
        """Report a step of each agent, and what was not taken before."""
        self._unsent += self._stepped()
        # a few at a time: what waits must not become one report that no queue can take
        batch = self._unsent[: QUEUE_ROWS // 2]
        answer = client.post("/api/vitals", json=msgspec.to_builtins(batch))
        self.answers[answer.status_code] += 1
        if answer.status_code == 202:
            assert answer.json()["accepted"] == len(batch), answer.text
            self._taken(batch)
            del self._unsent[: len(batch)]

    def _stepped(self) -> list[Vital]:
        now = self._clock.time()
        with self._turn:
            sick, self._sick = self._sick, set()
        made = []
        for number in range(AGENTS):
            agent_id = f"agent-{number}"
            self._steps += 1
            made.append(
                Vital(
                    agent_id=agent_id,
                    at=now,
                    step_id=f"s{self._steps}",
                    latency_ms=800.0 + self._steps % 7,
                    cost_usd=2 * LIMIT_USD if agent_id in sick else 0.01,
                )
            )
        return made

    def _taken(self, batch: list[Vital]) -> None:
        for vital in batch:
            assert vital.step_id is not None
            self._accepted.setdefault(vital.agent_id, set()).add(vital.step_id)
            if vital.cost_usd == 2 * LIMIT_USD:
                self.ill.add(vital.agent_id)

    def leave(self) -> None:
        """The fleet reports no more."""
        self._leaving.set()

    # --- what people see and do --------------------------------------------------------------

    @property
    def status(self) -> StatusView:
        return msgspec.json.decode(self.client.get("/api/status").content, type=StatusView)

    @property
    def degraded(self) -> set[str]:
        return {health.name for health in self.status.degraded}

    @property
    def fenced(self) -> set[str]:
        agents = msgspec.json.decode(self.client.get("/api/agents").content, type=list[AgentView])
        return {agent.agent_id for agent in agents if agent.fenced}

    @property
    def cases(self) -> list[Incident]:
        """The open ones."""
        answer = self.client.get("/api/incidents?state=open")
        return msgspec.json.decode(answer.content, type=list[Incident])

    def hold(self, agent: int) -> int:
        """A person fences an agent; returns the status of the answer."""
        answer = self.client.post(
            f"/api/agents/agent-{agent}/quarantine", json={"who": "ann", "why": "audit"}
        )
        return answer.status_code

    def release(self, agent: int) -> int:
        """A person says that an agent's case is a false alarm; returns the status of the answer."""
        agent_id = f"agent-{agent}"
        (case,) = (case for case in self.cases if case.subject.name == agent_id)
        answer = self.client.post(
            f"/api/incidents/{case.id}/release",
            json={"version": case.version, "who": "ann", "verdict": "false_alarm"},
        )
        if answer.status_code == 200:
            self.ill.discard(agent_id)
        return answer.status_code

    def until_fenced(self, *agents: int) -> None:
        """Wait until these agents, and whoever else is known to be ill, are fenced."""
        wanted = {f"agent-{n}" for n in agents}
        until(lambda: wanted | self.ill <= self.fenced, "the ill are fenced")

    # --- the end -----------------------------------------------------------------------------

    def check(self, process: Process, held: set[str]) -> None:
        """All is caught up with, nothing that was answered 202 is lost, nothing came twice."""
        until(lambda: len(self._unsent) <= AGENTS, "the fleet has caught up")
        until(lambda: not self.degraded, "all is well again")
        self.leave()
        until(lambda: not self.status.queued, "what was taken is scored")
        until(lambda: self.fenced == self.ill | held, "those who are ill are fenced, no others")
        assert set(self.answers) <= PROMISES, self.answers
        cases = self.cases
        # a person's hold around an agent that fell ill meanwhile became part of its case
        assert Counter(case.subject.name for case in cases) == Counter(self.ill)
        assert all(case.state in FENCED for case in cases)
        stop(process)
        assert not faults(self._log)
        telemetry = self.data / "telemetry.db"
        found = asyncio.run(remains.read(self._url, telemetry))
        remains.check_cases(found)
        remains.check_fences(found)
        stored = asyncio.run(remains.steps_of(self._url, telemetry, self._accepted))
        for agent_id, accepted in self._accepted.items():
            assert accepted <= set(stored[agent_id])
            assert set(stored[agent_id].values()) == {1}


@contextmanager
def started(
    folder: Path, url: str = "", environment: Mapping[str, str] | None = None
) -> Iterator[tuple[Process, Served]]:
    """`immune serve` in `folder` that enforces, with a limit that makes agents sick at once."""
    data, log = folder / "data", folder / "log"
    settings = {
        "IMMUNE_MODE": "enforce",
        "IMMUNE_STORE__WORKFLOW_URL": url,
        "IMMUNE_INTAKE__QUEUE_ROWS": str(QUEUE_ROWS),
        "IMMUNE_DETECTION__RULES__LIMITS__STEP_COST_USD": str(LIMIT_USD),
        **(environment or {}),
    }
    arguments = ("serve", "--port", "0", "--data", str(data))
    with (
        running("immune", *arguments, environment=settings) as process,
        serving(process, log) as client,
    ):
        yield process, Served(client, data, url or f"sqlite:///{data}/workflow.db", log)


@contextmanager
def served(
    folder: Path, url: str = "", environment: Mapping[str, str] | None = None
) -> Iterator[tuple[Process, Served]]:
    """The same with a fleet that reports, and `agent-0` fenced."""
    with started(folder, url, environment) as (process, made):
        fleet = threading.Thread(target=made.report)
        fleet.start()
        try:
            until(lambda: made.status.agents == AGENTS, "the fleet is known")
            made.sicken(0)
            made.until_fenced(0)
            yield process, made
        finally:
            made.leave()
            fleet.join()
