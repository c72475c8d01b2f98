"""What an agent reports of itself: one `Vital` for each completed step.

This module says which metrics there are, in which unit, of which family and which way is sick,
and which reports are refused and why. It knows no arrays (see `columns`), no store and no clock.
"""

from __future__ import annotations

import enum
import math
from operator import attrgetter

import msgspec

ID_LENGTH_MAX = 256
CALLS_MAX = 64
AHEAD_MAX_S = 300.0
BEHIND_MAX_S = 86_400.0
VALUE_MAX = 1e15
"""No metric of one step is larger; beyond it single precision ends in infinity."""


class Kind(enum.StrEnum):
    """What a step is. Baselines are kept per (agent, kind)."""

    CALL = "call"
    """One model call with the tool calls that it caused."""
    RUN = "run"
    """One whole task, as an `invoke_agent` span sums it up."""


class Metric(enum.IntEnum):
    """The eight metrics, in the order of the columns everywhere."""

    LATENCY_MS = 0
    INPUT_TOKENS = 1
    OUTPUT_TOKENS = 2
    COST_USD = 3
    TOOL_CALLS = 4
    RETRIES = 5
    ERRORS = 6
    INTERVAL_S = 7

    @property
    def label(self) -> str:
        """The field's name, as in JSON: ``latency_ms``."""
        return self.name.lower()


class Family(enum.StrEnum):
    """The shape of a metric's law."""

    POSITIVE = "positive"
    COUNT = "count"
    RARE_COUNT = "rare_count"
    RARE_EVENT = "rare_event"


class HarmGroup(enum.StrEnum):
    """What a sick metric costs its owner."""

    TIME = "time"
    SPEND = "spend"
    WORK = "work"
    FAILURE = "failure"


class MetricSpec(msgspec.Struct, frozen=True):
    """One row of the table of metrics."""

    metric: Metric
    unit: str
    family: Family
    sick_when_up: bool
    harm_group: HarmGroup


METRICS: tuple[MetricSpec, ...] = (
    MetricSpec(Metric.LATENCY_MS, "ms", Family.POSITIVE, True, HarmGroup.TIME),
    MetricSpec(Metric.INPUT_TOKENS, "tokens", Family.POSITIVE, True, HarmGroup.SPEND),
    MetricSpec(Metric.OUTPUT_TOKENS, "tokens", Family.POSITIVE, True, HarmGroup.SPEND),
    MetricSpec(Metric.COST_USD, "USD", Family.POSITIVE, True, HarmGroup.SPEND),
    MetricSpec(Metric.TOOL_CALLS, "calls", Family.COUNT, True, HarmGroup.WORK),
    MetricSpec(Metric.RETRIES, "retries", Family.RARE_COUNT, True, HarmGroup.FAILURE),
    MetricSpec(Metric.ERRORS, "failed steps", Family.RARE_EVENT, True, HarmGroup.FAILURE),
    MetricSpec(Metric.INTERVAL_S, "s", Family.POSITIVE, False, HarmGroup.WORK),
)
N_METRICS = len(METRICS)

REPORTED = METRICS[:-1]
"""The metrics an agent reports itself; the interval is computed by us from `at`."""

_REPORTED_LABELS = tuple(spec.metric.label for spec in REPORTED)


class ToolCall(msgspec.Struct, frozen=True, gc=False):
    """One tool call of a step. Hashes are salted per installation; no text is kept."""

    tool: str
    args_hash: int = 0
    """64-bit; 0 where the arguments are unknown."""
    result_hash: int = 0
    """64-bit; 0 where the result is unknown."""
    ok: bool = True


