"""The plans of chaos, and that nothing but the score hangs on the ground truth."""

from __future__ import annotations

import ast
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

import immune
from immune.chaos import ChaosInjector, GroundTruth, NoisyTruth, Plan
from immune.errors import InvalidInput, NotFound
from immune.simulation.fleet import SimulatedFleet
from immune.simulation.infections import Infection, Injection
from immune.simulation.scoreboard import Scoreboard, Truth

WARMUP = 30.0


def _play(
    plan: str, seconds: int, agents: int = 15, seed: int = 1
) -> tuple[SimulatedFleet, ChaosInjector]:
    fleet = SimulatedFleet(agents, seed=seed)
    chaos = ChaosInjector(fleet, seed, plan, warmup_s=WARMUP)
    for second in range(1, seconds + 1):
        fleet.step(fleet.start_at + second)
        chaos.advance(fleet.start_at + second)
    return fleet, chaos


def _at(fleet: SimulatedFleet, injection: Injection) -> float:
    return injection.at - fleet.start_at - WARMUP


def test_no_plan_no_harm() -> None:
    """Without a plan nothing happens by itself."""
    assert not _play("none", 200)[1].truth.injections


@pytest.mark.parametrize("seed", range(5))
def test_waves(seed: int) -> None:
    """Five, four and four distinct agents fall sick of the first seven at 20, 45 and 70 s."""
    fleet, chaos = _play("waves", 150, seed=seed)
    given = chaos.truth.injections
    assert [_at(fleet, i) for i in given] == [20.0] * 5 + [45.0] * 4 + [70.0] * 4
    assert len({i.agent_id for i in given}) == 13
    assert {i.infection for i in given} <= set(list(Infection)[:7])


def test_waves_spare_the_sick_and_the_fenced() -> None:
    """A small fleet is not infected twice at once, and a fenced agent never."""
    fleet = SimulatedFleet(6, seed=1)
    chaos = ChaosInjector(fleet, 1, "waves")
    fleet.fence(fleet.agent_ids[0], True)
    for second in range(1, 100):
        fleet.step(fleet.start_at + second)
        chaos.advance(fleet.start_at + second)
    hit = [i.agent_id for i in chaos.truth.injections]
    assert sorted(hit) == sorted(fleet.agent_ids[1:])


def test_waves_come_back_to_the_cured_when_all_have_had_it() -> None:
    """Once nobody is left who was never sick, those who are well again are taken."""
    fleet = SimulatedFleet(6, seed=1)
    chaos = ChaosInjector(fleet, 1, "waves")
    for second in range(1, 100):
        fleet.step(fleet.start_at + second)
        chaos.advance(fleet.start_at + second)
        for i in range(6):
            fleet.state.renew(i)
    assert len(chaos.truth.injections) == 13
    assert {i.agent_id for i in chaos.truth.injections[:6]} == set(fleet.agent_ids)


def test_steady_strikes_each_agent_about_once_an_hour() -> None:
    """Healthy agents fall sick at an exponential pace of one an hour, of the first ten."""
    fleet = SimulatedFleet(200, seed=1)
    chaos = ChaosInjector(fleet, 1, "steady", warmup_s=100.0)
    given: list[Injection] = []
    for second in range(10, 7200, 10):
        fleet.now = fleet.start_at + second
        given += chaos.advance(fleet.now)
        for injection in given[-20:]:
            fleet.state.renew(fleet.place(injection.agent_id))
            fleet.state.offline[:] = False
    assert given[0].at > fleet.start_at + 100
    assert len(given) == pytest.approx(200 * 7100 / 3600, rel=0.15)
    assert {i.infection for i in given} == set(list(Infection)[:10])


def test_outage() -> None:
    """One provider goes down for five to ten minutes, with three agents sick of their own in it."""
    fleet, chaos = _play("outage", 130)
    outage, *own = chaos.truth.injections
    assert outage.infection is Infection.PROVIDER_OUTAGE
    assert _at(fleet, outage) == 20.0
    assert len(outage.members) == 5
    assert [i.infection for i in own] == [
        Infection.TOOL_LOOP,
        Infection.TOKEN_EXPLOSION,
        Infection.COST_OVERRUN,
    ]
    assert {i.agent_id for i in own} < set(outage.members)
    assert len({i.agent_id for i in own}) == 3
    assert chaos.truth.sick() == set(outage.members)
    ill = {a for a in outage.members if chaos.truth.is_sick_itself(a)}
    assert ill == {i.agent_id for i in own}
    fleet.step(outage.at + 299)
    assert chaos.truth.sick() >= set(outage.members)
    fleet.step(outage.at + 601)
    fleet.step(outage.at + 602)
    assert chaos.truth.sick() <= ill


