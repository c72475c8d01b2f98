"""What the traces of a recording come to, by the same reading as the server's.

A server answers a request of spans before it knows what they make: a step waits for what belongs to
it. Whoever sends a recording wants to know, so it is read here too, without waiting.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field

from immune.intake.otlp.assemble import TraceAssembler
from immune.intake.otlp.decode import decode_traces
from immune.intake.replay import TRACES_PATH, Request
from immune.intake.salt import Salt


@dataclass(slots=True)
class Preview:
    """Counts of a recording."""

    requests: int = 0
    spans: int = 0
    """Spans that can be read; 0 where the recording holds no traces."""
    vitals: int = 0
    """The vitals that the spans make."""
    agents: Counter[str] = field(default_factory=Counter)
    """Vitals by agent."""
    unmapped: Counter[str] = field(default_factory=Counter)
    """Spans that are part of no vital, and vitals that would be refused, by reason."""


def preview(requests: Iterable[Request], *, now: float) -> Preview:
    """Count what `requests` hold and come to if they are sent from `now` on, epoch seconds."""
    found = Preview()
    assembler = TraceAssembler()
    at = now
    salt = Salt(b"preview")  # no hash of it leaves this function
    for request in requests:
        found.requests += 1
        at = now + request.offset_s
        if request.path == TRACES_PATH:
            decoded = decode_traces(
                request.body,
                content_type=request.content_type,
                salt=salt,
                max_bytes=len(request.body),
            )
            found.spans += len(decoded.spans)
            found.agents.update(vital.agent_id for vital in assembler.feed(decoded.spans, at))
            assembler.gone()  # nobody keeps what waits
    found.agents.update(vital.agent_id for vital in assembler.drain(at))
    found.vitals = found.agents.total()
    found.unmapped = assembler.unmapped
    return found
