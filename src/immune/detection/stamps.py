"""Times in four bytes: whole milliseconds modulo 2^32, told apart by a later time that is known.

For the many past times that a stream keeps: right for those less than 49 days older than it.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from immune.columns import Float64

Stamps = npt.NDArray[np.uint32]


def stamps(at: Float64) -> Stamps:
    """Return epoch seconds, of any shape, as stamps."""
    return (np.rint(at * 1000.0).astype(np.int64) & 0xFFFFFFFF).astype(np.uint32)


def times(stamped: Stamps, latest: Float64) -> Float64:
    """Return the epoch seconds of stamps, to the millisecond; `latest` is at or after each.

    >>> at = np.array([1_800_000_000.25, 1_800_000_001.5])
    >>> (times(stamps(at), at[-1]) == at).all()
    np.True_
    """
    ago: Float64 = (stamps(latest) - stamped).astype(np.float64) / 1000.0
    out: Float64 = latest - ago
    return out
