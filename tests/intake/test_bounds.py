"""No request makes us take more than one may bring."""

from __future__ import annotations

import gzip
import tracemalloc

import pytest

from immune.errors import InvalidInput, TooLarge
from immune.intake.bounds import inflate


def test_gzip_is_undone_also_where_files_are_joined() -> None:
    """gzip allows several members one after the other."""
    assert inflate(gzip.compress(b"one ") + gzip.compress(b"two"), 7) == b"one two"


def test_a_gzip_bomb_is_refused_before_it_unfolds() -> None:
    """100 MB of zeros in 100 kB never take more memory than the limit allows."""
    bomb = gzip.compress(bytes(100_000_000))
    tracemalloc.start()
    try:
        with pytest.raises(TooLarge) as refused:
            inflate(bomb, 1_000_000)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert refused.value.limit == 1_000_000
    assert peak < 3_000_000


def test_a_bomb_in_many_members_is_refused_too() -> None:
    """The limit is for the whole body, not for each member."""
    with pytest.raises(TooLarge):
        inflate(gzip.compress(bytes(1000)) * 100, 50_000)


@pytest.mark.parametrize(
    "body", [b"no gzip", gzip.compress(b"cut short" * 100)[:-12]], ids=["none", "cut short"]
)
def test_what_is_no_whole_gzip_is_the_callers_fault(body: bytes) -> None:
    """A body that its encoding does not describe is invalid, not half taken."""
    with pytest.raises(InvalidInput):
        inflate(body, 10_000)
