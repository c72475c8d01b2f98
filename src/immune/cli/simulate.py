"""``immune simulate``: an hour of a fleet in seconds, and the score."""

from __future__ import annotations

import enum
from typing import TYPE_CHECKING, Annotated

import typer

from immune.cli import options
from immune.cli.shapes import counted
from immune.words import cause_name, outcome_name, percent

if TYPE_CHECKING:
    from immune.simulation.report import InjectionRow, Report, Summary


class Chaos(enum.StrEnum):
    """What befalls the fleet."""

    NONE = "none"
    WAVES = "waves"
    STEADY = "steady"
    OUTAGE = "outage"
    RELEASE = "release"


class Noise(enum.StrEnum):
    """How much healthy vitals vary."""

    REAL = "real"
    CALM = "calm"
    CLUSTERED = "clustered"


class Operator(enum.StrEnum):
    """What the person on call does, after ten seconds."""

    APPROVE = "approve"
    REJECT = "reject"
    ABSENT = "absent"


class Switch(enum.StrEnum):
    """On or off."""

    ON = "on"
    OFF = "off"


def simulate(
    agents: Annotated[int, typer.Option(min=1, metavar="N", help="Size of the fleet.")] = 15,
    seconds: Annotated[
        int, typer.Option(min=1, metavar="T", help="Virtual seconds, warm-up included.")
    ] = 1800,
    seed: options.Seed = 0,
    chaos: Annotated[Chaos, typer.Option(help="What befalls the fleet.")] = Chaos.WAVES,
    warmup: Annotated[
        int | None,
        typer.Option(
            min=0,
            metavar="W",
            help="Seconds before anything befalls it; 900 unless told, at most half of T.",
            show_default=False,
        ),
    ] = None,
    noise: Annotated[Noise, typer.Option(help="How healthy vitals vary.")] = Noise.REAL,
    operator: Annotated[
        Operator, typer.Option(help="What the person on call does.")
    ] = Operator.APPROVE,
    memory: Annotated[
        Switch, typer.Option(help="Order the ladders by what worked before.")
    ] = Switch.ON,
    json: Annotated[bool, typer.Option("--json", help="Print the scoreboard as JSON.")] = False,
) -> None:
    """Run the whole system on a simulated fleet in virtual time, and keep the score.

    [bold]waves[/bold] makes many agents sick in three waves, [bold]steady[/bold] one after the
    other; [bold]outage[/bold] takes a provider away, [bold]release[/bold] changes all agents of a
    type for good.
    """
    import msgspec

    from immune.cli.logs import faults_only
    from immune.run.simulate import SimulateOptions, run_simulate

    faults_only()
    options = SimulateOptions(
        agents=agents,
        seconds=seconds,
        seed=seed,
        chaos=str(chaos),
        warmup_s=min(900, seconds // 2) if warmup is None else warmup,
        noise=str(noise),
        operator=str(operator),
        memory=memory is Switch.ON,
    )
    report = run_simulate(options)
    if json:
        print(msgspec.json.encode(report).decode())
        return
    if options.brake.share >= 1.0:
        print("The brake on ourselves is at 100 %: all of a wave may be fenced at once.")
    tell(report, "of virtual time")


def tell(report: Report, of: str = "") -> None:
    """Print a scoreboard in plain words; `of` says what kind of time it was."""
    from immune.cli.show import console, span, table

    s = report.summary
    console.print(
        f"{report.agents} agents for {span(report.seconds)}{' ' + of if of else ''} "
        f"(seed {report.seed}): {s.agent_steps:,} steps, {s.healthy_agent_steps:,} of them healthy"
    )
    if report.injections:
        console.print()
        console.print(
            table(
                ("at", "agent", "infection", "strain", "contained", "diagnosis", "healing", "end"),
                [_row(row) for row in report.injections],
                right="at",
            )
        )
    console.print()
    for name, said in _figures(s):
        if said:
            console.print(f"{name:<18} {said}")


def _row(row: InjectionRow) -> tuple[str, ...]:
    healing = " → ".join(
        f"{taken.action}{_proof(taken.applied, taken.verified)}" for taken in row.actions
    )
    contained = row.steps_to_contain
    diagnosis = cause_name(row.diagnosis) if row.diagnosis else ""
    return (
        f"{row.at_s:.0f} s",
        row.agent_id,
        row.infection,
        row.strain,
        "never" if contained is None else f"after {counted(contained, 'step')}",
        diagnosis + (" (asked)" if row.asked_human else ""),
        healing,
        "open" if row.resolved_at_s is None else f"resolved at {row.resolved_at_s:.0f} s",
    )


def _proof(applied: bool, verified: bool | None) -> str:
    if not applied:
        return " (failed)"
    return {True: " (cured)", False: f" ({outcome_name('relapsed')})", None: ""}[verified]


def _figures(s: Summary) -> list[tuple[str, str]]:
    delay = "nothing to contain"
    if s.median_steps_to_contain is not None and s.p90_steps_to_contain is not None:
        delay = (
            f"after {s.median_steps_to_contain:.0f} steps in the median, "
            f"nine of ten within {s.p90_steps_to_contain:.0f}"
        )
    disruption = s.mean_disruption_per_cure
    return [
        ("contained", f"{s.contained} of {s.injected} infections, {delay}"),
        (
            "false alarms",
            f"{s.false_quarantines} healthy agents quarantined, "
            f"{s.false_suspicions} suspected without consequence",
        ),
        (
            "healed",
            f"{s.resolved} cases resolved, {s.verified_on_fresh_vitals} of them proved on fresh "
            f"vitals, {s.resolved_while_sick} while still sick",
        ),
        (
            "actions",
            f"{s.actions_applied} applied, {s.actions_relapsed} relapsed"
            + (f", mean disruption {disruption:.1f} a cure" if disruption is not None else ""),
        ),
        ("asked a person", f"{s.asked_human} times"),
        ("right diagnosis", "" if s.right_diagnosis is None else percent(s.right_diagnosis)),
        (
            "availability",
            "" if s.availability is None else f"{percent(s.availability, 1)} of agent time",
        ),
        (
            "CPU",
            f"{s.cpu_s:.1f} s, {s.simulator_cpu_s:.1f} s of it the simulator's own"
            if s.cpu_s is not None and s.simulator_cpu_s is not None
            else "",
        ),
    ]