class Vital(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, gc=False):
    """One completed step of one agent. A metric that was not measured is None, never 0."""

    agent_id: str
    at: float
    """End of the step, epoch seconds; it started at ``at - latency``."""
    kind: Kind = Kind.RUN
    received_at: float = 0.0
    """When we took it in, epoch seconds; ours."""
    source: int = 0
    """Tells apart who reports as one agent: processes, or, where those say nothing, requests; 0
    where all vitals of one time are of one request. It is not stored."""
    step_id: str | None = None
    """The reporter's own id of the step: a batch sent twice counts once."""
    latency_ms: float | None = None
    input_tokens: float | None = None
    output_tokens: float | None = None
    cost_usd: float | None = None
    tool_calls: float | None = None
    retries: float | None = None
    errors: float | None = None
    agent_type: str | None = None
    model: str | None = None
    provider: str | None = None
    tools: tuple[str, ...] | None = None
    """Names of the tools used in the step, where the single calls are not reported."""
    prompt_hash: str | None = None
    error_type: str | None = None
    session_id: str | None = None
    trace_id: str | None = None
    calls: tuple[ToolCall, ...] | None = None


class Refusal(msgspec.Struct, frozen=True):
    """Why one reported item was not taken: which item, which field, which reason."""

    index: int
    field: str
    reason: str


_TEXT_FIELDS = (
    "step_id",
    "agent_type",
    "model",
    "provider",
    "prompt_hash",
    "error_type",
    "session_id",
    "trace_id",
)
_texts = attrgetter(*_TEXT_FIELDS)


def _text_fault(text: str) -> str | None:
    if len(text) > ID_LENGTH_MAX:
        return f"has {len(text)} characters; at most {ID_LENGTH_MAX} are allowed"
    if not text.isprintable():  # false for bidirectional and other invisible ones, too
        return "holds control characters"
    return None


def agent_id_fault(text: str) -> str | None:
    """Return why `text` can't be an agent's id, or None when it can."""
    if not text:
        return "is empty"
    if not text.strip():
        return "is blank"
    if text in (".", ".."):
        return f"is {text}: clients and proxies take that for a step in a path"
    return _text_fault(text)


def measure_fault(vital: Vital) -> tuple[str, str] | None:
    """Return which metric of `vital` no step can have, and why; None where there is none."""
    for label in _REPORTED_LABELS:
        value: float | None = getattr(vital, label)
        if value is None or 0 <= value <= VALUE_MAX:
            continue
        if not math.isfinite(value):
            return label, "is not a finite number"
        if value < 0:
            return label, "is negative"
        return label, f"is more than {VALUE_MAX:.0e}"
    if vital.errors is not None and vital.errors not in (0.0, 1.0):
        return "errors", "must be 0 or 1: did the step fail"
    return None


def refusal(vital: Vital, index: int, now: float) -> Refusal | None:
    """Return why `vital` must be refused, or None when it may be taken.

    `index` is its place in what was sent; `now` is epoch seconds.
    """
    if fault := agent_id_fault(vital.agent_id):
        return Refusal(index, "agent_id", fault)
    if not math.isfinite(vital.at):
        return Refusal(index, "at", "is not a finite number")
    if vital.at > now + AHEAD_MAX_S:
        return Refusal(index, "at", f"is {vital.at - now:.0f} s ahead; at most 300 s are allowed")
    if vital.at < now - BEHIND_MAX_S:
        return Refusal(index, "at", f"is {now - vital.at:.0f} s old; at most a day is allowed")
    if measured := measure_fault(vital):
        return Refusal(index, *measured)
    told = "".join(filter(None, _texts(vital)))
    if _text_fault(told):  # seldom: then it is looked for
        for field in _TEXT_FIELDS:
            text: str | None = getattr(vital, field)
            if text is not None and (fault := _text_fault(text)):
                return Refusal(index, field, fault)
    for tool in vital.tools or ():
        if fault := _text_fault(tool):
            return Refusal(index, "tools", fault)
    if vital.calls is not None:
        if len(vital.calls) > CALLS_MAX:
            return Refusal(
                index, "calls", f"has {len(vital.calls)} items; at most {CALLS_MAX} are allowed"
            )
        for call in vital.calls:
            if fault := _text_fault(call.tool):
                return Refusal(index, "calls", f"tool {fault}")
    return None
