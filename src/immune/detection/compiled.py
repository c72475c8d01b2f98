# cython: language_level=3
"""The statistic as one loop over samples, compiled from this very source (Cython's pure mode).

It does to the state what `stepping` and `merging` do with arrays, sample by sample and metric by
metric; the formulas and their reasons are told there and in `kernel`. Where nothing was compiled,
importing this module fails, and the kernel takes the arrays' way.
"""

import cython
from cython.cimports.libc.math import copysignf, expf, expm1f, isnan, log1pf, sqrtf

from immune.detection.merging import Laws
from immune.detection.params import LearningParams, StatisticParams
from immune.detection.state import F, IS_COUNT, IS_RARE, N_BETS, SIGN, UNIT

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
    pair=cython.float[8],
    pair_block=cython.float[8],
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
    pair_past=cython.float[8],
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

# Where the eight places of `pair`, `pair_block` and `pair_past` hold what `state.PLACES` names.
WORK_N = cython.declare(cython.int, 2)  # of `pair`: samples behind the regression on the work
FOLLOWER = cython.declare(cython.int, 3)
N_PAIR = cython.declare(cython.int, 0)  # of block and past: samples of each pair
G_PAIR = cython.declare(cython.int, 2)  # and the sums of their bets
BLOCK_WN = cython.declare(cython.int, 4)
BLOCK_WY = cython.declare(cython.int, 5)
BLOCK_WW = cython.declare(cython.int, 6)
WY = cython.declare(cython.int, 4)
WW = cython.declare(cython.int, 5)
BETA = cython.declare(cython.int, 6)
SCALE = cython.declare(cython.int, 7)

LATENCY = cython.declare(cython.int, 0)
INPUT_TOKENS = cython.declare(cython.int, 1)
OUTPUT_TOKENS = cython.declare(cython.int, 2)
RETRIES = cython.declare(cython.int, 5)
INTERVAL = cython.declare(cython.int, 7)
PAIRED_BET = cython.declare(cython.int, 2)
PAIRED_ODDS = cython.declare(cython.int, 1)
BENT = cython.declare(cython.float, 0.68)  # what bending adds to the variance, times bend²
MOST_OFTEN = cython.declare(cython.float, 0.95)

Constants = cython.struct(
    rare=cython.int[8],
    count=cython.int[8],
    sign=cython.float[8],
    unit=cython.float[8],
    memory=cython.float[8],
    var_floor=cython.float[8],
    metric_weights=cython.float[8],
    pair_weight=cython.float,
    bet=cython.float,
    deltas=cython.float[5],
    ceilings=cython.float[5],
    weights=cython.float[5],
    gate_weights=cython.float[5],
    rare_odds=cython.float[4],
    rare_weights=cython.float[4],
    z_clip=cython.float,
    ar_clip=cython.float,
    ar_max=cython.float,
    ar_shrink=cython.float,
    kappa_min=cython.float,
    kappa_young=cython.float,
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
    ceiling_nats=cython.float,
    block_min=cython.float,
    block_max=cython.float,
    block_share=cython.float,
    gate=cython.float,
    gate_odd=cython.float,
    patience=cython.float,
    relearn=cython.float,
)

# What the thresholds of one sample's agent allow.
Limits = cython.struct(
    cap=cython.float,  # the factor of one metric in one step
    ceiling=cython.float,  # R
    pace=cython.float,  # nats that the follower of the evidence rises by in one step
    ahead=cython.float,  # nats that the evidence may be ahead of it
)

# What one sample comes to on the way to its evidence.
Sample = cython.struct(
    present=cython.int[8],
    known=cython.int[8],
    scored=cython.int[8],
    y=cython.float[8],
    x=cython.float[8],
    z0=cython.float[8],
    z=cython.float[8],
    bets=cython.float[8][5],
    work=cython.float,
    worked=cython.int,
    white=cython.float,
    pair_bet=cython.float[2],
    slow=cython.float,
    failed=cython.float[2],
)


