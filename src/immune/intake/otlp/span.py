"""One span as we keep it: who called whom, when, what kind of work, and no text.

`span_of` is where text ends: it is handed every wanted attribute of a span, hashes what is wanted
of arguments, results and instructions, and keeps short facts only.
"""

from __future__ import annotations

import msgspec

from immune.intake.otlp import content, names
from immune.intake.otlp.names import Fact
from immune.intake.otlp.spans import Role, role_of
from immune.intake.salt import Salt

Scalar = str | int | float | bool
FACT_LENGTH_MAX = 1024
"""Longer values of kept attributes are dropped: no name is that long."""


class Span(msgspec.Struct, frozen=True, kw_only=True):
    """A finished span. Ids are lower-case hex; times are nanoseconds since the epoch."""

    trace_id: str
    span_id: str
    parent_id: str | None
    """None where this span is the root of its trace."""
    parent_remote: bool
    """The parent is another process's span, which may never be sent to us."""
    name: str
    role: Role
    start_ns: int
    end_ns: int
    status_error: bool
    attributes: dict[str, Scalar]
    """Only names of the table, and none of its text rows."""
    resource: dict[str, Scalar]
    scope: str
    args_hash: int = 0
    result_hash: int = 0
    prompt_hash: str | None = None

    @property
    def start_s(self) -> float:
        return self.start_ns / 1e9

    @property
    def end_s(self) -> float:
        return self.end_ns / 1e9

    @property
    def failed(self) -> bool:
        """The span's status, or its error's type, says that the work failed."""
        return self.status_error or "error.type" in self.attributes

    def text(self, fact: Fact) -> str | None:
        """Return the first name's value that is text and not empty."""
        for name in names.NAMES[fact]:
            value = self.attributes.get(name)
            if isinstance(value, str) and value:
                return value
        return None

    def number(self, fact: Fact) -> float | None:
        """Return the first name's value that is a number of at least 0."""
        for name in names.NAMES[fact]:
            value = self.attributes.get(name)
            if isinstance(value, (int, float)) and not isinstance(value, bool) and value >= 0:
                return float(value)
        return None


class RawSpan(msgspec.Struct, frozen=True, kw_only=True):
    """A span as either encoding tells it, still with text: it lives only inside decoding."""

    trace_id: str
    span_id: str
    parent_id: str
    flags: int
    name: str
    start_ns: int
    end_ns: int
    status_code: int
    wanted: dict[str, object]
    """The values, any JSON, of the attributes in `names.WANTED`."""
    resource: dict[str, Scalar]
    scope: str


_STATUS_ERROR = 2
_HAS_IS_REMOTE = 0x100
_IS_REMOTE = 0x200


def span_of(raw: RawSpan, salt: Salt) -> Span:
    """Return the span to keep of `raw`."""
    wanted = raw.wanted
    attributes: dict[str, Scalar] = {}
    for key, value in wanted.items():
        if key in names.KEPT:
            keep(attributes, key, value)
    for key, text in content.metadata_facts(wanted.get(names.METADATA)).items():
        keep(attributes, key, text)
    role = role_of(attributes)
    args_hash = result_hash = 0
    prompt_hash: str | None = None
    if role is Role.TOOL:
        args_hash = content.arguments_hash(wanted, salt)
        result_hash = content.result_hash(wanted, salt)
    elif role in (Role.MODEL, Role.AGENT):
        instructions = content.instructions(wanted)
        prompt_hash = salt.label(instructions) if instructions else None
    return Span(
        trace_id=raw.trace_id,
        span_id=raw.span_id,
        parent_id=raw.parent_id or None,
        parent_remote=bool(raw.parent_id and raw.flags & _HAS_IS_REMOTE and raw.flags & _IS_REMOTE),
        name=raw.name[:256],
        role=role,
        start_ns=raw.start_ns,
        end_ns=raw.end_ns,
        status_error=raw.status_code == _STATUS_ERROR,
        attributes=attributes,
        resource=raw.resource,
        scope=raw.scope[:256],
        args_hash=args_hash,
        result_hash=result_hash,
        prompt_hash=prompt_hash,
    )


def keep(facts: dict[str, Scalar], key: str, value: object) -> None:
    """Put `value` into `facts` if it is a scalar and short."""
    if isinstance(value, str):
        if len(value) <= FACT_LENGTH_MAX:
            facts[key] = value
    elif isinstance(value, (bool, int, float)):
        facts[key] = value
