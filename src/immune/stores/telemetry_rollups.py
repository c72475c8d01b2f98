"""One-minute sums of vitals: what is left of them when the raw rows are gone.

Sums of one minute may lie in several parts, since vitals come late; they are added up on reading.
"""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
import numpy.typing as npt

from immune.columns import KINDS
from immune.ports import Rollup
from immune.vitals import N_METRICS

MINUTE_S = 60

ROLLUP = np.dtype(
    [
        ("agent", "<i4"),
        ("kind", "u1"),
        ("minute", "<i8"),
        ("steps", "<i4"),
        ("counts", "<i4", (N_METRICS,)),
        ("sums", "<f8", (N_METRICS,)),
        ("maxima", "<f4", (N_METRICS,)),
    ]
)
"""One agent's minute; `minute` is its start in epoch seconds, a maximum is NaN without a count."""

Rollups = npt.NDArray[np.void]


def roll(
    agent: npt.NDArray[np.int32],
    kind: npt.NDArray[np.uint8],
    at: npt.NDArray[np.float64],
    values: npt.NDArray[np.float32],
) -> Rollups:
    """Sum up vitals given as columns, in order of agent, minute and kind."""
    if not len(agent):
        return np.empty(0, ROLLUP)
    minute = np.floor_divide(at, MINUTE_S).astype(np.int64)
    order = np.lexsort((kind, minute, agent))
    agent, kind, minute, values = agent[order], kind[order], minute[order], values[order]
    change = (np.diff(agent) != 0) | (np.diff(minute) != 0) | (np.diff(kind.astype(np.int8)) != 0)
    starts = np.concatenate(([0], np.flatnonzero(change) + 1))
    known = ~np.isnan(values)
    sums = np.empty(len(starts), ROLLUP)
    sums["agent"] = agent[starts]
    sums["kind"] = kind[starts]
    sums["minute"] = minute[starts] * MINUTE_S
    sums["steps"] = np.diff(np.append(starts, len(agent)))
    sums["counts"] = np.add.reduceat(known, starts, axis=0, dtype=np.int32)
    sums["sums"] = np.add.reduceat(np.where(known, values, 0.0).astype(np.float64), starts, axis=0)
    sums["maxima"] = np.fmax.reduceat(values, starts, axis=0)
    return sums


def fold(known: Rollups, new: Rollups) -> tuple[npt.NDArray[np.intp], Rollups]:
    """Add those of `new` to `known`, in place, whose agent, minute and kind is there already.

    Within `new` each of these is there once. Returns the rows of `known` that were changed, and
    the rest of `new`.
    """
    if not len(known) or not len(new):
        return np.empty(0, np.intp), new
    order = np.argsort(_keys(known), kind="stable")
    ordered, wanted = _keys(known)[order], _keys(new)
    place = np.minimum(np.searchsorted(ordered, wanted), len(ordered) - 1)
    there = ordered[place] == wanted
    rows, more = order[place[there]], new[there]
    for name in ("steps", "counts", "sums"):
        known[name][rows] += more[name]
    known["maxima"][rows] = np.fmax(known["maxima"][rows], more["maxima"])
    return rows, new[~there]


def _keys(sums: Rollups) -> npt.NDArray[np.int64]:
    """Agent, minute and kind as one number."""
    minute = sums["minute"] // MINUTE_S
    return sums["agent"].astype(np.int64) << 32 | minute << 1 | sums["kind"].astype(np.int64)


def merge(agent_id: str, parts: Iterable[Rollups]) -> list[Rollup]:
    """Add up one agent's parts; ascending by minute, then kind."""
    rows = np.concatenate([np.empty(0, ROLLUP), *parts])
    if not len(rows):
        return []
    rows = rows[np.lexsort((rows["kind"], rows["minute"]))]
    change = (np.diff(rows["minute"]) != 0) | (np.diff(rows["kind"].astype(np.int8)) != 0)
    starts = np.concatenate(([0], np.flatnonzero(change) + 1))
    steps = np.add.reduceat(rows["steps"], starts)
    counts = np.add.reduceat(rows["counts"], starts, axis=0)
    sums = np.add.reduceat(rows["sums"], starts, axis=0)
    maxima = np.nan_to_num(np.fmax.reduceat(rows["maxima"], starts, axis=0), nan=0.0)
    return [
        Rollup(agent_id, KINDS[kind], float(minute), n, tuple(count), tuple(total), tuple(top))
        for kind, minute, n, count, total, top in zip(
            rows["kind"][starts].tolist(),
            rows["minute"][starts].tolist(),
            steps.tolist(),
            counts.tolist(),
            sums.tolist(),
            maxima.tolist(),
            strict=True,
        )
    ]
