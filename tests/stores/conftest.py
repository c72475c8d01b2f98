"""A real PostgreSQL of our own, where its programs are installed."""

from __future__ import annotations

import os
from collections.abc import Iterator

import pytest

from immune.testing.postgresql import PROGRAMS, Postgresql
from immune.testing.postgresql import postgresql as server


@pytest.fixture(scope="session")
def postgresql() -> Iterator[Postgresql]:
    """A server for all tests of a process; each makes a database of its own."""
    if not PROGRAMS:
        if os.environ.get("IMMUNE_CI"):
            pytest.fail("PostgreSQL is not installed")
        pytest.skip("PostgreSQL is not installed")
    with server() as running:
        yield running
