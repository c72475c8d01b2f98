"""What all tests share: where a server is expected, a skipped test is a failure."""

from __future__ import annotations

import os
from collections.abc import Generator
from typing import Any

import pytest
import structlog


def pytest_addoption(parser: pytest.Parser) -> None:
    """``--shots``: the tests of the page write the docs' pictures anew."""
    parser.addoption("--shots", action="store_true", help="write docs/images/*.png anew")


@pytest.fixture(autouse=True)
def _own_log() -> Generator[None]:
    """Each test logs to where it is captured, whatever a command set up before."""
    structlog.reset_defaults()
    yield
    structlog.reset_defaults()


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item, call: pytest.CallInfo[None]
) -> Generator[None, Any, Any]:
    """Under IMMUNE_CI, which installs every server, turn a skip for want of one into a failure."""
    report = yield
    needs_server = item.get_closest_marker("server") or item.get_closest_marker("browser")
    if report.skipped and needs_server and os.environ.get("IMMUNE_CI"):
        report.outcome = "failed"
        report.longrepr = f"skipped where all servers are installed: {report.longrepr}"
    return report
