"""A client's call, read into the one form. Model and streaming are known from its path.

Promises: all that Google accepts and the strict reader lets pass is read, in both spellings; what
the one form has no place for is named; and only BadRequest leaves.
"""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final

from tollgate_dialects.common import shapes
from tollgate_dialects.common.refusal import wrong_type
from tollgate_dialects.conversation.parts import (
    FunctionTool,
    HostedTool,
    Origin,
    Part,
    Tool,
)
from tollgate_dialects.conversation.request import (
    OutputFormat,
    Request,
    Role,
    ToolChoice,
    Turn,
)
from tollgate_dialects.gemini import spelling
from tollgate_dialects.gemini.translate import reasoning, schemas
from tollgate_dialects.gemini.translate.content_reader import ContentReader, joined

_ROLES: Final[Mapping[str, Role]] = {
    "": "user", "user": "user", "function": "user", "tool": "user", "model": "assistant",
    "system": "system",
}  # fmt: skip
_NUMBERS: Final = {
    "temperature": "temperature",
    "topP": "top_p",
    "presencePenalty": "presence_penalty",
    "frequencyPenalty": "frequency_penalty",
}
_WHOLE_NUMBERS: Final = {
    "maxOutputTokens": "max_output_tokens",
    "topK": "top_k",
    "seed": "seed",
    "logprobs": "top_logprobs",
}
_HELD: Final = frozenset(
    ("model", "contents", "systemInstruction", "tools", "toolConfig", "generationConfig")
)
_HELD_CONFIG: Final = frozenset(
    (*_NUMBERS, *_WHOLE_NUMBERS, "responseLogprobs", "stopSequences", "thinkingConfig",
     "responseMimeType", "responseSchema", "responseJsonSchema", "responseModalities",
     "candidateCount")
)  # fmt: skip
# Larger whole numbers have no exact float.
_EXACT_MAX: Final = 2**53
_JSON: Final = "application/json"


def read(document: Mapping[str, Any]) -> Request:
    """The request of a document. Raises BadRequest."""
    try:
        return _read(spelling.camel(document))
    except shapes.ShapeError as bad:
        raise wrong_type(bad.param, bad.expected) from None


def _read(document: Mapping[str, Any]) -> Request:
    unheld: set[str] = set()
    config = shapes.item(document, "generationConfig")
    unheld |= {
        name for name, value in config.items() if name not in _HELD_CONFIG and value is not None
    }
    return Request(
        model=shapes.text(document, "model"),
        turns=tuple(_turns(document, ContentReader(unheld))),
        tools=tuple(_tools(document)),
        tool_choice=_tool_choice(shapes.item(document, "toolConfig"), unheld),
        stop=_stops(config),
        logprobs=shapes.flag(config, "responseLogprobs"),
        reasoning=reasoning.read(shapes.item(config, "thinkingConfig")),
        output_format=_output_format(config, unheld),
        extra={
            name: value
            for name, value in document.items()
            if name not in _HELD and value is not None
        },
        unheld=frozenset(unheld),
        origin=Origin.GOOGLE,
        **_numbers(config),
    )


def _numbers(config: Mapping[str, Any]) -> dict[str, Any]:
    """Fields of a Request."""
    found: dict[str, Any] = {name: shapes.number(config, of) for of, name in _NUMBERS.items()}
    return found | {name: _whole(config, of) for of, name in _WHOLE_NUMBERS.items()}


def _whole(config: Mapping[str, Any], name: str) -> int | None:
    """A whole number; Google's SDK writes some as 40.0."""
    value = shapes.number(config, name)
    if isinstance(value, float):
        if not value.is_integer() or abs(value) > _EXACT_MAX:
            raise shapes.ShapeError(name, "a whole number")
        return int(value)
    return value


def _turns(document: Mapping[str, Any], reader: ContentReader) -> Iterator[Turn]:
    """The system's words first; contents of one side that follow one another are one turn."""
    system = reader.parts(shapes.item(document, "systemInstruction"))
    if system:
        yield Turn("system", tuple(system))
    role: Role | None = None
    said: list[Part] = []
    for content in shapes.items(document, "contents"):
        name = shapes.text(content, "role")
        if name not in _ROLES:
            raise shapes.ShapeError("role", "user or model")
        if role is not None and _ROLES[name] != role:
            yield _turn(role, said)
            said = []
        role = _ROLES[name]
        said += reader.parts(content)
    if role is not None:
        yield _turn(role, said)


def _turn(role: Role, said: Sequence[Part]) -> Turn:
    return Turn(role, joined(said) if role == "assistant" else tuple(said))


def _tools(document: Mapping[str, Any]) -> Iterator[Tool]:
    for tool in shapes.items(document, "tools"):
        for name, value in tool.items():
            if name == "functionDeclarations":
                for function in shapes.items(tool, name):
                    yield _function(function)
            elif value is not None:
                yield HostedTool(name, {name: value})


def _function(function: Mapping[str, Any]) -> FunctionTool:
    schema = shapes.item(function, "parametersJsonSchema")
    if not schema and (given := shapes.item(function, "parameters")):
        schema = schemas.usual(given)
    return FunctionTool(
        shapes.text(function, "name"), shapes.text(function, "description"), schema or None
    )


def _tool_choice(config: Mapping[str, Any], unheld: set[str]) -> ToolChoice | None:
    if any(value for name, value in config.items() if name != "functionCallingConfig"):
        unheld.add("toolConfig")
    asked = shapes.item(config, "functionCallingConfig")
    if not asked:
        return None
    names = asked.get("allowedFunctionNames")
    if names is not None and not (
        isinstance(names, list) and all(isinstance(name, str) for name in names)
    ):
        raise shapes.ShapeError("allowedFunctionNames", "an array of texts")
    allowed = tuple(names or ())
    match shapes.text(asked, "mode").upper():
        case "" | "AUTO" | "MODE_UNSPECIFIED" | "VALIDATED":
            return ToolChoice("auto", allowed)
        case "ANY":
            return ToolChoice("required", allowed)
        case "NONE":
            return ToolChoice("none")
    raise shapes.ShapeError("mode", "AUTO, ANY, NONE or VALIDATED")


def _stops(config: Mapping[str, Any]) -> tuple[str, ...]:
    stops = config.get("stopSequences")
    if stops is None:
        return ()
    if not isinstance(stops, list) or not all(isinstance(stop, str) for stop in stops):
        raise shapes.ShapeError("stopSequences", "an array of texts")
    return tuple(stops)


def _output_format(config: Mapping[str, Any], unheld: set[str]) -> OutputFormat | None:
    kind = shapes.text(config, "responseMimeType")
    schema = shapes.item(config, "responseJsonSchema")
    if not schema and (given := shapes.item(config, "responseSchema")):
        schema = schemas.usual(given)
    if kind in ("", "text/plain") and not schema:
        return None
    if kind not in ("", _JSON):
        # One word of several, as plain text.
        unheld.add("output_format")
        return None
    return OutputFormat("json_schema", schema=schema) if schema else OutputFormat("json_object")
