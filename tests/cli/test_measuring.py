"""``immune simulate`` and ``immune bench``: the same figures for people and for programs."""

from __future__ import annotations

import json

from tests.cli.conftest import Run

SMALL = ("simulate", "--agents", "4", "--seconds", "30", "--warmup", "5", "--seed", "3")


def test_a_simulation_prints_its_score(run: Run) -> None:
    """In words, and as one object of JSON."""
    code, out, _ = run(*SMALL)
    assert code == 0
    assert "4 agents for 30 s of virtual time (seed 3)" in out
    for name in ("contained", "false alarms", "healed", "asked a person", "availability"):
        assert name in out
    code, out, _ = run(*SMALL, "--chaos", "none", "--json")
    score = json.loads(out)
    assert (code, score["seed"], score["agents"], score["injections"]) == (0, 3, 4, [])
    assert score["summary"]["median_steps_to_contain"] is None


def test_a_word_that_is_none_of_the_choices_is_refused(run: Run) -> None:
    """Exit code 2, naming the choices."""
    code, _, error = run("simulate", "--chaos", "mayhem")
    assert code == 2
    assert "outage" in error


def test_benches_are_listed(run: Run) -> None:
    """Without a name; an unknown one is refused, as are seeds that are none."""
    code, out, _ = run("bench")
    assert code == 0
    assert "loop" in out
    assert run("bench", "nothing")[0] == 1
    assert run("bench", "loop", "--seeds", "some")[0] == 2
