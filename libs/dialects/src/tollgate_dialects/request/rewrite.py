"""The client's bytes as they go upstream.

Promises that only model, the output limit and, for OpenAI streams, `stream_options.include_usage`
(all of `stream_options` for an upstream that refuses it) differ from what the client sent; every
other byte is the same. Takes bodies that `request.read` has
accepted, with what it found.

The output limit keeps the keys that the client used. A client that used none gets `max_tokens`,
which every OpenAI-compatible server knows, except for OpenAI's reasoning models, which only take
`max_completion_tokens`; or no limit at all, where None is asked for.
"""

import re
from typing import NamedTuple

import orjson

from tollgate_dialects.common import members
from tollgate_dialects.common.protocol import Protocol
from tollgate_dialects.request import keys
from tollgate_dialects.request.request import RequestFacts

# o1, o3-mini, gpt-5.2, codex-mini, also behind a vendor's prefix ("openai/o3", "ft:o4-mini:org").
_REASONING_MODEL = re.compile(
    r"(?:.*[/:.])?(?:azure-)?(?:o[1-9]|codex)(?![a-z0-9])"
    # Behind any deployment's name; gpt-35 is how Azure writes 3.5.
    r"|(?:.*[/:._@-])?gpt-?(?:[5-9]|[12]\d)(?![a-z0-9])",
    re.IGNORECASE,
)


class _Edit(NamedTuple):
    start: int
    end: int
    replacement: bytes


def upstream_body(
    body: bytes,
    protocol: Protocol,
    *,
    asked: RequestFacts,
    model: str,
    max_output_tokens: int | None,
    without_include_usage: bool = False,
) -> bytes:
    """The body with its top level spliced: nothing else changes. `asked`: what it says now.

    `without_include_usage`: for an upstream that refuses the option: the client's own is left out.
    """
    stream = asked.stream and protocol is Protocol.OPENAI_CHAT
    asks = stream and not without_include_usage
    is_as_wanted = not stream or (asks and asked.wants_usage)
    is_limited = max_output_tokens in (None, asked.max_output_tokens)
    if model == asked.model and is_limited and is_as_wanted:
        return body
    text = body.decode("latin-1")
    scanned = members.scan(text)
    found = {key: (start, end) for key, _, start, end in scanned}
    wanted: dict[str, bytes] = {"model": orjson.dumps(model)}
    if max_output_tokens is not None:
        for key in _limit_keys(text, found, protocol, model):
            wanted[key] = b"%d" % max_output_tokens
    edits: list[_Edit] = []
    if stream and not asks:
        edits += [_left_out(text, member) for member in scanned if member[0] == "stream_options"]
    elif asks:
        span = found.get("stream_options")
        if span and text[span[0]] == "{":
            edits.append(_ask_for_usage(text, span[0]))
        else:
            wanted["stream_options"] = b'{"include_usage":true}'
    inserted: list[bytes] = []
    for key, value in wanted.items():
        span = found.get(key)
        if span is None:
            inserted.append(b'"%s":%s,' % (key.encode(), value))
        elif orjson.loads(body[span[0] : span[1]]) != orjson.loads(value):
            edits.append(_Edit(*span, value))
    if inserted:
        opening = body.index(b"{") + 1
        edits.append(_Edit(opening, opening, b"".join(inserted)))
    return _splice(body, edits)


def _limit_keys(
    text: str, found: dict[str, tuple[int, int]], protocol: Protocol, model: str
) -> list[str]:
    if protocol is Protocol.ANTHROPIC_MESSAGES:
        return ["max_tokens"]
    names = keys.LIMITS[protocol]
    used = [name for name in names if name in found and text[slice(*found[name])] != "null"]
    return used or ["max_completion_tokens" if _REASONING_MODEL.match(model) else "max_tokens"]


def _ask_for_usage(text: str, start: int) -> _Edit:
    options = members.scan(text, start)
    for key, _, value_start, value_end in options:
        if key == "include_usage":
            return _Edit(value_start, value_end, b"true")
    opening = start + 1
    return _Edit(opening, opening, b'"include_usage":true' + (b"," if options else b""))


def _left_out(text: str, member: members.Member) -> _Edit:
    """Without one of several members and a comma: the one behind it, or before it if it is last."""
    _, start, _, end = member
    after = end
    while text[after] in " \t\n\r":
        after += 1
    if text[after] == ",":
        return _Edit(start, after + 1, b"")
    return _Edit(text.rindex(",", 0, start), end, b"")


def _splice(body: bytes, edits: list[_Edit]) -> bytes:
    if not edits:
        return body
    pieces: list[bytes] = []
    position = 0
    for edit in sorted(edits):
        pieces += [body[position : edit.start], edit.replacement]
        position = edit.end
    pieces.append(body[position:])
    return b"".join(pieces)
