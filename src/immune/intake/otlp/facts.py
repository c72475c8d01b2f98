# cython: annotation_typing=False
"""What we know of a span once its dialect no longer matters."""

from __future__ import annotations

import sys
from collections.abc import Iterable
from typing import Any

import msgspec

from immune.intake.otlp import names
from immune.vitals import ID_LENGTH_MAX


class Facts(msgspec.Struct, frozen=True, omit_defaults=True, gc=False):
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
    odd: bool = False
    """A number of it was negative, infinite or none at all, and is missing here."""


NO_FACTS = Facts()
"""Of a span that tells none: the very same each time `facts_of` finds nothing."""


_NUMBER, _TEXT, _NAME, _PROVIDER = 0, 1, 2, 3
"""Which values may fill a field."""

_Plan = tuple[tuple[int, int, tuple[str, ...]], ...]
"""Places of fields, what may fill each, and the names that may, the first to count first."""

_PLANS: dict[tuple[str, ...], _Plan] = {}
"""By the names that a span has: an instrumentation sends the same ones again and again."""
_PLANS_MAX = 4096


def _plan(present: tuple[str, ...]) -> _Plan:
    """Return the plan for a span that has these names, which is in `_PLANS` from then on."""
    if len(_PLANS) >= _PLANS_MAX:
        _PLANS.clear()
    found: list[tuple[int, int, tuple[str, ...]]] = []
    for table in (names.TEXT_FACTS, names.NUMBER_FACTS):
        for field, row in table.items():
            if there := tuple(name for name in row if name in present):
                found.append((Facts.__struct_fields__.index(field), _filling(field), there))
    _PLANS[present] = tuple(found)
    return _PLANS[present]


# An agent's name is never left out for being odd, or the step would go to somebody else: it is
# kept, cut, and the vital refused.
_IDENTITY = frozenset({"immune_id", "agent_id", "agent_name", "agent_node"})
_NAME_LENGTH_MAX = 1024
_COUNT_MAX = sys.float_info.max
"""Whole numbers may be larger still."""


def _filling(field: str) -> int:
    if field in names.NUMBER_FACTS:
        return _NUMBER
    if field == "provider":
        return _PROVIDER
    return _NAME if field in _IDENTITY else _TEXT


_BLANK: list[Any] = [getattr(NO_FACTS, field) for field in Facts.__struct_fields__]
_ODD = Facts.__struct_fields__.index("odd")


def facts_of(wanted: dict[str, object]) -> Facts:
    """Return the facts that these attributes tell.

    Text that no vital may carry is left out, and so is a number that is no count (see `odd`).
    """
    present = tuple(wanted)
    found = _BLANK.copy()
    none = True
    for place, filling, candidates in _PLANS.get(present) or _plan(present):
        for name in candidates:
            value = wanted[name]
            if filling == _NUMBER:
                if type(value) is int or type(value) is float:
                    if 0 <= value <= _COUNT_MAX:
                        found[place] = float(value)
                        none = False
                        break
                    found[_ODD] = True
                    none = False
            elif type(value) is str and value:
                text = value
                if filling == _NAME:
                    found[place] = text[:_NAME_LENGTH_MAX]
                    none = False
                    break
                if (
                    len(text) <= ID_LENGTH_MAX
                    and text.isprintable()
                    and (filling == _TEXT or text not in names.NO_PROVIDERS)
                ):
                    found[place] = text
                    none = False
                    break
    return NO_FACTS if none else Facts(*found)


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
    together: dict[str, Any] = {"odd": any(one.odd for one in ordered)}
    for one in ordered:
        for field in Facts.__struct_fields__:
            if together.get(field) is None:
                together[field] = getattr(one, field)
    return Facts(**together)


def _told(facts: Facts) -> int:
    return sum(getattr(facts, field) is not None for field in _COUNTED)
