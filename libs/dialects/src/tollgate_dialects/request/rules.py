"""What the reader and the rewriter of requests ask of a dialect."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple, TypeAlias

from tollgate_dialects.request.content import CacheWrite, Content
from tollgate_dialects.request.features import Allowed
from tollgate_dialects.request.keys import TopKeys

# The limit of an answer's tokens, per choice, and the members that say it.
OutputLimit: TypeAlias = tuple[int | None, tuple[str, ...]]


class RequestFacts(NamedTuple):
    """All that is known of a request before its price is."""

    model: str
    stream: bool
    # As the client asked, per choice; None when it set no limit.
    max_output_tokens: int | None
    choices: int
    # Whether the client itself asked for usage in the stream.
    wants_usage: bool
    input_token_bound: int
    # The bytes do not bound the input: the model's own limit does.
    unbounded_input: bool
    cache_write: CacheWrite
    # The members that set the limit, and those there that a rewrite may set: it need not look for
    # what is not there.
    limit_names: tuple[str, ...]
    present: frozenset[str]


class Count(NamedTuple):
    """About how many input tokens a request has; never what money is set aside by."""

    model: str
    input_tokens: int


class Within(NamedTuple):
    """A member to set inside of one at the top; if that is no object, or not there, it becomes one.

    The value is as it is written.
    """

    top: str
    name: str
    value: bytes


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class RequestRules:
    """A dialect's part in reading and rewriting a request. Each function may raise BadRequest."""

    # Spellings that no key at the top may have, unless it is the key itself.
    top: TopKeys
    # Parameter -> whether a value other than null is harmless.
    refused: Mapping[str, Allowed]
    check_tool: Callable[[Mapping[str, Any]], None]
    output_limit: Callable[[Mapping[str, Any]], OutputLimit]
    choices: Callable[[Mapping[str, Any]], int]
    wants_usage: Callable[[Mapping[str, Any]], bool]
    # What a document (and its text, as orjson prints it) makes an upstream read beside its bytes.
    content: Callable[[Mapping[str, Any], bytes], Content]
    # The longest cache write that may be billed.
    cache_write: Callable[[bytes], CacheWrite]
    # The members at the top that may be written anew.
    rewritten: frozenset[str]
    # What limits a client of a model that named no limit.
    limit_name: Callable[[str], str]
    # What makes a stream tell its usage; None: it does so unasked.
    usage_option: Within | None
    # About how many input tokens a document has; None: its clients do not ask for that alone.
    count: Callable[[Mapping[str, Any], Content], int] | None = None
