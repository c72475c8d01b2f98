"""The trial of a cure: fresh vitals against the frozen baseline, until one of the two is proved.

Only steps started after the action was acknowledged count. Every affected metric is tested against
the smallest harmful effect (r' = max(1.5, √r); p' = max(2p0, .3(p0 + p1), p0 + .1)) and not against
the full sickness, or partial cures would pass. Cured when all are clear at once; relapsed when one
is proved sick, a hard limit or a repetition is hit, or too many steps leave it open. Missing data
is never success: a metric that is not reported stays undecided, and so does a trial without one.
"""

from __future__ import annotations

import enum
import math
from collections import deque
from dataclasses import dataclass, field

import msgspec
import numpy as np

from immune.columns import Float32, Float64
from immune.detection.findings import (
    BaselineProfile,
    Finding,
    MetricEffect,
    MetricProfile,
    Source,
)
from immune.healing.actions import Action
from immune.healing.params import TrialParams
from immune.healing.sprt import MetricTest
from immune.vitals import METRICS, N_METRICS, Metric

LEFT_OUT: dict[Action, frozenset[Metric]] = {
    Action.SWITCH_MODEL: frozenset({Metric.LATENCY_MS, Metric.COST_USD}),
}
"""What an action rightly changes for the worse. Revoked tools and reduced autonomy change metrics
for the better only, which no test counts against them. Where nothing else would be left to test,
these are tested all the same, against a wider band: at most 1.25 times normal against at least
max(2, √r) times."""


class Verdict(enum.StrEnum):
    """How a trial stands."""

    UNDECIDED = "undecided"
    CURED = "cured"
    RELAPSED = "relapsed"


class MetricState(msgspec.Struct, frozen=True):
    """How far one metric is."""

    metric: str
    log_odds: float
    """Nats for "at least harmfully worse" against "back to normal"."""
    clear: bool
    samples: int


class TrialState(msgspec.Struct, frozen=True):
    """How a trial stands, as shown."""

    verdict: Verdict
    fresh_steps: int
    metrics: tuple[MetricState, ...]
    reason: str
    """In words: what is proved, or what is missing."""


