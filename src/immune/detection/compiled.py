# cython: language_level=3, cdivision=True
# cython: boundscheck=False, wraparound=False, infer_types=True
"""The statistic as one loop over samples, compiled from this very source (Cython's pure mode).

It does to one stream what `stepping` and `merging` do to many, in the same order and under the
same names; the formulas and their reasons are told there and in `kernel`. Where nothing was
compiled, importing this module fails, and the kernel takes the arrays' way.

Each `for j in range(8)` goes over the metrics without a jump, so that the C compiler makes vector
instructions of it: both outcomes are computed and one is chosen, masks are 1 or 0 to be multiplied
by, and logarithm and exponential are written out below. Every number is declared a C float where
it first gets a value; a double among them would cost half the speed.
"""

import cython

if not cython.compiled:
    raise ModuleNotFoundError("the detector's loop was not compiled")

import numpy as np
from cython.cimports.libc.math import copysignf, sqrtf
from cython.cimports.libc.string import memset
from msgspec.structs import asdict

from immune.detection import merging, stepping
from immune.detection.merging import Laws
from immune.detection.params import LearningParams, StatisticParams
from immune.detection.state import FIELDS, IS_COUNT, IS_RARE, RARE, SIGN, UNIT
from immune.vitals import Metric

# The eight places of `pair`, `pair_block` and `pair_past`, as `state` tells them.
Pair = cython.struct(
    ratio=cython.float[2],
    work_n=cython.float,
    follower=cython.float,
    peak=cython.float,
    peaks=cython.float,
    excess=cython.float,
    wider=cython.float,
)
PairBlock = cython.struct(
    n=cython.float[2],
    g=cython.float[2],
    work_n=cython.float,
    wy=cython.float,
    ww=cython.float,
    free=cython.float,
)
PairPast = cython.struct(
    n=cython.float[2],
    g=cython.float[2],
    wy=cython.float,
    ww=cython.float,
    beta=cython.float,
    scale=cython.float,
)

# One stream: the fields of `state.FIELDS` in their order, eight metrics each.
Stream = cython.struct(
    last=cython.float[8],
    bn=cython.float[8],
    bs=cython.float[8],
    bss=cython.float[8],
    bsc=cython.float[8],
    bxy=cython.float[8],
    bxx=cython.float[8],
    brs=cython.float[8],
    brss=cython.float[8],
    bg=cython.float[8][5],
    r=cython.float[8][5],
    pair=Pair,
    pair_block=PairBlock,
    centre=cython.float[8],
    inverse=cython.float[8],
    nu=cython.float[8],
    phi=cython.float[8],
    slack=cython.float[8],
    bend=cython.float[8],
    n=cython.float[8],
    ng=cython.float[8],
    g=cython.float[8][5],
    mean=cython.float[8],
    raw=cython.float[8],
    pair_past=PairPast,
    var=cython.float[8],
    skew=cython.float[8],
    raw_var=cython.float[8],
    sxy=cython.float[8],
    sxx=cython.float[8],
    prior_mean=cython.float[8],
    prior_n=cython.float[8],
    prior_var=cython.float[8],
    prior_nu=cython.float[8],
    prior_phi=cython.float[8],
)

LATENCY = cython.declare(cython.int, Metric.LATENCY_MS)
INPUT_TOKENS = cython.declare(cython.int, Metric.INPUT_TOKENS)
OUTPUT_TOKENS = cython.declare(cython.int, Metric.OUTPUT_TOKENS)
INTERVAL = cython.declare(cython.int, Metric.INTERVAL_S)
FIRST_RARE = cython.declare(cython.int, RARE.start)
PAIRED_BET = cython.declare(cython.int, stepping.PAIRED_BET)
PAIRED_ODDS = cython.declare(cython.int, stepping.PAIRED_ODDS)

