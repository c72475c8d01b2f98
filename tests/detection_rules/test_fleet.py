"""Many agents' same change is one finding, early; sick agents of different kinds stay single."""

from __future__ import annotations

import numpy as np
import pytest
from tests.detection_rules.herd import INFECTIONS, INPUT, LATENCY, OUTPUT, Herd

from immune.detection.alike import Group, best_group
from immune.detection.findings import Facts, Finding, Source, Tier
from immune.detection.fleet import FleetFinding
from immune.detection.rule_params import FleetParams
from immune.vitals import Kind

CALM_TICKS = 100


def calm(seed: int, n: int = 15, providers: int = 3, types: int = 3) -> Herd:
    """A fleet whose baselines are ready, and of which nothing was told."""
    herd = Herd(n, seed=seed, providers=providers, types=types)
    assert herd.run(CALM_TICKS) == ([], [])
    return herd


def explained(herd: Herd, single: Finding) -> bool:
    return herd.watch.explains(single)


@pytest.mark.parametrize("seed", range(4))
def test_an_outage_is_found_before_its_first_quarantine(seed: int) -> None:
    """Latency and errors rise on all agents of one provider: one finding, and no single case."""
    herd = calm(seed)
    herd.outage(herd.members(0))
    found: list[FleetFinding] = []
    for _ in range(40):
        quarantines, news = herd.tick()
        found += news
        assert all(explained(herd, single) for single in quarantines)
    (outage,) = found
    assert (outage.kind, outage.dimension, outage.name) == ("outage", "provider", "provider0")
    assert "latency_ms" in outage.metrics
    assert outage.at - CALM_TICKS - 1e6 <= 7
    assert set(herd.watch.members_of(outage)) == herd.ids(herd.members(0))
    assert outage.share >= 0.8
    assert "of provider provider0" in outage.text


@pytest.mark.parametrize("seed", range(10, 18))
def test_five_different_infections_at_once_are_no_fleet_incident(seed: int) -> None:
    """That several of five sick agents are slow does not make their sicknesses one."""
    herd = calm(seed)
    sick = herd.rng.choice(15, 5, replace=False).tolist()
    for agent, infection in zip(sick, herd.rng.permutation(INFECTIONS), strict=False):
        herd.infect(agent, infection)
    quarantines, found = herd.run(40)
    assert found == []
    assert {single.agent_id for single in quarantines} <= herd.ids(sick)
    assert quarantines


@pytest.mark.parametrize("seed", range(20, 23))
def test_where_all_share_one_provider_a_third_must_be_sick_alike(seed: int) -> None:
    """A group of all fifteen is the easiest to mistake: five with different changes are none."""
    herd = calm(seed, providers=1, types=1)
    for agent, infection in zip((0, 4, 5, 9, 14), ("spike", *INFECTIONS[3:]), strict=True):
        herd.infect(agent, infection)
    assert herd.run(40)[1] == []


@pytest.mark.parametrize("seed", range(30, 33))
@pytest.mark.parametrize("infection", ["tokens", "loop", "drift"])
def test_the_sick_within_an_outage_are_not_explained_by_it(seed: int, infection: str) -> None:
    """Of thirty agents eighteen have the outage; three of them are sick besides, and are told."""
    herd = Herd(30, seed=seed, providers=5)
    herd.run(CALM_TICKS)
    hit = [i for i in range(30) if herd.provider[i] in (0, 1, 2)]
    sick = hit[1::6]
    herd.outage(hit)
    for agent in sick:
        slow = herd.worse[agent, LATENCY]
        herd.infect(agent, infection)
        herd.worse[agent, LATENCY] = slow
    quarantines, found = herd.run(30)
    assert found
    assert {finding.kind for finding in found} == {"outage"}
    single = {q.agent_id for q in quarantines if not explained(herd, q)}
    assert herd.ids(sick) <= single
    assert len(single - herd.ids(sick)) <= 1


def regrouped(n: int, dimension: str, seed: int) -> tuple[Herd, list[int]]:
    """A calm fleet in which six in ten have one provider, model, tool or type in common, and next
    to nothing else; and those agents."""
    herd = Herd(n, seed=seed, providers=4, types=4)
    chosen = herd.rng.permutation(n) < 0.6 * n
    wide = np.where(chosen, 0, 1)
    code = herd.names.facts.code
    herd.model = np.array([code(f"model{i}") for i in herd.rng.integers(4, size=n)], np.int32)
    herd.tools[:] = np.tile([code("search"), code("read")], n)
    if dimension == "provider":
        herd.provider = wide
    elif dimension == "model":
        herd.model = np.array([code(f"model{i}") for i in wide], np.int32)
    elif dimension == "tool":
        herd.tools[::2][chosen] = code("tool0")
    else:
        herd.type = wide
    assert herd.run(CALM_TICKS)[1] == []
    return herd, np.flatnonzero(chosen).tolist()