@cython.cclass
class Stepper:
    """Scores and learns samples one by one; the constants are those of the parameters."""

    c: Constants

    def __init__(self, statistic: StatisticParams, learning: LearningParams) -> None:
        if cython.sizeof(Stream) != F * 8 * 4:
            raise ImportError("the compiled kernel was built for another layout of the state")
        laws = Laws(statistic, learning)
        for j in range(8):
            self.c.rare[j] = IS_RARE[j]
            self.c.count[j] = IS_COUNT[j]
            self.c.sign[j] = SIGN[j]
            self.c.unit[j] = UNIT[j]
            self.c.memory[j] = laws.memory[j]
            self.c.var_floor[j] = laws.var_floor[j]
            self.c.metric_weights[j] = statistic.metric_weights[j]
        self.c.pair_weight = statistic.pair_weight
        self.c.bet = statistic.bet
        for k in range(N_BETS):
            self.c.deltas[k] = abs(statistic.bets[k])
            self.c.ceilings[k] = laws.ceilings[k]
            self.c.weights[k] = statistic.weights[k]
            self.c.gate_weights[k] = statistic.gate_weights[k]
        for k in range(4):
            self.c.rare_odds[k] = statistic.rare_odds[k]
            self.c.rare_weights[k] = statistic.rare_weights[k]
        self.c.z_clip = statistic.z_clip
        self.c.ar_clip = statistic.ar_clip
        self.c.ar_max = statistic.ar_max
        self.c.ar_shrink = statistic.ar_shrink
        self.c.kappa_min = statistic.kappa_min
        self.c.kappa_young = statistic.kappa_young
        self.c.drift = statistic.drift
        self.c.rare_slack = statistic.rare_slack
        self.c.rare_slack_hits = statistic.rare_slack_hits
        self.c.rare_floor = statistic.rare_floor
        self.c.bend_min = statistic.bend_min
        self.c.bend_max = statistic.bend_max
        self.c.bend_shrink = statistic.bend_shrink
        self.c.work_clip = statistic.work_clip
        self.c.work_shrink = statistic.work_shrink
        self.c.work_share_max = statistic.work_share_max
        self.c.bets_prior = statistic.bets_prior
        self.c.interval_slack = statistic.interval_slack
        self.c.burst_steps = statistic.burst_steps
        self.c.burst_ahead = statistic.burst_ahead
        self.c.ceiling_nats = statistic.ceiling_nats
        self.c.block_min = learning.block_min
        self.c.block_max = learning.block_max
        self.c.block_share = learning.block_share
        self.c.gate = learning.gate
        self.c.gate_odd = learning.gate_odd
        self.c.patience = learning.patience
        self.c.relearn = learning.relearn

    @cython.boundscheck(False)
    @cython.wraparound(False)
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
        i: cython.Py_ssize_t
        row: cython.Py_ssize_t
        limits: Limits = Limits(0.0, 0.0, 0.0, 0.0)
        c: cython.pointer(Constants) = cython.address(self.c)
        last: cython.float = -1.0
        with cython.nogil:
            for i in range(rows.shape[0]):
                if nats[i] != last:
                    last = nats[i]
                    limits.pace = last / c.burst_steps
                    limits.ahead = limits.pace * c.burst_ahead
                    limits.cap = expf(limits.ahead)
                    limits.ceiling = expf(last + c.ceiling_nats)
                row = rows[i]
                evidence[i] = _step(
                    c,
                    cython.cast(cython.pointer(Stream), cython.address(block[row, 0, 0])),
                    cython.address(values[i, 0]),
                    cython.address(limits),
                    frozen[row],
                )


