"""The person on call, and people who open the page, look at this and that, and leave."""

from __future__ import annotations

import threading
from collections import Counter
from typing import Any

import httpx2
import msgspec
import numpy as np

from immune.clock import stopwatch_s
from immune.incidents.incident import Incident
from immune.incidents.states import State

LOOK_S = 2.0
"""Between two looks of the person on call."""
VISIT_S = 20.0
"""The mean time for which a page is open."""
OVERTAKEN = 409
"""The answer to an order on a version that is no longer the latest."""


class OnCall:
    """Decides about what waits for a person, some of it each time."""

    def __init__(self, base_url: str, leaving: threading.Event, seed: int) -> None:
        self._base_url = base_url
        self._leaving = leaving
        self._rng = np.random.default_rng([seed, 2])
        self.decisions: Counter[str] = Counter()

    def run(self) -> None:
        """Look and decide, until told to leave."""
        with httpx2.Client(base_url=self._base_url, timeout=60, trust_env=False) as client:
            while not self._leaving.wait(LOOK_S):
                for incident in incidents(client, "open"):
                    order = self._order(incident)
                    if order is not None and self._rng.random() < 0.3:
                        self._decide(client, incident, *order)

    def _order(self, incident: Incident) -> tuple[str, dict[str, str]] | None:
        """What to do about a case; None for one that waits for nobody."""
        luck = self._rng.random()
        if incident.is_fleet:
            return "release", {"verdict": "new_normal"}
        if incident.state is State.AWAITING_APPROVAL:
            return ("approve" if luck < 0.7 else "reject"), {}
        if incident.state in (State.REJECTED, State.EXHAUSTED):
            if luck < 0.7:
                return "heal-now", {"action": "clone_agent"}
            return "release", {"verdict": "fixed_by_hand" if luck < 0.9 else "false_alarm"}
        return None

    def _decide(
        self, client: httpx2.Client, incident: Incident, verb: str, order: dict[str, str]
    ) -> None:
        answer = client.post(
            f"/api/incidents/{incident.id}/{verb}",
            json={"version": incident.version, "who": "ann", **order},
        )
        assert answer.status_code in (200, OVERTAKEN), answer.text
        self.decisions[verb if answer.status_code == 200 else "overtaken"] += 1


class Page:
    """One viewer after the other: what the page fetches at first, then its live feed."""

    def __init__(self, base_url: str, leaving: threading.Event, seed: int) -> None:
        self._base_url = base_url
        self._leaving = leaving
        self._rng = np.random.default_rng([seed, 3])
        self.visits = 0

    def run(self) -> None:
        """Visit again and again, until told to leave."""
        while not self._leaving.is_set():
            with httpx2.Client(base_url=self._base_url, timeout=60, trust_env=False) as client:
                self._visit(client)
            self.visits += 1

    def _visit(self, client: httpx2.Client) -> None:
        _get(client, "/")
        _get(client, "/api/start")
        _get(client, "/api/stats")
        agents = _get(client, "/api/agents")
        watch = ""
        if agents and self._rng.random() < 0.5:
            agent_id = str(self._rng.choice([agent["agent_id"] for agent in agents]))
            if _get(client, f"/api/agents/{agent_id}") is not None:
                _get(client, f"/api/agents/{agent_id}/vitals?limit=100")
                watch = f"agent:{agent_id}"
        elif cases := incidents(client, "open"):
            incident = cases[int(self._rng.integers(len(cases)))]
            _get(client, f"/api/incidents/{incident.id}")
            watch = f"incident:{incident.id}"
        self._follow(client, watch)

    def _follow(self, client: httpx2.Client, watch: str) -> None:
        until_s = stopwatch_s() + float(self._rng.exponential(VISIT_S))
        with client.stream("GET", "/api/events", params={"watch": watch}) as feed:
            if feed.status_code == 404:
                return  # the agent was retired since
            assert feed.status_code == 200, feed.status_code
            for _ in feed.iter_bytes():  # a status comes every few seconds
                if stopwatch_s() > until_s or self._leaving.is_set():
                    return


def incidents(client: httpx2.Client, state: str) -> list[Incident]:
    """The cases in such a state."""
    answer = client.get("/api/incidents", params={"state": state})
    assert answer.status_code == 200, answer.text
    return msgspec.json.decode(answer.content, type=list[Incident])


def _get(client: httpx2.Client, path: str) -> Any:
    answer = client.get(path)
    if answer.status_code == 404:
        return None
    assert answer.status_code == 200, answer.text
    return None if path == "/" else answer.json()
