"""What ``immune doctor`` looks at: each check reads what the server told and gives its finding.

All of it is read over the API, so a check knows no more than an operator could. What the server
doesn't tell is never taken for well.
"""

from __future__ import annotations

import enum
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import msgspec

from immune import __version__
from immune.cli.remote import NoServer, Remote, read
from immune.cli.shapes import Agent, Incident, IntakeCounts, Lockdown, Status, counted
from immune.cli.show import span
from immune.cli.status import UNDO
from immune.cli.unmapped import in_words, lost
from immune.clock import Clock
from immune.words import MODES, plain

CLOCKS_OK_S = 2.0
CLOCKS_FAIL_S = 300.0
"""Seconds that a vital may lie ahead before it is refused."""
LATELY_S = 60.0
CLOCKS_NAMED = 5
AHEAD = " s ahead"
"""In the reason of a refusal for a clock that is too far ahead."""
AGENTS_MAX = 10_000
"""Agents that are looked at: what one answer may hold."""
QUEUED_OK = 20_000
"""Vitals waiting to be scored: a tenth of what the queue holds unless set otherwise."""
LATE_SHARE = 0.01
"""Of the accepted vitals, from which late ones are no accident."""


class Level(enum.StrEnum):
    """How bad it is."""

    OK = "ok"
    WARN = "warn"
    FAIL = "fail"


class Finding(msgspec.Struct, frozen=True):
    """One check's outcome."""

    level: Level
    name: str
    said: str
    todo: str = ""
    """What to do about it; empty where there is nothing."""


@dataclass(frozen=True, slots=True)
class Seen:
    """What the server told."""

    status: Status
    agents: list[Agent]
    open_incidents: list[Incident]
    intake: IntakeCounts
    lockdowns: list[Lockdown]
    clock_ahead_s: float
    """The server's clock less ours."""


def examine(remote: Remote, clock: Clock) -> list[Finding]:
    """Ask the server and give every check's finding; one alone where nobody answers."""
    try:
        asked = clock.time()
        status = read(remote.get("/api/status"), Status)
        answered = clock.time()
        seen = Seen(
            status=status,
            agents=read(remote.get("/api/agents", {"limit": AGENTS_MAX}), list[Agent]),
            open_incidents=read(
                remote.get("/api/incidents", {"state": "open", "limit": AGENTS_MAX}),
                list[Incident],
            ),
            intake=read(remote.get("/api/intake"), IntakeCounts),
            lockdowns=read(remote.get("/api/lockdowns"), list[Lockdown]),
            clock_ahead_s=status.now - (asked + answered) / 2,
        )
    except NoServer as fault:
        return [Finding(Level.FAIL, "server", str(fault))]
    return [finding for check in CHECKS for finding in check(seen)]


def _server(seen: Seen) -> Iterator[Finding]:
    up = span(seen.status.now - seen.status.started_at)
    said = f"version {seen.status.version}, up {up}"
    if seen.status.version == __version__:
        yield Finding(Level.OK, "server", said)
    else:
        todo = f"this command is of version {__version__}: use one of the server's"
        yield Finding(Level.WARN, "server", said, todo)


def _lockdown(seen: Seen) -> Iterator[Finding]:
    for standing in seen.lockdowns:
        yield Finding(
            Level.FAIL, "lockdown", standing.words(seen.status.agents), f"undo with `{UNDO}`"
        )
    if not seen.lockdowns:
        yield Finding(Level.OK, "lockdown", "nobody has fenced everything")


def _mode(seen: Seen) -> Iterator[Finding]:
    status = seen.status
    said = f"{status.mode}: {MODES.get(status.mode, '')}"
    others = ", ".join(f"{mode} for {name}" for name, mode in sorted(status.modes_by_type.items()))
    todo = ""
    if status.mode == "observe" and status.would_have.quarantined:
        todo = (
            f"it would have quarantined {status.would_have.quarantined}: if that was right, "
            "`immune mode ask` lets it fence"
        )
    yield Finding(Level.OK, "mode", said + (f"; {others}" if others else ""), todo)