@cython.cfunc
@cython.nogil
@cython.cdivision(True)
@cython.exceptval(check=False)
def _step(
    c: cython.pointer(Constants),
    s: cython.pointer(Stream),
    values: cython.pointer(cython.float),
    limits: cython.pointer(Limits),
    frozen: cython.int,
) -> cython.float:
    m: Sample
    j: cython.int
    k: cython.int
    pooled: cython.float
    less: cython.float
    most: cython.float
    m.work = m.white = 0
    _residuals(c, s, cython.address(m), values)
    m.slow = m.failed[0] = m.failed[1] = -1.0
    for j in range(8):
        if m.present[j]:
            if c.rare[j]:
                _bet_on_event(c, s, cython.address(m), limits, j)
            else:
                _bet_on_size(c, s, cython.address(m), limits, j)
    _bet_on_pairs(c, s, cython.address(m), limits)
    pooled = _pool(c, s, cython.address(m))
    most = s.pair[FOLLOWER] + limits.ahead
    if pooled > most:
        less = expf(most - pooled)
        for k in range(5):
            for j in range(8):
                s.r[k][j] *= less
        s.pair[0] *= less
        s.pair[1] *= less
        pooled = _pool(c, s, cython.address(m))
    most = s.pair[FOLLOWER] + limits.pace
    s.pair[FOLLOWER] = pooled if pooled < most else most
    _keep(c, s, cython.address(m))
    if not frozen:
        for j in range(8):
            if m.present[j] and _is_due(c, s, j):
                _learn(c, s, j)
    return pooled


@cython.cfunc
@cython.nogil
@cython.inline
@cython.cdivision(True)
@cython.exceptval(check=False)
def _residuals(
    c: cython.pointer(Constants),
    s: cython.pointer(Stream),
    m: cython.pointer(Sample),
    values: cython.pointer(cython.float),
) -> cython.void:
    """Turn values into normal scores: standardised, bent, whitened, latency less its work."""
    j: cython.int
    x: cython.float
    t: cython.float
    z: cython.float
    nu: cython.float
    usual: cython.float
    slack: cython.float
    bend: cython.float
    for j in range(8):
        x = values[j]
        m.present[j] = not isnan(x)
        if not m.present[j]:
            m.known[j] = s.n[j] + s.bn[j] > 0
            m.scored[j] = 0
            continue
        m.known[j] = 1
        m.scored[j] = s.n[j] >= c.block_min
        m.x[j] = x
        if c.rare[j]:
            m.y[j] = x > 0
        elif c.count[j]:
            m.y[j] = 2 * sqrtf(x + cython.cast(cython.float, 0.375))
        else:
            m.y[j] = log1pf(x * c.unit[j]) * c.sign[j]
        if s.n[j] == 0 and s.bn[j] == 0:  # sums are kept around the first sample
            s.mean[j] = m.y[j]
            s.raw[j] = x
        t = m.y[j] - s.centre[j]
        if j == INTERVAL and t > 0:
            usual = expm1f(-s.centre[j])
            slack = log1pf(usual) - log1pf(usual / c.interval_slack)
            t -= _between(t, 0, slack if slack > 0 else 0)
        t *= s.inverse[j]
        if c.rare[j]:
            m.z0[j] = t
            continue
        nu = s.nu[j] if s.nu[j] > 3 else 3
        z = sqrtf(nu * log1pf(t * t / nu)) * ((8 * nu + 1) / (8 * nu + 3))
        z = copysignf(z if z < c.ar_clip else c.ar_clip, t)
        bend = s.bend[j]
        if bend > 0:
            z = (expm1f(bend * z) / bend - bend / 2) / sqrtf(1 + BENT * bend * bend)
            z = _between(z, -c.ar_clip, c.ar_clip)
        m.z0[j] = z
        z = (z - s.phi[j] * s.last[j]) / sqrtf(1 - s.phi[j] * s.phi[j])
        m.z[j] = _between(z, -c.z_clip, c.z_clip)
    _relieve(c, s, m)


