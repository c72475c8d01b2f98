"""What belongs to what in a trace, told by spans made for one question each."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from immune.intake.otlp.assemble import TraceAssembler
from immune.intake.otlp.span import Span
from immune.intake.otlp.tree import Tree, read_trace
from immune.vitals import Kind, ToolCall, Vital
from tests.intake.traces import (
    SALT,
    assembled,
    chain,
    make_span,
    model,
    nameless_run,
    run,
    tool,
)


def tree(*spans: Span, complete: bool = True) -> Tree:
    """The trace that these spans make."""
    return read_trace({span.span_id: span for span in spans}, complete=complete)


def runs(*spans: Span) -> list[Vital]:
    """The runs among the vitals of these spans."""
    return [vital for vital in assembled(spans) if vital.kind is Kind.RUN]


def calls(*spans: Span) -> list[Vital]:
    """The calls among the vitals of these spans."""
    return [vital for vital in assembled(spans) if vital.kind is Kind.CALL]


def test_tools_belong_to_the_call_before_them_in_the_same_run() -> None:
    """Tools between two model calls were asked for by the first."""
    first, second, third = calls(
        run("r"), model("a", "r", (0, 1)), tool("t1", "r", (1, 2)), tool("t2", "r", (1.5, 2)),
        model("b", "r", (3, 4)), tool("t3", "r", (5, 6), failed=True), model("c", "r", (7, 8)),
    )  # fmt: skip
    assert [call.tool_calls for call in (first, second, third)] == [2, 1, 0]
    assert second.calls is not None
    assert not second.calls[0].ok
    assert third.calls is None


def test_parallel_turns_keep_their_own_tools() -> None:
    """The same parent counts for more than the clock."""
    first, second = calls(
        run("r"), chain("x", "r"), chain("y", "r"),
        model("a", "x", (0, 1)), model("b", "y", (0.5, 1.5)), tool("t", "x", (2, 3)),
    )  # fmt: skip
    assert (first.tool_calls, second.tool_calls) == (1, 0)


def test_a_tool_inside_a_model_call_belongs_to_it() -> None:
    """Some frameworks nest the tools that an answer asked for."""
    inner, outer = calls(
        run("r"), model("a", "r", (0, 9)), model("b", "r", (1, 2)), tool("t", "a", (3, 4))
    )
    assert (outer.tool_calls, inner.tool_calls) == (1, 0)


def test_no_tools_reported_at_all_is_unknown_and_not_none() -> None:
    """Missing is never 0: the tools may just not be instrumented."""
    spans = [run("r"), model("a", "r", (0, 1)), model("b", "r", (2, 3))]
    assert [call.tool_calls for call in calls(*spans)] == [None, None]
    assert runs(*spans)[0].tool_calls is None


def test_a_failed_call_followed_by_another_is_a_retry() -> None:
    """The last one's failure was not tried again."""
    (whole,) = runs(
        run("r", failed=True, error__type="gave_up"),
        model("a", "r", (0, 1), error__type="timeout"),
        model("b", "r", (2, 3), failed=True),
        model("c", "r", (4, 5), failed=True),
    )
    assert (whole.retries, whole.errors, whole.error_type) == (2, 1, "gave_up")


def test_what_http_sent_again_is_a_retry_too() -> None:
    """An attribute may tell what no span shows."""
    spans = [run("r"), model("a", "r", http__request__resend_count=3)]
    assert calls(*spans)[0].retries == 3
    assert runs(*spans)[0].retries == 3


def test_attempts_inside_one_call_are_its_retries() -> None:
    """The client's call went well; two attempts in it had not."""
    (call,) = calls(
        model("a", at=(0, 9)),
        model("a1", "a", (0, 1), failed=True),
        model("a2", "a", (2, 3), failed=True),
        model("a3", "a", (4, 8)),
    )
    assert (call.retries, call.errors, call.latency_ms) == (2, 0, 9000)


