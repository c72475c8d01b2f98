"""Every strain changes the vitals as section 10's table says, and only those."""

from __future__ import annotations

import numpy as np
import pytest

from immune.chaos import ChaosInjector
from immune.columns import VitalColumns
from immune.errors import InvalidInput
from immune.simulation.fleet import SimulatedFleet
from immune.simulation.infections import STRAINS, Infection
from immune.vitals import Metric
from tests.simulation.table import NAMES, ROWS, Row

STEPS = 400
PATIENT = 4
SIZES = {
    "latency": Metric.LATENCY_MS,
    "input": Metric.INPUT_TOKENS,
    "output": Metric.OUTPUT_TOKENS,
    "tools": Metric.TOOL_CALLS,
}
SLACK = {"latency": 0.05, "input": 0.05, "output": 0.05, "tools": 0.15, "cost": 0.05, "pace": 0.02}


class Sample:
    """Some minutes of one agent's vitals, in figures."""

    def __init__(self, fleet: SimulatedFleet, batch: VitalColumns) -> None:
        mine = batch.take(np.flatnonzero(batch.agent == fleet.codes[PATIENT]))
        values = mine.values.astype(np.float64)
        self.steps = len(mine)
        self.means = {name: values[:, metric].mean() for name, metric in SIZES.items()}
        tokens = values[:, [Metric.INPUT_TOKENS, Metric.OUTPUT_TOKENS]]
        # cost at equal tokens: the price, whatever the size of the steps
        base = fleet.law.table[PATIENT, 6:8] / fleet.state.endpoint_price[PATIENT].max()
        self.means["cost"] = (values[:, Metric.COST_USD] / (tokens @ base)).mean()
        self.means["pace"] = 1.0 / np.diff(mine.at).mean() if self.steps > 1 else 0.0
        self.rates = {
            "retries": (values[:, Metric.RETRIES] > 0).mean(),
            "errors": values[:, Metric.ERRORS].mean(),
        }
        self.prompts = set(mine.prompt_hash.tolist())
        self.models = set(mine.model.tolist())
        self.tools = set(mine.calls.tool.tolist())
        self.repeated = len(mine.calls) - len(np.unique(mine.calls.args_hash))
        self.failing = mine.calls.tool[~mine.calls.ok]


def _before_and_after(row: Row, seed: int) -> tuple[SimulatedFleet, Sample, Sample]:
    fleet = SimulatedFleet(15, seed=seed, noise="calm")
    before = Sample(fleet, fleet.step(fleet.start_at + STEPS))
    ChaosInjector(fleet, seed).inject(fleet.agent_ids[PATIENT], row.infection, row.strain)
    after = fleet.step(fleet.now + STEPS)
    return fleet, before, Sample(fleet, after)


@pytest.mark.parametrize("seed", [1, 2, 3])
@pytest.mark.parametrize(
    "row", [r for r in ROWS if r.infection is not Infection.SILENT], ids=lambda r: r.strain
)
def test_strain_changes_what_the_table_says_and_nothing_else(row: Row, seed: int) -> None:
    """Affected metrics lie in the table's range, all others stay, and so do the facts."""
    _, before, after = _before_and_after(row, seed)
    for name, mean in after.means.items():
        low, high = row.factors.get(name, (1.0, 1.0))
        ratio = mean / before.means[name]
        assert low * (1 - SLACK[name]) <= ratio <= high * (1 + SLACK[name]), name
    for name, rate in after.rates.items():
        assert rate == pytest.approx(row.rates.get(name, before.rates[name]), abs=0.08), name
    assert (after.prompts != before.prompts) == (row.news == "prompt")
    assert (after.models != before.models) == (row.news == "model")
    assert (len(after.tools - before.tools) > 0) == (row.news == "tool")
    assert (after.repeated > STEPS) == (row.news == "loop")
    assert after.repeated == 0 or row.news == "loop"


