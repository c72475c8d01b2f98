"""Section 10's table as the tests read it, written down a second time on purpose."""

from __future__ import annotations

from typing import NamedTuple

from immune.healing.actions import Action
from immune.simulation.infections import Infection

I = Infection  # noqa: E741  # as short as the table's rows
A = Action

Range = tuple[float, float]


class Row(NamedTuple):
    """One strain: what it multiplies, which probabilities it sets, what cures it."""

    infection: Infection
    strain: str
    chance: float
    cures: frozenset[Action]
    factors: dict[str, Range] = {}  # noqa: RUF012
    rates: dict[str, float] = {}  # noqa: RUF012
    news: str = ""
    """The fact that changes with it: prompt, model, tool or loop."""


def _cured_by(*actions: Action) -> frozenset[Action]:
    return frozenset(actions) | {A.CLONE_AGENT}


SPIKE: Range = (3, 7)
MANY: Range = (4, 9)

ROWS: tuple[Row, ...] = (
    Row(I.TOKEN_EXPLOSION, "bloated_context", 0.7, _cured_by(A.RESET_MEMORY), {"input": MANY}),
    Row(I.TOKEN_EXPLOSION, "verbose_setting", 0.3, _cured_by(A.REDUCE_AUTONOMY), {"output": MANY}),
    Row(I.TOOL_LOOP, "planner", 0.7, _cured_by(A.REDUCE_AUTONOMY), {"tools": (5, 11)}, news="loop"),
    Row(
        I.TOOL_LOOP,
        "poisoned_memory",
        0.3,
        _cured_by(A.RESET_MEMORY),
        {"tools": (5, 11)},
        news="loop",
    ),
    Row(I.LATENCY_SPIKE, "slow_tool", 0.8, _cured_by(A.REVOKE_TOOLS), {"latency": SPIKE}),
    Row(I.LATENCY_SPIKE, "slow_model", 0.2, _cured_by(A.SWITCH_MODEL), {"latency": SPIKE}),
    Row(I.HIGH_RETRY_RATE, "flaky_tool", 0.8, _cured_by(A.REVOKE_TOOLS), {}, {"retries": 0.75}),
    Row(
        I.HIGH_RETRY_RATE, "bad_arguments", 0.2, _cured_by(A.ROLLBACK_PROMPT), {}, {"retries": 0.75}
    ),
    Row(
        I.PROMPT_DRIFT,
        "drifted_prompt",
        1.0,
        _cured_by(A.ROLLBACK_PROMPT),
        {"latency": (3, 6), "input": (4, 8), "output": (4, 8)},
        news="prompt",
    ),
    Row(
        I.MEMORY_CORRUPTION,
        "corrupted_memory",
        1.0,
        _cured_by(A.RESET_MEMORY),
        {"latency": (3, 6)},
        {"retries": 0.7},
    ),
    Row(
        I.FULL_MELTDOWN,
        "meltdown",
        1.0,
        _cured_by(),
        {"latency": (3, 6), "input": (4, 8), "output": (4, 8), "tools": (5, 10)},
    ),
    Row(
        I.COST_OVERRUN,
        "dearer_model",
        1.0,
        _cured_by(A.SWITCH_MODEL),
        {"cost": (4, 8)},
        {},
        "model",
    ),
    Row(
        I.PROMPT_INJECTION,
        "injected_instruction",
        1.0,
        _cured_by(),
        {"tools": (1.5, 3)},
        {},
        "tool",
    ),
    Row(I.SILENT, "crashed", 0.7, _cured_by()),
    Row(I.SILENT, "provider_away", 0.3, frozenset()),
    Row(
        I.PROVIDER_OUTAGE,
        "outage",
        1.0,
        frozenset({A.SWITCH_MODEL}),
        {"latency": (3, 10)},
        {"errors": 0.3},
    ),
    Row(
        I.RELEASE,
        "new_version",
        1.0,
        frozenset(),
        {"input": (1.5, 1.5), "output": (1.5, 1.5)},
        news="prompt",
    ),
    Row(I.BUSY_HOUR, "busy", 1.0, frozenset(), {"latency": (1.4, 1.4), "pace": (2, 2)}),
)

NAMES = [row.strain for row in ROWS]
