"""The HTTP API against a small model of it, in any order of requests.

The model knows agents, their steps and other names, cases with their versions, holds, lockdowns and
modes; the machine sends requests, right ones and wrong ones, and compares all that can be read with
the model after each. Time is the test's; the system takes a turn when a rule says so.
"""

from __future__ import annotations

import os
from typing import Any
from urllib.parse import quote

import httpx2
import msgspec
from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import invariant, precondition, rule

from immune.incidents.states import State
from immune.modes import Mode
from tests.web.asking import Asking
from tests.web.model import LEADS, Case, path_of

NAMES = ("a", "svc/b", "ü?")
OTHERS = ("a-2", "b-2")
TYPES = {"a": "coder", "svc/b": "coder", "ü?": "triage"}
DAY_S = 86_400.0

names = st.sampled_from(NAMES)
any_names = st.sampled_from(NAMES + OTHERS)
verdicts = st.sampled_from(["false_alarm", "new_normal", "fixed_by_hand"])


class HttpApi(Asking):
    """Sends requests and knows what must come of them."""

    # --- vitals ------------------------------------------------------------------------------

    @rule(agent=any_names, steps=st.lists(st.integers(0, 5), min_size=1, max_size=4))
    def steps_are_reported(self, agent: str, steps: list[int]) -> None:
        """A step that was reported before counts once, under whatever name."""
        report = [
            {
                "agent_id": agent,
                "step_id": self.step(n),
                "latency_ms": 500,
                "agent_type": TYPES.get(self.model.name(agent), "triage"),
            }
            for n in steps
        ]
        answer = self.ask("POST", "/api/vitals", report)
        assert (answer.status_code, answer.json()["accepted"]) == (202, len(steps))
        self._reported(agent, {self.step(n) for n in steps})

    @rule(wrong=st.sampled_from(["latency_ms", "agent_id"]))
    def a_wrong_step_spoils_no_other(self, wrong: str) -> None:
        """It is refused by index and field, and the rest is kept."""
        right = {"agent_id": "a", "step_id": self.step(0), "agent_type": "coder", "latency_ms": 1}
        answer = self.ask("POST", "/api/vitals", [right | {wrong: -1}, right])
        assert [(r["index"], r["field"]) for r in answer.json()["refused"]] == [(0, wrong)]
        self._reported("a", {self.step(0)})

    def step(self, number: int) -> str:
        """A step's id; of one that is gone from the store, none is told again."""
        return f"{self.weeks}-{number}"

    def _reported(self, agent: str, steps: set[str]) -> None:
        name = self.model.name(agent)
        new = {(name, step) for step in steps} - self.model.steps
        if new:  # what was told before brings back nobody who left
            self.model.agents.add(name)
            self.model.seen[name] = self.site.clock.time()
        self.model.steps |= new
        self.runner.run(self.site.system.orchestrator.turn())
        self.look()

    # --- cases -------------------------------------------------------------------------------

    @precondition(lambda self: self.model.agents)
    @rule(agent=names, asks=st.sampled_from(["severity 8.0", ""]))
    def an_agent_falls_ill(self, agent: str, asks: str) -> None:
        """A case for a person, or one that heals by itself."""
        if agent not in self.model.agents or self.model.open_case(agent) is not None:
            return
        case = self.runner.run(self.site.case(agent, asks))
        self.model.cases[case.id] = Case(agent, str(case.state), case.version)

    @precondition(lambda self: self.model.cases)
    @rule(
        data=st.data(),
        verb=st.sampled_from(["approve", "reject", "heal-now", "release"]),
        behind=st.sampled_from([0, 0, 0, 1, -1]),
        bulk=st.booleans(),
        verdict=verdicts,
        action=st.sampled_from([None, "reset_memory", "wait"]),
    )
    def a_person_decides(
        self,
        data: st.DataObject,
        verb: str,
        behind: int,
        bulk: bool,
        verdict: str,
        action: str | None,
    ) -> None:
        """On the version that was seen, in a state that knows the word; else nothing happens."""
        case_id = data.draw(st.sampled_from(sorted(self.model.cases)))
        case = self.model.cases[case_id]
        version = case.version - behind
        body: dict[str, Any] = {"version": version, "who": "ann"}
        if verb == "release":
            body["verdict"] = verdict
        if verb == "heal-now" and action and not bulk:
            body["action"] = action
        if verb == "approve" and action and not bulk:
            body["plan"] = [action]
        if bulk and verb != "release":
            decision = {"incident_id": case_id, "version": version}
            answer = self.order(f"/api/{verb}", {"decisions": [decision], "who": "ann"})
            (outcome,) = answer.json()
            assert (outcome["incident"] is None) == bool(outcome["error"])
            moved = outcome["incident"]
        else:
            answer = self.order(f"/api/incidents/{case_id}/{verb}", body)
            moved = answer.json() if answer.status_code == 200 else None
            if moved is None:
                self._refused(answer, case, behind)
        if moved is not None:
            assert behind == 0
            assert case.is_open
            assert moved["version"] == case.version + 1
            assert moved["state"] in LEADS[verb, case.state]
            case.state, case.version = moved["state"], moved["version"]
        else:
            assert behind or self._may_be_refused(verb, case, body)
        self.look()

    def _refused(self, answer: httpx2.Response, case: Case, behind: int) -> None:
        """What happened meanwhile is told, whatever else is wrong with the order."""
        if behind or not case.is_open:
            assert answer.status_code == 409, answer.text
        if answer.status_code == 409:
            problem = answer.json()
            now = problem["current"]
            versions = [line["version"] for line in problem["meanwhile"]]
            assert versions == list(range(max(1, case.version - behind + 1), case.version + 1))
            assert (now["version"], now["state"]) == (case.version, case.state)
        else:
            assert (answer.status_code, answer.json()["field"]) in {(422, "plan"), (422, "action")}

    def _may_be_refused(self, verb: str, case: Case, body: dict[str, Any]) -> bool:
        if (verb, case.state) not in LEADS:
            return True
        # a part of a plan that is not in it; an exhausted ladder without an action; no rung left
        return verb in ("approve", "heal-now")

    @rule(number=st.integers(90, 99))
    def nobody_decides_what_never_was(self, number: int) -> None:
        """404, and no case comes of it."""
        path = f"/api/incidents/inc-{number}/approve"
        assert self.order(path, {"version": 1}).status_code == 404

    # --- fences ------------------------------------------------------------------------------

    @rule(agent=any_names)
    def a_person_holds(self, agent: str) -> None:
        """A hold around the agent, by whichever of its names."""
        answer = self.order(path_of(agent, "quarantine"), {"who": "ann", "why": "odd mails"})
        name = self.model.name(agent)
        if name not in self.model.agents and name not in self.model.fenced():
            assert answer.status_code == 404
            return
        fence = answer.json()["fence"]
        assert (fence["agent_id"], fence["id"] in self.model.holds) == (name, False)
        self.model.holds[fence["id"]] = name, None

    @rule(agent=any_names)
    def a_person_lets_go(self, agent: str) -> None:
        """All holds of persons on the agent, a lockdown's too, and no case's fence."""
        answer = self.order(path_of(agent, "release"), {"who": "bob"})
        name = self.model.name(agent)
        mine = {i for i, (held, _) in self.model.holds.items() if held == name}
        if not mine:
            assert answer.status_code == 404
            return
        assert {fence["id"] for fence in answer.json()} == mine
        for fence_id in mine:
            del self.model.holds[fence_id]

    @rule()
    def everything_is_fenced(self) -> None:
        """Around every agent that ever reported."""
        answer = self.order("/api/lockdowns", {"who": "ann", "why": "a leak"})
        if not self.model.agents:
            assert answer.status_code == 404
            return
        made = answer.json()
        assert made["agents"] == len(self.model.agents)
        assert made["id"] not in {lockdown for _, lockdown in self.model.holds.values()}
        for agent in self.model.agents:
            self.model.holds[f"all/{made['id']}/{agent}"] = agent, made["id"]

    @rule(data=st.data())
    def a_lockdown_is_taken_back(self, data: st.DataObject) -> None:
        """Exactly the holds of it that still stand."""
        standing = sorted({lock for _, lock in self.model.holds.values() if lock is not None})
        chosen = data.draw(st.sampled_from([*standing, "0.000"]))
        mine = {i for i, (_, lockdown) in self.model.holds.items() if lockdown == chosen}
        answer = self.order(f"/api/lockdowns/{chosen}/undo", {"who": "eve"})
        assert answer.status_code == (200 if mine else 404)
        if mine:
            assert answer.json()["agents"] == len(mine)
        for fence_id in mine:
            del self.model.holds[fence_id]

    # --- agents ------------------------------------------------------------------------------

    @rule(agent=any_names, other=any_names)
    def an_agent_has_another_name(self, agent: str, other: str) -> None:
        """Its steps count as the agent's; an agent of that name goes, if nobody must decide."""
        answer = self.order(path_of(agent, "aliases"), {"alias": other})
        name, model = self.model.name(agent), self.model
        if name not in model.agents:
            assert answer.status_code == 404
        elif other == name:
            assert (answer.status_code, answer.json()["field"]) == (422, "alias")
        elif other in model.agents and self.kept(other):
            assert answer.status_code == 409
        else:
            assert answer.status_code == 200
            model.agents.discard(other)
            for alias in (other, *(a for a, of in model.aliases.items() if of == other)):
                model.aliases[alias] = name
            assert answer.json()["aliases"] == model.aliases

    @rule(agent=any_names, other=any_names)
    def another_name_is_taken_back(self, agent: str, other: str) -> None:
        """By whoever has it, there or not."""
        path = f"{path_of(agent, 'aliases')}?alias={quote(other, safe='')}"
        answer = self.order(path, None, "DELETE")
        if self.model.aliases.get(other) == self.model.name(agent):
            del self.model.aliases[other]
            assert answer.json()["aliases"] == self.model.aliases
        else:
            assert answer.status_code == 404

    @rule(agent=any_names)
    def an_agent_is_deleted(self, agent: str) -> None:
        """Unless somebody must decide about it first."""
        name = self.model.name(agent)
        kept = self.kept(name) if name in self.model.agents else False
        answer = self.order(path_of(agent), None, "DELETE")
        if name not in self.model.agents:
            assert answer.status_code == 404
        elif kept:
            assert answer.status_code == 409
        else:
            assert answer.status_code == 200
            self.model.agents.remove(name)

    @rule(agent=any_names)
    def an_agent_says_goodbye(self, agent: str) -> None:
        """It stays known."""
        known = self.model.name(agent) in self.model.agents
        answer = self.order(path_of(agent, "goodbye"), {})
        assert answer.status_code == (200 if known else 404)

    # --- modes -------------------------------------------------------------------------------

    @rule(mode=st.sampled_from([*map(str, Mode), None]), whose=st.sampled_from(["", "type", "id"]))
    def the_mode_is_set(self, mode: str | None, whose: str) -> None:
        """For all, for a type that reported, or for an agent; null gives the wider one back."""
        model = self.model
        known = {TYPES.get(agent, "triage") for agent in model.agents} | set(model.by_type)
        body: dict[str, Any] = {"mode": mode}
        if whose == "type":
            body["agent_type"] = "coder"
        if whose == "id":
            body["agent_id"] = "a-2"
        answer = self.order("/api/mode", body)
        if whose == "":
            assert answer.status_code == (422 if mode is None else 200)
            model.mode = mode or model.mode
        elif whose == "type":
            assert answer.status_code == (200 if "coder" in known else 404)
            if answer.status_code == 200:
                model.by_type.pop("coder", None)
                model.by_type |= {"coder": mode} if mode else {}
        else:
            name = model.name("a-2")
            there = name in model.agents or name in model.fenced()
            assert answer.status_code == (200 if there else 404)
            if there:
                model.by_agent.pop(name, None)
                model.by_agent |= {name: mode} if mode else {}

    # --- again, and later --------------------------------------------------------------------

    @precondition(lambda self: self.keyed)
    @rule(data=st.data())
    def an_order_is_sent_again(self, data: st.DataObject) -> None:
        """The same answer to the letter, and nothing is done; no other order may take its key."""
        method, path, body, answered, key, _ = data.draw(st.sampled_from(self.keyed))
        again = self.ask(method, path, body, key)
        assert (again.status_code, again.content) == (200, answered)
        other = self.ask("POST", "/api/mode", {"mode": "ask", "agent_type": "nobody's"}, key)
        assert (other.status_code, other.json()["field"]) == (422, "Idempotency-Key")

    @rule(seconds=st.sampled_from([0.5, 60.0, 1000.0, 8 * DAY_S]))
    def time_passes(self, seconds: float) -> None:
        """The system does what it wished; agents silent for a week go, unless they are kept."""
        before = set(self.model.agents)
        kept = {agent for agent in before if self.kept(agent)}
        self.site.clock.advance(seconds)
        for _ in range(3):
            self.runner.run(self.site.system.orchestrator.turn())
        self.look()
        there = {agent["agent_id"] for agent in self.get("/api/agents")}
        assert there <= before
        assert kept <= there
        week_ago = self.site.clock.time() - 7 * DAY_S
        assert all(self.model.seen[agent] <= week_ago for agent in before - there)
        self.weeks += seconds > DAY_S
        day_ago = self.site.clock.time() - DAY_S
        self.keyed = [order for order in self.keyed if order.at > day_ago]
        self.model.agents = there

    # --- always ------------------------------------------------------------------------------

    @invariant()
    def what_can_be_read_is_what_was_done(self) -> None:
        """Agents, fences, lockdowns, modes, cases and steps, each from its own route."""
        model = self.model
        agents = {agent["agent_id"]: agent for agent in self.get("/api/agents")}
        assert set(agents) == model.agents
        assert {name for name, a in agents.items() if a["fenced"]} == model.fenced() & set(agents)
        for name, agent in agents.items():
            mode = model.by_agent.get(name) or model.by_type.get(agent["agent_type"]) or model.mode
            assert agent["mode"] == mode
            assert agent["incident_id"] == model.open_case(name)
        lockdowns = {one["id"]: one["agents"] for one in self.get("/api/lockdowns")}
        raised = [lockdown for _, lockdown in model.holds.values() if lockdown is not None]
        assert lockdowns == {lockdown: raised.count(lockdown) for lockdown in raised}
        status = self.get("/api/status")
        assert (status["mode"], status["modes_by_type"]) == (model.mode, model.by_type)
        assert (status["failures"], status["degraded"]) == (0, [])
        for case_id, case in model.cases.items():
            told = self.get(f"/api/incidents/{case_id}")
            assert (told["incident"]["state"], told["incident"]["version"]) == (
                case.state,
                case.version,
            )
            assert [event["version"] for event in told["events"]] == list(
                range(1, case.version + 1)
            )
        waiting = {case["id"] for case in self.get("/api/pending")}
        assert waiting == {i for i, c in model.cases.items() if c.state == State.AWAITING_APPROVAL}
        stored = self.runner.run(self.site.telemetry.count())
        assert stored == len(model.steps)

    @invariant()
    def another_name_is_the_same_agent(self) -> None:
        """Whatever is asked of it."""
        for other, name in self.model.aliases.items():
            if name in self.model.agents:
                assert self.get(path_of(other)) == self.get(path_of(name))
                for what in ("vitals", "minutes"):
                    assert self.get(path_of(other, what)) == self.get(path_of(name, what))
                assert self.get(f"/api/incidents?agent={quote(other)}") == self.get(
                    f"/api/incidents?agent={quote(name)}"
                )

    @invariant()
    def the_store_says_the_same(self) -> None:
        """Fences in memory are the rows, so that a restart raises exactly them."""
        rows = self.runner.run(self.site.system.orchestrator.workflow.fences())
        standing = self.site.system.orchestrator.quarantine.standing()
        assert msgspec.json.encode(sorted(rows, key=lambda f: f.id)) == msgspec.json.encode(
            sorted(standing, key=lambda f: f.id)
        )
        assert {f.id for f in rows if f.incident_id is None} == set(self.model.holds)


ASKED_FOR = os.environ.get("IMMUNE_MODEL_EXAMPLES")
"""How many new runs to make, instead of the few that are always the same."""

TestHttpApi = HttpApi.TestCase
TestHttpApi.settings = settings(
    max_examples=int(ASKED_FOR or 25),
    stateful_step_count=30,
    derandomize=ASKED_FOR is None,
    database=None,
    phases=[Phase.generate],  # shrinking takes minutes, and thirty steps can be read
    suppress_health_check=[HealthCheck.filter_too_much],
)
