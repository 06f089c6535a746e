"""Hostile streams, told in every other protocol: no crash, no illegal event, bounded state.

A client is given the legal end of its protocol, or is cut before any for its error event.
"""

import json

import pytest

from tests.unit.dialects.conversation import across, hostile
from tests.unit.dialects.conversation.across import CHAT, MESSAGES, RESPONSES
from tests.unit.dialects.conversation.hostile import FLOOD

# Where the text that has begun ends.
TEXT_ENDS = {
    CHAT: b'data: {"id":"chatcmpl-00000000000000000000000000000000","object":"chat.completion.chunk",'
    b'"created":1,"model":"m","choices":[{"index":0,"delta":{},"log',
    RESPONSES: b"event: response.output_text.done",
    MESSAGES: b"event: content_block_stop",
}  # fmt: skip


def around(protocol):
    """The beginning of a stream, and its end."""
    frames = across.frames(protocol, across.answered("hello"))
    at = frames.index(TEXT_ENDS[protocol])
    return frames[:at], frames[at:]


def event(protocol, document):
    """A document as an event of a protocol."""
    data = json.dumps(document).encode()
    if protocol is CHAT or not isinstance(document, dict):
        return b"data: " + data + b"\n\n"
    return b"event: " + str(document.get("type")).encode() + b"\ndata: " + data + b"\n\n"


def chunk(**delta):
    return {"choices": [{"index": 0, "delta": delta, "finish_reason": None}]}


def calls(*fragments):
    return chunk(tool_calls=list(fragments))


def fragment(index, call_id="", name="", arguments=""):
    function = {"arguments": arguments, **({"name": name} if name else {})}
    return {"index": index, **({"id": call_id} if call_id else {}), "function": function}


def block(index, **members):
    return {"type": "content_block_start", "index": index, "content_block": members}


def delta(index, kind, **members):
    return {"type": "content_block_delta", "index": index, "delta": {"type": kind, **members}}


def item(what, index, **members):
    return {"type": f"response.output_item.{what}", "output_index": index, "item": members}


def piece(kind, index, text, **members):
    return {"type": f"response.{kind}.delta", "output_index": index, "delta": text, **members}


