"""How many input tokens a body is, counted by what is known of the vendor that reads it.

Promises not to be below what is billed, as far as the vendor's calibration holds. What a protocol's
own names frame is counted as text: each string, and three tokens an object, as OpenAI has it. All
else is counted as the JSON it is: declarations, schemas, arguments, and every name not known here.
Pictures count by the dialect's rule, files of text by their bytes, sound by both.
"""

from collections.abc import Iterable, Mapping
from typing import Any, Final, NamedTuple

import orjson

from tollgate_dialects.request.content import TRANSLATED_OBJECT_TOKENS, Content, File, object_in
from tollgate_dialects.request.rules import RequestFacts, RequestRules
from tollgate_dialects.tokens.calibration import Calibration
from tollgate_dialects.tokens.vocabulary import Count

# What no model reads: settings, and names for the vendor's own books.
_SETTINGS: Final = frozenset(
    ("model", "metadata", "user", "store", "include", "service_tier", "prompt_cache_key",
     "prompt_cache_retention", "safety_identifier", "stream_options", "betas", "client_metadata",
     "context_management", "cache_control", "truncation")
)  # fmt: skip
# Names of a protocol around what a model reads: their values are read, and not they.
_FRAMES: Final = frozenset(
    ("messages", "role", "content", "contents", "parts", "type", "text", "refusal", "thinking",
     "reasoning_content", "reasoning", "reasoning_details", "summary", "name", "tool_calls",
     "function", "arguments", "id", "tool_call_id", "call_id", "tool_use_id", "status", "phase",
     "output", "functionCall", "functionResponse", "function_response", "inlineData",
     "inline_data", "mimeType", "mime_type", "image", "image_url", "url", "detail", "source",
     "bytes", "format", "media_type", "data", "is_error", "cache_control", "citations",
     "annotations", "index", "thought",
     "toolUse", "toolUseId", "toolResult", "reasoningContent", "reasoningText", "redacted_content",
     "redactedContent", "cachePoint", "system", "systemInstruction", "system_instruction")
)  # fmt: skip
_OPAQUE: Final = frozenset(
    ("encrypted_content", "signature", "thoughtSignature", "thought_signature")
)
_FRAME_TOKENS: Final = 3
# Around what is text from the top on, as an input that is no list.
_TEXT_TOKENS: Final = 4
# Around what vendors introduce with words of their own: 30 for a document at Anthropic, 92 for
# tools that come later at OpenAI.
_INTRODUCED: Final = {
    "document": 48, "search_result": 48, "additional_tools": 112, "tool_search_output": 112,
}  # fmt: skip
_INSTRUCTIONS: Final = frozenset(
    ("instructions", "system", "systemInstruction", "system_instruction")
)
_THINKING: Final = frozenset(
    ("thinking", "reasoning", "reasoning_effort", "enable_thinking",
     "additionalModelRequestFields", "parameters")
)  # fmt: skip
_SCHEMAS: Final = frozenset(
    ("response_format", "text", "output_format", "output_config", "generationConfig",
     "generation_config", "outputConfig", "parameters")
)  # fmt: skip
# What a model is told of the budget that its client gives it; 35 at Anthropic.
_TASK_BUDGET_TOKENS: Final = 64
# What a vendor makes up itself, and takes no longer.
_IDS: Final = frozenset(("id", "call_id", "tool_call_id"))
_ID_CHARACTERS: Final = 64
# Settings, a schema for the answer among them.
_SCHEMA_HOLDERS: Final = frozenset(("output_config", "generationConfig", "generation_config"))
_TOOLS: Final = frozenset(("tools", "functions", "toolConfig"))
# What a client declares, and where in it further declarations and JSON schemas stand.
_DECLARATIONS: Final = frozenset(
    ("tools", "functions", "function", "functionDeclarations", "function_declarations",
     "response_format", "json_schema", "output_format", "output_config", "format",
     "generationConfig", "generation_config")
)  # fmt: skip
_DECLARED_SCHEMAS: Final = frozenset(
    ("parameters", "parametersJsonSchema", "parameters_json_schema", "input_schema", "schema",
     "responseSchema", "response_schema", "responseJsonSchema", "response_json_schema")
)  # fmt: skip
# Of a schema, what holds schemas, and what holds them by names that the client has chosen.
_SUBSCHEMAS: Final = frozenset(
    ("items", "prefixItems", "anyOf", "oneOf", "allOf", "not", "additionalProperties")
)
_NAMED_SCHEMAS: Final = frozenset(("properties", "$defs", "definitions"))