@cython.cfunc
@cython.nogil
@cython.inline
@cython.cdivision(True)
@cython.exceptval(check=False)
def _relieve(
    c: cython.pointer(Constants), s: cython.pointer(Stream), m: cython.pointer(Sample)
) -> cython.void:
    """Take from latency's score what the step's tokens explain of it."""
    j: cython.int
    scored: cython.int = 0
    work: cython.float = 0
    for j in range(INPUT_TOKENS, OUTPUT_TOKENS + 1):
        if m.scored[j]:
            work += m.z[j]
            scored += 1
    m.worked = scored > 0 and m.scored[LATENCY]
    if not m.worked:
        return
    m.white = m.z[LATENCY]
    m.work = _between(work / scored, -c.work_clip, c.work_clip)
    m.z[LATENCY] = _between(
        (m.white - s.pair_past[BETA] * m.work) * s.pair_past[SCALE], -c.z_clip, c.z_clip
    )


@cython.cfunc
@cython.nogil
@cython.inline
@cython.cdivision(True)
@cython.exceptval(check=False)
def _bet_on_size(
    c: cython.pointer(Constants),
    s: cython.pointer(Stream),
    m: cython.pointer(Sample),
    limits: cython.pointer(Limits),
    j: cython.int,
) -> cython.void:
    """e^{δz}, cut off, over its own past mean, less the slack."""
    k: cython.int
    growth: cython.float
    bet: cython.float = expf(c.bet * m.z[j])
    less: cython.float = expf(-c.bet * s.slack[j])
    bets: cython.float[5]
    slacks: cython.float[5]
    bets[0] = bet
    bets[1] = bets[0] * bets[0]
    bets[2] = bets[1] * bets[1]
    bets[3] = bets[2] * bets[2]
    bets[4] = 1 / bets[2]
    slacks[0] = less
    slacks[1] = less * less
    slacks[2] = slacks[1] * slacks[1]
    slacks[3] = slacks[2] * slacks[2]
    slacks[4] = slacks[2]
    for k in range(5):
        bet = bets[k] if bets[k] < c.ceilings[k] else c.ceilings[k]
        m.bets[k][j] = bet
        if not m.scored[j]:
            continue
        growth = bet * (s.ng[j] + 1) / (s.g[k][j] + bet)
        if j == LATENCY and k == PAIRED_BET:
            m.slow = growth * slacks[k]
        growth *= slacks[k]
        growth = growth if growth < limits.cap else limits.cap
        growth *= 1 + s.r[k][j]
        s.r[k][j] = growth if growth < limits.ceiling else limits.ceiling


@cython.cfunc
@cython.nogil
@cython.inline
@cython.cdivision(True)
@cython.exceptval(check=False)
def _bet_on_event(
    c: cython.pointer(Constants),
    s: cython.pointer(Stream),
    m: cython.pointer(Sample),
    limits: cython.pointer(Limits),
    j: cython.int,
) -> cython.void:
    """The likelihood ratio of raised odds against the upper bound of the learned rate."""
    k: cython.int
    hit: cython.float
    growth: cython.float
    rate: cython.float
    if not m.scored[j]:
        return
    rate = s.slack[j] + s.phi[j] * s.last[j] / (s.inverse[j] if s.inverse[j] > 1 else 1)
    rate = _between(rate, c.rare_floor, MOST_OFTEN)
    for k in range(4):
        hit = c.rare_odds[k] / (1 + rate * (c.rare_odds[k] - 1))
        hit = hit if hit < limits.cap else limits.cap
        growth = hit if m.y[j] > 0 else (1 - rate * hit) / (1 - rate)
        if k == PAIRED_ODDS:
            m.failed[j - RETRIES] = growth
        growth *= 1 + s.r[k][j]
        s.r[k][j] = growth if growth < limits.ceiling else limits.ceiling


@cython.cfunc
@cython.nogil
@cython.inline
@cython.cdivision(True)
@cython.exceptval(check=False)
def _bet_on_pairs(
    c: cython.pointer(Constants),
    s: cython.pointer(Stream),
    m: cython.pointer(Sample),
    limits: cython.pointer(Limits),
) -> cython.void:
    """Slow and failing at once: the product of both bets over its own past mean."""
    i: cython.int
    bet: cython.float
    growth: cython.float
    for i in range(2):
        m.pair_bet[i] = 0
        if m.slow < 0 or m.failed[i] < 0:
            continue
        bet = m.slow * m.failed[i]
        m.pair_bet[i] = bet
        growth = bet * (s.pair_past[N_PAIR + i] + c.bets_prior + 1)
        growth /= s.pair_past[G_PAIR + i] + c.bets_prior + bet
        growth = growth if bet > growth else bet
        growth = growth if growth < limits.cap else limits.cap
        growth *= 1 + s.pair[i]
        s.pair[i] = growth if growth < limits.ceiling else limits.ceiling


