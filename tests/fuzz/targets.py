"""What is fuzzed: every decoder of what a stranger may send, and what is made of it.

A target takes bytes. Refusing them with an error of ours is right, whatever they are; anything else
that is raised is a fault.
"""

from __future__ import annotations

import gzip
import json
from collections.abc import Callable
from contextlib import suppress
from operator import attrgetter
from pathlib import Path

from google.protobuf.message import DecodeError
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

from immune.columns import Names
from immune.errors import Refused
from immune.intake.bounds import inflate
from immune.intake.otlp import from_protobuf
from immune.intake.otlp.assemble import TraceAssembler
from immune.intake.otlp.decode import JSON, PROTOBUF, decode_traces
from immune.intake.otlp.measures import Measures
from immune.intake.otlp.points import decode_metrics
from immune.intake.otlp.span import RawSpan
from immune.intake.salt import Salt
from immune.intake.vitals_json import decode
from tests.intake.test_measures import NAMES as METRICS
from tests.intake.test_measures import _protobuf as metrics_protobuf
from tests.intake.test_otlp_samples import protobuf
from tests.intake.traces import DATA, NAMES, sample

BYTES_MAX = 1024 * 1024
NOW = 1_795_337_200.0
SALT = Salt(b"fuzz")

Target = Callable[[bytes], None]


def vitals(body: bytes) -> None:
    """``POST /api/vitals``."""
    names = Names()
    found = decode(
        body, received_at=NOW, names=names, salt=SALT, max_bytes=BYTES_MAX, max_items=10_000
    )
    if found.columns is not None:
        assert (found.columns.agent > 0).all()
        assert not (found.columns.values < 0).any()


def _traces(body: bytes, content_type: str) -> None:
    found = decode_traces(body, content_type=content_type, salt=SALT, max_bytes=BYTES_MAX)
    assembler = TraceAssembler(max_spans=1000)
    for vital in assembler.feed(found.spans, NOW) + assembler.drain(NOW + 1):
        assert len(vital.agent_id) <= 256
    assert assembler.held == 0


def traces_protobuf(body: bytes) -> None:
    """``POST /v1/traces``; what is written as a library would, both readers read alike."""
    try:
        export = ExportTraceServiceRequest.FromString(body)
    except DecodeError:
        export = None
    if export is not None and export.SerializeToString() == body:
        ours: list[RawSpan] = []
        theirs: list[RawSpan] = []
        from_protobuf.read(body, ours.append)
        from_protobuf.read_by_library(body, theirs.append)
        assert list(map(_fields, ours)) == list(map(_fields, theirs))
    _traces(body, PROTOBUF)


_fields = attrgetter(*RawSpan.__slots__)


def traces_json(body: bytes) -> None:
    """``POST /v1/traces`` in JSON."""
    _traces(body, JSON)


def _metrics(body: bytes, content_type: str) -> None:
    found = decode_metrics(body, content_type=content_type, max_bytes=BYTES_MAX)
    measures = Measures(lambda agent_id, service, named, now: False)
    measures.keep(measures.measure(found.points, NOW))
    measures.measure(found.points, NOW)


def metrics_protobuf_target(body: bytes) -> None:
    """``POST /v1/metrics``."""
    _metrics(body, PROTOBUF)


def metrics_json(body: bytes) -> None:
    """``POST /v1/metrics`` in JSON."""
    _metrics(body, JSON)


def zipped(body: bytes) -> None:
    """Anything, said to be gzip."""
    vitals(inflate(body, BYTES_MAX))


def _file(name: str) -> bytes:
    return Path(DATA, name).read_bytes()


_STEP = {
    "agent_id": "a", "at": NOW, "kind": "call", "latency_ms": 1e308, "token_count": 5, "errors": 1,
    "tools": ["t"], "calls": [{"tool": "t", "args": {"q": [1, "x"]}, "result": "[1]", "ok": True}],
}  # fmt: skip
_BODIES = [
    json.dumps(_STEP).encode(),
    json.dumps([_STEP, {"agent_id": "b", "latency_ms": float("nan")}]).encode(),
    b'{"agent_id":"a"}\n{"agent_id":"' + b"x" * 100_000 + b'"}\n',
    b'{"agent_id":"a","x":' + b"[" * 5000 + b"]" * 5000 + b"}",
]

TARGETS: dict[str, tuple[Target, list[bytes]]] = {
    "vitals": (vitals, _BODIES),
    "traces_protobuf": (traces_protobuf, [protobuf(sample(name)) for name in NAMES]),
    "traces_json": (traces_json, [_file(f"{name}.traces.json") for name in NAMES]),
    "metrics_protobuf": (
        metrics_protobuf_target,
        [metrics_protobuf(json.loads(_file(f"{name}.metrics.json"))) for name in METRICS],
    ),
    "metrics_json": (metrics_json, [_file(f"{name}.metrics.json") for name in METRICS]),
    "zipped": (zipped, [gzip.compress(body) for body in (*_BODIES, b" " * 50_000_000)]),
}
"""Each with inputs to begin from."""


def strike(target: Target, body: bytes) -> None:
    """Give `body` to a target; raises what is a fault."""
    with suppress(Refused):
        target(body)
