"""A request in the one form that all protocols are read into and written from.

Owns the type. None and empty say that the client left something to the model's default.
"""

from dataclasses import dataclass, field
from typing import Any, Literal, TypeAlias

from tollgate_dialects.common import documents
from tollgate_dialects.conversation.parts import Origin, Part, Tool

Role: TypeAlias = Literal["system", "developer", "user", "assistant"]


@dataclass(frozen=True, slots=True)
class Turn:
    """What one side says. Results of tools are parts of a user's turn.

    A system prompt is the first turn, or the first few; one further down stands where it was said.
    """

    role: Role
    parts: tuple[Part, ...]
    # The speaker's name, where there are several.
    name: str = ""


@dataclass(frozen=True, slots=True)
class ToolChoice:
    """Which tools may, must or must not be called. `names`: of those only; empty: of all."""

    mode: Literal["auto", "none", "required"]
    names: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Reasoning:
    """How much a model thinks before it answers.

    `mode`: "on" thinks up to `budget_tokens`, "adaptive" decides itself, "off" does not; empty:
    unsaid, `effort` alone tells.
    """

    mode: Literal["", "off", "on", "adaptive"] = ""
    # none, minimal, low, medium, high, xhigh, max; empty: unsaid.
    effort: str = ""
    budget_tokens: int | None = None
    # Whether the thinking is shown: auto, concise, detailed, omitted; empty: unsaid.
    summary: str = ""


@dataclass(frozen=True, slots=True)
class OutputFormat:
    """What shape the answer's text has to have."""

    kind: Literal["text", "json_object", "json_schema"]
    name: str = ""
    description: str = ""
    schema: dict[str, Any] | None = None
    strict: bool | None = None

    def in_words(self) -> str:
        """The same as an instruction, for a model that cannot be held to it."""
        if self.kind == "json_schema" and self.schema is not None:
            printed = documents.written(self.schema).decode()
            return f"Answer with JSON that is valid under this schema, and nothing else: {printed}"
        return "Answer with one JSON object, and nothing else."


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """One call of a model."""

    model: str
    turns: tuple[Turn, ...]
    stream: bool = False
    # Whether the client of a stream wants to be told of usage.
    wants_usage: bool = True
    tools: tuple[Tool, ...] = ()
    tool_choice: ToolChoice | None = None
    parallel_tool_calls: bool | None = None
    max_output_tokens: int | None = None
    stop: tuple[str, ...] = ()
    temperature: float | None = None
    top_p: float | None = None
    top_k: int | None = None
    seed: int | None = None
    choices: int = 1
    frequency_penalty: float | None = None
    presence_penalty: float | None = None
    logprobs: bool | None = None
    top_logprobs: int | None = None
    logit_bias: dict[str, float] | None = None
    reasoning: Reasoning | None = None
    output_format: OutputFormat | None = None
    verbosity: str = ""
    user: str = ""
    service_tier: str = ""
    cache_key: str = ""
    metadata: dict[str, Any] | None = None
    # Members at the top that this form does not hold, as the client wrote them: a writer takes
    # those that its protocol has under the same name and meaning, and names the rest.
    extra: dict[str, Any] = field(default_factory=dict)
    # Whose words are in `extra` and in hosted tools: only their own vendor's reader has looked at
    # what they cost there.
    origin: Origin | None = None
    # How the client wants its answer written, in words that only its own protocol's writer reads.
    told_as: frozenset[str] = frozenset()
    # What the client's document has and this form has no place for (words that only its vendor
    # reads), by our own names: every writer adds it to what it drops.
    unheld: frozenset[str] = frozenset()