HOSTILE = {
    CHAT: {
        "types": [{"choices": [{"index": 0, "delta": value}]} for value in (1, "x", [], None)],
        "content": [chunk(content=value) for value in (1, {}, [1], [{"type": 1}], True)],
        "calls": [chunk(tool_calls=value) for value in (1, {}, [1], [{"index": "a"}], [{}])],
        "arguments": [calls(fragment(0, "c", "f", value)) for value in ({"a": 1}, [1], 1, None)],
        "no name": [calls(fragment(0, "c", "", "{}")) for _ in range(3)],
        "names that come late": [calls(fragment(n, f"c{n}", "", "{}")) for n in range(200)]
        + [calls(fragment(n, f"c{n}", "f")) for n in reversed(range(200))],
        "many calls": [calls(fragment(n, f"c{n}", "f", "{}")) for n in range(FLOOD)],
        "many calls that do not end": [
            calls(fragment(n, f"c{n}", "f", '{"')) for n in range(FLOOD)
        ],
        "many calls in one place": [calls(fragment(0, f"c{n}", "f", '{"')) for n in range(FLOOD)],
        "two calls in turns": [
            calls(fragment(n % 2, f"c{n % 2}", "f", "[" * 9)) for n in range(FLOOD)
        ],
        "arguments in crumbs": [calls(fragment(0, "c", "f", '{"a":"'))]
        + [calls(fragment(0, arguments="x")) for _ in range(FLOOD)],
        "arguments that are no object": [calls(fragment(0, "c", "f", "x")) for _ in range(FLOOD)],
        "thoughts between": [
            chunk(**{("content", "reasoning_content")[n % 2]: "x"}) for n in range(FLOOD)
        ],
        "details": [
            chunk(reasoning_details=[{"type": "t", "format": 1}, 1, {"index": n}]) for n in range(9)
        ],
        "a long index": [calls(fragment(10**30, "c", "f", "{}")), calls(fragment(-1, "d", "g"))],
        "halves": [{"choices": [{"index": 0, "delta": {"content": "\ud800"}}]}],
        "long waiting": [calls(fragment(0, "a", "f", '{"'))]
        + [calls(fragment(1, "b", "f", "[" + "x" * 60_000)) for _ in range(90)],
    },
    MESSAGES: {
        "types": [
            {"type": "content_block_start", "index": 1, "content_block": value}
            for value in (1, [], {"type": 1}, {"type": "text", "text": 1})
        ],
        "index": [delta(value, "text_delta", text="x") for value in ("a", None, 1.5, [1], True)],
        "deltas": [delta(0, kind, text=1, partial_json=[], thinking={}) for kind in
                   ("text_delta", "input_json_delta", "thinking_delta", "signature_delta")],
        "delta of nothing": [delta(n, "text_delta", text="x") for n in range(5, 9)],
        "a tool's delta in a text": [delta(0, "input_json_delta", partial_json="{}")],
        "many starts": [block(n, type="text", text="x") for n in range(FLOOD)],
        "many starts of one": [block(1, type="text", text="x") for n in range(FLOOD)],
        "many calls": [block(n, type="tool_use", id=f"c{n}", name="f", input={})
                       for n in range(FLOOD)],
        "no id": [block(1, type="tool_use", name="f", input={}), block(2, type="tool_use")],
        "input in crumbs": [block(1, type="tool_use", id="c", name="f", input={})]
        + [delta(1, "input_json_delta", partial_json="x") for _ in range(FLOOD)],
        "signatures": [block(1, type="thinking", thinking="", signature="")]
        + [delta(1, "signature_delta", signature=f"s{n}") for n in range(FLOOD)],
        "hosted": [block(n, type="server_tool_use", id="s", name="f", input={}) for n in range(9)],
        "a long index": [block(10**30, type="text", text="x"), block(-1, type="text", text="x")],
        "starts again": [{"type": "message_start", "message": value} for value in ({}, 1, [])],
        "ends early": [{"type": "message_delta", "delta": {"stop_reason": 1}}],
        "long waiting": [block(1, type="text", text="x"), block(2, type="text", text="")]
        + [delta(2, "text_delta", text="x" * 60_000) for _ in range(90)],
    },
    RESPONSES: {
        "types": [item("added", 1, type=1), item("added", "x", type="message", id=1)],
        "item": [{"type": "response.output_item.added", "item": value} for value in (1, [], "x")],
        "delta": [piece("output_text", 0, value) for value in (1, [], {}, None)],
        "no place": [piece("output_text", None, "x", item_id=f"m{n}") for n in range(FLOOD)],
        "many items": [item("added", n, type="message", id=f"m{n}") for n in range(FLOOD)],
        "many items that end": [item("done", n, type="message", id=f"m{n}", content=[])
                                for n in range(1, FLOOD)],
        "one place": [item("added", 1, type="function_call", id=f"f{n}", name="f", call_id="c")
                      for n in range(FLOOD)],
        "in reverse": [item("done", n, type="function_call", call_id=f"c{n}", name="f",
                            arguments="{}") for n in reversed(range(FLOOD))],
        "no name": [item("done", 1, type="function_call", arguments="{}")],
        "arguments in crumbs": [item("added", 1, type="function_call", call_id="c", name="f")]
        + [piece("function_call_arguments", 1, "x") for _ in range(FLOOD)],
        "text in crumbs": [item("added", 1, type="custom_tool_call", call_id="c", name="f")]
        + [piece("custom_tool_call_input", 1, "x") for _ in range(FLOOD)],
        "summaries": [piece("reasoning_summary_text", 1, "x", summary_index=n) for n in range(99)],
        "a long place": [item("added", 10**30, type="message"), item("done", -1, type="message")],
        "ends within": [{"type": "response.completed", "response": value} for value in (1, [])],
        "ends with anything": [
            {"type": "response.completed", "response": {"output": [{"type": "message",
             "content": value}], "status": "completed"}} for value in (1, [1], [{"type": 1}])
        ],
        "long waiting": [item("added", 1, type="message", id="a"), item("added", 2, type="message")]
        + [piece("output_text", 2, "x" * 60_000, content_index=0) for _ in range(90)],
    },
}  # fmt: skip
# More waits for its turn in them than any vendor has waiting.
UNBOUNDED = {"many calls that do not end", "many starts", "many items", "long waiting"}
CASES = [
    (source, name)
    for source in HOSTILE
    for name in [*hostile.bytes_of_any(*around(source)), *HOSTILE[source]]
]


def middle(source, name):
    found = hostile.bytes_of_any(*around(source)).get(name)
    if found is not None:
        return found
    return b"".join(event(source, document) for document in HOSTILE[source][name])


@pytest.mark.parametrize(("source", "name"), CASES)
def test_a_hostile_stream_is_told_or_cut(source, name):
    """Forty of each protocol: forged errors, broken frames, wrong types, floods, crumbs."""
    begin, end = around(source)
    raw = begin + middle(source, name) + end
    for target in hostile.TARGETS:
        if target is not source:
            finished = hostile.tell(source, target, raw)
            assert not (finished and name in UNBOUNDED)
