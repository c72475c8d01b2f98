"""When steps go out: as soon as it is safe, never twice, never lost without a count."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from immune.intake.otlp.assemble import TraceAssembler
from immune.vitals import Vital
from tests.intake.traces import START, chain, make_span, model, nameless_run, run, tool

T = START + 100.0


def ids(vitals: list[Vital]) -> list[str | None]:
    """Which steps these are."""
    return [vital.step_id for vital in vitals]


def test_a_finished_trace_goes_out_when_it_has_settled() -> None:
    """Two seconds for what may still be on its way, then all of it at once."""
    assembler = TraceAssembler()
    assert assembler.feed([model("a", "r"), run("r")], T) == []
    assert assembler.flush(T + 1.9) == []
    vitals = assembler.flush(T + 2)
    assert ids(vitals) == ["a", "r"]
    assert {vital.received_at for vital in vitals} == {T + 2}
    assert assembler.flush(T + 1000) == []
    assert assembler.held == 0


def test_the_next_call_lets_the_one_before_it_go() -> None:
    """A run of an hour is watched from its first call on, not from its end."""
    assembler = TraceAssembler()
    name = {"gen_ai__agent__name": "researcher"}
    assembler.feed([model("a", "r", (0, 1), **name)], T)
    assembler.feed([tool("t", "r", (1, 2))], T + 5)
    assembler.feed([model("b", "r", (3, 4), **name)], T + 10)
    (first,) = assembler.flush(T + 12)
    assert (first.step_id, first.tool_calls) == ("a", 1)
    assembler.feed([run("r", at=(0, 20))], T + 20)
    second, whole = assembler.flush(T + 22)
    assert (second.step_id, whole.step_id) == ("b", "r")
    assert (whole.input_tokens, whole.tool_calls) == (20, 1)


def test_a_call_that_needs_its_run_for_a_name_waits_for_it() -> None:
    """It must not become a step of the whole service meanwhile, however long the model thinks."""
    assembler = TraceAssembler()
    assembler.feed([model("a", "r", (0, 1))], T)
    assembler.feed([model("b", "r", (100, 101))], T + 100)
    assert assembler.flush(T + 200) == []
    assembler.feed([run("r", at=(0, 200))], T + 200)
    assert {vital.agent_id for vital in assembler.flush(T + 202)} == {"svc/researcher"}


def test_what_never_gets_a_name_goes_to_its_service_and_is_learned() -> None:
    """The first time it is waited for; from then on that source's calls time out sooner."""
    assembler = TraceAssembler()
    assembler.feed([model("a", "gone", trace_id="1")], T)
    assert assembler.flush(T + 299) == []
    assert [vital.agent_id for vital in assembler.flush(T + 300)] == ["svc"]
    assembler.feed([model("b", "gone", trace_id="2")], T + 400)
    assert assembler.flush(T + 429) == []
    assert ids(assembler.flush(T + 430)) == ["b"]
    assembler.feed([model("c", "r", trace_id="3"), run("r", trace_id="3")], T + 500)
    assert ids(assembler.flush(T + 502)) == ["c", "r"]
    assembler.feed([model("d", "gone", trace_id="4")], T + 600)
    assert assembler.flush(T + 640) == []


def test_a_named_call_whose_trace_goes_quiet_goes_out() -> None:
    """Its tools had half a minute to come."""
    assembler = TraceAssembler()
    assembler.feed([model("a", "gone", gen_ai__agent__name="n")], T)
    assert assembler.flush(T + 29) == []
    assert ids(assembler.flush(T + 30)) == ["a"]
    assert assembler.flush(T + 1000) == []
    assert assembler.held == 0


def test_a_named_run_goes_out_while_the_trace_goes_on() -> None:
    """The web request or workflow around it may last."""
    assembler = TraceAssembler()
    assembler.feed([model("a", "r"), run("r", "h", (0, 2))], T)
    assert ids(assembler.flush(T + 2)) == ["a", "r"]
    assembler.feed([make_span("h", at=(0, 50))], T + 20)
    assert assembler.flush(T + 100) == []
    assert assembler.unmapped == {"no_genai_attribute": 1}


def test_a_run_without_a_name_waits_for_what_is_around_it() -> None:
    """It may turn out to be part of a named one."""
    assembler = TraceAssembler()
    assembler.feed([nameless_run("s", "r", (1, 2))], T)
    assert assembler.flush(T + 20) == []
    assembler.feed([run("r")], T + 20)
    assert ids(assembler.flush(T + 22)) == ["r"]


