"""The clock: UTC that never jumps, whoever sets the wall."""

from __future__ import annotations

import pytest

from immune.clock import FOLLOWED, SystemClock


class Machine:
    """A wall clock that can be set, and the time that passes."""

    def __init__(self) -> None:
        self.wall, self.passed = 1_700_000_000.0, 50.0
        self.clock = SystemClock(lambda: self.wall, lambda: self.passed)

    def wait(self, seconds: float) -> float:
        """Let time pass, reading the clock each second; return how far it came."""
        began = self.clock.time()
        for _ in range(int(seconds)):
            self.wall += 1.0
            self.passed += 1.0
            self.clock.time()
        return self.clock.time() - began


@pytest.mark.parametrize("set_by_s", [3600.0, -3600.0, 86_400.0])
def test_a_wall_clock_that_is_set_moves_no_deadline(set_by_s: float) -> None:
    """Put ahead or back: a quarter of an hour is one still, to a few per cent."""
    machine = Machine()
    before = machine.clock.time()
    machine.wall += set_by_s
    assert machine.clock.time() == before
    assert machine.wait(900) == pytest.approx(900, rel=FOLLOWED + 1e-6)


def test_the_wall_is_followed_in_the_end() -> None:
    """An hour put right is made up within a day, and then it is UTC again."""
    machine = Machine()
    machine.wall += 3600.0
    machine.wait(86_400)
    assert machine.clock.time() == pytest.approx(machine.wall)


def test_what_passes_while_suspended_has_passed() -> None:
    """Both clocks of the machine say so: the time is UTC at once."""
    machine = Machine()
    machine.wall += 3600.0
    machine.passed += 3600.0
    assert machine.clock.time() == pytest.approx(machine.wall)


def test_time_never_goes_back() -> None:
    """Whatever the two clocks do."""
    machine = Machine()
    before = machine.clock.time()
    machine.wall -= 1e6
    machine.passed -= 10.0
    assert machine.clock.time() >= before
    assert machine.wait(10) > 0
