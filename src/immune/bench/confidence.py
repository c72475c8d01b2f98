"""What few observations can prove: bounds of rates, intervals of medians."""

from __future__ import annotations

import math

import numpy as np

from immune.columns import Float64

_ONE_SIDED, _TWO_SIDED = 1.6449, 1.95996
"""Normal quantiles of 95 %."""


def rate_bound(events: int, exposure: float) -> float:
    """Return the upper 95 % bound of a Poisson rate that showed `events` in `exposure`.

    3 / exposure where nothing was seen (the rule of three); else Byar's approximation of the exact
    bound (Breslow & Day 1987), good to 1 %.

    >>> rate_bound(0, 1500.0), round(rate_bound(4, 1.0), 2)
    (0.002, 9.15)
    """
    if events == 0:
        return 3 / exposure
    return _byar(events + 1, _ONE_SIDED) / exposure


def rate_interval(events: int, exposure: float) -> tuple[float, float]:
    """Return the 95 % interval of a Poisson rate.

    >>> low, high = rate_interval(10, 1.0)
    >>> round(low, 1), round(high, 1)
    (4.8, 18.4)
    """
    low = _byar(events, -_TWO_SIDED) if events else 0.0
    return low / exposure, _byar(events + 1, _TWO_SIDED) / exposure


def _byar(events: int, z: float) -> float:
    return events * (1 - 1 / (9 * events) + z / (3 * math.sqrt(events))) ** 3


def median_interval(values: Float64) -> tuple[float, float, float]:
    """Return the median and its 95 % interval by order statistics; inf stands for "never".

    Raises ValueError without values.

    >>> median_interval(np.arange(1.0, 101.0))
    (50.5, 40.0, 61.0)
    """
    if not len(values):
        raise ValueError("no values, no median")
    ordered = np.sort(values)
    n = len(ordered)
    half = _TWO_SIDED * math.sqrt(n) / 2
    low = max(math.floor(n / 2 - half), 1)
    high = min(math.ceil(n / 2 + half) + 1, n)
    middle = (ordered[(n - 1) // 2] + ordered[n // 2]) / 2
    return float(middle), float(ordered[low - 1]), float(ordered[high - 1])


def share_interval(hits: int, of: int) -> tuple[float, float]:
    """Return the 95 % interval of a share (Wilson 1927).

    >>> low, high = share_interval(95, 100)
    >>> round(low, 3), round(high, 3)
    (0.888, 0.978)
    """
    share, square = hits / of, _TWO_SIDED**2 / of
    root = _TWO_SIDED * math.sqrt(share * (1 - share) / of + square / (4 * of))
    return (share + square / 2 - root) / (1 + square), (share + square / 2 + root) / (1 + square)
