"""NAB's scoring against scores computed by hand, and what becomes of absent data."""

from __future__ import annotations

import itertools
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from immune.bench import run_bench
from immune.bench.nab import figures_of, streams_of
from immune.bench.nab_score import (
    Marks,
    Stream,
    Weights,
    best_threshold,
    normalised,
    probation,
    score_at,
    sigmoid,
)
from immune.bench.nab_watch import anomaly_scores, departures
from immune.bench.options import Options
from immune.columns import Bool
from immune.errors import InvalidInput


def stream(samples: int, *windows: tuple[int, int], name: str = "s") -> Stream:
    """A flat stream with some windows, a sample every five minutes."""
    inside = np.zeros(samples, np.bool_)
    for first, last in windows:
        inside[first : last + 1] = True
    return Stream(name, 300.0 * np.arange(samples, dtype=np.float64), np.zeros(samples), inside)


def detected(samples: int, *at: int) -> Bool:
    marks = np.zeros(samples, np.bool_)
    marks[list(at)] = True
    return marks


def test_windows_are_read_from_their_marks() -> None:
    """First and last sample, both inside; one may reach the end."""
    assert stream(40, (5, 9), (30, 39)).windows == [(5, 9), (30, 39)]
    assert stream(40).windows == []


def test_the_sigmoid_is_the_published_one() -> None:
    """Almost 1 at a window's start, 0 behind its end, −1 from three lengths on."""
    at = sigmoid(np.array([-1.0, 0.0, 0.5, 3.0, 3.1, 100.0]))
    assert at == pytest.approx([0.98661, 0.0, -0.84828, -1.0, -1.0, -1.0], abs=1e-5)


@pytest.mark.parametrize(
    ("at", "expected"),
    [
        ((), -1.0),  # the window was missed
        ((20,), 1.0),  # its first sample
        ((29,), 0.24492 / 0.98661),  # its last: one tenth before the end
        ((22, 20, 29), 1.0),  # only the earliest counts
        ((22,), 0.96403 / 0.98661),
        ((10,), -1.0 - 0.11),  # no window before it: all of A_FP
        ((30,), -1.0 - 0.11 * 0.27082),  # a ninth of a length behind
        ((39,), -1.0 - 0.11 * 0.99230),
        ((2, 5), -1.0),  # probation
        ((10, 22), 0.96403 / 0.98661 - 0.11),
    ],
)
def test_detections_are_worth_what_the_paper_says(at: tuple[int, ...], expected: float) -> None:
    """Forty samples, six of them probationary, one window of ten, by hand."""
    assert probation(40) == 6
    assert Marks(stream(40, (20, 29))).score(detected(40, *at)) == pytest.approx(expected, abs=1e-4)


def test_profiles_weigh_what_they_are_told_to_weigh() -> None:
    """A missed window and a false alarm of another profile."""
    marks = Marks(stream(40, (20, 29)))
    assert marks.score(detected(40, 10), Weights(1.0, 0.22, 2.0)) == pytest.approx(-2.22)


def test_a_score_stands_between_silence_and_perfection() -> None:
    """Nothing said is 0, every window at its first sample 100."""
    marks = [Marks(stream(40, (20, 29))), Marks(stream(40))]
    perfect, silent = (
        [detected(40, 20).astype(np.float64), np.zeros(40)],
        [np.zeros(40), np.zeros(40)],
    )
    assert score_at(0.5, marks, perfect) == 100.0
    assert score_at(0.5, marks, silent) == 0.0
    assert normalised(0.86711, 1) == pytest.approx(93.36, abs=0.01)


def test_the_best_threshold_is_the_best_of_all() -> None:
    """Against trying every value that occurs, ties and all."""
    rng = np.random.default_rng(3)
    for windows in ([(20, 29)], [(10, 14), (30, 44)], []):
        streams = [stream(60, *windows), stream(60, (50, 55))]
        marks = [Marks(s) for s in streams]
        scores = [rng.integers(0, 9, 60).astype(float) for _ in streams]
        values = [*sorted(set(itertools.chain(*(s.tolist() for s in scores)))), np.inf]
        best = max(score_at(value, marks, scores) for value in values)
        found = best_threshold(marks, scores)
        assert score_at(found, marks, scores) == pytest.approx(best)


def test_the_same_time_of_the_days_before_is_what_a_sample_departs_from() -> None:
    """Three equal days, then one that is different at noon."""
    day = np.sin(np.arange(288) / 288 * 2 * np.pi) * 10
    values = np.tile(day, 4)
    values[3 * 288 + 144] += 7
    at = 300.0 * np.arange(4 * 288, dtype=np.float64)
    apart = departures(Stream("s", at, values, np.zeros(4 * 288, np.bool_)))
    assert np.abs(apart[288 : 3 * 288]).max() < 1e-9
    assert apart[3 * 288 + 144] == pytest.approx(7)


def test_a_spike_upwards_or_downwards_is_the_highest_score() -> None:
    """And no score before it knows of it."""
    rng = np.random.default_rng(1)
    values = 50 + rng.standard_normal(2000)
    up, down = values.copy(), values.copy()
    up[1500:1505] += 12
    down[1500:1505] -= 12
    nothing = np.zeros(2000, np.bool_)
    at = 300.0 * np.arange(2000, dtype=np.float64)
    calm, high, low = (anomaly_scores(Stream("s", at, v, nothing)) for v in (values, up, down))
    for scores in (high, low):
        assert 1500 <= scores[300:].argmax() + 300 < 1505
        np.testing.assert_array_equal(scores[:1500], calm[:1500])


def test_a_threshold_is_fixed_on_one_half_and_judged_on_the_other() -> None:
    """Trained on what is perfectly separable, blind on the held-out half."""
    streams = [stream(40, (20, 29), name=str(i)) for i in range(4)]
    hit, blind = detected(40, 20).astype(np.float64), np.zeros(40)
    held_out, both = figures_of(streams, [hit, blind, hit, blind])
    assert (held_out.value, both.value) == (0.0, 50.0)
    assert not held_out.passed


def test_streams_are_read_by_name_and_a_missing_column_is_named(tmp_path: Path) -> None:
    """The columns that scoring needs."""
    file = tmp_path / "nab.parquet"
    table = {
        "series": ["b", "b", "a"],
        "t": pa.array([0, 300_000_000, 0], pa.timestamp("us")),
        "value": [1.0, 2.0, 3.0],
        "in_window": [0, 1, 0],
    }
    pq.write_table(pa.table(table), file)
    first, second = streams_of(file)
    assert (first.name, first.values.tolist()) == ("a", [3.0])
    assert (second.at.tolist(), second.windows) == ([0.0, 300.0], [(1, 1)])
    del table["in_window"]
    pq.write_table(pa.table(table), file)
    with pytest.raises(InvalidInput, match="in_window"):
        streams_of(file)


def test_without_the_data_nothing_passes() -> None:
    """And the report says what is missing."""
    report = run_bench("nab", Options())
    assert not report.passed
    assert all(figure.value is None and "--data" in figure.note for figure in report.figures)