class CloseBound(NamedTuple):
    """Where an upstream of the client's protocol reads it, and one of another."""

    tokens: int
    translated_tokens: int
    # Whether they hold although the bytes do not bound the request: its vendor fetches pictures.
    bounds_fetched: bool = False

    def of(self, facts: RequestFacts) -> RequestFacts:
        """The facts with whichever bound is lower."""
        if self.bounds_fetched and facts.fetches_pictures:
            return facts._replace(
                input_token_bound=self.tokens,
                translated_token_bound=self.translated_tokens,
                kept_token_bound=self.translated_tokens,
                unbounded_input=False,
            )
        return facts._replace(
            input_token_bound=min(facts.input_token_bound, self.tokens),
            translated_token_bound=min(facts.translated_token_bound, self.translated_tokens),
            # That leaves nothing out.
            kept_token_bound=min(facts.kept_token_bound, self.translated_tokens),
        )


def count(body: bytes, rules: RequestRules, calibration: Calibration) -> CloseBound:
    """Of a body that `request.read` has accepted, and that its bytes or a count bound."""
    document = orjson.loads(body)
    printed = orjson.dumps(document)
    content = rules.content(document, printed)
    declared = document.get("tools") or ()
    shown = _without_deferred(_without_forgotten(document, calibration), printed, rules)
    whole = _read(document, content, calibration, declared)
    read = whole if shown is document else _read(shown, content, calibration, declared)
    return CloseBound(
        read + _told(document, calibration),
        # What is translated may say all that a vendor would have left out.
        whole
        + calibration.most(has_tools=_has_tools(document))
        + _TASK_BUDGET_TOKENS
        + TRANSLATED_OBJECT_TOKENS * printed.count(b"{"),
        bounds_fetched=content.fetches_pictures
        and calibration.fetches_pictures
        and not content.unbounded,
    )


def _read(
    document: Mapping[str, Any], content: Content, calibration: Calibration, declared: Any
) -> int:
    """What a document itself says and shows; `declared`: the tools that it may refer to."""
    reading = _Reading(calibration, content)
    text_tokens = reading.document(document) + sum(map(reading.file, content.files))
    if content.references:
        text_tokens += content.references * reading.longest(declared)
    pictures = sum(calibration.picture(shown.size, shown.detail) for shown in content.pictures)
    others = reading.opaque_tokens + content.vendor_tokens + pictures + content.audio_tokens
    return calibration.of_text(text_tokens) + others


def _told(document: Mapping[str, Any], calibration: Calibration) -> int:
    """What the vendor says to the model on its own account."""
    names = {name for name, value in document.items() if value is not None}
    names -= {name for name in _SCHEMA_HOLDERS if not _schemas_in(object_in(document, name))}
    return (
        calibration.base
        + calibration.instructions * bool(names & _INSTRUCTIONS)
        + calibration.thinking * bool(names & _THINKING)
        + calibration.schema * bool(names & _SCHEMAS)
        + _tools_told(document, calibration) * _has_tools(document)
        + _TASK_BUDGET_TOKENS * ("task_budget" in object_in(document, "output_config"))
    )