def test_a_chain_under_another_process_is_a_run_once_the_trace_is_quiet() -> None:
    """The caller's spans may go elsewhere; flags tell that it is another process."""
    assembler = TraceAssembler()
    name = '{"lc_agent_name":"n"}'
    assembler.feed([chain("c", "far", remote=True, metadata=name), model("a", "c")], T)
    assert ids(assembler.flush(T + 2)) == ["a", "c"]


def test_what_comes_too_late_for_a_run_is_a_step_all_the_same_and_counted() -> None:
    """Nothing already said is taken back."""
    assembler = TraceAssembler()
    assembler.feed([run("r"), model("a", "r", (0, 1))], T)
    assert ids(assembler.flush(T + 2)) == ["a", "r"]
    late = assembler.feed([model("b", "r", (1, 2)), tool("t", "r", (2, 3))], T + 5)
    late += assembler.flush(T + 100)
    assert [(vital.step_id, vital.agent_id) for vital in late] == [("b", "svc/researcher")]
    assert assembler.unmapped["late_for_run"] == 2  # the call and the tool


def test_a_tool_too_late_for_its_call_is_counted() -> None:
    """The run still has it."""
    assembler = TraceAssembler()
    name = {"gen_ai__agent__name": "researcher"}
    assembler.feed([model("a", "r", (0, 1), **name), model("b", "r", (5, 6), **name)], T)
    assert ids(assembler.flush(T + 2)) == ["a"]
    assembler.feed([tool("t", "r", (2, 3)), run("r")], T + 3)
    second, whole = assembler.flush(T + 5)
    assert (second.step_id, whole.tool_calls) == ("b", 1)
    assembler.flush(T + 100)
    assert assembler.unmapped == {"late_for_call": 1}


def test_memory_is_bounded_by_finishing_the_oldest_trace_early() -> None:
    """Nothing is dropped: what is known of it goes out, and the cut is counted."""
    assembler = TraceAssembler(max_spans=10)
    vitals: list[Vital] = []
    for number in range(30):
        vitals += assembler.feed([model("a", "gone", trace_id=str(number))], T)
        assert assembler.held <= 10
    vitals += assembler.drain(T)
    assert [vital.trace_id for vital in vitals] == [str(number) for number in range(30)]
    assert assembler.unmapped == {"trace_cut": 20}


def test_one_trace_cannot_grow_without_end() -> None:
    """A loop inside one trace is cut into parts."""
    assembler = TraceAssembler(max_trace_spans=10)
    spans = [model(f"{i:x}", "r", (i, i + 1), gen_ai__agent__name="n") for i in range(1, 26)]
    vitals = assembler.feed(spans, T)
    assert len(vitals) == 20
    assert assembler.held == 5
    assert assembler.unmapped == {"trace_cut": 2}


def test_a_step_out_of_all_time_is_refused_and_counted() -> None:
    """Two days of clock skew would be scored as a silence of two days."""
    assembler = TraceAssembler(settle_s=0)
    assert assembler.feed([model("a")], T + 200_000) == []
    assert assembler.feed([model("b", trace_id="2")], T - 1000) == []
    assert assembler.unmapped == {"too_old": 1, "too_far_ahead": 1}


def test_without_settling_a_whole_trace_comes_back_at_once() -> None:
    """For tools and tests that send whole traces."""
    assembler = TraceAssembler(settle_s=0)
    assert ids(assembler.feed([model("a", "r"), run("r")], T)) == ["a", "r"]


def test_two_traces_do_not_mix() -> None:
    """Span ids need only be unique in their trace."""
    assembler = TraceAssembler()
    assembler.feed([model("a", "r", trace_id="1"), run("r", trace_id="1")], T)
    assembler.feed([model("a", "r", trace_id="2"), run("r", trace_id="2", failed=True)], T)
    vitals = assembler.flush(T + 2)
    assert [(vital.trace_id, vital.step_id, vital.errors) for vital in vitals] == [
        ("1", "a", 0), ("1", "r", 0), ("2", "a", 0), ("2", "r", 1),
    ]  # fmt: skip