# The parameters, under their names, and what follows from them for each metric and bet.
Constants = cython.struct(
    is_rare=cython.int[8],
    is_count=cython.int[8],
    sized=cython.float[8],
    sign=cython.float[8],
    unit=cython.float[8],
    memory=cython.float[8],
    var_floor=cython.float[8],
    widest=cython.float[8],
    metric_weights=cython.float[8],
    pair_weight=cython.float,
    bet=cython.float,
    ceilings=cython.float[5],
    least_means=cython.float[5],
    weights=cython.float[8][5],
    gate_weights=cython.float[8][5],
    rare_odds=cython.float[4],
    bent=cython.float,
    most_often=cython.float,
    z_clip=cython.float,
    ar_clip=cython.float,
    ar_max=cython.float,
    ar_shrink=cython.float,
    kappa_min=cython.float,
    kappa_young=cython.float,
    kappa_first=cython.float,
    drift=cython.float,
    rare_slack=cython.float,
    rare_slack_hits=cython.float,
    rare_floor=cython.float,
    bend_min=cython.float,
    bend_max=cython.float,
    bend_shrink=cython.float,
    work_clip=cython.float,
    work_shrink=cython.float,
    work_share_max=cython.float,
    bets_prior=cython.float,
    interval_slack=cython.float,
    burst_steps=cython.float,
    burst_ahead=cython.float,
    peak_from=cython.float,
    peak_over=cython.float,
    peak_max=cython.float,
    peaks_prior=cython.float,
    peaks_memory=cython.float,
    width_max=cython.float,
    ceiling_nats=cython.float,
    block_min=cython.float,
    block_max=cython.float,
    block_share=cython.float,
    slow_from=cython.float,
    slow_from_s=cython.float,
    slow_power=cython.float,
    slow_least=cython.float,
    slow_swing=cython.float,
    slow_turns=cython.float,
    gate=cython.float,
    gate_odd=cython.float,
    patience=cython.float,
    relearn=cython.float,
)

# What the threshold of a sample's agent allows.
Limits = cython.struct(
    cap=cython.float,  # the factor of one metric's R in one step
    top=cython.float,  # nats that are told at most
    ceiling=cython.float,  # R
    pace=cython.float,  # nats that the follower of the evidence rises by in one step
    ahead=cython.float,  # nats that the evidence may be ahead of it
)

# What one sample comes to on the way to its evidence.
Sample = cython.struct(
    present=cython.float[8],
    known=cython.float[8],
    scored=cython.float[8],
    raw=cython.float[8],
    y=cython.float[8],
    z0=cython.float[8],
    z=cython.float[8],
    bets=cython.float[8][5],
    growth=cython.float[8][5],
    by_metric=cython.float[8],
    white=cython.float,  # latency's score before it was relieved of the work
    work=cython.float,
    worked=cython.int,
    slow=cython.float,
    paired=cython.int[2],
    joint=cython.float[2],
)

Bits = cython.union(number=cython.float, pattern=cython.int)

ConstantsAt = cython.typedef(cython.pointer(Constants))
LimitsAt = cython.typedef(cython.pointer(Limits))
StreamAt = cython.typedef(cython.pointer(Stream))
SampleAt = cython.typedef(cython.pointer(Sample))
Floats = cython.typedef(cython.pointer(cython.float))


def layout() -> tuple[str, ...]:
    """Return the fields of a stream, eight floats each, in their order here."""
    blank: Stream
    memset(cython.address(blank), 0, cython.sizeof(Stream))
    fields: dict[str, object] = blank
    names = []
    for name, places in fields.items():
        of_bets = isinstance(places, list) and isinstance(places[0], list)
        names += [f"{name}{k}" for k in range(len(places))] if of_bets else [name]
    return tuple(names)


if layout() != FIELDS or cython.sizeof(Stream) != len(FIELDS) * 8 * 4:
    raise ImportError("compiled for another layout of the state: install the package anew")


@cython.cclass
class Stepper:
    """Scores and learns samples one by one; the constants are those of the parameters."""

    c: Constants

    def __init__(self, statistic: StatisticParams, learning: LearningParams) -> None:
        laws = Laws(statistic, learning)
        weights = stepping.lanes_of(statistic.weights, statistic.rare_weights)
        gate_weights = stepping.lanes_of(statistic.gate_weights, statistic.rare_weights)
        self.c = {
            **asdict(statistic),
            **asdict(learning),
            "is_rare": IS_RARE.tolist(),
            "is_count": IS_COUNT.tolist(),
            "sized": (~IS_RARE).astype(float).tolist(),
            "sign": SIGN.tolist(),
            "unit": UNIT.tolist(),
            "memory": laws.memory.tolist(),
            "var_floor": laws.var_floor.tolist(),
            "widest": np.where(IS_RARE, 1e30, statistic.ar_clip).tolist(),
            "ceilings": laws.ceilings.tolist(),
            "least_means": laws.least_means.tolist(),
            "weights": weights.tolist(),
            "gate_weights": gate_weights.tolist(),
            "bent": stepping.BENT,
            "most_often": stepping.MOST_OFTEN,
            "slow_from": np.log1p(learning.slow_from_s),
            "slow_turns": merging.DAILY * learning.slow_from_s * (1 + learning.block_share),
        }

    def step(
        self,
        block: cython.float[:, :, ::1],
        frozen: cython.uchar[::1],
        rows: cython.Py_ssize_t[::1],
        values: cython.float[:, ::1],
        nats: cython.float[::1],
        evidence: cython.float[::1],
    ) -> None:
        """Score and learn samples in their order; writes the evidence after each."""
        limits: Limits = Limits(0.0, 0.0, 0.0, 0.0, 0.0)
        c: ConstantsAt = cython.address(self.c)
        last: cython.float = -1
        with cython.nogil:
            for i in range(rows.shape[0]):
                if nats[i] != last:
                    last = nats[i]
                    limits.pace = last / c.burst_steps
                    limits.ahead = limits.pace * c.burst_ahead
                    limits.cap = _exp(limits.ahead)
                    limits.top = last + c.ceiling_nats
                row = rows[i]
                evidence[i] = _step(
                    c,
                    cython.address(limits),
                    cython.cast(StreamAt, cython.address(block[row, 0, 0])),
                    cython.address(values[i, 0]),
                    frozen[row],
                )


