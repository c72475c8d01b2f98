"""What the simulated world is furnished with: types of agents, their tools, providers and models.

Plain data. How an agent's vitals follow from it is told in `law`.
"""

from __future__ import annotations

import msgspec


class AgentType(msgspec.Struct, frozen=True):
    """What the agents of one type have in common; each differs from it by up to ×1.5."""

    name: str
    latency_ms: float
    """Median of a step."""
    input_tokens: float
    """Median of a step."""
    output_tokens: float
    """Median of a step."""
    tool_calls: float
    """Mean of a step."""
    size: str
    """Which of a provider's models it uses."""
    toolset: tuple[str, ...]
    """Each agent has `TOOLS_EACH` of them."""


class Model(msgspec.Struct, frozen=True):
    """One provider's model of one size."""

    name: str
    provider: str
    size: str
    slowness: float
    """Relative time of a step; models of one size differ by less than 20 %."""
    usd_per_input_token: float
    usd_per_output_token: float

    @property
    def dearer(self) -> str:
        """Name of the sibling that a wrong route serves instead."""
        return f"{self.name}-max"


TOOLS_EACH = 4
"""Own tools of an agent."""

FOREIGN = TOOLS_EACH
"""The slot for a tool that was smuggled in."""

SLOTS = TOOLS_EACH + 1

TYPES: tuple[AgentType, ...] = (
    AgentType(
        "researcher",
        620.0,
        2400.0,
        420.0,
        3.6,
        "large",
        ("web_search", "open_page", "read_pdf", "take_note", "cite", "translate"),
    ),
    AgentType(
        "coder",
        540.0,
        3200.0,
        650.0,
        4.7,
        "large",
        ("read_file", "edit_file", "run_tests", "grep", "git_diff", "lint"),
    ),
    AgentType(
        "support",
        380.0,
        1100.0,
        240.0,
        2.7,
        "small",
        ("find_ticket", "find_order", "knowledge_base", "refund", "send_mail", "escalate"),
    ),
)

PROVIDERS: tuple[str, ...] = ("northwind", "meridian", "halcyon")


def _models() -> tuple[Model, ...]:
    dollars = {"large": (3e-6, 15e-6), "small": (0.8e-6, 4e-6)}
    return tuple(
        Model(f"{provider}-{size}", provider, size, slowness, usd_in * price, usd_out * price)
        for provider, slowness, price in zip(
            PROVIDERS, (1.0, 1.08, 0.93), (1.0, 0.94, 1.08), strict=True
        )
        for size, (usd_in, usd_out) in dollars.items()
    )


MODELS: tuple[Model, ...] = _models()

SMUGGLED: tuple[str, ...] = ("export_records", "remote_shell", "forward_mail", "sync_webhook")
"""Names that a smuggled tool goes by."""


def elsewhere(model: int) -> int:
    """Index of the next provider's model of the same size."""
    here = MODELS[model]
    provider = PROVIDERS[(PROVIDERS.index(here.provider) + 1) % len(PROVIDERS)]
    return next(
        place
        for place, other in enumerate(MODELS)
        if other.provider == provider and other.size == here.size
    )
