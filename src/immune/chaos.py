"""Infects a simulated fleet, by plan or on demand, and alone knows what it did.

`GroundTruth` is for the scoreboard only. It is computed from the fleet's state, so it also knows
when an infection is over, by whatever way. An infection begins where the fleet's steps have got to:
every later step shows it, and none before.
"""

from __future__ import annotations

import enum
from collections.abc import Sequence

import numpy as np

from immune.columns import Bool, Int32
from immune.errors import InvalidInput
from immune.simulation import law as laws
from immune.simulation.fleet import SimulatedFleet
from immune.simulation.infections import FLEETWIDE, Infection, Injection, infect

WAVES = ((20.0, 5), (45.0, 4), (70.0, 4))
"""Seconds after warm-up, and agents."""

WAVE_INFECTIONS = tuple(Infection)[:7]
STEADY_INFECTIONS = tuple(Infection)[:10]

STEADY_MEAN_S = 3600.0
"""Mean time between two infections of one agent."""

FLEETWIDE_AT_S = 20.0
"""Seconds after warm-up at which an outage or a release begins."""

INSIDE_OUTAGE = (Infection.TOOL_LOOP, Infection.TOKEN_EXPLOSION, Infection.COST_OVERRUN)
"""Own sicknesses of three agents inside an outage: none looks like the outage."""

INSIDE_EVERY_S = 20.0
"""Seconds between them."""

RELEASE_NEWS_S = 600.0
"""Seconds for which a release counts as a change: after that it is the new normal."""


class Plan(enum.StrEnum):
    """What happens by itself."""

    NONE = "none"
    WAVES = "waves"
    STEADY = "steady"
    OUTAGE = "outage"
    RELEASE = "release"


class GroundTruth:
    """What is really so, read from the fleet's state. Nothing but the scoreboard may look."""

    def __init__(self, fleet: SimulatedFleet) -> None:
        self._fleet = fleet
        self._ids = fleet.agent_ids
        self.injections: list[Injection] = []
        self._news: list[Injection] = []

    def is_sick(self, agent_id: str) -> bool:
        """Whether the law of the agent's vitals is a sick one now."""
        return bool(self._mask()[self._fleet.place(agent_id)])

    def is_sick_itself(self, agent_id: str) -> bool:
        """The same, leaving out what its provider or its type's release does to it."""
        return bool(self._fleet.law.own[self._fleet.place(agent_id)])

    def sick(self) -> frozenset[str]:
        """All agents that are sick now."""
        return frozenset(self._ids[i] for i in np.flatnonzero(self._mask()).tolist())

    def note(self, injection: Injection) -> None:
        """An infection was given."""
        self.injections.append(injection)
        if injection.infection is Infection.RELEASE:
            self._news.append(injection)

    def _mask(self) -> Bool:
        law = self._fleet.law
        mask: Bool = law.own | law.shared
        self._news = [n for n in self._news if self._fleet.now - n.at <= RELEASE_NEWS_S]
        for injection in self._news:
            mask[[self._fleet.place(agent_id) for agent_id in injection.members]] = True
        return mask


class NoisyTruth:
    """A liar in the ground truth's place: proves that nothing but the score depends on it."""

    def __init__(self, truth: GroundTruth, seed: int = 0) -> None:
        self._truth = truth
        self._rng = np.random.default_rng([seed, 2])

    @property
    def injections(self) -> Sequence[Injection]:
        return self._truth.injections

    def is_sick(self, agent_id: str) -> bool:
        """A coin's word."""
        return bool(self._rng.random() < 0.5)

    def is_sick_itself(self, agent_id: str) -> bool:
        """Another coin's word."""
        return self.is_sick(agent_id)

    def sick(self) -> frozenset[str]:
        """No agent, ever."""
        return frozenset()


