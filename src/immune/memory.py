"""What was tried, what worked, and what must not be repeated.

`ImmuneMemory` takes in attempts that were acknowledged and then proved either way, and orders the
rungs of the next ladder by them. What an action would do to the agent is `healing`'s to say.

The order is the one with the least expected disruption until the cure. For trials that succeed
independently with P and cost d it is that of falling P / d (Mitten 1960, "An analytic solution to
the least cost testing sequence problem", J. Ind. Eng. 11; Simon & Kadane 1975, Artificial
Intelligence 6). Cures are not independent: where a reset fails, what it would have cured is ruled
out. So P is learned given what has failed before in the same incident, and the order is found over
the at most 2^7 sets of failed actions, exactly; with no such data it is P / d again. An action that
failed a few times keeps the benefit of the doubt: optimism, and not chance, does the exploring.
"""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence

import msgspec

from immune.diagnosis.causes import Cause
from immune.healing import defaults
from immune.healing.actions import DISRUPTION, Action, Healing, Outcome
from immune.healing.params import MemoryParams

_PROVED = (Outcome.CURED, Outcome.RELAPSED)

Failed = frozenset[Action]


class Record(msgspec.Struct):
    """Outcomes of one action: how often it was tried and proved, how often it cured."""

    tried: int = 0
    cured: int = 0

    def count(self, cured: bool) -> None:
        self.tried += 1
        self.cured += cured

    def share(self, expected: float, weight: float) -> float:
        """Share of cures, drawn towards `expected` as if by `weight` outcomes."""
        return (weight * expected + self.cured) / (weight + self.tried)


class Cell(msgspec.Struct, frozen=True):
    """One field of the matrix of cause and action."""

    cause: str
    action: Action
    tried: int
    cured: int


class Tried(msgspec.Struct, frozen=True):
    """What an agent's own record says of one action against one cause."""

    cause: str
    action: Action
    tried: int
    cured: int
    last_at: float
    """Epoch seconds of the last proof."""
    last_cured: bool
    banned_until: float | None
    """Epoch seconds; None where it may be repeated."""


class _Own(msgspec.Struct):
    record: Record
    last_at: float
    last_cured: bool


class _Bout(msgspec.Struct):
    """An agent's latest incident of one cause and pattern: what failed in it, what cured it."""

    incident_id: str
    failed: list[Action]
    cured_by: Action | None = None
    cured_at: float = 0.0


class _Course(msgspec.Struct):
    """One incident so far: the attempts taken in, and what failed of them."""

    keys: set[str]
    failed: Failed = frozenset()


