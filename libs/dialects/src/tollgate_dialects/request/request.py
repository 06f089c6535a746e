"""The strict reader of a client's request.

Owns what is read from a body: model, stream, limits, how much it can make an upstream read, and for
who only asks, about how much it is.
Promises that no other JSON reader sees another model, price or stream in the same bytes: one
object, strict JSON, no key twice, no key that a looser parser takes for one that decides the price.
Never changes a byte and never says what the client wrote.
"""

from typing import Any, Final

import orjson

from tollgate_dialects.common import members
from tollgate_dialects.common.refusal import BadRequest, Code, wrong_type
from tollgate_dialects.request import features, keys, variants
from tollgate_dialects.request.content import input_bound
from tollgate_dialects.request.rules import IN_THE_BODY, Count, RequestFacts, RequestRules, Told
from tollgate_dialects.request.server_tools import NO_SERVER_TOOLS
from tollgate_dialects.request.values import boolean

__all__ = ["BadRequest", "Code", "Count", "RequestFacts", "Told", "count", "read"]

MAX_DEPTH: Final = 128
MAX_MODEL_CHARACTERS: Final = 256


def read(body: bytes, rules: RequestRules, told: Told = IN_THE_BODY) -> RequestFacts:
    """The facts of a body; raises BadRequest for one that must not be passed on."""
    document = _parse(body)
    printed = orjson.dumps(document)
    keys.check(body, printed, document, rules.names)
    features.check_values(document, rules.refused, rules.check_tool)
    model = _model(document if told.model is None else {"model": told.model})
    content = rules.content(document, printed)
    bound = input_bound(body, printed, content)
    stream = boolean(document, "stream") if told.stream is None else told.stream
    max_output_tokens, limit_names = rules.output_limit(document)
    choices = rules.choices(document)
    thinking = rules.thinking(document)
    if stream and rules.stream_choices_max is not None and choices > rules.stream_choices_max:
        raise BadRequest(Code.UNSUPPORTED_PARAMETER, "A stream has one choice here.", "n")
    return RequestFacts(
        model=model,
        stream=stream,
        max_output_tokens=max_output_tokens,
        choices=choices,
        wants_usage=rules.wants_usage(document),
        input_token_bound=bound.tokens,
        unbounded_input=bound.unbounded,
        fetches_pictures=bound.fetches_pictures,
        cache_write=rules.cache_write(printed),
        limit_names=limit_names,
        present=rules.rewritten.intersection(document),
        translated_token_bound=bound.translated_tokens,
        sheds=rules.sheds is not None and rules.sheds(document, printed),
        is_written_anew=rules.is_written_anew is not None and rules.is_written_anew(document),
        server_tools=rules.server_tools(document) if rules.server_tools else NO_SERVER_TOOLS,
        texts=rules.texts(document) if rules.texts else 1,
        beyond_limit_tokens=rules.beyond_limit(thinking, model),
        thinking=thinking,
        previous_id=rules.previous(document) if rules.previous else "",
        is_to_be_kept=rules.is_to_be_kept is not None and rules.is_to_be_kept(document),
        kept_token_bound=bound.tokens,
        may_leave_out=rules.may_leave_out is not None and rules.may_leave_out(document),
        variants=variants.asked(document, rules.variant_members),
        audio_tokens=content.audio_tokens,
        speaks=rules.speaks is not None and rules.speaks(document),
    )


def count(body: bytes, rules: RequestRules, told: Told = IN_THE_BODY) -> Count:
    """About how many input tokens a body has; raises BadRequest for one that is not understood.

    What a call would be refused for, as a tool without a price, is counted as well.
    """
    assert rules.count is not None, "its clients ask for it"
    document = _parse(body)
    printed = orjson.dumps(document)
    keys.check(body, printed, document, rules.names)
    document = rules.counted(document)
    tools = document.get("tools")
    if tools is not None and not (
        isinstance(tools, list) and all(isinstance(tool, dict) for tool in tools)
    ):
        raise wrong_type("tools", "an array of objects")
    model = _model(document if told.model is None else {"model": told.model})
    return Count(model, rules.count(document, rules.content(document, printed)))


def _model(document: dict[str, Any]) -> str:
    model = document.get("model")
    if model is None:
        raise BadRequest(Code.MISSING_MODEL, "The request names no model.", "model")
    if not isinstance(model, str):
        raise wrong_type("model", "a string")
    if not 0 < len(model) <= MAX_MODEL_CHARACTERS:
        raise BadRequest(
            Code.INVALID_VALUE, "A model's name has between 1 and 256 characters.", "model"
        )
    return model


def _parse(body: bytes) -> dict[str, Any]:
    """Strict JSON: orjson refuses a BOM, NaN, Infinity, lone surrogates and bad UTF-8."""
    shape = members.shape(body)
    if shape.values > members.MAX_VALUES:
        raise BadRequest(Code.TOO_LARGE, "The body holds too many arrays, objects and members.")
    if shape.depth > MAX_DEPTH:
        raise BadRequest(Code.TOO_DEEP, "The body nests more than 128 levels deep.")
    try:
        document = orjson.loads(body)
    except orjson.JSONDecodeError:
        raise BadRequest(Code.INVALID_JSON, "The body is not valid JSON in UTF-8.") from None
    if not isinstance(document, dict):
        raise BadRequest(Code.INVALID_JSON, "The body must be one JSON object.")
    return document
