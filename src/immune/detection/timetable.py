"""Declared pauses: the hours in which nobody need step, as their owner writes them down.

A pause is `[days ]HH:MM-HH:MM` in UTC: `22:00-06:00` every night, `sat-sun 00:00-24:00`,
`mon,wed 12:00-13:00`. One that ends before it begins ends on the next day.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

from immune.errors import InvalidInput

DAY_S = 86_400.0
WEEK_S = 7 * DAY_S
_DAYS = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")
_MONDAY_S = 4 * DAY_S
"""The first Monday after the epoch, which was a Thursday."""
_PAUSE = re.compile(r"(?:([a-z,-]+) )?(\d\d):(\d\d)-(\d\d):(\d\d)")


class Timetable:
    """All declared pauses.

    >>> nights = Timetable(["22:00-06:00"])
    >>> monday_s = 4 * 86_400.0
    >>> nights.resumed_at(monday_s + 23 * 3600) # 23:00
    inf
    >>> (nights.resumed_at(monday_s + 7 * 3600) - monday_s) / 3600 # 7:00
    6.0
    """

    def __init__(self, pauses: Sequence[str]) -> None:
        """Raises InvalidInput where a pause can't be read."""
        self._spans = [span for pause in pauses for span in _spans(pause)]

    def resumed_at(self, now: float) -> float:
        """Return when the last pause before `now` ended, epoch seconds: -inf where there is none,
        inf during one."""
        latest = -float("inf")
        for start_s, length_s in self._spans:
            into_s = (now - _MONDAY_S - start_s) % WEEK_S
            if into_s < length_s:
                # a pause may follow right after: during any is during one
                return float("inf")
            latest = max(latest, now - into_s + length_s)
        return latest


def _spans(pause: str) -> list[tuple[float, float]]:
    """Return start, in seconds since Monday 0:00, and length of each day's pause."""
    match = _PAUSE.fullmatch(pause.strip().lower())
    if match is None:
        raise InvalidInput("silence.pauses", f"{pause!r} is not like 'sat-sun 00:00-24:00'")
    days, *times = match.groups()
    hour, minute, to_hour, to_minute = map(int, times)
    start_s, end_s = hour * 3600.0 + minute * 60, to_hour * 3600.0 + to_minute * 60
    if max(start_s, end_s) > DAY_S or max(minute, to_minute) > 59 or start_s == end_s:
        raise InvalidInput("silence.pauses", f"{pause!r} has no such time of day, or no length")
    length_s = (end_s - start_s) % DAY_S or DAY_S
    return [(day * DAY_S + start_s, length_s) for day in _days(days, pause)]


def _days(days: str | None, pause: str) -> list[int]:
    if days is None:
        return list(range(len(_DAYS)))
    chosen: list[int] = []
    for part in days.split(","):
        first, _, last = part.partition("-")
        if first not in _DAYS or (last or first) not in _DAYS:
            raise InvalidInput("silence.pauses", f"{pause!r} names a day that is none of {_DAYS}")
        start = _DAYS.index(first)
        chosen += [(start + i) % 7 for i in range((_DAYS.index(last or first) - start) % 7 + 1)]
    return chosen
