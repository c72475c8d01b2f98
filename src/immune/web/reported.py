"""What agents may send, for the OpenAPI document: a reported step, and OTLP's two requests.

Nothing is decoded into these records: `immune.intake` reads the bodies, item by item and with words
of its own for each fault. A test holds a reported step's fields against those that intake knows.
"""

from __future__ import annotations

from typing import Annotated, Any

import msgspec

from immune.vitals import CALLS_MAX, ID_LENGTH_MAX, VALUE_MAX, Kind

_PRINTABLE = r"^[^\u0000-\u001f\u007f-\u009f]*$"
"""No control characters. Invisible ones of other kinds, which no pattern names, are refused too."""

Id = Annotated[
    str,
    msgspec.Meta(
        min_length=1,
        max_length=ID_LENGTH_MAX,
        extra_json_schema={"pattern": _PRINTABLE, "not": {"pattern": r"^(\s*|\.{1,2})$"}},
    ),
]
"""An agent's name, old or new."""
Text = Annotated[str, msgspec.Meta(max_length=ID_LENGTH_MAX, pattern=_PRINTABLE)]
Measured = Annotated[float, msgspec.Meta(ge=0, le=VALUE_MAX)]
Hash = Annotated[int, msgspec.Meta(extra_json_schema={"minimum": 0, "maximum": 2**64 - 1})]


class ReportedCall(msgspec.Struct, frozen=True):
    """One tool call of a step; `args` and `result` are hashed and dropped."""

    tool: Text
    args_hash: Hash | None = None
    result_hash: Hash | None = None
    ok: bool | None = None
    """Left out, it went well."""
    args: Any = None
    result: Any = None


class ReportedStep(msgspec.Struct, frozen=True, kw_only=True):
    """One completed step of one agent. What was not measured is left out or null, and never 0."""

    agent_id: Id
    at: float | None = None
    """End of the step, epoch seconds: at most 300 ahead and a day ago; left out, now."""
    kind: Kind | None = None
    step_id: Text | None = None
    """The reporter's own id of the step: a batch sent twice counts once."""
    latency_ms: Measured | None = None
    input_tokens: Measured | None = None
    output_tokens: Measured | None = None
    token_count: Annotated[float, msgspec.Meta(ge=0)] | None = None
    """Alone, it is taken as `output_tokens`."""
    cost_usd: Measured | None = None
    tool_calls: Measured | None = None
    retries: Measured | None = None
    errors: Annotated[float, msgspec.Meta(extra_json_schema={"enum": [0, 1]})] | bool | None = None
    """Whether the step failed."""
    agent_type: Text | None = None
    model: Text | None = None
    provider: Text | None = None
    tools: Annotated[list[Text], msgspec.Meta(max_length=CALLS_MAX)] | None = None
    """Names of the tools used, where the single calls are not reported."""
    prompt_hash: Text | None = None
    error_type: Text | None = None
    session_id: Text | None = None
    trace_id: Text | None = None
    calls: Annotated[list[ReportedCall], msgspec.Meta(max_length=CALLS_MAX)] | None = None
    received_at: Any = None
    """Read over: ours counts."""


class ExportTraces(msgspec.Struct, frozen=True, rename="camel"):
    """OTLP's ExportTraceServiceRequest; its resources are read as OTLP defines them."""

    resource_spans: list[dict[str, Any]] | None


class ExportMetrics(msgspec.Struct, frozen=True, rename="camel"):
    """OTLP's ExportMetricsServiceRequest; its resources are read as OTLP defines them."""

    resource_metrics: list[dict[str, Any]] | None


class PartialSuccess(msgspec.Struct, frozen=True, rename="camel", omit_defaults=True):
    """How much of an export was not taken, and why."""

    rejected_spans: str = ""
    rejected_data_points: str = ""
    error_message: str = ""


class Exported(msgspec.Struct, frozen=True, rename="camel", omit_defaults=True):
    """OTLP's answer to an export."""

    partial_success: PartialSuccess | None = None


class Status(msgspec.Struct, frozen=True):
    """OTLP's answer to an export that was refused: google.rpc.Status without its code."""

    message: str
