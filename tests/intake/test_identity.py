"""Whose step it is: the design's rule, joined over the trace."""

from __future__ import annotations

from typing import Any

import pytest

from immune.intake.otlp.assemble import TraceAssembler
from immune.intake.otlp.identity import IdentityRule
from immune.intake.otlp.span import Span
from tests.intake.traces import assembled, chain, make_span, model, nameless_run, run, tool


def owners(*spans: Span) -> dict[str, str]:
    """By the span that gave a step, the agent whose step it is."""
    return {vital.step_id or "": vital.agent_id for vital in assembled(spans)}


@pytest.mark.parametrize(
    ("attributes", "service", "agent_id", "rule"),
    [
        (
            {"immune__agent__id": "i", "gen_ai__agent__id": "g", "gen_ai__agent__name": "n"},
            "svc",
            "i",
            IdentityRule.IMMUNE_ID,
        ),
        (
            {"gen_ai__agent__id": "g", "gen_ai__agent__name": "n"},
            "svc",
            "g",
            IdentityRule.AGENT_ID,
        ),
        ({"gen_ai__agent__name": "n"}, "svc", "svc/n", IdentityRule.SERVICE_AND_NAME),
        ({"agent__name": "n"}, "svc", "svc/n", IdentityRule.SERVICE_AND_NAME),
        (
            {"langsmith__metadata__lc_agent_name": "n"},
            "svc",
            "svc/n",
            IdentityRule.SERVICE_AND_NAME,
        ),
        ({"metadata": '{"lc_agent_name":"n"}'}, "svc", "svc/n", IdentityRule.SERVICE_AND_NAME),
        ({"gen_ai__agent__name": "n"}, "", "n", IdentityRule.NAME),
        ({"gen_ai__agent__name": "n"}, "unknown_service:python", "n", IdentityRule.NAME),
        ({}, "svc", "svc", IdentityRule.SERVICE),
    ],
)
def test_the_rule_that_fires_is_the_first_that_can(
    attributes: dict[str, Any], service: str, agent_id: str, rule: IdentityRule
) -> None:
    """And it is remembered, to be shown with the agent."""
    assembler = TraceAssembler()
    vitals = assembled([model("a", service=service, **attributes)], assembler)
    assert [vital.agent_id for vital in vitals] == [agent_id]
    assert assembler.identity_rule == {agent_id: rule}
    assert vitals[0].agent_type == ("n" if attributes else None)


def test_a_step_of_nobody_is_counted_and_not_made_up() -> None:
    """Without a service and an agent there is nobody to learn the normal of."""
    assembler = TraceAssembler()
    assert assembled([model("a", service="")], assembler) == []
    assert assembler.unmapped == {"no_identity": 1}


def test_calls_join_the_run_around_them() -> None:
    """An id only the run tells is the calls' as well, also from another process."""
    assert owners(
        run("r", gen_ai__agent__id="g"),
        model("a", "r"),
        model("b", "r", gen_ai__agent__name="researcher"),
        tool("t", "r", (2, 8)),
        model("c", "t", (3, 4), service="elsewhere"),
    ) == {"r": "g", "a": "g", "b": "g", "c": "g"}


def test_a_call_that_names_another_agent_is_that_agents() -> None:
    """The nearest word counts."""
    assert owners(
        run("r", gen_ai__agent__id="g"), model("a", "r", gen_ai__agent__name="other")
    ) == {
        "r": "g",
        "a": "svc/other",
    }


def test_any_span_around_may_tell_the_id() -> None:
    """A user may set `immune.agent.id` on a span of their own."""
    spans = [make_span("h", at=(0, 9), immune__agent__id="i"), chain("c", "h"), model("a", "c")]
    assert owners(*spans) == {"c": "i", "a": "i"}


@pytest.mark.parametrize("name", ["graph__node__id", "traceloop__entity__name"])
def test_an_agents_span_may_be_named_as_a_node(name: str) -> None:
    """On other spans the same attributes name other things."""
    told: dict[str, Any] = {name: "n"}
    assert owners(nameless_run("r", **told), model("a", "r")) == {"r": "svc/n", "a": "svc/n"}
    assert owners(model("a", **told)) == {"a": "svc"}


def test_a_resource_may_name_the_agent_of_its_whole_process() -> None:
    """`OTEL_RESOURCE_ATTRIBUTES=immune.agent.id=...` is enough to connect one."""
    told: dict[str, Any] = {"resource": {"immune.agent.id": "i", "immune.agent.type": "t"}}
    assert owners(nameless_run("r", **told), model("a", "r", **told)) == {"r": "i", "a": "i"}
    named: dict[str, Any] = {"resource": {"gen_ai.agent.id": "g", "gen_ai.agent.name": "n"}}
    assert owners(model("a", **named)) == {"a": "g"}
    assert owners(model("a", gen_ai__agent__name="other", **named)) == {"a": "svc/other"}


def test_the_type_is_told_or_the_agents_name() -> None:
    """Agents of one name are peers, whatever their ids."""
    (vital,) = assembled([model("a", gen_ai__agent__name="n", immune__agent__type="t")])
    assert vital.agent_type == "t"


@pytest.mark.parametrize(
    ("name", "why"),
    [("x" * 300, "too_large"), ("x" * 5000, "too_large"), ("a\x00b", "refused_agent_id")],
)
def test_an_agent_with_an_impossible_name_is_refused_and_not_renamed(name: str, why: str) -> None:
    """Its steps must not count as its service's."""
    assembler = TraceAssembler()
    assert assembled([model("a", gen_ai__agent__name=name)], assembler) == []
    assert assembler.unmapped == {why: 1}
