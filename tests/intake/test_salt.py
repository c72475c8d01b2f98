"""Hashes stand for text that nobody may keep."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from immune.intake.salt import Salt

SALT = Salt(b"one")
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=8,
)


@given(JSON)
def test_a_hash_is_64_bits_and_never_the_unknown(value: object) -> None:
    """0 means unknown, so no value may hash to it."""
    assert 0 < SALT.hash(value) < 2**64


def test_equal_arguments_hash_alike_however_they_are_written() -> None:
    """Order of keys, blanks, and JSON inside a string make no other call of it."""
    expected = SALT.hash({"q": "x", "n": [1, {"b": 2, "a": 1}]})
    assert SALT.hash({"n": [1, {"a": 1, "b": 2}], "q": "x"}) == expected
    assert SALT.hash(' {"n": [1, {"a": 1, "b": 2}], "q": "x"}') == expected


def test_another_salt_gives_other_hashes() -> None:
    """Who knows a hash of one installation knows nothing of another."""
    other = Salt(b"two")
    assert SALT.hash("x") != other.hash("x")
    assert SALT.label("x") != other.label("x")


@pytest.mark.parametrize("value", ["{not json", "\ud800", {"a": "\ud800"}, 10**400, [10**400], ""])
def test_odd_values_have_a_hash_too(value: object) -> None:
    """Text that only looks like JSON, lone surrogates and huge numbers are hashed as they are."""
    assert SALT.hash(value) == SALT.hash(value) != 0


def test_a_salt_is_never_empty_and_never_shown() -> None:
    """An empty key would make the hashes the same everywhere."""
    with pytest.raises(ValueError, match="empty"):
        Salt(b"")
    assert "secret" not in repr(Salt(b"secret"))
    assert Salt(b"k" * 100).hash("x") != Salt(b"k" * 64).hash("x")
