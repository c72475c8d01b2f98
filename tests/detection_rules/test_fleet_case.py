"""What several open fleet findings explain of one agent's finding, and what is its own."""

from __future__ import annotations

import math

import msgspec
import numpy as np
import pytest

from immune.detection.agent_set import AgentSet
from immune.detection.change import PARTS, Typical
from immune.detection.findings import Facts, Finding, MetricEffect, Source, Tier
from immune.detection.fleet_case import Case, FleetFinding, FleetKind, explained, own_part
from immune.detection.rule_params import FleetParams
from immune.detection.severity import severity
from immune.vitals import Kind

PARAMS, HARM = FleetParams(), 1.25
NORMAL = {"latency_ms": 800.0, "output_tokens": 300.0, "cost_usd": 0.01, "interval_s": 1.0}


def case(kind: FleetKind, at: float = 100.0, **times: float) -> Case:
    """An open finding whose typical member is so many times worse, by part."""
    finding = FleetFinding(
        kind=kind,
        dimension="agent_type" if kind == "release" else "provider",
        name="x",
        members=("a",),
        metrics=(),
        at=at,
        onset_at=at,
        share=1.0,
        text="",
    )
    affected = np.array([part in times for part in PARTS])
    size = np.array([math.log(times.get(part, 1.0)) for part in PARTS])
    return Case(finding, AgentSet([1]), AgentSet([1]), Typical(affected, size), at)


def single(onset_at: float = 105.0, told: bool = False, **times: float) -> Finding:
    """An agent's finding: so many times worse, by metric."""
    effects = tuple(
        MetricEffect(
            metric=metric,
            ratio=times.get(metric, 1.0),
            normal=normal,
            now=normal * times.get(metric, 1.0),
            evidence=30.0 if metric in times else 0.0,
            affected=metric in times,
        )
        for metric, normal in NORMAL.items()
    )
    return Finding(
        agent_id="a",
        kind=Kind.RUN,
        tier=Tier.QUARANTINE,
        source=Source.EVIDENCE,
        at=onset_at + 20.0,
        onset_at=onset_at,
        evidence=20.0,
        threshold=18.0,
        severity=severity(effects),
        effects=effects,
        facts=Facts(prompt_hash_changed=told),
    )


def affected(finding: Finding) -> set[str]:
    return {effect.metric for effect in finding.affected}


OUTAGE, RELEASE = case("outage", time=5.0), case("release", spend=2.0)


def test_an_agent_of_both_suffers_both() -> None:
    """Slow and dear: neither finding alone explains it, the two together do."""
    both = single(latency_ms=5.0, output_tokens=2.0)
    assert not explained([OUTAGE], both, PARAMS)
    assert not explained([RELEASE], both, PARAMS)
    assert explained([OUTAGE, RELEASE], both, PARAMS)


def test_what_is_worse_than_both_is_the_agents_own() -> None:
    """Eight times the tokens: no release explains that."""
    assert not explained([OUTAGE, RELEASE], single(latency_ms=5.0, output_tokens=8.0), PARAMS)


@pytest.mark.parametrize(("nats", "excused"), [(6.0, True), (9.0, False)])
def test_what_chance_does_beside_an_outage_opens_no_case(nats: float, excused: bool) -> None:
    """In many agents some metric is high for a few steps; a sickness grows."""
    both = single(latency_ms=5.0, output_tokens=2.0)
    effects = tuple(msgspec.structs.replace(effect, evidence=nats) for effect in both.effects)
    assert explained([OUTAGE], msgspec.structs.replace(both, effects=effects), PARAMS) is excused


def test_nothing_open_explains_nothing() -> None:
    """No fleet finding bears on the agent: its finding stands."""
    alone = single(latency_ms=5.0)
    assert not explained([], alone, PARAMS)
    assert own_part([], alone, PARAMS, HARM) is alone


