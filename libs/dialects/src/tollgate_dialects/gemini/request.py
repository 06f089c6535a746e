"""What a call may ask for, and how it is asked of an upstream.

Owns the list of what is known: a member that is not on it is refused, at the top, in
`generationConfig` and in a part, for Google's documents are closed and what they gain has a price
that nobody has looked at. Model and streaming are said in the path; a stream tells its usage
unasked, and there is one candidate.
"""

from collections.abc import Mapping
from typing import Any, Final

from tollgate_dialects.common.refusal import BadRequest, Code, unsupported, wrong_type
from tollgate_dialects.gemini import content, count, limits, shed, signatures, spelling
from tollgate_dialects.request import keys
from tollgate_dialects.request.content import Content
from tollgate_dialects.request.features import Allowed, never, one_of
from tollgate_dialects.request.rules import RequestRules

_TOP: Final = spelling.both(
    "model", "contents", "systemInstruction", "tools", "toolConfig", "safetySettings",
    limits.CONFIG, "labels",
)  # fmt: skip
# What stands in generationConfig -> whether a value is harmless; None: any is.
_CONFIG: Final[Mapping[str, Allowed | None]] = {
    **dict.fromkeys(
        ("maxOutputTokens", "temperature", "topP", "topK", "stopSequences", "seed",
         "presencePenalty", "frequencyPenalty", "responseLogprobs", "logprobs",
         "responseMimeType", "responseSchema", "responseJsonSchema", "thinkingConfig",
         "mediaResolution", "enableEnhancedCivicAnswers")
    ),
    "candidateCount": lambda value: value == 1 and type(value) is int,
    # Pictures and speech cost more than text.
    "responseModalities": lambda value: isinstance(value, list)
    and all(isinstance(one, str) and one.upper() == "TEXT" for one in value),
}  # fmt: skip
_TIERS: Final = one_of("standard", "STANDARD", "SERVICE_TIER_STANDARD", "unspecified", "")


def _in_both(refused: Mapping[str, Allowed]) -> Mapping[str, Allowed]:
    return {name: allowed for given, allowed in refused.items() for name in spelling.both(given)}


_REFUSED: Final = _in_both(
    {
        # What is kept costs by the hour, and is another client's.
        "cachedContent": never,
        # Billed by itself.
        "modelArmorConfig": never,
        "serviceTier": _TIERS,
        "store": one_of(False),
    }
)


def _check_tool(tool: Mapping[str, Any]) -> None:
    """Functions of the client's: everything else runs at Google and is billed by the call."""
    for name, value in tool.items():
        if value is not None and name not in spelling.both("functionDeclarations"):
            raise unsupported("tools")
    functions = tool.get(spelling.used(tool, "functionDeclarations"))
    if functions is not None and not (
        isinstance(functions, list) and all(isinstance(one, dict) for one in functions)
    ):
        raise wrong_type("functionDeclarations", "an array of objects")


def _counted(document: dict[str, Any]) -> dict[str, Any]:
    """A count may be asked of contents alone, or of a whole call."""
    request = document.get(spelling.used(document, "generateContentRequest"))
    return request if isinstance(request, dict) else document


def _content(document: Mapping[str, Any], printed: bytes) -> Content:
    unknown = document.keys() - _TOP - _REFUSED.keys()
    if unknown:
        raise BadRequest(Code.UNSUPPORTED_PARAMETER, "This member is not known here.", min(unknown))
    _check_config(document)
    return content.content_of(document, printed)


def _check_config(document: Mapping[str, Any]) -> None:
    config = document.get(spelling.used(document, limits.CONFIG))
    if config is None:
        return
    if not isinstance(config, dict):
        raise wrong_type(limits.CONFIG, "an object")
    for name, value in spelling.camel(config).items():
        if value is None:
            continue
        allowed = _CONFIG.get(name, never)
        if allowed is not None and not allowed(value):
            raise unsupported(name)


RULES: Final = RequestRules(
    names=keys.names_of(_REFUSED, top=_TOP),
    refused=_REFUSED,
    check_tool=_check_tool,
    output_limit=limits.output_limit,
    choices=lambda _document: 1,
    wants_usage=lambda _document: True,
    content=_content,
    cache_write=content.cache_write,
    rewritten=frozenset(("model", *spelling.both(limits.CONFIG))),
    limit_name=lambda _model: limits.NAME,
    usage_option=None,
    model_in_body=False,
    stream_in_body=False,
    count=count.input_tokens,
    counted=_counted,
    sheds=lambda document, _printed: shed.may_have(document),
    shed=shed.shed,
    is_written_anew=signatures.has_carried,
)
