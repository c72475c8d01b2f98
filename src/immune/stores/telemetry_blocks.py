"""How vitals lie in the telemetry file: blocks of fixed-width records.

A `Block` holds the vitals of one batch, or of one agent after sorting. Its records are rows of a
numpy record type, so that cutting a block by agent is cutting bytes, and writing 10,000 vitals
costs one row of SQL. Codes in a block are those of the file's own names (see `telemetry_file`).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import msgspec
import numpy as np
import numpy.typing as npt

from immune.columns import CallColumns, Int32, Rows, VitalColumns
from immune.vitals import N_METRICS

RECORD = np.dtype(
    [
        ("agent", "<i4"),
        ("kind", "u1"),
        ("at", "<f8"),
        ("received_at", "<f8"),
        ("values", "<f4", (N_METRICS,)),
        ("facts", "<i4", (5,)),
    ]
)
"""One vital. `facts` are agent_type, model, provider, prompt_hash, error_type."""

CALL = np.dtype(
    [("row", "<i4"), ("tool", "<i4"), ("args_hash", "<u8"), ("result_hash", "<u8"), ("ok", "u1")]
)
"""One tool call; `row` points into the block."""

Records = npt.NDArray[np.void]
Texts = list[str | None] | None


class Block(msgspec.Struct, array_like=True):
    """Vitals as stored: records as bytes, and the texts that are too many to intern."""

    records: bytes
    calls: bytes = b""
    step_ids: Texts = None
    session_ids: Texts = None
    trace_ids: Texts = None

    def __len__(self) -> int:
        return len(self.records) // RECORD.itemsize

    def rows(self) -> Records:
        return np.frombuffer(self.records, RECORD)


_encoder = msgspec.msgpack.Encoder()
_decoder = msgspec.msgpack.Decoder(Block)
encode = _encoder.encode


def decode(data: bytes) -> Block:
    return _decoder.decode(data)


def to_block(columns: VitalColumns, agents: Int32, facts: Int32) -> Block:
    """Pack `columns`; `agents` and `facts` give the file's code for each code of the columns."""
    records = np.empty(len(columns), RECORD)
    records["agent"] = agents[columns.agent]
    records["kind"] = columns.kind
    records["at"] = columns.at
    records["received_at"] = columns.received_at
    records["values"] = columns.values
    packed = records["facts"]
    packed[:, 0] = facts[columns.agent_type]
    packed[:, 1] = facts[columns.model]
    packed[:, 2] = facts[columns.provider]
    packed[:, 3] = facts[columns.prompt_hash]
    packed[:, 4] = facts[columns.error_type]
    calls = columns.calls
    if len(calls):
        packed_calls = np.empty(len(calls), CALL)
        packed_calls["row"] = calls.row
        packed_calls["tool"] = facts[calls.tool]
        packed_calls["args_hash"] = calls.args_hash
        packed_calls["result_hash"] = calls.result_hash
        packed_calls["ok"] = calls.ok
        call_bytes = packed_calls.tobytes()
    else:
        call_bytes = b""
    return Block(
        records.tobytes(), call_bytes, columns.step_id, columns.session_id, columns.trace_id
    )


def to_columns(block: Block) -> VitalColumns:
    """Unpack; the codes are the file's."""
    records = block.rows()
    calls = np.frombuffer(block.calls, CALL)
    facts = records["facts"]
    return VitalColumns(
        records["agent"],
        records["kind"],
        records["at"],
        records["received_at"],
        records["values"],
        facts[:, 0],
        facts[:, 1],
        facts[:, 2],
        facts[:, 3],
        facts[:, 4],
        CallColumns(
            calls["row"],
            calls["tool"],
            calls["args_hash"],
            calls["result_hash"],
            calls["ok"].astype(np.bool_),
        ),
        block.step_ids,
        block.session_ids,
        block.trace_ids,
    )


