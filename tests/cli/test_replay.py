"""``immune replay``: recorded telemetry to a server that may be full."""

from __future__ import annotations

import json
from pathlib import Path

from tests.cli.conftest import Run, Scripted

TRACES = Path(__file__).parents[1] / "data" / "otel"


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
    assert "1 requests, 3 vitals accepted, 1 refused: 1 at is old" in out
    assert [path for path, _ in server.orders] == ["/api/vitals"] * 2
    assert [vital["latency_ms"] for vital in server.orders[-1][1]] == [5, 5, 5, 5]


def test_traces_go_to_their_own_path(run: Run, server: Scripted) -> None:
    """What they come to is told, what was refused, and why the rest is no vital of its own."""
    partial = {"partialSuccess": {"rejectedSpans": "2", "errorMessage": "trace_id is empty"}}
    server.on("POST", "/v1/traces", (200, partial))
    file = str(TRACES / "langchain_openinference.traces.json")
    code, out, _ = run("replay", file, "--speed", "1000", "--server", server.url)
    assert code == 0
    assert "done: 1 requests, 7 spans, 2 refused: 2 trace_id is empty" in out
    assert "the spans come to 3 vitals of 1 agents (demo-fleet/researcher 3)" in out
    assert "spans that are no vital of their own: 3 a frame around other work" in out


def test_traces_that_come_to_nothing_say_why(run: Run, server: Scripted) -> None:
    """Taken by the server, and yet no agent will be seen: exit code 1 and the reasons."""
    server.on("POST", "/v1/traces", (200, {}))
    file = str(TRACES / "mcp_native.traces.json")
    code, out, _ = run("replay", file, "--speed", "1000", "--server", server.url)
    assert code == 1
    assert "4 spans, none refused" in out
    assert "the spans come to 0 vitals" in out
    assert "2 a tool call outside any agent's run" in out


def test_refusals_are_counted_by_reason(run: Run, server: Scripted, tmp_path: Path) -> None:
    """Also where a whole request is refused: the next may do better. If none does, exit code 1."""
    every = [{"index": i, "field": "at", "reason": "is old"} for i in range(4)]
    problem = {"title": "Every vital was refused", "status": 422, "refused": every}
    refused = [*every[:1], {"index": 1, "field": "kind", "reason": "must be call or run"}]
    server.on("POST", "/api/vitals", (422, problem), (202, {"accepted": 2, "refused": refused}))
    file = tmp_path / "vitals.jsonl"
    file.write_text("".join(f'{{"agent_id": "a", "at": {at}}}\n' for at in (1, 1, 9, 9)))
    arguments = ("replay", str(file), "--speed", "1000", "--server", server.url)
    code, out, _ = run("replay", str(file), "--speed", "4", "--server", server.url)
    assert code == 0
    assert "2 requests, 2 vitals accepted, 6 refused: 5 at is old; 1 kind must be" in out
    server.on("POST", "/api/vitals", (422, problem))
    code, out, _ = run(*arguments)
    assert code == 1
    assert "0 vitals accepted, 4 refused: 4 at is old" in out


def test_a_refusal_ends_it(run: Run, server: Scripted, tmp_path: Path) -> None:
    """Exit code 1 and the server's words; so do a missing server and a file of something else."""
    problem = {"title": "A field is wrong", "status": 422, "detail": "every vital was refused"}
    server.on("POST", "/api/vitals", (422, problem))
    file = _recording(tmp_path)
    code, _, error = run("replay", str(file), "--server", server.url)
    assert (code, error) == (1, "immune: every vital was refused\n")
    assert run("replay", str(file), "--server", "http://127.0.0.1:1")[0] == 1
    assert run("replay", str(file), "--speed", "0", "--server", server.url)[0] == 2
    assert run("replay", str(tmp_path / "none"), "--server", server.url)[0] == 2
