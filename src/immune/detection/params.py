"""Every number of the statistic, with its unit and the reason for it.

The rules beside the statistic keep theirs in `rule_params`. Figures named "measured" come from the
simulated fleet of the design: 15 agents, 1 step a second, log-normal latency and tokens.
"""

from __future__ import annotations

import msgspec

from immune.detection.rule_params import RuleParams
from immune.errors import InvalidInput


class Budgets(msgspec.Struct, frozen=True, kw_only=True):
    """How many false alarms their owner can live with. They become thresholds."""

    false_suspicions_per_agent_day: float = 1 / 30
    """Per agent and day; a suspicion costs a look at a page and notifies nobody."""
    false_quarantines_per_1000_agent_days: float = 1.0
    """Per 1,000 agents and day; a quarantine stops somebody's work."""
    false_quarantines_per_fleet_week: float = 2.0
    """For the whole fleet; what one on-call person forgives. The stricter of the two holds."""
    nats_min: float = 7.0
    """Nats below which no threshold falls: an agent of few steps a day would otherwise be
    suspected by chance's everyday swing. A suspicion needs at least about 1,000 : 1."""


class StatisticParams(msgspec.Struct, frozen=True, kw_only=True):
    """The constants of the kernel."""

    bet: float = 0.35
    """δ of the smallest of the bets e^{δz} on positive metrics and counts, in standard deviations;
    the others are 2, 4 and 8 times as large, and one of -4 times is on a change for the better."""
    weights: tuple[float, float, float, float, float] = (0.15, 0.22, 0.5, 0.13, 0.0)
    """Of the bets in the evidence. A change for the better is no sickness: it weighs nothing."""
    metric_weights: tuple[float, ...] = (8.0, 1.0, 1.0, 1.0, 1.0, 1.0, 0.5, 0.5)
    """Of the metrics in the evidence, in the order of `Metric`: most sicknesses show in the time,
    few in nothing but errors or pace."""
    pair_weight: float = 0.4
    """Of each of the two pairs."""
    gate_weights: tuple[float, float, float, float, float] = (0.25, 0.25, 0.2, 0.15, 0.15)
    """Of the bets in the gate: a quiet night, too, must not become the normal that the morning is
    then held against."""
    bet_nats: float = 4.0
    """What a bet may win in one step, in nats; beyond, it is cut off and its mean is that of the
    cut bet."""
    rare_odds: tuple[float, float, float, float] = (3.0, 7.0, 16.0, 40.0)
    """Bets on retries and errors: how many times the odds of a step with one have risen."""
    rare_weights: tuple[float, float, float, float] = (0.3, 0.35, 0.2, 0.15)
    """Of these bets in the evidence and in the gate."""
    z_clip: float = 4.0
    """Standard deviations; one wild sample says no more than this."""
    ar_clip: float = 6.0
    """Standard deviations before whitening; wider than `z_clip`, so that a lasting shift is not
    taken for the memory of an autocorrelated metric. No sample is learned as further out."""
    ar_max: float = 0.8
    """Ceiling of the estimated autocorrelation φ; at 1 a shift would be explained away."""
    ar_shrink: float = 30.0
    """Observations that the prior of φ is worth."""
    ar_prior: float = 0.3
    """φ that is assumed before any is learned: agents' latencies often hang together, and to take
    that for a shift makes false alarms in young baselines (measured)."""
    ar_prior_rare: float = 0.1
    """The same for retries and errors."""
    kappa_min: float = 0.045
    """Standard deviations of slack, at least: what no learned mean is ever sure of."""
    kappa_young: float = 1.6
    """κ is at least kappa_young/√n + kappa_first/n: 1.6 standard errors of the learned mean, and of
    a young one's more, 3.1 after 60 samples. With 1.8 throughout, one in 300 is far enough off to
    accuse its own agent, and what accuses is not learned from (measured)."""
    kappa_first: float = 12.0
    """See `kappa_young`."""
    drift: float = 0.035
    """And at least this many log units: what a daily cycle from 1/1.5 to 1.5 moves within the
    memory of a baseline. Slower, wider drifts are told by a rule of their own."""
    bets_prior: float = 16.0
    """Samples that the bets' mean under a normal law, e^{δ²/2}, is worth beside their own past: a
    run of low values in a young baseline must not make the normal ones look high."""
    rare_slack: float = 1.8
    """Standard errors at which the learned rate's upper bound (Wilson's) is bet against, once many
    hits were seen; twice as many where none was: a young rate that is too low by chance would
    accuse its own agent (measured)."""
    rare_slack_hits: float = 8.0
    """Hits that make the slack half-way certain."""
    rare_floor: float = 0.005
    """Probability below which no rate is believed: "never" is a claim that a few thousand steps
    can't prove, and rare failures come in bursts."""
    spread_floor: float = 0.05
    """Standard deviation of log(1+x) that is assumed at least: changes of 5 % are nobody's
    sickness, however steady the metric was."""
    count_spread_floor: float = 0.15
    """The same for counts, whose steps are coarse: three calls instead of two is no loop."""
    bend_min: float = 0.1
    """Skewness of log(1+x) to the left below which the law is taken as log-normal."""
    bend_max: float = 1.0
    """Skewness that is followed at most: a gamma law of shape 1.3."""
    bend_shrink: float = 100.0
    """Samples that the prior guess of no skewness is worth."""
    work_clip: float = 2.5
    """Standard deviations of the tokens that may explain a step's latency: work takes time, but an
    explosion of tokens excuses no more than this."""
    work_shrink: float = 10.0
    """Samples that the prior guess, no relation, is worth."""
    work_share_max: float = 0.8
    """Share of latency's variance that the tokens may explain at most."""
    interval_slack: float = 2.5
    """Times that steps may come faster before it counts: a busy hour doubles the pace, a runaway
    multiplies it."""
    burst_steps: float = 9.5
    """The evidence may run ahead of a follower that rises by 1/9.5 of the quarantine threshold a
    step, by no more than `burst_ahead` of its steps. So k steps raise it by (k + 1.5)/9.5 of the
    threshold at most: from none, fewer than eight never reach it. What was there before is a head
    start of a step for each 1/9.5, and with everyday's 2 nats it takes seven."""
    burst_ahead: float = 2.5
    """Steps; one would be a cap on every single step, and would waste what a lucky step saw."""
    peak_from: float = 5.0
    """Nats above which evidence is on a peak. By theory the heights of a healthy stream's peaks
    above any such level are exponential with mean 1 at most; where a metric comes in bursts they
    are higher, and what is above this level is divided by how much."""
    peak_over: float = 2.0
    """Nats below which the evidence must fall before a peak is over."""
    peak_max: float = 8.0
    """Nats above `peak_from` that one peak counts for at most: no single night is a habit."""
    peaks_prior: float = 20.0
    """Peaks that the peers' mean is worth, or theory's where there is none."""
    peaks_memory: float = 150.0
    """Peaks that are remembered."""
    width_max: float = 2.6
    """The divisor at most; agents that burst harder must be told to be so by a person."""
    ceiling_nats: float = 8.0
    """Nats above the quarantine threshold at which evidence stops growing, so that a recovered
    agent's falls back within a few dozen steps."""

    @property
    def bets(self) -> tuple[float, float, float, float, float]:
        """δ of each bet."""
        return (self.bet, 2 * self.bet, 4 * self.bet, 8 * self.bet, -4 * self.bet)


