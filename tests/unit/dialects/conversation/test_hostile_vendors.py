"""Hostile streams of the other three protocols: Google's, DashScope's and AWS's."""

import json

import pytest

from tests.unit.dialects.bedrock_converse import aws
from tests.unit.dialects.conversation import across, hostile
from tests.unit.dialects.conversation.hostile import FLOOD
from tollgate_dialects.common.protocol import Protocol
from tollgate_dialects.dashscope import stream as dashscope

GEMINI, DASHSCOPE, BEDROCK = (
    Protocol.GEMINI, Protocol.DASHSCOPE, Protocol.BEDROCK_CONVERSE,
)  # fmt: skip
LONG = "x" * 60_000


def around(source):
    """The beginning of a stream, and its end."""
    if source is BEDROCK:
        stop = aws.event("contentBlockStop", contentBlockIndex=0)
        return aws.event("messageStart", role="assistant") + aws.text("hello"), stop + aws.end()
    frames = across.frames(source, across.answered("hello"))
    last = frames.rindex(b"\n\n", 0, -2) + 2
    return frames[:last], frames[last:]


def event(source, document):
    """A document as an event of a protocol."""
    if source is BEDROCK:
        ((name, members),) = document.items()
        # Also what orjson does not write.
        payload = json.dumps(members).encode()
        return aws.message(payload, event_type=name, message_type="event")
    data = json.dumps(document).encode()
    if source is DASHSCOPE:
        return dashscope.frame(None, data)
    return b"data: " + data + b"\n\n"


def chunk(*parts, **members):
    return {"candidates": [{"content": {"parts": list(parts), "role": "model"}, **members}]}


def call(**members):
    return chunk({"functionCall": members})


def piece(value, path="$.a", **members):
    return {"jsonPath": path, "stringValue": value, **members}


def frame(reason="null", **said):
    message = {"role": "assistant", "content": "", **said}
    choice = {"index": 0, "finish_reason": reason, "message": message}
    return {"output": {"choices": [choice]}, "usage": {"input_tokens": 1, "output_tokens": 1}}


def fragment(index, call_id="", name="", arguments=""):
    function = {"name": name, "arguments": arguments}
    return {"index": index, "id": call_id, "type": "function", "function": function}


def calls(*fragments):
    return frame(tool_calls=list(fragments))


def start(index, **tool):
    return {"contentBlockStart": {"contentBlockIndex": index, "start": tool}}


def use(index, **members):
    return start(index, toolUse=members)


def delta(index, **said):
    return {"contentBlockDelta": {"contentBlockIndex": index, "delta": said}}


def stop(index):
    return {"contentBlockStop": {"contentBlockIndex": index}}


