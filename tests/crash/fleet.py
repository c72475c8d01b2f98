"""A simulated fleet in a process of its own: it outlives the servers that watch it.

It reports its steps over HTTP, each until it was answered 202, and carries out what a server orders
over HTTP, each key once. What it was answered and what it did is its ledger, which a test holds
against the server's store. Run as ``python -m tests.crash.fleet AGENTS SEED [INTERVAL_S]``; it
prints its port.
"""

from __future__ import annotations

import asyncio
import sys
import threading
from collections import deque
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import httpx2
import msgspec
import numpy as np

from immune.chaos import ChaosInjector
from immune.clock import SystemClock
from immune.columns import Names, VitalColumns, to_vitals
from immune.simulation.fleet import SimulatedFleet
from immune.simulation.link import SimulatedLink
from immune.vitals import Vital
from tests.crash.ledger import Done, Fenced, Ledger, Order, Target

INTERVAL_S = 0.1
"""Between two steps of an agent, unless told: hundreds of lives of a fleet pass in a minute."""
HISTORY_S = 60.0
BATCH = 400
ANSWER_DELAY_S = 0.03
"""Most seconds that an order takes, so that a server may die while it waits for the answer."""


class Fleet:
    """The agents, what they have to report, and their ledger."""

    def __init__(self, agents: int, seed: int, interval_s: float = INTERVAL_S) -> None:
        self._interval_s = interval_s
        self._clock = SystemClock()
        self._names = Names()
        self._fleet = SimulatedFleet(
            agents,
            seed=seed,
            names=self._names,
            start_at=self._clock.time(),
            interval_s=interval_s,
        )
        self._link = SimulatedLink(self._fleet, self._clock)
        self._chaos = ChaosInjector(self._fleet, seed)
        self._rng = np.random.default_rng([seed, 3])
        self._turn = threading.Lock()
        self._target = 0
        self._unsent: deque[Vital] = deque()
        self._steps = 0
        self.ledger = Ledger(agents=list(self._fleet.agent_ids))
        for columns in self._fleet.history(HISTORY_S):
            self._report(columns)

    def aim(self, target: Target) -> None:
        """From now on report to this port; 0: to nobody."""
        with self._turn:
            self._target = target.port

    def told(self) -> bytes:
        """The ledger as it is now."""
        with self._turn:
            self.ledger.unsent = len(self._unsent)
            return msgspec.json.encode(self.ledger)

    def carry_out(self, order: Order) -> Done:
        """Do what a server orders, once for its key."""
        pause = float(self._rng.uniform(0, ANSWER_DELAY_S))
        threading.Event().wait(pause)
        with self._turn:
            first = order.key not in self.ledger.done
            answer = asyncio.run(self._do(order))
            if first:
                self.ledger.done[order.key] = answer
            self.ledger.asked[order.key] = self.ledger.asked.get(order.key, 0) + 1
            return answer

    async def _do(self, order: Order) -> Done:
        if order.treatment is None:
            assert order.action is not None
            answer = await self._link.apply(order.agent_id, order.action, order.key)
        else:
            answer = await self._link.lift(order.agent_id, order.treatment, order.key)
        return Done(
            agent_id=order.agent_id,
            action=order.action,
            lifted=order.treatment is not None,
            answer=answer,
        )

    def fence(self, order: Fenced) -> None:
        """Refuse an agent's calls or let them through."""
        with self._turn:
            asyncio.run(self._link.fence(order.agent_id, order.refused, order.key))
            self.ledger.fenced = [
                agent_id
                for agent_id, fenced in zip(
                    self._fleet.agent_ids, self._fleet.fenced.tolist(), strict=True
                )
                if fenced
            ]

    def infect(self) -> None:
        """Let one more agent fall ill, of what a wave may bring."""
        with self._turn:
            well = np.flatnonzero(~(self._fleet.law.own | self._fleet.fenced))
            if len(well):
                place = int(self._rng.choice(well))
                infection = INFECTIONS[int(self._rng.integers(len(INFECTIONS)))]
                self._chaos.inject(self._fleet.agent_ids[place], infection)

    # --- reporting ---------------------------------------------------------------------------

    def run(self) -> None:
        """Step and report, for ever."""
        with httpx2.Client(timeout=10, trust_env=False) as client:
            while True:
                threading.Event().wait(self._interval_s / 2)
                with self._turn:
                    self._report(self._fleet.step(self._clock.time()))
                    batch = [self._unsent[i] for i in range(min(BATCH, len(self._unsent)))]
                    port = self._target
                if port and batch:
                    self._send(client, port, batch)

    def _report(self, columns: VitalColumns) -> None:
        for vital in to_vitals(columns, self._names):
            self._steps += 1
            self._unsent.append(msgspec.structs.replace(vital, step_id=f"s{self._steps}"))

    def _send(self, client: httpx2.Client, port: int, batch: list[Vital]) -> None:
        try:
            answer = client.post(
                f"http://127.0.0.1:{port}/api/vitals",
                content=msgspec.json.encode(batch),
                headers={"content-type": "application/json"},
            )
        except httpx2.HTTPError:
            return  # taken or not: it is sent again
        with self._turn:
            self.ledger.answers[answer.status_code] = (
                self.ledger.answers.get(answer.status_code, 0) + 1
            )
            if answer.status_code != 202:
                return
            taken: dict[str, Any] = answer.json()
            if taken["accepted"] != len(batch):
                self.ledger.refused.append(answer.text)
            for vital in batch:
                self._unsent.popleft()
                assert vital.step_id is not None
                self.ledger.accepted.setdefault(vital.agent_id, []).append(vital.step_id)


INFECTIONS = (
    *("token_explosion", "tool_loop", "latency_spike", "high_retry_rate", "prompt_drift"),
    *("memory_corruption", "full_meltdown"),
)


def _handler(fleet: Fleet) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            self._answer(fleet.told())

        def do_POST(self) -> None:
            length = int(self.headers.get("content-length", 0))
            body = self.rfile.read(length)
            if len(body) < length:
                return  # whoever asked was killed in the middle of it
            match self.path:
                case "/order":
                    done = fleet.carry_out(msgspec.json.decode(body, type=Order))
                    self._answer(msgspec.json.encode(done.answer))
                case "/fence":
                    fleet.fence(msgspec.json.decode(body, type=Fenced))
                    self._answer(b"true")
                case "/aim":
                    fleet.aim(msgspec.json.decode(body, type=Target))
                    self._answer(b"true")
                case "/infect":
                    fleet.infect()
                    self._answer(b"true")

        def _answer(self, body: bytes) -> None:
            self.send_response(200)
            self.send_header("content-length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, format: str, *args: object) -> None:
            """Nobody reads it."""

    return Handler


class _Server(ThreadingHTTPServer):
    def handle_error(self, request: object, client_address: object) -> None:
        """Whoever asked was killed meanwhile; any other fault is told."""
        if not isinstance(sys.exception(), ConnectionError):
            super().handle_error(request, client_address)  # type: ignore[arg-type]


def main() -> None:
    agents, seed, *interval_s = sys.argv[1:]
    fleet = Fleet(int(agents), int(seed), *map(float, interval_s))
    server = _Server(("127.0.0.1", 0), _handler(fleet))
    print(server.server_address[1], flush=True)  # noqa: T201  # how the test learns the port
    threading.Thread(target=server.serve_forever, daemon=True).start()
    fleet.run()


if __name__ == "__main__":
    main()
