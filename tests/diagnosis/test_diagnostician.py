"""The right cause for each infection, in spite of noise, with evidence in plain words."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.diagnosis.infections import INFECTIONS, draw, finding

from immune.detection.findings import Facts, Finding, Source
from immune.diagnosis.causes import Cause
from immune.diagnosis.diagnostician import LABELS_PER_LOOK, Diagnostician
from immune.diagnosis.signatures import BACKGROUND, SIGNATURES
from immune.diagnosis.signs import Sign
from immune.vitals import Metric as M

CLEAR: dict[str, tuple[Finding, Cause, str]] = {
    "bloated context": (
        finding({M.INPUT_TOKENS: 6, M.COST_USD: 4}),
        Cause.COST_OVERRUN,
        "input_tokens",
    ),
    "verbose setting": (
        finding({M.OUTPUT_TOKENS: 6, M.COST_USD: 4, M.LATENCY_MS: 1.6}),
        Cause.COST_OVERRUN,
        "output_tokens",
    ),
    "tool loop": (
        finding({M.TOOL_CALLS: 8}, facts=Facts(repeated_tool="search", repeats=14)),
        Cause.INFINITE_LOOP,
        "tool_calls+repetition",
    ),
    "repetition alone": (
        finding(facts=Facts(repeated_tool="search", repeats=14), source=Source.REPETITION),
        Cause.INFINITE_LOOP,
        "repetition",
    ),
    "slow tool": (finding({M.LATENCY_MS: 5}), Cause.TOOL_INSTABILITY, "latency"),
    "flaky tool": (finding({M.RETRIES: 0.75}), Cause.TOOL_INSTABILITY, "retries"),
    "prompt drift": (
        finding(
            {M.LATENCY_MS: 4, M.INPUT_TOKENS: 6, M.OUTPUT_TOKENS: 6, M.COST_USD: 6},
            facts=Facts(prompt_hash_changed=True),
        ),
        Cause.PROMPT_DRIFT,
        "latency+tokens",
    ),
    "memory corruption": (
        finding({M.LATENCY_MS: 4, M.RETRIES: 0.7}),
        Cause.MEMORY_CORRUPTION,
        "latency+retries",
    ),
    "dearer model": (
        finding({M.COST_USD: 5}, facts=Facts(model_changed=True)),
        Cause.COST_OVERRUN,
        "cost_only",
    ),
    "prompt injection": (
        finding({M.TOOL_CALLS: 2}, facts=Facts(new_tools=("send_mail",))),
        Cause.PROMPT_INJECTION,
        "tool_calls+new_tool",
    ),
    "silence": (
        finding(facts=Facts(silent_s=95), source=Source.SILENCE),
        Cause.UNRESPONSIVE,
        "silence",
    ),
    "meltdown": (
        finding({M.LATENCY_MS: 4, M.INPUT_TOKENS: 6, M.OUTPUT_TOKENS: 6, M.TOOL_CALLS: 7}),
        Cause.UNKNOWN,
        "latency+tokens+tool_calls",
    ),
}


@pytest.mark.parametrize("look", CLEAR)
def test_clear_case(look: str) -> None:
    """Each look of design.md's table leads to its cause with confidence, and to its pattern."""
    shown, cause, pattern = CLEAR[look]
    diagnosis = Diagnostician().diagnose(shown)
    assert diagnosis.cause is cause
    assert diagnosis.ranked[0].confidence > 0.6
    assert diagnosis.pattern == pattern


@pytest.mark.parametrize("infection", INFECTIONS)
def test_noisy_cases(infection: str) -> None:
    """With metrics overlooked, unreported or taken in by chance, 9 of 10 diagnoses are right.

    Memory corruption has the least room: whoever overlooks one of its two metrics sees a tool.
    """
    rng = np.random.default_rng(7)
    diagnostician = Diagnostician()
    cases = [draw(infection, rng) for _ in range(400)]
    right = [diagnostician.diagnose(case.finding).cause in case.right for case in cases]
    assert np.mean(right) >= (0.87 if infection == "memory_corruption" else 0.93)


