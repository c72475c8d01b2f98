"""A server that enforces is killed at any moment, and the next one goes on where it was.

This is the short run; ``make crash`` has more kills and longer lives.
"""

from __future__ import annotations

from pathlib import Path

import msgspec
import pytest

from immune.testing.postgresql import Postgresql
from tests.crash.killing import Killing
from tests.stores.conftest import postgresql

__all__ = ["postgresql"]

KILLS = 30
LIFE_S = 1.5


def _survives(folder: Path, url: str, seed: int) -> None:
    figures = Killing(folder, url, kills=KILLS, life_s=LIFE_S, seed=seed).run()
    print(figures)  # noqa: T201  # shown where it fails, and with -s
    seen = msgspec.structs.asdict(figures)
    del seen["asked_again"]  # which may happen or not
    assert all(seen.values()), f"of what is 0 nothing was proved: {seen}"


def test_nothing_is_lost_or_done_twice_on_a_file(tmp_path: Path) -> None:
    """Vitals answered 202, cases, fences, approvals and probations survive 30 kills."""
    _survives(tmp_path, "", seed=1)


@pytest.mark.server
def test_nothing_is_lost_or_done_twice_on_a_server(tmp_path: Path, postgresql: Postgresql) -> None:
    """The same with the workflow in PostgreSQL."""
    _survives(tmp_path, postgresql.database("crash"), seed=2)
