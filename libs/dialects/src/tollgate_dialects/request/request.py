"""The strict reader of a client's request.

Owns what is read from a body: model, stream, limits, and how much it can make an upstream read.
Promises that no other JSON reader sees another model, price or stream in the same bytes: one
object, strict JSON, no key twice, no key that a looser parser takes for one that decides the price.
Never changes a byte and never says what the client wrote.
"""

from typing import Any, Final, NamedTuple

import orjson

from tollgate_dialects.common import members
from tollgate_dialects.common.protocol import Protocol
from tollgate_dialects.common.refusal import BadRequest, Code, wrong_type
from tollgate_dialects.request import content, features, keys

__all__ = ["BadRequest", "Code", "RequestFacts", "read"]

MAX_DEPTH: Final = 128
MAX_MODEL_CHARACTERS: Final = 256
# Larger limits than any model has; keeps every product far inside 64 bits.
MAX_OUTPUT_TOKENS: Final = 100_000_000
MAX_CHOICES: Final = 128


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
    cache_write: content.CacheWrite


def read(body: bytes, protocol: Protocol) -> RequestFacts:
    """The facts of a body; raises BadRequest for one that must not be passed on."""
    document = _parse(body)
    printed = orjson.dumps(document)
    keys.check(body, printed, document, protocol)
    features.check_values(document, protocol)
    model = document.get("model")
    if model is None:
        raise BadRequest(Code.MISSING_MODEL, "The request names no model.", "model")
    if not isinstance(model, str):
        raise wrong_type("model", "a string")
    if not 0 < len(model) <= MAX_MODEL_CHARACTERS:
        raise BadRequest(
            Code.INVALID_VALUE, "A model's name has between 1 and 256 characters.", "model"
        )
    bound = content.input_bound(body, printed, document, protocol)
    is_openai = protocol is Protocol.OPENAI_CHAT
    return RequestFacts(
        model=model,
        stream=_boolean(document, "stream"),
        max_output_tokens=_output_limit(document, protocol),
        choices=_choices(document) if is_openai else 1,
        wants_usage=_include_usage(document) if is_openai else True,
        input_token_bound=bound.tokens,
        unbounded_input=bound.unbounded,
        cache_write=content.cache_write(printed, protocol),
    )


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


def _boolean(document: dict[str, Any], name: str) -> bool:
    value = document.get(name)
    if value is not None and not isinstance(value, bool):
        raise wrong_type(name, "true or false")
    return value is True


def _include_usage(document: dict[str, Any]) -> bool:
    options = document.get("stream_options")
    if options is not None and not isinstance(options, dict):
        raise wrong_type("stream_options", "an object")
    return _boolean(options, "include_usage") if options else False


def _integer(document: dict[str, Any], name: str, *, lowest: int, highest: int) -> int | None:
    value = document.get(name)
    if value is None:
        return None
    if not isinstance(value, int) or isinstance(value, bool):
        raise wrong_type(name, "a whole number")
    if not lowest <= value <= highest:
        raise BadRequest(Code.INVALID_VALUE, "This number is out of range.", name)
    return value


def _choices(document: dict[str, Any]) -> int:
    choices = _integer(document, "n", lowest=1, highest=MAX_CHOICES)
    return 1 if choices is None else choices


def _output_limit(document: dict[str, Any], protocol: Protocol) -> int | None:
    for name in keys.FOREIGN_LIMITS[protocol]:
        if document.get(name) is not None:
            raise BadRequest(
                Code.UNSUPPORTED_PARAMETER, "This limit belongs to another protocol.", name
            )
    # Anthropic takes 0: it fills the cache and answers nothing.
    lowest = 1 if protocol is Protocol.OPENAI_CHAT else 0
    found: int | None = None
    for name in keys.LIMITS[protocol]:
        limit = _integer(document, name, lowest=lowest, highest=MAX_OUTPUT_TOKENS)
        if found is not None and limit not in (None, found):
            raise BadRequest(
                Code.CONFLICTING_PARAMETERS,
                "max_tokens and max_completion_tokens must not differ.",
                "max_tokens",
            )
        found = limit if found is None else found
    if found is None and protocol is Protocol.ANTHROPIC_MESSAGES:
        raise BadRequest(Code.MISSING_PARAMETER, "max_tokens is required.", "max_tokens")
    return found
