# cython: annotation_typing=False
"""Spans, as they arrive in whatever order and requests, to vitals, each once.

Children end before their parents, and a batch may overtake another, so a step waits until nothing
that would change it can still be on its way:

- a run, until `settle_s` after its own span came: all within it had ended before;
- a call, until `settle_s` after the run around it, the trace's root, or the next call came;
- what never gets that far, until its trace has been quiet for `timeout_s`. A call that does not
  name its agent itself would then go to its service as a whole, so where the spans around such
  calls have named it before (or nothing is known yet) it waits `nameless_s` instead;
- what comes when the rest of its trace had gone out goes to the agent of that.

No agent is made up for want of a span: where what named the agent of such calls before stays away,
they are counted as `no_parent`, and late ones of a trace of several agents as `late_unnamed`.

Memory is bounded: beyond `max_spans` the trace longest untouched is finished early. Every span
either becomes part of a vital or is counted in `unmapped`. What went out is told to whoever keeps
the spans that wait (`gone`), who gives them back after a restart (`restore`).
"""

from __future__ import annotations

import heapq
from collections import Counter, OrderedDict
from collections.abc import Iterable, Iterator
from typing import TypeVar

from immune.intake.otlp.identity import Agent, Identity, IdentityRule, joined
from immune.intake.otlp.journal import Entry, Gone, Known, Taken, waiting
from immune.intake.otlp.past import Past
from immune.intake.otlp.span import Span
from immune.intake.otlp.steps import call_vital, is_sound, run_vital
from immune.intake.otlp.trace import Trace
from immune.intake.otlp.tree import Call, Run, read_trace
from immune.vitals import ID_LENGTH_MAX, VALUE_MAX, Refusal, Vital, refusal

_RULES_MAX = 200_000
_SOURCES_MAX = 10_000
_SPANS_PER_ENTRY = 100
_NAMES_PER_ENTRY = 1000
_NOTE_S = 600.0
"""Seconds after which it is noted again that spans of an agent come."""
_KNOWN_S = 86_400.0
"""An agent of whom no span came for a day may have gone over to metrics alone."""
_PAST_MAX = 50_000
_ORPHANS = 20
"""Steps in a row whose agent did not come, of a source that was named before, until the source
counts as one that nothing names."""
_INTERVAL_PER_SPAN_S = 0.002
"""A trace of 5,000 spans, which takes 50 ms to read, is read at most every 10 s."""


