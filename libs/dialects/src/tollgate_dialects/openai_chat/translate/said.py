"""What an assistant's message says, whole or a fragment of it, under the names that vendors use.

A request's earlier turns, whole answers and the deltas of a stream have the same members, so they
are read here alike. `reasoning_details` is the place for opaque blocks in a chat: `signature` or
`data`, with `format` for who made it.
"""

from collections.abc import Iterator, Mapping
from typing import Any, Final

from tollgate_dialects.common import documents, shapes
from tollgate_dialects.conversation import carrier
from tollgate_dialects.conversation.assembly import Call, Piece, Thought, Words
from tollgate_dialects.conversation.parts import Citation, Opaque, Origin, Seal

# Between two thoughts, where they are one text.
BETWEEN: Final = "\n\n"
# Who made the block in a detail, by its `format`.
FORMATS: Final[Mapping[Origin, str]] = {
    Origin.ANTHROPIC: "anthropic-claude-v1",
    Origin.OPENAI: "openai-responses-v1",
    Origin.GOOGLE: "google-gemini-v1",
}
_ORIGINS: Final = {
    **{name: origin for origin, name in FORMATS.items()},
    "azure-openai-responses-v1": Origin.OPENAI,
    # Where nothing is said, it is this one.
    "": Origin.ANTHROPIC,
}
# The thinking in plain words: DeepSeek's name and most others', OpenRouter's and Groq's, Copilot's.
_PLAIN: Final = ("reasoning_content", "reasoning", "reasoning_text")
# What a message of nothing but words has.
_WORDS_ALONE: Final = frozenset(("role", "content"))
# Where Google's signature of a call is.
_GOOGLE: Final = ("google", "vertex")


def pieces_of(message: Mapping[str, Any], *, is_whole: bool = False) -> list[Piece]:
    """All that a message says, in the order in which it was said. Raises ShapeError.

    `is_whole`: of an answer in one piece, whose calls are all there.
    """
    content = message.get("content")
    if type(content) is str and (
        message.keys() <= _WORDS_ALONE
        or all(name in _WORDS_ALONE or value is None for name, value in message.items())
    ):
        return [Words(content)] if content else []  # as nearly every chunk
    calls = calls_in(message, is_whole=is_whole)
    call_ids = {call.call_id for call in calls if call.call_id}
    thoughts = list(thoughts_in(message))
    # OpenRouter has a call's signature among the details, under the call's id.
    late = [one for one in thoughts if one.opaque and one.opaque.item_id in call_ids]
    first = [one for one in thoughts if one not in late]
    return [*first, *_contents_in(message), *calls, *late]


def thoughts_in(message: Mapping[str, Any]) -> Iterator[Thought]:
    """The thinking beside a message's content. Raises ShapeError."""
    details = list(_details_in(message)) or list(_blocks_in(message))
    plain = next(
        (said for name in _PLAIN if isinstance(said := message.get(name), str) and said), ""
    )
    if plain and not any(thought.text for thought in details):
        yield Thought(plain)
    yield from details


def _details_in(message: Mapping[str, Any]) -> Iterator[Thought]:
    for detail in shapes.items(message, "reasoning_details"):
        origin = _ORIGINS.get(shapes.text(detail, "format"))
        item_id = shapes.text(detail, "id")
        index = detail.get("index")
        # OpenAI's summaries are of one item, wherever they are in the list.
        block = index if type(index) is int and origin is not Origin.OPENAI else None
        said = shapes.text(detail, "text") or shapes.text(detail, "summary")
        opaque = None
        if origin and (signature := shapes.text(detail, "signature")):
            opaque = carrier.restored(signature, origin, Seal.SIGNATURE, item_id)
        elif origin and (data := shapes.text(detail, "data")):
            opaque = carrier.restored(data, origin, Seal.ENCRYPTED, item_id)
        if said or opaque:
            yield Thought(said, opaque, block)


def _blocks_in(message: Mapping[str, Any]) -> Iterator[Thought]:
    """LiteLLM's: Anthropic's own blocks."""
    for block in shapes.items(message, "thinking_blocks"):
        said, opaque = shapes.text(block, "thinking"), None
        if signature := shapes.text(block, "signature"):
            opaque = carrier.restored(signature, Origin.ANTHROPIC, Seal.SIGNATURE)
        elif data := shapes.text(block, "data"):
            opaque = carrier.restored(data, Origin.ANTHROPIC, Seal.ENCRYPTED)
        if said or opaque:
            yield Thought(said, opaque)


