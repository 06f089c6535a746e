"""What a dialect does to be translated, and the context in which its writers work.

A request goes read_request -> Request -> write_request of another dialect; its answer comes back
read_answer -> Answer -> write_answer, or in a stream event by event. Readers get documents that a
meter has let through; writers make documents that a vendor's own SDK reads.
"""

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final, NamedTuple

from tollgate_dialects.common import sse
from tollgate_dialects.conversation.answer import Answer, Event
from tollgate_dialects.conversation.request import Request
from tollgate_dialects.pricing.usage import Usage


class Untranslatable(Exception):  # noqa: N818 - it is what the request is
    """Another protocol has no words for what a request cannot do without.

    `param` is our own word for it, and may be shown to the client.
    """

    def __init__(self, param: str, why: str) -> None:
        super().__init__(why)
        self.param = param
        self.why = why


class Target(NamedTuple):
    """What a request is written for."""

    # The upstream's name of the model.
    model: str
    # What is sent as the output limit; None: none, where the protocol can do without.
    max_output_tokens: int | None
    # The upstream refuses to be asked for usage.
    without_include_usage: bool = False


class Written(NamedTuple):
    """A request in an upstream's protocol.

    `dropped`: what it could not carry, by the names of the one form's fields and parts (as in
    "logit_bias", "image.detail", "thinking"), each once, in no order.
    """

    document: dict[str, Any]
    dropped: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True, kw_only=True)
class Context:
    """What an answer's writer is told of its call."""

    # What the client asked, with the model's name as the client wrote it.
    request: Request
    # 32 hexadecimal digits, of which ids are made.
    trace: str
    # When the call began, in seconds of Unix time.
    created_s: int
    # About how many tokens the request has, for protocols that tell it before it is known.
    estimated_input_tokens: int


class EventReader(ABC):
    """Reads one upstream's stream."""

    @abstractmethod
    def read(self, event: sse.Event) -> list[Event]:
        """What one event says; the protocol's last one says Finished.

        Raises ValueError, KeyError, TypeError or IllegalEventError for what cannot be read.
        """

    def close(self) -> list[Event]:
        """What follows, where a protocol has no last event and the answer has ended.

        Asked whenever what a meter passed is read: it passes all from such an end on together.
        """
        return []


class EventWriter(ABC):
    """Writes one client's stream."""

    @abstractmethod
    def __init__(self, context: Context) -> None: ...

    @abstractmethod
    def write(self, event: Event, usage: Usage | None) -> bytes:
        """The frames that tell of one event; `usage`: as far as it is known by now.

        With Finished it is what is charged, and the frames hold the protocol's last event.
        """


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class UpstreamTranslation:
    """A dialect's part in translation where upstreams speak it."""

    # Raises Untranslatable.
    write_request: Callable[[Request, Target], Written]
    # A document that the meter let through. Raises ValueError, KeyError or TypeError.
    read_answer: Callable[[Mapping[str, Any]], Answer]
    event_reader: Callable[[], EventReader]


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Translation(UpstreamTranslation):
    """The same, and its part where clients speak it."""

    # The client's document, which the strict reader has accepted. Raises BadRequest.
    read_request: Callable[[Mapping[str, Any]], Request]
    write_answer: Callable[[Answer, Usage, Context], dict[str, Any]]
    event_writer: type[EventWriter]


def _no_words(*_args: Any) -> Any:
    raise Untranslatable("model", "Only a provider of this very protocol can answer.")


# Of a dialect whose calls are passed on to those who speak it, and to nobody else.
NO_TRANSLATION: Final = Translation(
    read_request=_no_words,
    write_request=_no_words,
    read_answer=_no_words,
    write_answer=_no_words,
    event_reader=_no_words,
    event_writer=_no_words,  # type: ignore[arg-type]
)
