"""The page and the command line say the same thing alike."""

from __future__ import annotations

from typing import Any

from immune import words
from immune.diagnosis.causes import Cause
from immune.healing.actions import Outcome
from immune.incidents.events import Verdict, name
from immune.incidents.states import TABLE, State
from immune.modes import Mode
from tests.page.conftest import Viewer
from tests.page.stage import Stage


async def _module(stage: Stage, viewer: Viewer, module: str, made: str) -> Any:
    """What a script makes of one of the page's modules, there called `m`."""
    stage.running = False
    page = await viewer.open()
    return await page.evaluate(f"import('/static/{module}.js').then((m) => {made})")


async def test_both_have_one_list_of_words(stage: Stage, viewer: Viewer) -> None:
    """States, modes, events, causes, outcomes and verdicts, each with a word of its own."""
    causes = ", ".join(f"m.causeName('{cause}')" for cause in Cause)
    made = f"({{...m, causes: [{causes}]}})"
    page = await _module(stage, viewer, "words", made)
    said = {state: meaning["label"].lower() for state, meaning in page["STATES"].items()}
    assert said == {state: words.plain(state) for state in said}
    assert said.keys() >= set(State)
    assert {mode: meaning["means"] for mode, meaning in page["MODES"].items()} == words.MODES
    assert words.MODES.keys() == set(Mode)
    assert {event: said.lower() for event, said in page["EVENTS"].items()} == words.EVENTS
    assert words.EVENTS.keys() >= {name(event) for row in TABLE.values() for event in row}
    assert [said.lower() for said in page["causes"]] == [words.cause_name(c) for c in Cause]
    outcomes = {outcome: words.outcome_name(outcome) for outcome in Outcome}
    assert {outcome: said.lower() for outcome, said in page["OUTCOMES"].items()} == outcomes
    verdicts = {verdict: meaning["label"].lower() for verdict, meaning in page["VERDICTS"].items()}
    assert verdicts == {verdict: words.plain(verdict) for verdict in Verdict}


async def test_both_write_percent_alike(stage: Stage, viewer: Viewer) -> None:
    """Halves go up, and what is not all or nothing never reads so."""
    shares = [n / 1000 for n in range(1100)] + [0.0001, 0.9999, 0.99999999, 0.625, 2.5]
    for places in (0, 1):
        made = f"{shares}.map((share) => m.percent(share, {places}))"
        assert await _module(stage, viewer, "format", made) == [
            words.percent(share, places) for share in shares
        ]
    assert [words.percent(share) for share in (0, 0.004, 0.625, 0.996, 1)] == [
        "0 %",
        "<1 %",
        "63 %",
        ">99 %",
        "100 %",
    ]
