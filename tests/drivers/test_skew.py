"""Clocks that are off: told from delays, put right for scoring, never what makes a step fresh."""

from __future__ import annotations

import dataclasses
import random
from collections.abc import Iterable

import msgspec
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.stores.cases import NOW

from immune.clock import ManualClock
from immune.columns import Names, VitalColumns, from_vitals
from immune.probations import started_at
from immune.settings import IntakeSettings
from immune.skew import FORGET_S, HITS_MAX, LATELY_S, MODES, STEADY_S, SavedClocks
from immune.supervisor import Supervisor
from immune.telemetry import TelemetryCollector
from immune.testing import MemoryTelemetry
from immune.vitals import Vital

ORDER_S = IntakeSettings().order_s


@dataclasses.dataclass
class Host:
    """A replica of an agent, and how it reports."""

    behind_s: float
    """Of its clock; negative where it is ahead."""
    every_s: float = 1.0
    """Seconds between two of its exports."""
    step_s: float = 1.0
    """Seconds between two of its steps."""
    transport_s: float = 0.0
    """The longest that an export takes on the way."""
    agent_id: str = "agent-1"
    source: int = 0


class Ward:
    """A collector, and what came out of it."""

    def __init__(self) -> None:
        self.clock, self.names = ManualClock(NOW), Names()
        self.collector = TelemetryCollector(
            MemoryTelemetry(self.names),
            self.names,
            self.clock,
            IntakeSettings(),
            Supervisor(self.clock),
        )
        self.rng = random.Random(1)

    def take(self, *told: tuple[float, float], agent_id: str = "agent-1") -> VitalColumns | None:
        """Score one request with steps of these (at, received_at)."""
        vitals = [Vital(agent_id=agent_id, at=a, received_at=r, latency_ms=0.0) for a, r in told]
        return self.collector.in_order(from_vitals(vitals, self.names))

    def run(self, hosts: Iterable[Host], seconds: float, step_s: float = 0.5) -> list[float]:
        """Let the hosts report for so long; return how far each scored step lies from the truth."""
        off: list[float] = []
        sent = {id(host): self.clock.time() for host in hosts}
        exported = dict(sent)
        until = self.clock.time() + seconds
        while self.clock.time() < until:
            self.clock.advance(step_s)
            now = self.clock.time()
            for host in hosts:
                if now - exported[id(host)] < host.every_s:
                    continue
                exported[id(host)] = now
                ended = []
                while sent[id(host)] + host.step_s <= now:
                    sent[id(host)] += host.step_s
                    ended.append(sent[id(host)])
                came = now + self.rng.uniform(0, host.transport_s)
                columns = self.take(
                    *((at - host.behind_s, came) for at in ended), agent_id=host.agent_id
                )
                if columns is not None:
                    off += (columns.received_at - columns.at).tolist()
        return off


def test_a_replica_whose_clock_is_behind_is_scored_after_a_minute() -> None:
    """By 12 s or by 5 minutes: it is late at first, and then never again."""
    for behind_s in (12.0, 300.0):
        ward = Ward()
        hosts = [Host(0.0), Host(behind_s)]
        ward.run(hosts, STEADY_S + 5)
        late = ward.collector.late
        assert 0 < late <= STEADY_S + 5
        off = ward.run(hosts, 600)
        assert ward.collector.late == late
        assert max(off) <= 1


def test_no_replica_needs_a_clock_that_is_right() -> None:
    """All are put in order by the best one, which stays as it is."""
    ward = Ward()
    hosts = [Host(12.0), Host(300.0)]
    ward.run(hosts, STEADY_S + 5)
    late = ward.collector.late
    off = ward.run(hosts, 600)
    assert ward.collector.late == late
    assert {round(delay) for delay in off} == {12}
    assert [round(clock.behind_s) for clock in ward.collector.clocks()] == [300, 12]


def test_an_agents_only_clock_is_told_and_moves_nothing() -> None:
    """Its steps are in order by themselves."""
    ward = Ward()
    off = ward.run([Host(300.0)], 120)
    assert (ward.collector.late, min(off), max(off)) == (0, 300, 300)
    (clock,) = ward.collector.clocks()
    assert (ward.names.agents.text(clock.code), clock.behind_s) == ("agent-1", 300)