def test_noisy_cases_together() -> None:
    """Over all ten infections at least 95 % of noisy diagnoses are right."""
    rng = np.random.default_rng(8)
    diagnostician = Diagnostician()
    cases = [draw(infection, rng) for infection in INFECTIONS for _ in range(200)]
    right = [diagnostician.diagnose(case.finding).cause in case.right for case in cases]
    assert np.mean(right) >= 0.95


def test_shared_change_is_external() -> None:
    """What 40 % of the group shows at once is nobody's own sickness."""
    shown = finding({M.LATENCY_MS: 5, M.ERRORS: 0.3})
    assert Diagnostician().diagnose(shown).cause is Cause.TOOL_INSTABILITY
    shared = Diagnostician().diagnose(shown, fleet_share=0.4)
    assert shared.cause is Cause.EXTERNAL_CAUSE
    assert "40 % of its group changed alike" in shared.reasons
    assert Diagnostician().diagnose(shown, fleet_share=0.05).cause is Cause.TOOL_INSTABILITY


@pytest.mark.parametrize("shown", [finding(), finding({M.INTERVAL_S: 4})], ids=["none", "pace"])
def test_unknown(shown: Finding) -> None:
    """A finding that fits nothing is unknown, and without much confidence."""
    best = Diagnostician().diagnose(shown).ranked[0]
    assert best.cause is Cause.UNKNOWN
    assert best.confidence < 0.7


@pytest.mark.parametrize(
    ("limit", "cause"),
    [
        ("cost_usd 3.10 in one hour, limit 3.00", Cause.COST_OVERRUN),
        ("tokens 900,000 in one session, limit 800,000", Cause.COST_OVERRUN),
        ("tool_calls 61 in one step, limit 60", Cause.INFINITE_LOOP),
    ],
)
@pytest.mark.parametrize("effects", [True, False])
def test_hard_limit_names_its_cause(limit: str, cause: Cause, effects: bool) -> None:
    """A ceiling passed before any metric stands out still points somewhere."""
    unreported = frozenset() if effects else frozenset(M)
    shown = finding(facts=Facts(limit=limit), source=Source.HARD_LIMIT, unreported=unreported)
    assert Diagnostician().diagnose(shown).cause is cause


def test_nothing_found_is_unknown() -> None:
    """A person's quarantine without a finding has a diagnosis too, so that it has a ladder."""
    assert Diagnostician().unknown().cause is Cause.UNKNOWN


def test_unreported_cost_hides_nothing() -> None:
    """Where cost is not reported, tokens tell the overrun alone."""
    shown = finding({M.INPUT_TOKENS: 6}, unreported=frozenset({M.COST_USD}))
    diagnosis = Diagnostician().diagnose(shown)
    assert (diagnosis.cause, diagnosis.pattern) == (Cause.COST_OVERRUN, "input_tokens")


@pytest.mark.parametrize("latency", [1.0, 1.2, 1.3, 1.5, 3.0])
@pytest.mark.parametrize("overlooked", [True, False])
def test_what_was_never_measured_is_no_cause(latency: float, overlooked: bool) -> None:
    """A series of latencies speaks of time, or of nothing: never of a context that has grown."""
    shown = finding(
        {M.LATENCY_MS: latency},
        overlooked=frozenset({M.LATENCY_MS} if overlooked else ()),
        unreported=frozenset(M) - {M.LATENCY_MS, M.INTERVAL_S},
    )
    diagnosis = Diagnostician().diagnose(shown)
    assert diagnosis.cause in (Cause.TOOL_INSTABILITY, Cause.UNKNOWN)
    told = {row.cause: row.confidence for row in diagnosis.ranked}
    assert told[Cause.COST_OVERRUN] == told[Cause.MEMORY_CORRUPTION] == 0.0


