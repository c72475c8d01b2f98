"""A server that enforces is killed again and again while its fleet falls ill.

After each kill its stores must be whole, and the next server must stand where they say before it
takes a vital; in the end nothing that anybody was told may be missing, and nothing be done twice.
"""

from __future__ import annotations

import asyncio
import threading
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx2
import msgspec
import numpy as np

from immune.incidents.incident import Incident
from immune.incidents.states import State
from immune.views import AgentView, IncidentDetail
from tests.crash import remains
from tests.crash.ledger import Ledger, Target
from tests.crash.process import POLL_S, Process, faults, running, serving, stop, until, wait
from tests.crash.remains import Remains

AGENTS = 15
START_S = 1.0
"""About the time that a server takes to start; some are killed meanwhile."""
STARTING_SHARE = 0.2


class Figures(msgspec.Struct, kw_only=True):
    """What was seen of what must survive: where one is 0, nothing was proved of it."""

    kills: int = 0
    while_starting: int = 0
    vitals: int = 0
    incidents: int = 0
    actions: int = 0
    asked_again: int = 0
    """Actions asked for more than once: the server died before it had noted the answer."""
    resolved: int = 0
    decisions: int = 0
    fences_kept: int = 0
    approvals_kept: int = 0
    probations_kept: int = 0
    steps_taken_up: int = 0
    """Fresh steps that a trial had before a kill and has after it."""


