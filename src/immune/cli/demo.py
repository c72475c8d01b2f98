"""``immune demo``: a simulated fleet falls ill and is healed before your eyes."""

from __future__ import annotations

from typing import Annotated

import typer

TONES = {"quiet": "dim", "alarm": "red", "person": "bold", "good": "green", "bad": "yellow"}


def demo(
    agents: Annotated[int, typer.Option(min=1, metavar="N", help="Size of the fleet.")] = 15,
    duration: Annotated[float, typer.Option(min=1, metavar="S", help="Seconds to run.")] = 600,
    port: Annotated[int, typer.Option(min=0, max=65535, help="Where the page listens.")] = 8090,
    seed: Annotated[int, typer.Option(metavar="N", help="Same seed, same infections.")] = 7,
    cold_start: Annotated[
        bool, typer.Option("--cold-start", help="Without the hour of history: learn from nothing.")
    ] = False,
    resume: Annotated[
        bool, typer.Option("--resume", help="Go on with the last demo's run.")
    ] = False,
) -> None:
    """Watch a simulated fleet fall ill and be healed, live, with a page to follow."""
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
