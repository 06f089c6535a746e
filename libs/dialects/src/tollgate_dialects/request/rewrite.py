"""The client's bytes as they go upstream.

Promises that only model, output limit, a limit of the vendor's own calls where the client has set
none and, for streams that do not tell their usage unasked, the option that makes them differ from
what the client sent; every other byte is the same. Takes bodies that `request.read` has accepted,
with what it found: the body is not looked at for what is not there, and else no further than to the
last member that changes.
"""

from collections.abc import Mapping, Sequence
from typing import NamedTuple, TypeAlias

import orjson

from tollgate_dialects.common import members
from tollgate_dialects.request.rules import RequestFacts, RequestRules, Within
from tollgate_dialects.request.server_tools import InEach

# How a member at the top is written anew; None: it is left out.
_Change: TypeAlias = "bytes | Within | InEach | None"


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
    changes: dict[str, _Change] = {}
    if not rules.model_in_body:
        if "model" in asked.present:
            # It is said in the path: what else is said of it could contradict that.
            changes["model"] = None
    elif model != asked.model:
        changes["model"] = orjson.dumps(model)
    limit = asked.max_output_tokens if max_output_tokens is None else max_output_tokens
    if limit is not None:
        names = rules.restated_limit(asked.limit_names, model)
        if limit != asked.max_output_tokens:
            names = (*(asked.limit_names or (rules.limit_name(model),)), *names)
        written = b"%d" % limit
        for name in names:
            top, _, within = name.partition(".")
            changes[top] = Within(top, within, written) if within else written
    if asked.server_tools.limit is not None:
        top, value = asked.server_tools.limit
        changes[top] = value
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


def _changed(body: bytes, changes: Mapping[str, _Change], present: frozenset[str]) -> bytes:
    """Missing members are put in first, in the order of the changes; None is left out."""
    edits: list[_Edit] = []
    there = present & changes.keys()
    if there:
        text = body.decode("latin-1")  # a character is a byte
        scanned = members.scan(text, sought=there)
        for each in scanned:
            if each[0] in there:
                edits += _edits(text, each, changes[each[0]])
    inserted = [
        b'"%s":%s,' % (name.encode(), _whole(value))
        for name, value in changes.items()
        if name not in there
    ]
    if inserted:
        opening = body.index(b"{") + 1
        if body[opening:].lstrip().startswith(b"}"):  # of nothing yet
            inserted[-1] = inserted[-1].removesuffix(b",")
        edits.append(_Edit(opening, opening, b"".join(inserted)))
    return _splice(body, edits)


def _whole(value: _Change) -> bytes:
    assert isinstance(value, bytes | Within), "nothing else is changed that is not there"
    if isinstance(value, Within):
        return b'{"%s":%s}' % (value.name.encode(), value.value)
    return value


def _edits(text: str, member: members.Member, value: _Change) -> list[_Edit]:
    _, start, value_start, value_end = member
    if value is None:
        return [_left_out(text, start, value_end)]
    if isinstance(value, InEach):
        items = members.items(text, value_start)
        return [edit for item in items if (edit := _set_if_missing(text, item, value))]
    if isinstance(value, Within) and text[value_start] == "{":
        held = members.scan(text, value_start)
        return [_set_within(held, value_start, value.name, value.value)]
    return [_Edit(value_start, value_end, _whole(value))]


def _set_within(held: Sequence[members.Member], start: int, name: str, value: bytes) -> _Edit:
    """Set a member of an object that begins at `start` and holds these."""
    for key, _, value_start, value_end in held:
        if key == name:
            return _Edit(value_start, value_end, value)
    opening = start + 1
    set_first = b'"%s":%s' % (name.encode(), value)
    return _Edit(opening, opening, set_first + (b"," if held else b""))


def _set_if_missing(text: str, start: int, wanted: InEach) -> _Edit | None:
    """None for an object of another type, and for one that has the member."""
    held = members.scan(text, start)
    values = {key: text[value_start:value_end] for key, _, value_start, value_end in held}
    kind = orjson.loads(values.get("type", "null").encode("latin-1"))
    if kind not in wanted.types or values.get(wanted.name, "null") != "null":
        return None
    return _set_within(held, start, wanted.name, wanted.value)


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
