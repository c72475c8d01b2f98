"""What we know of a span once its dialect no longer matters."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from typing import Any

import msgspec

from immune.intake.otlp import names
from immune.vitals import ID_LENGTH_MAX


class Facts(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """The facts of a span, None where it tells none. Which attributes tell them: `names`."""

    immune_id: str | None = None
    agent_id: str | None = None
    agent_name: str | None = None
    agent_node: str | None = None
    """Names the agent only on a span that is an agent's run."""
    agent_type: str | None = None
    graph_node: str | None = None
    """Present on the nodes of a LangGraph graph, absent on its root."""
    session_id: str | None = None
    model: str | None = None
    provider: str | None = None
    tool: str | None = None
    error_type: str | None = None
    exception_type: str | None = None
    input_tokens: float | None = None
    output_tokens: float | None = None
    total_tokens: float | None = None
    aggregated_input_tokens: float | None = None
    aggregated_output_tokens: float | None = None
    cost_usd: float | None = None
    resends: float | None = None


# For each name: the fields it may fill, and how late in the field's row it stands.
_TEXTS: dict[str, list[tuple[str, int]]] = {}
_NUMBERS: dict[str, list[tuple[str, int]]] = {}
for _index, _table in ((_TEXTS, names.TEXT_FACTS), (_NUMBERS, names.NUMBER_FACTS)):
    for _field, _row in _table.items():
        for _rank, _name in enumerate(_row):
            _index.setdefault(_name, []).append((_field, _rank))

# An agent's name is never left out for being odd, or the step would go to somebody else: it is
# kept, cut, and the vital refused.
_IDENTITY = frozenset({"immune_id", "agent_id", "agent_name", "agent_node"})
_IDENTITY_LENGTH_MAX = 1024


def facts_of(wanted: Mapping[str, object]) -> Facts:
    """Return the facts that these attributes tell.

    Text that no vital may carry is left out, and so is a number that is no count.
    """
    found: dict[str, Any] = {}
    ranks: dict[str, int] = {}
    for name, value in wanted.items():
        if isinstance(value, str):
            for field, rank in _TEXTS.get(name, ()):
                if rank < ranks.get(field, 99) and _is_fact(field, value):
                    found[field], ranks[field] = value[:_IDENTITY_LENGTH_MAX], rank
        elif isinstance(value, (int, float)) and not isinstance(value, bool):
            for field, rank in _NUMBERS.get(name, ()):
                if rank < ranks.get(field, 99) and 0 <= value < math.inf:
                    found[field], ranks[field] = float(value), rank
    return Facts(**found)


def _is_fact(field: str, text: str) -> bool:
    if field in _IDENTITY:
        return bool(text)
    if field == "provider" and text in names.NO_PROVIDERS:
        return False
    return clean(text) is not None


def clean(text: str | None) -> str | None:
    """Return `text` if a vital may carry it as a fact."""
    return text if text and len(text) <= ID_LENGTH_MAX and text.isprintable() else None


_COUNTED = ("model", "provider", "input_tokens", "output_tokens", "cost_usd", "error_type")


def merged(facts: Iterable[Facts]) -> Facts:
    """Return what several reports of the same thing say together.

    Where they differ, the one that tells most is believed, of equals the first.
    """
    ordered = sorted(facts, key=_told, reverse=True)
    if len(ordered) == 1:
        return ordered[0]
    together: dict[str, Any] = {}
    for one in ordered:
        for field in Facts.__struct_fields__:
            if together.get(field) is None:
                together[field] = getattr(one, field)
    return Facts(**together)


def _told(facts: Facts) -> int:
    return sum(getattr(facts, field) is not None for field in _COUNTED)
