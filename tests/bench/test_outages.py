"""An outage's figures: who is told as sick in it, who is not, and that a miss is counted."""

from __future__ import annotations

from immune.bench.outages import Outcome, outage_figures


def test_the_sick_in_an_outage_are_found_and_nobody_else() -> None:
    """One small fleet of each sickness: what is measured passes."""
    figures = list(outage_figures("model", [1], agents=60))
    assert [figure.name for figure in figures] == [
        "fleet/model/tokens/sick_found",
        "fleet/model/retries/sick_found",
        "fleet/model/tool_calls/sick_found",
        "fleet/model/bystanders_accused",
        "fleet/model/one_fleet_finding_and_right",
    ]
    assert all(figure.passed for figure in figures)
    assert figures[0].note.startswith("6 of 6")
    assert figures[3].note.startswith("0 of 90")


def test_what_is_missed_and_whoever_is_accused_shows() -> None:
    """Nothing found of six, a bystander accused, a run of two with another fleet finding."""
    outcome = Outcome(bystanders=50, accused=1, sick=6, runs=2, right=1)
    found = outcome.found_figure("x")
    accused, right = outcome.shared_figures("x")
    assert (found.value, found.passed) == (0.0, False)
    assert (accused.value, accused.passed) == (0.02, False)
    assert (right.value, right.passed) == (0.5, False)
