"""Whose the traces were that are over: for spans that come when all the others have gone out.

Such a span seldom names its agent itself, and what named it is in no memory any more. Kept of a
trace are its agent or, where several were at work, those of its runs; for a while, and of no more
than so many traces.
"""

from __future__ import annotations

from immune.intake.otlp.identity import Agent


class Whose:
    """Who was at work in a trace."""

    __slots__ = ("agent", "runs")

    def __init__(self, agent: Agent | None, runs: dict[str, Agent] | None = None) -> None:
        self.agent = agent
        """None where there were several."""
        self.runs = runs
        """By the span of each run; None where one agent is all there was."""

    def of(self, parent_id: str | None) -> Agent | None:
        """Return the agent of a step below `parent_id`; None where that is not known."""
        return self.agent or (self.runs or {}).get(parent_id or "")


class Past:
    """The traces that were over of late: each for `keep_s` seconds at least, and twice that at
    most, unless `most` / 2 others were over since."""

    def __init__(self, most: int, keep_s: float) -> None:
        self._half = most // 2
        self._keep_s = keep_s
        self._latest: dict[str, Whose] = {}
        self._since = 0.0
        """When the first of these was over."""
        self._before: dict[str, Whose] = {}

    def note(self, trace_id: str, whose: Whose, now: float) -> None:
        """The trace is over at `now`, epoch seconds."""
        if len(self._latest) >= self._half or now - self._since >= self._keep_s:
            self._before, self._latest, self._since = self._latest, {}, now
        self._latest[trace_id] = whose

    def of(self, trace_id: str) -> Whose | None:
        """Return whose it was; None where that is not known."""
        return self._latest.get(trace_id) or self._before.get(trace_id)
