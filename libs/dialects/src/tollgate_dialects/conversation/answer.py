"""An answer in the one form: whole, or as the events of a stream.

Owns the types. A stream is Started, then for each part PartStarted, its deltas and PartEnded, one
part at a time, then Finished. `machine.py` holds a stream to this order.
"""

import enum
from dataclasses import dataclass
from typing import TypeAlias

from tollgate_dialects.conversation.parts import Citation, Opaque, Text, Thinking, ToolCall

AnswerPart: TypeAlias = Text | Thinking | ToolCall


class Stop(enum.StrEnum):
    """Why a model stopped."""

    END = "end"
    LENGTH = "length"
    TOOL_CALLS = "tool_calls"
    STOP_SEQUENCE = "stop_sequence"
    # The model or a filter would not go on.
    REFUSAL = "refusal"
    # A server tool takes long: send the answer back to go on.
    PAUSE = "pause"
    CONTEXT_FULL = "context_full"


@dataclass(frozen=True, slots=True)
class Ending:
    """How an answer ended. `sequence`: the stop sequence that was met, if that is known."""

    stop: Stop
    sequence: str = ""
    # Of a refusal: its kind in one word, and the vendor's explanation.
    category: str = ""
    explanation: str = ""


@dataclass(frozen=True, slots=True)
class Answer:
    """A whole answer. `answer_id` and `model` as the upstream has them; empty: it said none."""

    parts: tuple[AnswerPart, ...]
    ending: Ending
    answer_id: str = ""
    model: str = ""


@dataclass(frozen=True, slots=True)
class Started:
    """The answer begins."""

    answer_id: str = ""
    model: str = ""


@dataclass(frozen=True, slots=True)
class PartStarted:
    """A part begins: empty but for what is known at once (a tool call's id and name)."""

    part: AnswerPart


@dataclass(frozen=True, slots=True)
class Delta:
    """More of the part that has begun: text, thinking, or the JSON text of arguments."""

    text: str


@dataclass(frozen=True, slots=True)
class Sealed:
    """The opaque block of the thinking or tool call that has begun; at most one of a part."""

    opaque: Opaque


@dataclass(frozen=True, slots=True)
class Cited:
    """A citation of the text that has begun."""

    citation: Citation


@dataclass(frozen=True, slots=True)
class PartEnded:
    """The part is whole."""


@dataclass(frozen=True, slots=True)
class Finished:
    """The answer is whole; nothing follows."""

    ending: Ending


Event: TypeAlias = Started | PartStarted | Delta | Sealed | Cited | PartEnded | Finished
