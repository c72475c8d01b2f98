"""A loop without progress is told after ten equal calls; what only looks like one is not."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.detection_rules.steps import START, batch, call, cut, step

from immune.columns import Names
from immune.detection.findings import Source, Tier
from immune.detection.hits import Hit
from immune.detection.repetition import Repetition
from immune.detection.rule_params import RepetitionParams
from immune.vitals import ToolCall, Vital


def watch(vitals: Iterable[Vital], one_by_one: bool = False) -> list[Hit]:
    names = Names()
    rule = Repetition(RepetitionParams(), names)
    vitals = list(vitals)
    batches = [[vital] for vital in vitals] if one_by_one else [vitals]
    return [hit for part in batches for hit in rule.observe(batch(names, part))]


def test_ten_equal_calls_in_one_step_are_a_loop() -> None:
    """A step that makes the same call ten times is cut off at once, with the tool's name."""
    (hit,) = watch([step(0, *[call("search")] * 10)])
    assert hit.tier is Tier.QUARANTINE
    assert hit.source is Source.REPETITION
    assert hit.severity_floor == 5
    assert hit.can_fence
    assert hit.facts.repeated_tool == "search"
    assert hit.facts.repeats == 10


def test_nine_equal_calls_are_none() -> None:
    """Nine equal calls and then another one are no loop."""
    assert watch([step(0, *[call("search")] * 9, call("read"))]) == []


@pytest.mark.parametrize("one_by_one", [False, True])
def test_equal_calls_of_successive_steps_add_up(one_by_one: bool) -> None:
    """One equal call a step is a loop at the tenth step, and it began at the first."""
    (hit,) = watch([step(t, call("search")) for t in range(19)], one_by_one)
    assert hit.at == START + 9
    assert hit.onset_at == START


def test_a_loop_is_told_again_only_when_it_has_doubled() -> None:
    """After 10 repeats the same streak is told at 20 and at 40, not at every step."""
    hits = watch([step(t, call("search")) for t in range(79)], one_by_one=True)
    assert [hit.facts.repeats for hit in hits] == [10, 20, 40]


def test_ping_pong_between_two_tools_is_a_loop() -> None:
    """Two tools that call for one another without progress are a loop at ten rounds."""
    hits = watch([step(t, call("open"), call("close")) for t in range(12)])
    assert [hit.facts.repeats for hit in hits] == [10]


def test_pagination_is_no_loop() -> None:
    """The same tool with other arguments each time goes through pages."""
    assert watch([step(t, call("list", args=t + 1)) for t in range(50)]) == []


def test_a_changing_result_is_progress() -> None:
    """The same question with another answer each time is no loop."""
    assert watch([step(t, call("status", result=t + 1)) for t in range(50)]) == []


def test_an_unknown_result_is_no_progress() -> None:
    """Where results are not reported, equal calls count."""
    assert len(watch([step(t, call("search", result=0)) for t in range(10)])) == 1


def test_unknown_arguments_never_count() -> None:
    """Calls whose arguments are not reported can't be called equal."""
    assert watch([step(0, *[call("search", args=0)] * 60)]) == []


@pytest.mark.parametrize(
    ("every_s", "took_s"),
    [(2.0, 0.2), (3.0, 0.2), (3.0, 1.0), (4.2, 0.2), (4.2, 1.4), (5.5, 0.5), (30, 5), (600, 0.5)],
)
def test_polling_is_no_loop(every_s: float, took_s: float) -> None:
    """An agent that asks the same thing and then waits twice as long as that took polls."""
    polls = [step(t * every_s, call("status"), latency_ms=1000 * took_s) for t in range(60)]
    assert watch(polls) == []


@pytest.mark.parametrize(("every_s", "took_s"), [(1.0, 0.2), (1.5, 0.5), (2.9, 1.0), (6.0, 2.1)])
def test_an_agent_that_waits_less_than_a_poller_loops(every_s: float, took_s: float) -> None:
    """The second between two steps that its tool took makes a loop no poll."""
    loop = [step(t * every_s, call("search"), latency_ms=1000 * took_s) for t in range(10)]
    assert len(watch(loop)) == 1


