"""What the reader and the rewriter of requests ask of a dialect."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Final, NamedTuple, TypeAlias

from tollgate_dialects.request.content import CacheWrite, Content
from tollgate_dialects.request.features import Allowed
from tollgate_dialects.request.keys import Names
from tollgate_dialects.request.server_tools import NO_SERVER_TOOLS, ServerTools
from tollgate_dialects.request.variants import Variant

# The limit of an answer's tokens, per choice, and the members that say it.
OutputLimit: TypeAlias = tuple[int | None, tuple[str, ...]]


# By how much DashScope says that it may miss a limit.
BEYOND_LIMIT_TOKENS: Final = 10


class Thinking(NamedTuple):
    """What a request says of what its output limit may leave out, whatever its model is called."""

    # The most tokens of thinking; None: it says none.
    budget: int | None = None
    # The model is told not to think.
    is_off: bool = False
    # Whoever reads it knows of thinking that the limit leaves out.
    is_told: bool = False
    # The limit is said to be for the thinking as well.
    is_limited_whole: bool = False
    # Tokens of a prediction, those that the answer has not.
    predicted: int = 0


NO_THINKING: Final = Thinking()


def most(tokens: Iterable[int | None]) -> int | None:
    """The most of several numbers of tokens, 0 of none; None is more than any."""
    found = 0
    for each in tokens:
        if each is None:
            return None
        found = max(found, each)
    return found


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
    # The members that set the limit or are to, a dot before what stands within one; and those there
    # that a rewrite may set: it need not look for what is not there.
    limit_names: tuple[str, ...]
    present: frozenset[str]
    # It may have what an upstream of its own protocol must not be sent: that is left out, or the
    # whole is written anew without it.
    sheds: bool = False
    is_written_anew: bool = False
    # What bounds the input where an upstream of another protocol reads it.
    translated_token_bound: int = 0
    # Tools that run at the vendor and are sent, as long as they have a price.
    server_tools: ServerTools = NO_SERVER_TOOLS
    # The bytes do not bound it for pictures alone that the vendor is to fetch: a count may.
    fetches_pictures: bool = False
    # How many texts are read, each within the model's own limit.
    texts: int = 1
    # Output tokens beyond the limit, per choice; None: as many again as the model gives at most.
    beyond_limit_tokens: int | None = 0
    # The same where an upstream of another protocol reads it; some go a little beyond.
    translated_beyond_tokens: int | None = BEYOND_LIMIT_TOKENS
    # The model's longest answer, where no limit is sent, is without what it thinks.
    thinks_unlimited: bool = False
    # What that is worked out from, by an upstream's name of the model.
    thinking: Thinking = NO_THINKING
    # The answer that it goes on from, by the upstream's id of it; empty: none.
    previous_id: str = ""
    # What the upstream reads of the conversation before, at most: the body does not show it.
    context_tokens: int = 0
    # The upstream is to keep the answer, and of the request this much with it at most, read or not;
    # what it may leave out unread of what was said before or now, nobody knows.
    is_to_be_kept: bool = False
    kept_token_bound: int = 0
    may_leave_out: bool = False
    # Other ways of serving it that were asked for, each with a factor of the model's price.
    variants: tuple[Variant, ...] = ()
    # Of the input, the most that is sound; whether the answer may be.
    audio_tokens: int = 0
    speaks: bool = False

    def going_on(self, context_tokens: int) -> "RequestFacts":
        """The facts with what was said before; 0: nobody knows how much, the model's limit does."""
        return self._replace(
            context_tokens=context_tokens,
            unbounded_input=self.unbounded_input or not context_tokens,
            # No count of pictures bounds what nobody knows.
            fetches_pictures=self.fetches_pictures and context_tokens > 0,
        )

    @property
    def own_alone(self) -> str:
        """The member for which only the protocol's own upstreams will do; mostly none."""
        for variant in self.variants:
            if variant.is_binding:
                return variant.member
        return "modalities" if self.speaks else "messages" if self.audio_tokens else ""

    def translated(self) -> "RequestFacts":
        """The facts for an upstream of another protocol. Some write their caches unasked."""
        cache_write: CacheWrite = "5m" if self.cache_write == "none" else self.cache_write
        return self._replace(
            input_token_bound=self.translated_token_bound,
            cache_write=cache_write,
            beyond_limit_tokens=most((self.beyond_limit_tokens, self.translated_beyond_tokens)),
        )


