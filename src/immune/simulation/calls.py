"""The single tool calls of a step, with the hashes of their arguments and results.

Hashes repeat only where the agent really repeats itself; a call fails where the step had to retry.
"""

from __future__ import annotations

import numpy as np

from immune.columns import Bool, CallColumns, Int32, Int64, UInt64
from immune.simulation.law import Law
from immune.vitals import CALLS_MAX

HASH_END = np.iinfo(np.uint64).max


def draw_calls(
    rng: np.random.Generator,
    law: Law,
    tool_code: Int32,
    who: Int64,
    free: Int64,
    loop: Int64 | None,
    retried: Bool,
    by_tool: Bool,
    loop_slot: Int64,
    loop_hashes: UInt64,
) -> CallColumns:
    """Draw the calls of m steps: `free` ones to any tool, then `loop` equal ones.

    A retried step has its first call fail; where a tool was to blame (`by_tool`) it went to the
    flakiest. At most `CALLS_MAX` calls a step are told apart, as agents report no more.
    """
    count = np.minimum(free if loop is None else free + loop, CALLS_MAX)
    total = int(count.sum())
    row = np.repeat(np.arange(len(who), dtype=np.int32), count)
    agent = who[row]
    slot = (rng.random(total)[:, None] >= law.spread[agent]).sum(1)
    hashes = rng.integers(1, HASH_END, (2, total), np.uint64)
    ok = np.ones(total, np.bool_)
    first = np.cumsum(count) - count

    failing = np.flatnonzero(retried & (count > 0))
    ok[first[failing]] = False
    blamed = np.flatnonzero(by_tool & (count > 0))
    slot[first[blamed]] = law.flaky[who[blamed]]

    if loop is not None:
        again = np.flatnonzero(np.arange(total) - first[row] >= free[row])
        repeating = agent[again]
        slot[again] = loop_slot[repeating]
        hashes[:, again] = loop_hashes[repeating].T
        ok[again] = True
    return CallColumns(row, tool_code[agent, slot], hashes[0], hashes[1], ok)
