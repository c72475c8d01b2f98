"""Agents that come for some minutes and go, each with an id of its own; a third say goodbye.

Every other one reports vitals, the others spans over OTLP: a run with a model call and a tool call,
as a trace of its own. What they deploy changes now and then. An answer 429 or 503 is a request to
come again later; here the step is simply lost.
"""

from __future__ import annotations

import secrets
import threading
from collections import Counter

import httpx2
import msgspec
import numpy as np

from immune.clock import SystemClock
from immune.vitals import Vital

PRESENT = 30
STAY_S = 180.0
"""The mean of a stay: with so many present, 600 new ids an hour."""
STEP_S = 2.0
DEPLOY_EVERY_S = 600.0
"""Between two versions of their prompt."""

Attributes = dict[str, str | int]


class Passers:
    """Some dozen agents, a new one for each that leaves."""

    def __init__(self, base_url: str, leaving: threading.Event, seed: int) -> None:
        self._base_url = base_url
        self._leaving = leaving
        self._clock = SystemClock()
        self._rng = np.random.default_rng([seed, 1])
        self._present: list[int] = []
        self.came = 0
        self.answers: Counter[int] = Counter()

    def run(self) -> None:
        """Come, report, go, until told to leave."""
        with httpx2.Client(base_url=self._base_url, timeout=60, trust_env=False) as client:
            while not self._leaving.wait(STEP_S):
                for number in self._present[:]:
                    if self._rng.random() < STEP_S / STAY_S:
                        self._leave(client, number)
                while len(self._present) < PRESENT:
                    self.came += 1
                    self._present.append(self.came)
                now = self._clock.time()
                vitals = [self._vital(n, now) for n in self._present if n % 2]
                self._post(client, "/api/vitals", msgspec.json.encode(vitals))
                spans = [span for n in self._present if not n % 2 for span in self._run_of(n, now)]
                request = {"resourceSpans": [{"scopeSpans": [{"spans": spans}]}]}
                self._post(client, "/v1/traces", msgspec.json.encode(request))

    def _leave(self, client: httpx2.Client, number: int) -> None:
        self._present.remove(number)
        if number % 3:
            return  # without a word: it will be missed
        answer = client.post(f"/api/agents/passer-{number}/goodbye", json={})
        self.answers[answer.status_code] += 1
        assert answer.status_code in (200, 404), answer.text  # its spans may be on their way

    def _post(self, client: httpx2.Client, path: str, body: bytes) -> None:
        answer = client.post(path, content=body, headers={"content-type": "application/json"})
        self.answers[answer.status_code] += 1
        assert answer.status_code in (200, 202, 429, 503), answer.text

    def _vital(self, number: int, now: float) -> Vital:
        return Vital(
            agent_id=f"passer-{number}",
            at=now,
            step_id=secrets.token_hex(8),
            session_id=f"session-{number}-{int(now / 60)}",
            agent_type="passer",
            model="gpt-5",
            provider="openai",
            prompt_hash=f"deploy-{int(now / DEPLOY_EVERY_S)}",
            latency_ms=float(800 * self._rng.lognormal(0, 0.3)),
            input_tokens=int(self._rng.integers(500, 1500)),
            output_tokens=int(self._rng.integers(50, 150)),
            tool_calls=1,
            retries=0,
            errors=0,
        )

    def _run_of(self, number: int, now: float) -> list[dict[str, object]]:
        trace_id, root = secrets.token_hex(16), secrets.token_hex(8)
        tokens = int(self._rng.integers(500, 1500))
        who: Attributes = {
            "gen_ai.agent.id": f"passer-{number}",
            "gen_ai.agent.name": "passer",
            "gen_ai.conversation.id": f"session-{number}-{int(now / 60)}",
        }
        call: Attributes = {
            "gen_ai.provider.name": "openai",
            "gen_ai.request.model": "gpt-5",
            "gen_ai.usage.input_tokens": tokens,
            "gen_ai.usage.output_tokens": tokens // 10,
        }
        made: list[dict[str, object]] = []
        for operation, parent, told in (
            ("invoke_agent", "", who),
            ("chat", root, who | call),
            ("execute_tool", root, who | {"gen_ai.tool.name": "search"}),
        ):
            made.append(
                {
                    "traceId": trace_id,
                    "spanId": root if not parent else secrets.token_hex(8),
                    "parentSpanId": parent,
                    "name": operation,
                    "startTimeUnixNano": str(int((now - (0.4 if parent else 0.9)) * 1e9)),
                    "endTimeUnixNano": str(int(now * 1e9)),
                    "attributes": [
                        {"key": key, "value": _value(value)}
                        for key, value in {"gen_ai.operation.name": operation, **told}.items()
                    ],
                }
            )
        return made


def _value(value: str | int) -> dict[str, str]:
    return {"stringValue": value} if isinstance(value, str) else {"intValue": str(value)}
