"""How the page's figures are read from what was measured."""

from __future__ import annotations

from immune.bench.page import Measured, _figures, main_thread_tasks


def test_only_the_page_s_own_main_thread_counts() -> None:
    """Of the thread that worked most, by its own time where the trace tells it."""
    name = {"name": "thread_name", "ph": "M", "args": {"name": "CrRendererMain"}}
    task = {"name": "ThreadControllerImpl::RunTask", "ph": "X"}
    events = [
        {**name, "pid": 1, "tid": 1},
        {**name, "pid": 2, "tid": 1},
        {**task, "pid": 1, "tid": 1, "dur": 90_000, "tdur": 12_000},
        {**task, "pid": 1, "tid": 1, "dur": 3_000},
        {**task, "pid": 2, "tid": 1, "tdur": 1_000},
        {**task, "pid": 9, "tid": 9, "tdur": 999_000},
        {"name": "Paint", "ph": "X", "pid": 1, "tid": 1, "tdur": 70_000},
    ]
    assert main_thread_tasks(events) == [12.0, 3.0]
    assert main_thread_tasks([]) == []


def test_what_was_not_measured_never_passes() -> None:
    """Without a browser two figures have no value."""
    figures = {figure.name: figure for figure in _figures(Measured(0.05, [4000.0, 4900.0]))}
    assert figures["feed/cpu_of_a_core"].passed
    assert figures["feed/kb_a_second_and_viewer"].value == 4.9
    assert not figures["page/first_paint"].passed
    assert not any(figure.passed for figure in _figures(Measured()))
