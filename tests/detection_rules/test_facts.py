"""The book of facts knows what is usual around each agent, and so what is news."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.detection_rules.steps import START, batch, call, cut, step

from immune.columns import KIND_CODE, Names
from immune.detection.facts import FactBook
from immune.detection.findings import Facts
from immune.detection.rule_params import FactParams
from immune.vitals import Kind, ToolCall, Vital

CALM = 120
"""Steps of one second each that every story begins with."""


class Story:
    def __init__(self, names: Names | None = None) -> None:
        self.names = names or Names()
        self.book = FactBook(FactParams(), self.names)

    def tell(self, vitals: Iterable[Vital]) -> None:
        self.book.observe(batch(self.names, vitals))

    def code(self, agent: str = "a") -> int:
        return self.names.agents.code(agent)

    def since(self, at: float, agent: str = "a") -> Facts:
        return self.book.facts(self.code(agent), KIND_CODE[Kind.RUN], START + at)

    def members(self, dimension: Any) -> dict[str, list[str]]:
        text = self.names.agents.text
        return {
            name: [text(int(code)) for code in codes]
            for name, codes in self.book.members(dimension).items()
        }


def usual(at: float, *more: ToolCall, agent: str = "a", **facts: Any) -> Vital:
    """A healthy step: a search and a read, prompt p1 on model m1 of provider x, type t."""
    around = {"prompt_hash": "p1", "model": "m1", "provider": "x", "agent_type": "t"} | facts
    calls = (call("search", args=int(at) + 1), call("read", args=int(at) + 1), *more)
    return step(at, *calls, agent=agent, **around)


@pytest.fixture
def story() -> Story:
    story = Story()
    story.tell(usual(t) for t in range(CALM))
    return story


def test_nothing_is_news_in_a_calm_life(story: Story) -> None:
    """An agent that goes on as ever has no facts to tell."""
    assert story.since(CALM - 30) == Facts()


def test_a_new_prompt_is_news(story: Story) -> None:
    """A prompt hash that was never seen before the onset is told, and the model is not."""
    story.tell(usual(t, prompt_hash="p2") for t in range(CALM, CALM + 5))
    facts = story.since(CALM)
    assert facts.prompt_hash_changed
    assert not facts.model_changed


def test_an_onset_estimated_too_late_still_finds_its_cause(story: Story) -> None:
    """The change of the prompt may lie a few steps before the estimated onset."""
    story.tell(usual(t, prompt_hash="p2") for t in range(CALM, CALM + 10))
    assert story.since(CALM + 4).prompt_hash_changed
    assert not story.since(CALM + 9).prompt_hash_changed


def test_a_known_prompt_is_no_news(story: Story) -> None:
    """An agent that goes back and forth between two prompts has not changed."""
    story.tell(usual(t, prompt_hash="p2") for t in range(CALM, 2 * CALM))
    story.tell(usual(t, prompt_hash="p1") for t in range(2 * CALM, 2 * CALM + 5))
    assert not story.since(2 * CALM).prompt_hash_changed


def test_a_prompt_that_differs_in_every_step_is_no_news() -> None:
    """Where the hash covers the task, nothing is usual, and so nothing is news."""
    story = Story()
    story.tell(usual(t, prompt_hash=f"p{t}") for t in range(CALM))
    assert not story.since(CALM - 20).prompt_hash_changed


def test_a_new_model_is_news(story: Story) -> None:
    """A change of the model is told."""
    story.tell(usual(t, model="m2") for t in range(CALM, CALM + 5))
    assert story.since(CALM).model_changed


def test_a_new_tool_is_news(story: Story) -> None:
    """A tool that was never used in more than a hundred calls is told."""
    story.tell(usual(t, call("send_money")) for t in range(CALM, CALM + 3))
    assert story.since(CALM).new_tools == ("send_money",)


def test_a_new_tool_of_a_young_agent_is_no_news() -> None:
    """Before a hundred calls every tool is new."""
    story = Story()
    story.tell(usual(t) for t in range(20))
    story.tell(usual(t, call("send_money")) for t in range(20, 23))
    assert story.since(20).new_tools == ()


def test_a_tool_that_begins_to_fail_stands_out(story: Story) -> None:
    """The tool that most failures belong to is named, with the types of the errors."""
    for t in range(CALM, CALM + 6):
        failing = [call("fetch", args=t, ok=False), call("read", args=t, ok=t % 6 != 0)]
        story.tell([step(t, *failing, prompt_hash="p1", error_type="Timeout")])
    facts = story.since(CALM)
    assert facts.failing_tool == "fetch"
    assert facts.error_types == ("Timeout",)


def test_a_tool_that_always_fails_is_no_news() -> None:
    """A tool that fails half of the time as ever is not what changed."""
    story = Story()
    story.tell(usual(t, call("flaky", args=t, ok=t % 2 == 0)) for t in range(CALM))
    assert story.since(CALM - 20).failing_tool is None


def test_failures_spread_over_tools_name_none(story: Story) -> None:
    """Where every tool fails, no tool is the cause."""
    for t in range(CALM, CALM + 9):
        story.tell([step(t, *[call(tool, args=t, ok=False) for tool in ("search", "read", "w")])])
    assert story.since(CALM).failing_tool is None


def test_a_repeated_call_is_named(story: Story) -> None:
    """The call that makes up most of what an agent does since the onset is a fact."""
    story.tell(usual(t, *[call("search")] * 6) for t in range(CALM, CALM + 3))
    facts = story.since(CALM - 1)
    assert facts.repeated_tool == "search"
    assert facts.repeats == 18


def test_a_poll_is_not_a_repeated_call() -> None:
    """Equal calls at a slow pace are no loop."""
    story = Story()
    story.tell(step(t * 10.0, call("status")) for t in range(100))
    assert story.since(500).repeated_tool is None


def test_a_discarded_sickness_stays_news(story: Story) -> None:
    """What came with a sickness that was healed is news again when it comes back."""
    story.book.freeze(story.code(), START + CALM)
    story.tell(usual(t, call("send_money"), prompt_hash="p2") for t in range(CALM, CALM + 30))
    story.book.thaw(story.code(), "discard")
    story.tell(usual(t) for t in range(CALM + 30, CALM + 60))
    assert story.since(CALM + 31) == Facts()
    story.tell([usual(CALM + 60, call("send_money"), prompt_hash="p2")])
    facts = story.since(CALM + 60)
    assert facts.new_tools == ("send_money",)
    assert facts.prompt_hash_changed


@pytest.mark.parametrize("order", ["learn", "restart"])
def test_what_was_accepted_is_usual(story: Story, order: Any) -> None:
    """After a false alarm, or as a new normal, the new prompt and tool are no news any more."""
    story.book.freeze(story.code(), START + CALM)
    story.tell(
        usual(t, call("send_money", args=t), prompt_hash="p2") for t in range(CALM, CALM + 60)
    )
    story.book.thaw(story.code(), order)
    story.tell(
        usual(t, call("send_money", args=t), prompt_hash="p2") for t in range(CALM + 60, CALM + 90)
    )
    assert story.since(CALM + 80) == Facts()


def test_after_a_restart_the_old_is_news(story: Story) -> None:
    """When a new normal was accepted, going back to the old prompt is a change."""
    story.book.freeze(story.code(), START + CALM)
    story.tell(usual(t, prompt_hash="p2") for t in range(CALM, CALM + 60))
    story.book.thaw(story.code(), "restart")
    story.tell(usual(t, prompt_hash="p1") for t in range(CALM + 60, CALM + 65))
    assert story.since(CALM + 60).prompt_hash_changed


def test_failures_during_a_freeze_do_not_become_usual(story: Story) -> None:
    """A tool that failed all through an incident still stands out at its end."""
    story.book.freeze(story.code(), START + CALM)
    story.tell(usual(t, call("fetch", args=t, ok=False)) for t in range(CALM, CALM + 200))
    assert story.since(CALM + 190).failing_tool == "fetch"


def test_groups_are_those_of_active_agents(story: Story) -> None:
    """Agents are grouped by provider, model, type and usual tools; the silent ones drop out."""
    story.tell(usual(t, agent="b", provider="y", model="m2") for t in range(CALM, CALM + 10))
    assert story.members("provider") == {"x": ["a"], "y": ["b"]}
    assert story.members("model") == {"m1": ["a"], "m2": ["b"]}
    assert story.members("agent_type") == {"t": ["a", "b"]}
    assert story.members("tool") == {"search": ["a", "b"], "read": ["a", "b"]}
    story.tell([usual(5_000, agent="b", provider="y")])
    assert story.members("provider") == {"y": ["b"]}


def test_a_tool_used_once_makes_no_member(story: Story) -> None:
    """A group by tool has those who usually use it."""
    story.tell([usual(CALM, call("rare"))])
    assert "rare" not in story.members("tool")


def test_saved_facts_outlive_the_process(story: Story) -> None:
    """After a restart, where names have other codes, the same things are usual and news."""
    saved = story.book.save(story.code())
    names = Names()
    for text in ("zz", "p2", "read", "yy"):
        names.facts.code(text)
        names.agents.code(text)
    later = Story(names)
    later.book.load(later.code(), saved)
    assert later.book.save(later.code()) == saved
    later.tell(usual(t, call("send_money"), prompt_hash="p2") for t in range(CALM, CALM + 3))
    facts = later.since(CALM)
    assert facts.prompt_hash_changed
    assert not facts.model_changed
    assert facts.new_tools == ("send_money",)
    assert later.members("provider") == {"x": ["a"]}


def test_a_retired_agent_leaves_nothing(story: Story) -> None:
    """Nothing of a retired agent is known, and others are untouched."""
    story.tell(usual(t, agent="b") for t in range(CALM, CALM + 20))
    kept = story.book.save(story.code("b"))
    story.book.retire(story.code())
    assert story.book.save(story.code()) == story.book.save(story.code("never seen"))
    assert story.book.save(story.code("b")) == kept
    assert story.members("tool") == {"search": ["b"], "read": ["b"]}


def test_tools_are_bounded() -> None:
    """An agent that invents tool names without end is counted for 64 of them."""
    story = Story()
    story.tell(step(t, *[call(f"tool{t}-{i}") for i in range(10)]) for t in range(50))
    assert story.book.save(story.code()).count(b"tool") == 64


@settings(max_examples=30)
@given(
    st.lists(
        st.tuples(
            st.sampled_from(["a", "b", "c"]),
            st.sampled_from(["p1", "p2", None]),
            st.lists(st.sampled_from(["search", "read", "write"]), max_size=5),
            st.booleans(),
        ),
        min_size=1,
        max_size=60,
    ),
    st.integers(0, 2**32 - 1),
)
def test_any_batching_gives_the_same_book(
    story: list[tuple[str, str | None, list[str], bool]], seed: int
) -> None:
    """How the stream is cut into batches never changes what is usual."""
    vitals = [
        step(t, *[call(tool, ok=ok) for tool in tools], agent=agent, prompt_hash=prompt)
        for t, (agent, prompt, tools, ok) in enumerate(story)
    ]
    whole, parts = Story(), Story()
    whole.tell(vitals)
    for part in cut(vitals, np.random.default_rng(seed)):
        parts.tell(part)
    for agent in ("a", "b", "c"):
        for since in (0, len(story) / 2, len(story)):
            assert whole.since(since, agent).failing_tool == parts.since(since, agent).failing_tool
            assert whole.since(since, agent).repeats == parts.since(since, agent).repeats
    assert whole.members("tool") == parts.members("tool")