class ChaosInjector:
    """Carries out a plan that begins `warmup_s` after the fleet's start."""

    def __init__(
        self,
        fleet: SimulatedFleet,
        seed: int = 0,
        plan: str = Plan.NONE,
        *,
        warmup_s: float = 0.0,
    ) -> None:
        if plan not in tuple(Plan):
            raise InvalidInput("plan", f"must be one of {', '.join(Plan)}")
        self.plan = Plan(plan)
        self.truth = GroundTruth(fleet)
        self._fleet = fleet
        self._rng = np.random.default_rng([seed, 1])
        self._used = np.zeros(len(fleet), np.bool_)
        begin = fleet.start_at + warmup_s
        self._waves = [(begin + at, count) for at, count in WAVES]
        self._due = begin + self._rng.exponential(STEADY_MEAN_S, len(fleet))
        self._fleetwide_at = begin + FLEETWIDE_AT_S
        self._struck: int | None = None
        """Code of the provider that the plan's outage has struck."""
        self._inside = list(INSIDE_OUTAGE)

    def advance(self, now: float) -> list[Injection]:
        """Do what the plan has for the time until `now`; return what was done."""
        if self.plan is Plan.WAVES:
            return self._wave(now)
        if self.plan is Plan.STEADY:
            return self._steady(now)
        if self.plan is Plan.OUTAGE:
            return self._outage(now)
        if self.plan is Plan.RELEASE:
            return self._release(now)
        return []

    def inject(self, agent_id: str, infection: str, strain: str | None = None) -> Injection:
        """Infect one agent now (or all of its provider or type, where that is the infection).

        Raises NotFound for the agent, InvalidInput for the infection or strain.
        """
        place = self._fleet.place(agent_id)
        if infection not in tuple(Infection):
            raise InvalidInput("infection", f"must be one of {', '.join(Infection)}")
        kind = Infection(infection)
        at = self._fleet.now
        members = self._members(place, kind)
        strain = infect(self._fleet.state, place, kind, strain, self._rng, at)
        injection = Injection(agent_id, kind, strain, at, members)
        self.truth.note(injection)
        return injection

    def _members(self, place: int, infection: Infection) -> tuple[str, ...]:
        if infection not in FLEETWIDE:
            return ()
        state = self._fleet.state
        group = self._provider() if infection is Infection.PROVIDER_OUTAGE else state.kind
        return tuple(state.ids[i] for i in np.flatnonzero(group == group[place]).tolist())

    def _provider(self) -> Int32:
        return self._fleet.law.codes[:, laws.PROVIDER]

    def _well(self) -> Bool:
        """(n,): agents that may be infected: neither sick themselves nor fenced."""
        return ~(self._fleet.law.own | self._fleet.fenced)

    def _draw(self, count: int, among: Bool) -> list[int]:
        """Draw up to `count` agents, those never infected before first."""
        chosen: list[int] = []
        for group in (among & ~self._used, among & self._used):
            places = self._rng.permutation(np.flatnonzero(group)).tolist()
            chosen += places[: count - len(chosen)]
        self._used[chosen] = True
        return chosen

    def _one_of(self, infections: Sequence[Infection]) -> Infection:
        return infections[int(self._rng.integers(len(infections)))]

    def _wave(self, now: float) -> list[Injection]:
        done = []
        while self._waves and self._waves[0][0] <= now:
            _, count = self._waves.pop(0)
            for place in self._draw(count, self._well()):
                infection = self._one_of(WAVE_INFECTIONS)
                done.append(self.inject(self._fleet.agent_ids[place], infection))
        return done

    def _steady(self, now: float) -> list[Injection]:
        due = np.flatnonzero(self._due <= now)
        if not len(due):
            return []
        well = self._well()
        self._due[due] = now + self._rng.exponential(STEADY_MEAN_S, len(due))
        return [
            self.inject(self._fleet.agent_ids[place], self._one_of(STEADY_INFECTIONS))
            for place in due[well[due]].tolist()
        ]

    def _outage(self, now: float) -> list[Injection]:
        if now < self._fleetwide_at or not self._inside:
            return []
        self._fleetwide_at = now + INSIDE_EVERY_S
        provider, ids = self._provider(), self._fleet.agent_ids
        if self._struck is None:
            codes, counts = np.unique(provider, return_counts=True)
            self._struck = int(codes[counts.argmax()])
            first = int(np.flatnonzero(provider == self._struck)[0])
            return [self.inject(ids[first], Infection.PROVIDER_OUTAGE)]
        infection = self._inside.pop(0)
        victims = self._draw(1, self._well() & (provider == self._struck))
        return [self.inject(ids[place], infection) for place in victims]

    def _release(self, now: float) -> list[Injection]:
        if now < self._fleetwide_at:
            return []
        self._fleetwide_at = float("inf")
        kinds, counts = np.unique(self._fleet.state.kind, return_counts=True)
        first = int(np.flatnonzero(self._fleet.state.kind == kinds[counts.argmax()])[0])
        return [self.inject(self._fleet.agent_ids[first], Infection.RELEASE)]
