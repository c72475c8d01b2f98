# cython: annotation_typing=False
"""What kind of work a span is, whichever dialect says it."""

from __future__ import annotations

import enum

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
    """Work that is no step of an agent, by its name: embeddings, retrieval, setting one up."""
    UNKNOWN = "unknown_dialect"
    """It speaks of models or agents, in words that are not known here."""
    PLAIN = "no_genai_attribute"
    """It says nothing of models or agents: HTTP, databases."""


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
_NO_STEPS = frozenset(
    {
        *("embedding", "embeddings", "retriever", "retrieval", "reranker", "rerank"),
        *("guardrail", "evaluator", "prompt", "parser", "create_agent", "create_thread"),
        *("vectorstore", "vector_db", "unknown"),
    }
)
"""Kinds of work, in whichever dialect, that are known and no step."""

_LANGSMITH = {"llm": Role.MODEL, "tool": Role.TOOL, "chain": Role.CHAIN}
_TRACELOOP = {
    "agent": Role.AGENT,
    "tool": Role.TOOL,
    "workflow": Role.CHAIN,
    "task": Role.CHAIN,
}
_REQUEST_TYPES = {"chat": Role.MODEL, "completion": Role.MODEL}

_MODELS = frozenset(names.TEXT_FACTS["model"])
_TOKENS = frozenset(names.NUMBER_FACTS["output_tokens"])


def role_of(attributes: dict[str, object], speaks: bool) -> Role:
    """Return what kind of work the span with these attributes is.

    Where no kind is named at all, a model together with tokens makes a call of a model. `speaks`:
    the span has attributes of those who speak of models and agents, wanted or not.
    """
    if kind := _text(attributes, names.OPENINFERENCE_KIND):
        return _OPENINFERENCE.get(kind.upper()) or _no_step(kind)
    operation = _text(attributes, names.OPERATION)
    if operation in _OPERATIONS:
        return _OPERATIONS[operation]
    if kind := _text(attributes, names.LANGSMITH_KIND):
        return _LANGSMITH.get(kind) or _no_step(kind)
    if kind := _text(attributes, names.TRACELOOP_KIND):
        return _TRACELOOP.get(kind) or _no_step(kind)
    if operation is not None:
        return _no_step(operation)
    if kind := _text(attributes, names.REQUEST_TYPE):
        return _REQUEST_TYPES.get(kind) or _no_step(kind)
    if not speaks:
        return Role.PLAIN
    no_model, no_tokens = _MODELS.isdisjoint(attributes), _TOKENS.isdisjoint(attributes)
    return Role.UNKNOWN if no_model or no_tokens else Role.MODEL


def _no_step(kind: str) -> Role:
    return Role.OTHER if kind.lower() in _NO_STEPS else Role.UNKNOWN


def _text(attributes: dict[str, object], name: str) -> str | None:
    value = attributes.get(name)
    return value if isinstance(value, str) and value else None
