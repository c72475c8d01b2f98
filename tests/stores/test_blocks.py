"""Cutting and joining stored blocks loses no vital and mixes up no call."""

from __future__ import annotations

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from immune.columns import Names, from_vitals, to_vitals
from immune.stores.telemetry_blocks import (
    Block,
    by_agent,
    decode,
    encode,
    join,
    parts,
    to_block,
    to_columns,
)
from immune.vitals import Kind, ToolCall, Vital

calls = st.lists(
    st.builds(
        ToolCall,
        st.sampled_from(["search", "bank"]),
        st.integers(0, 2**64 - 1),
        st.integers(0, 2**64 - 1),
        st.booleans(),
    ),
    min_size=1,
    max_size=3,
).map(tuple)

vitals = st.lists(
    st.builds(
        Vital,
        agent_id=st.sampled_from(["a", "b", "c"]),
        at=st.integers(0, 20).map(float),
        kind=st.sampled_from(Kind),
        latency_ms=st.none() | st.floats(0, 1e6, width=32),
        model=st.none() | st.sampled_from(["m", "n"]),
        session_id=st.none() | st.text(min_size=1, max_size=3),
        trace_id=st.none() | st.just("t"),
        calls=st.none() | calls,
    ),
    min_size=1,
    max_size=12,
)


def packed(batch: list[Vital], names: Names) -> Block:
    columns = from_vitals(batch, names)
    return to_block(
        columns,
        np.arange(len(names.agents), dtype=np.int32),
        np.arange(len(names.facts), dtype=np.int32),
    )


@given(st.lists(vitals, min_size=1, max_size=4), st.integers(1, 20))
@settings(max_examples=60)
def test_sorting_by_agent_keeps_every_vital(batches: list[list[Vital]], rows: int) -> None:
    """Each agent's block holds its vitals in order of time, as they were, whatever the parts."""
    names = Names()
    blocks = [packed(batch, names) for batch in batches]
    joined = join(blocks)
    everything = [vital for batch in batches for vital in batch]
    assert to_vitals(to_columns(joined), names) == everything
    cut = [
        (names.agents.text(agent), to_vitals(to_columns(decode(encode(block))), names))
        for part in parts(blocks, rows)
        for agent, block in by_agent(part)
    ]
    found = dict(cut)
    assert len(found) == len(cut)
    assert found == {
        agent: sorted((v for v in everything if v.agent_id == agent), key=lambda v: v.at)
        for agent in {v.agent_id for v in everything}
    }
