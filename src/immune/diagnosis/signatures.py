"""What each cause looks like, as data: the likelihoods of the diagnosis.

A cause may look several ways (a cost overrun by a bloated context or by a dearer model); each is a
row. A row names the signs it makes likely; every other sign is there by chance, at its rate in
`BACKGROUND`. The numbers are judgements: .9 and more for what makes the cause, .3 for what may come
along. Operators' labels correct them where a fleet differs. What was not measured names no cause: a
look counts only where the signs that make it could be read.
"""

from __future__ import annotations

import math

import msgspec

from immune.diagnosis.causes import Cause
from immune.diagnosis.signs import Sign, Signs


class Signature(msgspec.Struct, frozen=True):
    """One look of one cause."""

    cause: Cause
    look: str
    """In words, for the reasons shown."""
    weight: float
    """How common it is among the infections of a fleet, relative to the other rows."""
    expected: dict[Sign, float]
    """P(sign | this look) where it differs from the background."""

    def is_judged_by(self, signs: Signs) -> bool:
        """Whether what tells this look, its likeliest signs, could be read at all."""
        most = max(self.expected.values(), default=0.0)
        telling = [sign for sign, p in self.expected.items() if p == most >= _TELLING]
        return all(sign in signs for sign in telling)


_TELLING = 0.9
"""P(sign | look) from which on the sign makes the look: without it, it can't be named."""

S = Sign

BACKGROUND: dict[Sign, float] = {
    S.LATENCY: 0.06,
    S.INPUT_TOKENS: 0.05,
    S.OUTPUT_TOKENS: 0.05,
    S.COST_ONLY: 0.03,
    S.TOOL_CALLS: 0.05,
    S.MANY_CALLS: 0.3,
    S.RETRIES: 0.05,
    S.ERRORS: 0.06,
    S.PACE: 0.05,
    S.PROMPT_CHANGED: 0.02,
    S.MODEL_CHANGED: 0.02,
    S.NEW_TOOL: 0.02,
    S.FAILING_TOOL: 0.04,
    S.REPETITION: 0.01,
    S.SILENCE: 0.003,
    S.SHARED: 0.02,
}

