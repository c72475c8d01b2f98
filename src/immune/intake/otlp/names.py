"""What each dialect calls a thing: the one table of attribute names.

Names in the GenAI conventions still move, so each row lists them from the newest to the oldest and
then the other dialects'; the first that a span has counts. Only names listed here are kept of a
span, and those of the text rows are hashed at decoding and dropped.

gen_ai.*        OpenTelemetry GenAI conventions, and logfire, pydantic-ai, litellm, langsmith
llm.*, ...      OpenInference (Arize)
traceloop.*     OpenLLMetry (Traceloop), with `llm.usage.*`, `llm.request.*`
langsmith.*     LangSmith's own exporter
metadata.*      what OpenInference's LangChain writes as JSON into one attribute `metadata`
"""

from __future__ import annotations

import enum

VERSION = "2026-11"
"""When these names were last held against what the instrumentations really send."""


class Fact(enum.Enum):
    """What we want to know of a span."""

    OPERATION = enum.auto()
    OPENINFERENCE_KIND = enum.auto()
    LANGSMITH_KIND = enum.auto()
    TRACELOOP_KIND = enum.auto()
    REQUEST_TYPE = enum.auto()
    IMMUNE_ID = enum.auto()
    AGENT_ID = enum.auto()
    AGENT_NAME = enum.auto()
    AGENT_NODE = enum.auto()
    """Names the agent only on a span that is an agent's run."""
    AGENT_TYPE = enum.auto()
    GRAPH_NODE = enum.auto()
    """Present on the nodes of a LangGraph graph, absent on its root."""
    SESSION = enum.auto()
    MODEL = enum.auto()
    PROVIDER = enum.auto()
    INPUT_TOKENS = enum.auto()
    OUTPUT_TOKENS = enum.auto()
    TOTAL_TOKENS = enum.auto()
    AGGREGATED_INPUT_TOKENS = enum.auto()
    AGGREGATED_OUTPUT_TOKENS = enum.auto()
    COST = enum.auto()
    TOOL = enum.auto()
    ERROR_TYPE = enum.auto()
    RESENDS = enum.auto()


NAMES: dict[Fact, tuple[str, ...]] = {
    Fact.OPERATION: ("gen_ai.operation.name",),
    Fact.OPENINFERENCE_KIND: ("openinference.span.kind",),
    Fact.LANGSMITH_KIND: ("langsmith.span.kind",),
    Fact.TRACELOOP_KIND: ("traceloop.span.kind",),
    Fact.REQUEST_TYPE: ("llm.request.type",),
    Fact.IMMUNE_ID: ("immune.agent.id",),
    Fact.AGENT_ID: ("gen_ai.agent.id",),  # leaving internal agent spans
    Fact.AGENT_NAME: (
        "gen_ai.agent.name",
        "agent.name",
        "langsmith.metadata.lc_agent_name",
        "metadata.lc_agent_name",
        "agent_name",  # pydantic-ai before the conventions
    ),
    Fact.AGENT_NODE: ("graph.node.id", "traceloop.entity.name"),
    Fact.AGENT_TYPE: ("immune.agent.type",),
    Fact.GRAPH_NODE: ("langsmith.metadata.langgraph_node", "metadata.langgraph_node"),
    Fact.SESSION: (
        "gen_ai.conversation.id",
        "session.id",
        "langsmith.trace.session_id",
        "langsmith.metadata.thread_id",
        "metadata.thread_id",
        "traceloop.association.properties.session_id",
    ),
    # The model asked for: the answer's name is missing where the call failed.
    Fact.MODEL: (
        "gen_ai.request.model",
        "llm.request.model_name",
        "llm.model_name",
        "gen_ai.response.model",
        "langsmith.metadata.ls_model_name",
        "metadata.ls_model_name",
        "llm.request.model",
    ),
    Fact.PROVIDER: (
        "gen_ai.provider.name",
        "langsmith.metadata.ls_provider",  # its gen_ai.system says "langchain"
        "llm.provider",
        "metadata.ls_provider",
        "gen_ai.system",  # until 1.36
        "llm.system",
        "llm.vendor",
    ),
    Fact.INPUT_TOKENS: (
        "gen_ai.usage.input_tokens",
        "gen_ai.usage.prompt_tokens",  # until 1.27
        "llm.token_count.prompt",
        "llm.usage.prompt_tokens",
    ),
    Fact.OUTPUT_TOKENS: (
        "gen_ai.usage.output_tokens",
        "gen_ai.usage.completion_tokens",  # until 1.27
        "llm.token_count.completion",
        "llm.usage.completion_tokens",
    ),
    Fact.TOTAL_TOKENS: (
        "gen_ai.usage.total_tokens",
        "llm.token_count.total",
        "llm.usage.total_tokens",
    ),
    Fact.AGGREGATED_INPUT_TOKENS: ("gen_ai.aggregated_usage.input_tokens",),
    Fact.AGGREGATED_OUTPUT_TOKENS: ("gen_ai.aggregated_usage.output_tokens",),
    Fact.COST: (
        "gen_ai.usage.cost",
        "gen_ai.cost.total_cost",  # litellm
        "llm.cost.total",
        "operation.cost",  # pydantic-ai, logfire
    ),
    Fact.TOOL: ("gen_ai.tool.name", "tool.name", "traceloop.entity.name"),
    # From the exception event where no attribute says it; the class's name, never the message.
    Fact.ERROR_TYPE: ("error.type", "exception.type"),
    Fact.RESENDS: ("http.request.resend_count", "http.resend_count"),
}

METADATA = "metadata"
METADATA_KEYS = ("lc_agent_name", "langgraph_node", "thread_id", "ls_model_name", "ls_provider")
"""What is kept of OpenInference's `metadata`, each under ``metadata.KEY``."""

EXCEPTION_TYPE = "exception.type"

RESOURCE_NAMES = frozenset(
    {"service.name", "immune.agent.id", "immune.agent.type", "gen_ai.agent.id", "gen_ai.agent.name"}
)
"""What is kept of a resource."""

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

KEPT = frozenset(name for row in NAMES.values() for name in row)
TEXTS = frozenset(
    {*TOOL_ARGUMENTS, *TOOL_RESULT, SYSTEM_INSTRUCTIONS, MESSAGES, LANGCHAIN_PROMPT, METADATA}
    | {name for pair in FIRST_MESSAGE for name in pair}
)
WANTED = KEPT | TEXTS
"""What decoding looks at; every other attribute is skipped unread."""
