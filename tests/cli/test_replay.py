"""``immune replay``: recorded telemetry to a server that may be full."""

from __future__ import annotations

import json
from pathlib import Path

from tests.cli.conftest import Run, Scripted

TRACES = Path(__file__).parents[1] / "data" / "otel" / "mcp_native.traces.json"


def _recording(folder: Path) -> Path:
    file = folder / "vitals.jsonl"
    vitals = [{"agent_id": "a", "at": 1000.0 + at, "latency_ms": 5} for at in range(4)]
    file.write_text("".join(json.dumps(vital) + "\n" for vital in vitals))
    return file


def test_a_recording_is_sent_and_summed_up(run: Run, server: Scripted, tmp_path: Path) -> None:
    """Told to come back, it comes back; what was refused is told."""
    full = {"title": "Too much at once", "status": 429, "detail": "later"}
    refused = [{"index": 0, "field": "at", "reason": "is old"}]
    server.on(
        "POST", "/api/vitals", (429, full), (202, {"accepted": 3, "refused": refused})
    )  # fmt: skip
    code, out, error = run(
        "replay", str(_recording(tmp_path)), "--speed", "1000", "--server", server.url
    )
    assert (code, error) == (0, "")
    assert "1 requests, 3 vitals accepted, 1 refused (at is old)" in out
    assert [path for path, _ in server.orders] == ["/api/vitals"] * 2
    assert [vital["latency_ms"] for vital in server.orders[-1][1]] == [5, 5, 5, 5]


def test_traces_go_to_their_own_path(run: Run, server: Scripted) -> None:
    """Their partial success is told too."""
    partial = {"partialSuccess": {"rejectedSpans": "2", "errorMessage": "trace_id is empty"}}
    server.on("POST", "/v1/traces", (200, partial))
    code, out, _ = run(
        "replay", str(TRACES), "--speed", "1000", "--server", server.url
    )  # fmt: skip
    assert code == 0
    assert "spans taken, 2 refused (trace_id is empty)" in out


def test_a_refusal_ends_it(run: Run, server: Scripted, tmp_path: Path) -> None:
    """Exit code 1 and the server's words; so do a missing server and a file of something else."""
    problem = {"title": "A field is wrong", "status": 422, "detail": "every vital was refused"}
    server.on("POST", "/api/vitals", (422, problem))
    file = _recording(tmp_path)
    code, _, error = run("replay", str(file), "--server", server.url)
    assert (code, error) == (1, "immune: every vital was refused\n")
    assert run("replay", str(file), "--server", "http://127.0.0.1:1")[0] == 1
    assert run("replay", str(file), "--speed", "0", "--server", server.url)[0] == 1
    assert run("replay", str(tmp_path / "none"), "--server", server.url)[0] == 2
