# cython: annotation_typing=False
"""One trace as it is held: its spans, when they came, and what of them has gone out."""

from __future__ import annotations

from collections import Counter

from immune.intake.otlp.identity import Agent, same
from immune.intake.otlp.past import Whose
from immune.intake.otlp.span import Span
from immune.intake.otlp.tree import Tree

_NOTHING: Counter[str] = Counter()
_NONE: dict[str, int] = {}


class Trace:
    """The spans of one trace, and what has been made of them."""

    __slots__ = (
        *("_agent", "_runs", "_several", "before", "came", "due", "emitted", "later", "leftover"),
        *("rooted", "spans", "touched", "trace_id"),
    )

    def __init__(self, trace_id: str, now: float, before: Whose | None = None) -> None:
        self.trace_id = trace_id
        self.before = before
        """Whose it was when it was over already; None where it begins."""
        self._agent: Agent | None = None
        self._several = False
        self._runs: dict[str, Agent] | None = None
        self.spans: dict[str, Span] = {}
        self.came = self.touched = now
        """When the first of its spans came, and when the last."""
        self.later: dict[str, float] | None = None
        """When each span came that did not come with the first."""
        self.emitted: dict[str, int] = _NONE
        """The spans of the steps that went out, with how many tool calls each step had. Shared
        with who was told so: it is replaced, and never changed."""
        self.rooted = False
        """Its root came."""
        self.due = 0.0
        self.leftover: Counter[str] | None = None
        """When all of a whole trace went out: why its other spans did not. A new span clears it."""

    def hold(self, span: Span, now: float) -> None:
        """Take `span` in."""
        self.spans[span.span_id] = span
        self.leftover = None
        if span.parent_id is None:
            self.rooted = True
        if now != self.came:
            if self.later is None:
                self.later = {}
            self.later[span.span_id] = now
        self.touched = now

    def arrived(self, span_id: str) -> float:
        """When this span of it came."""
        if self.later is None:
            return self.came
        return self.later.get(span_id, self.came)

    def tell(self, agent: Agent, run: str | None) -> None:
        """Note whose step went out, and the span of the run that it was, if it was one."""
        if self._agent is None:
            self._agent = agent
        elif not same(self._agent, agent):
            self._several = True
        if run is not None:
            if self._runs is None:
                self._runs = {}
            self._runs[run] = agent

    def whose(self) -> Whose | None:
        """Who was at work in it; None where nobody was named."""
        if self.before is not None:
            return self.before
        if self._several:
            return Whose(None, self._runs)
        return None if self._agent is None else Whose(self._agent)

    def missing(self, span: Span) -> str | None:
        """The nearest span around `span` that did not come; None where the root did."""
        parent = span.parent_id
        for _ in range(len(self.spans)):  # and no more, should they be around each other
            above = self.spans.get(parent or "")
            if above is None:
                break
            parent = above.parent_id
        return parent

    def let_go(self) -> None:
        """Hold no more spans, and be due no more: whoever still knows this trace keeps little."""
        self.spans = {}
        self.emitted = _NONE
        self.due = 0.0

    def note(self, members: list[Span], tools: int, emitted: dict[str, int]) -> bool:
        """Note in `emitted` that a step with so many tool calls goes out; return False, and note
        nothing, where a span of it went out before."""
        for span in members:
            if span.span_id in self.emitted:
                return False
        for span in members:
            emitted[span.span_id] = tools
        return True

    def what_is_left(self, tree: Tree) -> Counter[str]:
        """Why spans of `tree`, which is this trace's, became no step or part of one.

        Among them tools that came when the call that caused them, or the run around them, had gone
        out.
        """
        reasons: Counter[str] = Counter(tree.unused.values()) if tree.unused else _NOTHING
        late_for_call = late_for_run = 0
        for call in tree.calls:
            late_for_call += self._missed(call.anchor, len(call.tools))
        for run in tree.runs:
            late_for_run += self._missed(run.anchor, len(run.tools))
        if late_for_call or late_for_run:
            reasons = reasons + Counter(late_for_call=late_for_call, late_for_run=late_for_run)
        return reasons

    def _missed(self, anchor: Span, tools: int) -> int:
        """How many of a step's tool calls came when it had gone out."""
        if not tools:
            return 0
        told: int = self.emitted.get(anchor.span_id, tools)
        return max(0, tools - told)
