"""What each dialect calls a thing: the one table of attribute names.

Names in the GenAI conventions still move: `GENERATIONS` is theirs, by generation. Each row below
lists a thing's names from the newest generation to the oldest and then the other dialects'; the
first that a span has counts. Nothing else is read of a span, and the text rows are hashed at
decoding and dropped.

gen_ai.*        OpenTelemetry GenAI conventions, and logfire, pydantic-ai, litellm, langsmith
llm.*, ...      OpenInference (Arize)
traceloop.*     OpenLLMetry (Traceloop), with `llm.usage.*`, `llm.request.*`
langsmith.*     LangSmith's own exporter
metadata.*      what OpenInference's LangChain writes as JSON into one attribute `metadata`
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

VERSION = "2026-11"
"""When these names were last held against what the instrumentations really send."""


class Generation(NamedTuple):
    """What one generation of the GenAI conventions calls things, where it renamed them."""

    since: str
    names: Mapping[str, str]


GENERATIONS = (
    Generation(
        "semantic-conventions-genai, in development",
        {
            "provider": "gen_ai.provider.name",
            "input_tokens": "gen_ai.usage.input_tokens",
            "output_tokens": "gen_ai.usage.output_tokens",
            "duration_metric": "gen_ai.client.inference.duration",
            "input_tokens_metric": "gen_ai.client.inference.operation.input_tokens",
            "output_tokens_metric": "gen_ai.client.inference.operation.output_tokens",
            "input_tokens_counter": "gen_ai.client.inference.usage.input_tokens",
            "output_tokens_counter": "gen_ai.client.inference.usage.output_tokens",
        },
    ),
    Generation(
        "1.37",  # 1.28 to 1.36 differ from it in the provider alone
        {
            "provider": "gen_ai.provider.name",
            "agent_id": "gen_ai.agent.id",  # leaves internal agent spans in the next
            "input_tokens": "gen_ai.usage.input_tokens",
            "output_tokens": "gen_ai.usage.output_tokens",
            "duration_metric": "gen_ai.client.operation.duration",
            "tokens_metric": "gen_ai.client.token.usage",
        },
    ),
    Generation(
        "1.27 and before",
        {
            "provider": "gen_ai.system",
            "input_tokens": "gen_ai.usage.prompt_tokens",
            "output_tokens": "gen_ai.usage.completion_tokens",
            "duration_metric": "gen_ai.client.operation.duration",
            "tokens_metric": "gen_ai.client.token.usage",
        },
    ),
)
"""The three generations of the GenAI conventions that are about, newest first."""


def _genai(thing: str) -> tuple[str, ...]:
    """Every name that a thing has had in the GenAI conventions, newest first."""
    found = (generation.names[thing] for generation in GENERATIONS if thing in generation.names)
    return tuple(dict.fromkeys(found))


DIALECT_PREFIXES = (
    "gen_ai.",
    *("llm.model", "llm.request", "llm.token", "llm.usage", "llm.input", "llm.output"),
    *("llm.provider", "llm.system", "llm.vendor", "llm.prompt"),
    "openinference.",
    "traceloop.",
    "langsmith.",
    "ai.",  # Vercel's SDK, which is not mapped
)
"""How the attributes of those begin who speak of models and agents, in a dialect known or not."""

# What kind of work a span is; read at decoding only.
OPERATION = "gen_ai.operation.name"
OPENINFERENCE_KIND = "openinference.span.kind"
LANGSMITH_KIND = "langsmith.span.kind"
TRACELOOP_KIND = "traceloop.span.kind"
REQUEST_TYPE = "llm.request.type"

# The fields of `facts.Facts`, and the names that fill them.

TEXT_FACTS: dict[str, tuple[str, ...]] = {
    "immune_id": ("immune.agent.id",),
    "agent_id": _genai("agent_id"),
    "agent_name": (
        "gen_ai.agent.name",
        "agent.name",
        "langsmith.metadata.lc_agent_name",
        "metadata.lc_agent_name",
        "agent_name",  # pydantic-ai before the conventions
    ),
    "agent_node": ("graph.node.id", "traceloop.entity.name"),
    "agent_type": ("immune.agent.type",),
    "graph_node": ("langsmith.metadata.langgraph_node", "metadata.langgraph_node"),
    "session_id": (
        "gen_ai.conversation.id",
        "session.id",
        "langsmith.trace.session_id",
        "langsmith.metadata.thread_id",
        "metadata.thread_id",
        "traceloop.association.properties.session_id",
    ),
    # The model asked for: the answer's name is missing where the call failed.
    "model": (
        "gen_ai.request.model",
        "llm.request.model_name",
        "llm.model_name",
        "gen_ai.response.model",
        "langsmith.metadata.ls_model_name",
        "metadata.ls_model_name",
        "llm.request.model",
    ),
    "provider": (
        _genai("provider")[0],
        "langsmith.metadata.ls_provider",
        "llm.provider",
        "metadata.ls_provider",
        *_genai("provider")[1:],  # what langsmith fills with something else
        "llm.system",
        "llm.vendor",
    ),
    "tool": ("gen_ai.tool.name", "tool.name", "traceloop.entity.name"),
    "error_type": ("error.type",),
    "exception_type": ("exception.type",),  # of an event; the class's name, never the message
}

NUMBER_FACTS: dict[str, tuple[str, ...]] = {
    "input_tokens": (
        *_genai("input_tokens"),
        "llm.token_count.prompt",
        "llm.usage.prompt_tokens",
    ),
    "output_tokens": (
        *_genai("output_tokens"),
        "llm.token_count.completion",
        "llm.usage.completion_tokens",
    ),
    "total_tokens": (
        "gen_ai.usage.total_tokens",
        "llm.token_count.total",
        "llm.usage.total_tokens",
    ),
    "aggregated_input_tokens": ("gen_ai.aggregated_usage.input_tokens",),
    "aggregated_output_tokens": ("gen_ai.aggregated_usage.output_tokens",),
    "cost_usd": (
        "gen_ai.usage.cost",
        "gen_ai.cost.total_cost",  # litellm
        "llm.cost.total",
        "operation.cost",  # pydantic-ai, logfire
    ),
    "resends": ("http.request.resend_count", "http.resend_count"),
}

NO_PROVIDERS = frozenset({"langchain", "langgraph"})
"""What langsmith's `gen_ai.system` says: a framework, not who runs the model."""

