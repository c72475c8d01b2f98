"""Learned pauses: an agent that stopped at about this time before, and came back, is not silent.

A pause of less than 20 hours is expected at the same time of day, a longer one at the same time of
the week: a weekend excuses no Tuesday. A pause that did not come again is forgotten after eight
days, a weekly one after fifteen. An agent has few, so each keeps a short list.

A pause that comes many times a day, whatever the hour, is an interval of its own: after the fourth
of about one length, each within six hours of the one before, the agent may stay away half as long
again at any time. Its death is told that much later.
"""

from __future__ import annotations

import msgspec

from immune.detection.timetable import DAY_S, WEEK_S

KEPT = 8
"""Pauses remembered per agent; of more the one that is longest past goes."""
_DAILY_BELOW_S = 20 * 3600.0
_OFTEN = 4
"""Pauses alike, one soon after the other, from which on the next is expected at any time."""
_SOON_S = 6 * 3600.0
_ALIKE = 1.5
"""Times by which the lengths of two pauses alike may differ, and the next be longer."""
_FORGET_DAYS = {DAY_S: 8.0, WEEK_S: 15.0}


class Pause(msgspec.Struct, array_like=True):
    """One pause as it was last seen."""

    start_at: float
    """End of the last step before it, epoch seconds."""
    length_s: float
    times: int = 1
    """Pauses like it in a row, one soon after the other, up to `_OFTEN`."""

    def is_like(self, other: Pause) -> bool:
        """Whether it is about as long."""
        return 1 / _ALIKE <= self.length_s / other.length_s <= _ALIKE

    @property
    def period_s(self) -> float:
        """After which it is expected again."""
        return DAY_S if self.length_s < _DAILY_BELOW_S else WEEK_S

    def is_remembered(self, at: float) -> bool:
        """Whether it was so lately that it may come again."""
        return at - self.start_at <= _FORGET_DAYS[self.period_s] * DAY_S

    def into_s(self, at: float, slack_s: float) -> float:
        """Return how far `at` lies in the pause if it comes at its time, from `slack_s` before its
        start on."""
        return (at - self.start_at + slack_s) % self.period_s - slack_s


class Pauses:
    """The pauses of all agents.

    >>> pauses, hour = Pauses(slack_s=3600), 3600.0
    >>> pauses.note(1, 22 * hour, 30 * hour)
    >>> (pauses.expected_until(1, (24 + 22.5) * hour) or 0) / hour # half past ten, next evening
    55.0
    >>> pauses.expected_until(1, (24 + 14) * hour) is None
    True
    """

    def __init__(self, slack_s: float) -> None:
        self._slack_s = slack_s
        self._by_agent: dict[int, list[Pause]] = {}

    def note(self, agent: int, start_at: float, end_at: float) -> None:
        """An agent stepped no more at `start_at` and again at `end_at`, epoch seconds."""
        pause = Pause(start_at, end_at - start_at)
        known = self._by_agent.setdefault(agent, [])
        for old in known:
            soon = start_at - old.start_at <= _SOON_S
            often = old.times == _OFTEN and old.is_remembered(start_at)
            if old.is_like(pause) and (soon or often):
                pause.times = max(pause.times, min(old.times + 1, _OFTEN))
        for old in known:
            near = abs(old.into_s(start_at, self._slack_s)) <= self._slack_s
            if near and old.period_s == pause.period_s:
                known.remove(old)
                break
        known.append(pause)
        del known[:-KEPT]

    def expected_until(self, agent: int, since: float) -> float | None:
        """Return until when the agent that stepped last at `since` need not step; None where
        nothing of the kind was seen."""
        until = [
            since - into_s + pause.length_s + self._slack_s
            for pause in self._by_agent.get(agent, ())
            if pause.is_remembered(since)
            and (into_s := pause.into_s(since, self._slack_s)) <= pause.length_s
        ]
        until += [
            since + _ALIKE * pause.length_s
            for pause in self._by_agent.get(agent, ())
            if pause.times >= _OFTEN and pause.is_remembered(since)
        ]
        return max(until, default=None)

    def forget(self, agent: int) -> None:
        """Drop an agent's pauses."""
        self._by_agent.pop(agent, None)

    def save(self, agent: int) -> tuple[Pause, ...]:
        """Return an agent's pauses, oldest first."""
        return tuple(self._by_agent.get(agent, ()))

    def load(self, agent: int, pauses: tuple[Pause, ...]) -> None:
        """Take up what `save` returned."""
        if pauses:
            self._by_agent[agent] = list(pauses)
