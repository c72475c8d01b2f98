"""Options and words that several verbs share."""

from __future__ import annotations

import enum
from pathlib import Path
from typing import Annotated

import typer

Server = Annotated[
    str,
    typer.Option(
        "--server", envvar="IMMUNE_SERVER", metavar="URL", help="Where the server listens."
    ),
]
SERVER = "http://127.0.0.1:8090"

Json = Annotated[bool, typer.Option("--json", help="Print the server's answer as JSON.")]
Why = Annotated[str, typer.Option("--why", metavar="TEXT", help="The reason, for the record.")]
Who = Annotated[
    str, typer.Option("--who", metavar="NAME", help="Who decides; your login name by default.")
]
Incident = Annotated[str, typer.Argument(metavar="INCIDENT", help="Such as inc-7.")]
Agent = Annotated[str, typer.Argument(metavar="AGENT", help="The agent's id.")]
Limit = Annotated[int, typer.Option("--limit", min=1, max=10_000, help="How many at most.")]
Config = Annotated[
    Path | None,
    typer.Option(
        "--config",
        envvar="IMMUNE_SETTINGS",
        metavar="FILE",
        help="Settings in TOML.",
        show_default=False,
    ),
]
Seed = Annotated[int, typer.Option("--seed", metavar="N", help="Same seed, same run.")]


class Mode(enum.StrEnum):
    """How far the system may go by itself."""

    OBSERVE = "observe"
    ASK = "ask"
    ENFORCE = "enforce"


class Verdict(enum.StrEnum):
    """What a person who lets an agent go says of the case."""

    FALSE_ALARM = "false_alarm"
    NEW_NORMAL = "new_normal"
    FIXED_BY_HAND = "fixed_by_hand"
