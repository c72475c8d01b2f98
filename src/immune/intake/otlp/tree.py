# cython: annotation_typing=False
"""What belongs to what in one trace: model calls, the tools they caused, the runs around them.

Pure: spans in, a `Tree` out, the same in whatever order the spans came. Nothing here waits; in a
tree read from half a trace `root` None says what may still change when the rest arrives.

- A model call inside a model call is the same call, reported by two instrumentations; so is a tool
  inside a tool, and a run directly inside a run of the same agent.
- A run is an agent's span, or the outermost chain, or a chain that names another agent than the
  run around it. One without a name around a named one is a workflow's wrapper and no run.
- A tool was caused by the model call around it, else by the latest one before it under the same
  parent, else by the latest one before it in the same run.
"""

from __future__ import annotations

from bisect import bisect_right

from immune.intake.otlp.identity import Agent, completed, joined, same, told_by
from immune.intake.otlp.span import Span
from immune.intake.otlp.spans import Role

# Reading a member of an enumeration costs more than the rest of a comparison.
_MODEL, _TOOL, _AGENT, _CHAIN = Role.MODEL, Role.TOOL, Role.AGENT, Role.CHAIN


class Tool:
    """One tool call; `members` are all spans that report it, the outermost first."""

    __slots__ = ("anchor", "inside", "members", "run", "scope", "start_ns")

    def __init__(self, anchor: Span, run: Run | None, scope: str, inside: Call | None) -> None:
        self.anchor = anchor
        """The first of its members."""
        self.start_ns = anchor.start_ns
        self.members: list[Span] = [anchor]
        self.run = run
        self.scope = scope
        self.inside = inside


class Call:
    """One model call with the tool calls that it caused."""

    __slots__ = (
        *("agent", "anchor", "around", "members", "names_itself", "root", "run", "scope"),
        *("start_ns", "successor", "tools", "tools_known"),
    )

    def __init__(
        self,
        anchor: Span,
        agent: Agent,
        names_itself: bool,
        run: Run | None,
        scope: str,
        root: str | None,
    ) -> None:
        self.anchor = anchor
        """The first of its members."""
        self.start_ns = anchor.start_ns
        self.members: list[Span] = [anchor]
        self.agent = agent
        self.names_itself = names_itself
        """Its own span or resource names the agent; otherwise the spans around it do, or nobody."""
        self.around = None if run is None else run.anchor
        """The span of the run around it."""
        self.run = run
        self.scope = scope
        self.root = root
        """The root of the trace above it, None while that is missing."""
        self.tools: list[Tool] = []
        self.tools_known = False
        """A tool was reported in the same scope before the next call, so none means 0, not
        unknown."""
        self.successor: Call | None = None
        """The next model call in the same scope: what this one caused has ended before it."""


class Run:
    """One run of an agent, with what was done directly in it and not in a run inside it."""

    __slots__ = (
        *("agent", "anchor", "calls", "loose", "members", "outer", "root", "tools", "wraps"),
    )

    def __init__(self, anchor: Span, agent: Agent, outer: Run | None, root: str | None) -> None:
        self.anchor = anchor
        """The first of its members."""
        self.members: list[Span] = [anchor]
        self.agent = agent
        self.outer = outer
        self.root = root
        self.wraps = False
        """It has no name and contains runs that have: no run of its own."""
        self.calls: list[Call] = []
        self.tools: list[Tool] = []
        self.loose: list[Tool] = []
        """Those of `tools` that no model call is known to have caused."""

    def idle(self) -> bool:
        """Return whether it is a chain without a name in which nothing of interest happened."""
        named_or_busy = self.agent.named or self.calls or self.tools
        return self.anchor.role is _CHAIN and not named_or_busy


class Tree:
    """A trace, read: its steps by start, and of each span that is part of none, why."""

    __slots__ = ("calls", "runs", "unused", "whole")

    def __init__(
        self, whole: bool, calls: list[Call], runs: list[Run], unused: dict[str, str]
    ) -> None:
        self.whole = whole
        """No parent is missing."""
        self.calls = calls
        self.runs = runs
        self.unused = unused


