"""What is around an agent apart from numbers: prompt, model, provider, type, tools, failures.

`FactBook` answers three questions: what changed around this agent since an onset, which agents
share a provider, model, type or tool, and which agents have just got a new prompt or model.
Everything known carries the time when it was first seen, so "new since the onset" needs no copy of
the past; what failed since the onset is read from a ring of each agent's last calls.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

import msgspec
import numpy as np

from immune.columns import Bool, Float64, Int32, Names, VitalColumns
from immune.detection.findings import Facts
from immune.detection.grouping import Indices, Runs, grown
from immune.detection.recent_calls import RecentCalls, same_calls
from immune.detection.rounds import only_round, rounds
from immune.detection.rule_params import FactParams, RepetitionParams
from immune.detection.tool_use import ToolUse
from immune.detection.usual import Usual

Dimension = Literal["provider", "model", "tool", "agent_type"]
DIMENSIONS: tuple[Dimension, ...] = ("provider", "model", "tool", "agent_type")
Order = Literal["learn", "discard", "restart"]

ERROR_TYPES_MAX = 4


class SavedTool(msgspec.Struct, frozen=True, array_like=True):
    """One tool of an agent, as stored."""

    tool: str
    first_at: float
    last_at: float
    calls: float
    failed: float


class SavedValue(msgspec.Struct, frozen=True, array_like=True):
    """One prompt hash, model or error type of an agent, as stored."""

    value: str
    first_at: float
    last_at: float
    steps: int


class SavedFacts(msgspec.Struct, frozen=True, array_like=True):
    """All that is usual for an agent, in names that outlive the process."""

    agent_type: str
    provider: str
    interval_s: float
    last_at: float
    prompts: tuple[SavedValue, ...]
    models: tuple[SavedValue, ...]
    errors: tuple[SavedValue, ...]
    tools: tuple[SavedTool, ...]


@dataclass(frozen=True, slots=True)
class Changes:
    """Agents that have got a new prompt hash or model; arrays of one length."""

    agent: Indices
    value: Int32
    """The new one, a code of `Names.facts`."""
    agent_type: Int32
    at: Float64


class FactBook:
    """The facts of all agents, in arrays by agent code."""

    def __init__(
        self,
        params: FactParams,
        names: Names,
        repetition: RepetitionParams | None = None,
    ) -> None:
        self._params = params
        self._names = names
        self._repetition = repetition or RepetitionParams()
        self._prompts = Usual(params)
        self._models = Usual(params)
        self._errors = Usual(params)
        self._tools = ToolUse(params)
        self._recent = RecentCalls(params.recent_calls)
        self.agent_type = np.zeros(0, np.int32)
        self.provider = np.zeros(0, np.int32)
        self.last_at = np.full(0, -np.inf)
        """End of the latest step."""
        self.interval_s = np.zeros(0)
        """Usual seconds between steps."""
        self._frozen_at = np.full(0, np.inf)
        self._now = -np.inf

    def observe(self, columns: VitalColumns) -> None:
        """Take a batch, each agent's steps in their order."""
        if not len(columns):
            return
        self._grow(len(self._names.agents))
        # in the order of agents where that is but one row of each: neighbours in memory
        rows, agents = only_round(columns.agent) or (slice(None), columns.agent.astype(np.intp))
        at = columns.at[rows]
        for own, given in (
            (self.agent_type, columns.agent_type[rows]),
            (self.provider, columns.provider[rows]),
        ):
            if np.count_nonzero(given):
                told = given > 0
                own[agents[told]] = given[told]
        self._prompts.observe(agents, columns.prompt_hash[rows], at)
        self._models.observe(agents, columns.model[rows], at)
        self._errors.observe(agents, columns.error_type[rows], at)
        for part, those in rounds(agents):
            self._pace(those, at[part])
        self._now = max(self._now, float(at.max()))
        if len(columns.calls):
            self._observe_calls(columns)

    def _pace(self, agents: Indices, at: Float64) -> None:
        before = self.last_at[agents]
        gap_s = at - before
        on_time = np.isfinite(before) & (gap_s >= 0)
        known = self.interval_s[agents]
        # a tenth for each step, and all of the first: rough, and enough for a slack
        change = np.where(known > 0, 0.1, 1.0) * (np.where(on_time, gap_s, known) - known)
        self.interval_s[agents] = known + change
        self.last_at[agents] = np.maximum(before, at)

    def _observe_calls(self, columns: VitalColumns) -> None:
        calls = columns.calls
        runs = Runs.of(columns.agent[calls.row])
        at, ok = columns.at[calls.row[runs.order]], calls.ok[runs.order]
        places = self._tools.observe(runs.slot, calls.tool[runs.order], at)
        counted = (self._frozen_at[runs.slot] == np.inf) & (places >= 0)
        self._tools.count(places[counted], ok[counted])
        self._recent.observe(runs, places, ok, same_calls(calls)[runs.order], at)

    # ---- what changed

    def facts(self, agent: int, kind: int, since: float) -> Facts:
        """Return what changed around the agent since `since`, epoch seconds.

        Facts are the agent's, not a kind's; `kind` is taken for the callers' sake.
        """
        if agent >= len(self.last_at):
            return Facts()
        # the estimated onset may be late: what changed a few steps earlier belongs to it
        news_at = since - self._params.onset_slack_steps * float(self.interval_s[agent])
        recent = self._recent.since(agent, news_at)
        repeated, repeats = recent.repeated(self._repetition)
        # while frozen nothing since the freeze was counted, else it was
        counted = 0 if self._frozen_at[agent] < np.inf else len(recent)
        return Facts(
            prompt_hash_changed=self._prompts.changed(agent, news_at),
            model_changed=self._models.changed(agent, news_at),
            new_tools=self._texts(self._tools.new(agent, news_at, counted)),
            failing_tool=self._failing(agent, recent.place, recent.ok),
            repeated_tool=self._tool_text(repeated),
            repeats=repeats,
            error_types=self._texts(self._errors.since(agent, news_at)[:ERROR_TYPES_MAX]),
        )

    def _failing(self, agent: int, place: Indices, ok: Bool) -> str | None:
        """Return the tool that most failed calls belong to, if it fails more than usual."""
        failed = place[~ok & (place >= 0)]
        if len(failed) < self._params.failing_min:
            return None
        tools, counts = np.unique(failed, return_counts=True)
        tool, count = int(tools[counts.argmax()]), int(counts.max())
        calls_now = int((place == tool).sum())
        # as many of the failures on one tool by chance, if all of the agent's calls failed alike
        chance = _at_least(count, len(failed), calls_now / int((place >= 0).sum()))
        if chance * len(np.unique(place[place >= 0])) > self._params.failing_chance_max:
            return None
        own = 0 if self._frozen_at[agent] < np.inf else calls_now
        usual = self._tools.usual_failures(tool, own, own and count)
        if count / calls_now < max(self._params.failing_share_min, 2 * usual):
            return None
        return self._tool_text(tool)

    def changed_since(self, fact: Literal["prompt_hash", "model"], since: float) -> Changes:
        """Return the agents whose prompt hash or model is new since `since` and was settled."""
        table = self._prompts if fact == "prompt_hash" else self._models
        agents, values, at = table.changes(since)
        return Changes(agents, values, self.agent_type[agents], at)

    def current(self, fact: Literal["prompt_hash", "model"], agent: int) -> int:
        """Return the agent's latest prompt hash or model, as a code; 0 where unknown."""
        return (self._prompts if fact == "prompt_hash" else self._models).current(agent)

    # ---- who belongs together

    def active(self) -> Bool:
        """Return bool by agent code: who has stepped lately."""
        # after a restart nobody has stepped yet, and there is no "now" either
        lately: Bool = np.isfinite(self.last_at) & (
            self.last_at >= self._now - self._params.active_s
        )
        return lately

    def groups(self, dimension: Dimension) -> tuple[Indices, Int32]:
        """Return agents and their group's code, active ones; an agent may use many tools."""
        active = self.active()
        if dimension == "tool":
            agents, tools = self._tools.usual()
            here = active[agents]
            return agents[here], tools[here]
        if dimension == "model":
            codes = self._models.currents(len(active))
        else:
            codes = self.provider if dimension == "provider" else self.agent_type
        agents = np.flatnonzero(active & (codes > 0))
        return agents, codes[agents]

    def members(self, dimension: Dimension) -> dict[str, Indices]:
        """Return the agent codes of each group of active agents, by the group's name."""
        agents, codes = self.groups(dimension)
        if not len(agents):
            return {}
        runs = Runs.of(codes)
        return {
            self._names.facts.text(int(runs.slot[first])): np.sort(
                agents[runs.order[first : last + 1]]
            )
            for first, last in zip(runs.first.tolist(), runs.last.tolist(), strict=True)
        }

    # ---- orders

    def freeze(self, agent: int, since: float) -> None:
        """Stop learning what the agent's tools usually do, from `since` on."""
        self._grow(agent + 1)
        if self._frozen_at[agent] < np.inf:
            return
        self._count_again(agent, since, -1.0)
        self._frozen_at[agent] = since

    def thaw(self, agent: int, order: Order) -> None:
        """Learn again; what was seen since the freeze becomes usual, is forgotten, or is all."""
        if agent >= len(self._frozen_at) or self._frozen_at[agent] == np.inf:
            return
        since = float(self._frozen_at[agent])
        news_at = since - self._params.onset_slack_steps * float(self.interval_s[agent])
        self._frozen_at[agent] = np.inf
        if order == "restart":
            self._tools.forget(agent, before=since)
            for table in (self._prompts, self._models, self._errors):
                table.forget(agent, before=since)
        if order == "discard":
            self._tools.forget(agent, after=news_at)
            for table in (self._prompts, self._models, self._errors):
                table.forget(agent, after=news_at)
            self._recent.forget(agent)
        else:
            self._count_again(agent, since, 1.0)

    def _count_again(self, agent: int, since: float, sign: float) -> None:
        recent = self._recent.since(agent, since)
        known = recent.place >= 0
        self._tools.count(recent.place[known], recent.ok[known], sign)

    def retire(self, agent: int) -> None:
        """Drop all that is known of an agent."""
        if agent >= len(self.last_at):
            return
        for table in (self._prompts, self._models, self._errors):
            table.forget(agent, after=-np.inf)
        self._tools.forget(agent, after=-np.inf)
        self._recent.forget(agent)
        self.agent_type[agent] = self.provider[agent] = 0
        self.last_at[agent] = -np.inf
        self.interval_s[agent] = 0
        self._frozen_at[agent] = np.inf

    # ---- storing

    def save(self, agent: int) -> bytes:
        """Return what is usual for the agent; the recent window is not kept."""
        self._grow(agent + 1)
        text = self._names.facts.text

        def values(table: Usual) -> tuple[SavedValue, ...]:
            return tuple(SavedValue(text(v), f, la, n) for v, f, la, n in table.rows(agent))

        return msgspec.msgpack.encode(
            SavedFacts(
                agent_type=text(int(self.agent_type[agent])),
                provider=text(int(self.provider[agent])),
                interval_s=float(self.interval_s[agent]),
                last_at=float(self.last_at[agent]),
                prompts=values(self._prompts),
                models=values(self._models),
                errors=values(self._errors),
                tools=tuple(
                    sorted(
                        (SavedTool(text(row[0]), *row[1:]) for row in self._tools.rows(agent)),
                        key=lambda saved: saved.tool,
                    )
                ),
            )
        )

    def load(self, agent: int, saved: bytes) -> None:
        """Take up what `save` returned, in place of what is known of the agent."""
        book = msgspec.msgpack.decode(saved, type=SavedFacts)
        self._grow(agent + 1)
        self.retire(agent)
        code = self._names.facts.code
        self.agent_type[agent] = code(book.agent_type)
        self.provider[agent] = code(book.provider)
        self.interval_s[agent] = book.interval_s
        self.last_at[agent] = book.last_at
        for table, kept in (
            (self._prompts, book.prompts),
            (self._models, book.models),
            (self._errors, book.errors),
        ):
            table.load(agent, [(code(v.value), v.first_at, v.last_at, v.steps) for v in kept])
        self._tools.load(
            agent, [(code(t.tool), t.first_at, t.last_at, t.calls, t.failed) for t in book.tools]
        )

    def _texts(self, codes: list[int]) -> tuple[str, ...]:
        return tuple(self._names.facts.text(code) for code in codes)

    def _tool_text(self, place: int | None) -> str | None:
        return None if place is None else self._names.facts.text(self._tools.tool(place))

    def _grow(self, agents: int) -> None:
        if len(self.last_at) < agents:
            self.agent_type = grown(self.agent_type, agents, 0)
            self.provider = grown(self.provider, agents, 0)
            self.last_at = grown(self.last_at, agents, -np.inf)
            self.interval_s = grown(self.interval_s, agents, 0)
            self._frozen_at = grown(self._frozen_at, agents, np.inf)
            for table in (self._prompts, self._models, self._errors):
                table.grow(len(self.last_at))
            self._tools.grow(len(self.last_at))
            self._recent.grow(len(self.last_at))


def _at_least(k: int, n: int, p: float) -> float:
    """P(X >= k) of a binomial law with n trials of probability p."""
    return sum(math.comb(n, i) * p**i * (1.0 - p) ** (n - i) for i in range(k, n + 1))
