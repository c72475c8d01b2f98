"""The kernel's two ways; tests of the compiled one are skipped by name where there is none."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from immune.detection.kernel import COMPILED, Kernel
from immune.detection.params import LearningParams, StatisticParams

MakeKernel = Callable[..., Kernel]
"""Takes the number of streams, and other parameters of the statistic than the defaults."""


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Where nothing was compiled, say so of each test that needs it."""
    for item in items:
        if item.get_closest_marker("compiled") and not COMPILED:
            item.add_marker(pytest.mark.skip(reason="the detector's loop is not compiled here"))


@pytest.fixture(
    scope="module",
    params=[
        pytest.param(True, id="compiled", marks=pytest.mark.compiled),
        pytest.param(False, id="arrays"),
    ],
)
def kernel(request: pytest.FixtureRequest) -> MakeKernel:
    """Makes kernels of one way; tests of the statistic hold for both."""

    def make(streams: int = 4, statistic: StatisticParams | None = None) -> Kernel:
        made = Kernel(statistic or StatisticParams(), LearningParams(), use_compiled=request.param)
        made.grow(streams)
        return made

    return make
