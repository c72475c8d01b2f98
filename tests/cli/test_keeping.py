"""``immune backup``, ``restore`` and ``migrate``: what is kept, in one line each."""

from __future__ import annotations

import asyncio
from pathlib import Path

from tests.cli.conftest import Run
from tests.stores.installation import contents, furnish, installation


def test_a_backup_is_made_and_put_back(run: Run, tmp_path: Path) -> None:
    """Each says what it did, and where."""
    before = asyncio.run(furnish(installation(tmp_path / "here")))
    file = tmp_path / "immune.backup"
    code, out, _ = run("backup", str(file), "--data", str(tmp_path / "here"))
    assert code == 0
    assert "workflow.db, spans.journal, telemetry.db, salt" in out
    there = tmp_path / "there"
    code, out, _ = run("restore", str(file), "--data", str(there))
    assert code == 0
    assert out.startswith("restored to")
    assert asyncio.run(contents(installation(there)))[0] == before
    code, out, error = run("restore", str(file), "--data", str(there))
    assert (code, out, error.count("\n")) == (1, "", 1)
    assert "exists already" in error


def test_a_workflow_moves(run: Run, tmp_path: Path) -> None:
    """Rows are counted by table; a wrong URL is wrong usage."""
    place = installation(tmp_path / "here")
    asyncio.run(furnish(place))
    target = f"sqlite:///{tmp_path}/there.db"
    code, out, _ = run("migrate", "--from", f"sqlite:///{place.workflow.database}", "--to", target)
    assert code == 0
    assert ["incidents", "1"] in [line.split() for line in out.splitlines()]
    code, _, error = run("migrate", "--from", "nonsense", "--to", target)
    assert (code, error) == (
        2,
        "immune: --from: is no database URL, such as postgresql://user@host/immune\n",
    )