class ImmuneMemory:
    """The outcomes of the whole fleet."""

    def __init__(self, params: MemoryParams | None = None, *, enabled: bool = True) -> None:
        """`enabled=False` is ``--memory off``: the default order, and no bans, as if nothing were
        remembered. Outcomes are counted and shown all the same. To measure what the order alone is
        worth, compare it with `MemoryParams(ban_s=0)`."""
        self._params = params or MemoryParams()
        self.enabled = enabled and self._params.enabled
        self._causes: defaultdict[tuple[str, Action], Record] = defaultdict(Record)
        self._patterns: defaultdict[tuple[str, str, Action], Record] = defaultdict(Record)
        self._places: defaultdict[tuple[str, str, Action, Failed], Record] = defaultdict(Record)
        self._agents: defaultdict[str, dict[tuple[str, Action], _Own]] = defaultdict(dict)
        self._bouts: defaultdict[str, dict[tuple[str, str], _Bout]] = defaultdict(dict)
        self._cured_at: defaultdict[str, dict[str, float]] = defaultdict(dict)
        """agent -> cause -> when it was last cured of it, epoch seconds."""
        self._courses: dict[str, _Course] = {}
        self._orders: dict[tuple[Cause, str, tuple[Action, ...]], list[Action]] = {}
        """What `_least_disruption` found since the last outcome: a wave asks a thousand times."""

    def load(self, healings: Iterable[Healing]) -> None:
        """Take in rows of the store, in any order, as after a restart."""
        for healing in sorted(healings, key=lambda h: (h.ordered_at, h.key)):
            self.take(healing)

    def take(self, healing: Healing) -> bool:
        """Take in one attempt; return whether it counted.

        Only those acknowledged and then verified or relapsed count, each key once. The attempts of
        one incident must come in their order.
        """
        if healing.outcome not in _PROVED or healing.applied_at is None:
            return False
        course = self._courses.get(healing.incident_id)
        if course is None:
            course = self._courses[healing.incident_id] = _Course(set())
            if len(self._courses) > self._params.incidents_max:
                del self._courses[next(iter(self._courses))]
        if healing.key in course.keys:
            return False
        course.keys.add(healing.key)
        self._orders.clear()
        cured, action = healing.outcome is Outcome.CURED, healing.action
        cause, pattern = healing.cause, healing.pattern
        self._causes[cause, action].count(cured)
        self._patterns[cause, pattern, action].count(cured)
        self._places[cause, pattern, action, course.failed - {action}].count(cured)
        if not cured:
            course.failed |= {action}
        own = self._agents[healing.agent_id].setdefault((cause, action), _Own(Record(), 0.0, cured))
        own.record.count(cured)
        own.last_at = healing.ended_at if healing.ended_at is not None else healing.ordered_at
        own.last_cured = cured
        bout = self._bouts[healing.agent_id].get((cause, pattern))
        if bout is None or bout.incident_id != healing.incident_id:
            bout = _Bout(healing.incident_id, [])
            self._bouts[healing.agent_id][cause, pattern] = bout
        if cured:
            bout.cured_by, bout.cured_at = action, own.last_at
            self._cured_at[healing.agent_id][cause] = own.last_at
        else:
            bout.failed.append(action)
        return True

    def forget(self, agent_id: str) -> None:
        """Drop an agent's own record; what the fleet has learned of it stays."""
        for record in (self._agents, self._bouts, self._cured_at):
            record.pop(agent_id, None)

    def chance(
        self, cause: Cause, pattern: str, action: Action, failed: Iterable[Action] = ()
    ) -> float:
        """P(`action` cures), 0..1, after the actions `failed` did not in the same incident.

        The record of the place on the ladder, drawn towards that of the pattern, drawn towards
        that of the cause, drawn towards the default.
        """
        return self._estimate(cause, pattern, action, frozenset(failed))[0]

    def _estimate(
        self, cause: Cause, pattern: str, action: Action, failed: Failed
    ) -> tuple[float, float]:
        """The chance of a cure, and how many outcomes it rests on, assumed ones included."""
        p = self._params
        chance, outcomes = defaults.expected_cure(cause, action), p.prior_weight
        for record, weight in (
            (self._causes.get((cause, action)), p.prior_weight),
            (self._patterns.get((cause, pattern, action)), p.cause_weight),
            (self._places.get((cause, pattern, action, failed)), p.pattern_weight),
        ):
            if record is not None:
                chance, outcomes = record.share(chance, weight), weight + record.tried
        return chance, outcomes

    def _hope(self, cause: Cause, pattern: str, action: Action, failed: Failed) -> float:
        """The chance with the benefit of the doubt: some standard errors more, but not more than
        was expected before any outcome; so without outcomes it is what was expected."""
        chance, outcomes = self._estimate(cause, pattern, action, failed)
        doubt = self._params.doubt * math.sqrt(chance * (1.0 - chance) / (outcomes + 1.0))
        return max(chance, min(chance + doubt, defaults.expected_cure(cause, action)))

    def order(
        self,
        cause: Cause,
        pattern: str,
        actions: Sequence[Action],
        agent_id: str = "",
        now: float = 0.0,
    ) -> list[Action]:
        """Return `actions` in the order of the least expected disruption until the cure.

        Without outcomes that is the default order; equals keep the order that they came in. What
        cured the agent of the same cause and pattern within the last days goes before what had
        failed then.
        """
        if not self.enabled:
            return sorted(actions, key=_default_place(cause))
        asked = cause, pattern, tuple(actions)
        if asked not in self._orders:
            self._orders[asked] = self._least_disruption(cause, pattern, actions)
        ordered = list(self._orders[asked])
        bout = self._bouts.get(agent_id, {}).get((cause, pattern))
        if bout is None or bout.cured_by not in ordered or not self._recent(bout.cured_at, now):
            return ordered
        place = ordered.index(bout.cured_by)
        first = min(
            [ordered.index(action) for action in bout.failed if action in ordered] + [place]
        )
        ordered.insert(first, ordered.pop(place))
        return ordered

    def _recent(self, at: float, now: float) -> bool:
        return now - at < self._params.ban_s

    def _least_disruption(
        self, cause: Cause, pattern: str, actions: Sequence[Action]
    ) -> list[Action]:
        offered = sorted(actions, key=_default_place(cause))
        best: dict[Failed, tuple[float, Action | None]] = {}

        def cost(failed: Failed) -> float:
            if failed not in best:
                best[failed] = (self._params.exhausted_cost, None)
                left = [action for action in offered if action not in failed]
                for place, action in enumerate(left):
                    miss = 1.0 - self._hope(cause, pattern, action, failed)
                    whole = DISRUPTION[action] + miss * cost(failed | {action})
                    if place == 0 or whole < best[failed][0] - 1e-9:
                        best[failed] = (whole, action)
            return best[failed][0]

        cost(frozenset())
        ordered: list[Action] = []
        while (action := best[frozenset(ordered)][1]) is not None:
            ordered.append(action)
        return ordered

    def record(self, cause: Cause, pattern: str, action: Action) -> Record:
        """The outcomes of `action` on cases alike."""
        return self._patterns.get((cause, pattern, action), Record())

    def banned(self, agent_id: str, cause: Cause, action: Action, now: float) -> str:
        """Why `action` is not repeated on the agent, in words; empty where it may be.

        It is not for 7 days after it failed against the same cause, unless the agent was cured of
        that cause since: then the sickness that resisted is over.
        """
        own = self._agents.get(agent_id, {}).get((cause, action))
        if not self.enabled or own is None or not self._resists(agent_id, cause, own):
            return ""
        age = now - own.last_at
        if age >= self._params.ban_s:
            return ""
        return f"it failed against {cause} on this agent {_ago(age)} ago"

    def _resists(self, agent_id: str, cause: str, own: _Own) -> bool:
        """Whether the action failed last, and nothing has cured the agent of the cause since."""
        cured_at = self._cured_at.get(agent_id, {}).get(cause, float("-inf"))
        return not own.last_cured and cured_at < own.last_at

    def tried(self, agent_id: str) -> tuple[Tried, ...]:
        """The agent's own record, latest first."""
        own = self._agents.get(agent_id, {})
        rows = [
            Tried(
                cause,
                action,
                seen.record.tried,
                seen.record.cured,
                seen.last_at,
                seen.last_cured,
                seen.last_at + self._params.ban_s
                if self.enabled and self._resists(agent_id, cause, seen)
                else None,
            )
            for (cause, action), seen in own.items()
        ]
        return tuple(sorted(rows, key=lambda row: -row.last_at))

    def summary(self) -> tuple[Cell, ...]:
        """The matrix of cause and action, only the fields that were tried, by name."""
        return tuple(
            Cell(cause, action, record.tried, record.cured)
            for (cause, action), record in sorted(self._causes.items())
        )


def _default_place(cause: Cause) -> Callable[[Action], int]:
    known = defaults.actions(cause)
    return lambda action: known.index(action) if action in known else len(known)


def _ago(seconds: float) -> str:
    if seconds < 7200:
        return f"{max(seconds, 0) / 60:.0f} min"
    if seconds < 2 * 86_400:
        return f"{seconds / 3600:.0f} h"
    return f"{seconds / 86_400:.0f} days"