@cython.cfunc
@cython.nogil
@cython.exceptval(check=False)
def _step(
    c: ConstantsAt, limits: LimitsAt, s: StreamAt, values: Floats, frozen: cython.int
) -> cython.float:
    sample: Sample
    m: SampleAt = cython.address(sample)
    width: cython.float = _width(c, s)
    limits.ceiling = _exp(c.peak_from + (limits.top - c.peak_from) * width)
    _read(c, s, m, values)
    _residuals(c, s, m)
    _relieved(c, s, m)
    _growth(c, limits, s, m)
    for k in range(5):
        for j in range(8):
            ratio: cython.float = _least((1 + s.r[k][j]) * m.growth[k][j], limits.ceiling)
            s.r[k][j] = ratio if m.scored[j] > 0 else s.r[k][j]
    _bet_on_pairs(c, limits, s, m)
    _weighted(c.weights, s, m.by_metric)
    pooled: cython.float = _pool(c, s, m)
    too_much: cython.float = pooled - (s.pair.follower + limits.ahead)
    if too_much > 0:
        less: cython.float = _exp(-too_much)
        for k in range(5):
            for j in range(8):
                s.r[k][j] *= less
        for j in range(8):
            m.by_metric[j] *= less
        s.pair.ratio[0] *= less
        s.pair.ratio[1] *= less
        pooled = _pool(c, s, m)
    s.pair.follower = _least(pooled, s.pair.follower + limits.pace)
    s.pair.peak = _most(s.pair.peak, pooled)
    if pooled < c.peak_over and not frozen:
        _end_peak(c, s)
    _keep(c, s, m)
    if not frozen and _any_full(c, s, m):
        _weighted(c.gate_weights, s, m.by_metric)
        for j in range(8):
            if m.present[j] > 0 and _is_due(c, s, j, m.by_metric[j]):
                _learn(c, s, j)
    over: cython.float = pooled - c.peak_from
    return c.peak_from + over / width if over > 0 else pooled


@cython.cfunc
@cython.nogil
@cython.exceptval(check=False)
def _width(c: ConstantsAt, s: StreamAt) -> cython.float:
    """The mean height of the stream's peaks above `peak_from`, as `Peaks.width`."""
    heights: cython.float = c.peaks_prior * (1 + s.pair.wider) + s.pair.excess
    return _between(heights / (c.peaks_prior + s.pair.peaks), 1, c.width_max)


@cython.cfunc
@cython.nogil
@cython.exceptval(check=False)
def _end_peak(c: ConstantsAt, s: StreamAt) -> cython.void:
    """Count the peak that is over, as `Peaks.count`."""
    height: cython.float = _least(s.pair.peak - c.peak_from, c.peak_max)
    if height > 0:
        keep: cython.float = _least((c.peaks_memory - 1) / _most(s.pair.peaks, 1), 1)
        s.pair.excess = keep * s.pair.excess + height
        s.pair.peaks = keep * s.pair.peaks + 1
    s.pair.peak = 0


