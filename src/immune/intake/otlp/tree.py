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
from dataclasses import dataclass, field
from typing import NamedTuple

from immune.intake.otlp.identity import Agent, completed, joined, told_by
from immune.intake.otlp.span import Span
from immune.intake.otlp.spans import Role


@dataclass(slots=True, eq=False)
class Tool:
    """One tool call; `members` are all spans that report it, the outermost first."""

    members: list[Span]
    run: Run | None
    scope: str
    inside: Call | None

    @property
    def anchor(self) -> Span:
        return self.members[0]


@dataclass(slots=True, eq=False)
class Call:
    """One model call with the tool calls that it caused."""

    members: list[Span]
    agent: Agent
    names_itself: bool
    """Its own span or resource names the agent; otherwise the spans around it do, or nobody."""
    run: Run | None
    scope: str
    root: str | None
    """The root of the trace above it, None while that is missing."""
    tools: list[Tool] = field(default_factory=list)
    tools_known: bool = False
    """A tool was reported in the same scope before the next call, so none means 0, not unknown."""
    successor: Call | None = None
    """The next model call in the same scope: what this one caused has ended before it."""

    @property
    def anchor(self) -> Span:
        return self.members[0]


@dataclass(slots=True, eq=False)
class Run:
    """One run of an agent, with what was done directly in it and not in a run inside it."""

    members: list[Span]
    agent: Agent
    outer: Run | None
    root: str | None
    wraps: bool = False
    """It has no name and contains runs that have: no run of its own."""
    calls: list[Call] = field(default_factory=list)
    tools: list[Tool] = field(default_factory=list)
    loose: list[Tool] = field(default_factory=list)
    """Those of `tools` that no model call is known to have caused."""

    @property
    def anchor(self) -> Span:
        return self.members[0]

    @property
    def idle(self) -> bool:
        """A chain without a name in which nothing of interest happened."""
        named_or_busy = self.agent.named or self.calls or self.tools
        return self.anchor.role is Role.CHAIN and not named_or_busy


@dataclass(slots=True, eq=False)
class Tree:
    """A trace, read: its steps by start, and of each span that is part of none, why."""

    whole: bool = True
    """No parent is missing."""

    calls: list[Call] = field(default_factory=list)
    runs: list[Run] = field(default_factory=list)
    unused: dict[str, str] = field(default_factory=dict)


class _Place(NamedTuple):
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
    children: defaultdict[str, list[Span]] = defaultdict(list)
    tops: list[Span] = []
    for span in sorted(spans.values(), key=_by_start):
        if span.parent_id is not None and span.parent_id in spans:
            children[span.parent_id].append(span)
        else:
            tops.append(span)
    reader = _Reader(complete, all(top.parent_id is None for top in tops))
    seen: set[str] = set()
    for top in [*tops, *sorted(spans.values(), key=_by_start)]:  # the rest: spans in a circle
        stack = [(top, _top_place(top))]
        while stack:
            span, place = stack.pop()
            if span.span_id in seen:
                continue
            seen.add(span.span_id)
            below = reader.place(span, place)
            stack += [(child, below) for child in reversed(children[span.span_id])]
    return reader.tree()


def _by_start(span: Span) -> tuple[int, int, str]:
    return span.start_ns, -span.end_ns, span.span_id


def _top_place(span: Span) -> _Place:
    if span.parent_id is None:
        return _Place(root=span.span_id, scope=span.span_id, open_above=False)
    return _Place(root=None, scope=span.parent_id, open_above=not span.parent_remote)


