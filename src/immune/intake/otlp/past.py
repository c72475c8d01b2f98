"""Whose the traces were that are over: for spans that come when all the others have gone out.

Such a span seldom names its agent itself, and what named it is in no memory any more. Kept of a
trace are its agent or, where several were at work, those of its runs; for a while, and of no more
than so many traces.
"""

from __future__ import annotations

from collections import OrderedDict

from immune.intake.otlp.identity import Agent


class Whose:
    """Who was at work in a trace."""

    __slots__ = ("agent", "runs")

    def __init__(self, agent: Agent | None, runs: dict[str, Agent]) -> None:
        self.agent = agent
        """None where there were several."""
        self.runs = runs
        """By the span of each run."""

    def of(self, parent_id: str | None) -> Agent | None:
        """Return the agent of a step below `parent_id`; None where that is not known."""
        return self.agent or self.runs.get(parent_id or "")


class Past:
    """The latest `most` traces that were over, each for `keep_s` seconds."""

    def __init__(self, most: int, keep_s: float) -> None:
        self._most = most
        self._keep_s = keep_s
        self._whose: OrderedDict[str, tuple[float, Whose]] = OrderedDict()

    def note(self, trace_id: str, whose: Whose, now: float) -> None:
        """The trace is over at `now`, epoch seconds."""
        kept = self._whose
        kept[trace_id] = (now, whose)
        kept.move_to_end(trace_id)
        while len(kept) > self._most or next(iter(kept.values()))[0] < now - self._keep_s:
            kept.popitem(last=False)

    def of(self, trace_id: str) -> Whose | None:
        """Return whose it was; None where that is not known."""
        found = self._whose.get(trace_id)
        return None if found is None else found[1]
