"""What kind of work a span is, whichever dialect says it."""

from __future__ import annotations

import enum
from collections.abc import Mapping

from immune.intake.otlp import names


class Role(enum.StrEnum):
    """The part a span plays in its trace."""

    MODEL = "model"
    """A call of a model."""
    TOOL = "tool"
    """A call of a tool."""
    AGENT = "agent"
    """An agent's run."""
    CHAIN = "chain"
    """A frame around other work; the outermost may be a run (see `tree`)."""
    OTHER = "other"
    """Anything else: embeddings, retrieval, HTTP, databases."""


_OPENINFERENCE = {
    "LLM": Role.MODEL,
    "TOOL": Role.TOOL,
    "AGENT": Role.AGENT,
    "CHAIN": Role.CHAIN,
}
_OPERATIONS = {
    "chat": Role.MODEL,
    "text_completion": Role.MODEL,
    "generate_content": Role.MODEL,
    "execute_tool": Role.TOOL,
    "invoke_agent": Role.AGENT,
    "invoke_workflow": Role.CHAIN,
    "chain": Role.CHAIN,  # langsmith
    "completion": Role.MODEL,  # litellm, from here on
    "acompletion": Role.MODEL,
    "atext_completion": Role.MODEL,
    "responses": Role.MODEL,
    "aresponses": Role.MODEL,
    "anthropic_messages": Role.MODEL,
    "agenerate_content": Role.MODEL,
    "call_llm": Role.MODEL,  # any-agent
}
_LANGSMITH = {"llm": Role.MODEL, "tool": Role.TOOL, "chain": Role.CHAIN}
_TRACELOOP = {
    "agent": Role.AGENT,
    "tool": Role.TOOL,
    "workflow": Role.CHAIN,
    "task": Role.CHAIN,
}
_REQUEST_TYPES = {"chat": Role.MODEL, "completion": Role.MODEL}


def role_of(attributes: Mapping[str, object]) -> Role:
    """Return what kind of work the span with these attributes is.

    A kind that is named but unknown (EMBEDDING, create_agent) is other work. Where no kind is
    named at all, a model together with tokens makes a call of a model.
    """
    if kind := _text(attributes, names.OPENINFERENCE_KIND):
        return _OPENINFERENCE.get(kind.upper(), Role.OTHER)
    operation = _text(attributes, names.OPERATION)
    if operation in _OPERATIONS:
        return _OPERATIONS[operation]
    if kind := _text(attributes, names.LANGSMITH_KIND):
        return _LANGSMITH.get(kind, Role.OTHER)
    if kind := _text(attributes, names.TRACELOOP_KIND):
        return _TRACELOOP.get(kind, Role.OTHER)
    if operation is not None:
        return Role.OTHER
    if kind := _text(attributes, names.REQUEST_TYPE):
        return _REQUEST_TYPES.get(kind, Role.OTHER)
    model = any(name in attributes for name in names.TEXT_FACTS["model"])
    tokens = any(name in attributes for name in names.NUMBER_FACTS["output_tokens"])
    return Role.MODEL if model and tokens else Role.OTHER


def _text(attributes: Mapping[str, object], name: str) -> str | None:
    value = attributes.get(name)
    return value if isinstance(value, str) and value else None
