"""``immune backtest``: recorded vitals in, who would have been stopped, and why, out."""

from __future__ import annotations

import gzip
import json
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from tests.cli.conftest import Run

START = 1_700_000_000.0
SICK_FROM = 600


def fleet(seconds: int = 800, sick: str = "w-2") -> list[dict[str, Any]]:
    """Four agents of one type, a step a second; one of them is five times as slow and as dear
    from the 600th second on."""
    rng = np.random.default_rng(1)
    return [
        {
            "agent_id": f"w-{agent}",
            "agent_type": "worker",
            "at": START + second + 0.1 * agent,
            "latency_ms": 800.0 * times * float(np.exp(0.4 * rng.standard_normal())),
            "cost_usd": 0.01 * times,
        }
        for second in range(seconds)
        for agent in range(4)
        for times in [5.0 if f"w-{agent}" == sick and second >= SICK_FROM else 1.0]
    ]


def lines(items: list[dict[str, Any]]) -> bytes:
    return "\n".join(json.dumps(item) for item in items).encode()


def test_the_sick_agent_would_have_been_stopped(run: Run, tmp_path: Path) -> None:
    """When, since when, why, and what it did from then on; nobody else."""
    file = tmp_path / "vitals.jsonl"
    file.write_bytes(lines(fleet()))
    code, out, _ = run("backtest", str(file), "--json")
    found = json.loads(out)
    assert (code, found["agents"], found["steps"], found["refused"]) == (0, 4, 3200, 0)
    (case,) = found["cases"]
    assert case["agent_id"] == "w-2"
    assert abs(case["onset_at"] - START - SICK_FROM) < 5
    fenced = case["quarantined_at"] - START
    assert SICK_FROM < case["suspected_at"] - START <= fenced < SICK_FROM + 30
    assert any("latency" in reason for reason in case["why"])
    left = round(800 - 1 + 0.2 - fenced)
    assert case["steps_after"] == left
    assert case["usd_after"] == pytest.approx(0.05 * left, rel=1e-4)
    assert case["stopped_h"] == pytest.approx((799.2 - fenced - 0.2 + 0.1) / 3600, abs=1e-3)
    assert (found["suspected"], found["quarantined"]) == (1, 1)


def test_it_is_told_in_words(run: Run, tmp_path: Path) -> None:
    """A table and a sum; a healthy recording says that there is nothing."""
    file = tmp_path / "vitals.jsonl.gz"
    file.write_bytes(gzip.compress(lines(fleet())))
    code, out, _ = run("backtest", str(file))
    assert code == 0
    assert "3,200 steps of 4 agents in 13 min" in out
    assert "w-2" in out
    assert "agents suspected: 1, fenced: 1" in out
    file.write_bytes(lines(fleet(sick="")))
    assert "nobody would have been suspected" in run("backtest", str(file))[1]


def test_each_step_has_a_score(run: Run, tmp_path: Path) -> None:
    """In order of time, with the thresholds that it is held against, by the samples so far."""
    file, whole, part = (tmp_path / name for name in ("v.jsonl", "whole.pq", "part.pq"))
    items = fleet(700)
    file.write_bytes(lines(items))
    assert run("backtest", str(file), "--scores", str(whole))[0] == 0
    scores = pq.read_table(whole).to_pydict()
    assert scores["agent_id"][:4] == ["w-0", "w-1", "w-2", "w-3"]
    assert len(scores["evidence"]) == 2800
    sick = [e for a, e in zip(scores["agent_id"], scores["evidence"], strict=True) if a == "w-2"]
    assert max(sick[:SICK_FROM]) < 10 < scores["quarantine"][-1] < max(sick)
    file.write_bytes(lines(items[:2000]))
    run("backtest", str(file), "--scores", str(part))
    assert pq.read_table(part).to_pydict()["evidence"] == scores["evidence"][:2000]


def test_a_step_sent_twice_counts_once(run: Run, tmp_path: Path) -> None:
    """By the reporter's own id of it; the same id of another agent is another step."""
    file = tmp_path / "vitals.jsonl"
    items = fleet(60)
    for number, item in enumerate(items):
        item["step_id"] = f"s-{number // 4}"
    file.write_bytes(lines([*items, *items[:50]]))
    found = json.loads(run("backtest", str(file), "--json")[1])
    assert (found["steps"], found["repeated"], found["refused"]) == (240, 50, 0)
    assert "50 sent again and left out" in run("backtest", str(file))[1]


def test_what_a_fence_stops_ends_with_the_agents_own_recording(run: Run, tmp_path: Path) -> None:
    """Others that were recorded for hours more don't make it stand still for hours."""
    file = tmp_path / "vitals.jsonl"
    later = [{"agent_id": "other", "at": START + 20_000.0, "latency_ms": 800.0}]
    file.write_bytes(lines([*fleet(), *later]))
    (case,) = json.loads(run("backtest", str(file), "--json")[1])["cases"]
    assert case["agent_id"] == "w-2"
    assert 0 < case["stopped_h"] * 3600 < 200


