"""The fakes that no store's contract covers: the scripted link and the recording notifier."""

from __future__ import annotations

import pytest

from immune.clock import ManualClock
from immune.columns import Names, from_vitals
from immune.errors import ActionFailed, Transient, Unreachable
from immune.healing.actions import Action, ActionAnswer, Change, TreatmentState
from immune.incidents import effects as fx
from immune.ports import AgentLink, Notifier
from immune.testing import LinkCall, MemoryTelemetry, RecordingNotifier, ScriptedLink
from tests.stores import cases as c
from tests.stores.cases import NOW, vital


@pytest.fixture
def link() -> ScriptedLink:
    return ScriptedLink(ManualClock(NOW))


async def test_an_action_is_done_once_for_its_key(link: ScriptedLink) -> None:
    """The second call answers as the first did, and changes nothing more."""
    answer = ActionAnswer(NOW + 1, (Change("memory", "9 items", "0 items"),))
    link.script("a", Action.RESET_MEMORY, answer)
    as_port: AgentLink = link
    assert await as_port.apply("a", Action.RESET_MEMORY, "k1") == answer
    assert await as_port.apply("a", Action.RESET_MEMORY, "k1") == answer
    assert await as_port.apply("a", Action.RESET_MEMORY, "k2") == ActionAnswer(NOW)
    assert [call.key for call in link.calls] == ["k1", "k1", "k2"]
    assert [call.key for call in link.done] == ["k1", "k2"]


async def test_a_failure_is_an_answer_and_silence_is_none(link: ScriptedLink) -> None:
    """A failed key fails again; one that reached nobody may be tried again."""
    link.script("a", Action.WAIT, Unreachable("away"), ActionFailed("no"), ActionAnswer(NOW))
    with pytest.raises(Unreachable):
        await link.apply("a", Action.WAIT, "k")
    for _ in range(2):
        with pytest.raises(ActionFailed, match="no"):
            await link.apply("a", Action.WAIT, "k")
    assert await link.apply("a", Action.WAIT, "k2") == ActionAnswer(NOW)
    link.unreachable.add("a")
    with pytest.raises(Unreachable):
        await link.lift("a", c.treatment("t", TreatmentState.LIFTING), "k3")
    with pytest.raises(Unreachable):
        await link.fence("a", True, "k4")


async def test_fences_and_capabilities(link: ScriptedLink) -> None:
    """Who is refused, who can do what, and that nobody may be there to enforce it."""
    assert await link.fence("a", True, "f1")
    assert link.refused == {"a"}
    assert await link.fence("a", False, "f2")
    assert await link.fence("a", True, "f1")
    assert link.refused == set()
    link.enforces = False
    assert not await link.fence("a", True, "f3")
    assert link.done == [LinkCall("fence", "a", True, "f1"), LinkCall("fence", "a", False, "f2")]
    link.can("b", Action.WAIT)
    assert link.capabilities("a") == frozenset(Action)
    assert link.capabilities("b") == {Action.WAIT}
    await link.lift("a", c.treatment("t", TreatmentState.LIFTING), "l1")
    assert link.calls[-1] == LinkCall("lift", "a", Action.REVOKE_TOOLS, "l1")


async def test_the_notifier_keeps_what_was_delivered() -> None:
    """And not what failed."""
    notifier = RecordingNotifier()
    as_port: Notifier = notifier
    notice = fx.Notify(key="1", agent_id="a", topic=fx.Topic.FLEET, incident_id="i", text="t")
    notifier.fail(Transient("later"))
    with pytest.raises(Transient):
        await as_port.send([notice])
    await as_port.send([notice, notice])
    assert notifier.messages == [(notice, notice)]
    assert notifier.notices == [notice, notice]


async def test_the_memory_of_telemetry_is_bounded() -> None:
    """The oldest batch goes, with its step ids; the count stays."""
    names = Names()
    store = MemoryTelemetry(names, keep_batches=3)
    for i in range(5):
        await store.append(from_vitals([vital(NOW + i, step_id=f"s-{i}")], names))
    assert [v.at - NOW for v in await store.read("agent-1")] == [2, 3, 4]
    await store.append(from_vitals([vital(NOW + 9, step_id="s-0")], names))
    assert await store.count() == 6
