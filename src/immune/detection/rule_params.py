"""The numbers of the rules that stand beside the statistic, each with its unit and its reason.

`limits`, `repetition`, `silence`, `drift`, `facts` and `fleet` each take their part of
`RuleParams`; what the statistic itself needs is in `params`.
"""

from __future__ import annotations

import msgspec

from immune.detection.timetable import Timetable
from immune.errors import InvalidInput


class Limits(msgspec.Struct, frozen=True, kw_only=True):
    """Absolute ceilings for any agent. None means off, and all are off until somebody sets them:
    only the owner knows what a step may cost. A value above the ceiling is a hit."""

    step_cost_usd: float | None = None
    """USD of one step."""
    step_tokens: float | None = None
    """Input and output tokens of one step."""
    step_tool_calls: float | None = None
    """Tool calls of one step."""
    step_latency_ms: float | None = None
    """Milliseconds of one step."""
    session_cost_usd: float | None = None
    """USD of all steps with one session_id; steps without one have no session."""
    session_tokens: float | None = None
    """Input and output tokens of one session."""
    session_tool_calls: float | None = None
    """Tool calls of one session."""
    hour_cost_usd: float | None = None
    """USD of one agent within the last 60 minutes."""
    hour_tokens: float | None = None
    """Input and output tokens of one agent within the last 60 minutes."""
    hour_tool_calls: float | None = None
    """Tool calls of one agent within the last 60 minutes."""
    session_idle_s: float = 3600.0
    """Seconds without a step after which a session's sums are forgotten; an hour, since a person
    who comes back later has begun something new, and memory must have a bound."""
    severity_floor: float = 8.0
    """0..10; a passed ceiling is the owner's own word that this is harm."""

    def __post_init__(self) -> None:
        for field in self.__struct_fields__:
            value = getattr(self, field)
            if value is not None and not value > 0:
                raise InvalidInput(f"limits.{field}", "must be above 0, or absent for no limit")


class RepetitionParams(msgspec.Struct, frozen=True, kw_only=True):
    """When equal tool calls are a loop."""

    repeats: int = 10
    """Equal calls without progress that make a hit; the third or fifth equal call is common in
    healthy agents that retry, the tenth is not."""
    cycle_max: int = 4
    """Calls in the longest cycle that counts: 1 is the same call, 2 a ping-pong between two; agents
    seldom loop over more without their arguments changing."""
    poll_s: float = 1.5
    """Idle seconds before a step from which on an equal call is a poll and not a loop, where they
    are also `poll_times` what the step takes: a loop runs as fast as the model answers."""
    poll_times: float = 2.0
    """Times as long as its step takes that a poller waits at least: it sleeps most of the time,
    whatever its pace. An agent whose tools take a second between its steps must still loop."""
    pause_s: float = 5.0
    """The same whatever the step takes, or where its latency is unknown."""
    slow_s: float = 10.0
    """Seconds from one equal call to the next from which on it is a poll whatever filled them, as a
    tool that waits does; so slow a loop is left to the statistic and the limits."""
    back_off_s: float = 0.25
    """Idle seconds from which on a growing wait may be a back-off; a loop does not wait at all."""
    back_off_growth: float = 1.1
    """Times the wait before that a wait must be to have grown."""
    back_off_steps: int = 3
    """Waits in a row that must have grown: an agent that waits longer and longer has a plan."""
    back_off_held: float = 2.0
    """Times that the waits must have grown in all before one that grows no more belongs to the plan
    too, as long as it is half the one before: back-offs have a ceiling, and chance in them."""
    severity_floor: float = 5.0
    """0..10; a loop harms by what it spends, which the metrics say; this is the least."""


class SilenceParams(msgspec.Struct, frozen=True, kw_only=True):
    """When an agent that steps no more is silent."""

    samples_min: int = 20
    """Intervals seen before an agent's rhythm is known."""
    spread_max: float = 0.8
    """Standard deviation of log(interval) above which an agent has no rhythm that silence could
    break; 0.8 says that one interval in six is more than 2.2 times the usual."""
    factor_min: float = 4.0
    """Times the usual interval that must pass at least: a very regular agent may still restart."""
    silent_min_s: float = 10.0
    """Seconds that must pass at least, so that a hiccup of the network raises nothing."""
    delivery_factor: float = 2.0
    """Times the longest recent gap between two deliveries that must pass at least: an exporter that
    sends once a minute makes an agent neither slow nor silent."""
    memory: float = 200.0
    """Intervals that the rhythm remembers (exponentially), so that it follows the hours."""
    pause_slack_s: float = 3600.0
    """Seconds by which a pause that came before may begin earlier and end later this time: people
    go home at about six, and clocks change by an hour."""
    pauses: tuple[str, ...] = ()
    """Declared pauses, in UTC, in which no agent is silent: `22:00-06:00`, `sat-sun 00:00-24:00`.
    Those that come again are learned without: each is told the first time."""

    def __post_init__(self) -> None:
        Timetable(self.pauses)


