"""``immune backtest``: what the system would have said of recorded vitals."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from immune.cli import options

if TYPE_CHECKING:
    from immune.backtest.hindsight import Case, Hindsight, Scores


def backtest(
    file: Annotated[
        Path,
        typer.Argument(
            exists=True,
            dir_okay=False,
            readable=True,
            metavar="FILE",
            help="Vitals, one a line, gzip or not; or Parquet of vitals, or of series and values.",
        ),
    ],
    json: Annotated[bool, typer.Option("--json", help="Print what was found as JSON.")] = False,
    scores: Annotated[
        Path | None,
        typer.Option(metavar="OUT", help="Write a score per step as Parquet.", show_default=False),
    ] = None,
    config: options.Config = None,
) -> None:
    """Tell which agents would have been suspected and fenced, when, why, and at what price."""
    import msgspec

    from immune.backtest.hindsight import Backtest
    from immune.backtest.recording import read
    from immune.cli.configured import configured

    settings, _ = configured(config)
    if scores is not None:
        check(scores, file)
    test = Backtest(settings.detection)
    found = test.run(read(file))
    if scores is not None:
        write(test.scores, scores)
    if json:
        print(msgspec.json.encode(found).decode())
    else:
        tell(found)


def check(scores: Path, file: Path) -> None:
    """See that scores can be written, before the work is done.

    Raises InvalidInput where they can't or would take the place of what is read, NotFound where
    pyarrow isn't installed.
    """
    import os

    from immune.backtest.parquet import arrow
    from immune.errors import InvalidInput

    arrow("parquet")
    if not scores.parent.is_dir():
        raise InvalidInput("--scores", f"there is no folder {scores.parent}")
    if scores.exists() and scores.samefile(file):
        raise InvalidInput("--scores", f"{scores} is the recording itself")
    if scores.is_dir() or not os.access(scores if scores.exists() else scores.parent, os.W_OK):
        raise InvalidInput("--scores", f"{scores} can't be written")


def write(scores: Scores, file: Path) -> None:
    """Write scores as Parquet; raises NotFound where pyarrow isn't installed."""
    from dataclasses import asdict

    from immune.backtest.parquet import arrow

    columns = {("agent_id" if name == "agent" else name): c for name, c in asdict(scores).items()}
    arrow("parquet").write_table(arrow().table(columns), file)


def tell(found: Hindsight) -> None:
    """Print what was found in words."""
    from immune.cli.show import console, span, table

    console.print(
        f"{found.steps:,} steps of {found.agents:,} agents in {span(3600 * found.hours)}"
        + (f"; {found.refused:,} refused" if found.refused else "")
        + (f"; {found.repeated:,} sent again and left out" if found.repeated else "")
    )
    for refusal in found.refusals:
        console.print(f"  {refusal}")
    if found.unknown:
        console.print(f"  not looked at, as nobody knows them: {', '.join(found.unknown)}")
    if not found.cases:
        console.print("nobody would have been suspected")
        return
    console.print()
    columns = ("agent", "since", "suspected", "fenced", "stopped", "spent after", "why")
    console.print(table(columns, [_row(case) for case in found.cases], right="stopped"))
    console.print()
    console.print(
        f"agents suspected: {found.suspected}, fenced: {found.quarantined}; "
        f"{found.stopped_h:.1f} agent-hours stopped, "
        f"{found.usd_after:.2f} USD not spent after the findings"
    )


def _row(case: Case) -> tuple[str, ...]:
    from immune.cli.show import span

    fenced = case.quarantined_at is not None
    spent = ", ".join(
        said
        for said, amount in (
            (f"{case.usd_after:.2f} USD", case.usd_after),
            (f"{case.tokens_after:,.0f} tokens", case.tokens_after),
        )
        if amount
    )
    return (
        case.agent_id,
        _time(case.onset_at),
        _time(case.suspected_at),
        _time(case.quarantined_at) or (f"no: {case.why_not}" if case.why_not else "no"),
        span(3600 * case.stopped_h) if fenced else "",
        spent if fenced else "",
        f"{case.cause}: {'; '.join(case.why)}",
    )


def _time(at: float | None) -> str:
    from datetime import UTC, datetime

    return "" if at is None else datetime.fromtimestamp(at, UTC).isoformat(" ", "seconds")[:19]
