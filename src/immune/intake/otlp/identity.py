# cython: annotation_typing=False
"""Whose work a span is.

``immune.agent.id``, else ``gen_ai.agent.id``, else the service's name and the agent's, else the
service's alone. What a span does not say of its agent itself it has from the spans around it, and
in the end from its resource. A service without a name is left out of the identity.
"""

from __future__ import annotations

import enum

from immune.intake.otlp.facts import NO_FACTS
from immune.intake.otlp.span import Span
from immune.intake.otlp.spans import Role

_AGENT = Role.AGENT


class IdentityRule(enum.StrEnum):
    """Which rule gave an agent its id; shown with the agent."""

    IMMUNE_ID = "immune.agent.id"
    AGENT_ID = "gen_ai.agent.id"
    SERVICE_AND_NAME = "service.name/agent name"
    NAME = "agent name"
    SERVICE = "service.name"


# Reading a member of an enumeration costs more than the rest of a comparison.
_IMMUNE_ID, _AGENT_ID, _SERVICE_AND_NAME, _NAME, _SERVICE = IdentityRule


class Identity:
    """An agent's id and the rule that gave it."""

    __slots__ = ("agent_id", "rule")

    def __init__(self, agent_id: str, rule: IdentityRule) -> None:
        self.agent_id = agent_id
        self.rule = rule


class Agent:
    """What spans say of the agent at work; never changed."""

    __slots__ = ("agent_id", "agent_type", "immune_id", "name", "named", "service")

    def __init__(
        self,
        immune_id: str | None,
        agent_id: str | None,
        name: str | None,
        agent_type: str | None,
        service: str | None,
    ) -> None:
        self.immune_id = immune_id
        self.agent_id = agent_id
        self.name = name
        self.agent_type = agent_type
        self.service = service
        self.named = bool(immune_id or agent_id or name)
        """More is said of it than its service and its type."""

    def identity(self) -> Identity | None:
        """Return the agent's id, or None where nothing tells it."""
        if self.immune_id:
            return Identity(self.immune_id, _IMMUNE_ID)
        if self.agent_id:
            return Identity(self.agent_id, _AGENT_ID)
        if self.name and self.service:
            return Identity(f"{self.service}/{self.name}", _SERVICE_AND_NAME)
        if self.name:
            return Identity(self.name, _NAME)
        if self.service:
            return Identity(self.service, _SERVICE)
        return None


def told_by(span: Span) -> Agent:
    """Return what `span` itself says of its agent."""
    facts = span.facts
    name = facts.agent_name
    if name is None and span.role is _AGENT:
        name = facts.agent_node
    return Agent(
        facts.immune_id,
        facts.agent_id,
        name,
        facts.agent_type,
        span.resource.service,
    )


def joined(own: Agent, around: Agent | None) -> Agent:
    """Return `own`, completed by what the spans around it say where that is of the same agent."""
    if around is None:
        return own
    if not (own.named or own.agent_type):
        return around
    if _differ(own, around):
        return own
    told_around = around.named or not own.named
    return Agent(
        own.immune_id or around.immune_id,
        own.agent_id or around.agent_id,
        own.name or around.name,
        own.agent_type or around.agent_type,
        around.service if told_around else own.service,
    )


def completed(agent: Agent, span: Span) -> Agent:
    """Return `agent`, completed by what the resource of its span says."""
    resource = span.resource.facts
    if resource is NO_FACTS:
        return agent
    return Agent(
        agent.immune_id or resource.immune_id,
        agent.agent_id or (None if agent.name else resource.agent_id),
        agent.name or resource.agent_name,
        agent.agent_type or resource.agent_type,
        agent.service,
    )


def same(one: Agent, other: Agent) -> bool:
    """Return whether the two have one id, or neither has any."""
    if one is other:
        return True
    mine, theirs = one.identity(), other.identity()
    if mine is None or theirs is None:
        return mine is theirs
    return mine.agent_id == theirs.agent_id and mine.rule is theirs.rule


def _differ(own: Agent, around: Agent) -> bool:
    return (
        _differs(own.immune_id, around.immune_id)
        or _differs(own.agent_id, around.agent_id)
        or _differs(own.name, around.name)
    )


def _differs(mine: str | None, theirs: str | None) -> bool:
    return bool(mine and theirs and mine != theirs)
