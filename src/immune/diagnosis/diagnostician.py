"""Ranks the causes of a finding, and lets operators' labels sharpen the ranking.

Naive Bayes over the looks of `signatures`; a cause's confidence is the sum over its looks. Labels
are counted by what the case looked like: n labels on cases alike move the confidence from the
table's word p to (s·p + labels of this cause) / (s + n), the mean of a Dirichlet posterior.
"""

from __future__ import annotations

import math

import msgspec

from immune.detection.findings import Finding
from immune.diagnosis import signs as sg
from immune.diagnosis.causes import Cause, Diagnosis, RankedCause
from immune.diagnosis.reasons import reasons
from immune.diagnosis.signatures import SIGNATURES, log_likelihood

LABEL_STRENGTH = 3.0
"""Labels that the table's word is worth: two operators alone don't overturn what is clear."""
LABELS_PER_LOOK = 50
"""Beyond it the counts of a look are halved: the last few dozen labels count most."""
LOOKS_MAX = 500
"""Looks with labels that are kept; the one longest without a label goes first."""

_FACTS = (sg.Sign.PROMPT_CHANGED, sg.Sign.MODEL_CHANGED, sg.Sign.FAILING_TOOL, sg.Sign.SHARED)


class Diagnostician:
    """Finding in, ranked causes out."""

    def __init__(self) -> None:
        self._labels: dict[str, dict[Cause, float]] = {}

    def diagnose(self, finding: Finding, fleet_share: float = 0.0) -> Diagnosis:
        """Rank the causes of `finding`, most likely first; the confidences sum to 1.

        `fleet_share` is the share, 0..1, of the agent's group that changed alike.
        """
        signs = sg.read(finding, fleet_share)
        judged = [signature for signature in SIGNATURES if signature.is_judged_by(signs)]
        logs = [log_likelihood(signature, signs) for signature in judged]
        top = max(logs)
        mass = dict.fromkeys(Cause, 0.0)
        looks: dict[Cause, tuple[float, str]] = {}
        for signature, log in zip(judged, logs, strict=True):
            mass[signature.cause] += math.exp(log - top)
            if signature.cause not in looks or log > looks[signature.cause][0]:
                looks[signature.cause] = (log, signature.look)
        total = sum(mass.values())
        confidence = {cause: m / total for cause, m in mass.items()}
        pattern = sg.pattern(finding, signs)
        labels = self._labels.get(_look(pattern, signs), {})
        n = sum(labels.values())
        if n:
            confidence = {
                cause: (LABEL_STRENGTH * p + labels.get(cause, 0.0)) / (LABEL_STRENGTH + n)
                for cause, p in confidence.items()
            }
        ranked = tuple(
            RankedCause(cause, p)
            for cause, p in sorted(confidence.items(), key=lambda pair: -pair[1])
        )
        said = [looks[ranked[0].cause][1], *reasons(finding, signs, fleet_share)]
        if labelled := labels.get(ranked[0].cause, 0.0):
            said.append(
                f"operators gave this cause to {labelled:.0f} of {n:.0f} cases that looked alike"
            )
        return Diagnosis(ranked, tuple(said), pattern)

    def unknown(self) -> Diagnosis:
        """The diagnosis of a case without a finding, such as a person's quarantine."""
        return Diagnosis(
            (RankedCause(Cause.UNKNOWN, 1.0),), ("no finding; a person opened the case",), "none"
        )

    def learn(self, finding: Finding, cause: Cause, fleet_share: float = 0.0) -> None:
        """Take an operator's word that `cause` was behind `finding`."""
        signs = sg.read(finding, fleet_share)
        look = _look(sg.pattern(finding, signs), signs)
        labels = self._labels.pop(look, {})
        if sum(labels.values()) >= LABELS_PER_LOOK:
            labels = {known: count / 2 for known, count in labels.items()}
        labels[cause] = labels.get(cause, 0.0) + 1.0
        self._labels[look] = labels
        if len(self._labels) > LOOKS_MAX:
            del self._labels[next(iter(self._labels))]

    def save(self) -> bytes:
        """The labels, for the store."""
        return msgspec.json.encode(self._labels)

    def load(self, blob: bytes) -> None:
        """Take up what `save` gave, in place of what is known."""
        self._labels = msgspec.json.decode(blob, type=dict[str, dict[Cause, float]])


def _look(pattern: str, signs: sg.Signs) -> str:
    """What labels are counted by: the pattern and the facts that it leaves out."""
    return "|".join([pattern, *(str(s) for s in _FACTS if signs.get(s, 0.0) >= 0.5)])