def test_a_clock_ahead_holds_nobody_up() -> None:
    """Its steps end when they come; once it is known, as long before each other as they did."""
    ward = Ward()
    hosts = [Host(0.0), Host(-200.0, every_s=5.0)]
    ward.run(hosts, 2 * STEADY_S)
    assert ward.collector.late == 0
    (clock,) = ward.collector.clocks()
    assert clock.behind_s == -200
    off = ward.run([hosts[1]], 5)
    assert off == [4, 3, 2, 1, 0]
    assert ward.collector.late == 0


def test_a_clock_that_is_far_off_is_told_and_not_put_right() -> None:
    """It may be old steps, sent at the pace at which they came about."""
    ward = Ward()
    hosts = [Host(0.0), Host(3600.0)]
    ward.run(hosts, 300)
    assert ward.collector.late == 300
    assert [clock.behind_s for clock in ward.collector.clocks()] == [3600]


def test_the_backlog_of_an_outage_is_not_scored() -> None:
    """Neither in one piece nor in many, neither at once nor within a few minutes."""
    for piece in (300, 50, 10):
        for pause_s in (0.0, 0.2, 2.0):
            ward = Ward()
            ward.run([Host(0.0)], 60)
            outage = ward.clock.time()
            ward.run([Host(0.0)], 300)  # meanwhile the other replica's exporter waits
            for first in range(0, 300, piece):
                now = ward.clock.time() + pause_s * first / piece
                steps = ((outage + n, now) for n in range(first, first + piece))
                columns = ward.take(*steps)
                assert columns is None or columns.moved_s is None
            assert ward.collector.clocks() == []


def test_an_exporter_that_waits_a_minute_is_late_and_not_behind() -> None:
    """Its delays go down to nothing again and again."""
    ward = Ward()
    off = ward.run([Host(0.0), Host(0.0, every_s=60.0, step_s=1.0)], 1800)
    assert ward.collector.late > 0
    assert max(off) <= ORDER_S
    assert ward.collector.clocks() == []


def test_a_delay_that_falls_anywhere_is_no_clock() -> None:
    """Steps that are sent one by one, each up to a minute late, beside a replica that is not."""
    ward, rng = Ward(), random.Random(7)
    named = 0
    for n in range(3000):
        now = NOW + n
        ward.take((now, now))
        ward.take((now - rng.uniform(0, 60), now))
        ward.clock.advance(1)
        named += len(ward.collector.clocks())
    assert named <= 5


def test_a_clock_that_is_set_right_is_followed() -> None:
    """And one that is set wrong: a minute later it is known."""
    ward = Ward()
    ward.run([Host(0.0), Host(120.0)], 300)
    late = ward.collector.late
    ward.run([Host(0.0), Host(0.0)], LATELY_S + 10)
    assert ward.collector.late == late
    assert ward.collector.clocks() == []
    ward.run([Host(0.0), Host(40.0)], 300)
    assert ward.collector.late - late <= STEADY_S + 5


def test_where_the_best_clock_leaves_the_others_go_on() -> None:
    """Their steps stay where they were moved to, or all would be late for as long."""
    ward = Ward()
    ward.run([Host(0.0), Host(300.0)], 120)
    late = ward.collector.late
    off = ward.run([Host(300.0)], 2 * LATELY_S)
    assert ward.collector.late == late
    assert max(off) <= 1


def test_stragglers_do_not_unmake_a_clock() -> None:
    """One in twenty steps of the healthy host comes up to a minute late."""
    ward, rng = Ward(), random.Random(3)
    scored = 0
    for n in range(900):
        now = NOW + n
        ward.take((now - (rng.uniform(0, 60) if rng.random() < 0.05 else 0), now))
        columns = ward.take((now - 12, now + 0.01))
        scored += columns is not None and n >= 100
    assert scored == 800


def test_what_a_host_says_decides_whether_a_step_is_fresh() -> None:
    """A step that was moved counts from its own time, one of a clock ahead from where it lies."""
    ward = Ward()
    ward.run([Host(0.0), Host(300.0), Host(-100.0)], 120)
    now = ward.clock.time()
    for behind_s, fresh_from in ((300.0, now - 300), (-100.0, now), (0.0, now)):
        columns = ward.take((now - behind_s, now))
        assert columns is not None
        assert columns.at.tolist() == [now]
        assert started_at(columns, np.array([0])).tolist() == [fresh_from]