class DriftParams(msgspec.Struct, frozen=True, kw_only=True):
    """When a change that the baseline follows is told all the same."""

    times: float = 1.55
    """Times worse than the anchor that the recent mean must be: above what a day from 1/1.5 to 1.5
    shows (1.48), below what half a per cent a minute shows when it has doubled (1.69)."""
    errors: float = 1.5
    """Standard errors that it must be beyond that."""
    anchor_s: float = 21_600.0
    """Seconds that the anchor remembers; with more, a day's swing looks like a drift."""
    recent_s: float = 600.0
    """Seconds that the recent mean remembers; with more, it comes late."""
    recent_samples: float = 600.0
    """Samples that it remembers at least: the mean of fewer is too rough."""
    young_s: float = 3600.0
    """Seconds in which the anchor is the plain mean of all, and nothing is told."""
    pause_s: float = 900.0
    """Seconds that a pause counts at most: a night without steps is no time for a level to move."""
    every_s: float = 60.0
    """Seconds between two looks. A look sees the samples that are kept, 60 of each stream."""


class FactParams(msgspec.Struct, frozen=True, kw_only=True):
    """What counts as usual, and as news."""

    recent_calls: int = 48
    """Tool calls remembered one by one per agent, to answer what failed since an onset: about 12
    steps of 4 calls; twice as many would cost an agent another 800 bytes."""
    values_kept: int = 4
    """Prompt hashes, models and error types remembered per agent, the latest used."""
    settled_steps: int = 10
    """Steps with one prompt hash (or model) before another one is a change; an agent whose prompt
    hash differs in every step has no usual one."""
    forget_s: float = 604_800.0
    """Seconds unused after which a tool, prompt hash or model is news again; a week, so that a
    weekly job is not."""
    onset_slack_steps: float = 5.0
    """Steps by which the estimated onset may come after the true one."""
    calls_min: int = 100
    """Tool calls seen before a tool that was never used is news; before, everything is new."""
    tools_max: int = 64
    """Tools counted per agent, the bound on memory; further ones are not looked at."""
    failing_min: int = 3
    """Failed calls since the onset before a tool can stand out."""
    failing_chance_max: float = 0.05
    """Chance that so many failures fall on one tool by luck, above which none stands out."""
    failing_share_min: float = 0.2
    """Share of its calls that must fail before a tool stands out, and twice its own usual share."""
    active_s: float = 900.0
    """Seconds since the last step within which an agent counts as a member of its groups."""


class FleetParams(msgspec.Struct, frozen=True, kw_only=True):
    """When many agents' changes are one."""

    agents_min: int = 5
    """Agents that changed alike; fewer are single cases."""
    share_min: float = 0.3
    """Of the active agents of the group; a share and not a count, so that a big fleet's daily
    noise is none."""
    fleet_share_min: float = 0.6
    """The same where no provider, model, tool or type is the subject but all active agents: that
    a third of a fleet is sick at once is no reason to look for one cause."""
    within_s: float = 60.0
    """Seconds between the first and the last of them; an outage hits all at once."""
    nats_min: float = 4.0
    """Evidence from which an agent counts as changed here: far below a suspicion (about 15), since
    many at once are evidence themselves and the fleet must be seen before its first quarantine."""
    certain_nats: float = 8.0
    """Evidence that healthy agents hardly reach: whoever has had it for long changed long ago,
    whatever a scan of the last samples says; and a member of an open finding who shows less on what
    the others don't share may owe it to chance."""
    changed_min: int = 3
    """Agents with that evidence before a group is looked at; the others may lag behind."""
    lagging_nats: float = 2.0
    """Evidence on the metric itself from which on an agent of such a group is compared with the
    others; many healthy ones have it, and it is the size of the change that tells them apart."""
    steps_min: float = 5.0
    """Steps since the onset before changes are compared: by then a sick agent has shown whether
    its retries rose with its latency; a quarantine takes at least 8."""
    outside_factor: float = 2.0
    """Times by which the group's share must exceed that of all others; else it is not the group."""
    ratio_min: float = 1.3
    """Times worse that the typical member must be; a smaller shift is the weather of the day."""
    increase_min: float = 0.1
    """The same for retries and errors, as a rise of their probability."""
    ratio_alike: float = 2.5
    """Times by which the size of one agent's change may differ from the typical member's."""
    least_share: float = 0.5
    """Of the log of the typical ratio that an agent's change must reach at least: where the typical
    is ×4, ×2; healthy agents with a bad minute must not look like members."""
    beyond_ratio: float = 1.6
    """Times worse from which a metric that the others don't share is an agent's own sickness."""
    beyond_increase: float = 0.25
    """The same for retries and errors."""
    errors_of_outage: float = 0.6
    """Probability of errors up to which they belong to an outage that was seen by its latency."""
    chance_min: float = 0.01
    """Probability below which so many retries or errors, or so few, are not chance."""
    scans_max: int = 64
    """Agents of a group that are looked at closely in a tick; of more, an even sample."""
    looks_max: int = 8
    """Groups that are looked at closely in a tick, the most promising ones."""
    refresh_s: float = 10.0
    """Seconds after which an open finding measures again what its typical member suffers."""
    subsided_s: float = 120.0
    """Seconds that the members must be back to normal before the finding subsides."""
    subsided_share: float = 0.2
    """Of the members that may still be changed then; some are sick by themselves."""


class RuleParams(msgspec.Struct, frozen=True, kw_only=True):
    """All of them."""

    limits: Limits = Limits()
    repetition: RepetitionParams = RepetitionParams()
    silence: SilenceParams = SilenceParams()
    drift: DriftParams = DriftParams()
    facts: FactParams = FactParams()
    fleet: FleetParams = FleetParams()
