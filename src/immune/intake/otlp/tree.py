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
from collections import defaultdict
from collections.abc import Mapping

import msgspec

from immune.intake.otlp.identity import Agent, completed, joined, told_by
from immune.intake.otlp.span import Span
from immune.intake.otlp.spans import Role

# Reading a member of an enumeration costs more than the rest of a comparison.
_MODEL, _TOOL, _AGENT, _CHAIN = Role.MODEL, Role.TOOL, Role.AGENT, Role.CHAIN


class Tool(msgspec.Struct, eq=False):
    """One tool call; `members` are all spans that report it, the outermost first."""

    members: list[Span]
    run: Run | None
    scope: str
    inside: Call | None

    @property
    def anchor(self) -> Span:
        return self.members[0]


class Call(msgspec.Struct, eq=False):
    """One model call with the tool calls that it caused."""

    members: list[Span]
    agent: Agent
    names_itself: bool
    """Its own span or resource names the agent; otherwise the spans around it do, or nobody."""
    run: Run | None
    scope: str
    root: str | None
    """The root of the trace above it, None while that is missing."""
    tools: list[Tool] = []
    tools_known: bool = False
    """A tool was reported in the same scope before the next call, so none means 0, not unknown."""
    successor: Call | None = None
    """The next model call in the same scope: what this one caused has ended before it."""

    @property
    def anchor(self) -> Span:
        return self.members[0]


class Run(msgspec.Struct, eq=False):
    """One run of an agent, with what was done directly in it and not in a run inside it."""

    members: list[Span]
    agent: Agent
    outer: Run | None
    root: str | None
    wraps: bool = False
    """It has no name and contains runs that have: no run of its own."""
    calls: list[Call] = []
    tools: list[Tool] = []
    loose: list[Tool] = []
    """Those of `tools` that no model call is known to have caused."""

    @property
    def anchor(self) -> Span:
        return self.members[0]

    @property
    def idle(self) -> bool:
        """A chain without a name in which nothing of interest happened."""
        named_or_busy = self.agent.named or self.calls or self.tools
        return self.anchor.role is Role.CHAIN and not named_or_busy


class Tree(msgspec.Struct, eq=False):
    """A trace, read: its steps by start, and of each span that is part of none, why."""

    whole: bool = True
    """No parent is missing."""

    calls: list[Call] = []
    runs: list[Run] = []
    unused: dict[str, str] = {}


class _Place(msgspec.Struct, eq=False, frozen=True):
    """What is around a span."""

    root: str | None
    scope: str
    open_above: bool
    """A parent in the same process is still missing: the outermost is not known."""
    agent: Agent | None = None
    run: Run | None = None
    call: Call | None = None
    tool: Tool | None = None
    in_chain: bool = False


def read_trace(spans: Mapping[str, Span], *, complete: bool) -> Tree:
    """Return what `spans`, by span id, amount to.

    `complete`: nothing more is expected, so that a chain with its parent missing may be a run.
    """
    if len(spans) == 1:
        (alone,) = spans.values()
        reader = _Reader(complete, alone.parent_id is None)
        reader.place(alone, _top_place(alone))
        return reader.tree()
    ordered = sorted(spans.values(), key=_by_start)
    children: defaultdict[str, list[Span]] = defaultdict(list)
    tops: list[Span] = []
    whole = True
    for span in ordered:
        parent_id = span.parent_id
        if parent_id is None:
            tops.append(span)
        elif parent_id in spans:
            children[parent_id].append(span)
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
        return _Place(span.span_id, span.span_id, False)
    return _Place(None, span.parent_id, not span.parent_remote)


