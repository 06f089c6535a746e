"""What these endpoints have in common: a key, a path, errors as for chats, no messages.

Owns the defaults that most of them share. None has tools, and none but completions has a stream or
an answer of tokens.
"""

from collections.abc import Callable, Mapping
from typing import Any, Final

from tollgate_dialects.answer import reported
from tollgate_dialects.answer.rules import AnswerRules, words_of
from tollgate_dialects.answer.schema import Kind
from tollgate_dialects.common.protocol import Protocol
from tollgate_dialects.common.refusal import BadRequest, Code, unsupported, wrong_type
from tollgate_dialects.conversation.translation import NO_TRANSLATION
from tollgate_dialects.dialect import Dialect, Endpoint, PassedHeaders
from tollgate_dialects.openai_chat import errors, stream
from tollgate_dialects.pricing.usage import Usage
from tollgate_dialects.request import keys, values
from tollgate_dialects.request.content import Content
from tollgate_dialects.request.features import Allowed, never, one_of
from tollgate_dialects.request.rules import OutputLimit, RequestRules

# Hidden prompts of upstreams: instructions before a text, and its marks of begin and end.
OVERHEAD_TOKENS: Final = 200
# Of one text: its own marks.
TEXT_TOKENS: Final = 16
TEXTS_MAX: Final = 4_096

_REFUSED: Final[Mapping[str, Allowed]] = {
    "extra_body": never,
    "fallbacks": never,
    # Servers that embed take chats and pictures there.
    "images": never,
    "messages": never,
    "models": never,
    "provider": never,
    "route": never,
    "service_tier": one_of("auto", "default"),
    "stream": one_of(False),
    "tools": never,
}


def texts_of(value: object, name: str) -> int:
    """How many texts an input is: one, a list of them, or either as numbers of tokens.

    Raises BadRequest for anything else: what is no text costs more than its bytes.
    """
    if isinstance(value, str):
        return 1
    if not isinstance(value, list) or not value:
        raise wrong_type(name, "a text or an array of texts")
    if all(type(item) is int for item in value):
        return 1
    is_texts = all(isinstance(item, str) for item in value)
    is_tokens = all(
        isinstance(item, list) and all(type(token) is int for token in item) for item in value
    )
    if not is_texts and not is_tokens:
        raise wrong_type(name, "a text or an array of texts")
    if len(value) > TEXTS_MAX:
        raise BadRequest(Code.INVALID_VALUE, f"At most {TEXTS_MAX} texts in one request.", name)
    return len(value)


def _no_output(document: Mapping[str, Any]) -> OutputLimit:
    """Nothing is generated: the limit is 0, and no member says it."""
    for name in values.LIMITS:
        if document.get(name) is not None:
            raise unsupported(name)
    return 0, ()


def requests(
    *,
    content: Callable[[Mapping[str, Any], bytes], Content],
    texts: Callable[[Mapping[str, Any]], int],
    top: tuple[str, ...],
    roots: tuple[str, ...] = (),
) -> RequestRules:
    """The rules of an endpoint that generates nothing.

    `top`: its members that decide the price; `roots`: those of them with more such members inside.
    """
    return RequestRules(
        names=keys.names_of(_REFUSED, top=top, roots=roots),
        refused=_REFUSED,
        check_tool=lambda _tool: None,
        output_limit=_no_output,
        choices=lambda _document: 1,
        wants_usage=lambda _document: True,
        content=content,
        cache_write=lambda _printed: "none",
        rewritten=frozenset(("model",)),
        limit_name=lambda _model: "",
        usage_option=None,
        texts=texts,
    )


def answers(
    *,
    body: Mapping[str, Kind],
    is_body: Callable[[Mapping[str, Any]], bool],
    report: Callable[[Mapping[str, Any]], Mapping[str, Any] | None] = reported.found_in,
) -> AnswerRules:
    """The rules of an answer in one body, charged by what was read."""
    return AnswerRules(
        text=words_of("transcript"),
        body=body,
        is_body=is_body,
        usage=read_usage,
        report=report,
        # Nothing streams: a request to is refused.
        stream_reader=stream.ChunkReader,
        events=frozenset(),
        event_name=lambda _document: b"",
        choices=stream.choices_of,
        end=stream.END,
        error_codes=("code", "type"),
    )


def read_usage(report: Mapping[str, Any]) -> Usage:
    """Tokens that were read; some write them as the total alone. Raises ImplausibleError."""
    read = reported.count(report, "prompt_tokens", "input_tokens", "total_tokens")
    if read is None:
        raise reported.ImplausibleError
    return Usage.of(input_tokens=read)


def dialect(protocol: Protocol, path: str, request: RequestRules, answer: AnswerRules) -> Dialect:
    """One endpoint, at the same place below each base URL."""
    return Dialect(
        protocol=protocol,
        request=request,
        answer=answer,
        errors=errors.SHAPE,
        endpoint=Endpoint(
            path=f"/v1{path}",
            path_below=lambda _base_path, _asked: path,
            is_one_path=False,
            key_headers=lambda key: {"Authorization": f"Bearer {key}"},
            told_by=b"",
            passed_on=lambda _headers: PassedHeaders({}, ()),
        ),
        translation=NO_TRANSLATION,
        beside=Protocol.OPENAI_CHAT,
    )
