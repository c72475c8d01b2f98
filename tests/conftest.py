"""What all tests share: where all that tests need is installed, a skipped test is a failure."""

from __future__ import annotations

import os
from collections.abc import Generator
from typing import Any

import pytest
import structlog
from hypothesis import HealthCheck, settings

NEEDS = ("server", "browser", "compiled")
"""Markers of tests that need what may be absent: a server, a browser, a C compiler."""

# a test measures no time: what is slow on a busy machine is not wrong
settings.register_profile("untimed", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("untimed")


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
    """Under IMMUNE_CI, which installs what `NEEDS` need, turn such a skip into a failure."""
    report = yield
    needy = any(item.get_closest_marker(marker) for marker in NEEDS)
    if report.skipped and needy and os.environ.get("IMMUNE_CI"):
        report.outcome = "failed"
        report.longrepr = f"skipped where all is installed: {report.longrepr}"
    return report