def test_agents_are_watched_only_while_they_are_off() -> None:
    """Who is retired, or was well for an hour, takes no room; the room is used again."""
    ward = Ward()
    skew = ward.collector._skew
    for n in range(50):
        ward.take((NOW - 60, NOW), agent_id=f"agent-{n}")
    assert skew.watched == 50
    ward.collector.retire(list(range(1, 21)), "deleted")
    assert skew.watched == 30
    rows = len(skew._agent)
    later = NOW + FORGET_S + LATELY_S
    ward.take((later - 60, later), agent_id="agent-49")
    assert (skew.watched, len(skew._agent)) == (1, rows)
    ward.take((later, later), agent_id="agent-48")
    assert skew.watched == 1


def test_clocks_are_known_to_the_next_process() -> None:
    """From its first step on a host that is behind is scored as it was before the restart."""
    ward = Ward()
    ward.run([Host(0.0), Host(300.0)], 120)
    saved = msgspec.json.encode(ward.collector.save_clocks())
    later = Ward()
    later.clock.advance(7200.0)
    later.names.agents.code("agent-1")
    clocks = msgspec.json.decode(saved, type=dict[str, SavedClocks])
    later.collector.load_clocks(clocks | {"nobody": clocks["agent-1"]})
    assert later.collector.save_clocks() == clocks
    off = later.run([Host(0.0), Host(300.0)], 60)
    assert (later.collector.late, max(off)) == (0, 0)


def test_vitals_of_the_past_tell_no_clock() -> None:
    """Nobody knows when those came."""
    ward = Ward()
    for n in range(100):
        ward.take((NOW + n, 0.0), (NOW + n - 200, 0.0))
    assert ward.collector._skew.watched == 0


@settings(max_examples=15, deadline=None)
@given(
    offsets=st.lists(st.floats(-250, 850), min_size=1, max_size=4),
    transport_s=st.floats(0, 4),
    data=st.data(),
)
def test_whatever_the_clocks_everybody_is_scored(
    offsets: list[float], transport_s: float, data: st.DataObject
) -> None:
    """Within two minutes, wherever the clocks stand; no step ends after it came, nor before what
    its host told unless that is ahead."""
    ward = Ward()
    hosts = [
        Host(behind, every_s=data.draw(st.sampled_from([1.0, 2.0])), transport_s=transport_s)
        for behind in offsets
    ]
    ward.run(hosts, 2 * STEADY_S)
    late = ward.collector.late
    off = ward.run(hosts, 120)
    assert ward.collector.late == late
    assert min(off) >= 0
    best = max(0.0, min(offsets))
    assert max(off) <= best + transport_s + 2 * ORDER_S


@settings(max_examples=30, deadline=None)
@given(delays=st.lists(st.floats(-250, 80_000), max_size=60), gap_s=st.floats(0, 30))
def test_no_delays_break_the_books(delays: list[float], gap_s: float) -> None:
    """Whatever comes, there are so many modes of so many hits, each as narrow as it may be."""
    ward = Ward()
    skew = ward.collector._skew
    for n, delay in enumerate(delays):
        now = NOW + n * gap_s
        columns = ward.take((now - delay, now))
        if columns is not None:
            assert (columns.at <= columns.received_at).all()
            assert (columns.at >= np.minimum(now - delay, now) - ORDER_S).all()
    assert skew.watched <= 1
    assert skew._hits.shape[1] == MODES
    assert ((skew._hits >= 0) & (skew._hits <= HITS_MAX)).all()
    used = skew._hits > 0
    assert (skew._high[used] - skew._low[used] <= ORDER_S / 2 + 1e-9).all()


@pytest.mark.parametrize(("sources", "scored"), [((7, 8), 2), ((0, 0), 1)])
def test_hosts_in_one_request_are_told_apart_by_their_source(
    sources: tuple[int, int], scored: int
) -> None:
    """A gateway joins what comes of both; where nobody says whose a step is, it counts as late."""
    ward = Ward()
    for n in range(200):
        now = NOW + n
        ordered = ward.collector.in_order(
            from_vitals(
                [
                    Vital(agent_id="agent-1", at=now - behind, received_at=now, source=source)
                    for behind, source in zip((0.0, 300.0), sources, strict=True)
                ],
                ward.names,
            )
        )
        assert ordered is not None
        assert len(ordered) == (scored if n >= STEADY_S else 1) or n == 0
