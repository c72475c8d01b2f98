"""What was promised to be kept is kept, whatever became of the process."""

from __future__ import annotations

import errno
import os
import resource
import struct
import zlib
from pathlib import Path

import msgspec
import pytest

from immune.errors import StoreDown
from immune.intake.otlp.journal import Entry, Gone, SpanJournal, Taken, waiting
from tests.intake.traces import model, run


def journal(folder: Path, run_id: str = "run") -> tuple[SpanJournal, list[Entry]]:
    """The journal in this folder, opened, and what it held."""
    opened = SpanJournal(folder / "spans", run_id)
    return opened, opened.open()


def test_what_was_appended_is_there_again(tmp_path: Path) -> None:
    """Spans as they were, and what of them has gone."""
    first, held = journal(tmp_path)
    assert held == []
    spans = [model("a", "r"), run("r")]
    gone = Gone(spans[0].trace_id, {"a": 1})
    first.append([first.taken(spans), first.frame([gone])])
    first.close()
    second, held = journal(tmp_path)
    assert held == [Taken(spans), gone]
    second.close()


def test_what_the_release_before_wrote_is_read(tmp_path: Path) -> None:
    """It framed each entry by itself; what waited over the upgrade goes on."""
    opened, _ = journal(tmp_path)
    entries: list[Entry] = [Taken([model("a", "r")]), Gone("aa", {"a": 1})]
    bodies = [msgspec.msgpack.encode(entry) for entry in entries]
    opened.append([struct.pack("<II", len(body), zlib.crc32(body)) + body for body in bodies])
    opened.close()
    second, held = journal(tmp_path)
    assert held == entries
    second.close()


def test_a_torn_end_is_cut_off_and_written_over(tmp_path: Path) -> None:
    """Of it nobody was told that it was taken; what stands before it counts."""
    first, _ = journal(tmp_path)
    first.append([first.taken([model("a")])])
    first.close()
    file = tmp_path / "spans"
    whole = file.read_bytes()
    for torn in (whole + b"\x09", whole + b"\xff" * 40, whole + whole[-40:]):
        file.write_bytes(torn)
        second, held = journal(tmp_path)
        assert held == [Taken([model("a")])]
        second.append([second.taken([model("b")])])
        second.close()
        third, held = journal(tmp_path)
        assert held == [Taken([model("a")]), Taken([model("b")])]
        third.close()


def test_another_runs_spans_are_not_taken_up(tmp_path: Path) -> None:
    """A demo starts anew each time."""
    first, _ = journal(tmp_path)
    first.append([first.taken([model("a")])])
    first.close()
    second, held = journal(tmp_path, "another")
    assert held == []
    second.close()


def test_rewriting_leaves_what_still_waits(tmp_path: Path) -> None:
    """It is asked for when the file has grown, and what is appended later comes behind."""
    first, _ = journal(tmp_path)
    spans = [model(f"{i:x}", name="x" * 200, trace_id=f"{i:x}") for i in range(1, 1000)]
    for _ in range(100):
        first.append([first.taken(spans)])
    assert first.bloated
    first.rewrite([first.taken(spans[:1])])
    assert first.size == (tmp_path / "spans").stat().st_size < 1000
    first.append([first.taken(spans[1:2])])
    first.close()
    second, held = journal(tmp_path)
    assert held == [Taken(spans[:1]), Taken(spans[1:2])]
    second.close()


def test_a_full_disk_is_said_and_leaves_nothing_half_written(tmp_path: Path) -> None:
    """The client is told to come back; what was there before stays."""
    first, _ = journal(tmp_path)
    first.append([first.taken([model("a")])])
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (first.size + 10, hard))
    try:
        with pytest.raises(StoreDown, match=os.strerror(errno.EFBIG)):
            first.append([first.taken([model("b")])])
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    first.append([first.taken([model("c")])])
    first.close()
    second, held = journal(tmp_path)
    assert held == [Taken([model("a")]), Taken([model("c")])]
    second.close()


def test_rewriting_needs_one_file_more_and_loses_nothing_for_want_of_a_second(
    tmp_path: Path,
) -> None:
    """Once the new file is in its place, what comes next goes to it, whatever fails then."""
    opened, _ = journal(tmp_path)
    limits = resource.getrlimit(resource.RLIMIT_NOFILE)
    free = os.dup(0)
    os.close(free)
    resource.setrlimit(resource.RLIMIT_NOFILE, (free + 1, limits[1]))
    try:
        opened.rewrite([opened.taken([model("a")])])
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, limits)
    opened.append([opened.taken([model("b")])])
    opened.close()
    again, held = journal(tmp_path)
    assert held == [Taken([model("a")]), Taken([model("b")])]
    again.close()


def test_only_what_was_done_is_forgotten() -> None:
    """Spans of a finished trace that come later wait for themselves."""
    late = model("b", "r")
    entries: list[Entry] = [
        Taken([model("a", "r"), run("r")]),
        Taken([late]),
        Gone(late.trace_id, {"a": 0, "r": 0}, ["a", "r"]),
    ]
    assert waiting(entries) == {late.trace_id: ([late], {"a": 0, "r": 0})}
    assert waiting([*entries, Gone(late.trace_id, done=["b"])]) == {}