@cython.cfunc
@cython.nogil
@cython.exceptval(check=False)
def _read(c: ConstantsAt, s: StreamAt, m: SampleAt, values: Floats) -> cython.void:
    """Turn values into what is learned, as `state.transform` does; say what of it is there."""
    first: cython.int = 0
    anscombe: cython.float = 0.375
    for j in range(8):
        x: cython.float = values[j]
        here: cython.float = 1 if x == x else 0  # NaN is nothing's equal
        x = x if x == x else 0
        y: cython.float = _log1p(x * c.unit[j]) * c.sign[j]
        root: cython.float = 2 * sqrtf(x + anscombe)
        event: cython.float = 1 if x > 0 else 0
        y = root if c.is_count[j] else y
        y = event if c.is_rare[j] else y
        m.raw[j] = x
        m.y[j] = y
        past: cython.float = s.n[j] + s.bn[j]
        first |= past + 1 - here == 0
        m.present[j] = here
        m.scored[j] = here if s.n[j] >= c.block_min else 0
        m.known[j] = 1 if past + here > 0 else 0
    if first:  # sums are kept around the first sample, for float32's sake
        for j in range(8):
            if m.present[j] > 0 and s.n[j] + s.bn[j] == 0:
                s.mean[j] = m.y[j]
                s.raw[j] = m.raw[j]


@cython.cfunc
@cython.nogil
@cython.exceptval(check=False)
def _residuals(c: ConstantsAt, s: StreamAt, m: SampleAt) -> cython.void:
    """The residuals as normal scores, and the same after whitening."""
    bent: cython.int = 0
    dev: cython.float[8]
    for j in range(8):
        dev[j] = m.y[j] - s.centre[j]
        bent |= s.bend[j] > 0
    dev[INTERVAL] = _less_slack(c, dev[INTERVAL], s.centre[INTERVAL])
    for j in range(8):
        t: cython.float = dev[j] * s.inverse[j]
        nu: cython.float = _most(s.nu[j], 3)
        z: cython.float = sqrtf(nu * _log1p(t * t / nu)) * ((8 * nu + 1) / (8 * nu + 3))
        z = copysignf(_least(z, c.ar_clip), t)
        m.z0[j] = t if c.is_rare[j] else z
    if bent:
        for j in range(8):
            b: cython.float = s.bend[j]
            z = ((_exp(b * m.z0[j]) - 1) / b - b / 2) / sqrtf(1 + c.bent * b * b)
            z = _between(z, -c.ar_clip, c.ar_clip)
            m.z0[j] = z if b > 0 else m.z0[j]
    for j in range(8):
        phi: cython.float = s.phi[j]
        z = (m.z0[j] - phi * s.last[j]) / sqrtf(1 - phi * phi)
        m.z[j] = _between(z, -c.z_clip, c.z_clip)


@cython.cfunc
@cython.nogil
@cython.exceptval(check=False)
def _less_slack(c: ConstantsAt, dev: cython.float, centre: cython.float) -> cython.float:
    """As `state.less_slack`: a pace that is `interval_slack` times as fast is no change."""
    if dev <= 0:
        return dev
    slack: cython.float = -centre - _log1p((_exp(-centre) - 1) / c.interval_slack)
    return dev - _between(dev, 0, _most(slack, 0))


@cython.cfunc
@cython.nogil
@cython.exceptval(check=False)
def _relieved(c: ConstantsAt, s: StreamAt, m: SampleAt) -> cython.void:
    """Take from latency's score what the step's tokens explain of it."""
    told: cython.float = m.scored[INPUT_TOKENS] + m.scored[OUTPUT_TOKENS]
    m.white = m.z[LATENCY]
    m.work = 0
    m.worked = told > 0 and m.scored[LATENCY] > 0
    if m.worked:
        work: cython.float = m.scored[INPUT_TOKENS] * m.z[INPUT_TOKENS]
        work += m.scored[OUTPUT_TOKENS] * m.z[OUTPUT_TOKENS]
        m.work = _between(work / told, -c.work_clip, c.work_clip)
        work = (m.white - s.pair_past.beta * m.work) * s.pair_past.scale
        m.z[LATENCY] = _between(work, -c.z_clip, c.z_clip)


