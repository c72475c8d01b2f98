"""Is one metric back to normal? Wald's sequential probability-ratio test, one value at a time.

H0: no worse than the frozen baseline; H1: worse by the smallest harmful effect. `log_odds` is the
log of how much likelier H1 is than H0. An agent at least that sick ever falls below log β with
probability at most β, and a well one ever rises above log(1/α) with at most α (Wald 1945,
"Sequential tests of statistical hypotheses"; by Ville's inequality for any stopping rule).

Three things that break the textbook's assumptions are priced in:

- heavy tails: residuals are clipped, and so is what one step may say either way;
- the baseline is estimated from n samples: a normal mean known to σ²/n makes the log odds of m
  fresh values S / (1 + m/n), where S is their sum with the mean known;
- successive steps resemble one another: S is divided by (1 + φ)/(1 − φ) as well, φ learned from
  the fresh values, drawn towards an assumed one.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field

from immune.detection.findings import MetricEffect, MetricProfile
from immune.healing.params import TrialParams
from immune.vitals import METRICS, Family, Metric

_PHI_MAX = 0.8
_DECIDABLE = 1.5
"""Times the nats of a proof that a young baseline should be able to yield."""
_EXPONENTS = (0.5, 0.55, 0.6, 0.65)
"""Of the infection's ratio: the square root, and what a young baseline may need instead."""
_DEEPEST = 1.3
"""Times the nats of a proof that a metric can be clear."""
_D_MAX = 4.0
"""Standard deviations between H0 and H1 at most: a tighter spread is not believed."""


def scale(metric: Metric, value: float) -> float:
    """The scale that profiles are kept on: log(1 + x), cost in micro-USD."""
    return math.log1p(value * 1e6 if metric is Metric.COST_USD else value)


@dataclass(slots=True)
class Autocorrelation:
    """Lag-1 autocorrelation of a short series, drawn towards an assumed value."""

    assumed: float
    weight: float
    n: int = 0
    _sum: float = 0.0
    _squares: float = 0.0
    _products: float = 0.0
    _first: float = 0.0
    _last: float = 0.0

    def add(self, z: float) -> None:
        if self.n == 0:
            self._first = z
        else:
            self._products += z * self._last
        self.n += 1
        self._sum += z
        self._squares += z * z
        self._last = z

    def inflation(self) -> float:
        """(1 + φ)/(1 − φ): how many successive steps say as much as one independent one."""
        n, mean = self.n, self._sum / max(self.n, 1)
        spread = self._squares - n * mean * mean
        phi = 0.0
        if n > 2 and spread > 1e-9:
            ends = self._first + self._last
            covariance = self._products - mean * (2 * self._sum - ends) + (n - 1) * mean * mean
            # a short series underestimates by about 1/n (Kendall 1954)
            phi = max(covariance / spread + 1.0 / n, 0.0)
        phi = min((self.weight * self.assumed + n * phi) / (self.weight + n), _PHI_MAX)
        return (1.0 + phi) / (1.0 - phi)


@dataclass(slots=True)
class MetricTest:
    """The test of one metric; a metric without a baseline is never decided."""

    metric: Metric
    params: TrialParams
    gain: _Gain | None
    samples: int = 0
    _sum: float = 0.0
    _likeness: Autocorrelation = field(default_factory=lambda: Autocorrelation(0.0, 1.0))

    @classmethod
    def begin(
        cls,
        metric: Metric,
        profile: MetricProfile | None,
        effect: MetricEffect | None,
        params: TrialParams,
        *,
        changed_model: bool = False,
    ) -> MetricTest:
        """Set the test up. `effect` is the infection's, None where the metric was unaffected.

        `changed_model`: a new model may rightly take a little longer or cost a little more.
        """
        gain = None
        if profile is not None and profile.samples >= 2:
            gain = _gain(metric, profile, effect, params, changed_model)
        test = cls(metric, params, gain)
        rare = isinstance(gain, _RateGain)
        test._likeness = Autocorrelation(
            0.0 if rare else params.autocorrelation, params.autocorrelation_weight
        )
        return test

    @property
    def log_odds(self) -> float:
        """log P(values | H1) / P(values | H0), discounted."""
        if self.gain is None:
            return 0.0
        doubt = self.samples / self.gain.known if self.gain.known else 0.0
        return self._sum / (self._likeness.inflation() + doubt)

    def add(self, value: float, shift: float) -> None:
        """Count one fresh value; NaN says nothing. `shift` is what healthy peers share."""
        if self.gain is None or math.isnan(value):
            return
        z, nats = self.gain.of(value, 0.0 if math.isnan(shift) else shift)
        self.samples += 1
        self._likeness.add(z)
        self._sum += min(max(nats, -self.params.cure_clip), self.params.relapse_clip)
        # what is long clear must not outweigh a sickness that comes back
        floor = _DEEPEST * math.log(self.params.false_cure)
        if (odds := self.log_odds) < floor:
            self._sum *= floor / odds

    def doubt(self) -> None:
        """The detector has spoken against it again: what was proved so far counts no more."""
        self._sum = max(self._sum, 0.0)


