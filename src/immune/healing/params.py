"""The numbers of healing, each with its unit and its reason."""

from __future__ import annotations

import msgspec

from immune.errors import InvalidInput


class TrialParams(msgspec.Struct, frozen=True, kw_only=True):
    """When fresh vitals prove a cure, or a relapse."""

    false_cure: float = 1e-4
    """Probability that an agent at least as sick as the smallest harmful effect is let go."""
    false_relapse: float = 1e-2
    """Probability that a cured agent is held for still sick; shared out over the metrics."""
    steps_min: int = 5
    """Fresh steps before anything is decided, however clear."""
    steps_max: int = 200
    """Fresh steps after which what is undecided counts as relapsed."""
    ratio_min: float = 1.5
    """Times normal from which a change is harmful at all."""
    z_clip: float = 4.0
    """Standard deviations; a single sample says no more than this."""
    cure_clip: float = 2.5
    """Nats that one step may add for a cure; a proof of 9.2 takes at least 4, and more where the
    baseline is young or steps resemble one another."""
    relapse_clip: float = 6.0
    """Nats that one step may add for a relapse: no single step decides."""
    autocorrelation: float = 0.25
    """Assumed between successive steps until the trial has seen more; successive steps of a real
    agent say less than independent ones would."""
    autocorrelation_weight: float = 10.0
    """Steps that the assumption is worth."""
    clean_steps: int = 20
    """Fresh steps without a hit that clear a hard limit or a repetition."""
    pace_steps: int = 5
    """Fresh steps at its own pace that end a silence."""
    model_slack: float = 1.25
    """Times normal that latency and cost may rightly stand after a switch of the model."""
    model_ratio_min: float = 2.0
    """Times normal from which they are harmful all the same."""

    def __post_init__(self) -> None:
        for field in ("false_cure", "false_relapse"):
            if not 0 < getattr(self, field) < 0.5:
                raise InvalidInput(f"healing.trial.{field}", "must lie between 0 and 0.5")
        if not self.steps_max > 0:
            raise InvalidInput("healing.trial.steps_max", "must be at least 1")
        if not 0 < self.steps_min <= self.steps_max:
            raise InvalidInput("healing.trial.steps_min", "must lie between 1 and steps_max")


class MemoryParams(msgspec.Struct, frozen=True, kw_only=True):
    """How fast outcomes change the order of the rungs."""

    enabled: bool = True
    """False: default order, and no rung is passed over for having failed; outcomes are still
    counted and shown."""
    prior_weight: float = 5.0
    """Outcomes that the default is worth per cause."""
    cause_weight: float = 3.0
    """Outcomes that the cause's record is worth for a pattern."""
    pattern_weight: float = 3.0
    """Outcomes that the pattern's record is worth for one place on the ladder. Lower weights learn
    faster and more often settle on a worse order: of weights from 1 to 8 the differences are within
    3 % of the disruption per cure, measured over 240 infections."""
    doubt: float = 0.5
    """Standard errors of its estimate that an action is given beyond it, up to what was expected
    of it at first; 0 gives up on good actions after a few unlucky attempts (2 % worse)."""
    exhausted_cost: float = 20.0
    """Disruption of a ladder that cures nothing: the agent stays fenced until a person comes."""
    ban_s: float = 7 * 86_400.0
    """Seconds for which a rung that failed is not repeated for the same agent and cause; 0: no
    bans."""
    incidents_max: int = 20_000
    """Incidents whose attempts are kept apart, to know what had failed before."""


class LimitParams(msgspec.Struct, frozen=True, kw_only=True):
    """When the system stops healing by itself and calls a person."""

    agent_incidents: int | None = 3
    """Incidents of one agent within `agent_window_s`, the present one included, from which on a
    person decides: what keeps coming back was not cured. None: no limit."""
    agent_window_s: float = 86_400.0
    """Seconds."""
    fleet_heals: int | None = 240
    """Healing actions in the fleet within `fleet_window_s`; more is a wave, whose cause a person
    should look for. None: no limit."""
    fleet_window_s: float = 3600.0
    """Seconds."""


class HealingParams(msgspec.Struct, frozen=True, kw_only=True):
    """All of them."""

    trial: TrialParams = TrialParams()
    memory: MemoryParams = MemoryParams()
    limits: LimitParams = LimitParams()
    irreversible_types: tuple[str, ...] = ()
    """Types of agent on which irreversible actions need no approval; ``*`` stands for all."""
