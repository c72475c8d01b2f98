"""``immune settings``: what is set, where it came from, what it means."""

from __future__ import annotations

from pathlib import Path

import pytest

from immune.cli.settings import explanations
from immune.settings import Settings, listing
from tests.cli.conftest import Run


def _line(out: str, name: str) -> str:
    return next(line for line in out.splitlines() if line.split(" ")[0] == name)


def test_each_value_says_where_it_came_from(
    run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Default, file, environment; later ones win."""
    file = tmp_path / "immune.toml"
    file.write_text('mode = "ask"\n[server]\nport = 9000\n')
    monkeypatch.setenv("IMMUNE_SERVER__PORT", "9001")
    monkeypatch.setenv("IMMUNE_SERVER", "http://127.0.0.1:9")  # the verbs' own: no setting
    monkeypatch.setenv("IMMUNE_SETTINGS", "immune.toml")  # names the file: no setting
    code, out, _ = run("settings", "--config", str(file))
    assert code == 0
    assert _line(out, "mode").split()[1:] == ["ask", "file", "immune.toml"]
    assert _line(out, "server.port").split()[1:] == ["9001", "environment", "IMMUNE_SERVER__PORT"]
    assert _line(out, "server.host").split()[-1] == "default"


def test_the_secret_is_not_shown(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    """Only whether there is one."""
    monkeypatch.setenv("IMMUNE_NOTIFY__WEBHOOK_SECRET", "hunter2")
    _, out, _ = run("settings")
    assert "hunter2" not in out
    assert "(set)" in _line(out, "notify.webhook_secret")


def test_a_databases_password_is_not_shown(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    """The rest of its address is."""
    url = "postgresql://immune:hunter2@db.local/immune"
    monkeypatch.setenv("IMMUNE_STORE__WORKFLOW_URL", url)
    _, out, _ = run("settings")
    assert "hunter2" not in out
    assert "postgresql://immune:***@db.local/immune" in _line(out, "store.workflow_url")


def test_a_wrong_setting_is_named_with_its_origin(
    run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Exit code 2, as for any wrong usage, and one line."""
    monkeypatch.setenv("IMMUNE_SERVER__PORT", "ninety")
    code, _, error = run("settings")
    assert (code, error.count("\n")) == (2, 1)
    assert "server.port" in error
    assert "IMMUNE_SERVER__PORT" in error


def test_every_setting_is_explained() -> None:
    """Each field has its docstring: unit, default, reason."""
    said = dict(explanations(Settings))
    silent = [name for name, _ in listing(Settings()) if not said.get(name)]
    assert silent == []


def test_the_explanations_are_printed(run: Run) -> None:
    """In the words of the settings' own module."""
    _, out, _ = run("settings", "--explain")
    assert "Where it listens" not in out
    assert "server.port = 8090 (default)" in out
    assert "0 takes a free one" in out
