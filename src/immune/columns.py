"""Vitals as columns: what the hot path carries instead of objects.

Intake turns what it reads into `VitalColumns`; the collector, the detector and the telemetry store
take them as they are. Strings are interned once into small integers; 0 always means "unknown".
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from itertools import repeat
from typing import Any, TypeVar

import msgspec
import numpy as np
import numpy.typing as npt

from immune.errors import InvalidInput
from immune.vitals import (
    N_METRICS,
    REPORTED,
    VALUE_MAX,
    Kind,
    Metric,
    ToolCall,
    Vital,
    measure_fault,
)

Int32 = npt.NDArray[np.int32]
Int64 = npt.NDArray[np.int64]
UInt64 = npt.NDArray[np.uint64]
Float32 = npt.NDArray[np.float32]
Float64 = npt.NDArray[np.float64]
Bool = npt.NDArray[np.bool_]
Rows = npt.NDArray[np.intp]
"""Indices of rows in a batch."""
Number = TypeVar("Number", bound=np.generic)

KINDS: tuple[Kind, ...] = (Kind.CALL, Kind.RUN)
KIND_CODE = {kind: code for code, kind in enumerate(KINDS)}


FACTS_MAX = 500_000
"""Facts kept apart; a sender that makes up a new model each time has none of the further ones
told."""


class Interner:
    """Strings to small integers and back. Code 0 is the empty string: unknown.

    Beyond `limit` strings a new one is unknown as well. Codes of strings that are gone are given to
    new ones, once `reuse` says that nobody refers to them any more.
    """

    def __init__(self, strings: Iterable[str] = (), limit: int | None = None) -> None:
        self._codes: dict[str | None, int] = {"": 0, None: 0}
        self._strings: list[str] = [""]
        self._limit = limit
        self._free: list[int] = []
        self._reused: set[int] = set()
        self.aliases: dict[str, str] = {}
        """Strings that stand for another; changed by `alias` and `unalias` alone."""
        for text in strings:
            self.code(text)

    def __len__(self) -> int:
        return len(self._strings)

    def code(self, text: str | None) -> int:
        """Return the code of `text`, giving it one if it is new."""
        if not text:
            return 0
        code = self._codes.get(text)
        if code is None:
            name = self.aliases.get(text)
            code = self._new(text) if name is None else self.code(name)
            if code:
                self._codes[text] = code
        return code

    def _new(self, text: str) -> int:
        if self._free:
            code = self._free.pop()
            self._strings[code] = text
            self._reused.add(code)
            return code
        if self._limit is not None and len(self._strings) > self._limit:
            return 0
        self._strings.append(text)
        return len(self._strings) - 1

    def alias(self, text: str, name: str) -> None:
        """From now on `text`, which has no code of its own, stands for `name`."""
        self.aliases[text] = name
        self._codes.pop(text, None)

    def unalias(self, text: str) -> None:
        """From now on `text`, an alias, stands for itself."""
        del self.aliases[text]
        self._codes.pop(text, None)

    def free(self, code: int) -> None:
        """Forget the string of `code`: the next time it comes it gets another code.

        `text` still tells it until the code is given out again.
        """
        name = self._strings[code]
        self._codes.pop(name, None)
        for text, known in self.aliases.items():
            if known == name:
                self._codes.pop(text, None)

    def reuse(self, codes: Iterable[int]) -> None:
        """Give these codes, which were freed, to new strings from now on."""
        self._free.extend(codes)

    def take_reused(self) -> set[int]:
        """Return the codes that were given out again since the last time this was asked: for the
        one who keeps something by code."""
        reused, self._reused = self._reused, set()
        return reused

    def codes(self, texts: Sequence[str | None]) -> Int32:
        """Return the codes of many texts, giving those that are new one."""
        found = list(map(self._codes.get, texts))
        if None in found:
            found = [self.code(text) for text in texts]
        return np.array(found, np.int32)

    def unknown(self, texts: Iterable[str | None]) -> set[str]:
        """Return those of `texts` that have no code yet."""
        return {text for text in set(texts) if text is not None and text not in self._codes}

    def name(self, text: str) -> str:
        """Return what `text` stands for: itself, where it is no alias."""
        return self.aliases.get(text, text)

    def find(self, text: str) -> int | None:
        """Return the code of `text` or of what it stands for, or None where it has none."""
        return self._codes.get(self.aliases.get(text, text))

    def text(self, code: int) -> str:
        """Return the string of `code`; raises IndexError for a code never given."""
        return self._strings[code]


@dataclass(slots=True)
class Names:
    """The interners that columns refer to; one set for a running system."""

    agents: Interner = field(default_factory=Interner)
    facts: Interner = field(default_factory=lambda: Interner(limit=FACTS_MAX))
    """Agent types, models, providers, prompt hashes, tools, error types."""


@dataclass(slots=True)
class CallColumns:
    """The tool calls of a batch, m in all; `row` ascends and points into the batch."""

    row: Int32
    tool: Int32
    args_hash: UInt64
    result_hash: UInt64
    ok: Bool

    def __len__(self) -> int:
        return len(self.row)

    @classmethod
    def empty(cls) -> CallColumns:
        return cls(
            np.empty(0, np.int32),
            np.empty(0, np.int32),
            np.empty(0, np.uint64),
            np.empty(0, np.uint64),
            np.empty(0, np.bool_),
        )


@dataclass(slots=True)
class VitalColumns:
    """n vitals as columns.

    agent, agent_type, model, provider, prompt_hash, error_type: int32 (n,), codes of `Names`;
    kind: uint8 (n,), index into `KINDS`; at, received_at: float64 (n,), epoch seconds;
    values: float32 (n, 8) in the order of `Metric`, NaN where missing. The interval's column is
    NaN until the collector fills it in. step_id, session_id, trace_id: lists of n, or None where
    no vital of the batch has one. source: uint64 (n,), tells the processes that report apart, 0 for
    one that did not say; None where nobody did. moved_s: float64 (n,), by how much the collector
    moved `at` because the clock that it is by is off; None where nothing was moved.
    """

    agent: Int32
    kind: npt.NDArray[np.uint8]
    at: Float64
    received_at: Float64
    values: Float32
    agent_type: Int32
    model: Int32
    provider: Int32
    prompt_hash: Int32
    error_type: Int32
    calls: CallColumns
    step_id: list[str | None] | None = None
    session_id: list[str | None] | None = None
    trace_id: list[str | None] | None = None
    source: UInt64 | None = None
    moved_s: Float64 | None = None

    def __len__(self) -> int:
        return len(self.agent)

    def take(self, rows: Rows) -> VitalColumns:
        """Return the batch of these rows, in the order given."""

        def some(column: list[str | None] | None) -> list[str | None] | None:
            return None if column is None else [column[i] for i in rows.tolist()]

        if len(self.calls):
            # calls of one row are contiguous: expand each wanted row's span
            first = np.searchsorted(self.calls.row, rows, "left")
            count = np.searchsorted(self.calls.row, rows, "right") - first
            new_row = np.repeat(np.arange(len(rows), dtype=np.int32), count)
            start = np.repeat(first - np.concatenate(([0], np.cumsum(count)[:-1])), count)
            pick = start + np.arange(len(new_row))
            calls = CallColumns(
                new_row,
                self.calls.tool[pick],
                self.calls.args_hash[pick],
                self.calls.result_hash[pick],
                self.calls.ok[pick],
            )
        else:
            calls = self.calls
        return VitalColumns(
            self.agent[rows],
            self.kind[rows],
            self.at[rows],
            self.received_at[rows],
            self.values[rows],
            self.agent_type[rows],
            self.model[rows],
            self.provider[rows],
            self.prompt_hash[rows],
            self.error_type[rows],
            calls,
            some(self.step_id),
            some(self.session_id),
            some(self.trace_id),
            None if self.source is None else self.source[rows],
            None if self.moved_s is None else self.moved_s[rows],
        )


def concat(batches: Sequence[VitalColumns]) -> VitalColumns:
    """Join batches that share `Names`, in the order given; at least one."""
    if len(batches) == 1:
        return batches[0]
    starts = np.cumsum([0, *(len(batch) for batch in batches[:-1])])

    def ids(label: str) -> list[str | None] | None:
        columns: list[list[str | None] | None] = [getattr(batch, label) for batch in batches]
        if not any(columns):
            return None
        joined: list[str | None] = []
        for batch, column in zip(batches, columns, strict=True):
            joined.extend(column or [None] * len(batch))
        return joined

    return VitalColumns(
        agent=np.concatenate([batch.agent for batch in batches]),
        kind=np.concatenate([batch.kind for batch in batches]),
        at=np.concatenate([batch.at for batch in batches]),
        received_at=np.concatenate([batch.received_at for batch in batches]),
        values=np.concatenate([batch.values for batch in batches]),
        agent_type=np.concatenate([batch.agent_type for batch in batches]),
        model=np.concatenate([batch.model for batch in batches]),
        provider=np.concatenate([batch.provider for batch in batches]),
        prompt_hash=np.concatenate([batch.prompt_hash for batch in batches]),
        error_type=np.concatenate([batch.error_type for batch in batches]),
        calls=CallColumns(
            np.concatenate(
                [b.calls.row + np.int32(start) for b, start in zip(batches, starts, strict=True)]
            ),
            np.concatenate([batch.calls.tool for batch in batches]),
            np.concatenate([batch.calls.args_hash for batch in batches]),
            np.concatenate([batch.calls.result_hash for batch in batches]),
            np.concatenate([batch.calls.ok for batch in batches]),
        ),
        step_id=ids("step_id"),
        session_id=ids("session_id"),
        trace_id=ids("trace_id"),
        source=_joined([batch.source for batch in batches], batches, np.uint64),
        moved_s=_joined([batch.moved_s for batch in batches], batches, np.float64),
    )


def _joined(
    columns: Sequence[npt.NDArray[Number] | None],
    batches: Sequence[VitalColumns],
    dtype: type[Number],
) -> npt.NDArray[Number] | None:
    """Join columns that a batch need not have; zeros stand for one that is not there."""
    if all(column is None for column in columns):
        return None
    return np.concatenate(
        [
            np.zeros(len(batch), dtype) if column is None else column
            for column, batch in zip(columns, batches, strict=True)
        ]
    )


def from_vitals(vitals: Sequence[Vital], names: Names) -> VitalColumns:
    """Turn `vitals` into columns, interning into `names`.

    Raises InvalidInput, naming the agent, the field and the reason, where one holds what no step
    can have.
    """
    n = len(vitals)
    rows = zip(*map(msgspec.structs.astuple, vitals), strict=True)
    told = dict(zip(Vital.__struct_fields__, rows if n else repeat(()), strict=False))
    values = np.full((n, N_METRICS), np.nan, np.float32)
    given = 0
    with np.errstate(over="ignore"):  # beyond single precision is refused below
        for spec in REPORTED:
            column = told[spec.metric.label]
            reported = n - column.count(None)
            given += reported
            if reported:
                values[:, spec.metric] = np.array(column, np.float64)  # which makes NaN of None
    at = np.array(told["at"], np.float64)
    failed = values[:, Metric.ERRORS]
    known = np.isin(failed, (0, 1)) | np.isnan(failed)
    whole = np.count_nonzero(np.isnan(values)) == values.size - given
    if not (whole and possible(values) and known.all() and np.isfinite(at).all()):
        _refuse(vitals)
    facts = names.facts

    def ids(label: str) -> list[str | None] | None:
        return list(told[label]) if any(told[label]) else None

    pairs = [
        (row, call)
        for row, (calls, tools) in enumerate(zip(told["calls"], told["tools"], strict=True))
        if calls or tools
        for call in calls or map(ToolCall, tools)
    ]
    return VitalColumns(
        agent=names.agents.codes(told["agent_id"]),
        kind=np.array(list(map(KIND_CODE.__getitem__, told["kind"])), np.uint8),
        at=at,
        received_at=np.array(told["received_at"], np.float64),
        values=values,
        agent_type=facts.codes(told["agent_type"]),
        model=facts.codes(told["model"]),
        provider=facts.codes(told["provider"]),
        prompt_hash=facts.codes(told["prompt_hash"]),
        error_type=facts.codes(told["error_type"]),
        calls=CallColumns(
            np.array([row for row, _ in pairs], np.int32),
            facts.codes([call.tool for _, call in pairs]),
            np.array([call.args_hash for _, call in pairs], np.uint64),
            np.array([call.result_hash for _, call in pairs], np.uint64),
            np.array([call.ok for _, call in pairs], np.bool_),
        )
        if pairs
        else CallColumns.empty(),
        step_id=ids("step_id"),
        session_id=ids("session_id"),
        trace_id=ids("trace_id"),
        source=np.array(told["source"], np.uint64) if any(told["source"]) else None,
    )


def possible(values: Float32) -> bool:
    """Whether all of these (n, 8) values that are not missing are ones that a step can have."""
    least = np.fmin.reduce(values, axis=None, initial=0)
    most = np.fmax.reduce(values, axis=None, initial=0)
    return bool(least >= 0 and most <= np.float32(VALUE_MAX))


def _refuse(vitals: Sequence[Vital]) -> None:
    for vital in vitals:
        fault = measure_fault(vital)
        if not math.isfinite(vital.at):
            fault = "at", "is not a finite number"
        if fault:
            raise InvalidInput(f"agent {vital.agent_id}: {fault[0]}", fault[1])


def to_vitals(columns: VitalColumns, names: Names) -> list[Vital]:
    """Turn columns back into vitals; the inverse of `from_vitals` but for `tools`."""
    calls: list[list[ToolCall]] = [[] for _ in range(len(columns))]
    for row, tool, args, result, ok in zip(
        columns.calls.row.tolist(),
        columns.calls.tool.tolist(),
        columns.calls.args_hash.tolist(),
        columns.calls.result_hash.tolist(),
        columns.calls.ok.tolist(),
        strict=True,
    ):
        calls[row].append(ToolCall(names.facts.text(tool), args, result, ok))

    def text(column: Int32, row: int) -> str | None:
        return names.facts.text(int(column[row])) or None

    def identity(column: list[str | None] | None, row: int) -> str | None:
        return None if column is None else column[row]

    vitals = []
    for row in range(len(columns)):
        measured: dict[str, Any] = {
            spec.metric.label: float(columns.values[row, spec.metric])
            for spec in REPORTED
            if not np.isnan(columns.values[row, spec.metric])
        }
        vitals.append(
            Vital(
                agent_id=names.agents.text(int(columns.agent[row])),
                kind=KINDS[columns.kind[row]],
                at=float(columns.at[row]),
                received_at=float(columns.received_at[row]),
                step_id=identity(columns.step_id, row),
                session_id=identity(columns.session_id, row),
                trace_id=identity(columns.trace_id, row),
                agent_type=text(columns.agent_type, row),
                model=text(columns.model, row),
                provider=text(columns.provider, row),
                prompt_hash=text(columns.prompt_hash, row),
                error_type=text(columns.error_type, row),
                calls=tuple(calls[row]) or None,
                **measured,
            )
        )
    return vitals


__all__ = [
    "KINDS",
    "KIND_CODE",
    "CallColumns",
    "Interner",
    "Metric",
    "Names",
    "VitalColumns",
    "concat",
    "from_vitals",
    "to_vitals",
]