def _contents_in(message: Mapping[str, Any]) -> Iterator[Thought | Words]:
    content = message.get("content")
    citations = tuple(citations_in(message))
    if isinstance(content, list):
        for part in shapes.items(message, "content"):
            yield from content_part(part)
        if citations:
            yield Words("", citations=citations)
    elif (said := shapes.text(message, "content")) or citations:
        yield Words(said, citations=citations)
    if refusal := shapes.text(message, "refusal"):
        yield Words(refusal, is_refusal=True)
    if signature := _signature_in(message):
        yield Thought("", signature)


def content_part(part: Mapping[str, Any]) -> Iterator[Thought | Words]:
    """A part of an assistant's content: Mistral has its thinking there. Others say nothing."""
    kind = part.get("type")
    if kind == "thinking":
        inner = part.get("thinking")
        said = [inner] if isinstance(inner, str) else [
            shapes.text(one, "text") for one in shapes.items(part, "thinking")
        ]  # fmt: skip
        if whole := "".join(said):
            yield Thought(whole)
    elif kind == "refusal":
        yield Words(shapes.text(part, "refusal"), is_refusal=True)
    elif said_text := shapes.text(part, "text"):
        yield Words(said_text)


def citations_in(message: Mapping[str, Any]) -> Iterator[Citation]:
    """The addresses that a text is taken from. Raises ShapeError."""
    for note in shapes.items(message, "annotations"):
        cited = shapes.item(note, "url_citation")
        if not cited:
            continue
        start = shapes.whole_number(cited, "start_index")
        end = shapes.whole_number(cited, "end_index")
        # Who does not know it, writes zeros.
        is_known = start is not None and end is not None and end > start >= 0
        yield Citation(
            url=shapes.text(cited, "url"),
            title=shapes.text(cited, "title"),
            quote=shapes.text(cited, "content"),
            start=start if is_known else None,
            end=end if is_known else None,
        )


def calls_in(message: Mapping[str, Any], *, is_whole: bool) -> list[Call]:
    """The tool calls of a message, the old single one too. Raises ShapeError."""
    calls = [_call(call) for call in shapes.items(message, "tool_calls")]
    if is_whole:
        # Some give all calls one id, or one index: here each stands by itself.
        calls = [call._replace(place=place) for place, call in enumerate(calls)]
        seen: set[str] = set()
        for place, call in enumerate(calls):
            if call.call_id in seen:
                calls[place] = call._replace(call_id=f"{call.call_id}_{place}")
            seen.add(call.call_id)
    if legacy := shapes.item(message, "function_call"):
        calls.append(Call(None, "", shapes.text(legacy, "name"), _arguments(legacy, "arguments")))
    return calls


def _call(call: Mapping[str, Any]) -> Call:
    index = call.get("index")
    place = index if type(index) is int else None
    call_id = shapes.text(call, "id")
    opaque = _signature_in(call)
    if call.get("type") == "custom" or call.get("custom"):
        custom = shapes.item(call, "custom")
        name, said = shapes.text(custom, "name"), shapes.text(custom, "input")
        return Call(place, call_id, name, said, takes_text=True, opaque=opaque)
    function = shapes.item(call, "function")
    opaque = opaque or _signature_in(function)
    name = shapes.text(function, "name")
    return Call(place, call_id, name, _arguments(function, "arguments"), opaque=opaque)


def _arguments(function: Mapping[str, Any], name: str) -> str:
    """Some write an object where a chat has its JSON text."""
    arguments = function.get(name)
    if isinstance(arguments, dict):
        try:
            return documents.written(arguments).decode()
        except (ValueError, TypeError):
            raise ShapeError(name, "a string") from None
    return shapes.text(function, name)


def _signature_in(holder: Mapping[str, Any]) -> Opaque | None:
    """Google's signature of a call or a text, in its own place or in LiteLLM's."""
    extra = holder.get("extra_content")
    extra = extra if isinstance(extra, dict) else {}
    places = [
        *(extra.get(name) for name in _GOOGLE),
        holder.get("provider_specific_fields"),
        holder,
    ]
    for place in places:
        signature = place.get("thought_signature") if isinstance(place, Mapping) else None
        if isinstance(signature, str) and signature:
            return carrier.restored(signature, Origin.GOOGLE, Seal.SIGNATURE)
    return None


ShapeError = shapes.ShapeError