@pytest.mark.parametrize("dimension", ["provider", "model", "tool", "agent_type"])
@pytest.mark.parametrize("n", [100, 2000])
def test_what_they_have_in_common_is_named_and_the_sick_among_them_are_not_excused(
    n: int, dimension: str
) -> None:
    """An outage of six agents in ten is one finding about what only they share; one in ten of them
    burns tokens besides, and each of these is told as sick by itself."""
    herd, hit = regrouped(n, dimension, seed=60)
    sick = hit[::10]
    herd.outage(hit)
    for agent in sick:
        herd.worse[agent, [INPUT, OUTPUT]] = herd.rng.uniform(4, 8)
    single: set[str] = set()
    found: list[FleetFinding] = []
    for _ in range(24):
        quarantines, news = herd.tick()
        found += news
        single |= {q.agent_id for q in quarantines if not explained(herd, q)}
    (outage,) = found
    name = {"agent_type": "type0"}.get(dimension, f"{dimension}0")
    assert (outage.kind, outage.dimension, outage.name) == ("outage", dimension, name)
    assert outage.at - CALM_TICKS - 1e6 <= 7
    well = herd.ids(range(n)) - herd.ids(hit)
    assert not well & set(herd.watch.members_of(outage))
    assert len(herd.ids(hit) - set(herd.watch.members_of(outage))) <= 0.02 * n
    assert len(herd.ids(sick) & single) >= 0.95 * len(sick)
    assert len(single - herd.ids(sick)) <= 0.02 * n


def test_a_much_larger_change_is_not_explained() -> None:
    """An agent that is thirty times slower in an outage of six times is sick itself."""
    herd = calm(40)
    members = herd.members(0)
    herd.outage(members)
    herd.worse[members, LATENCY] = 5
    herd.worse[members[0], LATENCY] = 30
    quarantines, _ = herd.run(30)
    single = {q.agent_id for q in quarantines if not explained(herd, q)}
    assert single == herd.ids(members[:1])


def test_an_agent_outside_of_the_group_is_not_explained() -> None:
    """The outage of one provider says nothing of the agents of another."""
    herd = calm(41)
    herd.outage(herd.members(0))
    other = herd.members(1)[0]
    herd.infect(other, "spike")
    quarantines, _ = herd.run(40)
    mine = [q for q in quarantines if q.agent_id == f"a{other}"]
    assert mine
    assert not any(explained(herd, q) for q in mine)


def test_hard_limits_and_loops_are_never_explained() -> None:
    """An outage excuses neither a passed ceiling nor a repeated call."""
    herd = calm(42)
    herd.outage(herd.members(0))
    quarantines, _ = herd.run(20)
    single = quarantines[0]
    assert explained(herd, single)
    for source in (Source.HARD_LIMIT, Source.REPETITION):
        other = Finding(
            single.agent_id,
            single.kind,
            single.tier,
            source,
            single.at,
            single.onset_at,
            0.0,
            0.0,
            8.0,
            single.effects,
        )
        assert not explained(herd, other)


def test_an_open_finding_is_not_found_again_and_subsides_once() -> None:
    """The outage is told once, subsides two minutes after its end, and may then come back."""
    herd = calm(43)
    herd.outage(herd.members(0))
    (outage,) = herd.run(10)[1]
    for member in outage.members:
        herd.learner.freeze(member, outage.onset_at)
    assert herd.run(50)[1] == []
    assert herd.watch.subsided(herd.now) == []
    herd.recover(herd.members(0))
    over: list[tuple[float, FleetFinding]] = []
    ended_at = herd.now
    for _ in range(220):
        assert herd.tick()[1] == []
        over += [(herd.now, finding) for finding in herd.watch.subsided(herd.now)]
    ((at, finding),) = over
    assert finding == outage
    assert 120 <= at - ended_at < 200
    herd.watch.close(outage)
    for member in outage.members:
        herd.learner.thaw(member, "discard")
    assert herd.watch.open_findings() == []
    herd.outage(herd.members(0))
    assert [f.subject for f in herd.run(30)[1]] == [outage.subject]


def test_the_members_beside_those_held_already_are_named() -> None:
    """Who is to be held still is told by what is left when those held already are taken away."""
    herd = calm(3)
    herd.outage(herd.members(0))
    _, (outage,) = herd.run(15)
    members = herd.members(0)
    assert set(herd.watch.members_beside(outage, herd.codes[members[:2]])) == herd.ids(members[2:])
    assert herd.watch.members_beside(outage, herd.codes) == ()
    herd.watch.close(outage)
    assert set(herd.watch.members_beside(outage, herd.codes[:0])) == set(outage.members)


def test_a_change_of_all_agents_has_the_fleet_as_its_subject() -> None:
    """When every agent of every provider becomes slow, no provider is to blame."""
    herd = calm(44)
    herd.worse[:, LATENCY] = 4
    found = herd.run(15)[1]
    assert [(f.dimension, f.name) for f in found] == [("fleet", "all agents")]
    assert len(found[0].members) == 15


