"""What the fleet was answered and did, and what is said between it, the server and the test."""

from __future__ import annotations

import msgspec

from immune.healing.actions import Action, ActionAnswer, Treatment


class Order(msgspec.Struct, kw_only=True):
    """One order to an agent: an action, or to give back what a treatment took."""

    agent_id: str
    key: str
    action: Action | None = None
    treatment: Treatment | None = None


class Fenced(msgspec.Struct):
    """The order to refuse an agent's calls, or to let them through."""

    agent_id: str
    refused: bool
    key: str


class Target(msgspec.Struct):
    """Where the fleet reports."""

    port: int


class Done(msgspec.Struct, kw_only=True):
    """What an order came to."""

    agent_id: str
    action: Action | None
    lifted: bool
    answer: ActionAnswer


class Ledger(msgspec.Struct, kw_only=True):
    """The fleet's own account."""

    agents: list[str]
    accepted: dict[str, list[str]] = {}
    """agent -> the ids of its steps that were answered 202."""
    unsent: int = 0
    done: dict[str, Done] = {}
    """key -> what was carried out."""
    asked: dict[str, int] = {}
    """key -> how often it was asked for."""
    fenced: list[str] = []
    """Agents whose calls are refused."""
    answers: dict[int, int] = {}
    """status -> how often a report was answered so."""
    refused: list[str] = []
    """Answers 202 that did not take all of a report."""