METADATA = "metadata"
METADATA_KEYS = ("lc_agent_name", "langgraph_node", "thread_id", "ls_model_name", "ls_provider")
"""What is kept of OpenInference's `metadata`, each under ``metadata.KEY``."""

# Metrics; see `measures`.

DURATION_METRICS = frozenset({*_genai("duration_metric"), "gen_ai.server.request.duration"})
TOKEN_METRICS = {
    "": frozenset(_genai("tokens_metric")),  # the attribute below says which
    "input": frozenset({*_genai("input_tokens_metric"), *_genai("input_tokens_counter")}),
    "output": frozenset({*_genai("output_tokens_metric"), *_genai("output_tokens_counter")}),
}
TOKEN_TYPE = "gen_ai.token.type"  # noqa: S105  # where the kind of token stands
OUTPUT_TOKEN_TYPES = frozenset({"output", "completion"})
"""What the attribute has been for the output; `completion` until 1.27."""

EVENT_NAMES = frozenset({"exception.type"})
"""What is kept of a span's events."""

SOURCE = (
    "host.id",
    "host.name",
    "k8s.pod.uid",
    "k8s.pod.name",
    "container.id",
    "service.instance.id",
    "process.pid",
)
"""What tells processes apart; a digest of it is kept."""
RESOURCE_NAMES = frozenset(
    {
        *("service.name", "immune.agent.id", "immune.agent.type"),
        *("gen_ai.agent.id", "gen_ai.agent.name"),
        *SOURCE,
    }
)
"""What is read of a resource."""

# Text, from here on. The names in each row are tried in order.

TOOL_ARGUMENTS = (
    "gen_ai.tool.call.arguments",
    "input.value",
    "traceloop.entity.input",
    "mcp.request.argument",
    "gen_ai.tool.args",
    "tool_arguments",
    "gen_ai.prompt",  # langsmith
)
TOOL_RESULT = (
    "gen_ai.tool.call.result",
    "output.value",
    "traceloop.entity.output",
    "mcp.response.value",
    "tool_response",
    "gen_ai.completion",  # langsmith
)
SYSTEM_INSTRUCTIONS = "gen_ai.system_instructions"
FIRST_MESSAGE = (
    # (role, text): where a dialect spreads the messages over attributes
    ("llm.input_messages.0.message.role", "llm.input_messages.0.message.content"),
    (
        "llm.input_messages.0.message.role",
        "llm.input_messages.0.message.contents.0.message_content.text",
    ),
    ("gen_ai.prompt.0.role", "gen_ai.prompt.0.content"),
    ("llm.prompts.0.role", "llm.prompts.0.content"),
)
MESSAGES = "gen_ai.input.messages"
LANGCHAIN_PROMPT = "gen_ai.prompt"

KINDS = frozenset({OPERATION, OPENINFERENCE_KIND, LANGSMITH_KIND, TRACELOOP_KIND, REQUEST_TYPE})
KEPT = frozenset(name for row in (*TEXT_FACTS.values(), *NUMBER_FACTS.values()) for name in row)
TEXTS = frozenset(
    {*TOOL_ARGUMENTS, *TOOL_RESULT, SYSTEM_INSTRUCTIONS, MESSAGES, LANGCHAIN_PROMPT, METADATA}
    | {name for pair in FIRST_MESSAGE for name in pair}
)
WANTED = KINDS | KEPT | TEXTS
"""What decoding looks at; every other attribute is skipped unread."""
