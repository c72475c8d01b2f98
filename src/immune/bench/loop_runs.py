"""One simulation as a benchmark sees it: run in a process of its own, summed up for the figures."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field
from typing import Any

import msgspec
import structlog

from immune.bench.naive import NaiveSentinel
from immune.incidents import events as e
from immune.incidents.incident import SEVERE
from immune.incidents.states import State
from immune.run.simulate import SimulateOptions, Simulation
from immune.simulation.infections import FLEETWIDE, Infection

LET_GO = frozenset({State.HEALING, State.PROBATION, State.RESOLVED, State.DISMISSED})


@dataclass
class Outcome:
    """What one run came to."""

    options: SimulateOptions
    summary: dict[str, Any]
    injections: list[dict[str, Any]]
    naive_alarms: int = 0
    """Alarms of the naive rule."""
    naive_false: int = 0
    """Those of them on agents that were never infected."""
    severe_asked: int = 0
    """Severe incidents that came to wait for a person."""
    moved_without_a_yes: int = 0
    """Those of them that were healed or let go all the same."""
    fleet_incidents: int = 0
    after_acceptance: int = 0
    """Incidents opened after a fleet incident was accepted as new normal."""
    quarantined_others: int = 0
    """Agents fenced by the system that had no infection of their own."""
    single_injections: list[dict[str, Any]] = field(default_factory=list)


def run_one(options: SimulateOptions) -> Outcome:
    """Run one simulation."""
    _quiet()
    simulation = Simulation(options)
    naive = NaiveSentinel()
    if options.agents <= 60 and options.chaos != "steady":
        simulation.witnesses.append(naive.observe)
    asyncio.run(simulation.run())
    result = msgspec.to_builtins(simulation.report())
    outcome = Outcome(options, result["summary"], result["injections"])
    single = [i for i in result["injections"] if Infection(i["infection"]) not in FLEETWIDE]
    infected = {i["agent_id"] for i in single}
    text = simulation.names.agents.text
    outcome.single_injections = single
    outcome.naive_alarms = len(naive.alarms)
    outcome.naive_false = sum(text(code) not in infected for code, _ in naive.alarms)
    outcome.fleet_incidents = sum(i.is_fleet for i in simulation.incidents)
    _trace(simulation, outcome, infected)
    return outcome


def _trace(simulation: Simulation, outcome: Outcome, infected: set[str]) -> None:
    by_id = {incident.id: incident for incident in simulation.incidents}
    asked: set[str] = set()
    moved: set[str] = set()
    accepted_at: float | None = None
    fenced: set[str] = set()
    for line in simulation.events:
        incident = by_id[line.incident_id]
        state = State(line.state)
        if isinstance(line.event, e.Opened) and accepted_at is not None:
            outcome.after_acceptance += 1
        if incident.is_fleet:
            if isinstance(line.event, e.Released):
                accepted_at = line.event.at
            continue
        if isinstance(line.event, e.Confirmed) and line.event.enforce:
            fenced.add(incident.agent_id)
        if state is State.AWAITING_APPROVAL and incident.severity >= SEVERE:
            asked.add(incident.id)
        elif incident.id in asked and state in LET_GO:
            moved.add(incident.id)
    outcome.severe_asked = len(asked)
    outcome.moved_without_a_yes = len(moved)
    outcome.quarantined_others = len(fenced - infected)


def run_alone(seed: int) -> int:
    """One agent with fifteen steps of its own and no peers, sick in turn of everything.

    Returns how often it was fenced.
    """
    _quiet()
    fences = 0
    for number, infection in enumerate(Infection):
        if infection in FLEETWIDE:
            continue
        options = SimulateOptions(
            agents=1, seconds=200, warmup_s=0, seed=1000 * seed + number, chaos="none"
        )
        fences += asyncio.run(_alone(Simulation(options), infection))
    return fences


async def _alone(simulation: Simulation, infection: Infection) -> int:
    await simulation.workflow.open()
    try:
        await simulation.system.orchestrator.start()
        for second in range(simulation.options.seconds):
            if second == 15:
                simulation.chaos.inject(simulation.fleet.agent_ids[0], infection)
            await simulation.second()
        return len(await simulation.workflow.fences(standing_only=False))
    finally:
        await simulation.workflow.close()


def _quiet() -> None:
    """Keep the system's log out of the figures."""
    structlog.configure(
        wrapper_class=structlog.make_filtering_bound_logger(50), cache_logger_on_first_use=True
    )