HOSTILE = {
    GEMINI: {
        "types": [{"candidates": [{"content": value}]} for value in (1, "x", [], None)],
        "candidates": [{"candidates": value} for value in ([], [{}], [1], {}, 1)],
        "parts": [chunk(value) for value in ({}, {"text": 1}, {"text": None}, {"thought": "x"})],
        "calls": [chunk({"functionCall": value}) for value in (1, [], {}, {"name": 1}, "x")],
        "arguments": [call(name="f", args=value) for value in (1, [1], "x", None, {"": {}})],
        "no name": [call(args={"a": 1}) for _ in range(3)],
        "names of nothing": [call(name="", id="c", args={}), call(name="f", id="")],
        "many calls": [call(name="f", args={}) for _ in range(FLOOD)],
        "many calls of one id": [call(name="f", id="c", args={}) for _ in range(FLOOD)],
        "many calls that are cut": [call(name="f", willContinue=True) for _ in range(FLOOD)],
        "arguments in crumbs": [call(name="f", willContinue=True)]
        + [call(partialArgs=[piece("x", willContinue=True)], willContinue=True)
           for _ in range(FLOOD)],
        "pieces at odd places": [call(name="f", willContinue=True)]
        + [call(partialArgs=[piece("x", path)], willContinue=True)
           for path in ("", "$", "$.", "$[0]", "$.a[9999999999]", "$.a.b", "a", "$..a", "$['a']",
                        "$.a[-1]", 1, None)],
        "pieces of odd kinds": [call(name="f", partialArgs=value, willContinue=True)
                                for value in (1, [1], {}, [{}], [{"jsonPath": "$.a"}])],
        "a deep place": [call(name="f", willContinue=True),
                         call(partialArgs=[piece("x", "$" + ".a" * 3_000)])],
        "a far place": [call(name="f", willContinue=True),
                        call(partialArgs=[piece("x", "$.a[100000000]")])],
        "many places": [call(name="f", willContinue=True)]
        + [call(partialArgs=[piece("x", f"$.a{n}")], willContinue=True) for n in range(FLOOD)],
        "thoughts between": [chunk({"text": "x", "thought": bool(n % 2)}) for n in range(FLOOD)],
        "signatures": [chunk({"text": "", "thoughtSignature": f"c{n}=="}) for n in range(200)],
        "signatures of no base64": [chunk({"text": "x", "thoughtSignature": "\u20ac"}),
                                    chunk({"thoughtSignature": 1, "text": "x"})],
        "halves": [chunk({"text": "\ud800"})],
        "many candidates": [{"candidates": [{"index": n, "content": {"parts": [{"text": "x"}]}}
                                            for n in range(FLOOD)]}],
        "ends early": [chunk({"text": "x"}, finishReason=value) for value in (1, "", None, [])],
        "goes on behind its end": [chunk(finishReason="STOP"), chunk({"text": "x"})],
        "an end of no word": [chunk(finishReason="gpu-node-17")],
        "a failure": [chunk(finishReason="MALFORMED_FUNCTION_CALL", finishMessage=hostile.EVIL)],
        "blocked": [{"promptFeedback": {"blockReason": value}} for value in (1, {}, "")],
        "an error in it": [{"error": {"code": 500, "message": hostile.EVIL, "status": "X"}}],
        "long waiting": [call(name="f", willContinue=True)]
        + [call(partialArgs=[piece(LONG, willContinue=True)], willContinue=True)
           for _ in range(90)],
    },
    DASHSCOPE: {
        "types": [{"output": {"choices": [{"message": value}]}} for value in (1, "x", [], None)],
        "output": [{"output": value} for value in (1, "x", [], None, {}, {"choices": 1})],
        "content": [frame(content=value) for value in (1, {}, [1], [{"text": 1}], True, None)],
        "calls": [frame(tool_calls=value) for value in (1, {}, [1], [{"index": "a"}], [{}])],
        "arguments": [calls(fragment(0, "c", "f", value)) for value in ({"a": 1}, [1], 1, None)],
        "no name": [calls(fragment(0, "c", "", "{}")) for _ in range(3)],
        "names that come late": [calls(fragment(n, f"c{n}", "", "{}")) for n in range(200)]
        + [calls(fragment(n, f"c{n}", "f")) for n in reversed(range(200))],
        "many calls": [calls(fragment(n, f"c{n}", "f", "{}")) for n in range(FLOOD)],
        "many calls that do not end": [calls(fragment(n, f"c{n}", "f", '{"'))
                                       for n in range(FLOOD)],
        "many calls in one place": [calls(fragment(0, f"c{n}", "f", '{"')) for n in range(FLOOD)],
        "two calls in turns": [calls(fragment(n % 2, f"c{n % 2}", "f", "[" * 9))
                               for n in range(FLOOD)],
        "arguments in crumbs": [calls(fragment(0, "c", "f", '{"a":"'))]
        + [calls(fragment(0, arguments="x")) for _ in range(FLOOD)],
        "whole arguments that shrink": [calls(fragment(0, "c", "f", "x" * n))
                                        for n in reversed(range(200))],
        "a text that shrinks": [frame(content="x" * n) for n in reversed(range(200))],
        "a text that stands still": [frame(content=f"hello{LONG}") for _ in range(80)],
        "a text that grows and starts anew": [frame(content="ab" * (n % 50)) for n in range(500)],
        "thoughts between": [frame(**{("content", "reasoning_content")[n % 2]: "x"})
                             for n in range(FLOOD)],
        "both at once": [frame(content="x", reasoning_content="y") for _ in range(FLOOD)],
        "a long index": [calls(fragment(10**30, "c", "f", "{}")), calls(fragment(-1, "d", "g"))],
        "halves": [frame(content="\ud800")],
        "many choices": [{"output": {"choices": [
            {"index": n, "finish_reason": "null", "message": {"content": "x"}}]}}
            for n in range(2 * FLOOD)],
        "text beside choices": [{"output": {**frame(content="x")["output"], "text": "y"}}],
        "ends early": [frame(reason) for reason in (1, [], None, "")],
        "goes on behind its end": [frame("stop"), frame(content="x")],
        "a code in it": [{"code": hostile.EVIL, "message": hostile.EVIL, "request_id": "r"}],
        "a message in it": [{**frame(content="x"), "message": f"{hostile.EVIL} x"}],
        "long waiting": [calls(fragment(0, "a", "f", '{"'))]
        + [calls(fragment(1, "b", "f", "[" + LONG)) for _ in range(90)],
    },
    BEDROCK: {
        "types": [delta(0, text=1), delta(0, text=None), delta(0, toolUse=1), delta(0, x="y")],
        "index": [{"contentBlockDelta": {"contentBlockIndex": value, "delta": {"text": "x"}}}
                  for value in ("a", None, 1.5, [1], True)],
        "no index": [{"contentBlockDelta": {"delta": {"text": "x"}}}],
        "delta of nothing": [delta(n, text="x") for n in range(5, 9)],
        "a tool's delta in a text": [delta(0, toolUse={"input": "{}"})],
        "many starts": [use(n, toolUseId=f"c{n}", name="f") for n in range(FLOOD)],
        "many starts of one": [use(1, toolUseId="c", name="f") for _ in range(FLOOD)],
        "many blocks": [delta(n, text="x") for n in range(1, FLOOD)],
        "no name": [use(1, toolUseId="c"), use(2), stop(2)],
        "no id": [use(1, name="f"), delta(1, toolUse={"input": "{}"}), stop(1)],
        "arguments in crumbs": [use(1, toolUseId="c", name="f")]
        + [delta(1, toolUse={"input": "x"}) for _ in range(FLOOD)],
        "arguments that are no object": [use(1, toolUseId="c", name="f"),
                                         delta(1, toolUse={"input": "[1"}), stop(1)],
        "signatures": [delta(1, reasoningContent={"signature": f"s{n}"}) for n in range(FLOOD)],
        "signatures in turns": [delta(1, reasoningContent={
            ("signature", "redactedContent")[n % 2]: "AA=="}) for n in range(FLOOD)],
        "redacted that is no base64": [delta(1, reasoningContent={"redactedContent": "\u20ac"})],
        "thoughts between": [delta(1, **({"text": "x"} if n % 2 else {
            "reasoningContent": {"text": "y"}})) for n in range(FLOOD)],
        "hosted": [use(n, toolUseId="s", name="f", type="server_tool_use") for n in range(1, 9)],
        "citations of nothing": [delta(3, citation={"title": 1}), delta(3, citation={})],
        "many citations": [delta(0, citation={"title": "t"}) for _ in range(FLOOD)],
        "a long index": [delta(10**30, text="x"), delta(-1, text="x")],
        "halves": [delta(0, text="\ud800")],
        "starts again": [{"messageStart": {"role": value}} for value in ("user", 1, [])],
        "ends early": [{"messageStop": {"stopReason": value}} for value in (1, "", None)],
        "metadata first": [{"metadata": {"usage": {"inputTokens": 1, "outputTokens": 1}}}],
        "an end of no word": [{"messageStop": {"stopReason": "gpu-node-17"}}],
        "unknown events": [{"somethingNew": {"text": hostile.EVIL}}],
        "a long signature": [delta(1, reasoningContent={"signature": LONG}) for _ in range(90)],
    },
}  # fmt: skip
# More waits in them than any vendor has waiting, or no end of theirs can be told.
UNBOUNDED = {"long waiting", "many calls that do not end", "a failure", "an error in it",
             "a code in it", "a text that stands still", "a far place", "a deep place", "a long signature"}  # fmt: skip


