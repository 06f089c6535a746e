"""The client's bytes as they go upstream.

Promises that only model, output limit and, for streams that do not tell their usage unasked, the
option that makes them differ from what the client sent; every other byte is the same. Takes bodies
that `request.read` has accepted, with what it found: the body is not looked at for what is not
there, and else no further than to the last member that changes.
"""

from collections.abc import Mapping
from typing import NamedTuple

import orjson

from tollgate_dialects.common import members
from tollgate_dialects.request.rules import RequestFacts, RequestRules, Within


class _Edit(NamedTuple):
    start: int
    end: int
    replacement: bytes


def upstream_body(
    body: bytes,
    rules: RequestRules,
    *,
    asked: RequestFacts,
    model: str,
    max_output_tokens: int | None,
    without_include_usage: bool = False,
) -> bytes:
    """The body with its top level spliced: nothing else changes. `asked`: what it says now.

    The output limit keeps the members that the client used; None: the client's own stands.
    `without_include_usage`: for an upstream that refuses the option: the client's own is left out.
    """
    changes: dict[str, bytes | Within | None] = {}
    if not rules.model_in_body:
        if "model" in asked.present:
            # It is said in the path: what else is said of it could contradict that.
            changes["model"] = None
    elif model != asked.model:
        changes["model"] = orjson.dumps(model)
    if max_output_tokens not in (None, asked.max_output_tokens):
        limit = b"%d" % max_output_tokens
        for name in asked.limit_names or (rules.limit_name(model),):
            top, _, within = name.partition(".")
            changes[top] = Within(top, within, limit) if within else limit
    option = rules.usage_option
    if option and asked.stream:
        if not without_include_usage:
            if not asked.wants_usage:
                changes[option.top] = option
        elif option.top in asked.present:
            changes[option.top] = None
    return _changed(body, changes, asked.present) if changes else body


def with_model(body: bytes, asked: RequestFacts) -> bytes:
    """The body with the model that was told outside of it."""
    return _changed(body, {"model": orjson.dumps(asked.model)}, asked.present)


def _changed(
    body: bytes, changes: Mapping[str, bytes | Within | None], present: frozenset[str]
) -> bytes:
    """Missing members are put in first, in the order of the changes; None is left out."""
    edits: list[_Edit] = []
    there = present & changes.keys()
    if there:
        text = body.decode("latin-1")  # a character is a byte
        scanned = members.scan(text, sought=there)
        edits += [_edit(text, each, changes[each[0]]) for each in scanned if each[0] in there]
    inserted = [
        b'"%s":%s,' % (name.encode(), _whole(value))
        for name, value in changes.items()
        if name not in there
    ]
    if inserted:
        opening = body.index(b"{") + 1
        edits.append(_Edit(opening, opening, b"".join(inserted)))
    return _splice(body, edits)


def _whole(value: bytes | Within | None) -> bytes:
    assert value is not None, "only what is there can be left out"
    if isinstance(value, Within):
        return b'{"%s":%s}' % (value.name.encode(), value.value)
    return value


def _edit(text: str, member: members.Member, value: bytes | Within | None) -> _Edit:
    _, start, value_start, value_end = member
    if value is None:
        return _left_out(text, start, value_end)
    if isinstance(value, Within) and text[value_start] == "{":
        return _set_within(text, value_start, value)
    return _Edit(value_start, value_end, _whole(value))


def _set_within(text: str, start: int, wanted: Within) -> _Edit:
    held = members.scan(text, start)
    for key, _, value_start, value_end in held:
        if key == wanted.name:
            return _Edit(value_start, value_end, wanted.value)
    opening = start + 1
    set_first = b'"%s":%s' % (wanted.name.encode(), wanted.value)
    return _Edit(opening, opening, set_first + (b"," if held else b""))


def _left_out(text: str, start: int, end: int) -> _Edit:
    """Without one of several members and a comma: the one behind it, or before it if it is last."""
    after = end
    while text[after] in " \t\n\r":
        after += 1
    if text[after] == ",":
        return _Edit(start, after + 1, b"")
    return _Edit(text.rindex(",", 0, start), end, b"")


def _splice(body: bytes, edits: list[_Edit]) -> bytes:
    pieces: list[bytes] = []
    position = 0
    for edit in sorted(edits):
        pieces += [body[position : edit.start], edit.replacement]
        position = edit.end
    pieces.append(body[position:])
    return b"".join(pieces)