class _Reader:
    def __init__(self, complete: bool, whole: bool) -> None:
        self._complete = complete
        self._whole = whole
        self._calls: list[Call] = []
        self._tools: list[Tool] = []
        self._runs: list[Run] = []
        self._unused: dict[str, str] = {}

    def place(self, span: Span, place: _Place) -> _Place:
        """Take `span` in and return what is around its children."""
        own = told_by(span)
        agent = joined(own, place.agent)
        match span.role:
            case Role.MODEL:
                return self._model(span, place, own, agent)
            case Role.TOOL:
                return self._tool(span, place, agent)
            case Role.AGENT:
                return self._agent(span, place, own, agent)
            case Role.CHAIN if self._chain_runs(span, place, own, agent):
                return self._run(span, place, agent)
            case _:
                self._unused[span.span_id] = span.role.value
                told = agent if own.named or place.agent else None
                in_chain = place.in_chain or span.role is Role.CHAIN
                return place._replace(agent=told, in_chain=in_chain)

    def _model(self, span: Span, place: _Place, own: Agent, agent: Agent) -> _Place:
        if place.call is not None:
            place.call.members.append(span)
            self._unused[span.span_id] = "same_call"
            return place
        agent = completed(agent, span)
        itself = completed(own, span).named
        call = Call([span], agent, itself, place.run, place.scope, place.root)
        self._calls.append(call)
        return place._replace(call=call, tool=None, agent=agent)

    def _tool(self, span: Span, place: _Place, agent: Agent) -> _Place:
        if place.tool is not None:
            place.tool.members.append(span)
            self._unused[span.span_id] = "same_tool"
            return place
        tool = Tool([span], place.run, place.scope, place.call)
        self._tools.append(tool)
        around = agent if agent.named or place.agent else None
        return place._replace(tool=tool, call=None, agent=around)

    def _agent(self, span: Span, place: _Place, own: Agent, agent: Agent) -> _Place:
        run = place.run
        if run is None:
            return self._run(span, place, agent)
        same = place.tool is None and place.call is None and _same(agent, run.agent)
        if same or not own.named:
            run.members.append(span)
            self._unused[span.span_id] = "same_run"
            return place._replace(call=None, tool=None)
        return self._run(span, place, agent)

    def _chain_runs(self, span: Span, place: _Place, own: Agent, agent: Agent) -> bool:
        if place.call is not None:
            return False
        if place.run is not None or place.in_chain:
            return own.named and (place.agent is None or not _same(agent, place.agent))
        if not place.open_above:
            return place.tool is None or own.named
        return self._complete and own.named and span.facts.graph_node is None

    def _run(self, span: Span, place: _Place, agent: Agent) -> _Place:
        run = Run([span], completed(agent, span), place.run, place.root)
        self._runs.append(run)
        return place._replace(
            run=run, scope=span.span_id, agent=run.agent, call=None, tool=None, in_chain=True
        )

    def tree(self) -> Tree:
        """Return the finished tree."""
        self._calls.sort(key=lambda call: _by_start(call.anchor))
        self._tools.sort(key=lambda tool: _by_start(tool.anchor))
        self._runs.sort(key=lambda run: _by_start(run.anchor))
        self._assign_tools()
        for run in self._runs:
            outer = run.outer
            while run.agent.named and outer is not None and not outer.agent.named:
                outer.wraps = True
                outer = outer.outer
        runs: list[Run] = []
        for run in self._runs:
            if run.wraps:
                self._unused[run.anchor.span_id] = "wrapper_run"
                for tool in run.loose:
                    self._unused[tool.anchor.span_id] = "tool_without_agent"
            elif run.idle:
                self._unused[run.anchor.span_id] = run.anchor.role.value
            else:
                runs.append(run)
        return Tree(self._whole, self._calls, runs, self._unused)

    def _assign_tools(self) -> None:
        by_scope: defaultdict[str, list[Call]] = defaultdict(list)
        by_parent: defaultdict[str | None, list[Call]] = defaultdict(list)
        for call in self._calls:
            if by_scope[call.scope]:
                by_scope[call.scope][-1].successor = call
            by_scope[call.scope].append(call)
            by_parent[call.anchor.parent_id].append(call)
            if call.run is not None:
                call.run.calls.append(call)
        for tool in self._tools:
            siblings = by_parent[tool.anchor.parent_id] if tool.anchor.parent_id else []
            cause = (
                tool.inside
                or _latest_before(tool, siblings)
                or _latest_before(tool, by_scope[tool.scope])
            )
            if cause is not None:
                cause.tools.append(tool)
            if tool.run is not None:
                tool.run.tools.append(tool)
                if cause is None:
                    tool.run.loose.append(tool)
            elif cause is None:
                self._unused[tool.anchor.span_id] = "tool_without_agent"
        self._tell_none_from_unknown()

    def _tell_none_from_unknown(self) -> None:
        first_tool: dict[str, int] = {}
        for tool in self._tools:
            first_tool.setdefault(tool.scope, tool.anchor.start_ns)
        for call in self._calls:
            since, following = first_tool.get(call.scope), call.successor
            seen = since is not None and (following is None or since < following.anchor.start_ns)
            call.tools_known = bool(call.tools) or seen


def _same(one: Agent, other: Agent) -> bool:
    return one.identity() == other.identity()


def _latest_before(tool: Tool, calls: list[Call]) -> Call | None:
    """The latest of `calls`, which are in order of start, that started before `tool`."""
    at = bisect_right(calls, tool.anchor.start_ns, key=lambda call: call.anchor.start_ns)
    return calls[at - 1] if at else None
