"""No number among the settings can be set to what makes no sense."""

from __future__ import annotations

import math
from functools import reduce
from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from immune.errors import InvalidInput
from immune.ranges import ORDERED, RANGES, Range, numbers
from immune.settings import Settings, listing, load

NUMBERS = dict(numbers(Settings()))
OFF = {name for name, value in listing(Settings()) if value is None}
"""Numbers that are off by default: the owner's ceilings."""


def with_value(name: str, value: Any) -> Settings:
    """The default settings with one number changed, as `--config` would."""
    return load(None, None, {name: value})[0]


def shaped(name: str, value: float) -> Any:
    """`value`, or the list of it where the setting is a list of numbers."""
    return [value] * len(NUMBERS[name]) if len(NUMBERS.get(name, ())) > 1 else value


def outside(within: Range) -> st.SearchStrategy[float]:
    """Numbers that a range refuses: below, beyond, absurd and none at all."""
    edge = [within.low] if within.above else []
    return st.one_of(
        st.sampled_from([*edge, -math.inf, math.inf, 1e300, -1e300, within.high * 2 + 1]),
        st.floats(max_value=within.low, exclude_max=True),
        st.floats(min_value=within.high, exclude_min=True),
        st.just(math.nan),
    )


def test_every_number_has_a_range() -> None:
    """A new setting says where it ends, and the table names nothing that is gone."""
    assert set(NUMBERS) | OFF == set(RANGES)


def test_the_ranges_hold_the_defaults() -> None:
    """And both ends of each range, where no other setting depends on it."""
    for name, within in RANGES.items():
        for value in NUMBERS.get(name, ()):
            assert within.holds(value), name
    depending = {name for pair in ORDERED for name in pair}
    whole = {name for name, values in NUMBERS.items() if isinstance(values[0], int)}
    for name, within in RANGES.items():
        if name not in depending:
            kind = int if name in whole else float
            with_value(name, shaped(name, kind(within.high)))


@pytest.mark.parametrize("name", RANGES)
@settings(max_examples=25)
@given(data=st.data())
def test_a_number_out_of_its_range_is_refused_by_name(name: str, data: st.DataObject) -> None:
    """Negative, zero where it is senseless, NaN, infinite, huge: the field and a reason."""
    value = data.draw(outside(RANGES[name]))
    with pytest.raises(InvalidInput) as refused:
        with_value(name, shaped(name, value))
    assert refused.value.field == name
    assert refused.value.reason.startswith("must ")
    assert refused.value.reason.endswith("(from flag)")


@pytest.mark.parametrize("name", sorted(NUMBERS))
def test_no_number_may_be_far_below_zero(name: str) -> None:
    """A sign is a slip of the hand."""
    with pytest.raises(InvalidInput) as refused:
        with_value(name, shaped(name, -1))
    assert refused.value.field == name


@pytest.mark.parametrize(("lower", "upper"), ORDERED)
def test_a_least_is_not_above_its_most(lower: str, upper: str) -> None:
    """Both are named."""
    beyond = type(NUMBERS[upper][0])(NUMBERS[upper][0] + 1)
    with pytest.raises(InvalidInput) as refused:
        with_value(lower, beyond)
    assert refused.value.field == lower
    assert upper.rpartition(".")[2] in refused.value.reason


def test_settings_made_by_hand_are_checked_too() -> None:
    """Not only those of a file: `demo` and `simulate` make theirs."""
    intake = msgspec.structs.replace(Settings().intake, queue_rows=-1)
    with pytest.raises(InvalidInput, match=r"intake\.queue_rows: must lie between 1"):
        Settings(intake=intake)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("port = 1", "port: there is no such setting; did you mean server.port?"),
        ("[detection.budgets]\nnats_mn = 1", "did you mean detection.budgets.nats_min?"),
        ("server = 1", "server: is a group of settings"),
        ("[[server]]\nport = 1", "server: is a group of settings"),
        ('mode = "panic"', "mode: must be one of observe, ask, enforce, not 'panic'"),
        ('[server]\nport = "x"', "server.port: must be a whole number, not text"),
        ("[server]\nport = 80.5", "server.port: must be a whole number, not a fraction"),
        ("[server]\nport = 70000", "server.port: must lie between 0 and 65,535; it is 70000"),
        ("[server", "is not TOML"),
        ("a = " + "[" * 10_000, "is not TOML"),
        ("a = " + "9" * 10_000, "is not TOML"),
        (b"\xff\xfea", "is not UTF-8 text (byte 0)"),
    ],
)
def test_a_file_that_makes_no_sense_is_refused_in_one_line(
    tmp_path: Path, text: str | bytes, said: str
) -> None:
    """Whatever is in it."""
    file = tmp_path / "immune.toml"
    file.write_bytes(text if isinstance(text, bytes) else text.encode())
    with pytest.raises(InvalidInput) as refused:
        load(file)
    assert said in str(refused.value)
    assert "\n" not in str(refused.value)


def test_what_is_refused_says_where_it_came_from(tmp_path: Path) -> None:
    """Also where the part that refuses it doesn't know its own group."""
    environment = {"IMMUNE_DETECTION__RULES__LIMITS__STEP_COST_USD": "-1"}
    with pytest.raises(InvalidInput) as refused:
        load(None, environment)
    assert refused.value.field == "detection.rules.limits.step_cost_usd"
    assert f"(from environment {next(iter(environment))})" in refused.value.reason
    missing = tmp_path / "none.toml"
    with pytest.raises(InvalidInput, match="No such file"):
        load(missing)


def test_the_table_names_settings_that_can_be_reached() -> None:
    """Each dotted name leads to a value."""
    for name in RANGES:
        reduce(getattr, name.split("."), Settings())