def test_reasons_are_words_with_numbers() -> None:
    """A person reads what changed, by how much, for how long, and what changed with it."""
    shown = finding(
        {M.LATENCY_MS: 4.2, M.RETRIES: 0.7},
        facts=Facts(failing_tool="search", error_types=("Timeout",), limit="2 USD an hour"),
    )
    assert Diagnostician().diagnose(shown).reasons[1:] == (
        "latency 4.2 times normal over the last 40 s",
        "70 % of steps have a retry, normally 4 %",
        "a hard limit was passed: 2 USD an hour",
        "most of the failed calls are to search",
        "errors of type Timeout",
    )


def test_labels_sharpen() -> None:
    """Operators who keep naming another cause for a look win; other looks stay as they were."""
    diagnostician = Diagnostician()
    slow, flaky = CLEAR["slow tool"][0], CLEAR["flaky tool"][0]
    before = diagnostician.diagnose(flaky)
    diagnostician.learn(slow, Cause.MEMORY_CORRUPTION)
    assert diagnostician.diagnose(slow).cause is Cause.TOOL_INSTABILITY
    for _ in range(6):
        diagnostician.learn(slow, Cause.MEMORY_CORRUPTION)
    labelled = diagnostician.diagnose(slow)
    assert labelled.cause is Cause.MEMORY_CORRUPTION
    assert labelled.reasons[-1] == ("operators gave this cause to 7 of 7 cases that looked alike")
    assert diagnostician.diagnose(flaky) == before


def test_labels_are_bounded() -> None:
    """Old labels fade: the last few dozen count most."""
    diagnostician = Diagnostician()
    slow = CLEAR["slow tool"][0]
    for _ in range(20 * LABELS_PER_LOOK):
        diagnostician.learn(slow, Cause.MEMORY_CORRUPTION)
    for _ in range(2 * LABELS_PER_LOOK):
        diagnostician.learn(slow, Cause.TOOL_INSTABILITY)
    assert diagnostician.diagnose(slow).cause is Cause.TOOL_INSTABILITY
    assert len(diagnostician.save()) < 200


def test_labelled_looks_are_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    """The look that was longest without a label is forgotten first."""
    monkeypatch.setattr("immune.diagnosis.diagnostician.LOOKS_MAX", 2)
    diagnostician = Diagnostician()
    for look in ("slow tool", "flaky tool", "slow tool", "dearer model"):
        for _ in range(7):
            diagnostician.learn(CLEAR[look][0], Cause.UNKNOWN)
    forgotten = [
        look
        for look in ("slow tool", "flaky tool", "dearer model")
        if diagnostician.diagnose(CLEAR[look][0]).cause is not Cause.UNKNOWN
    ]
    assert forgotten == ["flaky tool"]


def test_labels_outlive_the_process() -> None:
    """What was saved and loaded diagnoses as before."""
    taught, fresh = Diagnostician(), Diagnostician()
    for _ in range(5):
        taught.learn(CLEAR["slow tool"][0], Cause.MEMORY_CORRUPTION)
    fresh.load(taught.save())
    assert fresh.diagnose(CLEAR["slow tool"][0]) == taught.diagnose(CLEAR["slow tool"][0])


@given(seed=st.integers(0, 2**32 - 1), share=st.floats(0, 1), infection=st.sampled_from(INFECTIONS))
def test_confidences(seed: int, share: float, infection: str) -> None:
    """Confidences sum to 1, fall, and name every cause once, whatever is found."""
    case = draw(infection, np.random.default_rng(seed))
    ranked = Diagnostician().diagnose(case.finding, share).ranked
    confidences = [row.confidence for row in ranked]
    assert sum(confidences) == pytest.approx(1.0)
    assert confidences == sorted(confidences, reverse=True)
    assert {row.cause for row in ranked} == set(Cause)


def test_table_is_whole() -> None:
    """Every sign has a background rate, every cause a look, every number is a probability."""
    assert set(BACKGROUND) == set(Sign)
    assert {signature.cause for signature in SIGNATURES} == set(Cause)
    rates = [*BACKGROUND.values(), *(p for s in SIGNATURES for p in s.expected.values())]
    assert all(0 < p < 1 for p in rates)