def test_where_nobody_says_how_long_steps_take_slow_begins_at_five_seconds() -> None:
    """Without latency the time between two steps may be all work."""
    assert len(watch([step(t * 4.0, call("search")) for t in range(10)])) == 1
    assert watch([step(t * 5.0, call("search")) for t in range(60)]) == []


def test_polling_by_a_tool_that_waits_is_no_loop() -> None:
    """Where the waiting is done inside the step, a slow pace is a poll all the same."""
    polls = [step(t * 12.0, call("wait_for"), latency_ms=12_000.0) for t in range(60)]
    assert watch(polls) == []


def test_a_slow_model_does_not_hide_a_loop() -> None:
    """Steps of 6 s without a pause between them are a loop, not a poll."""
    loop = [step(t * 6.0, call("search"), latency_ms=5_900.0) for t in range(10)]
    assert len(watch(loop)) == 1


def test_back_off_is_no_loop() -> None:
    """Retries that wait twice as long each time give up before they are ten at a loop's pace."""
    at = np.cumsum([0, *[2.0**k for k in range(12)]])
    failing = call("fetch", ok=False)
    assert watch([step(float(t), failing, latency_ms=100.0) for t in at]) == []


@pytest.mark.parametrize("first_s", [0.1, 0.25, 0.5, 1.0])
@pytest.mark.parametrize("ceiling_s", [2.0, 4.0, 8.0, 30.0])
@pytest.mark.parametrize("one_by_one", [False, True])
def test_back_off_up_to_a_ceiling_is_no_loop(
    first_s: float, ceiling_s: float, one_by_one: bool
) -> None:
    """Sixty retries that wait twice as long each time, and the same from some time on."""
    waits = np.minimum(first_s * 2.0 ** np.arange(60), ceiling_s)
    at = np.cumsum(waits + 0.2)
    retries = [step(float(t), call("fetch", ok=False), latency_ms=200.0) for t in at]
    assert watch(retries, one_by_one) == []


@pytest.mark.parametrize("ceiling_s", [4.0, 8.0, 30.0])
def test_back_off_with_chance_in_it_is_no_loop(ceiling_s: float) -> None:
    """Between half the wait and all of it, so that not all come back at once."""
    rng = np.random.default_rng(14)
    for _ in range(50):
        waits = np.minimum(0.5 * 2.0 ** np.arange(40), ceiling_s)
        at = np.cumsum(waits * rng.uniform(0.5, 1, 40) + 0.2)
        retries = [step(float(t), call("fetch", ok=False), latency_ms=200.0) for t in at]
        assert watch(retries) == []


def test_back_off_within_a_step_is_no_loop() -> None:
    """Twelve tries in one step of four minutes are not made at a loop's pace."""
    assert watch([step(300, *[call("fetch", ok=False)] * 12, latency_ms=240_000.0)]) == []


@pytest.mark.parametrize("growth", [1.15, 1.3, 2.0])
def test_waits_that_grow_are_a_plan_and_no_loop(growth: float) -> None:
    """Retries that wait a little longer each time are told neither early nor late."""
    waits = 0.3 * growth ** np.arange(24)
    at = np.cumsum(waits[waits < 60])
    assert watch([step(float(t), call("fetch"), latency_ms=10.0) for t in at]) == []


def test_a_loop_with_uneven_steps_is_still_told() -> None:
    """That one step takes longer than the last is chance; a loop does not wait between them."""
    rng = np.random.default_rng(4)
    for _ in range(200):
        took = rng.lognormal(0, 0.5, 12)
        at = np.cumsum(took + rng.uniform(0, 0.1, 12))
        loop = [
            step(float(t), call("search"), latency_ms=1000 * float(s))
            for t, s in zip(at, took, strict=True)
        ]
        assert len(watch(loop)) == 1


@pytest.mark.parametrize("idle_s", [0.05, 0.3, 1.0])
def test_a_loop_whose_tools_take_uneven_time_is_told_within_twenty_calls(idle_s: float) -> None:
    """Waits that happen to grow thrice look like a plan for a moment only."""
    rng = np.random.default_rng(15)
    told = 0
    for _ in range(200):
        at = np.cumsum(idle_s * rng.lognormal(0, 0.3, 20) + 1.0)
        told += bool(watch([step(float(t), call("search"), latency_ms=1000.0) for t in at]))
    assert told >= 192