def test_of_two_reports_of_one_call_the_richer_one_gives_the_facts() -> None:
    """The outer one waited longest; the inner one knows tokens and cost."""
    (call,) = calls(
        make_span("a", at=(0, 2), openinference__span__kind="LLM", llm__model_name="m"),
        make_span("h", "a", (0.5, 2), http__request__method="POST"),
        model("b", "h", (1, 2), gen_ai__request__model="m", gen_ai__usage__cost=0.5),
    )
    assert (call.latency_ms, call.input_tokens, call.cost_usd) == (2000, 10, 0.5)
    assert call.step_id == "a"


def test_a_tool_reported_twice_counts_once() -> None:
    """The framework's span and the MCP client's are the same call of a tool."""
    spans = [run("r"), model("m", "r"), tool("t", "r", (2, 3)), tool("t2", "t", (2, 3))]
    assert runs(*spans)[0].tool_calls == 1
    assert calls(*spans)[0].tool_calls == 1


def test_a_run_sums_up_what_was_done_directly_in_it() -> None:
    """What a sub-agent did counts for the sub-agent, the asking for it as a tool call."""
    spans = [
        run("r", gen_ai__agent__name="boss"), model("a", "r", (0, 1)), tool("t", "r", (1, 8)),
        run("s", "t", (2, 7), gen_ai__agent__name="sub"), model("b", "s", (3, 4)),
        model("c", "s", (4, 5)), tool("u", "s", (5, 6)), model("d", "r", (8, 9)),
    ]  # fmt: skip
    sub, boss = runs(*spans)
    assert (boss.agent_id, boss.input_tokens, boss.tool_calls) == ("svc/boss", 20, 1)
    assert (sub.agent_id, sub.input_tokens, sub.tool_calls) == ("svc/sub", 20, 1)
    owners = [call.agent_id.removeprefix("svc/") for call in calls(*spans)]
    assert owners == ["boss", "sub", "sub", "boss"]


@pytest.mark.parametrize(
    "usage",
    [
        {"gen_ai__aggregated_usage__input_tokens": 7, "gen_ai__aggregated_usage__output_tokens": 3},
        {"gen_ai__usage__input_tokens": 7, "gen_ai__usage__output_tokens": 3},
        {"gen_ai__usage__prompt_tokens": 7, "gen_ai__usage__completion_tokens": 3},
        {"llm__token_count__prompt": 7, "llm__token_count__completion": 3},
    ],
)
def test_where_no_calls_are_reported_the_run_says_its_tokens(usage: dict[str, Any]) -> None:
    """A run's own sums are taken when there is nothing to add up."""
    (whole,) = runs(run("r", **usage))
    assert (whole.input_tokens, whole.output_tokens, whole.retries) == (7, 3, None)


def test_what_the_calls_say_counts_before_the_runs_own_sum() -> None:
    """A sum on the run may hold its sub-agents' tokens as well."""
    (whole,) = runs(run("r", gen_ai__aggregated_usage__input_tokens=99), model("a", "r"))
    assert whole.input_tokens == 10


def test_one_run_reported_by_two_instrumentations_counts_once() -> None:
    """Directly inside one another and of the same agent, they are the same run."""
    assembler = TraceAssembler()
    spans = [run("r"), run("s", "r", (1, 8)), model("a", "s")]
    vitals = assembled(spans, assembler)
    assert [vital.kind for vital in vitals] == [Kind.CALL, Kind.RUN]
    assert vitals[1].step_id == "r"
    assert vitals[1].input_tokens == 10
    assert assembler.unmapped == {"same_run": 1}


def test_an_agent_that_calls_itself_by_a_tool_runs_twice() -> None:
    """With a tool in between it is a task of its own."""
    assert len(runs(run("r"), tool("t", "r", (1, 8)), run("s", "t", (2, 7)))) == 2


def test_a_workflow_without_a_name_around_named_agents_is_no_run() -> None:
    """Its time and tokens are already theirs."""
    spans = [nameless_run("w"), run("r", "w", (1, 4)), model("a", "r"), run("s", "w", (5, 8))]
    assert [vital.step_id for vital in runs(*spans)] == ["r", "s"]


