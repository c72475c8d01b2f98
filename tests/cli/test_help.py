"""``immune --help`` and the help of every verb: quick, and about what people need."""

from __future__ import annotations

import subprocess
import sys

import pytest

from immune import __version__
from tests.cli.conftest import Run

VERBS = [
    "demo", "serve", "simulate", "replay", "backtest", "status", "doctor", "agents", "incidents",
    "approve", "reject", "heal-now", "quarantine", "release", "mode", "chaos", "backup", "restore",
    "migrate", "bench", "lockdown", "alias", "delete", "settings",
]  # fmt: skip
PANELS = ["Run", "Real data", "Operate a running server", "Keep its data", "Measure", "Settings"]


def test_the_help_groups_the_verbs(run: Run) -> None:
    """Every verb stands in its panel."""
    code, out, _ = run("--help")
    assert code == 0
    for name in (*PANELS, *VERBS):
        assert name in out


@pytest.mark.parametrize("verb", VERBS)
def test_every_verb_explains_itself(run: Run, verb: str) -> None:
    """With usage and options, short and long."""
    code, out, _ = run(verb, "-h")
    assert code == 0
    assert f"immune {verb}" in out


def test_the_version_is_told(run: Run) -> None:
    """In one line."""
    assert run("--version") == (0, f"immune {__version__}\n", "")


@pytest.mark.parametrize("arguments", [["--help"], ["status"], ["demo", "--help"]])
def test_a_verb_loads_only_what_it_needs(arguments: list[str]) -> None:
    """Neither numpy nor the server, unless it runs one."""
    code = (
        "import sys\n"
        "from immune.cli import main\n"
        "try:\n"
        f"    main({[*arguments]!r})\n"
        "except SystemExit:\n"
        "    heavy = {'numpy', 'quart', 'sqlalchemy', 'uvicorn', 'immune.web'}\n"
        "    print('LOADED', sorted(heavy & set(sys.modules)))\n"
    )
    done = subprocess.run(  # noqa: S603  # our own interpreter
        [sys.executable, "-c", code],
        capture_output=True,
        text=True,
        check=True,
        timeout=30,
        env={"IMMUNE_SERVER": "http://127.0.0.1:1", "PATH": ""},
    )
    assert "LOADED []" in done.stdout