@pytest.mark.parametrize("fact", ["prompt_hash", "model"])
def test_a_release_is_one_finding_at_once(fact: str) -> None:
    """A new prompt (or model) on all agents of a type is told before any metric moves."""
    herd = calm(45)
    of_type = np.flatnonzero(herd.type == 1)
    new = herd.names.facts.code("new")
    (herd.prompt if fact == "prompt_hash" else herd.model)[of_type] = new
    herd.worse[of_type, INPUT] = herd.worse[of_type, OUTPUT] = 1.8
    found: list[FleetFinding] = []
    for _ in range(60):
        quarantines, news = herd.tick()
        found += news
        assert all(explained(herd, single) for single in quarantines)
    (release,) = found
    assert (release.kind, release.dimension, release.name) == ("release", "agent_type", "type1")
    assert (release.fact, release.value) == (fact, "new")
    assert set(release.members) == herd.ids(of_type.tolist())
    assert release.at == release.onset_at == 1e6 + CALM_TICKS + 1


def test_who_is_sick_after_a_release_is_not_explained_by_it() -> None:
    """A release that changes nothing does not excuse the member that becomes sick after it."""
    herd = calm(46)
    of_type = np.flatnonzero(herd.type == 1)
    herd.prompt[of_type] = herd.names.facts.code("new")
    assert len(herd.run(50)[1]) == 1
    sick = int(of_type[2])
    herd.infect(sick, "meltdown")
    quarantines, _ = herd.run(30)
    assert quarantines
    assert not any(explained(herd, q) for q in quarantines)


def test_five_drifted_prompts_of_different_kinds_are_no_release() -> None:
    """Agents that got a wrong prompt each on their own are single cases."""
    herd = calm(47)
    for agent in np.flatnonzero(herd.type == 1).tolist():
        herd.prompt[agent] = herd.names.facts.code(f"drifted{agent}")
    assert [f.kind for f in herd.run(20)[1]] == []


def test_a_release_on_four_agents_is_none() -> None:
    """Fewer than five are single cases."""
    herd = calm(48)
    herd.prompt[np.flatnonzero(herd.type == 1)[:4]] = herd.names.facts.code("new")
    assert herd.run(20)[1] == []


def test_many_silent_at_once_are_one_gap_and_not_many_cases() -> None:
    """When a provider's agents fall silent together, one telemetry gap is told, and explains."""
    herd = calm(49)
    members = herd.members(1)
    herd.away[members] = True
    (gap,) = herd.run(40)[1]
    assert (gap.kind, gap.dimension, gap.name) == ("telemetry_gap", "provider", "provider1")
    assert set(gap.members) == herd.ids(members)
    silence = Finding(
        f"a{members[0]}",
        Kind.RUN,
        Tier.SUSPICION,
        Source.SILENCE,
        herd.now,
        herd.now - 30,
        0.0,
        0.0,
        0.0,
        facts=Facts(silent_s=30.0),
        can_fence=False,
    )
    assert herd.watch.explains(silence)
    herd.away[:] = False
    herd.run(130)
    assert herd.watch.subsided(herd.now) == [gap]


def test_our_own_blindness_is_a_gap_of_all() -> None:
    """When nobody reports, the subject is all agents."""
    herd = calm(50)
    herd.away[:] = True
    found = herd.run(40)[1]
    assert [(f.kind, f.name, len(f.members)) for f in found] == [
        ("telemetry_gap", "all agents", 15)
    ]


def test_a_few_silent_agents_are_no_gap() -> None:
    """Four silent agents are four single cases."""
    herd = calm(51)
    herd.away[herd.members(1)[:4]] = True
    assert herd.run(40)[1] == []


class TestBestGroup:
    """Which of the groups that overlap is the subject."""

    KNOWN = np.ones(40, np.bool_)
    PARAMS = FleetParams()

    def best(self, changed: list[int], **groups: list[int]) -> str | None:
        marked = np.zeros(40, np.bool_)
        marked[changed] = True
        choice = best_group(
            [Group("model", name, np.array(agents)) for name, agents in groups.items()],
            marked,
            self.KNOWN,
            self.PARAMS,
        )
        return choice and choice[0].name

    def test_the_narrower_group_that_holds_all(self) -> None:
        """One model of a provider is out: the model is the subject, not the provider."""
        changed = list(range(8))
        assert self.best(changed, wide=list(range(16)), narrow=list(range(8))) == "narrow"

    def test_the_wider_group_if_it_is_all_sick(self) -> None:
        """All models of a provider are out: the provider is the subject."""
        changed = list(range(16))
        assert self.best(changed, narrow=list(range(8)), wide=list(range(16))) == "wide"

    def test_healthy_members_count_against_a_group(self) -> None:
        """A group that happens to hold half of the changed agents is not the subject."""
        changed = list(range(10))
        mixed = [*range(5), *range(20, 30)]
        assert self.best(changed, mixed=mixed, right=list(range(11))) == "right"

    def test_no_group_if_it_is_no_worse_than_the_rest(self) -> None:
        """Where a third of everybody is changed, a group with a third of its own is not it."""
        changed = list(range(0, 40, 3))
        assert self.best(changed, some=list(range(18))) is None
