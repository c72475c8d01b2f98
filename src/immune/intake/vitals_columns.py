"""A batch of typed reports to columns at once, field by field and not vital by vital.

This is the way of a batch in which nothing is amiss. Whatever is (a negative number, a name too
long, a step of the day before yesterday) makes it return None; then `vitals_item` looks at each
vital by itself and says which one it was and why. Both ways give the same columns.
"""

from __future__ import annotations

from collections.abc import Sequence
from operator import attrgetter
from typing import Any

import numpy as np

from immune.columns import (
    KIND_CODE,
    CallColumns,
    Float32,
    Float64,
    Int32,
    Interner,
    Names,
    VitalColumns,
)
from immune.intake.salt import Salt
from immune.intake.vitals_item import Report, ReportedCall, tool_call
from immune.vitals import (
    AHEAD_MAX_S,
    BEHIND_MAX_S,
    CALLS_MAX,
    ID_LENGTH_MAX,
    N_METRICS,
    REPORTED,
    VALUE_MAX,
    Kind,
    Metric,
    Refusal,
    ToolCall,
    agent_id_fault,
)

_LABELS = tuple(spec.metric.label for spec in REPORTED)
_METRICS = tuple(spec.metric for spec in REPORTED)
_FACTS = ("agent_type", "model", "provider", "prompt_hash", "error_type")
_IDS = ("step_id", "session_id", "trace_id")
_fields = attrgetter(
    *("agent_id", "at", "kind", "token_count", "tools", "calls"), *_LABELS, *_FACTS, *_IDS
)
_KIND_CODES: dict[Kind | None, int] = {None: KIND_CODE[Kind.RUN]} | dict(KIND_CODE.items())

_Column = tuple[Any, ...]


def columns_of(
    reports: Sequence[Report], received_at: float, salt: Salt, names: Names
) -> VitalColumns | None:
    """Return the vitals that `reports` stand for, interned into `names`; None where the batch has
    one that must be refused, and then nothing was interned."""
    n = len(reports)
    agent_id, at_told, kind, token_count, tools, calls, *rest = zip(
        *map(_fields, reports), strict=True
    )
    measured = rest[: len(_LABELS)]
    facts = rest[len(_LABELS) : len(_LABELS) + len(_FACTS)]
    ids = rest[-len(_IDS) :]
    at = np.full(n, received_at) if _nothing(at_told) else np.array(at_told, np.float64)
    at[np.isnan(at)] = received_at
    if at.max() > received_at + AHEAD_MAX_S or at.min() < received_at - BEHIND_MAX_S:
        return None
    values = _values(measured, token_count, n)
    if values is None or not _agents_fit(agent_id, names.agents):
        return None
    if not all(_texts_fit(column, names.facts) for column in facts):
        return None
    if not all(_ids_fit(column) for column in ids):
        return None
    called = _calls(tools, calls, salt)
    if called is None:
        return None
    codes = [_codes(column, names.facts, n) for column in facts]
    step_ids, session_ids, trace_ids = (
        None if _nothing(column) else [str(told) if told else None for told in column]
        for column in ids
    )
    return VitalColumns(
        agent=names.agents.codes(agent_id),
        kind=np.fromiter(map(_KIND_CODES.__getitem__, kind), np.uint8, n),
        at=at,
        received_at=np.full(n, received_at),
        values=values,
        agent_type=codes[0],
        model=codes[1],
        provider=codes[2],
        prompt_hash=codes[3],
        error_type=codes[4],
        calls=_call_columns(called, names.facts),
        step_id=step_ids,
        session_id=session_ids,
        trace_id=trace_ids,
    )


def _nothing(column: _Column) -> bool:
    return column.count(None) == len(column)


def _values(measured: Sequence[_Column], token_count: _Column, n: int) -> Float32 | None:
    values = np.full((n, N_METRICS), np.nan, np.float32)
    for metric, column in zip(_METRICS, measured, strict=True):
        if not _nothing(column):
            numbers = _numbers(column)
            if numbers is None:
                return None
            values[:, metric] = numbers
    errors = values[:, Metric.ERRORS]
    if not ((errors == 0) | (errors == 1) | np.isnan(errors)).all():
        return None
    if not _nothing(token_count):
        counts = _numbers(token_count)
        if counts is None:
            return None
        alone = np.isnan(values[:, [Metric.INPUT_TOKENS, Metric.OUTPUT_TOKENS]]).all(axis=1)
        values[alone, Metric.OUTPUT_TOKENS] = counts[alone]
    return values


def _numbers(column: _Column) -> Float64 | None:
    """The column's numbers, NaN where there is none; None where one may not be."""
    numbers = np.array(column, np.float64)
    with np.errstate(invalid="ignore"):
        # JSON has no NaN: what is none here was not told
        wrong = (numbers < 0) | (numbers > VALUE_MAX)
    return None if wrong.any() else numbers


def _agents_fit(column: _Column, known: Interner) -> bool:
    return "" not in column and not any(map(agent_id_fault, known.unknown(column)))


def _texts_fit(column: _Column, known: Interner) -> bool:
    return all(map(_fits, known.unknown(column)))


def _ids_fit(column: _Column) -> bool:
    told = [text for text in column if isinstance(text, str)]
    return not told or (max(map(len, told)) <= ID_LENGTH_MAX and "".join(told).isprintable())


def _fits(text: str) -> bool:
    return len(text) <= ID_LENGTH_MAX and text.isprintable()


def _codes(column: _Column, known: Interner, n: int) -> Int32:
    return np.zeros(n, np.int32) if _nothing(column) else known.codes(column)


def _calls(tools: _Column, calls: _Column, salt: Salt) -> list[tuple[int, ToolCall]] | None:
    """The tool calls by row; None where one may not be."""
    found: list[tuple[int, ToolCall]] = []
    if _nothing(tools) and _nothing(calls):
        return found
    for row, (used, made) in enumerate(zip(tools, calls, strict=True)):
        told = [ReportedCall(str(tool)) for tool in used] if isinstance(used, list) else []
        if len(told) > CALLS_MAX or (isinstance(made, list) and len(made) > CALLS_MAX):
            return None
        if not all(_fits(call.tool) for call in told):
            return None
        for call in made if isinstance(made, list) and made else told:
            hashed = tool_call(call, row, salt)
            if isinstance(hashed, Refusal) or not _fits(hashed.tool):
                return None
            found.append((row, hashed))
    return found


def _call_columns(called: Sequence[tuple[int, ToolCall]], facts: Interner) -> CallColumns:
    if not called:
        return CallColumns.empty()
    return CallColumns(
        np.array([row for row, _ in called], np.int32),
        np.array([facts.code(call.tool) for _, call in called], np.int32),
        np.array([call.args_hash for _, call in called], np.uint64),
        np.array([call.result_hash for _, call in called], np.uint64),
        np.array([call.ok for _, call in called], np.bool_),
    )
