"""Who reported lately: agents, as the newest of the stored vitals tell of them.

A process that was killed had not yet noted the agents that it had just met; their vitals had been
answered, so they are stored, and its successor knows the agents from there.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from immune.columns import Float64, Int32
from immune.ports import AgentRow


def agents_in(
    agent: Int32,
    at: Float64,
    received_at: Float64,
    facts: Int32,
    agent_of: Callable[[int], str],
    fact_of: Callable[[int], str],
) -> list[AgentRow]:
    """Tell of each agent of n vitals when it was first and last seen, and its latest facts.

    `facts` is (n, 3): agent_type, model, provider. The last two give the text of a code.
    """
    if not len(agent):
        return []
    ended = np.where(received_at > 0, np.minimum(at, received_at), at)
    order = np.lexsort((ended, agent))
    who, ended, facts = agent[order], ended[order], facts[order]
    first = np.flatnonzero(np.append(True, who[1:] != who[:-1]))
    last = np.append(first[1:], len(who)) - 1
    # a step that does not tell a fact takes nothing back of what was told before it
    told_at = np.where(facts != 0, np.arange(len(who))[:, None], -1)
    latest = np.maximum.reduceat(told_at, first, axis=0)
    code = np.where(latest >= 0, facts[np.maximum(latest, 0), np.arange(facts.shape[1])], 0)
    return [
        AgentRow(agent_of(one), fact_of(kind), fact_of(model), fact_of(provider), since, until)
        for one, (kind, model, provider), since, until in zip(
            who[first].tolist(),
            code.tolist(),
            ended[first].tolist(),
            ended[last].tolist(),
            strict=True,
        )
    ]