def test_a_run_without_a_name_inside_one_that_has_is_part_of_it() -> None:
    """It cannot be told whose else it would be."""
    spans = [run("r"), nameless_run("s", "r", (1, 8)), model("a", "s", (2, 3))]
    assert [vital.step_id for vital in runs(*spans)] == ["r"]
    assert runs(*spans)[0].input_tokens == 10


def test_the_outermost_chain_is_a_run() -> None:
    """Frameworks without agent spans still run tasks; a web request around it changes nothing."""
    spans = [make_span("h", at=(0, 9)), chain("c", "h"), chain("d", "c"), model("a", "d")]
    (whole,) = runs(*spans)
    assert (whole.agent_id, whole.step_id, whole.input_tokens) == ("svc", "c", 10)


def test_a_chain_that_names_another_agent_is_its_run() -> None:
    """LangGraph's sub-agents are chains inside the supervisor's."""
    boss, sub = '{"lc_agent_name":"boss"}', '{"lc_agent_name":"sub"}'
    spans = [
        chain("c", metadata=boss), chain("n", "c", metadata=boss),
        chain("s", "n", (1, 8), metadata=sub), model("a", "s", (2, 3), metadata=sub),
    ]  # fmt: skip
    assert [vital.agent_id for vital in runs(*spans)] == ["svc/sub", "svc/boss"]
    assert [vital.agent_id for vital in calls(*spans)] == ["svc/sub"]


def test_a_chain_in_which_nothing_happened_is_no_run() -> None:
    """A template was filled in; no model, no tool, no agent."""
    assembler = TraceAssembler()
    assert assembled([chain("c"), chain("d", "c")], assembler) == []
    assert assembler.unmapped == {"chain": 2}


def test_the_nodes_of_a_graph_whose_root_is_missing_are_no_runs() -> None:
    """Half a trace must not make a task of each node; one that may be the root does."""
    node = '{"lc_agent_name":"r","langgraph_node":"model"}'
    root = '{"lc_agent_name":"r"}'
    assert not tree(chain("c", "gone", metadata=node), model("a", "c")).runs
    assert tree(chain("c", "gone", metadata=root), model("a", "c")).runs
    assert not tree(chain("c", "gone", metadata=root), model("a", "c"), complete=False).runs


def test_a_run_without_calls_keeps_its_tools() -> None:
    """Where no model call is reported, the run is the only place for the tool calls."""
    (whole,) = runs(run("r"), tool("t", "r", (1, 2), input__value="x"))
    assert whole.calls is not None
    assert whole.calls[0].args_hash == SALT.hash("x")
    assert runs(run("r"), model("m", "r", (0, 1)), tool("t", "r", (1, 2)))[0].calls is None


def test_of_too_many_tools_the_last_64_are_told_and_all_counted() -> None:
    """A vital carries at most 64 calls."""
    many = [tool(f"t{i}", "r", (1 + i / 100, 9), gen_ai__tool__name=f"n{i}") for i in range(70)]
    (call,) = calls(run("r"), model("m", "r", (0, 1)), *many)
    assert call.tool_calls == 70
    assert call.calls is not None
    assert [made.tool for made in call.calls] == [f"n{i}" for i in range(6, 70)]


def test_spans_in_a_circle_are_read_and_end() -> None:
    """Ids may lie; reading comes to an end, and nothing is read twice."""
    read = tree(model("a", "b"), chain("b", "c"), chain("c", "a"), model("d", "d"))
    assert len(read.calls) == 2
    assert len(read.unused) == 2


def test_a_trace_as_deep_as_it_likes_does_not_crash() -> None:
    """Depth costs time in proportion and no stack."""
    spans = [chain(f"{i:x}", f"{i - 1:x}" if i else "") for i in range(20_000)]
    read = tree(*spans, model("m", f"{19_999:x}"))
    assert len(read.calls) == len(read.runs) == 1


@pytest.mark.parametrize("text", ["x" * 257, "a\x00b"])
def test_a_fact_that_no_vital_may_carry_is_left_out(text: str) -> None:
    """The step is worth more than the odd name of its model."""
    (call,) = calls(
        model("a", gen_ai__request__model=text, gen_ai__provider__name=text),
        tool("t", "a", gen_ai__tool__name=text),
    )
    assert (call.model, call.provider) == (None, None)
    assert call.calls is not None
    assert call.calls[0].tool == "span t"


