"""Recorded runs become vitals, and only the benign ones."""

from __future__ import annotations

import gzip
from pathlib import Path
from typing import Any

import msgspec
import pytest

from immune.bench.real_agents import FILES, benign_runs, real_agent_figures
from immune.errors import InvalidInput


def run(**changed: Any) -> dict[str, Any]:
    return {
        "agent_id": "m/shop",
        "suite": "shop",
        "model": "m",
        "label": "benign",
        "duration_s": 2.5,
        "run_error": None,
        "events": [
            {"type": "llm", "prompt_tokens": 40, "completion_tokens": 10, "n_calls": 1},
            {"type": "tool_call", "tool": "t", "args": {}},
            {"type": "tool_result", "tool": "t", "ok": True, "tokens": 5},
            {"type": "llm", "prompt_tokens": 60, "completion_tokens": 5, "n_calls": 0},
        ],
        **changed,
    }


def write(file: Path, *runs: dict[str, Any]) -> Path:
    with gzip.open(file, "wb") as stream:
        stream.write(b"\n".join(msgspec.json.encode(r) for r in runs))
    return file


def test_a_run_is_a_step(tmp_path: Path) -> None:
    """Its time, its tokens, its calls, and whether one failed; the attacked are left out."""
    failed = {"type": "tool_result", "tool": "t", "ok": False}
    file = write(
        tmp_path / "runs.gz",
        run(),
        run(label="compromised"),
        run(label="attacked_resisted"),
        run(duration_s=None, events=[failed]),
    )
    first, second = benign_runs(file)
    assert (first.latency_ms, first.input_tokens, first.output_tokens) == (2500.0, 100.0, 15.0)
    assert (first.tool_calls, first.errors, first.agent_type) == (1.0, 0.0, "shop")
    assert (second.latency_ms, second.errors) == (None, 1.0)
    assert second.at - first.at == 60.0


def test_what_is_no_run_is_refused_with_its_line(tmp_path: Path) -> None:
    """File, line and reason."""
    file = write(tmp_path / "runs.gz", run(), {"agent_id": "a"})
    with pytest.raises(InvalidInput, match=r"runs\.gz, line 2"):
        benign_runs(file)


def test_calm_runs_raise_nothing_and_absent_ones_prove_nothing(tmp_path: Path) -> None:
    """Without the data the figures fall short, and say so."""
    absent = list(real_agent_figures(tmp_path))
    assert [figure.passed for figure in absent] == [False, False]
    assert "--data" in absent[0].note
    for name in FILES:
        write(tmp_path / name, *(run(duration_s=2.0 + 0.1 * (i % 5)) for i in range(40)))
    figures = list(real_agent_figures(tmp_path))
    assert [(figure.value, figure.passed) for figure in figures] == [(0.0, True), (0, True)]
    assert "80 runs, 50 of them" in figures[0].note