class _Place:
    """What is around a span."""

    __slots__ = ("agent", "call", "in_chain", "open_above", "root", "run", "scope", "tool")

    def __init__(
        self,
        root: str | None,
        scope: str,
        open_above: bool,
        agent: Agent | None,
        run: Run | None,
        call: Call | None,
        tool: Tool | None,
        in_chain: bool,
    ) -> None:
        self.root = root
        self.scope = scope
        self.open_above = open_above
        """A parent in the same process is still missing: the outermost is not known."""
        self.agent = agent
        self.run = run
        self.call = call
        self.tool = tool
        self.in_chain = in_chain


def read_trace(spans: dict[str, Span], complete: bool) -> Tree:
    """Return what `spans`, by span id, amount to.

    `complete`: nothing more is expected, so that a chain with its parent missing may be a run.
    """
    if len(spans) == 1:
        (alone,) = spans.values()
        reader = _Reader(complete, alone.parent_id is None)
        reader.place(alone, _top_place(alone))
        return reader.tree()
    ordered = sorted(spans.values(), key=_by_start)
    children: dict[str, list[Span]] = {}
    tops: list[Span] = []
    whole = True
    for span in ordered:
        parent_id = span.parent_id
        if parent_id is None:
            tops.append(span)
        elif parent_id in spans:
            children.setdefault(parent_id, []).append(span)
        else:
            tops.append(span)
            whole = False
    reader = _Reader(complete, whole)
    seen: set[str] = set()
    for top in tops:
        reader.descend(top, children, seen)
    if len(seen) < len(ordered):  # the rest: spans in a circle
        for span in ordered:
            reader.descend(span, children, seen)
    return reader.tree()


def _by_start(span: Span) -> tuple[int, int, str]:
    return span.start_ns, -span.end_ns, span.span_id


def _top_place(span: Span) -> _Place:
    if span.parent_id is None:
        return _Place(span.span_id, span.span_id, False, None, None, None, None, False)
    open_above = not span.parent_remote
    return _Place(None, span.parent_id, open_above, None, None, None, None, False)


def _around(
    place: _Place, agent: Agent | None, run: Run | None, call: Call | None, tool: Tool | None
) -> _Place:
    """What is around the children of a span in `place`."""
    return _Place(place.root, place.scope, place.open_above, agent, run, call, tool, place.in_chain)


