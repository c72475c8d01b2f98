"""Whose work a span is.

``immune.agent.id``, else ``gen_ai.agent.id``, else the service's name and the agent's, else the
service's alone. What a span does not say of its agent itself it has from the spans around it, and
in the end from its resource. A service without a name is left out of the identity.
"""

from __future__ import annotations

import enum
from typing import NamedTuple

import msgspec

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


class Identity(NamedTuple):
    """An agent's id and the rule that gave it."""

    agent_id: str
    rule: IdentityRule


class Agent(msgspec.Struct, frozen=True, gc=False):
    """What spans say of the agent at work."""

    immune_id: str | None
    agent_id: str | None
    name: str | None
    agent_type: str | None
    service: str | None

    @property
    def named(self) -> bool:
        return bool(self.immune_id or self.agent_id or self.name)

    @property
    def silent(self) -> bool:
        """It says nothing but the service."""
        return not (self.immune_id or self.agent_id or self.name or self.agent_type)

    def identity(self) -> Identity | None:
        """Return the agent's id, or None where nothing tells it."""
        if self.immune_id:
            return Identity(self.immune_id, IdentityRule.IMMUNE_ID)
        if self.agent_id:
            return Identity(self.agent_id, IdentityRule.AGENT_ID)
        if self.name and self.service:
            return Identity(f"{self.service}/{self.name}", IdentityRule.SERVICE_AND_NAME)
        if self.name:
            return Identity(self.name, IdentityRule.NAME)
        if self.service:
            return Identity(self.service, IdentityRule.SERVICE)
        return None


def told_by(span: Span) -> Agent:
    """Return what `span` itself says of its agent."""
    facts = span.facts
    node = facts.agent_node if span.role is _AGENT else None
    return Agent(
        facts.immune_id,
        facts.agent_id,
        facts.agent_name or node,
        facts.agent_type,
        span.resource.service,
    )


def joined(own: Agent, around: Agent | None) -> Agent:
    """Return `own`, completed by what the spans around it say where that is of the same agent."""
    if around is None:
        return own
    if own.silent:
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


def _differ(own: Agent, around: Agent) -> bool:
    return (
        _differs(own.immune_id, around.immune_id)
        or _differs(own.agent_id, around.agent_id)
        or _differs(own.name, around.name)
    )


def _differs(mine: str | None, theirs: str | None) -> bool:
    return bool(mine and theirs and mine != theirs)
