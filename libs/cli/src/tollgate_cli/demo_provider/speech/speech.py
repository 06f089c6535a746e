"""What every protocol can do with one call: hear it, answer it whole or in events, refuse it."""

import json
import re
from abc import ABC, abstractmethod
from typing import Any, ClassVar, Final, Self

from tollgate_cli.demo_provider.speech.conversation import Answer, Counts, End, Piece, Question
from tollgate_cli.demo_provider.wire import Request

CREATED: Final = 1_760_000_000
BROKEN: Final = b'{"choices":[,,"error"'
# Opaque to everybody but who made it: what vendors sign or encrypt their thinking with.
SEAL: Final = "ZGVtbyBzZWFsIG9mIHRoaW5raW5n"


class Speech(ABC):
    """One call in its protocol. The events of a stream are asked for in their order."""

    # As the command line names the protocol.
    name: ClassVar[str]
    # What the demo calls a model that is served on it, and the base URL's path.
    model: ClassVar[str]
    base_path: ClassVar[str] = "/v1"
    path: ClassVar[re.Pattern[str]]
    # What it says when the input does not fit; clients match on these words.
    too_long: ClassVar[str]
    stream_type: str = "text/event-stream; charset=utf-8"

    def __init__(self, question: Question) -> None:
        self.question = question

    @classmethod
    @abstractmethod
    def hear(cls, request: Request) -> Self:
        """The call. Raises ValueError, TypeError or AttributeError for a body that is none."""

    @abstractmethod
    def body(self, answer: Answer) -> bytes:
        """The whole answer."""

    @abstractmethod
    def opening(self, usage: Counts | None) -> bytes:
        """The events before the first piece; `usage` so far, for who reports it there."""

    @abstractmethod
    def say(self, piece: Piece, usage: Counts | None) -> bytes:
        """The events of one piece; `usage` so far, for who reports it there."""

    @abstractmethod
    def closing(self, end: End, usage: Counts | None, *, usage_on_last: bool = False) -> bytes:
        """The events after the last piece. `usage_on_last`: beside the end, if it may be."""

    @classmethod
    @abstractmethod
    def error(cls, status: int, message: str, *, code: str = "") -> bytes:
        """The body of a refusal. `code`: OpenAI's, if it is not the status's usual one."""

    @classmethod
    def error_headers(cls, _status: int) -> dict[str, str]:
        """The headers that belong to a refusal."""
        return {}

    @abstractmethod
    def error_event(self, message: str) -> bytes:
        """The error inside a stream."""

    def broken_event(self) -> bytes:
        """An event whose JSON is broken."""
        return data(BROKEN)


def parsed(body: bytes, *members: str) -> dict[str, Any]:
    """A request's JSON, in which these members are lists. Raises ValueError."""
    asked = json.loads(body)
    if not isinstance(asked, dict):
        raise ValueError("the body must be an object")
    for name in members:
        if not isinstance(asked.get(name), list):
            raise ValueError(f"{name} must be a list")
    return asked


def model_of(asked: dict[str, Any]) -> str:
    """The model that the body names. Raises ValueError."""
    if not isinstance(asked.get("model"), str):
        raise ValueError("model is required")
    return str(asked["model"])


def limit(value: Any) -> int | None:
    """An output limit. Raises ValueError for what is none."""
    if value is not None and (type(value) is not int or value < 0):
        raise ValueError("the output limit must be a whole number")
    return value


def data(text: bytes, name: str = "") -> bytes:
    """One server-sent event."""
    return b"event: %b\ndata: %b\n\n" % (name.encode(), text) if name else b"data: %b\n\n" % text
