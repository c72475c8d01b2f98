"""``immune demo``: a simulated fleet falls ill and is healed before your eyes."""

from __future__ import annotations

from typing import Annotated

import typer

TONES = {"quiet": "dim", "alarm": "red", "person": "bold", "good": "green", "bad": "yellow"}


def demo(
    agents: Annotated[int, typer.Option(min=1, metavar="N", help="Size of the fleet.")] = 15,
    duration: Annotated[
        float, typer.Option(min=1, metavar="S", help="Seconds to run; Ctrl-C ends it before.")
    ] = 600,
    port: Annotated[
        int, typer.Option(min=0, max=65535, metavar="N", help="Of the page; 0 takes any.")
    ] = 8090,
    seed: Annotated[
        int, typer.Option(metavar="N", help="The same seed gives the same infections.")
    ] = 7,
    cold_start: Annotated[
        bool, typer.Option("--cold-start", help="Learn from nothing, not from an hour of history.")
    ] = False,
    resume: Annotated[
        bool, typer.Option("--resume", help="Go on with the last demo's run.")
    ] = False,
) -> None:
    """Watch a simulated fleet fall ill and be healed, live, with a page to follow.

    Keeps its data in the folder [bold]immune-demo[/bold]; the scoreboard comes at the end.
    """
    from immune.cli.logs import faults_only
    from immune.cli.show import console
    from immune.cli.simulate import tell
    from immune.run.demo import DemoOptions, run_demo

    faults_only()
    report = run_demo(
        DemoOptions(
            agents=agents,
            duration_s=duration,
            port=port,
            seed=seed,
            cold_start=cold_start,
            resume=resume,
        ),
        lambda text, tone: console.print(text, style=TONES.get(tone, "")),
    )
    console.print()
    tell(report)