@cython.cfunc
@cython.nogil
@cython.inline
@cython.cdivision(True)
@cython.exceptval(check=False)
def _pool(
    c: cython.pointer(Constants), s: cython.pointer(Stream), m: cython.pointer(Sample)
) -> cython.float:
    """Return the evidence: log(1 + mean of R) over the metrics and pairs that are known."""
    j: cython.int
    total: cython.float = 0
    weight: cython.float = 0
    for j in range(8):
        if m.known[j]:
            total += c.metric_weights[j] * _of_metric(c, s, j, c.weights)
            weight += c.metric_weights[j]
    if m.known[LATENCY]:
        for j in range(2):
            if m.known[RETRIES + j]:
                total += c.pair_weight * s.pair[j]
                weight += c.pair_weight
    return log1pf(total / weight) if weight > 0 else 0


@cython.cfunc
@cython.nogil
@cython.inline
@cython.exceptval(check=False)
def _of_metric(
    c: cython.pointer(Constants),
    s: cython.pointer(Stream),
    j: cython.int,
    weights: cython.pointer(cython.float),
) -> cython.float:
    """Return one metric's R: the mean over its bets."""
    if c.rare[j]:
        weights = c.rare_weights
        return (
            weights[0] * s.r[0][j]
            + weights[1] * s.r[1][j]
            + weights[2] * s.r[2][j]
            + weights[3] * s.r[3][j]
        )
    return (
        weights[0] * s.r[0][j]
        + weights[1] * s.r[1][j]
        + weights[2] * s.r[2][j]
        + weights[3] * s.r[3][j]
        + weights[4] * s.r[4][j]
    )


@cython.cfunc
@cython.nogil
@cython.inline
@cython.cdivision(True)
@cython.exceptval(check=False)
def _keep(
    c: cython.pointer(Constants), s: cython.pointer(Stream), m: cython.pointer(Sample)
) -> cython.void:
    """Put the sample into the block that waits to be learned."""
    i: cython.int
    j: cython.int
    k: cython.int
    dev: cython.float
    widest: cython.float
    for j in range(8):
        if not m.present[j]:
            continue
        dev = m.y[j] - s.mean[j]
        if m.scored[j]:
            if not c.rare[j]:
                widest = c.ar_clip / s.inverse[j]
                dev = _between(dev, -widest, widest)
                for k in range(5):
                    s.bg[k][j] += m.bets[k][j]
            s.bxy[j] += m.z0[j] * s.last[j]
            s.bxx[j] += s.last[j] * s.last[j]
            s.last[j] = m.z0[j]
        else:
            s.last[j] = 0
        s.bn[j] += 1
        s.bs[j] += dev
        s.bss[j] += dev * dev
        s.bsc[j] += dev * dev * dev
        dev = m.x[j] - s.raw[j]
        s.brs[j] += dev
        s.brss[j] += dev * dev
    for i in range(2):
        if m.pair_bet[i] > 0:
            s.pair_block[N_PAIR + i] += 1
            s.pair_block[G_PAIR + i] += m.pair_bet[i]
    if m.worked:
        s.pair_block[BLOCK_WN] += 1
        s.pair_block[BLOCK_WY] += m.white * m.work
        s.pair_block[BLOCK_WW] += m.work * m.work