@dataclass(slots=True)
class Trial:
    """One trial. Fed twice with the same steps it counts them twice; a new one is begun instead."""

    since: float
    baseline: BaselineProfile | None
    action: Action | None
    params: TrialParams
    fresh_steps: int = 0
    _tests: dict[Metric, MetricTest] = field(default_factory=dict)
    _clean: int | None = None
    """Measured steps since a hard limit or a repetition was last the question; None: never."""
    _pace: bool = False
    _starts: deque[float] = field(default_factory=lambda: deque(maxlen=1))
    _hit: bool = False
    _decided: Verdict = Verdict.UNDECIDED

    @classmethod
    def begin(
        cls,
        finding: Finding | None,
        baseline: BaselineProfile | None,
        action: Action | None,
        since: float,
        params: TrialParams | None = None,
    ) -> Trial:
        """Begin a trial of `action` (None: a repair by hand, or a lifting) from `since` on.

        `finding` is the incident's, None after a person's quarantine; `baseline` was frozen at the
        onset. Without an affected metric, all that the baseline knows are tested for harm.
        """
        trial = cls(since, baseline, action, params or TrialParams())
        trial._starts = deque(maxlen=trial.params.pace_steps)
        source = finding.source if finding is not None else None
        trial._rule(source)
        effects = finding.affected if finding is not None else ()
        if effects:
            trial._test(effects)
        elif source in (None, Source.EVIDENCE) and baseline is not None and baseline.ready:
            # how often it is called is its callers' affair
            left_out = LEFT_OUT.get(action, frozenset()) if action else frozenset()
            for spec in METRICS:
                known = trial._profile(spec.metric)
                if known is not None and spec.metric not in {Metric.INTERVAL_S, *left_out}:
                    trial._add(spec.metric, None)
        return trial

    def _rule(self, source: Source | None) -> None:
        if source in (Source.HARD_LIMIT, Source.REPETITION):
            self._clean = 0
        if source is Source.SILENCE:
            self._pace = True

    def _test(self, effects: tuple[MetricEffect, ...]) -> None:
        left_out = LEFT_OUT.get(self.action, frozenset()) if self.action else frozenset()
        by_metric = {Metric[effect.metric.upper()]: effect for effect in effects}
        kept = {m: e for m, e in by_metric.items() if m not in left_out}
        wide = not kept and not self._tests
        for metric, effect in (by_metric if wide else kept).items():
            if metric in self._tests:
                self._tests[metric].doubt()
            else:
                self._add(metric, effect, changed_model=wide)

    def _add(
        self, metric: Metric, effect: MetricEffect | None, *, changed_model: bool = False
    ) -> None:
        self._tests[metric] = MetricTest.begin(
            metric, self._profile(metric), effect, self.params, changed_model=changed_model
        )

    def _profile(self, metric: Metric) -> MetricProfile | None:
        return None if self.baseline is None else self.baseline.metric(metric.label)

    def widen(self, finding: Finding) -> TrialState:
        """The detector spoke again: what it names must be proved too, or anew."""
        if self._decided is Verdict.UNDECIDED:
            self._rule(finding.source)
            self._test(finding.affected)
        return self.state

    def note_hit(self) -> TrialState:
        """A hard limit or a repetition was hit by a fresh step: that is a relapse."""
        if self._decided is Verdict.UNDECIDED:
            self._hit, self._decided = True, Verdict.RELAPSED
        return self.state

    def feed(
        self, started_at: Float64, values: Float32, peer_shift: Float32 | None = None
    ) -> TrialState:
        """Count steps, in their order, until the trial is decided; return how it stands.

        started_at: (n,), epoch seconds; values: (n, 8) in the order of `Metric`, NaN where
        missing; peer_shift: (8,), how far healthy peers moved meanwhile on the profiles' scale
        (log(1 + x); for retries and errors the difference of the rates), NaN or 0 where unknown.
        """
        shift = np.zeros(N_METRICS) if peer_shift is None else peer_shift
        for at, row in zip(started_at.tolist(), values, strict=True):
            if self._decided is not Verdict.UNDECIDED:
                break
            if at > self.since:
                self._step(at, row, shift)
                self._decided = self._judged()
        return self.state

    def _step(self, at: float, row: Float32, shift: Float32 | Float64) -> None:
        self.fresh_steps += 1
        self._starts.append(at)
        if self._clean is not None:
            self._clean += not np.isnan(row[: Metric.INTERVAL_S]).all()
        for metric, test in self._tests.items():
            if metric is Metric.INTERVAL_S and self.fresh_steps == 1:
                continue  # it spans the fence
            test.add(float(row[metric]), float(shift[metric]))

    def _judged(self) -> Verdict:
        p = self.params
        if self.fresh_steps < p.steps_min:
            return Verdict.UNDECIDED
        sick = math.log(max(len(self._tests), 1) / p.false_relapse)
        if any(test.log_odds >= sick for test in self._tests.values()):
            return Verdict.RELAPSED
        if not self._missing():
            return Verdict.CURED
        return Verdict.RELAPSED if self.fresh_steps >= p.steps_max else Verdict.UNDECIDED

    def _is_clear(self, test: MetricTest) -> bool:
        return test.log_odds <= math.log(self.params.false_cure)

    def _at_own_pace(self) -> bool:
        """The last steps come no slower than twice the usual interval, by their median."""
        if len(self._starts) < self.params.pace_steps:
            return False
        usual = self._profile(Metric.INTERVAL_S)
        if usual is None:
            return True
        gaps = np.diff(np.array(sorted(self._starts)))
        return float(np.median(gaps)) <= 2.0 * math.expm1(usual.centre)

    def _missing(self) -> list[str]:
        """What stands between here and a cure, in words."""
        missing = []
        for metric, test in self._tests.items():
            if test.gain is None:
                missing.append(f"{metric.label} has no baseline to be judged by")
            elif not test.samples:
                missing.append(f"{metric.label} is not reported")
            elif not self._is_clear(test):
                missing.append(f"{metric.label} is not proved normal")
        if self._clean is not None and self._clean < self.params.clean_steps:
            missing.append(f"{self._clean} of {self.params.clean_steps} steps without a hit")
        if self._pace and not self._at_own_pace():
            missing.append("it is not back at its own pace")
        if not self._tests and self._clean is None and not self._pace:
            missing.append("nothing was measured that could prove a cure")
        return missing

    @property
    def state(self) -> TrialState:
        """How it stands."""
        return TrialState(
            self._decided,
            self.fresh_steps,
            tuple(
                MetricState(m.label, test.log_odds, self._is_clear(test), test.samples)
                for m, test in self._tests.items()
            ),
            self._reason(),
        )

    def _reason(self) -> str:
        names = ", ".join(metric.label for metric in self._tests)
        if self._decided is Verdict.CURED:
            what = f"{names} back to normal" if names else "no sign of it"
            return f"{what} over {self.fresh_steps} fresh steps"
        if self._hit:
            return "a hard limit or a repetition was hit again"
        if self._decided is Verdict.RELAPSED:
            worst = max(self._tests.values(), key=lambda test: test.log_odds, default=None)
            sick = math.log(max(len(self._tests), 1) / self.params.false_relapse)
            if worst is not None and worst.log_odds >= sick:
                return f"{worst.metric.label} is still worse than normal"
            return f"not proved in {self.fresh_steps} fresh steps: {'; '.join(self._missing())}"
        return "; ".join(self._missing())
