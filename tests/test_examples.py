"""The examples in the docstrings: the shortest account of what the functions do, and it holds."""

import doctest
from importlib import import_module
from pathlib import Path

import pytest

import immune

ROOT = Path(immune.__file__).parent
WITH_EXAMPLES = sorted(
    ".".join(("immune", *path.relative_to(ROOT).with_suffix("").parts))
    for path in ROOT.rglob("*.py")
    if ">>>" in path.read_text()
)


def test_the_library_has_examples() -> None:
    """The two classes that are used without a server show how."""
    assert {"immune.detection.sentinel", "immune.detection.baseline"} <= set(WITH_EXAMPLES)


@pytest.mark.parametrize("module", WITH_EXAMPLES)
def test_the_examples_of_a_module_hold(module: str) -> None:
    """What a docstring says a call returns is what it returns."""
    done = doctest.testmod(import_module(module))
    assert (done.failed, done.attempted > 0) == (0, True)