def _keeps(part: str) -> bool:
    return part.endswith("store") or part == "disk"


def _stores(seen: Seen) -> Iterator[Finding]:
    failing = [task for task in seen.status.degraded if _keeps(task.name)]
    for task in failing:
        yield Finding(
            Level.FAIL,
            "stores",
            f"{task.name}: {task.last_error}",
            "look for a full disk or a lost mount under store.directory; fences stand meanwhile",
        )
    if not failing:
        yield Finding(Level.OK, "stores", "no write fails")


def _lease(seen: Seen) -> Iterator[Finding]:
    # a server answers only once it holds the lease on its stores
    yield Finding(Level.OK, "lease", f"this server holds its stores, with run {seen.status.run_id}")


def _parts(seen: Seen) -> Iterator[Finding]:
    failing = [task for task in seen.status.degraded if not _keeps(task.name)]
    for task in failing:
        yield Finding(
            Level.FAIL,
            "parts",
            f"{task.name} fails: {task.last_error}",
            "it is tried again and again; the server's log says more",
        )
    if failing:
        return
    if seen.status.failures:
        said = f"none fails now; {counted(seen.status.failures, 'failure')} since the start"
        yield Finding(Level.WARN, "parts", said, "the server's log says which")
    else:
        yield Finding(Level.OK, "parts", "none has failed")


def _clocks(seen: Seen) -> Iterator[Finding]:
    ahead = seen.clock_ahead_s
    said = f"the server's is {abs(ahead):.1f} s {'ahead of' if ahead > 0 else 'behind'} this one"
    if abs(ahead) <= CLOCKS_OK_S:
        yield Finding(Level.OK, "clocks", said)
    else:
        level = Level.WARN if abs(ahead) < CLOCKS_FAIL_S else Level.FAIL
        todo = "set both by NTP: a step 5 minutes ahead of the server's clock is refused"
        yield Finding(level, "clocks", said, todo)


def _host_clocks(seen: Seen) -> Iterator[Finding]:
    clocks = seen.status.clocks
    if not clocks:
        yield Finding(Level.OK, "hosts", "none is known to have a clock that is off")
        return
    named = ", ".join(clock.words() for clock in clocks[:CLOCKS_NAMED])
    further = seen.status.clocks_off - CLOCKS_NAMED
    said = f"clocks off: {named}" + (f", and {further:,} more" if further > 0 else "")
    todo = (
        "set the clock of that host by NTP; if it is right, its exporter holds all steps back for "
        "as long. "
    )
    if all(clock.put_right for clock in clocks):
        todo += "They are scored, beside those of the agent's other hosts; a cure they prove later"
    else:
        todo += "So far behind they are stored, and not scored beside those of the agent's others"
    yield Finding(Level.WARN, "hosts", said, todo)


def _agents(seen: Seen) -> Iterator[Finding]:
    known = seen.status.agents
    if not known:
        yield Finding(
            Level.WARN,
            "agents",
            "none has reported yet",
            "post vitals to /api/vitals or spans to /v1/traces; `immune replay FILE` tries it out",
        )
        return
    lately = [a for a in seen.agents if seen.status.now - a.last_seen_at <= LATELY_S]
    part = f" (of the first {AGENTS_MAX:,})" if known > len(seen.agents) else ""
    said = f"{len(lately):,} of {known:,} seen in the last minute{part}"
    if lately:
        yield Finding(Level.OK, "agents", said)
    else:
        latest = max((a.last_seen_at for a in seen.agents), default=0.0)
        ago = f"; the latest {span(seen.status.now - latest)} ago" if latest else ""
        yield Finding(Level.WARN, "agents", said + ago, "see that the exporters still run")


