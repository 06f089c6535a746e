"""What an answer of each protocol may hold: the one list of members that reach a client.

Owns the allow-lists (the protocols' own members and the extensions that vendors send and clients
read) and what is no answer at all. Promises that a member that is not listed is dropped, that a
listed one has a value of its kind, and that an error inside an answer is told apart from one.
"""

import re
from collections.abc import Mapping
from typing import Any, Final, TypeAlias

from tollgate_dialects.common.protocol import Protocol
from tollgate_dialects.common.scrub import scrub

# A kind is one of the three below, a mapping of members to kinds, or a list with the kind of its
# items; a pair of SCALAR and another kind takes either.
Kind: TypeAlias = Any

# A text, a number, a truth value or null.
SCALAR: Final = "scalar"
# Words of the model or of its tools: whole, whatever it is.
WHOLE: Final = "whole"
# Measures and verdicts: numbers and single words under names that are words, however nested.
FACTS: Final = "facts"

_FACTS_DEPTH_MAX = 8
_FACT_NAME = re.compile(r"[A-Za-z0-9_\-]{1,64}(?:/[A-Za-z0-9_\-]{1,64})?\Z")
_FACT_WORD = re.compile(r"[A-Za-z0-9_.:/@\-]{0,128}\Z")
_SCALARS = frozenset((str, int, float, bool, type(None)))


def _scalars(names: str) -> dict[str, Kind]:
    return dict.fromkeys(names.split(), SCALAR)


_CALL: Final = {
    **_scalars("index id type thought_signature"),
    "function": {**_scalars("name arguments thought_signature"), "parsed_arguments": WHOLE},
    "custom": _scalars("name input"),
    "extra_content": WHOLE,  # Google's thought signature
    "provider_specific_fields": WHOLE,
}
_SAID: Final = {
    "content": (SCALAR, [WHOLE]),  # Mistral: a list of parts
    **_scalars("role refusal name reasoning_content channel phase prefix end_turn tool_call_id"),
    **_scalars("reasoning_text reasoning_opaque thought_signature"),  # Copilot, Gemini
    "extra_content": WHOLE,
    "reasoning": (SCALAR, WHOLE),
    "reasoning_details": [WHOLE],  # OpenRouter
    "tool_calls": [_CALL],
    "function_call": _scalars("name arguments"),
    "audio": _scalars("id data expires_at transcript"),
    "annotations": [WHOLE],
    "citations": [WHOLE],
    "images": [WHOLE],
    "executed_tools": [WHOLE],  # Groq
    "thinking_blocks": [WHOLE],  # LiteLLM
    "context": WHOLE,  # Azure, on your data
    "parsed": WHOLE,
    "provider_specific_fields": WHOLE,
}
_CHOICE: Final = {
    **_scalars("index finish_reason native_finish_reason seed stop_reason matched_stop"),
    "delta": _SAID,
    "message": _SAID,
    "logprobs": WHOLE,
    "usage": FACTS,  # Moonshot
    "content_filter_results": FACTS,  # Azure
    "content_filter_result": FACTS,
    "content_filter_offsets": FACTS,
    "finish_details": FACTS,
    "token_ids": FACTS,  # vLLM
    "provider_specific_fields": FACTS,
}
OPENAI: Final[Mapping[str, Kind]] = {
    **_scalars("id object created model system_fingerprint service_tier obfuscation p"),
    **_scalars("provider request_id"),
    "choices": [_CHOICE],
    "usage": FACTS,
    "usage_breakdown": FACTS,
    "x_groq": {**_scalars("id seed"), "usage": FACTS},
    "prompt_filter_results": [FACTS],  # Azure
    "moderation": FACTS,
    "time_info": FACTS,  # Cerebras
    "timings": FACTS,  # llama.cpp
    "sla_metrics": FACTS,
    "metadata": FACTS,
    "prompt": [FACTS],  # Together
    "citations": [WHOLE],  # Perplexity, xAI
    "search_results": [WHOLE],
    "images": [WHOLE],
    "related_questions": [WHOLE],
    "web_search": [WHOLE],  # z.ai
    "prompt_logprobs": WHOLE,  # vLLM
    "prompt_token_ids": FACTS,
}

_CONTAINER: Final = {**_scalars("id expires_at"), "skills": [_scalars("skill_id type version")]}
_BLOCK: Final = {
    **_scalars("type text id name tool_use_id is_error data thinking signature server_name"),
    **_scalars("encrypted_content"),
    "input": WHOLE,
    "content": WHOLE,  # results of server tools, and compaction
    "citations": (SCALAR, [WHOLE]),
    "caller": _scalars("type tool_id"),
    "from": _scalars("model"),
    "to": _scalars("model"),
    "trigger": _scalars("type category"),
}
_STOP: Final = {
    **_scalars("stop_reason stop_sequence"),
    "stop_details": _scalars(
        "type category explanation recommended_model fallback_credit_token"
        " fallback_has_prefill_claim"
    ),
    "container": _CONTAINER,
}
_MANAGEMENT: Final = {"applied_edits": [FACTS]}
MESSAGE: Final[Mapping[str, Kind]] = {
    **_scalars("id type role model"),
    **_STOP,
    "content": [_BLOCK],
    "usage": FACTS,
    "context_management": _MANAGEMENT,
}
# Each event's own members; `type` is in all of them.
EVENTS: Final[Mapping[str, Mapping[str, Kind]]] = {
    "message_start": {"type": SCALAR, "message": MESSAGE},
    "content_block_start": {**_scalars("type index"), "content_block": _BLOCK},
    "content_block_delta": {
        **_scalars("type index"),
        "delta": {
            **_scalars("type text partial_json thinking signature encrypted_content data"),
            "citation": WHOLE,
            "content": WHOLE,
            "estimated_tokens": SCALAR,
        },
    },
    "content_block_stop": _scalars("type index"),
    "message_delta": {
        "type": SCALAR,
        "delta": _STOP,
        "usage": FACTS,
        "context_management": _MANAGEMENT,
    },
    "message_stop": {"type": SCALAR, "amazon-bedrock-invocationMetrics": FACTS},
    "ping": _scalars("type"),
}

