"""A close look at an agent is repeated only where something changed since the last one."""

from __future__ import annotations

from tests.detection_rules.herd import Herd

from immune.columns import KIND_CODE
from immune.detection.change import Recent
from immune.detection.params import DetectionParams
from immune.detection.scan import Scan
from immune.vitals import Kind


def slow_herd() -> Herd:
    herd = Herd(6, seed=3)
    herd.run(80)
    herd.infect(0, "spike")
    herd.run(6)
    return herd


def look(herd: Herd, agent: int = 0) -> Recent | None:
    return herd.sentinel.scan(int(herd.codes[agent]), KIND_CODE[Kind.RUN])


def looked_at_anew(herd: Herd, onset_at: float | None = None) -> Recent | None:
    """What a scan says that was never asked before."""
    row = herd.learner.stream("a0", Kind.RUN)
    assert row is not None
    return Scan(herd.learner, DetectionParams().episodes).recent(row, onset_at)


def test_the_same_is_said_as_long_as_the_agent_makes_no_step() -> None:
    """Others step and the agent does not: the answer is the very one that was given."""
    herd = slow_herd()
    before = look(herd)
    herd.away[0] = True
    herd.tick()
    assert before is not None
    assert look(herd) is before


def test_each_step_is_seen() -> None:
    """After every step the answer is what a fresh look says."""
    herd = slow_herd()
    for _ in range(10):
        herd.tick()
        seen = look(herd)
        assert seen is not None
        assert seen == looked_at_anew(herd, seen.onset_at)


def test_a_baseline_that_begins_anew_is_seen() -> None:
    """What was five times slower than normal is normal now, without a step in between."""
    herd = slow_herd()
    herd.sentinel.forget("a0")
    before = look(herd)
    herd.learner.freeze("a0", herd.now - 6)
    herd.learner.thaw("a0", "restart")
    after = look(herd)
    assert after != before
    assert after == looked_at_anew(herd)


def test_an_agent_that_is_gone_has_no_look() -> None:
    """Retired, it is unknown; what was said of it is not said again."""
    herd = slow_herd()
    assert look(herd) is not None
    herd.sentinel.retire("a0")
    assert look(herd) is None
