"""What the tests of traces share: the samples, hand-made spans, and a whole pass through."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import msgspec

from immune.intake.otlp.assemble import TraceAssembler
from immune.intake.otlp.decode import decode_traces
from immune.intake.otlp.names import DIALECT_PREFIXES
from immune.intake.otlp.span import RawSpan, Span, resource_of, span_of
from immune.intake.salt import Salt
from immune.settings import ServerSettings
from immune.vitals import Vital

DATA = Path(__file__).parents[1] / "data" / "otel"
NAMES = sorted(file.name.removesuffix(".traces.json") for file in DATA.glob("*.traces.json"))
SALT = Salt(b"the tests' own salt")
LIMITS = ServerSettings()
"""How much one request may bring, as a server has it unless told."""
START = 1_800_000_000
"""When hand-made spans begin, epoch seconds."""


def sample(name: str) -> dict[str, Any]:
    """The recorded export request."""
    request: dict[str, Any] = json.loads((DATA / f"{name}.traces.json").read_bytes())
    return request


def sample_spans(name: str) -> list[Span]:
    """The spans of the recorded request."""
    body = (DATA / f"{name}.traces.json").read_bytes()
    decoded = decode_traces(
        body, content_type="application/json", salt=SALT, max_bytes=LIMITS.body_max_bytes
    )
    return decoded.spans


def after(spans: Sequence[Span]) -> float:
    """A second after the last of the spans ended."""
    return max(span.end_s for span in spans) + 1


def assembled(spans: Sequence[Span], assembler: TraceAssembler | None = None) -> list[Vital]:
    """The vitals of spans that came all at once, by their end."""
    assembler = assembler or TraceAssembler()
    now = after(spans)
    vitals = assembler.feed(spans, now) + assembler.flush(now + 10) + assembler.drain(now + 10)
    return by_end(vitals)


def by_end(vitals: Sequence[Vital]) -> list[Vital]:
    """The vitals in order, without the moment when they came and who sent them."""
    alike = [msgspec.structs.replace(vital, received_at=0.0, source=0) for vital in vitals]
    return sorted(alike, key=lambda vital: (vital.at, vital.kind, vital.step_id or ""))


def make_span(
    span_id: str,
    parent_id: str = "",
    at: tuple[float, float] = (0, 1),
    *,
    trace_id: str = "aa",
    failed: bool = False,
    remote: bool = False,
    service: str = "svc",
    scope: str = "test",
    resource: dict[str, object] | None = None,
    **attributes: Any,
) -> Span:
    """A span from and to the given seconds; in names of attributes, `__` stands for a dot."""
    wanted = {name.replace("__", "."): value for name, value in attributes.items()}
    raw = RawSpan(
        trace_id=trace_id,
        span_id=span_id,
        parent_id=parent_id,
        flags=0x300 if remote else 0x100,
        name=f"span {span_id}",
        start_ns=round((START + at[0]) * 1e9),
        end_ns=round((START + at[1]) * 1e9),
        status_code=2 if failed else 0,
        wanted=wanted,
        resource=resource_of({"service.name": service, **(resource or {})}),
        scope=scope,
        speaks=any(name.startswith(DIALECT_PREFIXES) for name in wanted),
    )
    return span_of(raw, SALT)


def run(span_id: str, parent_id: str = "", at: tuple[float, float] = (0, 9), **more: Any) -> Span:
    """An agent's run."""
    more.setdefault("gen_ai__agent__name", "researcher")
    return make_span(span_id, parent_id, at, gen_ai__operation__name="invoke_agent", **more)


def nameless_run(
    span_id: str, parent_id: str = "", at: tuple[float, float] = (0, 9), **more: Any
) -> Span:
    """An agent's run that does not say whose."""
    return make_span(span_id, parent_id, at, gen_ai__operation__name="invoke_agent", **more)


def model(span_id: str, parent_id: str = "", at: tuple[float, float] = (0, 1), **more: Any) -> Span:
    """A model call that used 10 tokens and gave 2."""
    more = {"gen_ai__usage__input_tokens": 10, "gen_ai__usage__output_tokens": 2, **more}
    return make_span(span_id, parent_id, at, gen_ai__operation__name="chat", **more)


def tool(span_id: str, parent_id: str = "", at: tuple[float, float] = (0, 1), **more: Any) -> Span:
    """A call of the tool `search`."""
    more = {"gen_ai__tool__name": "search", **more}
    return make_span(span_id, parent_id, at, gen_ai__operation__name="execute_tool", **more)


def chain(span_id: str, parent_id: str = "", at: tuple[float, float] = (0, 9), **more: Any) -> Span:
    """A frame around other work."""
    return make_span(span_id, parent_id, at, openinference__span__kind="CHAIN", **more)