@cython.cfunc
@cython.nogil
@cython.exceptval(check=False)
def _growth(c: ConstantsAt, limits: LimitsAt, s: StreamAt, m: SampleAt) -> cython.void:
    """The factors of R and the plain bets, and the pairs' bets."""
    spared: cython.float[8][5]
    for j in range(8):
        m.bets[0][j] = _exp(c.bet * m.z[j])
        spared[0][j] = _exp(-c.bet * s.slack[j])
    for k in range(1, 4):
        for j in range(8):
            m.bets[k][j] = m.bets[k - 1][j] * m.bets[k - 1][j]
            spared[k][j] = spared[k - 1][j] * spared[k - 1][j]
    for j in range(8):
        m.bets[4][j] = 1 / m.bets[2][j]
        spared[4][j] = spared[2][j]
    for k in range(5):
        for j in range(8):
            bet: cython.float = _least(m.bets[k][j], c.ceilings[k])
            m.bets[k][j] = bet
            past: cython.float = (s.g[k][j] + bet) / (s.ng[j] + 1)
            m.growth[k][j] = bet / _most(past, c.least_means[k]) * spared[k][j]
    m.slow = m.growth[PAIRED_BET][LATENCY]
    for k in range(5):
        for j in range(8):
            m.growth[k][j] = _least(m.growth[k][j], limits.cap)

    # Bernoulli: centre is the rate, 1/inverse its deviation, slack the rate that is bet against
    for i in range(2):
        j = FIRST_RARE + i
        rate: cython.float = s.slack[j] + s.phi[j] * s.last[j] / _most(s.inverse[j], 1)
        rate = _between(rate, c.rare_floor, c.most_often)
        rest: cython.float = 1 / (1 - rate)
        for k in range(4):
            hit: cython.float = c.rare_odds[k] / (1 + rate * (c.rare_odds[k] - 1))
            hit = _least(hit, limits.cap)
            m.growth[k][j] = hit if m.y[j] > 0 else (1 - rate * hit) * rest
        m.growth[4][j] = 0
        m.joint[i] = m.slow * m.growth[PAIRED_ODDS][j]


@cython.cfunc
@cython.nogil
@cython.exceptval(check=False)
def _bet_on_pairs(c: ConstantsAt, limits: LimitsAt, s: StreamAt, m: SampleAt) -> cython.void:
    """Slow and failing at once: the product of both bets over its own past mean."""
    for i in range(2):
        m.paired[i] = m.scored[FIRST_RARE + i] > 0 and m.scored[LATENCY] > 0
        if m.paired[i]:
            growth: cython.float = m.joint[i] * (s.pair_past.n[i] + c.bets_prior + 1)
            growth /= s.pair_past.g[i] + c.bets_prior + m.joint[i]
            growth = _least(_least(growth, m.joint[i]), limits.cap)
            s.pair.ratio[i] = _least((1 + s.pair.ratio[i]) * growth, limits.ceiling)


@cython.cfunc
@cython.nogil
@cython.exceptval(check=False)
def _weighted(
    weights: cython.pointer(cython.float[8]), s: StreamAt, by_metric: Floats
) -> cython.void:
    """Each metric's R: the mean over its bets."""
    for j in range(8):
        by_metric[j] = (
            weights[0][j] * s.r[0][j]
            + weights[1][j] * s.r[1][j]
            + weights[2][j] * s.r[2][j]
            + weights[3][j] * s.r[3][j]
            + weights[4][j] * s.r[4][j]
        )


@cython.cfunc
@cython.nogil
@cython.exceptval(check=False)
def _pool(c: ConstantsAt, s: StreamAt, m: SampleAt) -> cython.float:
    """The evidence: log(1 + mean of R) over the known metrics and pairs."""
    total: cython.float = 0
    weight: cython.float = 0
    tiny: cython.float = 1e-6
    for j in range(8):
        total += m.known[j] * c.metric_weights[j] * m.by_metric[j]
        weight += m.known[j] * c.metric_weights[j]
    for i in range(2):
        if m.known[LATENCY] * m.known[FIRST_RARE + i] > 0:
            total += c.pair_weight * s.pair.ratio[i]
            weight += c.pair_weight
    return _log1p(total / _most(weight, tiny))


@cython.cfunc
@cython.nogil
@cython.exceptval(check=False)
def _keep(c: ConstantsAt, s: StreamAt, m: SampleAt) -> cython.void:
    """Put the sample into the block that waits to be learned."""
    for j in range(8):
        last: cython.float = s.last[j]
        z0: cython.float = m.z0[j] * m.scored[j]
        dev: cython.float = m.y[j] - s.mean[j]
        widest: cython.float = c.widest[j] / s.inverse[j]
        dev = _between(dev, -widest, widest) if m.scored[j] > 0 else dev
        dev *= m.present[j]
        raw_dev: cython.float = (m.raw[j] - s.raw[j]) * m.present[j]
        s.bxy[j] += z0 * last
        s.bxx[j] += last * last * m.scored[j]
        s.last[j] = z0 if m.present[j] > 0 else last
        s.bn[j] += m.present[j]
        s.bs[j] += dev
        s.bss[j] += dev * dev
        s.bsc[j] += dev * dev * dev
        s.brs[j] += raw_dev
        s.brss[j] += raw_dev * raw_dev
    for k in range(5):
        for j in range(8):
            s.bg[k][j] += m.bets[k][j] * m.scored[j] * c.sized[j]
    for i in range(2):
        if m.paired[i]:
            s.pair_block.n[i] += 1
            s.pair_block.g[i] += m.joint[i]
    if m.worked:
        s.pair_block.work_n += 1
        s.pair_block.wy += m.white * m.work
        s.pair_block.ww += m.work * m.work