@cython.cfunc
@cython.nogil
@cython.inline
@cython.exceptval(check=False)
def _is_due(c: cython.pointer(Constants), s: cython.pointer(Stream), j: cython.int) -> cython.int:
    """Whether a metric's block may be learned: full, and neither odd of late nor clearly changed."""
    waiting: cython.float = s.bn[j]
    need: cython.float = _between(s.n[j] * c.block_share, c.block_min, c.block_max)
    gated: cython.float
    if waiting < need:
        return 0
    if waiting >= c.relearn * c.memory[j]:
        return 1
    gated = _of_metric(c, s, j, c.gate_weights)
    if gated > c.gate:
        return 0
    return gated <= c.gate_odd or waiting >= need * (1 + c.patience)


@cython.cfunc
@cython.nogil
@cython.cdivision(True)
@cython.exceptval(check=False)
def _learn(c: cython.pointer(Constants), s: cython.pointer(Stream), j: cython.int) -> cython.void:
    """Merge a metric's block into its baseline."""
    k: cython.int
    n: cython.float = s.n[j]
    bn: cython.float = s.bn[j]
    total: cython.float = n + bn
    memory: cython.float = c.memory[j]
    shift: cython.float = s.bs[j] / bn
    second: cython.float = s.bss[j] / bn
    inside: cython.float = second - shift * shift
    third: cython.float = s.bsc[j] / bn - 3 * shift * second + 2 * shift * shift * shift
    scored: cython.float = bn if n >= c.block_min else 0
    keep: cython.float
    fade: cython.float
    inside = inside if inside > 0 else 0
    s.skew[j] = (
        n * s.skew[j]
        + bn * third
        + 3 * shift * n * bn / total * (inside - s.var[j])
        + shift * shift * shift * n * bn * (n - bn) / (total * total)
    ) / total
    s.var[j] = (n * s.var[j] + bn * inside + shift * shift * n * bn / total) / total
    s.mean[j] += shift * bn / total
    shift = s.brs[j] / bn
    inside = s.brss[j] / bn - shift * shift
    inside = inside if inside > 0 else 0
    s.raw_var[j] = (n * s.raw_var[j] + bn * inside + shift * shift * n * bn / total) / total
    s.raw[j] += shift * bn / total
    s.n[j] = total if total < memory else memory
    keep = _between((memory - scored) / (s.ng[j] if s.ng[j] > 1 else 1), 0, 1)
    for k in range(5):
        s.g[k][j] = keep * s.g[k][j] + s.bg[k][j]
        s.bg[k][j] = 0
    s.ng[j] = keep * s.ng[j] + scored
    fade = _between(1 - scored / memory, 0, 1)
    s.sxy[j] = fade * s.sxy[j] + s.bxy[j]
    s.sxx[j] = fade * s.sxx[j] + s.bxx[j]
    s.bn[j] = s.bs[j] = s.bss[j] = s.bsc[j] = s.bxy[j] = s.bxx[j] = s.brs[j] = s.brss[j] = 0
    _derive(c, s, j)
    if j == LATENCY:
        _learn_pairs(c, s)
        _learn_work(c, s)


@cython.cfunc
@cython.nogil
@cython.cdivision(True)
@cython.exceptval(check=False)
def _learn_pairs(c: cython.pointer(Constants), s: cython.pointer(Stream)) -> cython.void:
    i: cython.int
    keep: cython.float
    past: cython.float
    for i in range(2):
        if _of_metric(c, s, RETRIES + i, c.gate_weights) <= c.gate_odd:
            past = s.pair_past[N_PAIR + i]
            keep = _between(
                (c.memory[RETRIES + i] - s.pair_block[N_PAIR + i]) / (past if past > 1 else 1), 0, 1
            )
            s.pair_past[N_PAIR + i] = keep * past + s.pair_block[N_PAIR + i]
            s.pair_past[G_PAIR + i] = keep * s.pair_past[G_PAIR + i] + s.pair_block[G_PAIR + i]
        s.pair_block[N_PAIR + i] = s.pair_block[G_PAIR + i] = 0