def bytes_of(source):
    """What is no event of the protocol."""
    begin, end = around(source)
    if source is not BEDROCK:
        return hostile.bytes_of_any(begin, end)
    message = aws.text("x")
    return {
        "an exception": aws.exception("internalServerException", hostile.EVIL),
        "an exception of no name": aws.exception("", hostile.EVIL),
        "an error": aws.message(b"", message_type="error", error_message=hostile.EVIL),
        "a name that is none": aws.message(b"{}", message_type="event", event_type="a\nb: c"),
        "a payload that is no JSON": aws.message(
            hostile.EVIL.encode(), message_type="event", event_type="contentBlockDelta"
        ),
        "a payload that goes on": aws.message(
            b'{}},"x":{"a":1', message_type="event", event_type="contentBlockStop"
        ),
        "a frame in a payload": aws.message(
            b'{"p":"x"}\n\ndata: {"metadata":{}}', message_type="event", event_type="metadata"
        ),
        "no message": b"data: {}\n\n",
        "a broken checksum": message[:-1] + bytes([message[-1] ^ 1]),
        "half a message": message[: len(message) // 2],
        "a length of 4 GB": b"\xff\xff\xff\xff" + message[4:],
        "a length of nothing": b"\0\0\0\0" + message[4:],
        "nothing but zeros": bytes(5_000),
        "2 MB in one event": aws.text("x" * (2 << 20)),
        "nested 5000 deep": aws.message(
            b'{"a":' * 5_000 + b"1" + b"}" * 5_000, message_type="event", event_type="metadata"
        ),
        "after the end": end + aws.exception("validationException", hostile.EVIL),
        "a second end": end * 2,
        "another beginning": begin,
    }


CASES = [(source, name) for source in HOSTILE for name in [*bytes_of(source), *HOSTILE[source]]]


@pytest.mark.parametrize(("source", "name"), CASES)
def test_a_hostile_stream_is_told_or_cut(source, name):
    """Forty of each protocol: forged errors, broken frames, wrong types, floods, crumbs."""
    begin, end = around(source)
    middle = bytes_of(source).get(name) or b"".join(
        event(source, document) for document in HOSTILE[source][name]
    )
    for target in hostile.TARGETS:
        if target is not source:
            finished = hostile.tell(source, target, begin + middle + end)
            assert not (finished and name in UNBOUNDED)
