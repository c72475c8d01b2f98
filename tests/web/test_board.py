"""The board: whoever takes it at any time and follows the changes sees the fleet as it is."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import msgspec
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from immune.columns import Float32, Int32
from immune.incidents.incident import Incident, Subject
from immune.incidents.states import State
from immune.ports import AgentRow
from immune.roster import STATES, FleetColumns
from immune.web.board import JOINED_MAX, PAIR_BYTES, ROW_BYTES, Board, FleetBoard, FleetMoved

HEALTHY, LEARNING = STATES.index("healthy"), STATES.index("learning")
PLENTY = 1_000_000


@dataclass(slots=True)
class Fleet:
    """A fleet that a test writes as it likes: agent code -> state, evidence, severity, fenced."""

    agents: dict[int, tuple[int, float, float, bool]] = field(default_factory=dict)
    cases: dict[int, str] = field(default_factory=dict)
    models: dict[int, str] = field(default_factory=dict)
    usd: dict[int, float] = field(default_factory=dict)

    def columns(self) -> FleetColumns:
        codes = sorted(self.agents)
        rows = [self.agents[code] for code in codes]
        fenced = np.array([row[3] for row in rows], np.bool_)
        return FleetColumns(
            np.array(codes, np.int32),
            np.array([row[0] for row in rows], np.int32),
            np.array([row[1] for row in rows], np.float32),
            np.array([row[2] for row in rows], np.float32),
            fenced,
            np.zeros(len(codes), np.bool_),
            np.ones(len(codes), np.bool_),
            np.zeros(len(codes), np.bool_),
            {code: _case(name) for code, name in self.cases.items() if code in self.agents},
        )

    def row(self, code: int) -> AgentRow:
        return AgentRow(f"agent-{code}", "coder", self.models.get(code, "m"), "p")

    def usd_per_hour(self, codes: Int32) -> Float32:
        return np.array([self.usd.get(code, np.nan) for code in codes.tolist()], np.float32)


def _case(name: str) -> Incident:
    return Incident(
        id=name,
        run_id="r",
        subject=Subject("agent", name),
        agent_type="",
        state=State.SUSPECTED,
        version=1,
        opened_at=0.0,
        updated_at=0.0,
        onset_at=0.0,
        finding=None,
    )


@dataclass(slots=True)
class Viewer:
    """What the page makes of the board and its changes, in few words."""

    board: dict[str, Any]

    @classmethod
    def of(cls, whole: FleetBoard) -> Viewer:
        return cls(msgspec.to_builtins(whole, str_keys=False))

    def apply(self, moved: FleetMoved) -> None:
        seen = self.board
        if moved.tick <= seen["tick"]:
            return
        seen["tick"] = moved.tick
        for agent_id, kind, model, provider in moved.joined:
            seen["ids"].append(agent_id)
            for name in ("types", "models", "providers"):
                seen[name].append(self._word({"types": kind, "models": model}.get(name, provider)))
            for name, blank in (("state", LEARNING), ("evidence", 0), ("severity", 0)):
                seen[name].append(blank)
            seen["flags"].append(0)
            seen["cost"].append(-1.0)
        for place, _, model, _ in moved.facts:
            seen["models"][place] = self._word(model)
        for place, state, severity, flags, case in moved.rows:
            seen["state"][place], seen["severity"][place] = state, severity
            seen["flags"][place] = flags
            seen["cases"].pop(place, None)
            if case:
                seen["cases"][place] = case
        for place, percent in zip(moved.evidence[::2], moved.evidence[1::2], strict=True):
            seen["evidence"][place] = percent
        for place_usd, usd in zip(moved.cost[::2], moved.cost[1::2], strict=True):
            seen["cost"][int(place_usd)] = usd

    def _word(self, text: str) -> int:
        words: list[str] = self.board["words"]
        if text not in words:
            words.append(text)
        return words.index(text)

    def shown(self) -> dict[str, Any]:
        words = self.board["words"]
        named = {n: [words[i] for i in self.board[n]] for n in ("types", "models", "providers")}
        return {k: v for k, v in {**self.board, **named}.items() if k != "words"}


AGENT = st.tuples(
    st.integers(0, len(STATES) - 1), st.floats(0, 3, width=32), st.floats(0, 10), st.booleans()
)
SECOND = st.fixed_dictionaries(
    {
        "agents": st.dictionaries(st.integers(1, 12), AGENT, max_size=6),
        "gone": st.sets(st.integers(1, 12), max_size=2),
        "cases": st.dictionaries(st.integers(1, 12), st.sampled_from(["inc-1", "inc-2", ""])),
        "models": st.dictionaries(st.integers(1, 12), st.sampled_from("xyz"), max_size=2),
        "allowance": st.integers(-100, 400),
        "joins": st.booleans(),
    }
)


@settings(max_examples=60)
@given(st.lists(SECOND, min_size=1, max_size=25))
def test_whoever_comes_at_any_time_sees_the_same(seconds: list[dict[str, Any]]) -> None:
    """However small the allowance, and whenever the board was taken."""
    fleet = Fleet()
    board = Board(fleet)
    viewers = [Viewer.of(board.whole())]
    for second in seconds:
        fleet.agents.update(second["agents"])
        fleet.agents = {c: agent for c, agent in fleet.agents.items() if c not in second["gone"]}
        fleet.cases.update(second["cases"])
        fleet.cases = {code: name for code, name in fleet.cases.items() if name}
        fleet.models.update(second["models"])
        moved = board.advance(fleet.columns(), second["allowance"])
        if second["joins"] or moved.reset:
            viewers.append(Viewer.of(board.whole()))
        for viewer in viewers:
            if moved.reset:
                viewer.board = Viewer.of(board.whole()).board
            else:
                viewer.apply(moved)
    now = Viewer.of(board.whole()).shown()
    assert all(viewer.shown() == now for viewer in viewers)


def test_in_the_end_all_is_told() -> None:
    """With enough allowance the board is the fleet; noise of the evidence is left out."""
    fleet = Fleet({1: (HEALTHY, 0.10, 0.0, False), 2: (HEALTHY, 0.5, 8.04, True)}, {2: "inc-7"})
    board = Board(fleet)
    board.advance(fleet.columns(), PLENTY)
    whole = board.whole()
    assert (whole.state, whole.severity, whole.flags) == ([HEALTHY] * 2, [0, 80], [4, 5])
    assert (whole.evidence, whole.cases) == ([10, 50], {1: "inc-7"})
    fleet.agents[1] = (HEALTHY, 0.13, 0.0, False)
    moved = board.advance(fleet.columns(), PLENTY)
    assert (moved.rows, moved.evidence) == ([], [])
    fleet.agents[1] = (HEALTHY, 0.16, 0.0, False)
    assert board.advance(fleet.columns(), PLENTY).evidence == [0, 16]
    del fleet.cases[2]
    ((place, *_, case),) = board.advance(fleet.columns(), PLENTY).rows
    assert (place, case) == (1, "")


def test_what_is_fenced_and_severe_is_told_first() -> None:
    """What does not fit waits, and is told in the end."""
    fleet = Fleet(dict.fromkeys(range(1, 41), (HEALTHY, 0.0, 0.0, False)))
    board = Board(fleet)
    board.advance(fleet.columns(), PLENTY)
    sick = STATES.index("contained")
    fleet.agents = {code: (sick, 1.2, code / 10, code == 3) for code in fleet.agents}
    told: list[int] = []
    first = board.advance(fleet.columns(), 10 * ROW_BYTES)
    assert len(first.rows) <= 10
    assert [row[0] for row in first.rows][:3] == [2, 39, 38]
    told += [row[0] for row in first.rows]
    for _ in range(5):
        told += [row[0] for row in board.advance(fleet.columns(), 10 * ROW_BYTES).rows]
    assert sorted(told) == list(range(40))
    moved = board.advance(fleet.columns(), 4 * PAIR_BYTES)
    assert len(moved.evidence) <= 8


def test_a_crowd_that_joins_at_once_is_taken_as_a_whole() -> None:
    """So is one for which the allowance is too small."""
    fleet = Fleet(dict.fromkeys(range(1, JOINED_MAX + 2), (HEALTHY, 0.0, 0.0, False)))
    board = Board(fleet)
    assert board.advance(fleet.columns(), PLENTY).reset
    assert board.whole().state == [HEALTHY] * (JOINED_MAX + 1)
    fleet.agents[500] = (HEALTHY, 0.0, 0.0, False)
    assert board.advance(fleet.columns(), 10).reset
    fleet.agents[501] = (HEALTHY, 0.0, 0.0, False)
    assert board.advance(fleet.columns(), PLENTY).joined == [("agent-501", "coder", "m", "p")]


def test_who_stays_keeps_what_was_known_when_another_leaves() -> None:
    """Only the places change, and though somebody leaves every second, all are looked at."""
    fleet = Fleet(dict.fromkeys(range(1, 301), (HEALTHY, 0.0, 0.0, False)))
    fleet.usd = {code: float(code) for code in fleet.agents}
    board = Board(fleet)
    board.advance(fleet.columns(), PLENTY)
    fleet.usd = dict.fromkeys(fleet.usd, 9.0)
    fleet.models = {300: "new"}
    del fleet.agents[1]
    assert board.advance(fleet.columns(), PLENTY).reset
    whole = board.whole()
    assert whole.ids == [f"agent-{code}" for code in range(2, 301)]
    assert [whole.cost[code - 2] in (code, 9.0) for code in range(2, 301)] == [True] * 299
    for code in range(2, 40):
        del fleet.agents[code]
        assert board.advance(fleet.columns(), PLENTY).reset
    whole = board.whole()
    assert set(whole.cost) == {9.0}
    assert whole.words[whole.models[-1]] == "new"


@pytest.mark.parametrize(("usd", "told"), [(1.1, False), (2.0, True), (float("nan"), True)])
def test_spending_is_told_when_it_has_clearly_changed(usd: float, told: bool) -> None:
    """Each agent is looked at in turn, once in so many ticks."""
    fleet = Fleet({1: (HEALTHY, 0.0, 0.0, False)}, usd={1: 1.0})
    board = Board(fleet)
    for _ in range(16):
        board.advance(fleet.columns(), PLENTY)
    assert board.whole().cost == [1.0]
    fleet.usd[1] = usd
    costs = [board.advance(fleet.columns(), PLENTY).cost for _ in range(16)]
    assert any(costs) is told
