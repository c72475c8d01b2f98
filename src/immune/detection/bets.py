"""The bets: how much each may win, and what it wins on average while nothing has changed.

A bet e^{δz} on a normal z is cut off where it, divided by its mean, reaches the most that a step
may add to the evidence. Cutting before dividing loses nothing on average: a bet that is cut only
afterwards has a mean far below one, and is slow for nothing.
"""

from __future__ import annotations

import math
from statistics import NormalDist

_NORMAL = NormalDist()


def mean_of(delta: float, ceiling: float) -> float:
    """Return E min(e^{δz}, ceiling) for a standard normal z.

    >>> round(mean_of(1.0, math.inf), 4) == round(math.exp(0.5), 4)
    True
    """
    if math.isinf(ceiling):
        return math.exp(delta * delta / 2)
    z = math.log(ceiling) / delta
    below = _NORMAL.cdf(z - delta) if delta > 0 else 1 - _NORMAL.cdf(z - delta)
    above = 1 - _NORMAL.cdf(z) if delta > 0 else _NORMAL.cdf(z)
    return math.exp(delta * delta / 2) * below + ceiling * above


def ceiling_of(delta: float, z_clip: float, nats: float) -> float:
    """Return where e^{δz} is cut: ceiling / mean = e^nats, at most e^{|δ|·z_clip}.

    >>> ceiling = ceiling_of(2.8, 4.0, 2.5)
    >>> round(math.log(ceiling / mean_of(2.8, ceiling)), 3)
    2.5
    """
    widest = math.exp(abs(delta) * z_clip)
    low, high = 1.0, widest
    for _ in range(60):
        middle = math.sqrt(low * high)
        if middle / mean_of(delta, middle) > math.exp(nats):
            high = middle
        else:
            low = middle
    return high