class TraceAssembler:
    """Joins the spans of traces and gives their steps as vitals.

    All times are epoch seconds, handed in. Not safe for several threads.
    """

    def __init__(
        self,
        *,
        settle_s: float = 2.0,
        timeout_s: float = 30.0,
        nameless_s: float = 300.0,
        max_spans: int = 100_000,
        max_trace_spans: int = 10_000,
    ) -> None:
        self._settle_s = settle_s
        self._timeout_s = timeout_s
        self._nameless_s = max(nameless_s, timeout_s)
        self._max_spans = max_spans
        self._max_trace_spans = max_trace_spans
        self._traces: OrderedDict[str, Trace] = OrderedDict()
        self._held = 0
        self._due: dict[float, list[Trace]] = {}
        """By the time of the next look at them, traces; those of one request share theirs."""
        self._dues: list[float] = []
        self._past = Past(_PAST_MAX, self._nameless_s)
        self._named_around: OrderedDict[tuple[str, str], int] = OrderedDict()
        """By source, how many more steps may lack what names their agent; 0 where nothing does."""
        self._gone: list[Gone | Known] = []
        self._known: OrderedDict[str, float] = OrderedDict()
        """By agent id, when it was noted that spans of it come."""
        self._services: OrderedDict[str, float] = OrderedDict()
        self.unmapped: Counter[str] = Counter()
        """Spans that are part of no vital, and vitals that could not be taken, by reason."""
        self.identity_rule: OrderedDict[str, IdentityRule] = OrderedDict()
        """By agent id, the rule that gave it; the latest 200,000 agents."""

    @property
    def held(self) -> int:
        """How many spans are in memory."""
        return self._held

    def feed(self, spans: Iterable[Span], now: float) -> list[Vital]:
        """Take `spans` in; return the vitals of all steps that are ready at `now`."""
        vitals: list[Vital] = []
        for span in spans:
            trace_id = span.trace_id
            trace = self._traces.get(trace_id)
            if trace is None:
                trace = self._traces[trace_id] = Trace(trace_id, now, self._past.of(trace_id))
            elif span.span_id in trace.spans:
                self.unmapped["duplicate_span"] += 1
                continue
            elif trace.touched != now:
                self._traces.move_to_end(trace_id)
            if span.facts.odd:
                self.unmapped["no_number"] += 1
            self._hold(trace, span, now)
            if len(trace.spans) >= self._max_trace_spans:
                vitals += self._cut(trace, now)
            while self._held > self._max_spans:
                vitals += self._cut(self._oldest(), now)
        return vitals + self.flush(now)

    def _hold(self, trace: Trace, span: Span, now: float) -> None:
        trace.hold(span, now)
        self._held += 1
        self._schedule(trace, now + self._settle_s)

    def _oldest(self) -> Trace:
        """The trace longest untouched."""
        return next(iter(self._traces.values()))

    def restore(self, entries: Iterable[Entry], now: float) -> int:
        """Take up the spans that waited when the last process ended; return how many.

        They count as having come just now: whoever has the rest of their step was not answered.
        """
        entries = list(entries)
        for entry in entries:
            if isinstance(entry, Known):
                for agent_id, rule, at in entry.agents:
                    _note(self.identity_rule, agent_id, IdentityRule(rule), _RULES_MAX)
                    _note(self._known, agent_id, at, _RULES_MAX)
                for service, at in entry.services:
                    _note(self._services, service, at, _SOURCES_MAX)
        for trace_id, (spans, emitted) in waiting(entries).items():
            trace = self._traces[trace_id] = Trace(trace_id, now)
            trace.emitted = emitted
            for span in spans:
                self._hold(trace, span, now)
        return self._held

    def knows(self, agent_id: str, service: str | None, named: bool, now: float) -> bool:
        """Whether spans of this agent come, or, of one that nothing names, of its service."""
        known = self._known.get(agent_id, 0.0)
        if not named:
            known = max(known, self._services.get(service or "", 0.0))
        return now - known <= _KNOWN_S

    def gone(self) -> list[Gone | Known]:
        """Return what went out since the last time this was asked, and of whom."""
        gone, self._gone = self._gone, []
        return gone

    def entries(self) -> Iterator[Entry]:
        """Yield all that waits, as `restore` takes it; to be used up before any more is fed."""
        waiting: list[Span] = []
        for trace in self._traces.values():
            waiting += trace.spans.values()
            if len(waiting) >= _SPANS_PER_ENTRY:
                yield Taken(waiting)
                waiting = []
        if waiting:
            yield Taken(waiting)
        for trace in self._traces.values():
            if trace.emitted:
                yield Gone(trace.trace_id, trace.emitted)
        services = list(self._services.items())
        agents = [(name, str(self.identity_rule[name]), at) for name, at in self._known.items()]
        for first in range(0, max(len(services), len(agents)), _NAMES_PER_ENTRY):
            some = slice(first, first + _NAMES_PER_ENTRY)
            yield Known(agents[some], services[some])

    def shrink(self, now: float) -> list[Vital]:
        """Finish the traces longest untouched, until half of the spans are left."""
        vitals: list[Vital] = []
        aim = self._held // 2
        while self._held > aim:
            vitals += self._cut(self._oldest(), now)
        return vitals

    def flush(self, now: float) -> list[Vital]:
        """Return the vitals of all steps that became ready by `now`, or were waited for in vain."""
        vitals: list[Vital] = []
        while self._dues and self._dues[0] <= now:
            due = heapq.heappop(self._dues)
            for trace in self._due.pop(due):
                if trace.due == due:
                    trace.due = 0.0
                    self._look(trace, now, vitals)
        return vitals

    def drain(self, now: float) -> list[Vital]:
        """Return the vitals of all that is held, waiting for nothing: the process stops."""
        vitals: list[Vital] = []
        while self._traces:
            vitals += self._finish(self._oldest(), now)
        self._due.clear()
        self._dues.clear()
        return vitals

    def _schedule(self, trace: Trace, due: float) -> None:
        if trace.due and trace.due <= due:
            return
        trace.due = due
        together = self._due.get(due)
        if together is None:
            self._due[due] = [trace]
            heapq.heappush(self._dues, due)
        else:
            together.append(trace)

    def _look(self, trace: Trace, now: float, vitals: list[Vital]) -> None:
        # The same sums decide what is late and when to look again, or rounding might loop.
        settled = trace.touched + self._settle_s
        quiet = trace.touched + self._timeout_s
        given_up = trace.touched + self._nameless_s
        late = quiet <= now
        if given_up <= now or (late and trace.rooted):
            vitals += self._finish(trace, now)
            return
        tree = read_trace(trace.spans, late)
        calls = [call for call in tree.calls if self._call_is_ready(call, trace, now, late)]
        runs = [run for run in tree.runs if self._run_is_ready(run, trace, now, late)]
        self._emit(calls, runs, trace, now, vitals)
        if tree.whole and len(calls) == len(tree.calls) and len(runs) == len(tree.runs):
            trace.leftover = trace.what_is_left(tree)
        # A long trace is read at longer intervals: reading it takes time in proportion.
        soon = now + len(trace.spans) * _INTERVAL_PER_SPAN_S
        following = settled if settled > now else given_up if late else quiet
        self._schedule(trace, max(soon, following))

    def _call_is_ready(self, call: Call, trace: Trace, now: float, late: bool) -> bool:
        if call.root is not None and self._has_settled(call.root, trace, now):
            return True
        if trace.before is not None:
            return self._has_settled(call.anchor.span_id, trace, now)
        if not call.agent.named:
            return self._stays_nameless(call.anchor, late)
        if call.around is not None and self._has_settled(call.around.span_id, trace, now):
            return True
        following = call.successor
        if following is not None and self._has_settled(following.anchor.span_id, trace, now):
            return self._has_settled(call.anchor.span_id, trace, now)
        return late

    def _run_is_ready(self, run: Run, trace: Trace, now: float, late: bool) -> bool:
        if run.root is not None and self._has_settled(run.root, trace, now):
            return True
        if not (run.agent.named or trace.before is not None):
            return self._stays_nameless(run.anchor, late)
        return self._has_settled(run.anchor.span_id, trace, now)

    def _has_settled(self, span_id: str, trace: Trace, now: float) -> bool:
        return trace.arrived(span_id) + self._settle_s <= now

    def _stays_nameless(self, span: Span, late: bool) -> bool:
        """Whether nothing around a span of this source is to be expected to name its agent."""
        return late and not self._named_around.get(_source(span), _ORPHANS)

    def _cut(self, trace: Trace, now: float) -> list[Vital]:
        """Finish `trace` before its time for want of room."""
        self.unmapped["trace_cut"] += 1
        return self._finish(trace, now)

    def _finish(self, trace: Trace, now: float) -> list[Vital]:
        """Give out what is left of `trace` as it stands, count the rest, and forget it."""
        vitals: list[Vital] = []
        if trace.leftover is None:
            tree = read_trace(trace.spans, True)
            self._emit(tree.calls, tree.runs, trace, now, vitals)
            trace.leftover = trace.what_is_left(tree)
        if trace.leftover:
            self.unmapped.update(trace.leftover)
        whose = trace.whose()
        if whose is not None:
            self._past.note(trace.trace_id, whose, now)
        self._gone.append(Gone(trace.trace_id, {}, list(trace.spans)))
        del self._traces[trace.trace_id]
        self._held -= len(trace.spans)
        trace.let_go()
        return vitals

    def _emit(
        self,
        calls: list[Call],
        runs: list[Run],
        trace: Trace,
        now: float,
        vitals: list[Vital],
    ) -> None:
        """Give out those of these steps of which nothing has gone out before."""
        emitted: dict[str, int] = {}
        for call in calls:
            if trace.note(call.members, len(call.tools), emitted):
                agent = self._whose(call.agent, call.anchor, trace)
                if agent is None or (identity := agent.identity()) is None:
                    continue
                if not call.names_itself:
                    self._learn(call.anchor, trace, agent.named)
                if call.around is not None and call.around.span_id in trace.emitted:
                    self.unmapped["late_for_run"] += 1
                vital = call_vital(call, identity.agent_id, now, _reporter(call.anchor, trace))
                trace.tell(agent, None)
                self._give(vital, identity, agent, now, vitals)
        for run in runs:
            if trace.note(run.members, len(run.tools), emitted):
                agent = self._whose(run.agent, run.anchor, trace)
                if agent is None or (identity := agent.identity()) is None:
                    continue
                vital = run_vital(run, identity.agent_id, now, _reporter(run.anchor, trace))
                trace.tell(agent, run.anchor.span_id)
                self._give(vital, identity, agent, now, vitals)
        if emitted:
            trace.emitted = {**trace.emitted, **emitted} if trace.emitted else emitted
            self._gone.append(Gone(trace.trace_id, emitted))

    def _whose(self, agent: Agent, anchor: Span, trace: Trace) -> Agent | None:
        """Return the agent of a step, as `agent` is what the spans that are here say of it; None,
        and counted, where that is nobody or not known."""
        if agent.named:
            return agent
        missing, source = trace.missing(anchor), _source(anchor)
        if trace.before is not None:
            found = trace.before.of(missing)
            if found is not None:
                return joined(agent, found)
            why = "late_unnamed"
        elif missing is not None and (left := self._named_before(source)):
            _note(self._named_around, source, left - 1, _SOURCES_MAX)
            why = "no_parent"
        elif agent.identity() is not None:
            return agent
        else:
            why = "no_identity"
        self.unmapped[why] += 1
        return None

    def _named_before(self, source: tuple[str, str]) -> int:
        """How many more steps of `source` may lack what names their agent."""
        service = source[0]
        never_alone = service in self._services and service not in self.identity_rule
        return self._named_around.get(source, _ORPHANS if never_alone else 0)

    def _give(
        self, vital: Vital, identity: Identity, agent: Agent, now: float, vitals: list[Vital]
    ) -> None:
        """Give `vital` out, unless it must be refused."""
        agent_id = identity.agent_id
        if not (agent_id in self.identity_rule and is_sound(vital, now)):
            refused = refusal(vital, 0, now)
            if refused is not None:
                self.unmapped[_why(refused, vital, now)] += 1
                return
        vitals.append(vital)
        _note(self.identity_rule, agent_id, identity.rule, _RULES_MAX)
        if now - self._known.get(agent_id, 0.0) > _NOTE_S:
            services = []
            if agent.service:
                _note(self._services, agent.service, now, _SOURCES_MAX)
                services.append((agent.service, now))
            _note(self._known, agent_id, now, _RULES_MAX)
            self._gone.append(Known([(agent_id, str(identity.rule), now)], services))

    def _learn(self, anchor: Span, trace: Trace, named: bool) -> None:
        """Remember whether the spans around calls of this source name their agent."""
        if trace.before is None:
            _note(self._named_around, _source(anchor), _ORPHANS if named else 0, _SOURCES_MAX)


_K = TypeVar("_K")
_V = TypeVar("_V")


def _note(latest: OrderedDict[_K, _V], key: _K, value: _V, most: int) -> None:
    """Keep `value` by `key`, and no more than the latest `most`."""
    latest[key] = value
    latest.move_to_end(key)
    if len(latest) > most:
        latest.popitem(last=False)


def _why(refused: Refusal, vital: Vital, now: float) -> str:
    if refused.field == "at":
        return "too_old" if vital.at < now else "too_far_ahead"
    value: object = getattr(vital, refused.field)
    large = (isinstance(value, str) and len(value) > ID_LENGTH_MAX) or (
        isinstance(value, float) and value > VALUE_MAX
    )
    return "too_large" if large else f"refused_{refused.field}"


def _reporter(span: Span, trace: Trace) -> int:
    """Which process `span` is of; where that is not said, in which request it came."""
    return span.resource.source or int(trace.arrived(span.span_id) * 1e6)


def _source(span: Span) -> tuple[str, str]:
    return span.resource.service or "", span.scope
