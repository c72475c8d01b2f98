"""A sick member of an outage is told, even where its own sickness shows later than the outage."""

from __future__ import annotations

import msgspec
import pytest
from tests.detection_rules.herd import Herd
from tests.detection_rules.test_fleet import CALM_TICKS

from immune.columns import KIND_CODE
from immune.detection.findings import Finding, Source, Tier
from immune.detection.severity import severity
from immune.vitals import Kind


def fenced(herd: Herd, ticks: int) -> dict[str, Finding]:
    """Let the herd step; return the first finding of each agent's own that would fence it."""
    own: dict[str, Finding] = {}
    for _ in range(ticks):
        quarantines, _ = herd.tick()
        for single in [*quarantines, *herd.watch.grown_up()]:
            left = herd.watch.judge(single)
            if left is not None and left.tier is Tier.QUARANTINE and left.can_fence:
                own.setdefault(left.agent_id, left)
    return own


def in_an_outage(seed: int) -> tuple[Herd, list[int]]:
    """Sixty agents, twenty of which have just got an outage; and these."""
    herd = Herd(60, seed=seed)
    herd.run(3 * CALM_TICKS)
    hit = herd.members(0)
    herd.outage(hit)
    return herd, hit


def excused(herd: Herd, agent: int) -> Finding:
    """The quarantine that the outage alone makes of an agent."""
    recent = herd.sentinel.scan(int(herd.codes[agent]), KIND_CODE[Kind.RUN])
    assert recent is not None
    slow = tuple(
        msgspec.structs.replace(effect, affected=effect.metric == "latency_ms")
        for effect in recent.effects
    )
    return Finding(
        agent_id=f"a{agent}",
        kind=Kind.RUN,
        tier=Tier.QUARANTINE,
        source=Source.EVIDENCE,
        at=herd.now,
        onset_at=recent.onset_at,
        evidence=20.0,
        threshold=18.3,
        severity=severity(slow),
        effects=slow,
    )


@pytest.mark.parametrize("seed", range(71, 75))
def test_retries_that_begin_with_an_outage_are_found(seed: int) -> None:
    """At first the agent shows little but the outage; its retries are its own, and nobody else is
    accused."""
    herd, hit = in_an_outage(seed)
    sick = hit[3]
    herd.retries[sick] = 0.75
    own = fenced(herd, 60)
    assert set(own) == {f"a{sick}"}
    assert {effect.metric for effect in own[f"a{sick}"].affected} == {"retries"}


def test_what_has_grown_up_is_told_once_and_as_it_is_now() -> None:
    """Its effects are those since the onset, at the time of the last step."""
    herd, hit = in_an_outage(70)
    herd.retries[hit[3]] = 0.75
    told: list[Finding] = []
    for _ in range(60):
        for single in herd.tick()[0]:
            herd.watch.judge(single)
        told += herd.watch.grown_up()
    (late,) = told
    assert (late.agent_id, late.tier) == (f"a{hit[3]}", Tier.QUARANTINE)
    assert late.at > late.onset_at + 10
    assert herd.watch.judge(late) is not None
    assert herd.watch.grown_up() == []


def test_what_was_kept_ends_with_the_agent() -> None:
    """A retired agent's code is another's later."""
    herd, hit = in_an_outage(70)
    herd.run(8)
    herd.retries[hit[3]] = 0.9
    assert herd.watch.judge(excused(herd, hit[3])) is None
    herd.watch.retire(int(herd.codes[hit[3]]))
    herd.run(40)
    assert herd.watch.grown_up() == []


def test_what_was_kept_ends_with_the_fleet_finding() -> None:
    """Once it is closed it excuses nobody, and whoever falls ill later is told by the Sentinel."""
    herd, hit = in_an_outage(70)
    herd.run(8)
    herd.watch.judge(excused(herd, hit[3]))
    herd.recover(hit)
    for agent in hit:
        herd.sentinel.forget(f"a{agent}")
    for outage in herd.watch.open_findings():
        herd.watch.close(outage)
    herd.run(1)
    herd.outage(hit)
    herd.retries[hit[3]] = 0.9
    herd.run(40)
    assert herd.watch.open_findings()
    assert herd.watch.grown_up() == []


@pytest.mark.parametrize(
    "changes", [{"tier": Tier.SUSPICION}, {"source": Source.DRIFT}], ids=["suspicion", "drift"]
)
def test_what_was_no_quarantine_does_not_become_one(changes: dict[str, Tier | Source]) -> None:
    """The fleet's watch excuses; it raises nothing that the Sentinel has not raised."""
    herd, hit = in_an_outage(70)
    herd.run(8)
    herd.retries[hit[3]] = 0.9
    herd.watch.judge(msgspec.structs.replace(excused(herd, hit[3]), **changes))
    for _ in range(40):
        herd.tick()
    assert herd.watch.grown_up() == []


def test_an_own_harm_that_costs_little_keeps_its_severity() -> None:
    """The Sentinel has tempered it; a later look does not wake a person for it."""
    herd, hit = in_an_outage(70)
    herd.run(8)
    herd.retries[hit[3]] = 0.9
    herd.watch.judge(msgspec.structs.replace(excused(herd, hit[3]), severity=2.0))
    for _ in range(40):
        herd.tick()
    (late,) = herd.watch.grown_up()
    assert late.severity == 2.0
