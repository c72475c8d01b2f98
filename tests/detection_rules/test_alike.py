"""The largest set of agents with the same change, and whom it takes a close look at to find it."""

from __future__ import annotations

import math

import numpy as np

from immune.columns import Float64
from immune.detection.alike import Alike, alike_among
from immune.detection.change import PARTS, SPEND, TIME, Change
from immune.detection.rule_params import FleetParams

NATS = np.full(len(PARTS), 3.0)
"""Of a laggard: it has begun to rise, and is not enough by itself."""


def change(part: int, times: float = 4.0, onset_at: float = 100.0) -> Change:
    affected, size = np.zeros(len(PARTS), np.bool_), np.zeros(len(PARTS))
    affected[part], size[part] = True, math.log(times)
    return Change(onset_at, 8.0, affected, size, np.zeros(len(PARTS)), frozenset())


class Looks:
    """A group of ten: some changed for certain, the others, from agent 10 on, lag behind."""

    def __init__(self, changed: list[Change], laggards: list[Change]) -> None:
        self.changed = dict(enumerate(changed))
        self.others = dict(enumerate(laggards, 10))
        self.asked = False

    def laggards(self) -> dict[int, Change]:
        self.asked = True
        return self.others

    def lag(self, agent: int) -> Float64 | None:
        return NATS if agent in self.others else None

    def alike(self) -> Alike | None:
        return alike_among(self.changed, self.laggards, self.lag, 10, 2.0, FleetParams())


def test_laggards_join_those_who_changed_for_certain() -> None:
    """Three slow agents and two that become slow are five with the same change."""
    looks = Looks([change(TIME)] * 3, [change(TIME, 3.0), change(TIME, 5.0), change(SPEND)])
    found = looks.alike()
    assert found is not None
    assert sorted(found.agents) == [0, 1, 2, 10, 11]


def test_each_laggard_needs_one_who_changed_for_certain() -> None:
    """Three slow agents do not carry four that may become slow."""
    assert Looks([change(TIME)] * 3, [change(TIME)] * 4).alike() is None


def test_nobody_else_is_looked_at_where_too_few_changed_alike() -> None:
    """Of four sick agents two are slow and two spend too much: the others cost no look."""
    looks = Looks([change(TIME)] * 2 + [change(SPEND)] * 2, [change(TIME)] * 5)
    assert looks.alike() is None
    assert not looks.asked


def test_nobody_else_is_looked_at_where_they_changed_one_after_the_other() -> None:
    """Four agents that became slow minutes apart have no change in common."""
    looks = Looks([change(TIME, onset_at=300.0 * i) for i in range(4)], [change(TIME)] * 5)
    assert looks.alike() is None
    assert not looks.asked


def test_laggards_that_changed_at_another_time_do_not_count() -> None:
    """Three slow agents and two that have been slow for long are not five at once."""
    assert Looks([change(TIME)] * 3, [change(TIME, onset_at=20.0)] * 2).alike() is None
