"""Whoever could not compile the way of a span gets the same vitals."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from immune.intake.otlp import assemble, decode
from immune.intake.otlp.decode import JSON
from tests.intake.test_otlp_samples import protobuf
from tests.intake.traces import LIMITS, NAMES, SALT, after, sample
from tests.intake.uncompiled import IN_PYTHON

SAMPLES = {name: json.dumps(sample(name)).encode() for name in NAMES}


def spans_by(decoder: Any, body: bytes, content_type: str = JSON) -> list[Any]:
    """What this decoder makes of a request."""
    found = decoder.decode_traces(
        body, content_type=content_type, salt=SALT, max_bytes=LIMITS.body_max_bytes
    )
    return list(found.spans)


def test_the_sources_are_what_is_compared_with() -> None:
    """And not what was compiled of them."""
    assert all((module.__file__ or "").endswith(".py") for module in IN_PYTHON.values())


@pytest.mark.compiled
def test_where_all_is_installed_the_way_is_compiled() -> None:
    """What is measured and shipped is the compiled one."""
    assert not (assemble.__file__ or "").endswith(".py")


@pytest.mark.parametrize("name", NAMES)
def test_uncompiled_a_sample_has_the_same_spans(name: str) -> None:
    """In JSON and in protobuf, which protobuf's own library reads then."""
    body = protobuf(sample(name))
    for told, content_type in ((SAMPLES[name], JSON), (body, decode.PROTOBUF)):
        ours = spans_by(decode, told, content_type)
        theirs = spans_by(IN_PYTHON["decode"], told, content_type)
        assert list(map(repr, ours)) == list(map(repr, theirs))


@given(st.data())
def test_uncompiled_spans_in_any_order_give_the_same_vitals(data: st.DataObject) -> None:
    """Request by request, and with the same reasons for what is left out."""
    names = data.draw(st.lists(st.sampled_from(NAMES), min_size=1, max_size=3, unique=True))
    ours = [span for name in names for span in spans_by(decode, SAMPLES[name])]
    theirs = [span for name in names for span in spans_by(IN_PYTHON["decode"], SAMPLES[name])]
    now = after(ours)
    one, other = assemble.TraceAssembler(), IN_PYTHON["assemble"].TraceAssembler()
    places = data.draw(st.permutations(range(len(ours))))
    while places:
        count = data.draw(st.integers(1, len(places)))
        some, places = places[:count], places[count:]
        vitals = one.feed([ours[place] for place in some], now)
        assert vitals == other.feed([theirs[place] for place in some], now)
        now += data.draw(st.sampled_from([0.0, 0.5, 3.0, 40.0]))
        assert one.flush(now) == other.flush(now)
        assert list(map(repr, one.gone())) == list(map(repr, other.gone()))
    assert one.drain(now) == other.drain(now)
    assert (one.unmapped, one.held) == (other.unmapped, other.held)
    assert dict(one.identity_rule) == dict(other.identity_rule)
