"""`immune bench nab`: the kernel on machine metrics that nobody here wrote, by NAB's own scoring.

58 streams from numenta/NAB. The threshold is the one that does best on the first, third, fifth ...
stream; what counts is the other half. Needs the recorded data.
"""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

import numpy as np

from immune.backtest.parquet import table_of
from immune.bench.figures import Figure, Report, at_least
from immune.bench.nab_score import Marks, Stream, best_threshold, score_at
from immune.bench.nab_watch import anomaly_scores
from immune.bench.options import Options

FILE = "nab.parquet"
STANDARD_LEAST = 50.0
PUBLISHED = {
    "ARTime": 74.9,
    "Numenta HTM": 70.1,
    "CAD OSE": 69.9,
    "earthgecko": 58.2,
    "Relative Entropy": 54.6,
    "windowed Gaussian": 39.6,
}
"""Standard profile, all streams, thresholds optimised on all of them."""


def run(options: Options) -> Report:
    """Score all streams; without the data the figures fall short and say why."""
    file = None if options.data is None else options.data / FILE
    if file is None or not file.exists():
        note = f"no {FILE}: give its folder with --data"
        figures = [_figure(half, None, note) for half in ("held_out", "all")]
        return Report("nab", options.quick, figures)
    streams = streams_of(file)
    options.progress(f"{len(streams)} streams")
    with ProcessPoolExecutor(max_workers=2) as pool:
        scores = list(pool.map(anomaly_scores, streams, chunksize=4))
    return Report("nab", options.quick, figures_of(streams, scores))


def figures_of(streams: Sequence[Stream], scores: Sequence[np.ndarray]) -> list[Figure]:
    """Fix the threshold on the training half; score both."""
    marks = [Marks(stream) for stream in streams]
    train, test = slice(0, None, 2), slice(1, None, 2)
    threshold = best_threshold(marks[train], scores[train])
    trained = score_at(threshold, marks[train], scores[train])
    held_out = score_at(threshold, marks[test], scores[test])
    both = score_at(threshold, marks, scores)
    optimistic = score_at(best_threshold(marks, scores), marks, scores)
    published = ", ".join(f"{name} {score:g}" for name, score in PUBLISHED.items())
    return [
        _figure("held_out", held_out, f"{len(marks[test])} streams; training half {trained:.1f}"),
        _figure("all", both, f"{optimistic:.1f} by a threshold fixed on all, as {published}"),
    ]


def _figure(half: str, score: float | None, note: str) -> Figure:
    return at_least(
        f"standard/{half}",
        score,
        STANDARD_LEAST,
        "of 100",
        rival=PUBLISHED["Numenta HTM"] if half == "all" else None,
        note=note,
    )


def streams_of(file: Path) -> list[Stream]:
    """Return the streams of the recording in the order of their names.

    Raises InvalidInput where it lacks a column, NotFound where pyarrow isn't installed.
    """
    table = table_of(file, ("series", "t", "value", "in_window"))
    names = np.array(table["series"].to_pylist())
    at = table["t"].to_numpy().astype("datetime64[us]").astype(np.int64) / 1e6
    values = table["value"].to_numpy().astype(np.float64)
    in_window = table["in_window"].to_numpy() > 0
    return [
        Stream(str(name), at[mine], values[mine], in_window[mine])
        for name in np.unique(names)
        for mine in [names == name]
    ]
