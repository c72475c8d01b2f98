"""An `AgentLink` whose answers a test scripts."""

from __future__ import annotations

from collections import defaultdict, deque
from collections.abc import Iterable
from typing import NamedTuple

from immune.clock import Clock
from immune.errors import ActionFailed, Unreachable
from immune.healing.actions import Action, ActionAnswer, Treatment

Answer = ActionAnswer | ActionFailed | Unreachable


class LinkCall(NamedTuple):
    """One call that reached the link, repetitions of a key included."""

    verb: str
    """``apply``, ``lift`` or ``fence``."""
    agent_id: str
    what: Action | bool
    """The action, or for a fence whether calls are to be refused."""
    key: str


class ScriptedLink:
    """Every agent can do everything and acknowledges at once, until told otherwise.

    An order is carried out once for a key: called again, it answers as it did, failures included,
    and uses up no script. Being unreachable is no answer, so that the same key may be tried again.
    """

    def __init__(self, clock: Clock, capabilities: Iterable[Action] = Action) -> None:
        self._clock = clock
        self._default = frozenset(capabilities)
        self._capabilities: dict[str, frozenset[Action]] = {}
        self._scripts: dict[tuple[str, Action], deque[Answer]] = defaultdict(deque)
        self._answered: dict[tuple[str, str], ActionAnswer | ActionFailed] = {}
        self._fence_keys: set[str] = set()
        self.calls: list[LinkCall] = []
        self.done: list[LinkCall] = []
        """The calls that changed something: `calls` without repetitions and failures."""
        self.refused: set[str] = set()
        """Agents whose calls are refused."""
        self.unreachable: set[str] = set()
        """Agents that answer nothing; a test adds and removes them."""
        self.enforces = True
        """Whether anybody enforces fences."""

    def can(self, agent_id: str, *actions: Action) -> None:
        """Say what one agent can do; nothing: it isn't linked."""
        self._capabilities[agent_id] = frozenset(actions)

    def script(self, agent_id: str, action: Action, *answers: Answer) -> None:
        """Say how the next orders of `action` (or to lift it) are answered, in turn."""
        self._scripts[agent_id, action].extend(answers)

    def capabilities(self, agent_id: str) -> frozenset[Action]:
        return self._capabilities.get(agent_id, self._default)

    async def apply(self, agent_id: str, action: Action, key: str) -> ActionAnswer:
        return self._order(LinkCall("apply", agent_id, action, key), action)

    async def lift(self, agent_id: str, treatment: Treatment, key: str) -> ActionAnswer:
        return self._order(LinkCall("lift", agent_id, treatment.action, key), treatment.action)

    async def fence(self, agent_id: str, refused: bool, key: str) -> bool:
        call = LinkCall("fence", agent_id, refused, key)
        self.calls.append(call)
        self._reach(agent_id)
        if not self.enforces:
            return False
        if key not in self._fence_keys:
            self._fence_keys.add(key)
            (self.refused.add if refused else self.refused.discard)(agent_id)
            self.done.append(call)
        return True

    def _reach(self, agent_id: str) -> None:
        if agent_id in self.unreachable:
            raise Unreachable(f"agent {agent_id} does not answer")

    def _order(self, call: LinkCall, action: Action) -> ActionAnswer:
        self.calls.append(call)
        self._reach(call.agent_id)
        known = self._answered.get((call.verb, call.key))
        if known is None:
            script = self._scripts[call.agent_id, action]
            answer = script.popleft() if script else ActionAnswer(self._clock.time())
            if isinstance(answer, Unreachable):
                raise answer
            if isinstance(answer, ActionAnswer):
                self.done.append(call)
            known = self._answered[call.verb, call.key] = answer
        if isinstance(known, ActionFailed):
            raise known
        return known