def _fences(seen: Seen) -> Iterator[Finding]:
    fenced = [agent for agent in seen.agents if agent.fenced]
    ordered = [agent for agent in fenced if not agent.enforced]
    if ordered:
        said = f"{len(ordered):,} of {len(fenced):,} are ordered, not enforced"
        todo = "nothing refuses these agents' calls: stop them yourself, or link them"
        yield Finding(Level.WARN, "fences", said, todo)
    else:
        said = f"{counted(len(fenced), 'agent')} fenced, all enforced"
        yield Finding(Level.OK, "fences", said if fenced else "no agent is fenced")


def _scoring(seen: Seen) -> Iterator[Finding]:
    status = seen.status
    taken = counted(status.accepted, "vital")
    said = f"{taken} accepted, {status.queued:,} wait, {status.late:,} came late"
    if status.queued > QUEUED_OK:
        todo = "detection can't keep up: fewer vitals, or a larger machine"
        yield Finding(Level.WARN, "scoring", said, todo)
    elif status.late > LATE_SHARE * status.accepted:
        todo = "late ones are stored and not scored: see intake.order_s and the exporters' delay"
        yield Finding(Level.WARN, "scoring", said, todo)
    else:
        yield Finding(Level.OK, "scoring", said)


def _refused(seen: Seen) -> Iterator[Finding]:
    for name, counts in (("vitals", seen.intake.refused), ("spans", seen.intake.rejected)):
        if counts:
            todo = f"correct what sends them: these {name} are lost"
            if any(AHEAD in reason for reason in counts):
                todo += "; who is ahead, set its clock by NTP"
            yield Finding(Level.WARN, "refused", in_words(counts), todo)
    if not (seen.intake.refused or seen.intake.rejected):
        yield Finding(Level.OK, "refused", "no vital and no span since the start")


def _spans(seen: Seen) -> Iterator[Finding]:
    missing = lost(seen.intake.unmapped)
    if missing:
        todo = "their steps are incomplete or missing"
        yield Finding(Level.WARN, "spans", in_words(missing), todo)
    else:
        yield Finding(Level.OK, "spans", "none was lost on the way to a vital")


def _retired(seen: Seen) -> Iterator[Finding]:
    too_many = seen.intake.retired.get("too many", 0)
    if too_many:
        said = f"{counted(too_many, 'agent')} forgotten to make room for new ones"
        todo = "an exporter makes up ids, or intake.agents_max is too small for the fleet"
        yield Finding(Level.WARN, "room", said, todo)
    else:
        yield Finding(Level.OK, "room", "no agent was forgotten for want of room")


def _brake(seen: Seen) -> Iterator[Finding]:
    brake = seen.status.brake
    if brake.holding:
        yield Finding(
            Level.FAIL,
            "brake",
            f"it holds: {brake.holding}",
            "many sick at once have one cause more often than not: see `immune incidents`; "
            "what you fence by hand it doesn't count",
        )
    else:
        level = Level.OK if brake.room > 1 else Level.WARN
        said = f"{brake.fenced} of {brake.active} active agents fenced, room for {brake.room} more"
        yield Finding(level, "brake", said)


def _people(seen: Seen) -> Iterator[Finding]:
    waiting = [i for i in seen.open_incidents if i.state in ("awaiting_approval", "exhausted")]
    if not waiting:
        yield Finding(Level.OK, "people", "no case waits for a person")
        return
    counts = {state: sum(i.state == state for i in waiting) for state in {i.state for i in waiting}}
    said = ", ".join(f"{count} {plain(state)}" for state, count in sorted(counts.items()))
    todo = f"`immune incidents --state {','.join(sorted(counts))}` lists them"
    yield Finding(Level.WARN, "people", said, todo)


CHECKS: tuple[Callable[[Seen], Iterator[Finding]], ...] = (
    _server,
    _lockdown,
    _mode,
    _stores,
    _lease,
    _parts,
    _clocks,
    _host_clocks,
    _agents,
    _fences,
    _scoring,
    _refused,
    _spans,
    _retired,
    _brake,
    _people,
)
