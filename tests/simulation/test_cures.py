"""Every action cures exactly the strains that section 10's table says, and lifting undoes it."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

import numpy as np
import pytest

from immune.chaos import ChaosInjector
from immune.clock import ManualClock
from immune.errors import ActionFailed, NotFound, Unreachable
from immune.healing.actions import LIMITING, Action, ActionAnswer, Change, Treatment
from immune.simulation.catalogue import MODELS
from immune.simulation.fleet import SimulatedFleet
from immune.simulation.infections import Infection
from immune.simulation.link import SimulatedLink
from tests.simulation.table import ROWS, Row

CURABLE = [r for r in ROWS if r.infection not in (Infection.RELEASE, Infection.BUSY_HOUR)]


class Ward:
    """A fleet, its link and one patient."""

    def __init__(self, seed: int = 1, agents: int = 15) -> None:
        self.clock = ManualClock()
        self.fleet = SimulatedFleet(agents, seed=seed, start_at=self.clock.time())
        self.chaos = ChaosInjector(self.fleet, seed)
        self.link = SimulatedLink(self.fleet, self.clock)
        self.patient = self.fleet.agent_ids[4]

    def infect(self, row: Row) -> None:
        self.chaos.inject(self.patient, row.infection, row.strain)

    def do(self, action: Action, key: str | None = None) -> ActionAnswer:
        return asyncio.run(self.link.apply(self.patient, action, key or f"{action}"))

    def lift(self, action: Action, changes: Sequence[Change], key: str = "lift") -> ActionAnswer:
        treatment = Treatment(
            id="t",
            agent_id=self.patient,
            incident_id="inc-1",
            action=action,
            changes=tuple(changes),
            since=0.0,
        )
        return asyncio.run(self.link.lift(self.patient, treatment, key))

    def ill(self) -> bool:
        return self.chaos.truth.is_sick(self.patient)

    def snapshot(self) -> dict[str, np.ndarray]:
        return {
            name: value.copy()
            for name, value in vars(self.fleet.state).items()
            if isinstance(value, np.ndarray)
        }

    def changed(self, before: dict[str, np.ndarray]) -> dict[str, list[int]]:
        """Names of the arrays that differ, with the rows."""
        after = self.snapshot()
        return {
            name: sorted({int(where[0]) for where in np.argwhere(before[name] != after[name])})
            for name in before
            if not np.array_equal(before[name], after[name])
        }


@pytest.mark.parametrize("seed", [1, 2])
@pytest.mark.parametrize("action", list(Action))
@pytest.mark.parametrize("row", CURABLE, ids=lambda r: r.strain)
def test_an_action_cures_what_the_table_says(row: Row, action: Action, seed: int) -> None:
    """One action alone cures a strain exactly where the table names it."""
    ward = Ward(seed)
    ward.infect(row)
    assert ward.ill()
    ward.do(action)
    assert ward.ill() == (action not in row.cures)


INJECTED = next(r for r in ROWS if r.infection is Infection.PROMPT_INJECTION)


@pytest.mark.parametrize(
    ("first", "second"),
    [
        (Action.RESET_MEMORY, Action.REVOKE_TOOLS),
        (Action.REVOKE_TOOLS, Action.RESET_MEMORY),
    ],
)
def test_an_injection_is_cured_by_both_halves(first: Action, second: Action) -> None:
    """The instruction must leave the memory and the smuggled tool must be revoked."""
    ward = Ward()
    ward.infect(INJECTED)
    calls = ward.fleet.law.table[4, 8]
    ward.do(first)
    assert ward.ill()
    assert ward.fleet.law.table[4, 8] == pytest.approx(calls)
    ward.do(second)
    assert not ward.ill()


def test_an_injection_ignores_other_pairs() -> None:
    """No pair of other actions cures an injection, short of a clone."""
    others = set(Action) - {Action.CLONE_AGENT}
    for first in others:
        for second in others:
            if {first, second} == {Action.RESET_MEMORY, Action.REVOKE_TOOLS}:
                continue
            ward = Ward()
            ward.infect(INJECTED)
            ward.do(first, "1")
            ward.do(second, "2")
            assert ward.ill(), (first, second)


def test_a_cure_brings_back_the_old_vitals() -> None:
    """After a reset of its memory the agent's tokens are what they were."""
    ward = Ward()
    normal = ward.fleet.law.table.copy()
    ward.infect(ROWS[0])
    assert ward.fleet.law.table[4, 1] > normal[4, 1] + 1
    ward.do(Action.RESET_MEMORY)
    assert np.array_equal(ward.fleet.law.table, normal)