@dataclass(frozen=True, slots=True)
class _NormalGain:
    """Positive metrics: y = log(1 + x) is normal with the baseline's spread."""

    metric: Metric
    centre: float
    spread: float
    d: float
    sign: float
    clip: float
    known: float

    def of(self, value: float, shift: float) -> tuple[float, float]:
        z = self.sign * (scale(self.metric, value) - shift - self.centre) / self.spread
        z = min(max(z, -self.clip), self.clip + self.d)
        return z, self.d * z - self.d * self.d / 2.0

    @property
    def nats(self) -> float:
        """Expected of one value for a cure."""
        return self.d * self.d / 2.0


@dataclass(frozen=True, slots=True)
class _CountGain:
    """Counts: Poisson, its log odds divided by the baseline's dispersion (quasi-likelihood)."""

    well: float
    sick: float
    dispersion: float
    known: float

    def of(self, value: float, shift: float) -> tuple[float, float]:
        x = max(math.expm1(math.log1p(value) - shift), 0.0)
        nats = x * math.log(self.sick / self.well) - (self.sick - self.well)
        return x, nats / self.dispersion

    @property
    def nats(self) -> float:
        ratio = self.sick / self.well
        return self.well * (ratio - 1.0 - math.log(ratio)) / self.dispersion


@dataclass(frozen=True, slots=True)
class _RateGain:
    """Retries and errors: a step has one or none."""

    well: float
    sick: float
    known: float = 0.0
    """The harmful probability is an absolute one: the baseline's error plays no part."""

    def of(self, value: float, shift: float) -> tuple[float, float]:
        well = min(max(self.well + shift, 1e-3), 0.98)
        sick = min(max(self.sick + shift, well + 0.01), 0.99)
        if value > 0:
            return 1.0, math.log(sick / well)
        return 0.0, math.log((1.0 - sick) / (1.0 - well))

    @property
    def nats(self) -> float:
        return math.inf


_Gain = _NormalGain | _CountGain | _RateGain


def _gain(
    metric: Metric,
    profile: MetricProfile,
    effect: MetricEffect | None,
    params: TrialParams,
    changed_model: bool,
) -> _Gain:
    family = METRICS[metric].family
    if family in (Family.RARE_COUNT, Family.RARE_EVENT):
        well = (profile.rate * profile.samples + 0.5) / (profile.samples + 1.0)
        ill = effect.normal + effect.increase if effect is not None else 0.0
        return _RateGain(well, min(max(2 * well, 0.3 * (well + ill), well + 0.1), 0.95))
    least = params.model_ratio_min if changed_model else params.ratio_min
    slack = params.model_slack if changed_model else 1.0
    proof = _DECIDABLE * math.log(1.0 / params.false_cure)
    ratio = max(effect.ratio, 1.0) if effect is not None else 1.0
    gain: _Gain | None = None
    for exponent in _EXPONENTS:
        harmful = max(least, ratio**exponent)
        if family is Family.COUNT:
            gain = _count_gain(profile, harmful)
        else:
            gain = _normal_gain(metric, profile, harmful, slack, params)
        if gain.nats * gain.known >= proof:
            break
    assert gain is not None
    return gain


def _count_gain(profile: MetricProfile, harmful: float) -> _CountGain:
    well = max(profile.mean, 0.02)
    return _CountGain(
        well, max(harmful * well, well + 0.25), max(profile.dispersion, 1.0), profile.samples
    )


def _normal_gain(
    metric: Metric, profile: MetricProfile, harmful: float, slack: float, params: TrialParams
) -> _NormalGain:
    up = METRICS[metric].sick_when_up
    normal = math.expm1(profile.centre)
    well = normal * slack if up else normal / slack
    ill = normal * harmful if up else normal / harmful
    centre = math.log1p(well)
    step = abs(math.log1p(ill) - centre)
    spread = max(profile.spread, step / _D_MAX, 1e-3)
    return _NormalGain(
        metric, centre, spread, step / spread, 1.0 if up else -1.0, params.z_clip, profile.samples
    )