@cython.cfunc
@cython.nogil
@cython.exceptval(check=False)
def _any_full(c: ConstantsAt, s: StreamAt, m: SampleAt) -> cython.int:
    """Whether the block of any metric is full, so that the rest need be asked."""
    full: cython.int = 0
    span: cython.float = _span(c, _pace(c, s))
    for j in range(8):
        need: cython.float = _need(c, s, j, span)
        full |= s.bn[j] * m.present[j] >= need
    return full


@cython.cfunc
@cython.nogil
@cython.exceptval(check=False)
def _need(c: ConstantsAt, s: StreamAt, j: cython.int, span: cython.float) -> cython.float:
    """The samples that a block must hold to be learned."""
    held: cython.float = s.n[j] if c.is_rare[j] else _least(s.n[j], span)
    return _between(held * c.block_share, c.block_min, c.block_max)


@cython.cfunc
@cython.nogil
@cython.exceptval(check=False)
def _pace(c: ConstantsAt, s: StreamAt) -> cython.float:
    """By how much the stream is slower than `slow_from_s`, as `Merging.pace`."""
    if s.n[INTERVAL] <= 0 or -s.centre[INTERVAL] <= c.slow_from:
        return 1
    return (_exp(-s.centre[INTERVAL]) - 1) / c.slow_from_s


@cython.cfunc
@cython.nogil
@cython.exceptval(check=False)
def _span(c: ConstantsAt, pace: cython.float) -> cython.float:
    """The samples that the mean of a stream of this pace holds at most, as `Merging.span`."""
    if pace <= 1:
        return c.memory[LATENCY]
    return _most(c.memory[LATENCY] * _exp(-c.slow_power * _log1p(pace - 1)), c.slow_least)


@cython.cfunc
@cython.nogil
@cython.exceptval(check=False)
def _lag(c: ConstantsAt, pace: cython.float, span: cython.float) -> cython.float:
    """By how much a slow stream's mean is behind a daily cycle, as `Merging.lag`."""
    turns: cython.float = span * pace * c.slow_turns
    return c.slow_swing * turns / sqrtf(1 + turns * turns) if pace > 1 else 0


@cython.cfunc
@cython.nogil
@cython.exceptval(check=False)
def _is_due(c: ConstantsAt, s: StreamAt, j: cython.int, gated: cython.float) -> cython.int:
    """Whether a block may be learned: full, and neither odd of late nor clearly changed."""
    waiting: cython.float = s.bn[j]
    need: cython.float = _need(c, s, j, _span(c, _pace(c, s)))
    if waiting < need:
        return 0
    if waiting >= c.relearn * c.memory[j]:
        return 1
    if gated > c.gate:
        return 0
    return gated <= c.gate_odd or waiting >= need * (1 + c.patience)


