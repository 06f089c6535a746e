"""Legacy completions: a prompt in, its continuation out, whole or as a stream.

Prompts may be several, and each has as many choices as `n` says. `best_of` generates more than is
told, and is refused where it does.
"""

from collections.abc import Mapping
from typing import Any, Final

from tollgate_dialects.answer.rules import AnswerRules, words_of
from tollgate_dialects.answer.schema import FACTS, WHOLE, are_objects, scalars
from tollgate_dialects.answer.template import Vocabulary
from tollgate_dialects.common.protocol import Protocol
from tollgate_dialects.common.refusal import BadRequest, Code, unsupported
from tollgate_dialects.openai_chat import content as chats
from tollgate_dialects.openai_chat import request as chat_request
from tollgate_dialects.openai_chat import stream, usage
from tollgate_dialects.openai_endpoints import shape
from tollgate_dialects.request import keys, values
from tollgate_dialects.request.content import Content
from tollgate_dialects.request.features import Allowed, never, one_of
from tollgate_dialects.request.rules import OutputLimit, RequestRules

_LIMIT: Final = "max_tokens"
_FOREIGN = values.foreign_limits((_LIMIT,))
_REFUSED: Final[Mapping[str, Allowed]] = {
    "extra_body": never,
    "fallbacks": never,
    "models": never,
    "prompt_embeds": never,
    "provider": never,
    "route": never,
    "service_tier": one_of("auto", "default"),
    "tools": never,
}
_ANSWER: Final = {
    **scalars("id object created model system_fingerprint service_tier provider request_id"),
    "choices": [
        {
            **scalars("index text finish_reason native_finish_reason stop_reason reasoning"),
            "logprobs": WHOLE,
            "content_filter_results": FACTS,
            "prompt_logprobs": WHOLE,
            "usage": FACTS,
        }
    ],
    "usage": FACTS,
    "prompt_filter_results": [FACTS],
    "time_info": FACTS,
    "timings": FACTS,
}


class _ChunkReader(stream.ChunkReader):
    kind = "text_completion"
    listed = _ANSWER


def _texts(document: Mapping[str, Any]) -> int:
    if document.get("prompt") is None:
        raise BadRequest(Code.MISSING_PARAMETER, "prompt is required.", "prompt")
    return shape.texts_of(document["prompt"], "prompt")


def _choices(document: Mapping[str, Any]) -> int:
    choices = values.integer(document, "n", lowest=1, highest=chat_request.MAX_CHOICES) or 1
    tried = values.integer(document, "best_of", lowest=1, highest=chat_request.MAX_CHOICES)
    if tried not in (None, choices):
        raise unsupported("best_of")
    return choices * _texts(document)


def _output_limit(document: Mapping[str, Any]) -> OutputLimit:
    values.refuse_foreign_limit(document, _FOREIGN)
    limit = values.integer(document, _LIMIT, lowest=0, highest=values.MAX_OUTPUT_TOKENS)
    return limit, () if limit is None else (_LIMIT,)


def _content(document: Mapping[str, Any], _printed: bytes) -> Content:
    return Content(shape.OVERHEAD_TOKENS + shape.TEXT_TOKENS * _texts(document))


_REQUEST: Final = RequestRules(
    names=keys.names_of(_REFUSED, top=("prompt", "best_of")),
    refused=_REFUSED,
    check_tool=lambda _tool: None,
    output_limit=_output_limit,
    choices=_choices,
    wants_usage=chat_request.RULES.wants_usage,
    content=_content,
    cache_write=chats.cache_write,
    rewritten=frozenset(("model", "stream_options", _LIMIT)),
    limit_name=lambda _model: _LIMIT,
    usage_option=chat_request.RULES.usage_option,
    texts=_texts,
)
_RULES: Final = AnswerRules(
    text=words_of("text|reasoning"),
    body=_ANSWER,
    is_body=lambda document: are_objects(document.get("choices")),
    usage=usage.read,
    report=usage.found_in,
    stream_reader=_ChunkReader,
    events=frozenset(),
    event_name=lambda _document: b"",
    choices=stream.choices_of,
    end=stream.END,
    vocabulary=Vocabulary(
        texts="id|model|system_fingerprint|service_tier|provider|request_id|text|reasoning",
        words="text_completion",
    ),
    error_codes=("code", "type"),
)
COMPLETIONS: Final = shape.dialect(Protocol.OPENAI_COMPLETIONS, "/completions", _REQUEST, _RULES)