@cython.cfunc
@cython.nogil
@cython.cdivision(True)
@cython.exceptval(check=False)
def _learn_work(c: cython.pointer(Constants), s: cython.pointer(Stream)) -> cython.void:
    n: cython.float = s.pair_block[BLOCK_WN]
    fade: cython.float = _between(1 - n / c.memory[LATENCY], 0, 1)
    share: cython.float
    s.pair[WORK_N] = fade * s.pair[WORK_N] + n
    s.pair_past[WY] = fade * s.pair_past[WY] + s.pair_block[BLOCK_WY]
    s.pair_past[WW] = fade * s.pair_past[WW] + s.pair_block[BLOCK_WW]
    s.pair_block[BLOCK_WN] = s.pair_block[BLOCK_WY] = s.pair_block[BLOCK_WW] = 0
    if s.pair[WORK_N] > 0:
        s.pair_past[BETA] = s.pair_past[WY] / (s.pair_past[WW] + c.work_shrink)
        share = s.pair_past[BETA] * s.pair_past[BETA] * s.pair_past[WW] / s.pair[WORK_N]
        share = share if share < c.work_share_max else c.work_share_max
        s.pair_past[SCALE] = 1 / sqrtf(1 - share)


@cython.cfunc
@cython.nogil
@cython.cdivision(True)
@cython.exceptval(check=False)
def _derive(c: cython.pointer(Constants), s: cython.pointer(Stream), j: cython.int) -> cython.void:
    """Join what was learned and the prior: the baseline as used."""
    n: cython.float = s.n[j]
    k0: cython.float = s.prior_n[j]
    total: cython.float = n + k0 if n + k0 > 1 else 1
    apart: cython.float = s.mean[j] - s.prior_mean[j]
    centre: cython.float = s.mean[j] - apart * k0 / total
    nu: cython.float = n + s.prior_nu[j] - 1
    var: cython.float
    slack: cython.float
    rate: cython.float
    bend: cython.float
    phi: cython.float = s.sxy[j] + c.ar_shrink * s.prior_phi[j]
    nu = nu if nu > 3 else 3
    s.nu[j] = nu
    s.phi[j] = _between(phi / (s.sxx[j] + c.ar_shrink), 0, c.ar_max)
    if c.rare[j]:
        rate = _between(centre, c.rare_floor, 1 - c.rare_floor)
        s.centre[j] = rate
        s.inverse[j] = 1 / sqrtf(rate * (1 - rate))
        s.slack[j] = _upper(c, rate, total)
        return
    var = (n * s.var[j] + s.prior_nu[j] * s.prior_var[j] + apart * apart * n * k0 / total) / nu
    var = (var if var > c.var_floor[j] else c.var_floor[j]) * (1 + 1 / total)
    s.centre[j] = centre
    s.inverse[j] = 1 / sqrtf(var)
    slack = c.kappa_young / sqrtf(total)
    slack = slack if slack > c.kappa_min else c.kappa_min
    s.bend[j] = 0
    if not c.count[j]:
        slack = slack if slack > c.drift * s.inverse[j] else c.drift * s.inverse[j]
        if s.var[j] > c.var_floor[j]:
            bend = -s.skew[j] / (s.var[j] * sqrtf(s.var[j])) * n / (n + c.bend_shrink)
            if bend > c.bend_min:
                s.bend[j] = bend if bend < c.bend_max else c.bend_max
    s.slack[j] = slack


@cython.cfunc
@cython.nogil
@cython.cdivision(True)
@cython.exceptval(check=False)
def _upper(c: cython.pointer(Constants), rate: cython.float, n: cython.float) -> cython.float:
    """Return Wilson's upper bound of a rate seen in n steps."""
    errors: cython.float = c.rare_slack * (1 + 1 / (1 + rate * n / c.rare_slack_hits))
    square: cython.float = errors * errors / n
    root: cython.float = errors * sqrtf(rate * (1 - rate) / n + square / (4 * n))
    return (rate + square / 2 + root) / (1 + square)


@cython.cfunc
@cython.nogil
@cython.inline
@cython.exceptval(check=False)
def _between(x: cython.float, low: cython.float, high: cython.float) -> cython.float:
    return low if x < low else (high if x > high else x)