PATTERNS = ("polling", "waiting", "pages", "back-off", "compaction", "progress", "work")


def benign(pattern: str, rng: np.random.Generator) -> tuple[list[ToolCall], list[float]]:
    """A healthy stretch of work: its calls, and the idle seconds before each."""
    n = int(rng.integers(5, 60))
    if pattern == "polling":  # at a steady slow pace
        return [call("status")] * n, [float(rng.uniform(2, 60))] * n
    if pattern == "waiting":  # fast, but each answer is another one
        return [call("status", result=i + 1) for i in range(n)], [0.1] * n
    if pattern == "pages":
        return [call("list", args=i + 1, result=7) for i in range(n)], [0.1] * n
    if pattern == "back-off":
        waits = float(rng.uniform(0.3, 2)) * float(rng.uniform(1.15, 3)) ** np.arange(n)
        return [call("fetch", ok=False)] * n, np.minimum(waits, rng.uniform(4, 60)).tolist()
    if pattern == "compaction":  # reads the same again after each pause in which it sums up
        part = int(rng.integers(1, 9))
        again = [call("read")] * part
        return again * 4, [float(rng.uniform(8, 90)), *[0.2] * (part - 1)] * 4
    if pattern == "progress":  # edit, test, edit, test
        calls = [call("edit", args=i + 2) if i % 2 else call("test", result=i) for i in range(n)]
        return calls, [0.2] * n
    tools = [call(f"tool{t}", args=int(a) + 1) for t, a in rng.integers(0, 4, (n, 2))]
    return tools, rng.exponential(1.0, n).tolist()


@pytest.mark.parametrize("seed", range(6))
def test_thousands_of_healthy_calls_raise_nothing(seed: int) -> None:
    """Polls, waits, pages, back-offs and compactions in any order, and between them other work."""
    rng = np.random.default_rng(seed)
    now, vitals = 0.0, list[Vital]()
    while len(vitals) < 3000:
        for pattern in ("work", PATTERNS[int(rng.integers(len(PATTERNS)))]):
            for one, idle_s in zip(*benign(pattern, rng), strict=True):
                took = float(rng.lognormal(-1, 0.5))
                now += idle_s + took
                vitals.append(step(now, one, latency_ms=1000 * took))
    names = Names()
    rule = Repetition(RepetitionParams(), names)
    assert [h for part in cut(vitals, rng) for h in rule.observe(batch(names, part))] == []


@settings(max_examples=40)
@given(st.integers(1, 4), st.integers(0, 40), st.sampled_from([0.0, 0.3, 1.0]))
def test_a_loop_within_healthy_work_is_told_within_ten_repeats(
    cycle: int, before: int, idle_s: float
) -> None:
    """Whatever was done before it, the tenth time round is the last."""
    work = [call("list", args=i + 9) for i in range(before)]
    loop = [call(f"tool{i}") for i in range(cycle)] * 10
    vitals = [step(t * (0.5 + idle_s), one, latency_ms=500.0) for t, one in enumerate(work + loop)]
    assert len(watch(vitals, one_by_one=True)) == 1


def test_sessions_are_kept_apart() -> None:
    """Many sessions that begin with the same call are no loop of the agent."""
    greetings = [step(t * 0.1, call("menu"), session_id=f"s{t}") for t in range(40)]
    assert watch(greetings) == []
    assert len(watch([step(t * 0.1, call("menu"), session_id="s") for t in range(10)])) == 1


def test_agents_are_kept_apart() -> None:
    """Equal calls of different agents don't add up."""
    assert watch([step(t, call("menu"), agent=f"a{t % 5}") for t in range(40)]) == []


def test_the_count_begins_anew_after_healing() -> None:
    """An agent whose memory was emptied needs ten new repeats."""
    names = Names()
    rule = Repetition(RepetitionParams(), names)
    assert rule.observe(batch(names, [step(t, call("search")) for t in range(9)])) == []
    rule.forget(names.agents.code("a"))
    assert rule.observe(batch(names, [step(t, call("search")) for t in range(9, 18)])) == []


def ping_pong(rounds: int, at: float) -> list[Vital]:
    return [step(at + t, call("open" if t % 2 else "close")) for t in range(2 * rounds)]