def test_of_a_sick_agent_in_an_outage_only_its_own_sickness_is_left() -> None:
    """The provider is slow, the agent is dear: it is judged by its cost."""
    assert affected(own_part([OUTAGE], single(latency_ms=5.0, cost_usd=6.0), PARAMS, HARM)) == {
        "cost_usd"
    }


def test_slower_than_the_outage_is_slow_by_itself() -> None:
    """Far worse than the typical member: its latency stays its own."""
    slow = single(latency_ms=20.0, cost_usd=6.0)
    assert affected(own_part([OUTAGE], slow, PARAMS, HARM)) == {"latency_ms", "cost_usd"}


def test_what_is_all_explained_keeps_its_effects_and_fences_nobody() -> None:
    """A finding without any affected metric would say nothing to anybody."""
    left = own_part([OUTAGE], single(latency_ms=5.0), PARAMS, HARM)
    assert affected(left) == {"latency_ms"}
    assert left.tier is Tier.SUSPICION


@pytest.mark.parametrize(("nats", "tier"), [(6.0, Tier.SUSPICION), (30.0, Tier.QUARANTINE)])
def test_what_is_left_must_reach_the_tier_by_itself(nats: float, tier: Tier) -> None:
    """An outage's evidence fences nobody for a metric that only chance has moved."""
    dear = single(latency_ms=5.0, cost_usd=6.0)
    effects = tuple(msgspec.structs.replace(effect, evidence=nats) for effect in dear.effects)
    dear = msgspec.structs.replace(dear, effects=effects, threshold=18.3)
    assert own_part([OUTAGE], dear, PARAMS, HARM).tier is tier


def test_what_is_left_is_as_severe_as_its_own_harm() -> None:
    """The outage's slowness is no reason to ask a person about the agent."""
    both = single(latency_ms=5.0, cost_usd=6.0)
    own = own_part([OUTAGE], both, PARAMS, HARM)
    assert own.severity == severity(own.effects) < both.severity
    tempered = msgspec.structs.replace(both, severity=1.0)
    assert own_part([OUTAGE], tempered, PARAMS, HARM).severity == 1.0


@pytest.mark.parametrize(
    ("facts", "fences"), [(Facts(), False), (Facts(new_tools=("shell",)), True)], ids=["", "tool"]
)
def test_a_small_harm_of_its_own_fences_in_an_outage_no_more_than_in_peace(
    facts: Facts, fences: bool
) -> None:
    """Tokens ×1.65 alone would be told and not fenced; the outage lends them no weight."""
    small = msgspec.structs.replace(single(latency_ms=5.0, cost_usd=1.65), facts=facts)
    own = own_part([OUTAGE], small, PARAMS, HARM)
    assert own.tier is Tier.QUARANTINE
    assert own.can_fence is fences
    assert ("harm beside the fleet's is small" in own.why_not) is not fences


def test_a_loop_inside_an_outage_is_judged_by_its_calls_alone() -> None:
    """The rule spoke, so nothing of the outage need be left."""
    loop = msgspec.structs.replace(single(latency_ms=5.0), source=Source.REPETITION)
    assert not explained([OUTAGE], loop, PARAMS)
    assert affected(own_part([OUTAGE], loop, PARAMS, HARM)) == set()


@pytest.mark.parametrize(
    ("times", "excused"), [(2.0, True), (2.9, True), (4.0, False)], ids=["same", "like", "more"]
)
def test_long_after_a_release_only_its_own_size_is_excused(times: float, excused: bool) -> None:
    """The others cost twice as much since; one that costs four times is sick."""
    late = single(onset_at=3_000.0, output_tokens=times)
    assert explained([RELEASE], late, PARAMS) is excused


def test_at_the_release_an_agent_that_told_no_new_prompt_is_excused_as_well() -> None:
    """It is of the type, and shows what the others show."""
    assert explained([RELEASE], single(output_tokens=2.4), PARAMS)