WRITES = {
    Action.WAIT: set(),
    Action.RESET_MEMORY: {
        "context",
        "memory_loop",
        "memory_latency",
        "memory_retry",
        "memory_drive",
    },
    Action.REDUCE_AUTONOMY: {"autonomy", "verbosity", "planner_loop"},
    Action.REVOKE_TOOLS: {"allowed"},
    Action.ROLLBACK_PROMPT: {"prompt", "prompt_slips"},
    Action.SWITCH_MODEL: {"model"},
}


@pytest.mark.parametrize("action", list(WRITES))
def test_an_action_changes_what_it_says_and_nothing_else(action: Action) -> None:
    """Whatever ails an agent, an action writes only its own part of that agent's state."""
    ward = Ward()
    for row in CURABLE:
        ward.infect(row)
    before = ward.snapshot()
    ward.do(action)
    changed = ward.changed(before)
    assert set(changed) == WRITES[action]
    assert all(rows == [4] for rows in changed.values())


def test_a_clone_leaves_the_shared_world_alone() -> None:
    """A clone renews one agent; the provider's outage and the others stay as they are."""
    ward = Ward()
    for row in CURABLE:
        ward.infect(row)
    before = ward.snapshot()
    ward.do(Action.CLONE_AGENT)
    assert all(rows == [4] for rows in ward.changed(before).values())
    assert ward.fleet.law.shared[4]


@pytest.mark.parametrize("action", [a for a in Action if a is not Action.CLONE_AGENT])
def test_side_effects_are_mild(action: Action) -> None:
    """On a healthy agent no action makes any metric worse by more than ×1.2, or it sick."""
    ward = Ward(agents=60)
    normal = ward.fleet.law.table.copy()
    for agent_id in ward.fleet.agent_ids:
        asyncio.run(ward.link.apply(agent_id, action, agent_id))
    now = ward.fleet.law.table
    sizes = np.exp(now[:, :3] - normal[:, :3])
    assert sizes.max() <= 1.2
    assert sizes.min() >= 0.8
    assert np.abs(now[:, 6:8] / normal[:, 6:8] - 1).max() <= 0.2
    calls = now[:, 8] / normal[:, 8]
    assert 0.75 <= calls.min() <= calls.max() <= 1.0
    assert np.array_equal(now[:, 9:], normal[:, 9:])
    assert not ward.chaos.truth.sick()


@pytest.mark.parametrize("action", sorted(LIMITING))
@pytest.mark.parametrize("row", [None, *CURABLE], ids=lambda r: r.strain if r else "healthy")
def test_lifting_restores_exactly(action: Action, row: Row | None) -> None:
    """What a limiting treatment took is given back to the last bit."""
    ward = Ward()
    if row is not None:
        ward.infect(row)
    before = ward.snapshot()
    answer = ward.do(action)
    taken = [c for c in answer.changes if c.what in ("autonomy", "allowed_tools", "model")]
    assert len(taken) == 1
    back = ward.lift(action, answer.changes)
    assert [(c.what, c.before, c.after) for c in back.changes] == [
        (c.what, c.after, c.before) for c in taken
    ]
    # a derangement that the action reset stays reset: it was the sickness, not the limit
    assert set(ward.changed(before)) <= {"verbosity", "planner_loop"}


def test_lifting_from_a_tool_that_is_still_sick_brings_it_back() -> None:
    """A lifted treatment meets the world as it is: slow while the tool is, well once it mended."""
    ward = Ward()
    ward.infect(next(r for r in ROWS if r.strain == "slow_tool"))
    answer = ward.do(Action.REVOKE_TOOLS)
    assert not ward.ill()
    ward.lift(Action.REVOKE_TOOLS, answer.changes)
    assert ward.ill()
    ward.fleet.state.mend(np.inf)
    assert not ward.ill()


