"""The verbs and how ``immune --help`` groups them."""

from __future__ import annotations

from typing import Annotated

import typer

from immune import __version__
from immune.cli.agents import agents
from immune.cli.alias import alias
from immune.cli.approve import approve
from immune.cli.backtest import backtest
from immune.cli.backup import backup
from immune.cli.bench import bench
from immune.cli.chaos import chaos
from immune.cli.delete import delete
from immune.cli.demo import demo
from immune.cli.doctor import doctor
from immune.cli.heal_now import heal_now
from immune.cli.incidents import incidents
from immune.cli.lockdown import lockdown
from immune.cli.migrate import migrate
from immune.cli.mode import mode
from immune.cli.quarantine import quarantine
from immune.cli.reject import reject
from immune.cli.release import release
from immune.cli.replay import replay
from immune.cli.restore import restore
from immune.cli.serve import serve
from immune.cli.settings import settings
from immune.cli.simulate import simulate
from immune.cli.status import status

RUN = "Run"
DATA = "Real data"
OPERATE = "Operate a running server"
KEEP = "Keep its data"
MEASURE = "Measure"
SETTINGS = "Settings"

app = typer.Typer(
    name="immune",
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode="rich",
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)


def _version(asked: bool) -> None:
    if asked:
        print(f"immune {__version__}")
        raise typer.Exit


@app.callback()
def immune(
    version: Annotated[
        bool,
        typer.Option("--version", help="Print the version.", callback=_version, is_eager=True),
    ] = False,
) -> None:
    """An immune system for fleets of AI agents.

    It learns what is normal for each agent, fences the sick, heals them and proves the cure.

    New here? Run [bold]immune demo[/bold] and open the page that it names.
    """


app.command(rich_help_panel=RUN)(demo)
app.command(rich_help_panel=RUN)(serve)
app.command(rich_help_panel=RUN)(simulate)
app.command(rich_help_panel=DATA)(replay)
app.command(rich_help_panel=DATA)(backtest)
app.command(rich_help_panel=OPERATE)(status)
app.command(rich_help_panel=OPERATE)(doctor)
app.command(rich_help_panel=OPERATE)(agents)
app.command(rich_help_panel=OPERATE)(incidents)
app.command(rich_help_panel=OPERATE)(approve)
app.command(rich_help_panel=OPERATE)(reject)
app.command("heal-now", rich_help_panel=OPERATE)(heal_now)
app.command(rich_help_panel=OPERATE)(quarantine)
app.command(rich_help_panel=OPERATE)(release)
app.command(rich_help_panel=OPERATE)(lockdown)
app.command(rich_help_panel=OPERATE)(mode)
app.command(rich_help_panel=OPERATE)(alias)
app.command(rich_help_panel=OPERATE)(delete)
app.command(rich_help_panel=OPERATE)(chaos)
app.command(rich_help_panel=KEEP)(backup)
app.command(rich_help_panel=KEEP)(restore)
app.command(rich_help_panel=KEEP)(migrate)
app.command(rich_help_panel=MEASURE)(bench)
app.command(rich_help_panel=SETTINGS)(settings)