def test_a_drained_assembler_starts_anew() -> None:
    """Draining at the end of the process leaves nothing behind."""
    assembler = TraceAssembler()
    assembler.feed([model("a", "gone")], T)
    first = assembler.drain(T)
    assembler.feed([model("a", "gone")], T)
    assert msgspec.json.encode(assembler.drain(T)) == msgspec.json.encode(first)


def test_a_child_that_ends_after_its_parent_is_part_of_it_all_the_same() -> None:
    """Two hosts have two clocks: what belongs together the ids say, not the times."""
    assembler = TraceAssembler()
    assembler.feed([model("a", "r", (-3, 40)), tool("t", "a", (50, 60)), run("r", at=(0, 9))], T)
    call, whole = assembler.flush(T + 2)
    assert (call.step_id, call.tool_calls) == ("a", 1)
    assert (whole.latency_ms, whole.tool_calls, whole.input_tokens) == (9000, 1, 10)


def test_a_run_that_never_ends_gives_its_calls() -> None:
    """Its process was killed: what it did is told, its own span never comes."""
    assembler = TraceAssembler()
    name = {"gen_ai__agent__name": "researcher"}
    vitals: list[Vital] = []
    for number in range(3):
        span = model(f"{number}", "r", (number, number + 1), **name)
        vitals += assembler.feed([span], T + number)
    vitals += assembler.flush(T + 400)
    assert ids(vitals) == ["0", "1", "2"]
    assert (assembler.held, assembler.unmapped) == (0, {})


@pytest.mark.parametrize(
    ("attributes", "reason"),
    [
        ({"gen_ai__usage__input_tokens": float("nan")}, "no_number"),
        ({"gen_ai__usage__output_tokens": -1}, "no_number"),
        ({"gen_ai__usage__input_tokens": 1e300}, "too_large"),
        ({"gen_ai__operation__name": "dream"}, "unknown_dialect"),
        ({"gen_ai__operation__name": "embeddings"}, "other"),
    ],
)
def test_what_cannot_be_mapped_is_counted_by_its_reason(
    attributes: dict[str, Any], reason: str
) -> None:
    """A number that is none is missing in the vital, which is taken without it."""
    assembler = TraceAssembler(settle_s=0)
    told: dict[str, Any] = {"gen_ai__operation__name": "chat", "gen_ai__agent__name": "n"}
    told |= attributes
    vitals = assembler.feed([make_span("a", **told)], T) + assembler.drain(T)
    assert assembler.unmapped == {reason: 1}
    assert len(vitals) == (reason == "no_number")


def test_what_nobody_named_has_no_agent() -> None:
    """Neither the spans nor their service say whose work it was."""
    assembler = TraceAssembler(settle_s=0)
    assert assembler.feed([model("a", service="unknown_service:python")], T) == []
    assert assembler.unmapped == {"no_identity": 1}


def test_what_waited_in_the_last_process_goes_on_in_the_next() -> None:
    """The call had gone out before; the run, and the call after it, had not."""
    first = TraceAssembler()
    name = {"gen_ai__agent__name": "researcher"}
    first.feed([model("a", "r", (0, 1), **name), model("b", "r", (3, 4), **name)], T)
    assert ids(first.flush(T + 2)) == ["a"]
    second = TraceAssembler()
    assert second.restore(first.entries(), T + 60) == 2
    assert second.feed([run("r")], T + 60) == []
    later = second.flush(T + 62)
    assert ids(later) == ["b", "r"]
    assert later[1].input_tokens == 20
    second.flush(T + 200)
    assert second.held == 0


def test_a_step_tells_which_process_it_is_of() -> None:
    """By what its resource says; where that is nothing, by the request in which its span came."""
    assembler = TraceAssembler()
    hosts: tuple[dict[str, Any] | None, ...] = (
        {"host.name": "h-1"},
        {"host.name": "h-2"},
        {"host.name": "h-1", "process.pid": 7},
        None,
    )
    sources = []
    for came_at in (T, T + 0.5):
        for number, resource in enumerate(hosts):
            trace_id = f"{number}{came_at}"
            assembler.feed([run("r", trace_id=trace_id, resource=resource)], came_at)
    vitals = assembler.flush(T + 10)
    sources = [vital.source for vital in vitals]
    assert all(sources)
    assert {vital.received_at for vital in vitals} == {T + 10}
    assert sources[:3] == sources[4:7]
    assert len(set(sources)) == 5
