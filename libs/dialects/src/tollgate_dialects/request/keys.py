"""No two JSON readers find different members in a request.

Owns which keys bear on price, model, stream or limit. Promises that every key of a document occurs
once in its object, at any depth, and that where such a key may stand nothing else reads like it to
a looser parser: other case (Go, .NET), camelCase, letters that fold to ASCII, text after NUL (C).
Never looks into free-form places (a tool's schema or input, metadata): names there are free.
"""

import json
from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple

from tollgate_dialects.common import members
from tollgate_dialects.common.refusal import BadRequest, Code
from tollgate_dialects.request import content, values

# At the top: what decides price, model, stream or limit, beside what a dialect refuses.
_TOP = frozenset(
    (*values.LIMITS, "model", "stream", "stream_options", "n", "messages", "system", "tools",
     "functions", "cache_control", "thinking")
)  # fmt: skip
# Below the top, in the places of _PATHS.
_NESTED = content.MEDIA | frozenset(
    ("type", "content", "url", "data", "media_type", "citations", "enabled", "cache_control", "ttl",
     "edits", "include_usage", "budget_tokens")
)  # fmt: skip
# Where keys that bear on price are; everything else below the top is free-form or of no weight.
_ROOTS = frozenset(
    ("messages", "system", "tools", "thinking", "stream_options", "cache_control",
     "context_management", "functions")
)  # fmt: skip
_PATHS = frozenset(("content", "cache_control", "citations", "edits")) | content.MEDIA

# Frequent keys that are clearly none of the above; only spares the folding.
_HARMLESS_TOP = frozenset(
    ("temperature", "top_p", "top_k", "user", "seed", "stop", "stop_sequences", "metadata",
     "tool_choice", "parallel_tool_calls", "response_format", "frequency_penalty",
     "presence_penalty", "logit_bias", "logprobs", "top_logprobs", "store", "output_config",
     "prompt_cache_key", "safety_identifier", "verbosity", "reasoning_effort")
)  # fmt: skip
_HARMLESS_NESTED = frozenset(
    ("role", "name", "text", "id", "input", "tool_calls", "tool_call_id", "tool_use_id", "function",
     "description", "parameters", "input_schema", "strict", "detail", "title", "context", "refusal",
     "reasoning_content", "is_error", "signature", "annotations", "file_id", "filename", "thinking")
)  # fmt: skip

# A refused body is read once more to name the key, unless that would be much work.
_NAMED_BYTES_MAX = 262_144
# Dotted and dotless i fold to i in some languages' upper and lower case.
_FOLDED_AWAY = str.maketrans({"_": None, "-": None, "\u0131": "i", "\u0307": None})


def _fold(key: str) -> str:
    return key.partition("\0")[0].casefold().translate(_FOLDED_AWAY)


class Names(NamedTuple):
    """The names that decide something in one protocol's documents."""

    # At the top: folded, and those that may stand there as they are.
    folded: frozenset[str]
    plain: frozenset[str]
    # Members at the top that hold more of them, and the members on the way down.
    roots: frozenset[str]
    paths: frozenset[str]
    nested_folded: frozenset[str]
    nested_plain: frozenset[str]


def names_of(
    refused: Iterable[str],
    *,
    top: Iterable[str] = (),
    roots: Iterable[str] = (),
    paths: Iterable[str] = (),
    nested: Iterable[str] = (),
) -> Names:
    """The names of a protocol that refuses some parameters and has others beside the usual."""
    names = _TOP.union(refused, top)
    below = _NESTED.union(nested, paths)
    return Names(
        folded=frozenset(map(_fold, names)),
        plain=names | _HARMLESS_TOP,
        roots=_ROOTS.union(roots),
        paths=_PATHS.union(paths),
        nested_folded=frozenset(map(_fold, below)),
        nested_plain=below | _HARMLESS_NESTED,
    )


def check(body: bytes, printed: bytes, document: Mapping[str, Any], names: Names) -> None:
    """`printed` is `document` as orjson prints it. Raises BadRequest."""
    if members.were_lost(body, printed):
        raise BadRequest(Code.DUPLICATE_KEY, "A key occurs twice in one object.", _twice(body))
    if not names.plain.issuperset(document):
        _check_spelling(document.keys() - names.plain, names.folded)
    for root, value in document.items():
        if value and root in names.roots:
            _check_below(value, names)


def _twice(body: bytes) -> str:
    found: list[str] = []

    def note(pairs: list[tuple[str, Any]]) -> None:
        keys = [key for key, _ in pairs]
        found.extend(key for key in set(keys) if keys.count(key) > 1)

    if len(body) <= _NAMED_BYTES_MAX:
        json.loads(body, object_pairs_hook=note, parse_int=float)
    return found[0] if found else ""


def _check_below(value: Any, names: Names) -> None:
    kind = type(value)
    if kind is dict:
        if not names.nested_plain.issuperset(value):
            _check_spelling(value.keys() - names.nested_plain, names.nested_folded)
        for key in value:
            if key in names.paths:
                _check_below(value[key], names)
    elif kind is list:
        for item in value:
            _check_below(item, names)


def _check_spelling(keys: Iterable[str], folded: frozenset[str]) -> None:
    for key in keys:
        if _fold(key) in folded:
            raise BadRequest(
                Code.AMBIGUOUS_KEY,
                "This key differs only in spelling from a parameter of the protocol.",
                key,
            )