@pytest.mark.parametrize("strain", ["crashed", "provider_away"])
def test_a_silent_agent_makes_no_step(strain: str) -> None:
    """Both strains of silence look the same: nothing."""
    fleet = SimulatedFleet(6, seed=1)
    ChaosInjector(fleet).inject(fleet.agent_ids[PATIENT], Infection.SILENT, strain)
    assert int(fleet.codes[PATIENT]) not in fleet.step(fleet.start_at + 100).agent


def test_the_table_is_complete() -> None:
    """Every infection has the design's strains with the design's chances."""
    ours = {
        (infection, strain): chance
        for infection, strains in STRAINS.items()
        for strain, (chance, _) in strains.items()
    }
    assert ours == {(row.infection, row.strain): row.chance for row in ROWS}
    assert list(dict.fromkeys(row.infection for row in ROWS)) == list(Infection)
    for infection in Infection:
        assert sum(r.chance for r in ROWS if r.infection is infection) == pytest.approx(1.0)
    assert len(set(NAMES)) == len(NAMES)


def test_strains_are_drawn_by_their_chance() -> None:
    """Without a strain named, one is drawn as often as the table says."""
    fleet = SimulatedFleet(3, seed=1)
    chaos = ChaosInjector(fleet, 9)
    drawn = [chaos.inject(fleet.agent_ids[0], "latency_spike").strain for _ in range(2000)]
    assert drawn.count("slow_tool") / 2000 == pytest.approx(0.8, abs=0.03)


@pytest.mark.parametrize(
    ("row", "low", "high"),
    [(ROWS[0], 4.0, 9.0), (ROWS[4], 3.0, 7.0)],
    ids=["bloated_context", "slow_tool"],
)
def test_magnitudes_fill_their_range(row: Row, low: float, high: float) -> None:
    """Magnitudes are drawn uniformly over the table's range."""
    fleet = SimulatedFleet(500, seed=1)
    normal = fleet.law.table[:, :2].copy()
    chaos = ChaosInjector(fleet, 4)
    for agent_id in fleet.agent_ids:
        chaos.inject(agent_id, row.infection, row.strain)
    column = 1 if "input" in row.factors else 0
    sizes = np.exp((fleet.law.table[:, :2] - normal)[:, column])
    assert sizes.min() >= low - 1e-9
    assert sizes.max() <= high + 1e-9
    assert np.quantile(sizes, [0.25, 0.5, 0.75]) == pytest.approx(
        low + (high - low) * np.array([0.25, 0.5, 0.75]), abs=0.3
    )


def test_a_flaky_tool_is_the_one_that_fails() -> None:
    """Retries by a flaky tool show as failed calls of that tool, bad arguments on all tools."""
    flaky = _before_and_after(next(r for r in ROWS if r.strain == "flaky_tool"), 1)[2].failing
    slips = _before_and_after(next(r for r in ROWS if r.strain == "bad_arguments"), 1)[2].failing
    assert np.bincount(flaky).max() / len(flaky) > 0.9
    assert np.bincount(slips).max() / len(slips) < 0.6


def test_an_injected_agent_sends_its_extra_calls_to_the_new_tool() -> None:
    """The smuggled tool takes what the agent calls beyond its usual."""
    fleet, before, after = _before_and_after(
        next(r for r in ROWS if r.infection is Infection.PROMPT_INJECTION), 2
    )
    (smuggled,) = after.tools - before.tools
    assert fleet.names.facts.text(smuggled) in fleet.state.tool_names(PATIENT)


