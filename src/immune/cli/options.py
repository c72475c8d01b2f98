"""Options and words that several verbs share."""

from __future__ import annotations

import enum
from pathlib import Path
from typing import Annotated

import typer

Server = Annotated[
    str,
    typer.Option("--server", envvar="IMMUNE_SERVER", metavar="URL", help="Address of the server."),
]
SERVER = "http://127.0.0.1:8090"

Json = Annotated[
    bool, typer.Option("--json", help="Print the server's answer as it came, as JSON.")
]
Why = Annotated[
    str, typer.Option("--why", metavar="TEXT", help="The reason; it stays in the record.")
]
Who = Annotated[
    str, typer.Option("--who", metavar="NAME", help="Who decides; your login name unless told.")
]
Incident = Annotated[str, typer.Argument(metavar="INCIDENT", help="Such as inc-7.")]
Version = Annotated[
    int | None,
    typer.Option(
        "--version",
        min=1,
        metavar="N",
        help="The version you have seen; refused if the incident has moved on since.",
        show_default=False,
    ),
]
Yes = Annotated[
    bool, typer.Option("--yes", "-y", help="Show it, and decide on it as it is now without asking.")
]
Agent = Annotated[str, typer.Argument(metavar="AGENT", help="The agent's id.")]
Limit = Annotated[
    int, typer.Option("--limit", min=1, max=10_000, metavar="N", help="How many at most.")
]
Config = Annotated[
    Path | None,
    typer.Option(
        "--config",
        envvar="IMMUNE_SETTINGS",
        metavar="FILE",
        help="A TOML file of settings; `immune settings` lists them.",
        show_default=False,
    ),
]
Data = Annotated[
    Path | None,
    typer.Option(
        "--data", metavar="DIR", help="Folder of the server's data.", show_default="immune-data"
    ),
]
Seed = Annotated[int, typer.Option("--seed", metavar="N", help="The same seed gives the same run.")]


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
