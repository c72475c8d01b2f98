# cython: annotation_typing=False
"""One span as we keep it: who called whom, when, what kind of work, and no text.

`span_of` is where text ends: it is handed every wanted attribute of a span, hashes what is wanted
of arguments, results and instructions, and keeps facts only.
"""

from __future__ import annotations

from hashlib import blake2b

import msgspec

from immune.intake.otlp import content, names
from immune.intake.otlp.facts import NO_FACTS, Facts, facts_of
from immune.intake.otlp.spans import Role, role_of
from immune.intake.salt import Salt


class Resource(msgspec.Struct, frozen=True, kw_only=True):
    """The process that a span is of; shared by its spans."""

    service: str | None = None
    """None also where the SDK made one up (`unknown_service`)."""
    facts: Facts = NO_FACTS
    source: int = 0
    """Tells it apart from other processes, 64 bits; 0 where it did not say."""


class Span(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """A finished span, as it also lies in the journal. Ids are lower-case hex; times are
    nanoseconds since the epoch."""

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
    facts: Facts
    resource: Resource
    scope: str
    args_hash: int = 0
    result_hash: int = 0
    prompt_hash: str | None = None

    @property
    def end_s(self) -> float:
        return self.end_ns / 1e9


class RawSpan:
    """A span as either encoding tells it, still with text: it lives only inside decoding."""

    __slots__ = (
        *("trace_id", "span_id", "parent_id", "flags", "name", "start_ns", "end_ns"),
        *("status_code", "wanted", "resource", "scope", "speaks"),
    )

    def __init__(
        self,
        *,
        trace_id: str,
        span_id: str,
        parent_id: str,
        flags: int,
        name: str,
        start_ns: int,
        end_ns: int,
        status_code: int,
        wanted: dict[str, object],
        resource: Resource,
        scope: str,
        speaks: bool,
    ) -> None:
        self.trace_id = trace_id
        self.span_id = span_id
        self.parent_id = parent_id
        self.flags = flags
        self.name = name
        self.start_ns = start_ns
        self.end_ns = end_ns
        self.status_code = status_code
        self.wanted = wanted
        """The values, any JSON, of the attributes in `names.WANTED`."""
        self.resource = resource
        self.scope = scope
        self.speaks = speaks
        """Attributes of it, wanted or not, are in a dialect of those who speak of models and
        agents."""


_STATUS_ERROR = 2
_HAS_IS_REMOTE = 0x100
_IS_REMOTE = 0x200
_NAME_LENGTH_MAX = 256
# Reading a member of an enumeration costs more than the rest of a comparison.
_MODEL, _TOOL, _AGENT = Role.MODEL, Role.TOOL, Role.AGENT


def resource_of(attributes: dict[str, object]) -> Resource:
    """Return the resource with these attributes, of which `names.RESOURCE_NAMES` are read."""
    service = attributes.get("service.name")
    known = isinstance(service, str) and service and not service.startswith("unknown_service")
    return Resource(
        service=str(service) if known else None,
        facts=facts_of(attributes),
        source=_source(attributes),
    )


def _source(attributes: dict[str, object]) -> int:
    said = [f"{name}={attributes[name]}" for name in names.SOURCE if name in attributes]
    if not said:
        return 0
    return int.from_bytes(blake2b("\n".join(said).encode(), digest_size=8).digest(), "big")


def fault_of(raw: RawSpan) -> str:
    """Return why `raw` cannot be taken, "" where it can."""
    if not raw.trace_id.strip("0") or not raw.span_id.strip("0"):
        return "trace_id and span_id must not be empty"
    if len(raw.trace_id) > 64 or len(raw.span_id) > 64 or len(raw.parent_id) > 64:
        return "trace_id, span_id or parent_span_id is too long"
    if not raw.start_ns or not raw.end_ns:
        return "start_time_unix_nano and end_time_unix_nano must be set"
    if raw.end_ns < raw.start_ns:
        return "the span ends before it starts"
    return ""


def span_of(raw: RawSpan, salt: Salt) -> Span:
    """Return the span to keep of `raw`."""
    wanted = raw.wanted
    if names.METADATA in wanted:
        wanted = {**content.metadata_facts(wanted), **wanted}
    role = role_of(wanted, raw.speaks)
    args_hash = result_hash = 0
    prompt_hash: str | None = None
    if role is _TOOL:
        args_hash = content.arguments_hash(wanted, salt)
        result_hash = content.result_hash(wanted, salt)
    elif (role is _MODEL or role is _AGENT) and not names.TEXTS.isdisjoint(wanted):
        instructions = content.instructions(wanted)
        prompt_hash = salt.label(instructions) if instructions else None
    remote = raw.flags & _HAS_IS_REMOTE and raw.flags & _IS_REMOTE
    return Span(  # by position: this is done for every span there is
        raw.trace_id,
        raw.span_id,
        raw.parent_id or None,
        bool(raw.parent_id and remote),
        raw.name[:_NAME_LENGTH_MAX],
        role,
        raw.start_ns,
        raw.end_ns,
        raw.status_code == _STATUS_ERROR,
        facts_of(wanted),
        raw.resource,
        raw.scope[:_NAME_LENGTH_MAX],
        args_hash,
        result_hash,
        prompt_hash,
    )