_NOTHING: Final = object()


def kept(value: Any, kind: Kind) -> Any:
    """The value less what is not listed: the same object when nothing was dropped."""
    if _is_listed(value, kind):
        return value
    found = _kept(value, kind)
    return None if found is _NOTHING else found


def _is_listed(value: Any, kind: Kind) -> bool:
    """Return whether `_kept` would drop nothing, as for almost every answer; quick to check."""
    if value is None or kind is WHOLE:
        return True
    if kind is SCALAR:
        return type(value) in _SCALARS
    if kind is FACTS:
        return _facts(value, 0) is value
    if isinstance(kind, tuple):
        return type(value) in _SCALARS or _is_listed(value, kind[1])
    if isinstance(kind, list):
        return isinstance(value, list) and all(_is_listed(item, kind[0]) for item in value)
    return isinstance(value, dict) and _are_listed(value, kind)


def _are_listed(members: Mapping[str, Any], kinds: Mapping[str, Kind]) -> bool:
    for name, item in members.items():
        kind = kinds.get(name)
        if kind is SCALAR:
            if type(item) not in _SCALARS:
                return False
        elif kind is None or not (item is None or _is_listed(item, kind)):
            return False
    return True


def _kept(value: Any, kind: Kind) -> Any:
    if value is None or kind is WHOLE:
        return value
    if kind is SCALAR:
        return value if type(value) in _SCALARS else _NOTHING
    if kind is FACTS:
        return _facts(value, 0)
    if isinstance(kind, tuple):
        return value if type(value) in _SCALARS else _kept(value, kind[1])
    return _kept_parts(value, kind)


def _kept_parts(value: Any, kind: Kind) -> Any:
    if isinstance(kind, list) and isinstance(value, list):
        items = [_kept(item, kind[0]) for item in value]
        return [item for item in items if item is not _NOTHING]
    if isinstance(kind, list) or not isinstance(value, dict):
        return _NOTHING
    members = {name: _kept(item, kind[name]) for name, item in value.items() if name in kind}
    return {name: item for name, item in members.items() if item is not _NOTHING}


def _facts(value: Any, depth: int) -> Any:
    if isinstance(value, str):
        return value if _FACT_WORD.match(value) and scrub(value) == value else _NOTHING
    if type(value) in _SCALARS:
        return value
    if depth == _FACTS_DEPTH_MAX:
        return _NOTHING
    if isinstance(value, list):
        items = [_facts(item, depth + 1) for item in value]
        return _same_or(value, [item for item in items if item is not _NOTHING])
    members = {
        name: item if type(item) is int else _facts(item, depth + 1)
        for name, item in value.items()
        if _FACT_NAME.match(name)
    }
    return _same_or(value, {n: item for n, item in members.items() if item is not _NOTHING})


def _same_or(before: Any, after: Any) -> Any:
    if len(before) != len(after):
        return after
    if isinstance(before, dict):
        return before if all(after[name] is item for name, item in before.items()) else after
    return before if all(map(_is_same, before, after)) else after


def _is_same(one: object, other: object) -> bool:
    return one is other


def error_in(document: Mapping[str, Any]) -> object:
    """What an answer's document says of an error, wherever vendors put it; None: nothing."""
    if document.get("type") == "error" or document.get("object") == "error":
        return document.get("error") or document
    holders: list[Any] = [document, document.get("x_groq")]
    choices = document.get("choices")
    for choice in choices if isinstance(choices, list) else ():
        if isinstance(choice, dict):
            holders += [choice, choice.get("message"), choice.get("delta")]
    for holder in holders:
        if isinstance(holder, dict) and (error := holder.get("error")):
            found: object = error
            return found
    return None


def is_body(document: Mapping[str, Any], protocol: Protocol) -> bool:
    """Whether a whole answer has the protocol's shape."""
    if protocol is Protocol.ANTHROPIC_MESSAGES:
        return document.get("type") == "message" and _are_objects(document.get("content"))
    # Azure leaves the message out where its filter stopped it.
    return is_chunk(document) and all(
        isinstance(choice.get("message"), dict) or choice.get("finish_reason")
        for choice in document["choices"]
    )


def is_chunk(document: Mapping[str, Any]) -> bool:
    """Whether an OpenAI document has the shape of a chunk or a completion."""
    return _are_objects(document.get("choices"))


def _are_objects(items: object) -> bool:
    return isinstance(items, list) and all(isinstance(item, dict) for item in items)
