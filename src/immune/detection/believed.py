"""What of a batch is believed: the last door before anything is learned.

Intake and `from_vitals` refuse what no step can have, and say so. Whoever fills columns by other
means may let something through, and one infinity, learned, would blind a stream for good: here it
is missing, and a step that ended at no time is none.
"""

from __future__ import annotations

import numpy as np

from immune.columns import VitalColumns, possible
from immune.vitals import VALUE_MAX


def believed(columns: VitalColumns) -> VitalColumns:
    """Return the batch, or, where it holds what no step can have, what is left of it."""
    ended = np.isfinite(columns.at)
    if ended.all() and possible(columns.values):
        return columns
    left = columns.take(np.flatnonzero(ended))
    sane = (left.values >= 0) & (left.values <= np.float32(VALUE_MAX))
    left.values = np.where(sane, left.values, np.float32(np.nan))
    return left