def _tools_told(document: Mapping[str, Any], calibration: Calibration) -> int:
    return calibration.of_tools(
        is_chat="messages" in document,
        is_forced=_is_forced(document),
        is_instructed=document.get("instructions") is not None or bool(document.get("stream")),
    )


def _is_forced(document: Mapping[str, Any]) -> bool:
    """Whether the model has to call a tool."""
    choice = document.get("tool_choice")
    kind = choice.get("type") if isinstance(choice, dict) else choice
    return kind not in (None, "auto", "none")


def _without_deferred(
    document: Mapping[str, Any], printed: bytes, rules: RequestRules
) -> Mapping[str, Any]:
    """Tools that come later by their names: what the request itself brings of them, it holds again.

    What the vendor searches for itself, it may read all of; so it may where the search is shed.
    """
    tools = document.get("tools")
    if not isinstance(tools, list) or not any(map(_is_deferred, tools)):
        return document
    is_whole = (
        _is_forced(document)
        or b'"tool_addition"' in printed
        or (rules.sheds is not None and rules.sheds(document, printed))
        or not all(
            tool.get("type") in (None, "custom", "function")
            or (tool.get("type") == "tool_search" and tool.get("execution") == "client")
            for tool in tools
        )
    )
    return document if is_whole else {**document, "tools": list(map(_named, tools))}


def _is_deferred(tool: Mapping[str, Any]) -> bool:
    return tool.get("defer_loading") is True


def _named(tool: Mapping[str, Any]) -> Mapping[str, Any] | str:
    """Of a tool that comes later, what a model may be told of it before."""
    return f"{tool.get('name')}: {tool.get('description')}" if _is_deferred(tool) else tool


def _without_forgotten(document: Mapping[str, Any], known: Calibration) -> Mapping[str, Any]:
    """Without what was thought before the last word of the user, where its vendor leaves it out."""
    items, context = document.get("input"), object_in(document, "reasoning").get("context")
    forgets = known.forgets_thinking if context in (None, "auto") else context == "current_turn"
    if not forgets or not isinstance(items, list):
        return document
    last = max((at for at, item in enumerate(items) if _is_users_word(item)), default=-1)
    left = [
        item
        for at, item in enumerate(items)
        if at > last or item.get("type") != "reasoning" or not item.get("encrypted_content")
    ]
    return document if len(left) == len(items) else {**document, "input": left}


def _is_users_word(item: Mapping[str, Any]) -> bool:
    return item.get("role") == "user" and item.get("type") in (None, "message")


def _schemas_in(settings: Mapping[str, Any]) -> dict[str, Any]:
    """Of settings, what says how the answer is to look."""
    return {
        name: value
        for name, value in settings.items()
        if name == "format" or name.lower().endswith("schema")
    }


def _has_tools(document: Mapping[str, Any]) -> bool:
    parameters = object_in(document, "parameters")
    return any(document.get(name) or parameters.get(name) for name in _TOOLS)


