"""`immune serve` with a link to the fleet of `tests.crash.fleet`.

Everything but the link is what the command runs: `house`, `serve_web`, the same loop and log. It is
run as ``python -m tests.crash.server FLEET_URL``, with its settings in the environment.
"""

from __future__ import annotations

import asyncio
import os
import sys
from contextlib import closing

import httpx2
import msgspec
import structlog

from immune.cli.logs import as_json
from immune.clock import SystemClock
from immune.columns import Names
from immune.errors import Unreachable
from immune.healing.actions import Action, ActionAnswer, Treatment
from immune.run.allocator import leave_what_stays, return_freed_memory
from immune.run.house import house, serve_web
from immune.run.listener import fast_loop, listen
from immune.settings import Settings, load
from immune.stores.runs import RunChoice
from tests.crash.ledger import Fenced, Order

log = structlog.get_logger(__name__)


class FleetLink:
    """The `AgentLink` to a fleet that is reached over HTTP."""

    def __init__(self, url: str) -> None:
        self._client = httpx2.AsyncClient(base_url=url, timeout=10, trust_env=False)

    def capabilities(self, agent_id: str) -> frozenset[Action]:
        return frozenset(Action)

    async def apply(self, agent_id: str, action: Action, key: str) -> ActionAnswer:
        return await self._order(Order(agent_id=agent_id, key=key, action=action))

    async def lift(self, agent_id: str, treatment: Treatment, key: str) -> ActionAnswer:
        return await self._order(Order(agent_id=agent_id, key=key, treatment=treatment))

    async def fence(self, agent_id: str, refused: bool, key: str) -> bool:
        return bool(await self._post("/fence", Fenced(agent_id, refused, key)) == b"true")

    async def _order(self, order: Order) -> ActionAnswer:
        return msgspec.json.decode(await self._post("/order", order), type=ActionAnswer)

    async def _post(self, path: str, said: Order | Fenced) -> bytes:
        try:
            answer = await self._client.post(path, content=msgspec.json.encode(said))
        except httpx2.HTTPError as fault:
            raise Unreachable(f"{said.agent_id}: {type(fault).__name__}") from fault
        if not answer.is_success:
            raise Unreachable(f"{said.agent_id}: {answer.status_code}")
        return answer.content


async def _serve(settings: Settings, fleet: str) -> None:
    with closing(listen(settings.server)) as listener:
        async with house(
            settings,
            clock=SystemClock(),
            names=Names(),
            run=RunChoice.LAST,
            link=FleetLink(fleet),
        ) as home:
            leave_what_stays()
            await serve_web(
                home, settings, listener, ready=lambda address: log.info("serving", address=address)
            )


def main() -> None:
    settings, _ = load(environment={k: v for k, v in os.environ.items() if k.startswith("IMMUNE_")})
    as_json()
    return_freed_memory()
    with asyncio.Runner(loop_factory=fast_loop()) as runner:
        runner.run(_serve(settings, sys.argv[1]))


if __name__ == "__main__":
    main()