def test_overlapping_revocations_each_give_back_their_own() -> None:
    """Lifting one of two revocations gives back its tool and not the other's."""
    ward = Ward()
    everything = ward.fleet.state.tool_names(4)
    one = ward.do(Action.REVOKE_TOOLS, "1")
    two = ward.do(Action.REVOKE_TOOLS, "2")
    assert len(ward.fleet.state.tool_names(4)) == len(everything) - 2
    ward.lift(Action.REVOKE_TOOLS, one.changes, "l1")
    assert len(ward.fleet.state.tool_names(4)) == len(everything) - 1
    ward.lift(Action.REVOKE_TOOLS, two.changes, "l2")
    assert ward.fleet.state.tool_names(4) == everything


def test_an_agent_keeps_its_last_tool() -> None:
    """However often tools are revoked, one of its own is left."""
    ward = Ward()
    for k in range(6):
        ward.do(Action.REVOKE_TOOLS, str(k))
    assert len(ward.fleet.state.tool_names(4)) == 1


def test_idempotent_by_key() -> None:
    """The same key answers as the first time did and changes nothing more."""
    ward = Ward()
    first = ward.do(Action.SWITCH_MODEL, "k")
    model = ward.fleet.state.model.copy()
    ward.clock.advance(5)
    assert ward.do(Action.SWITCH_MODEL, "k") == first
    assert np.array_equal(ward.fleet.state.model, model)
    back = ward.lift(Action.SWITCH_MODEL, first.changes, "k")
    again = ward.do(Action.SWITCH_MODEL, "k2")
    assert again.at == first.at + 5
    assert ward.lift(Action.SWITCH_MODEL, first.changes, "k") == back
    assert MODELS[ward.fleet.state.model[4]].name == again.changes[0].after
    asyncio.run(ward.link.fence(ward.patient, True, "f"))
    asyncio.run(ward.link.fence(ward.patient, False, "g"))
    assert asyncio.run(ward.link.fence(ward.patient, True, "f"))
    assert not ward.fleet.fenced.any()


def test_answers_say_what_really_changed() -> None:
    """A change that was none is not told; one that was names the value before and after."""
    ward = Ward()
    ward.clock.advance(3)
    answer = ward.do(Action.REDUCE_AUTONOMY)
    assert answer.at == ward.clock.time()
    assert Change("autonomy", "1.0", "0.7") in answer.changes
    assert "verbosity" not in {c.what for c in answer.changes}
    assert "autonomy" not in {c.what for c in ward.do(Action.REDUCE_AUTONOMY, "2").changes}
    assert ward.do(Action.WAIT).changes == ()
    assert ward.do(Action.ROLLBACK_PROMPT).changes == ()


def test_rollback_goes_to_the_version_before() -> None:
    """From a drifted prompt back to the deployed one, from a release to the one before it."""
    ward = Ward()
    first = ward.fleet.state.prompts[ward.fleet.state.prompt[4]].hash
    ward.chaos.inject(ward.patient, "release")
    released = ward.fleet.state.prompts[ward.fleet.state.prompt[4]].hash
    ward.chaos.inject(ward.patient, "prompt_drift")
    assert ward.do(Action.ROLLBACK_PROMPT, "1").changes[0].after == released
    assert ward.do(Action.ROLLBACK_PROMPT, "2").changes[0].after == first
    assert ward.do(Action.ROLLBACK_PROMPT, "3").changes == ()


def test_the_link_knows_whom_it_reaches() -> None:
    """All seven for an agent it has, nothing for a stranger, and Unreachable is no failure."""
    ward = Ward()
    assert ward.link.capabilities(ward.patient) == frozenset(Action)
    assert ward.link.capabilities("stranger") == frozenset()
    assert not asyncio.run(ward.link.fence("stranger", True, "f"))
    with pytest.raises(NotFound):
        asyncio.run(ward.link.apply("stranger", Action.WAIT, "k"))
    ward.link.unreachable.add(ward.patient)
    with pytest.raises(Unreachable):
        ward.do(Action.RESET_MEMORY)
    with pytest.raises(Unreachable):
        asyncio.run(ward.link.fence(ward.patient, True, "f"))
    ward.link.unreachable.clear()
    assert ward.do(Action.RESET_MEMORY).changes


def test_what_limits_nothing_cannot_be_lifted() -> None:
    """Lifting an action that left nothing in force, or to a model that is gone, fails."""
    ward = Ward()
    with pytest.raises(ActionFailed):
        ward.lift(Action.RESET_MEMORY, ())
    with pytest.raises(ActionFailed, match="no model"):
        ward.lift(Action.SWITCH_MODEL, [Change("model", "gone", "here")])