class _Reading:
    """Walks a document once; recursive, for its depth is bounded."""

    def __init__(self, calibration: Calibration, content: Content) -> None:
        self._count: Count = calibration.count
        self._of_opaque = calibration.of_opaque
        # Of thinking that only its vendor reads, so far.
        self.opaque_tokens = 0
        self._is_lean = calibration.is_lean
        self._encoded = {id(shown.text) for shown in content.pictures if shown.encoded_bytes}
        self._encoded |= {id(file.data) for file in content.files}

    def document(self, document: Mapping[str, Any]) -> int:
        """A body's own members: settings that are no text cost nothing."""
        tokens = 0
        for name, value in document.items():
            if name in _SETTINGS or not isinstance(value, (str, list, dict)):
                continue
            if name in _SCHEMA_HOLDERS and isinstance(value, dict):
                schemas = _schemas_in(value)
                tokens += self._declared(name, schemas) if schemas else 0
            elif name in _DECLARATIONS:
                tokens += self._declared(name, value)
            elif name not in _FRAMES and name not in ("input", "instructions"):
                tokens += self._json(name, value)
            else:
                tokens += self._framed(value) + _TEXT_TOKENS * isinstance(value, str)
        return tokens

    def longest(self, tools: Iterable[Any]) -> int:
        """Tokens of the longest declaration."""
        return max((self._declared("tools", tool) for tool in tools), default=0)

    def file(self, file: File) -> int:
        """What it says; else as much as may be made of its bytes, and itself."""
        if file.text is None:
            return len(file.data) + self._count(file.data)
        return self._count(file.text)

    def _framed(self, value: Any) -> int:
        if isinstance(value, str):
            return 0 if id(value) in self._encoded else self._count(value)
        if isinstance(value, list):
            return sum(map(self._framed, value))
        if isinstance(value, dict):
            kind = str(value.get("type"))
            frame = _INTRODUCED.get(kind, _FRAME_TOKENS)
            if kind == "redacted_thinking" and isinstance(sealed := value.get("data"), str):
                return frame + self._opaque(sealed)
            return frame + sum(map(self._member, value, value.values()))
        return 0 if value is None else len(str(value))

    def _member(self, name: str, value: Any) -> int:
        if self._is_lean and name in _IDS and len(str(value)) <= _ID_CHARACTERS:
            return 0
        if name == "arguments" and not isinstance(value, str):
            return self._json(name, value)
        if name in _FRAMES:
            return self._framed(value)
        if name in ("tools", "schema"):
            return self._declared(name, value)
        if name in _OPAQUE and isinstance(value, str):
            return self._opaque(value)
        return self._json(name, value)

    def _opaque(self, sealed: str) -> int:
        """Nothing of the text: it is no text's share that its tokens have on top."""
        self.opaque_tokens += self._of_opaque(len(sealed))
        return 0

    def _json(self, name: str, value: Any) -> int:
        return self._count(orjson.dumps({name: value}).decode())

    def _declared(self, name: str, value: Any) -> int:
        if not self._is_lean:
            return self._json(name, value)
        printed = orjson.dumps(_lean_declaration({name: value})).decode()
        # Each line of a description is a comment of its own.
        return self._count(printed) + printed.count("\\n")


def _lean_declaration(value: Any) -> Any:
    """A declaration without what only the vendor's own checks read."""
    if isinstance(value, list):
        return list(map(_lean_declaration, value))
    if not isinstance(value, dict):
        return value
    lean = {}
    for name, member in value.items():
        if name in _DECLARATIONS:
            lean[name] = _lean_declaration(member)
        elif name in _DECLARED_SCHEMAS:
            lean[name] = _lean_schema(member)
        elif not (
            (name == "strict" and isinstance(member, bool))
            or (name == "type" and member == "function")
        ):
            lean[name] = member
    return lean


def _lean_schema(value: Any) -> Any:
    """A JSON schema likewise; what stands in it as values, as a default, is whole."""
    if isinstance(value, list):
        return list(map(_lean_schema, value))
    if not isinstance(value, dict):
        return value
    lean = {}
    for name, member in value.items():
        if name in _NAMED_SCHEMAS and isinstance(member, dict):
            lean[name] = {chosen: _lean_schema(schema) for chosen, schema in member.items()}
        elif name in _SUBSCHEMAS and not isinstance(member, bool):
            lean[name] = _lean_schema(member)
        elif not (
            (name == "additionalProperties" and isinstance(member, bool))
            or (name == "required" and _says_nothing_new(member, value))
        ):
            lean[name] = member
    return lean


def _says_nothing_new(required: Any, schema: Mapping[str, Any]) -> bool:
    """Whether it names, once each, properties that stand beside it."""
    if not isinstance(required, list) or not all(isinstance(name, str) for name in required):
        return False
    return len(set(required)) == len(required) and not (
        set(required) - object_in(schema, "properties").keys()
    )
