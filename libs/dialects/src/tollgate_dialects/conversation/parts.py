"""What a turn is made of, whoever says it and in whatever protocol.

Owns the types of parts. All are immutable values; what a protocol cannot carry, its writer names.
"""

import enum
from dataclasses import dataclass
from typing import Any, Literal, TypeAlias

# How long what is read up to here is to be kept; empty: the client did not mark it.
Cache: TypeAlias = Literal["", "5m", "1h"]


class Origin(enum.StrEnum):
    """Who made an opaque block, and so the only one who can read it."""

    ANTHROPIC = "anthropic"
    OPENAI = "openai"
    GOOGLE = "google"
    ALIBABA = "alibaba"
    # The thinking is in plain words: clients throw away what has no seal, and vendors want it back.
    NOBODY = "nobody"


class Seal(enum.StrEnum):
    """What an opaque block is."""

    # Proves the text that stands beside it.
    SIGNATURE = "signature"
    # Is the thinking itself, which nobody else can read.
    ENCRYPTED = "encrypted"


@dataclass(frozen=True, slots=True)
class Opaque:
    """A block that its maker wants back byte for byte; `item_id` where the maker names it."""

    origin: Origin
    seal: Seal
    data: str
    item_id: str = ""


@dataclass(frozen=True, slots=True)
class Citation:
    """Where a text comes from. `start` and `end` count characters of the text; None: not known."""

    url: str = ""
    title: str = ""
    quote: str = ""
    start: int | None = None
    end: int | None = None


@dataclass(frozen=True, slots=True)
class Text:
    """Words. `is_refusal`: the model's own words of why it will not answer."""

    text: str
    citations: tuple[Citation, ...] = ()
    is_refusal: bool = False
    cache: Cache = ""
    # Whether the words go before a call of tools or are the answer, in OpenAI's words: commentary,
    # final_answer; empty: unsaid.
    phase: str = ""


@dataclass(frozen=True, slots=True)
class Media:
    """A picture, a document, a sound or a film: its bytes, where it is, or its name at a vendor.

    Exactly one of `data` (base64), `url` and `file_id` is not empty; a document may instead have
    `text`.
    """

    kind: Literal["image", "document", "audio", "video"]
    # As in "image/png"; empty: the client did not say.
    media_type: str = ""
    data: str = ""
    url: str = ""
    file_id: str = ""
    text: str = ""
    name: str = ""
    # How closely a picture is looked at, in OpenAI's words: low, high, auto; empty: unsaid.
    detail: str = ""
    cache: Cache = ""


@dataclass(frozen=True, slots=True)
class Thinking:
    """Reasoning. Without `opaque` nobody can vouch for it; without `text` it was not shown."""

    text: str
    opaque: Opaque | None = None


@dataclass(frozen=True, slots=True)
class ToolCall:
    """The model asks for a tool of the client's.

    `arguments` is JSON text as the model wrote it, or free text for a tool that takes free text.
    """

    call_id: str
    name: str
    arguments: str
    # Where tools are declared in groups, the group's name.
    namespace: str = ""
    takes_text: bool = False
    opaque: Opaque | None = None
    cache: Cache = ""


@dataclass(frozen=True, slots=True)
class ToolResult:
    """What a tool of the client's gave."""

    call_id: str
    parts: tuple[Text | Media, ...]
    is_error: bool = False
    # Where the protocol repeats it: Gemini matches results by it.
    name: str = ""
    cache: Cache = ""


Part: TypeAlias = Text | Media | Thinking | ToolCall | ToolResult


@dataclass(frozen=True, slots=True)
class FunctionTool:
    """A tool of the client's. `schema` is JSON Schema; None: it takes no arguments."""

    name: str
    description: str = ""
    schema: dict[str, Any] | None = None
    strict: bool | None = None
    namespace: str = ""
    # The input is one free text, in this grammar if there is one, and no JSON.
    takes_text: bool = False
    grammar: dict[str, Any] | None = None
    cache: Cache = ""
    # What the group is for.
    namespace_description: str = ""


@dataclass(frozen=True, slots=True)
class HostedTool:
    """A tool that runs at the vendor, or whose shape only its vendor knows."""

    kind: str
    raw: dict[str, Any]


Tool: TypeAlias = FunctionTool | HostedTool
