"""A store that hangs, is slow or full under a real server: what clients are told, and what comes of
it. These are short troubles; ``make crash`` has long ones."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from immune.testing.postgresql import Postgresql
from tests.faults import outages

SECONDS = 3.0


@pytest.mark.server
def test_a_server_that_hangs_is_caught_up_with(tmp_path: Path, postgresql: Postgresql) -> None:
    """202 while there is room, then 429; an order gets 503; the fences come when it answers."""
    outages.hung_server(tmp_path, postgresql, SECONDS)


def test_a_locked_workflow_is_caught_up_with(tmp_path: Path) -> None:
    """The same with the workflow in a file."""
    outages.locked_workflow(tmp_path, SECONDS)


def test_locked_telemetry_holds_up_no_order(tmp_path: Path) -> None:
    """503 to vitals, 200 to a person; what came again is scored when the file is free."""
    outages.locked_telemetry(tmp_path, SECONDS)


@pytest.mark.server
def test_slow_commits_of_a_server_hold_up_no_decision(
    tmp_path: Path, postgresql: Postgresql
) -> None:
    """A second each: several agents are fenced, a person's hold stands, nothing is lost."""
    outages.slow_writes_of_a_server(tmp_path, postgresql, SECONDS)


def test_slow_writes_of_files_hold_up_no_decision(tmp_path: Path) -> None:
    """The same where both files are slow."""
    outages.slow_writes_of_files(tmp_path, SECONDS)


def test_a_full_disk_is_caught_up_with(tmp_path: Path) -> None:
    """503 to vitals, 200 to a person, fences come, and all goes on when there is room."""
    _may_mount()
    outages.full_disk(tmp_path, SECONDS)


def test_a_start_on_a_full_disk_is_a_start(tmp_path: Path) -> None:
    """After a kill: fences stand, a person decides, vitals are taken when there is room."""
    _may_mount()
    outages.start_on_full_disk(tmp_path)


def _may_mount() -> None:
    if os.geteuid() != 0:
        pytest.skip("only root may mount a small disk")
