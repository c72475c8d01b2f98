"""``immune status``: the system in one look."""

from __future__ import annotations

from immune.cli import options
from immune.words import MODES, plain

UNDO = "immune lockdown --undo"


def status(server: options.Server = options.SERVER, json: options.Json = False) -> None:
    """Show lockdowns that stand, the mode, the agents by state, the brake, and what is degraded."""
    from immune.cli.remote import Remote, read
    from immune.cli.shapes import Lockdown, Status
    from immune.cli.show import console, span

    with Remote(server) as remote:
        body = remote.get("/api/status")
        if json:
            print(body.decode())
            return
        seen = read(body, Status)
        lockdowns = read(remote.get("/api/lockdowns"), list[Lockdown])
    for lockdown in lockdowns:
        console.print(
            f"LOCKDOWN   {lockdown.words(seen.agents)}; undo with `{UNDO}`", style="bold red"
        )
    console.print(f"mode       {seen.mode}: {MODES.get(seen.mode, '')}")
    for agent_type, mode in sorted(seen.modes_by_type.items()):
        console.print(f"           {mode} for agents of type {agent_type}")
    if seen.mode == "observe":
        would = seen.would_have
        console.print(
            f"           it would have quarantined {would.quarantined} "
            f"and asked about {would.asked} of them"
        )
    states = ", ".join(f"{count} {plain(name)}" for name, count in sorted(seen.by_state.items()))
    console.print(f"agents     {seen.agents}, {seen.active} of them active: {states or 'none yet'}")
    brake = seen.brake
    off = brake.share >= 1.0
    room = "the brake is off" if off else f"room for {max(brake.room, 0)} more"
    holding = f"HOLDS: {brake.holding}" if brake.holding else room
    console.print(f"brake      {brake.fenced} of {brake.active} fenced, {holding}")
    for bound in () if off else brake.bounds:
        console.print(f"           {bound.words()}")
    console.print(f"vitals     {seen.accepted} accepted, {seen.queued} waiting to be scored")
    for incident in seen.fleet_incidents:
        console.print(f"fleet      {incident.headline()}: {incident.summary}")
    for task in seen.degraded:
        console.print(f"DEGRADED   {task.name}: {task.last_error}", style="bold red")
    up = span(seen.now - seen.started_at)
    console.print(f"server     {seen.version}, run {seen.run_id}, up {up}")