class Killing:
    """One run of it."""

    def __init__(self, folder: Path, url: str, *, kills: int, life_s: float, seed: int) -> None:
        self._data = folder / "data"
        self._log = folder / "log"
        self._url = url or f"sqlite:///{self._data}/workflow.db"
        self._kills = kills
        self._life_s = life_s
        self._seed = seed
        self._rng = np.random.default_rng(seed)
        self._fleet = httpx2.Client(timeout=30, trust_env=False)
        self._seen: dict[str, int] = {}
        """Incident -> the latest version that we were told of."""
        self._decided: dict[str, tuple[str, bool]] = {}
        """Who decided -> about which incident, and whether the answer came."""
        self._orders = 0
        self._spared = ""
        """A case that nobody ever decides about."""
        self._noted: set[str] = set()
        """Actions whose acknowledgement was stored when a server died."""
        self._asked: dict[str, int] = {}
        self.figures = Figures()

    def run(self) -> Figures:
        """Kill it as often as was asked for; raises AssertionError for a promise not kept."""
        arguments = str(AGENTS), str(self._seed)
        with self._fleet, running("tests.crash.fleet", *arguments) as fleet:
            assert fleet.stdout is not None
            self._fleet.base_url = f"http://127.0.0.1:{fleet.stdout.readline().strip()}"
            self._teach()
            found = self._remains()
            for _ in range(self._kills):
                if self._rng.random() < STARTING_SHARE:
                    self._kill_while_starting()
                else:
                    self._live(found)
                self.figures.kills += 1
                found = self._remains()
                self._check(found)
            self._settle(found)
            fleet.kill()
            assert fleet.stderr is not None
            assert fleet.stderr.read() == ""
        return self.figures

    # --- lives -------------------------------------------------------------------------------

    def _teach(self) -> None:
        """A first server learns the fleet's past, and is stopped as is due."""
        with self._serving() as (process, client):
            self._aim(client)
            until(lambda: self._ledger().unsent < AGENTS, "the past is reported")
            until(lambda: client.get("/api/status").json()["queued"] == 0, "it is scored")
            self._aim(None)
            stop(process)

    def _kill_while_starting(self) -> None:
        with self._process() as process:
            wait(float(self._rng.uniform(0, START_S)))
            process.kill()
            process.wait(10)
        self.figures.while_starting += 1

    def _live(self, found: Remains) -> None:
        """A server's life, from its first answer to its end at a moment nobody chose."""
        with self._serving() as (process, client):
            self._check_taken_up(found, client)
            self._aim(client)
            for _ in range(int(self._rng.integers(1, 3))):
                self._fleet.post("/infect")
            end = threading.Timer(float(self._rng.uniform(0, self._life_s)), process.kill)
            end.start()
            try:
                while process.poll() is None:
                    self._look(client)
                    self._decide(client)
                    wait(POLL_S)
            except httpx2.HTTPError:
                process.wait(10)
            end.join()
            assert process.returncode == -9, self._log.read_text()[-4000:]
        self._aim(None)

    def _settle(self, found: Remains) -> None:
        """The last server is left alone until all that was begun is done."""
        with self._serving() as (process, client):
            self._check_taken_up(found, client)
            self._aim(client)
            until(lambda: self._ledger().unsent < AGENTS, "all is reported")
            until(lambda: not self._under_way(client), "what was begun is done")
            until(lambda: self._is_fenced(client) == set(self._ledger().fenced), "fences agree")
            status = client.get("/api/status").json()
            assert status["degraded"] == [], status["degraded"]
            self._look(client)
            self._aim(None)
            stop(process)
        found, ledger = self._remains(), self._ledger()
        self._check(found)
        self._check_steps(ledger)
        self._check_decisions(found)
        if self._spared:
            assert found.incidents[self._spared].state is State.AWAITING_APPROVAL
        assert not faults(self._log)
        self.figures.vitals = sum(map(len, ledger.accepted.values()))
        self.figures.incidents = len(found.incidents)
        self.figures.actions = len(ledger.done)
        self.figures.asked_again = sum(times > 1 for times in ledger.asked.values())
        states = Counter(i.state for i in found.incidents.values())
        self.figures.resolved = states[State.RESOLVED]

    # --- what people see and do --------------------------------------------------------------

    def _look(self, client: httpx2.Client) -> None:
        for incident in _incidents(client, "/api/incidents?limit=10000"):
            before = self._seen.get(incident.id, 0)
            assert incident.version >= before, f"{incident.id} went back from version {before}"
            self._seen[incident.id] = incident.version

    def _decide(self, client: httpx2.Client) -> None:
        """Decide about one of the cases that wait, but for the one that is spared."""
        if self._rng.random() < 0.5:
            return
        waiting = _incidents(client, "/api/incidents?state=awaiting_approval,rejected,exhausted")
        self._spared = self._spared or next(
            (i.id for i in waiting if i.state is State.AWAITING_APPROVAL), ""
        )
        waiting = [i for i in waiting if i.id != self._spared]
        if not waiting:
            return
        incident = waiting[int(self._rng.integers(len(waiting)))]
        verb, order = "heal-now", {"action": "clone_agent"}
        if incident.state is State.AWAITING_APPROVAL:
            verb, order = ("approve" if self._rng.random() < 0.7 else "reject"), {}
        self._orders += 1
        who = f"ann-{self._orders}"
        self._decided[who] = (incident.id, False)
        answer = client.post(
            f"/api/incidents/{incident.id}/{verb}",
            json={"version": incident.version, "who": who, **order},
        )
        if answer.status_code == 200:
            self._decided[who] = (incident.id, True)
            self._seen[incident.id] = max(self._seen.get(incident.id, 0), answer.json()["version"])
        else:
            assert answer.status_code == 409, answer.text
            del self._decided[who]

    def _under_way(self, client: httpx2.Client) -> list[Incident]:
        return _incidents(client, "/api/incidents?state=contained,healing")

    def _is_fenced(self, client: httpx2.Client) -> set[str]:
        agents = msgspec.json.decode(client.get("/api/agents").content, type=list[AgentView])
        return {agent.agent_id for agent in agents if agent.fenced}

    # --- checks ------------------------------------------------------------------------------

    def _check(self, found: Remains) -> None:
        """What the stores hold is whole, and nothing that we were told of is missing."""
        remains.check_cases(found)
        remains.check_fences(found)
        ledger = self._ledger()
        remains.check_actions(found, ledger)
        for incident_id, version in self._seen.items():
            assert incident_id in found.incidents, f"{incident_id} is lost"
            assert found.incidents[incident_id].version >= version, f"{incident_id} fell back"
        for key in self._noted:
            assert ledger.asked[key] == self._asked[key], f"{key} was noted, and asked for again"
        self._noted = {key for key, row in found.healings.items() if row.applied_at is not None}
        self._asked = ledger.asked

    def _check_taken_up(self, found: Remains, client: httpx2.Client) -> None:
        """Before it takes a vital, the server stands where its stores say."""
        fenced = self._is_fenced(client)
        pending = {i.id for i in _incidents(client, "/api/pending")}
        # what was in the outbox may have been carried out by now, and stored steps prove a relapse
        now = {i.id: i.version for i in _incidents(client, "/api/incidents?limit=10000")}
        moved = {i.subject.name for i in found.incidents.values() if now[i.id] > i.version}
        assert found.fenced - moved <= fenced <= found.fenced | moved
        assert found.pending <= pending
        for incident in found.probations:
            self._check_probation(found, incident, client)
        self.figures.fences_kept += len(found.fenced)
        self.figures.approvals_kept += len(pending)

    def _check_probation(self, found: Remains, before: Incident, client: httpx2.Client) -> None:
        """A probation has all the fresh steps that are stored; those may have decided it."""
        answer = client.get(f"/api/incidents/{before.id}").content
        now = msgspec.json.decode(answer, type=IncidentDetail)
        fresh = found.fresh[before.id]
        if now.incident.version != before.version:
            decided = type(now.events[before.version].event).__name__
            assert decided in ("Verified", "Relapsed", "Resumed", "Stale"), decided
        else:
            assert now.incident.probation == before.probation
            known = now.trial.fresh_steps if now.trial else 0
            assert known == fresh, f"{before.id}: {known} steps of its trial, {fresh} are stored"
        self.figures.probations_kept += 1
        self.figures.steps_taken_up += fresh

    def _check_steps(self, ledger: Ledger) -> None:
        """No vital that was answered 202 is lost, and none is stored twice."""
        assert ledger.refused == []
        telemetry = self._data / "telemetry.db"
        stored = asyncio.run(remains.steps_of(self._url, telemetry, ledger.agents))
        for agent_id, steps in stored.items():
            assert set(ledger.accepted.get(agent_id, ())) <= set(steps)
            assert set(steps.values()) <= {1}

    def _check_decisions(self, found: Remains) -> None:
        """Each decision that was answered is in its case's timeline, once."""
        told = Counter((line.event.who, line.incident_id) for line in found.events)
        for who, (incident_id, answered) in self._decided.items():
            times = told[who, incident_id]
            assert times == 1 or (times == 0 and not answered), who
            self.figures.decisions += times

    # --- processes ---------------------------------------------------------------------------

    def _remains(self) -> Remains:
        return asyncio.run(remains.read(self._url, self._data / "telemetry.db"))

    def _ledger(self) -> Ledger:
        return msgspec.json.decode(self._fleet.get("/ledger").content, type=Ledger)

    def _aim(self, client: httpx2.Client | None) -> None:
        port = 0 if client is None else client.base_url.port
        assert port is not None
        self._fleet.post("/aim", content=msgspec.json.encode(Target(port)))

    @contextmanager
    def _process(self) -> Iterator[Process]:
        settings = {
            "MODE": "enforce",
            "TICK_S": "0.05",
            "GRACE_S": "1",
            "SERVER__PORT": "0",
            "STORE__DIRECTORY": str(self._data),
            "STORE__WORKFLOW_URL": self._url,
            "BRAKE__SHARE": "1",
            "CASES__STAY_WELL_S": "2",
            "OUTBOX__RETRY_S": "0.2",
        }
        environment = {f"IMMUNE_{name}": value for name, value in settings.items()}
        fleet = str(self._fleet.base_url)
        with running("tests.crash.server", fleet, environment=environment) as process:
            yield process

    @contextmanager
    def _serving(self) -> Iterator[tuple[Process, httpx2.Client]]:
        with self._process() as process, serving(process, self._log) as client:
            yield process, client


def _incidents(client: httpx2.Client, path: str) -> list[Incident]:
    answer = client.get(path)
    assert answer.status_code == 200, answer.text
    return msgspec.json.decode(answer.content, type=list[Incident])