@cython.cfunc
@cython.nogil
@cython.exceptval(check=False)
def _learn(c: ConstantsAt, s: StreamAt, j: cython.int) -> cython.void:
    """Merge the waiting block of a metric into its baseline, as `Merging.learn`."""
    n: cython.float = s.n[j]
    bn: cython.float = s.bn[j]
    total: cython.float = n + bn
    memory: cython.float = c.memory[j]
    pace: cython.float = _pace(c, s)
    faster: cython.float = 0 if c.is_rare[j] else bn / (_span(c, pace) + bn)
    gain: cython.float = _most(bn / total, faster)
    shift: cython.float = s.bs[j] / bn
    second: cython.float = s.bss[j] / bn
    inside: cython.float = _most(second - shift * shift, 0)
    third: cython.float = s.bsc[j] / bn - 3 * shift * second + 2 * shift * shift * shift
    scored: cython.float = bn if n >= c.block_min else 0
    s.skew[j] = (
        n * s.skew[j]
        + bn * third
        + 3 * shift * n * bn / total * (inside - s.var[j])
        + shift * shift * shift * n * bn * (n - bn) / (total * total)
    ) / total
    s.var[j] = (n * s.var[j] + bn * inside + shift * shift * n * bn / total) / total
    s.mean[j] += shift * gain
    shift = s.brs[j] / bn
    inside = _most(s.brss[j] / bn - shift * shift, 0)
    s.raw_var[j] = (n * s.raw_var[j] + bn * inside + shift * shift * n * bn / total) / total
    s.raw[j] += shift * gain
    s.n[j] = _least(total, memory)

    keep: cython.float = _between((memory - scored) / _most(s.ng[j], 1), 0, 1)
    for k in range(5):
        s.g[k][j] = keep * s.g[k][j] + s.bg[k][j]
        s.bg[k][j] = 0
    s.ng[j] = keep * s.ng[j] + scored
    fade: cython.float = _between(1 - scored / memory, 0, 1)
    s.sxy[j] = fade * s.sxy[j] + s.bxy[j]
    s.sxx[j] = fade * s.sxx[j] + s.bxx[j]
    s.bn[j] = s.bs[j] = s.bss[j] = s.bsc[j] = s.bxy[j] = s.bxx[j] = s.brs[j] = s.brss[j] = 0
    _derive(c, s, j, pace)
    if j == LATENCY:
        _learn_joint(c, s)


@cython.cfunc
@cython.nogil
@cython.exceptval(check=False)
def _learn_joint(c: ConstantsAt, s: StreamAt) -> cython.void:
    """Merge what the pairs and the work have waiting, as `Merging._learn_joint`."""
    ratio: cython.float[8]
    waits: cython.pointer(PairBlock) = cython.address(s.pair_block)
    _weighted(c.gate_weights, s, ratio)
    for i in range(2):
        j = FIRST_RARE + i
        if ratio[j] <= c.gate_odd:
            past: cython.float = s.pair_past.n[i]
            keep: cython.float = _between((c.memory[j] - waits.n[i]) / _most(past, 1), 0, 1)
            s.pair_past.n[i] = keep * past + waits.n[i]
            s.pair_past.g[i] = keep * s.pair_past.g[i] + waits.g[i]
    fade: cython.float = _between(1 - waits.work_n / c.memory[LATENCY], 0, 1)
    s.pair.work_n = fade * s.pair.work_n + waits.work_n
    s.pair_past.wy = fade * s.pair_past.wy + waits.wy
    s.pair_past.ww = fade * s.pair_past.ww + waits.ww
    if s.pair.work_n > 0:
        beta: cython.float = s.pair_past.wy / (s.pair_past.ww + c.work_shrink)
        share: cython.float = _least(beta * beta * s.pair_past.ww / s.pair.work_n, c.work_share_max)
        s.pair_past.beta = beta
        s.pair_past.scale = 1 / sqrtf(1 - share)
    memset(waits, 0, cython.sizeof(PairBlock))


@cython.cfunc
@cython.nogil
@cython.exceptval(check=False)
def _derive(c: ConstantsAt, s: StreamAt, j: cython.int, pace: cython.float) -> cython.void:
    """Join what was learned and the prior anew, as `Merging._derive`."""
    n: cython.float = s.n[j]
    k0: cython.float = s.prior_n[j]
    nu0: cython.float = s.prior_nu[j]
    apart: cython.float = s.mean[j] - s.prior_mean[j]
    span: cython.float = _span(c, pace)
    held: cython.float = n if c.is_rare[j] else _least(n, span)
    total: cython.float = _most(held + k0, 1)
    centre: cython.float = s.mean[j] - apart * k0 / total
    nu: cython.float = _most(n + nu0 - 1, 3)
    phi: cython.float = (s.sxy[j] + c.ar_shrink * s.prior_phi[j]) / (s.sxx[j] + c.ar_shrink)
    bend: cython.float = 0
    s.nu[j] = nu
    s.phi[j] = _between(phi, 0, c.ar_max)
    if c.is_rare[j]:
        rate: cython.float = _between(centre, c.rare_floor, 1 - c.rare_floor)
        s.centre[j] = rate
        s.inverse[j] = 1 / sqrtf(rate * (1 - rate))
        errors: cython.float = c.rare_slack * (1 + 1 / (1 + rate * total / c.rare_slack_hits))
        s.slack[j] = _wilson(rate, total, errors)
        return
    var: cython.float = (
        n * s.var[j] + nu0 * s.prior_var[j] + apart * apart * held * k0 / total
    ) / nu
    var = _most(var, c.var_floor[j]) * (1 + 1 / total)
    s.centre[j] = centre
    s.inverse[j] = 1 / sqrtf(var)
    slack: cython.float = c.kappa_young / sqrtf(total) + c.kappa_first / total
    slack = _most(slack, c.kappa_min)
    whitened: cython.float = sqrtf((1 - s.phi[j]) / (1 + s.phi[j]))
    lag: cython.float = _lag(c, pace, span)
    drift: cython.float = lag * centre / 2 if c.is_count[j] else _most(c.drift, lag)
    slack = _most(slack, drift * s.inverse[j] * whitened)
    if not c.is_count[j] and s.var[j] > c.var_floor[j]:
        bend = -s.skew[j] / (s.var[j] * sqrtf(s.var[j])) * n / (n + c.bend_shrink)
    s.slack[j] = slack
    s.bend[j] = _least(bend, c.bend_max) if bend > c.bend_min else 0