def test_what_a_person_accepts_is_told_no_more() -> None:
    """A ping-pong that somebody called normal stays so, wherever it begins; another loop is told,
    also after a restart."""
    names = Names()
    rule = Repetition(RepetitionParams(), names)
    agent = names.agents.code("a")
    assert len(rule.observe(batch(names, ping_pong(11, 0)))) == 1
    rule.accept(agent, START)
    later = Names()
    later.facts.code("names have other codes in another process")
    restarted = Repetition(RepetitionParams(), later)
    restarted.load(later.agents.code("a"), rule.save(agent))
    for known, one in ((names, rule), (later, restarted)):
        for at in (100, 201):
            assert one.observe(batch(known, ping_pong(30, at)[at % 2 :])) == []
        assert len(one.observe(batch(known, [step(300, *[call("open")] * 10)]))) == 1


def test_an_older_loop_is_not_accepted_with_a_false_alarm() -> None:
    """Whoever calls today's alarm false says nothing of the loop of yesterday."""
    names = Names()
    rule = Repetition(RepetitionParams(), names)
    assert len(rule.observe(batch(names, [step(0, *[call("search")] * 10)]))) == 1
    rule.accept(names.agents.code("a"), START + 1)
    assert len(rule.observe(batch(names, [step(100, *[call("search")] * 10)]))) == 1


def test_a_retired_agent_leaves_nothing() -> None:
    """An agent that comes back after it was retired starts from nothing."""
    names = Names()
    rule = Repetition(RepetitionParams(), names)
    rule.observe(batch(names, [step(t, call("search")) for t in range(9)]))
    rule.retire(names.agents.code("a"))
    assert rule.observe(batch(names, [step(9, call("search"))])) == []


tool_calls = st.builds(
    ToolCall,
    tool=st.sampled_from(["search", "read"]),
    args_hash=st.sampled_from([0, 1, 1, 1, 2]),
    result_hash=st.sampled_from([0, 5, 5, 5, 6]),
)
loops = st.builds(lambda c, n: [c] * n, tool_calls, st.integers(1, 25))
steps_of_calls = st.lists(
    st.tuples(
        st.sampled_from(["a", "b", "c"]),
        st.lists(loops, max_size=3).map(
            lambda parts: [call for part in parts for call in part][:64]
        ),
        st.sampled_from([0.5, 1.0, 7.0]),
    ),
    max_size=40,
)


@settings(max_examples=60)
@given(steps_of_calls, st.integers(0, 2**32 - 1))
def test_any_batching_gives_the_same_hits(
    story: list[tuple[str, list[ToolCall], float]], seed: int
) -> None:
    """How the stream is cut into batches never changes what is told."""
    now, vitals = 0.0, []
    for agent, calls, pause_s in story:
        now += pause_s
        vitals.append(step(now, *calls, agent=agent, latency_ms=100.0))
    names = Names()
    whole, parts = (Repetition(RepetitionParams(), names) for _ in range(2))
    at_once = whole.observe(batch(names, vitals))
    rng = np.random.default_rng(seed)
    in_parts = [h for part in cut(vitals, rng) for h in parts.observe(batch(names, part))]
    assert sorted(at_once, key=lambda hit: hit.at) == sorted(in_parts, key=lambda hit: hit.at)


@settings(max_examples=60)
@given(st.lists(tool_calls, max_size=64))
def test_a_single_loop_is_found_as_if_counted_by_hand(calls: list[ToolCall]) -> None:
    """A step hits if and only if some cycle of at most four calls came ten times in a row."""

    def equal(one: ToolCall, other: ToolCall) -> bool:
        same = (one.tool, one.args_hash) == (other.tool, other.args_hash) and one.args_hash != 0
        return same and (
            one.result_hash == other.result_hash or 0 in (one.result_hash, other.result_hash)
        )

    def longest(cycle: int) -> int:
        best = run = 0
        for here in range(cycle, len(calls)):
            run = run + 1 if equal(calls[here], calls[here - cycle]) else 0
            best = max(best, run)
        return best // cycle + 1

    looped = any(longest(cycle) >= 10 for cycle in (1, 2, 3, 4))
    assert bool(watch([step(0, *calls)])) == looped
