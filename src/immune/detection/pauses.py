"""Learned pauses: an agent that stopped at about this time before, and came back, is not silent.

A pause of less than 20 hours is expected at the same time of day, a longer one at the same time of
the week: a weekend excuses no Tuesday. A pause that did not come again is forgotten after eight
days, a weekly one after fifteen. An agent has few, so each keeps a short list.
"""

from __future__ import annotations

import msgspec

from immune.detection.timetable import DAY_S, WEEK_S

KEPT = 8
"""Pauses remembered per agent; of more the one that is longest past goes."""
_DAILY_BELOW_S = 20 * 3600.0
_FORGET_DAYS = {DAY_S: 8.0, WEEK_S: 15.0}


class Pause(msgspec.Struct, array_like=True):
    """One pause as it was last seen."""

    start_at: float
    """End of the last step before it, epoch seconds."""
    length_s: float

    @property
    def period_s(self) -> float:
        """After which it is expected again."""
        return DAY_S if self.length_s < _DAILY_BELOW_S else WEEK_S

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
            if since - pause.start_at <= _FORGET_DAYS[pause.period_s] * DAY_S
            and (into_s := pause.into_s(since, self._slack_s)) <= pause.length_s
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
