"""Some seconds of the soak: that it has something to do, and reads it. ``make soak`` is the run."""

from __future__ import annotations

from pathlib import Path

from tests.soak import real, virtual


def test_a_server_is_loaded_and_measured(tmp_path: Path) -> None:
    """Vitals and spans are taken, pages are visited, and the server leaves no fault in its log."""
    found = real.soak(tmp_path, seconds=12, agents=20, seed=1, every_s=0.5)
    assert found.vitals > 20
    assert found.passers >= 30
    assert found.visits > 0
    assert found.trend.start.rss > 0
    assert found.trend.readings >= 2


def test_virtual_time_goes_by_on_stores_on_disk(tmp_path: Path) -> None:
    """Agents fall ill and are cured, and the memory is read every so often."""
    found = virtual.soak(tmp_path, seconds=1200, agents=6, seed=1, every_s=60)
    assert found.report.summary.agent_steps > 6000
    assert found.trend.readings == 16
    assert (tmp_path / "workflow.db").stat().st_size > 0
    assert (tmp_path / "telemetry.db").stat().st_size > 0