class Told(NamedTuple):
    """What a protocol says outside of the body; None: the body says it."""

    model: str | None = None
    stream: bool | None = None


IN_THE_BODY: Final = Told()


class Count(NamedTuple):
    """About how many input tokens a request has; never what money is set aside by."""

    model: str
    input_tokens: int


class Shed(NamedTuple):
    """A document as it may be sent, and what was left out of it, by the one form's names."""

    document: Mapping[str, Any]
    dropped: frozenset[str] = frozenset()


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

    # Spellings that no key may have, unless it is the key itself.
    names: Names
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
    # What limits a client of a model that named no limit, as in `limit_names`.
    limit_name: Callable[[str], str]
    # Where the limit that the client said in these members is said once more, for an upstream's
    # model that may not know them; both as in `limit_names`.
    restated_limit: Callable[[tuple[str, ...], str], tuple[str, ...]] = lambda _names, _model: ()
    # What makes a stream tell its usage; None: it does so unasked.
    usage_option: Within | None
    # What the protocol says outside of the body: in its URL, or in a header.
    model_in_body: bool = True
    stream_in_body: bool = True
    # How many texts a document has of which each may be as long as the model reads; None: one.
    texts: Callable[[Mapping[str, Any]], int] | None = None
    # About how many input tokens a document has; None: its clients do not ask for that alone.
    count: Callable[[Mapping[str, Any], Content], int] | None = None
    # How many choices a stream may have; None: as many as a whole answer.
    stream_choices_max: int | None = None
    # What a document says of what its limit does not cover. May raise BadRequest.
    thinking: Callable[[Mapping[str, Any]], Thinking] = lambda _document: NO_THINKING
    # What that is at an upstream's model, as in RequestFacts: of a client's request, and of one
    # that is written in this protocol for a client of another one.
    beyond_limit: Callable[[Thinking, str], int | None] = lambda _thinking, _model: 0
    written_beyond_limit: Callable[[str], int | None] = lambda _model: 0
    # As in RequestFacts, of one that is written.
    thinks_unlimited: bool = False
    # What follows is None where the protocol has nothing of it.
    # Whether a document asks for an answer in sound.
    speaks: Callable[[Mapping[str, Any]], bool] | None = None
    # The members that ask for another way of serving.
    variant_members: tuple[str, ...] = ()
    # What the vendor may do on its own. Raises BadRequest.
    server_tools: Callable[[Mapping[str, Any]], ServerTools] | None = None
    # The request that a document is to have counted: itself, or one within it.
    counted: Callable[[dict[str, Any]], dict[str, Any]] = lambda document: document
    # Whether a document (and its text, as orjson prints it) may have what an upstream of this very
    # protocol must not be sent: tools that run there and cannot, blocks of other makers.
    sheds: Callable[[Mapping[str, Any], bytes], bool] | None = None
    # The document for a model of the upstream's, without that and with all else as it was, with the
    # tools of `server_tools` or without, for a base URL with this path.
    shed: Callable[[Mapping[str, Any], str, bool, str], Shed] = (
        lambda document, _model, _keeps_tools, _base_path: Shed(document)
    )
    # Whether a document is written anew for such an upstream, as for one of another protocol.
    is_written_anew: Callable[[Mapping[str, Any]], bool] | None = None
    # The answer, kept by the upstream, that a document goes on from, and whether it wants its own
    # kept. The first may raise BadRequest.
    previous: Callable[[Mapping[str, Any]], str] | None = None
    is_to_be_kept: Callable[[Mapping[str, Any]], bool] | None = None
    # Whether the upstream may leave out what does not fit.
    may_leave_out: Callable[[Mapping[str, Any]], bool] | None = None

    def told(self, model: str | None, *, stream: bool) -> Told:
        """What is known of a call from outside of its body, of all that may be."""
        if self.model_in_body and self.stream_in_body:
            return IN_THE_BODY
        return Told(
            model=None if self.model_in_body else model,
            stream=None if self.stream_in_body else stream,
        )