class LearningParams(msgspec.Struct, frozen=True, kw_only=True):
    """How a baseline is learned, and how much a young one borrows from its peers."""

    memory: float = 1800.0
    """Samples that a baseline remembers: half an hour at one step a second."""
    memory_rare: float = 4000.0
    """The same for retries and errors, whose rate takes longer to know."""
    slow_from_s: float = 1.25
    """Seconds between steps above which the memory of the mean is counted in time, too: `memory`
    steps of a slow agent would be a day, and a daily cycle in it a change."""
    slow_power: float = 0.75
    """And the power of the pace by which it then holds fewer steps: at 1 its span in seconds would
    stay the same and hold too few of a slow agent's to know the mean, at 0 too many to follow."""
    slow_least: float = 120.0
    """Steps that it holds at least."""
    slow_swing: float = 0.405
    """Log units by which a daily cycle swings to each side, ×1.5: what a slow agent's mean lags
    behind it is granted as slack."""
    block_min: float = 8.0
    """Samples that are learned at once, at least; also the first that are scored come after."""
    block_max: float = 160.0
    """Samples that are learned at once, at most: a change shorter than a block is scored before any
    of it is learned."""
    block_share: float = 0.125
    """Of what is known already, the part that a block adds."""
    gate: float = 1e4
    """Evidence (as a ratio) of one metric above which nothing of it is learned. Lower would select
    the lucky samples and make false alarms (measured at 50)."""
    gate_odd: float = 30.0
    """Evidence (as a ratio) above which a full block waits a little longer before it is learned:
    what is chance has passed by then, what is sickness has reached the gate."""
    patience: float = 1.6
    """Times its length that a full block waits at most. Waiting selects no samples, so it makes no
    false alarms."""
    relearn: float = 2.0
    """Times `memory` after which a change that nobody took up is learned all the same."""
    samples_ready: int = 15
    """Own samples from which a baseline may suspect."""
    samples_alone: int = 450
    """Own samples from which an agent without peers may be fenced: below, chance in the baseline
    itself can look like a change."""
    peers_min: int = 3
    """Ready peers of its type from which an agent may be fenced on their prior."""
    prior_spread: float = 30.0
    """Observations that the peers' pooled variance is worth."""
    prior_mean_max: float = 15.0
    """Observations that the peers' mean is worth at most; otherwise σ²/τ²."""
    prior_tau: float = 0.3
    """Standard deviation of agents' means in log units, before peers are seen: ×1.35."""
    prior_tau_peers: float = 5.0
    """Peers that the guess above is worth."""
    prior_rare: float = 30.0
    """Steps that the peers' rate of retries and errors is worth at most."""
    history: int = 60
    """Samples kept per stream, for the scan of the onset and for learning anew."""