class _Reader(msgspec.Struct, eq=False):
    """What was found so far."""

    complete: bool
    whole: bool
    calls: list[Call] = []
    tools: list[Tool] = []
    runs: list[Run] = []
    unused: dict[str, str] = {}

    def descend(self, top: Span, children: Mapping[str, list[Span]], seen: set[str]) -> None:
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
        return _Place(
            place.root,
            place.scope,
            place.open_above,
            agent if own.named or place.agent else None,
            place.run,
            place.call,
            place.tool,
            place.in_chain or role is _CHAIN,
        )

    def _model(self, span: Span, place: _Place, own: Agent, agent: Agent) -> _Place:
        if place.call is not None:
            place.call.members.append(span)
            self.unused[span.span_id] = "same_call"
            return place
        itself = own.named or completed(own, span).named
        agent = completed(agent, span)
        call = Call([span], agent, itself, place.run, place.scope, place.root)
        self.calls.append(call)
        return _Place(
            place.root, place.scope, place.open_above, agent, place.run, call, None, place.in_chain
        )

    def _tool(self, span: Span, place: _Place, agent: Agent) -> _Place:
        if place.tool is not None:
            place.tool.members.append(span)
            self.unused[span.span_id] = "same_tool"
            return place
        tool = Tool([span], place.run, place.scope, place.call)
        self.tools.append(tool)
        around = agent if agent.named or place.agent else None
        return _Place(
            place.root, place.scope, place.open_above, around, place.run, None, tool, place.in_chain
        )

    def _agent(self, span: Span, place: _Place, own: Agent, agent: Agent) -> _Place:
        run = place.run
        if run is None:
            return self._run(span, place, agent)
        same = place.tool is None and place.call is None and _same(agent, run.agent)
        if same or not own.named:
            run.members.append(span)
            self.unused[span.span_id] = "same_run"
            return _Place(
                place.root, place.scope, place.open_above, place.agent, run, in_chain=place.in_chain
            )
        return self._run(span, place, agent)

    def _chain_runs(self, span: Span, place: _Place, own: Agent, agent: Agent) -> bool:
        if place.call is not None:
            return False
        if place.run is not None or place.in_chain:
            return own.named and (place.agent is None or not _same(agent, place.agent))
        if not place.open_above:
            return place.tool is None or own.named
        return self.complete and own.named and span.facts.graph_node is None

    def _run(self, span: Span, place: _Place, agent: Agent) -> _Place:
        run = Run([span], completed(agent, span), place.run, place.root)
        self.runs.append(run)
        return _Place(place.root, span.span_id, place.open_above, run.agent, run, in_chain=True)

    def tree(self) -> Tree:
        """Return the finished tree."""
        calls, tools, runs = self.calls, self.tools, self.runs
        if tools or len(calls) + len(runs) > 1:
            calls.sort(key=_by_anchor)
            tools.sort(key=_by_anchor)
            runs.sort(key=_by_anchor)
            self._assign_tools()
        return Tree(self.whole, calls, self._real_runs() if runs else runs, self.unused)

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
            elif run.idle:
                self.unused[run.anchor.span_id] = run.anchor.role.value
            else:
                runs.append(run)
        return runs

    def _assign_tools(self) -> None:
        by_scope: defaultdict[str, list[Call]] = defaultdict(list)
        by_parent: defaultdict[str | None, list[Call]] = defaultdict(list)
        for call in self.calls:
            siblings = by_scope[call.scope]
            if siblings:
                siblings[-1].successor = call
            siblings.append(call)
            by_parent[call.members[0].parent_id].append(call)
            if call.run is not None:
                call.run.calls.append(call)
        for tool in self.tools:
            parent_id = tool.members[0].parent_id
            cause = (
                tool.inside
                or (_latest_before(tool, by_parent[parent_id]) if parent_id else None)
                or _latest_before(tool, by_scope[tool.scope])
            )
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
        first_tool: dict[str, int] = {}
        for tool in self.tools:
            first_tool.setdefault(tool.scope, tool.anchor.start_ns)
        for call in self.calls:
            since, following = first_tool.get(call.scope), call.successor
            seen = since is not None and (following is None or since < following.anchor.start_ns)
            call.tools_known = bool(call.tools) or seen


def _by_anchor(step: Call | Run | Tool) -> tuple[int, int, str]:
    return _by_start(step.members[0])


def _same(one: Agent, other: Agent) -> bool:
    return one is other or one.identity() == other.identity()


def _latest_before(tool: Tool, calls: list[Call]) -> Call | None:
    """The latest of `calls`, which are in order of start, that started before `tool`."""
    at = bisect_right(calls, tool.members[0].start_ns, key=_start_ns)
    return calls[at - 1] if at else None


def _start_ns(call: Call) -> int:
    return call.members[0].start_ns