class _Reader:
    """What was found so far."""

    __slots__ = ("calls", "complete", "runs", "tools", "unused", "whole")

    def __init__(self, complete: bool, whole: bool) -> None:
        self.complete = complete
        self.whole = whole
        self.calls: list[Call] = []
        self.tools: list[Tool] = []
        self.runs: list[Run] = []
        self.unused: dict[str, str] = {}

    def descend(self, top: Span, children: dict[str, list[Span]], seen: set[str]) -> None:
        """Take in `top` and all below it but what was `seen`."""
        stack = [(top, _top_place(top))]
        while stack:
            span, place = stack.pop()
            if span.span_id in seen:
                continue
            seen.add(span.span_id)
            below = self.place(span, place)
            if span.span_id in children:
                stack += [(child, below) for child in reversed(children[span.span_id])]

    def place(self, span: Span, place: _Place) -> _Place:
        """Take `span` in and return what is around its children."""
        own = told_by(span)
        agent = joined(own, place.agent)
        role = span.role
        if role is _MODEL:
            return self._model(span, place, own, agent)
        if role is _TOOL:
            return self._tool(span, place, agent)
        if role is _AGENT:
            return self._agent(span, place, own, agent)
        if role is _CHAIN and self._chain_runs(span, place, own, agent):
            return self._run(span, place, agent)
        self.unused[span.span_id] = role.value
        around = agent if own.named or place.agent is not None else None
        below = _around(place, around, place.run, place.call, place.tool)
        below.in_chain = place.in_chain or role is _CHAIN
        return below

    def _model(self, span: Span, place: _Place, own: Agent, agent: Agent) -> _Place:
        if place.call is not None:
            place.call.members.append(span)
            self.unused[span.span_id] = "same_call"
            return place
        itself = own.named or completed(own, span).named
        agent = completed(agent, span)
        call = Call(span, agent, itself, place.run, place.scope, place.root)
        self.calls.append(call)
        return _around(place, agent, place.run, call, None)

    def _tool(self, span: Span, place: _Place, agent: Agent) -> _Place:
        if place.tool is not None:
            place.tool.members.append(span)
            self.unused[span.span_id] = "same_tool"
            return place
        tool = Tool(span, place.run, place.scope, place.call)
        self.tools.append(tool)
        around = agent if agent.named or place.agent is not None else None
        return _around(place, around, place.run, None, tool)

    def _agent(self, span: Span, place: _Place, own: Agent, agent: Agent) -> _Place:
        run = place.run
        if run is None:
            return self._run(span, place, agent)
        again = place.tool is None and place.call is None and same(agent, run.agent)
        if again or not own.named:
            run.members.append(span)
            self.unused[span.span_id] = "same_run"
            return _around(place, place.agent, run, None, None)
        return self._run(span, place, agent)

    def _chain_runs(self, span: Span, place: _Place, own: Agent, agent: Agent) -> bool:
        if place.call is not None:
            return False
        if place.run is not None or place.in_chain:
            return own.named and (place.agent is None or not same(agent, place.agent))
        if not place.open_above:
            return place.tool is None or own.named
        return self.complete and own.named and span.facts.graph_node is None

    def _run(self, span: Span, place: _Place, agent: Agent) -> _Place:
        run = Run(span, completed(agent, span), place.run, place.root)
        self.runs.append(run)
        return _Place(place.root, span.span_id, place.open_above, run.agent, run, None, None, True)

    def tree(self) -> Tree:
        """Return the finished tree."""
        calls, tools, runs = self.calls, self.tools, self.runs
        if tools or len(calls) + len(runs) > 1:
            calls.sort(key=_by_anchor)
            tools.sort(key=_by_anchor)
            runs.sort(key=_by_anchor)
            self._assign_tools()
            self._point_back_no_more()
        return Tree(self.whole, calls, self._real_runs() if runs else runs, self.unused)

    def _point_back_no_more(self) -> None:
        """Undo the circles: what is in one waits for the collector of garbage to find it."""
        for call in self.calls:
            call.run = None
        for tool in self.tools:
            tool.run = tool.inside = None

    def _real_runs(self) -> list[Run]:
        """The runs but for wrappers and frames in which nothing happened."""
        for run in self.runs:
            outer = run.outer
            while outer is not None and run.agent.named and not outer.agent.named:
                outer.wraps = True
                outer = outer.outer
        runs: list[Run] = []
        for run in self.runs:
            if run.wraps:
                self.unused[run.anchor.span_id] = "wrapper_run"
                for tool in run.loose:
                    self.unused[tool.anchor.span_id] = "tool_without_agent"
            elif run.idle():
                self.unused[run.anchor.span_id] = run.anchor.role.value
            else:
                runs.append(run)
        return runs

    def _assign_tools(self) -> None:
        by_scope: dict[str, list[Call]] = {}
        by_parent: dict[str | None, list[Call]] = {}
        for call in self.calls:
            siblings = by_scope.setdefault(call.scope, [])
            if siblings:
                before = siblings[-1]
                before.successor = call
            siblings.append(call)
            if call.run is not None:
                call.run.calls.append(call)
            if self.tools and call.anchor.parent_id is not None:
                by_parent.setdefault(call.anchor.parent_id, []).append(call)
        for tool in self.tools:
            cause = tool.inside
            if cause is None:
                cause = _latest_before(tool, by_parent.get(tool.anchor.parent_id))
            if cause is None:
                cause = _latest_before(tool, by_scope.get(tool.scope))
            if cause is not None:
                cause.tools.append(tool)
            if tool.run is not None:
                tool.run.tools.append(tool)
                if cause is None:
                    tool.run.loose.append(tool)
            elif cause is None:
                self.unused[tool.anchor.span_id] = "tool_without_agent"
        if self.tools:
            self._tell_none_from_unknown()

    def _tell_none_from_unknown(self) -> None:
        first_tool: dict[str, Tool] = {}
        for tool in self.tools:
            first_tool.setdefault(tool.scope, tool)
        for call in self.calls:
            first, following = first_tool.get(call.scope), call.successor
            seen = first is not None and (following is None or first.start_ns < following.start_ns)
            call.tools_known = bool(call.tools) or seen


def _by_anchor(step: Call | Run | Tool) -> tuple[int, int, str]:
    return _by_start(step.anchor)


def _latest_before(tool: Tool, calls: list[Call] | None) -> Call | None:
    """The latest of `calls`, which are in order of start, that started before `tool`."""
    if calls is None:
        return None
    at = bisect_right(calls, tool.start_ns, key=_start_ns)
    return calls[at - 1] if at else None


def _start_ns(call: Call) -> int:
    return call.start_ns
