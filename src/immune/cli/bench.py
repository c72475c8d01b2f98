"""``immune bench``: figures beside the thresholds they were promised against."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from immune.bench.figures import Figure, Report


def bench(
    name: Annotated[
        str, typer.Argument(metavar="[NAME]", help="Which one; without a name they are listed.")
    ] = "",
    quick: Annotated[bool, typer.Option("--quick", help="A smaller run, within 50 s.")] = False,
    json: Annotated[bool, typer.Option("--json", help="Print the figures as JSON.")] = False,
    seeds: Annotated[
        str, typer.Option(metavar="A-B", help="Run these seeds, such as 1-20.", show_default=False)
    ] = "",
    data: Annotated[
        Path | None,
        typer.Option(
            envvar="IMMUNE_BENCH_DATA",
            metavar="DIR",
            help="Recorded data, for those that need it.",
            show_default=False,
        ),
    ] = None,
    only: Annotated[
        str,
        typer.Option(
            metavar="PART", help="Run the parts whose name begins so.", show_default=False
        ),
    ] = "",
    agent_hours: Annotated[
        float | None,
        typer.Option(
            min=1.0,
            metavar="H",
            help="Exposure of each healthy workload of `detection`.",
            show_default=False,
        ),
    ] = None,
) -> None:
    """Measure; exit with 1 where a figure falls short of its threshold."""
    from rich.console import Console

    from immune.bench import benches, run_bench
    from immune.bench.options import Options
    from immune.cli.logs import faults_only
    from immune.cli.show import console, table

    faults_only()
    if not name:
        console.print(table(("bench", "measures"), benches().items()))
        return
    errors = Console(stderr=True, markup=False)
    with errors.status(name) as status:
        report = run_bench(
            name,
            Options(
                quick=quick,
                seeds=_seeds(seeds),
                data=data,
                only=only,
                agent_hours=agent_hours,
                progress=lambda part: status.update(f"{name}: {part}"),
            ),
        )
    if json:
        print(report.to_json().decode())
    else:
        tell(report)
    if not report.passed:
        raise typer.Exit(1)


def tell(report: Report) -> None:
    """Print the figures as a table."""
    from immune.cli.show import console, table

    console.print(
        table(
            ("figure", "value", "threshold", "rival", "", ""),
            [_row(figure) for figure in report.figures],
            right="value rival",
        )
    )
    short = sum(not figure.passed for figure in report.figures)
    console.print(
        "all within their thresholds"
        if report.passed
        else f"{short} of {len(report.figures)} short"
    )


def _row(figure: Figure) -> tuple[str, ...]:
    sense = "at most" if str(figure.sense) == "at_most" else "at least"
    return (
        figure.name,
        _number(figure.value),
        f"{sense} {figure.threshold:g} {figure.unit}",
        "" if figure.rival is None else _number(figure.rival),
        "" if figure.passed else "SHORT",
        figure.note,
    )


def _number(value: float | None) -> str:
    return "not measured" if value is None else f"{value:.4g}"


def _seeds(text: str) -> range | None:
    if not text:
        return None
    first, _, last = text.partition("-")
    if not (first.isdigit() and (last or first).isdigit()):
        raise typer.BadParameter("write it as A-B, such as 1-20", param_hint="--seeds")
    return range(int(first), int(last or first) + 1)
