"""What a dialect is: all that one wire protocol means to the gateway, in one record.

The engines (`request`, `answer`) take the part that is theirs, so nothing outside of a dialect's
own folder knows which one it is. One that only upstreams speak has the half that is theirs.
"""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple, TypeAlias

from tollgate_dialects.answer.rules import AnswerRules
from tollgate_dialects.common.google_account import ServiceAccount
from tollgate_dialects.common.protocol import Protocol
from tollgate_dialects.conversation.translation import Translation, UpstreamTranslation
from tollgate_dialects.request.rules import RequestRules


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class ErrorShape:
    """How a client of the protocol is told of an error."""

    # HTTP status -> error.type in the protocol's vocabulary.
    kinds: Mapping[int, str]
    # An error body as the event that ends a broken stream.
    event: Callable[[bytes], bytes]
    # The protocol's own codes of a refused request: of an upstream's no others are told.
    codes: frozenset[str]
    # The members that a request of the protocol has: an upstream's word is told of these alone.
    params: frozenset[str]
    # The code by which clients know that a prompt does not fit into the model; empty: by its words.
    too_long: str = ""
    # The body that tells of an error, of what OpenAI's and Anthropic's shape at once says of it and
    # of its HTTP status.
    body: Callable[[dict[str, Any], int], dict[str, Any]] = lambda told, _status: told

    def kind(self, status: int) -> str:
        """error.type for a status."""
        kind = self.kinds.get(status)
        return kind if kind is not None else self.kinds[500 if status >= 500 else 400]  # noqa: PLR2004 - HTTP's classes


class PassedHeaders(NamedTuple):
    """`kept` goes upstream; `dropped` are flags that do not, and may be any text."""

    kept: dict[str, str]
    dropped: tuple[str, ...]


class Asked(NamedTuple):
    """What may decide where a call goes."""

    # The upstream's name of its model.
    model: str
    stream: bool
    # What is sent.
    body: bytes = b""


class Outgoing(NamedTuple):
    """A request as it is about to be sent."""

    # As in the header of that name.
    host: str
    # What stands in its first line: the path, percent-encoded.
    target: str
    body: bytes
    # When, in UTC, as in 20261127T150000Z.
    now: str


# What one request's headers say of itself.
Signer: TypeAlias = Callable[[Outgoing], Mapping[str, str]]


class Enveloped(NamedTuple):
    """A request as one cloud takes it."""

    body: bytes
    headers: Mapping[str, str]
    # What of it the cloud does not take, by plain words.
    dropped: frozenset[str] = frozenset()


# A request's body, the headers that its protocol passes on, and the upstream's name of its model.
Envelope: TypeAlias = Callable[[bytes, Mapping[str, str], str], Enveloped]


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class UpstreamEndpoint:
    """Where and under which headers upstreams are called."""

    # From the path of a provider's base URL to what follows it, percent-encoded.
    path_below: Callable[[str, Asked], str]
    # Whether that is the same for every call.
    is_one_path: bool = True
    # Headers of every call that streams.
    stream_headers: Mapping[str, str] = field(default_factory=dict)
    # The headers that an upstream key makes.
    key_headers: Callable[[str], Mapping[str, str]]
    # What of an upstream key nobody may see, the whole and any piece.
    secrets_in: Callable[[str], tuple[str, ...]] = lambda key: (key,)
    # What signs each request with an upstream key; None: its headers are all there is to it.
    signer: Callable[[str], Signer | None] = lambda _key: None
    # The account that an upstream key is, whose tokens are sent in its stead; None: it is none.
    # Raises BadAccountError.
    account: Callable[[str], ServiceAccount | None] = lambda _key: None
    # What the cloud wants around a request of the protocol; None: nothing.
    envelope: Envelope | None = None


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Endpoint(UpstreamEndpoint):
    """The same, and where and under which headers clients call."""

    # Where clients make calls here, and where else.
    path: str
    other_paths: tuple[str, ...] = ()
    # The lower-case name of a header that only its clients send; empty: they send none such.
    told_by: bytes
    # Whether a request's headers (names in lower case) ask for a stream; only for a protocol that
    # says it there.
    asks_for_stream: Callable[[Iterable[tuple[bytes, bytes]]], bool] = lambda _headers: False
    # Of the protocol's own headers that a client sent, by lower-case name, what goes upstream.
    passed_on: Callable[[Mapping[str, str]], PassedHeaders]
    # Raises BadRequest for one of them that asks for what is not served.
    check_headers: Callable[[Mapping[str, str]], None] = lambda _headers: None


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class UpstreamDialect:
    """One wire protocol as upstreams speak it."""

    protocol: Protocol
    # The protocol whose words it has, in an envelope of its own; None: its own.
    words_of: Protocol | None = None
    # Whether tools that run at the vendor run here.
    runs_server_tools: bool = True
    answer: AnswerRules
    endpoint: UpstreamEndpoint
    translation: UpstreamTranslation
    # The protocol whose requests and answers pass here as they are.
    words: Protocol = field(init=False)

    def __post_init__(self) -> None:
        # Every call asks some times: a property costs more than what it would say.
        object.__setattr__(self, "words", self.words_of or self.protocol)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Dialect(UpstreamDialect):
    """One wire protocol that clients speak, and upstreams as well."""

    request: RequestRules
    errors: ErrorShape
    endpoint: Endpoint
    translation: Translation
    # The protocol of providers that serve it as well, below the same base URL; None: its own.
    beside: Protocol | None = None
    # The protocol of its providers.
    provider: Protocol = field(init=False)

    def __post_init__(self) -> None:
        UpstreamDialect.__post_init__(self)
        object.__setattr__(self, "provider", self.beside or self.protocol)