@cython.cfunc
@cython.nogil
@cython.exceptval(check=False)
def _wilson(rate: cython.float, n: cython.float, errors: cython.float) -> cython.float:
    """Return the upper bound of a rate seen in n steps, `errors` standard errors up (1927)."""
    square: cython.float = errors * errors / n
    root: cython.float = errors * sqrtf(rate * (1 - rate) / n + square / (4 * n))
    return (rate + square / 2 + root) / (1 + square)


@cython.cfunc
@cython.nogil
@cython.exceptval(check=False)
def _least(x: cython.float, y: cython.float) -> cython.float:
    return x if x < y else y


@cython.cfunc
@cython.nogil
@cython.exceptval(check=False)
def _most(x: cython.float, y: cython.float) -> cython.float:
    return x if x > y else y


@cython.cfunc
@cython.nogil
@cython.exceptval(check=False)
def _between(x: cython.float, low: cython.float, high: cython.float) -> cython.float:
    return _most(low, _least(high, x))


@cython.cfunc
@cython.nogil
@cython.exceptval(check=False)
def _exp(x: cython.float) -> cython.float:
    """e^x to 2e-7 of itself; beyond ±80 that of ±80.

    2^n, by the bits of the exponent, times a polynomial (Cephes' expf).
    """
    p1: cython.float = 0.5
    p2: cython.float = 1.6666665459e-1
    p3: cython.float = 4.1665795894e-2
    p4: cython.float = 8.3334519073e-3
    p5: cython.float = 1.3981999507e-3
    p6: cython.float = 1.9875691500e-4
    log2_e: cython.float = 1.44269504088896341
    ln2: cython.float = 0.693359375  # in few digits, so that n·ln2 is exact
    ln2_rest: cython.float = -2.12194440e-4
    whole: cython.float = 12582912  # 1.5·2^23: floats this large have no places after the point
    turns: Bits
    power: Bits
    x = _between(x, -80, 80)
    turns.number = x * log2_e + whole
    n: cython.float = turns.number - whole
    x = x - n * ln2 - n * ln2_rest
    poly: cython.float = ((((p6 * x + p5) * x + p4) * x + p3) * x + p2) * x + p1
    power.number = poly * x * x + x + 1
    power.pattern += turns.pattern << 23
    return power.number


@cython.cfunc
@cython.nogil
@cython.exceptval(check=False)
def _log1p(x: cython.float) -> cython.float:
    """log(1+x) to 2e-7 of itself, for x from 0 to 1e30.

    1+x = 2^n·(1+f) with 1+f from √½ to √2; the series in f/(2+f) is FreeBSD's log1pf.
    """
    p1: cython.float = 0.66666662693
    p2: cython.float = 0.40000972152
    p3: cython.float = 0.28498786688
    p4: cython.float = 0.24279078841
    half: cython.float = 0.5
    ln2: cython.float = 0.69313812256
    ln2_rest: cython.float = 9.0580006145e-6
    sum_: Bits
    sum_.number = 1 + x
    lost: cython.float = (x - (sum_.number - 1)) / sum_.number  # by rounding 1+x
    exponent: cython.int = (sum_.pattern - 0x3F3504F3) >> 23
    sum_.pattern -= exponent << 23
    n: cython.float = exponent
    f: cython.float = sum_.number - 1
    s: cython.float = f / (2 + f)
    z: cython.float = s * s
    w: cython.float = z * z
    square: cython.float = half * f * f
    series: cython.float = s * (square + w * (p2 + w * p4) + z * (p1 + w * p3))
    return series + (n * ln2_rest + lost) - square + f + n * ln2
