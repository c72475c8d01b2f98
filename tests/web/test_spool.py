"""Spans that wait are on disk, however often the file was written anew."""

from __future__ import annotations

from pathlib import Path

from immune.clock import ManualClock
from immune.intake.otlp.assemble import TraceAssembler
from immune.intake.otlp.journal import REWRITE_BYTES, SpanJournal, waiting
from immune.web.spool import SpanSpool
from tests.intake.traces import START, model

REQUESTS, SPANS = 30, 1000


async def test_a_journal_written_anew_holds_what_waits_and_no_more(tmp_path: Path) -> None:
    """What went out and was forgotten leaves the file; each span that waits is there once."""
    clock = ManualClock(START + 100.0)
    assembler = TraceAssembler()
    journal = SpanJournal(tmp_path / "spans", "run")
    journal.open()
    spool = SpanSpool(assembler, journal, clock)
    for request in range(REQUESTS):
        ids = [f"{request}-{i}" for i in range(SPANS)]
        await spool.take(
            [model("a", trace_id=trace_id, gen_ai__agent__name="n") for trace_id in ids]
        )
        clock.advance(5.0)
        spool.ready()
        spool.left(spool.leaving())
    spool.tidy()
    await spool.close()
    journal.close()
    assert journal.kept > 0
    assert journal.size < REWRITE_BYTES + 4 * journal.kept
    again = SpanJournal(tmp_path / "spans", "run")
    held = waiting(again.open())
    again.close()
    assert sum(len(spans) for spans, _ in held.values()) == assembler.held < REQUESTS * SPANS
    assert all(emitted == {"a": 0} for _, emitted in held.values())