def test_an_outage_strikes_one_provider() -> None:
    """All agents of the provider are slow and fail with its error; no other agent is touched."""
    fleet = SimulatedFleet(15, seed=1, noise="calm")
    before = fleet.step(fleet.start_at + 100)
    given = ChaosInjector(fleet, 1).inject(fleet.agent_ids[0], "provider_outage")
    after = fleet.step(fleet.now + 100)
    provider = fleet.law.codes[0, 3]
    assert len(given.members) == int((fleet.law.codes[:, 3] == provider).sum()) == 5
    for agent, code in zip(fleet.agent_ids, fleet.codes, strict=True):
        ratio = (
            after.values[after.agent == code, 0].mean()
            / before.values[before.agent == code, 0].mean()
        )
        assert ratio > 2.8 if agent in given.members else ratio == pytest.approx(1.0, abs=0.1)
    overloaded = fleet.names.facts.code("provider_error")
    assert set(after.provider[after.error_type == overloaded].tolist()) == {int(provider)}


def test_a_release_strikes_one_type_for_good() -> None:
    """All agents of a type have the new prompt hash and ×1.5 tokens, and clones too."""
    fleet = SimulatedFleet(15, seed=1)
    given = ChaosInjector(fleet, 1).inject("coder-1", "release")
    assert given.members == tuple(a for a in fleet.agent_ids if a.startswith("coder"))
    assert len(np.unique(fleet.law.codes[:, 4])) == 3
    factor = np.exp(fleet.law.table[:, 1:3] - fleet.state.mu[:, 1:])
    coders = np.array([a.startswith("coder") for a in fleet.agent_ids])
    assert factor[coders] == pytest.approx(1.5)
    assert factor[~coders] == pytest.approx(1.0)
    fleet.step(fleet.start_at + 7200)
    fleet.state.renew(fleet.place("coder-1"))
    assert np.exp(fleet.law.table[:, 1:3] - fleet.state.mu[:, 1:])[coders] == pytest.approx(1.5)


def test_the_world_mends_by_itself() -> None:
    """Sick tools and endpoints mend in ten minutes or so, outages and busy hours sooner or later,
    a derangement of the agent itself never."""
    fleet = SimulatedFleet(400, seed=1, interval_s=1e6)
    chaos = ChaosInjector(fleet, 1)
    strains = [
        ("latency_spike", "slow_tool"),
        ("cost_overrun", "dearer_model"),
        ("silent", "provider_away"),
        ("full_meltdown", "meltdown"),
    ]
    for i, agent_id in enumerate(fleet.agent_ids):
        chaos.inject(agent_id, *strains[i % 4])
    assert fleet.law.own.all()

    def sick(after_s: float) -> list[float]:
        fleet.step(fleet.start_at + after_s)
        return [float(fleet.law.own[k::4].mean()) for k in range(4)]

    tools, models, away, melted = sick(600.0)
    assert tools == pytest.approx(np.exp(-1), abs=0.15)
    assert models == pytest.approx(np.exp(-1), abs=0.15)
    assert away == 0.0
    assert melted == 1.0
    tools, models, away, melted = sick(600.0 + 1800.0)
    assert tools < 0.1
    assert melted == 1.0


def test_busy_hour_is_benign_and_passes() -> None:
    """A busy hour makes nobody sick, and pace and latency go back by themselves."""
    fleet = SimulatedFleet(15, seed=1)
    chaos = ChaosInjector(fleet, 1)
    chaos.inject("support-1", "busy_hour")
    assert not chaos.truth.sick()
    assert set(fleet.law.interval_s.tolist()) == {0.5, 1.0}
    fleet.step(fleet.start_at + 901)
    fleet.step(fleet.start_at + 902)
    assert set(fleet.law.interval_s.tolist()) == {1.0}


def test_unknown_names_are_refused() -> None:
    """An infection or strain that doesn't exist is refused, and nothing happens."""
    fleet = SimulatedFleet(3)
    chaos = ChaosInjector(fleet)
    with pytest.raises(InvalidInput, match="infection"):
        chaos.inject(fleet.agent_ids[0], "flu")
    with pytest.raises(InvalidInput, match="strain"):
        chaos.inject(fleet.agent_ids[0], "tool_loop", "slow_tool")
    assert not chaos.truth.injections
    assert not chaos.truth.sick()