def test_release() -> None:
    """One release on all agents of the largest type; after ten minutes it is the new normal."""
    fleet, chaos = _play("release", 100)
    (release,) = chaos.truth.injections
    assert _at(fleet, release) == 20.0
    assert chaos.truth.sick() == set(release.members)
    assert not any(chaos.truth.is_sick_itself(a) for a in fleet.agent_ids)
    fleet.step(release.at + 601)
    assert not chaos.truth.sick()


def test_inject_on_demand() -> None:
    """A person's infection begins where the steps have got to, and is noted."""
    fleet = SimulatedFleet(5, seed=1)
    chaos = ChaosInjector(fleet, 1)
    fleet.step(fleet.start_at + 7)
    given = chaos.inject("coder-1", "silent", "crashed")
    assert given == Injection("coder-1", Infection.SILENT, "crashed", fleet.start_at + 7)
    assert chaos.truth.injections == [given]
    assert chaos.truth.sick() == {"coder-1"}
    with pytest.raises(NotFound):
        chaos.inject("nobody", "silent")


def test_truth_ends_with_the_infection() -> None:
    """An agent is sick as long as its law is, not as long as nobody has said otherwise."""
    fleet = SimulatedFleet(5, seed=1)
    chaos = ChaosInjector(fleet, 1)
    chaos.inject("coder-1", "token_explosion", "bloated_context")
    assert chaos.truth.is_sick("coder-1")
    fleet.state.clear_memory(fleet.place("coder-1"))
    assert not chaos.truth.is_sick("coder-1")
    assert len(chaos.truth.injections) == 1


def test_unknown_plan_is_refused() -> None:
    """A plan that doesn't exist is refused with the list of those that do."""
    with pytest.raises(InvalidInput, match="waves"):
        ChaosInjector(SimulatedFleet(2), 0, "plague")


@pytest.mark.parametrize("plan", list(Plan))
def test_nothing_but_the_score_depends_on_the_truth(plan: Plan) -> None:
    """With a liar in the truth's place, the same run comes out to the last hash."""

    def run(lie: bool) -> tuple[list[npt.NDArray[Any]], list[Injection], int]:
        fleet = SimulatedFleet(15, seed=7)
        chaos = ChaosInjector(fleet, 7, plan)
        truth: Truth = NoisyTruth(chaos.truth, 3) if lie else chaos.truth
        board = Scoreboard(truth, fleet.names, start_at=fleet.start_at)
        seen: list[npt.NDArray[Any]] = []
        for second in range(1, 120):
            columns = fleet.step(fleet.start_at + second)
            chaos.advance(fleet.now)
            board.saw(columns, fleet.now, fleet.steps_refused)
            seen += [columns.values, columns.calls.args_hash]
        healthy = board.report(fleet.now).summary.healthy_agent_steps
        return seen, chaos.truth.injections, healthy

    honest, lied = run(False), run(True)
    assert all(
        np.array_equal(a, b, equal_nan=True) for a, b in zip(honest[0], lied[0], strict=True)
    )
    assert honest[1] == lied[1]
    assert (honest[2] != lied[2]) == (plan not in (Plan.NONE, Plan.STEADY) or bool(honest[1]))


def test_only_the_scoreboard_reads_the_truth() -> None:
    """No module but the scoreboard (and chaos, which owns it) asks who is sick."""
    root = Path(immune.__file__).parent
    questions = {"is_sick", "is_sick_itself"}
    asking = {
        str(path.relative_to(root))
        for path in root.rglob("*.py")
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, ast.Attribute) and node.attr in questions
    }
    assert asking == {"chaos.py", "simulation/scoreboard.py"}
    assert set(vars(GroundTruth)) >= questions


def test_detection_and_healing_never_import_the_simulation() -> None:
    """The parts that judge and heal know neither the simulator nor chaos."""
    root = Path(immune.__file__).parent
    parts = ["detection", "diagnosis", "incidents", "healing"]
    files = [path for part in parts for path in (root / part).rglob("*.py")]
    files += [root / name for name in ("orchestrator.py", "memory.py", "quarantine.py")]
    for path in files:
        if path.exists():
            text = path.read_text(encoding="utf-8")
            assert "immune.simulation" not in text
            assert "immune.chaos" not in text
