"""What a server answered for outlives it, though it be killed in the middle."""

from __future__ import annotations

import signal
import time
from pathlib import Path

import httpx2
import pytest

from tests.run.test_starting import serving

TRACE = "0af7651916cd43dd8448eb211c80319c"


def _export(
    span_id: str, parent: str, operation: str, ago: tuple[float, float]
) -> dict[str, object]:
    now = time.time_ns()  # noqa: TID251  # the server's clock is the machine's
    told = {"gen_ai.operation.name": operation, "gen_ai.agent.name": "coder"}
    attributes: list[object] = [
        {"key": key, "value": {"stringValue": value}} for key, value in told.items()
    ]
    attributes.append({"key": "gen_ai.usage.input_tokens", "value": {"intValue": "10"}})
    span = {
        "traceId": TRACE,
        "spanId": span_id,
        "parentSpanId": parent,
        "startTimeUnixNano": str(now - round(ago[0] * 1e9)),
        "endTimeUnixNano": str(now - round(ago[1] * 1e9)),
        "attributes": attributes,
    }
    return {"resourceSpans": [{"scopeSpans": [{"spans": [span]}]}]}


def _take(port: int, export: dict[str, object]) -> None:
    answer = httpx2.post(f"http://127.0.0.1:{port}/v1/traces", json=export)
    assert (answer.status_code, answer.content) == (200, b"{}")


def _vitals(port: int) -> list[dict[str, object]]:
    answer = httpx2.get(f"http://127.0.0.1:{port}/api/agents/coder/vitals")
    found: list[dict[str, object]] = answer.json() if answer.status_code == 200 else []
    return found


@pytest.mark.parametrize("kills", [1, 3])
def test_a_run_whose_server_was_killed_halfway_is_told_once(tmp_path: Path, kills: int) -> None:
    """Its call came before SIGKILL, its own span after: both are vitals, with what belongs to
    them, each once."""
    call = _export("b7ad6b7169203331", "00f067aa0ba902b7", "chat", (4, 3))
    for number in range(kills):
        with serving(tmp_path) as (process, port):
            if number == 0:
                _take(port, call)
            process.send_signal(signal.SIGKILL)
            process.wait(10)
    with serving(tmp_path) as (_, port):
        _take(port, _export("00f067aa0ba902b7", "", "invoke_agent", (5, 1)))
        _take(port, call)  # and its exporter had heard nothing, or so it believes
        deadline = time.monotonic() + 30  # noqa: TID251  # the server's clock is the machine's
        while len(_vitals(port)) < 2:
            assert time.monotonic() < deadline  # noqa: TID251
            time.sleep(0.1)  # noqa: TID251
        found = {str(vital.get("kind", "run")): vital for vital in _vitals(port)}
        assert (found["call"]["step_id"], found["run"]["step_id"]) == (
            "b7ad6b7169203331",
            "00f067aa0ba902b7",
        )
        assert found["run"]["input_tokens"] == 10
        time.sleep(1)  # noqa: TID251  # whatever would come a second time
        assert len(_vitals(port)) == 2