@pytest.mark.parametrize("value", [-1, "12", True, float("nan")])
def test_tokens_that_are_no_count_are_missing(value: object) -> None:
    """Never a guess, and never a refused step for it."""
    (call,) = calls(model("a", gen_ai__usage__input_tokens=value))
    assert call.input_tokens is None
    assert call.output_tokens == 2


def test_a_total_alone_is_the_outputs() -> None:
    """As with `token_count` in a vital of our own."""
    (call,) = calls(make_span("a", gen_ai__operation__name="chat", llm__usage__total_tokens=9))
    assert (call.input_tokens, call.output_tokens) == (None, 9)


def test_traceloops_dialect_is_read_as_well() -> None:
    """No sample of it was recorded; the names are those of its conventions."""
    spans = [
        make_span("w", at=(0, 9), traceloop__span__kind="workflow", traceloop__entity__name="w"),
        make_span("r", "w", (0, 8), traceloop__span__kind="agent", traceloop__entity__name="n"),
        make_span(
            "a", "r", (0, 1), llm__request__type="chat", gen_ai__system="openai",
            gen_ai__request__model="m", gen_ai__usage__prompt_tokens=10,
            gen_ai__usage__completion_tokens=2, gen_ai__prompt__0__role="system",
            gen_ai__prompt__0__content="be nice",
        ),
        make_span(
            "t", "r", (2, 3), traceloop__span__kind="tool", traceloop__entity__name="search",
            traceloop__entity__input='{"input_str":"x","metadata":{"step":7}}',
            traceloop__entity__output="result x",
        ),
    ]  # fmt: skip
    (call,), (whole,) = calls(*spans), runs(*spans)
    assert call.agent_id == whole.agent_id == "svc/n"
    assert (call.input_tokens, call.output_tokens, call.model) == (10, 2, "m")
    assert (call.provider, call.prompt_hash) == ("openai", SALT.label("be nice"))
    assert call.calls == (ToolCall("search", SALT.hash("x"), SALT.hash("result x")),)


SOME_SPANS = st.lists(
    st.builds(
        lambda make, parent, start, long, name, failed: (make, parent, start, long, name, failed),
        st.sampled_from([model, tool, nameless_run, chain, make_span]),
        st.sampled_from(["", "gone", *"01234567"]),
        st.integers(0, 9),
        st.integers(0, 9),
        st.sampled_from(["", "", "n", "m"]),
        st.booleans(),
    ),
    max_size=8,
)


@settings(max_examples=300)
@example(
    [
        (nameless_run, "", 0, 9, "", False),
        (nameless_run, "0", 0, 1, "n", False),
        (tool, "0", 2, 1, "", False),
    ],
    True,
)
@given(SOME_SPANS, st.booleans())
def test_every_span_becomes_part_of_a_step_or_is_accounted_for(
    told: list[Any], complete: bool
) -> None:
    """Whatever a trace looks like, circles included, nothing is lost and nothing counts twice."""
    spans = [
        make(str(i), parent, (start, start + long), failed=failed)
        if not name
        else make(str(i), parent, (start, start + long), failed=failed, gen_ai__agent__name=name)
        for i, (make, parent, start, long, name, failed) in enumerate(told)
    ]
    read = tree(*spans, complete=complete)
    in_calls = [made.anchor.span_id for call in read.calls for made in call.tools]
    in_runs = [made.anchor.span_id for whole in read.runs for made in whole.tools]
    steps = [call.anchor.span_id for call in read.calls]
    steps += [whole.anchor.span_id for whole in read.runs]
    assert len(set(steps)) == len(steps)
    assert len(set(in_calls)) == len(in_calls)
    assert len(set(in_runs)) == len(in_runs)
    used = {*steps, *in_calls, *in_runs}
    assert used | read.unused.keys() == {span.span_id for span in spans}
    assert not used & read.unused.keys()