def take(block: Block, rows: Rows) -> Block:
    """The block of these rows, in the order given."""

    def some(texts: Texts) -> Texts:
        return None if texts is None else [texts[i] for i in rows.tolist()]

    calls = np.frombuffer(block.calls, CALL)
    if len(calls):
        row = calls["row"].copy()  # in one piece it is searched faster
        first = np.searchsorted(row, rows, "left")
        count = np.searchsorted(row, rows, "right") - first
        starts = np.repeat(first - np.cumsum(count) + count, count)
        calls = calls[starts + np.arange(count.sum())]
        calls["row"] = np.repeat(np.arange(len(rows)), count)
    return Block(
        block.rows()[rows].tobytes(),
        calls.tobytes(),
        some(block.step_ids),
        some(block.session_ids),
        some(block.trace_ids),
    )


def join(blocks: Sequence[Block]) -> Block:
    """All vitals of `blocks`, one after the other."""
    if len(blocks) == 1:
        return blocks[0]
    lengths = [len(block) for block in blocks]

    def texts(columns: Sequence[Texts]) -> Texts:
        if not any(column is not None for column in columns):
            return None
        joined: list[str | None] = []
        for column, length in zip(columns, lengths, strict=True):
            joined += [None] * length if column is None else column
        return joined

    calls = []
    offset = 0
    for block, length in zip(blocks, lengths, strict=True):
        if block.calls:
            moved = np.frombuffer(block.calls, CALL).copy()
            moved["row"] += offset
            calls.append(moved.tobytes())
        offset += length
    return Block(
        b"".join(block.records for block in blocks),
        b"".join(calls),
        texts([block.step_ids for block in blocks]),
        texts([block.session_ids for block in blocks]),
        texts([block.trace_ids for block in blocks]),
    )


def parts(blocks: Sequence[Block], rows: int) -> Iterator[Block]:
    """All vitals of `blocks` in order of agent and `at`, in parts of whole agents.

    A part holds about `rows` vitals, so that no more than that is ever copied at once.
    """
    agents = [block.rows()["agent"].copy() for block in blocks]
    ordered = np.sort(np.concatenate(agents))
    # several edges are one where an agent has more vitals than a part
    edges = np.unique(ordered[[*range(rows - 1, len(ordered) - 1, rows), -1]])
    for begin, end in zip([-1, *edges[:-1].tolist()], edges.tolist(), strict=True):
        wanted = [(a > begin) & (a <= end) for a in agents]
        part = join(
            [take(block, np.flatnonzero(w)) for block, w in zip(blocks, wanted, strict=True)]
        )
        records = part.rows()
        yield take(part, np.lexsort((records["at"], records["agent"])))


def by_agent(block: Block) -> Iterator[tuple[int, Block]]:
    """Cut a block that is in order of agent into one for each."""
    agents = block.rows()["agent"]
    edges = np.flatnonzero(np.diff(agents)) + 1
    starts = np.concatenate(([0], edges))
    ends = np.concatenate((edges, [len(agents)]))
    calls = np.frombuffer(block.calls, CALL)
    if len(calls):
        call_starts = np.searchsorted(calls["row"], starts)
        call_ends = np.searchsorted(calls["row"], ends)
        calls = calls.copy()
        calls["row"] -= np.repeat(starts, call_ends - call_starts)
    else:
        call_starts = call_ends = np.zeros(len(starts), np.intp)
    call_bytes = calls.tobytes()
    size, call_size = RECORD.itemsize, CALL.itemsize

    def cut(texts: Texts, start: int, end: int) -> Texts:
        part = None if texts is None else texts[start:end]
        return part if part and any(part) else None

    for agent, a, b, c, d in zip(
        agents[starts].tolist(),
        starts.tolist(),
        ends.tolist(),
        call_starts.tolist(),
        call_ends.tolist(),
        strict=True,
    ):
        yield (
            agent,
            Block(
                block.records[a * size : b * size],
                call_bytes[c * call_size : d * call_size],
                cut(block.step_ids, a, b),
                cut(block.session_ids, a, b),
                cut(block.trace_ids, a, b),
            ),
        )