class EpisodeParams(msgspec.Struct, frozen=True, kw_only=True):
    """From evidence to findings."""

    speak_every_steps: int = 5
    """Steps between two findings of one episode, at least."""
    severity_step: float = 0.5
    """Rise of the severity that is worth another finding."""
    subsided_share: float = 0.4
    """Of the suspicion threshold, below which the evidence counts as fallen back."""
    subsided_steps: int = 30
    """Steps since the last crossing before an episode may end."""
    returned_steps: int = 5
    """Steps after which an agent that was only silent is back."""
    affected_nats: float = 5.0
    """Nats that a metric's own shift must reach to be among the affected (3.2 standard errors)."""
    affected_ratio: float = 1.15
    """Times worse than normal that an affected metric must be at least."""
    affected_increase: float = 0.04
    """Rise of the probability that affected retries or errors must show at least."""
    fence_from_severity: float = 1.25
    """0..10; a change that is not sure (95 %) to do this harm is told and not fenced, unless a new
    tool came with it: latency ×1.4 in a busy hour is .9, ×1.6 is 1.25. 0 fences on any."""
    severe_from_usd_per_hour: float = 0.0
    """USD an hour of additional cost below which the severity stays under 7; 0 is off."""


class DetectionParams(msgspec.Struct, frozen=True, kw_only=True):
    """All of detection."""

    budgets: Budgets = Budgets()
    statistic: StatisticParams = StatisticParams()
    learning: LearningParams = LearningParams()
    episodes: EpisodeParams = EpisodeParams()
    rules: RuleParams = RuleParams()

    def __post_init__(self) -> None:
        for label in Budgets.__struct_fields__:
            if not getattr(self.budgets, label) > 0:
                raise InvalidInput(f"budgets.{label}", "must be above 0")
        if self.learning.history < 16:
            raise InvalidInput("learning.history", "must hold at least 16 samples")
