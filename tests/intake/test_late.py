"""Spans that come when the rest of their trace has gone out: the right agent's, or nobody's."""

from __future__ import annotations

from collections.abc import Iterable

import pytest

from immune.intake.otlp.assemble import TraceAssembler
from immune.intake.otlp.journal import Entry
from immune.vitals import Vital
from tests.intake.traces import START, chain, model, run, tool

T = START + 100.0
LATE = T + 60


def whose(vitals: Iterable[Vital]) -> list[tuple[str | None, str]]:
    """Which steps these are, and of whom."""
    return [(vital.step_id, vital.agent_id) for vital in vitals]


def over(*spans: object) -> TraceAssembler:
    """An assembler that has given out these spans and forgotten their trace."""
    assembler = TraceAssembler()
    assembler.feed(spans, T)  # type: ignore[arg-type]
    assert assembler.flush(T + 2)
    assembler.flush(T + 40)
    assert assembler.held == 0
    return assembler


def test_a_late_call_goes_to_the_agent_of_its_trace() -> None:
    """It does not name its agent, and its run went out a minute ago."""
    assembler = over(model("a", "r"), run("r"))
    assert assembler.feed([model("b", "r", (2, 3))], LATE) == []
    assert whose(assembler.flush(LATE + 2)) == [("b", "svc/researcher")]
    assembler.flush(LATE + 400)
    assert not assembler.unmapped


def test_a_second_late_call_does_too() -> None:
    """What is known of a trace outlives its first straggler."""
    assembler = over(model("a", "r"), run("r"))
    assembler.feed([model("b", "r", (2, 3))], LATE)
    assembler.flush(LATE + 200)
    assembler.feed([model("c", "r", (4, 5))], LATE + 250)
    assert whose(assembler.flush(LATE + 252)) == [("c", "svc/researcher")]


def test_of_several_agents_it_is_the_one_whose_run_it_was_in() -> None:
    """A planner and its helper share a trace; a late span in between changes nothing."""
    helper = run("h", "r", (1, 5), gen_ai__agent__name="helper")
    assembler = over(model("a", "r"), helper, model("c", "h", (1, 2)), run("r"))
    assembler.feed([chain("k", "h", (2, 4)), model("d", "k", (2, 3))], LATE)
    assembler.feed([model("b", "r", (6, 7))], LATE)
    assert ("d", "svc/helper") in whose(late := assembler.flush(LATE + 2))
    assert ("b", "svc/researcher") in whose(late)


def test_where_nothing_tells_which_of_several_it_is_counted() -> None:
    """Its own parent is late, too, and never comes."""
    helper = run("h", "r", (1, 5), gen_ai__agent__name="helper")
    assembler = over(model("a", "r"), helper, model("c", "h", (1, 2)), run("r"))
    assembler.feed([model("d", "lost", (2, 3))], LATE)
    assert assembler.flush(LATE + 400) == []
    assert assembler.unmapped == {"late_unnamed": 1}


def test_who_names_itself_is_believed_however_late() -> None:
    """Whatever the rest of the trace was."""
    assembler = over(model("a", "r"), run("r"))
    assembler.feed([model("b", "r", (2, 3), gen_ai__agent__name="critic")], LATE)
    assert whose(assembler.flush(LATE + 2)) == [("b", "svc/critic")]


def test_a_service_without_agents_stays_one() -> None:
    """Nothing named anybody in its traces, late or not."""
    assembler = over(model("a"), tool("t"))
    assembler.feed([model("b", "a", (2, 3))], LATE)
    assert whose(assembler.flush(LATE + 2)) == [("b", "svc")]


def test_a_call_whose_run_never_comes_makes_up_no_agent() -> None:
    """All calls of this source were in a named run so far: it is counted, not given to the service
    as a whole."""
    assembler = over(model("a", "r"), run("r"))
    assembler.feed([model("b", "lost", (2, 3), trace_id="other")], LATE)
    assert assembler.flush(LATE + 400) == []
    assert assembler.unmapped == {"no_parent": 1}


def test_a_source_that_names_nobody_any_more_is_its_service_after_a_while() -> None:
    """Twenty steps in a row without a run are no accident."""
    assembler = over(model("a", "r"), run("r"))
    spans = [model(f"b{i}", "lost", (i, i + 1), trace_id=f"other{i}") for i in range(22)]
    assembler.feed(spans, LATE)
    assert {vital.agent_id for vital in assembler.flush(LATE + 400)} == {"svc"}
    assert assembler.unmapped == {"no_parent": 20}


# ---- a new process


def next_process(assembler: TraceAssembler, now: float, *, rewritten: bool) -> TraceAssembler:
    """Another assembler, with what the journal of this one holds."""
    entries: list[Entry] = [*assembler.entries()] if rewritten else [*assembler.gone()]
    after = TraceAssembler()
    after.restore(entries, now)
    return after


@pytest.mark.parametrize("rewritten", [False, True])
def test_the_next_process_knows_who_sends_spans(rewritten: bool) -> None:
    """And so counts no call a second time by its metrics; for a day, then they may be all there
    is."""
    after = next_process(over(model("a", "r"), run("r")), LATE, rewritten=rewritten)
    assert after.knows("svc/researcher", "svc", True, LATE)
    assert after.knows("svc", "svc", False, LATE)
    assert not after.knows("svc/other", "svc", True, LATE)
    assert not after.knows("svc/researcher", "svc", True, LATE + 2 * 86_400)
    assert after.identity_rule["svc/researcher"] == "service.name/agent name"


def test_the_next_process_makes_up_no_agent_either() -> None:
    """It never saw the trace, and knows that this service's agents are named."""
    after = next_process(over(model("a", "r"), run("r")), LATE, rewritten=False)
    after.feed([model("b", "r", (2, 3))], LATE)
    assert after.flush(LATE + 400) == []
    assert after.unmapped == {"no_parent": 1}


def test_that_spans_come_is_noted_every_ten_minutes() -> None:
    """Not with every step: the journal would grow by it."""
    assembler = TraceAssembler(settle_s=0)
    for i in range(120):
        assembler.feed([run("r", trace_id=str(i))], T + 10 * i)
    noted = [entry for entry in assembler.gone() if not hasattr(entry, "trace_id")]
    assert len(noted) == 2