SIGNATURES: tuple[Signature, ...] = (
    Signature(Cause.PROMPT_DRIFT, "a changed prompt makes each step longer and dearer", 1.0, {
        S.PROMPT_CHANGED: 0.95, S.LATENCY: 0.8, S.INPUT_TOKENS: 0.75, S.OUTPUT_TOKENS: 0.75,
        S.TOOL_CALLS: 0.15, S.ERRORS: 0.1, S.RETRIES: 0.08,
    }),
    Signature(Cause.PROMPT_INJECTION, "foreign orders make it use tools it never used", 1.0, {
        S.NEW_TOOL: 0.95, S.TOOL_CALLS: 0.75, S.MANY_CALLS: 0.1, S.LATENCY: 0.25,
        S.INPUT_TOKENS: 0.2, S.OUTPUT_TOKENS: 0.2, S.ERRORS: 0.1,
    }),
    Signature(Cause.INFINITE_LOOP, "it makes the same call again and again", 1.0, {
        S.REPETITION: 0.95, S.TOOL_CALLS: 0.9, S.MANY_CALLS: 0.9, S.LATENCY: 0.3,
        S.INPUT_TOKENS: 0.3, S.OUTPUT_TOKENS: 0.25, S.PACE: 0.2,
    }),
    Signature(Cause.INFINITE_LOOP, "it makes many times its usual calls", 0.5, {
        S.TOOL_CALLS: 0.97, S.MANY_CALLS: 0.9, S.LATENCY: 0.2, S.INPUT_TOKENS: 0.15,
        S.OUTPUT_TOKENS: 0.1, S.PACE: 0.15,
    }),
    Signature(Cause.TOOL_INSTABILITY, "something that it waits for is slow", 1.0, {
        S.LATENCY: 0.97, S.ERRORS: 0.08, S.FAILING_TOOL: 0.08,
    }),
    Signature(Cause.TOOL_INSTABILITY, "a tool fails and is tried again", 1.0, {
        S.RETRIES: 0.95, S.ERRORS: 0.3, S.FAILING_TOOL: 0.6, S.LATENCY: 0.12,
    }),
    Signature(Cause.TOOL_INSTABILITY, "its steps fail", 0.4, {
        S.ERRORS: 0.97, S.RETRIES: 0.2, S.FAILING_TOOL: 0.5, S.LATENCY: 0.2,
    }),
    Signature(Cause.MEMORY_CORRUPTION, "it takes longer and retries, whatever the tool", 1.0, {
        S.LATENCY: 0.93, S.RETRIES: 0.93, S.ERRORS: 0.2,
    }),
    Signature(Cause.COST_OVERRUN, "its context has grown", 0.8, {
        S.INPUT_TOKENS: 0.97, S.OUTPUT_TOKENS: 0.1, S.LATENCY: 0.2,
    }),
    Signature(Cause.COST_OVERRUN, "it answers at far greater length", 0.6, {
        S.OUTPUT_TOKENS: 0.97, S.INPUT_TOKENS: 0.1, S.LATENCY: 0.3,
    }),
    Signature(Cause.COST_OVERRUN, "it uses several times the tokens", 0.4, {
        S.INPUT_TOKENS: 0.93, S.OUTPUT_TOKENS: 0.93, S.LATENCY: 0.2,
    }),
    Signature(Cause.COST_OVERRUN, "the same tokens cost more: a dearer model", 0.8, {
        S.COST_ONLY: 0.97, S.MODEL_CHANGED: 0.5, S.LATENCY: 0.1,
    }),
    Signature(Cause.UNRESPONSIVE, "it steps no more", 1.0, {
        S.SILENCE: 0.99,
    }),
    Signature(Cause.EXTERNAL_CAUSE, "many agents changed alike", 1.0, {
        S.SHARED: 0.99, S.LATENCY: 0.7, S.ERRORS: 0.5, S.RETRIES: 0.3, S.SILENCE: 0.1,
        S.INPUT_TOKENS: 0.15, S.OUTPUT_TOKENS: 0.15, S.COST_ONLY: 0.1, S.TOOL_CALLS: 0.1,
        S.PROMPT_CHANGED: 0.1, S.MODEL_CHANGED: 0.1, S.FAILING_TOOL: 0.3,
    }),
    Signature(Cause.UNKNOWN, "time, tokens and calls all rose at once", 0.25, {
        S.LATENCY: 0.93, S.INPUT_TOKENS: 0.85, S.OUTPUT_TOKENS: 0.85, S.TOOL_CALLS: 0.93,
        S.MANY_CALLS: 0.9,
    }),
    Signature(Cause.UNKNOWN, "nothing that is measured stands out", 0.1, {}),
    Signature(Cause.UNKNOWN, "it fits no cause that we know", 0.6, {
        S.LATENCY: 0.3, S.INPUT_TOKENS: 0.3, S.OUTPUT_TOKENS: 0.3, S.COST_ONLY: 0.2,
        S.TOOL_CALLS: 0.3, S.MANY_CALLS: 0.5, S.RETRIES: 0.3, S.ERRORS: 0.3, S.PACE: 0.3,
        S.PROMPT_CHANGED: 0.05, S.MODEL_CHANGED: 0.05, S.NEW_TOOL: 0.05, S.FAILING_TOOL: 0.1,
    }),
)  # fmt: skip


def log_likelihood(signature: Signature, signs: Signs) -> float:
    """log P(signs | signature), the signs taken as independent given the look (naive Bayes).

    A sign that is there with certainty u contributes log(u·p + (1 − u)·(1 − p)).
    """
    total = math.log(signature.weight)
    for sign, sure in signs.items():
        p = signature.expected.get(sign, BACKGROUND[sign])
        total += math.log(sure * p + (1.0 - sure) * (1.0 - p))
    return total