def test_scores_that_cannot_be_written_are_refused_at_once(run: Run, tmp_path: Path) -> None:
    """Before the run, and never over the recording."""
    file = tmp_path / "vitals.jsonl"
    recorded = lines(fleet(20))
    file.write_bytes(recorded)
    for out, reason in (
        (tmp_path / "absent" / "x.parquet", "there is no folder"),
        (tmp_path, "can't be written"),
        (tmp_path / "." / "vitals.jsonl", "is the recording itself"),
    ):
        code, said, error = run("backtest", str(file), "--scores", str(out))
        assert (code, said) == (2, "")
        assert reason in error
    assert file.read_bytes() == recorded


@pytest.mark.parametrize("at", ["1700000000000", "1e300", "-1", "1" + "0" * 400])
def test_a_time_that_is_not_epoch_seconds_is_refused(run: Run, tmp_path: Path, at: str) -> None:
    """Milliseconds above all, with the field and the reason."""
    file = tmp_path / "vitals.jsonl"
    file.write_bytes(b'{"agent_id": "x", "latency_ms": 5, "at": %s}' % at.encode())
    code, _, error = run("backtest", str(file))
    assert code == 2
    assert "line 1: at: must be epoch seconds between 1970 and 2100" in error


def test_parquet_of_vitals_or_of_series(run: Run, tmp_path: Path) -> None:
    """Times as numbers or as timestamps; a series is an agent whose latency is its value."""
    file = tmp_path / "vitals.parquet"
    items = fleet(60)
    times = pa.array([int(1e6 * item["at"]) for item in items], pa.timestamp("us"))
    table = pa.Table.from_pylist(items)
    pq.write_table(table.set_column(table.column_names.index("at"), "at", times), file)
    found = json.loads(run("backtest", str(file), "--json")[1])
    assert (found["agents"], found["steps"], found["cases"]) == (4, 240, [])
    assert found["hours"] == pytest.approx((59 + 0.3) / 3600)
    pq.write_table(
        pa.table({"series": ["a", "b"] * 30, "i": range(60), "value": [5.0, 6.0] * 30}), file
    )
    found = json.loads(run("backtest", str(file), "--json")[1])
    assert (found["agents"], found["steps"]) == (2, 60)


def test_bad_lines_are_told_and_the_rest_is_kept(run: Run, tmp_path: Path) -> None:
    """File, line, field and reason of the first few; fields that nobody knows by name."""
    file = tmp_path / "vitals.jsonl"
    bad = [
        '{"agent_id": "x", "latency_ms": 5}',
        '{"agent_id": "x", "at": 1700000000, "latency_ms": -3}',
        '{"agent_id": "x", "at": "noon"}',
        "{half",
        '{"agent_id": "x", "at": 1700000000, "latency_ms": 3, "mood": 7}',
    ]
    file.write_bytes(b"\n".join([lines(fleet(20)), *(line.encode() for line in bad)]))
    _, out, _ = run("backtest", str(file))
    assert "81 steps of 5 agents" in out
    assert "4 refused" in out
    assert f"{file}, line 81: at: is missing" in out
    assert f"{file}, line 82: latency_ms: is negative" in out
    assert f"{file}, line 83: at: must be a number" in out
    assert f"{file}, line 84: item: is not JSON" in out
    assert "nobody knows them: mood" in out


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"", "is empty"),
        (b"{half\n", "line 1: item: is not JSON"),
        (b'{"agent_id": "a", "at": 1}\n', "measures nothing"),
        (gzip.compress(b'{"agent_id": "a", "at": 1}\n' * 50, mtime=0)[:-9], "can't be read"),
        (b"PAR1 and no more", "is not Parquet"),
    ],
    ids=["empty", "half a line", "no metric", "gzip cut short", "no Parquet"],
)
def test_a_file_of_nothing_is_refused(
    run: Run, tmp_path: Path, content: bytes, reason: str
) -> None:
    """Exit code 2, as for any wrong argument, and one sentence."""
    file = tmp_path / "file"
    file.write_bytes(content)
    code, _, error = run("backtest", str(file))
    assert code == 2
    assert reason in error
    assert run("backtest", str(tmp_path / "absent"))[0] == 2


def test_parquet_of_something_else_names_what_is_missing(run: Run, tmp_path: Path) -> None:
    """The columns it would need."""
    file = tmp_path / "other.parquet"
    pq.write_table(pa.table({"tokens": [1]}), file)
    code, _, error = run("backtest", str(file))
    assert code == 2
    assert "neither a column agent_id nor" in error
