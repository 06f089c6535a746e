"""Red line 3 inside answers: only what a protocol's schema lists is passed on."""

import json

import pytest

from tollgate_dialects.answer.meter import BodyMeter, StreamMeter
from tollgate_dialects.common import sse
from tollgate_dialects.common.protocol import Protocol
from tollgate_dialects.pricing.units import Unit
from tollgate_dialects.pricing.usage import Usage, UsageSource
from tollgate_dialects.registry import DIALECTS

OPENAI = DIALECTS[Protocol.OPENAI_CHAT].answer
ANTHROPIC = DIALECTS[Protocol.ANTHROPIC_MESSAGES].answer
LEAK = "Error at http://10.0.0.7:8000 on gpu-node-17"


def data(document, name=""):
    head = f"event: {name}\n" if name else ""
    return f"{head}data: {json.dumps(document)}\n\n".encode()


def chunk(text="abc", finish=None, **more):
    choice = {"index": 0, "delta": {"content": text}, "finish_reason": finish}
    return {"id": "c", "object": "chat.completion.chunk", "choices": [choice], **more}


def event(kind, **more):
    return data({"type": kind, **more}, kind)


WORD, LAST = data(chunk()), data(chunk(finish="stop"))
DONE = OPENAI.end.frame
USAGE = {"prompt_tokens": 10, "completion_tokens": 2, "total_tokens": 12}
START = event("message_start", message={"type": "message", "content": [],
                                        "usage": {"input_tokens": 9, "output_tokens": 1}})  # fmt: skip
SAID = event("content_block_delta", index=0, delta={"type": "text_delta", "text": "abcdef"})
STOP = event("message_delta", delta={"stop_reason": "end_turn"}, usage={"output_tokens": 5})
END = ANTHROPIC.end.frame


def stream(protocol, raw, size=None, **options):
    meter = StreamMeter(protocol, **options)
    step = size or max(len(raw), 1)
    out = b"".join(meter.feed(raw[at : at + step]) for at in range(0, len(raw), step))
    return out + meter.finish(), meter


def body(protocol, document):
    meter = BodyMeter(protocol)
    meter.feed(document if isinstance(document, bytes) else json.dumps(document).encode())
    return meter.finish(), meter


def completion(choice=None, message=None, **more):
    said = {"role": "assistant", "content": "hello", **(message or {})}
    return {"choices": [{"index": 0, "message": said, "finish_reason": "stop", **(choice or {})}],
            "usage": USAGE, **more}  # fmt: skip


@pytest.mark.parametrize("protocol", [OPENAI, ANTHROPIC])
@pytest.mark.parametrize(
    "document",
    [
        {"object": "error", "message": LEAK}, {"detail": LEAK}, {"errors": [{"message": LEAK}]},
        {"error": LEAK}, {"error": {"message": LEAK}}, {"message": LEAK, "code": 500}, {}, [],
        {"choices": None, "base_resp": {"status_code": 1008, "status_msg": LEAK}},
        {"choices": LEAK}, {"choices": [LEAK]}, {"type": "message", "content": LEAK},
        {"type": "message", "content": [LEAK]}, {"type": "message", "detail": LEAK},
        {"choices": [{"index": 0, "error": {"message": LEAK}}]}, b"", LEAK.encode(),
        b"<html>" + LEAK.encode(), json.dumps(LEAK).encode(), b"\x1f\x8b\x08", b"{}\n{}",
        completion({"error": {"message": LEAK}}), completion(message={"error": LEAK}),
        completion(x_groq={"error": LEAK}), completion(error={"message": LEAK}),
        completion(object="error"),
    ],
)  # fmt: skip
def test_case_R1_a_200_that_is_no_answer_is_a_fault_of_the_upstream(protocol, document):
    """Whatever a body of status 200 is, without the protocol's shape nothing of it passes."""
    out, meter = body(protocol, document)
    assert (b"", False, True) == (out, meter.finished, meter.error is not None)
    assert "gpu-node" not in repr(meter.error)
    assert "10.0.0.7" not in repr(meter.error)


@pytest.mark.parametrize(
    "more",
    [
        {"detail": LEAK}, {"error": None, "debug": {"host": LEAK}}, {"x_groq": {"host": LEAK}},
        {"usage": {**USAGE, "node": LEAK, LEAK: 1}}, {"id": {"host": LEAK}},
        {"model": [LEAK]}, {"metadata": {"served by": LEAK, "node": LEAK}},
        {"choice": {"debug": LEAK}}, {"choice": {"content_filter_results": {"message": LEAK}}},
        {"message": {"trace": LEAK}}, {"message": {"role": [LEAK]}},
        {"message": {"tool_calls": [{"id": "a", "type": "function", "host": LEAK}]}},
    ],
)  # fmt: skip
def test_case_R1_unknown_members_of_an_answer_are_dropped(more):
    """What vendors add beside the answer is dropped; the answer stays."""
    out, meter = body(OPENAI, completion(**more))
    assert ("hello", True) == (json.loads(out)["choices"][0]["message"]["content"], meter.finished)
    assert (10, 2, False) == (
        meter.usage[Unit.INPUT], meter.usage[Unit.OUTPUT], b"gpu-node" in out
    )  # fmt: skip


@pytest.mark.parametrize(
    "raw",
    [
        '{"choices":[{"message":{"x":"LEAK"}}],"choices":[{"message":{"content":"a"}}]}',
        '{"choices":[{"x":"LEAK","message":{"content":"a"},"message":{"content":"a"}}]}',
        '{"id":"LEAK","id":"b","choices":[{"message":{"content":"a"}}]}',
        '{"choices":[{"message":{"content":"a","\\u0065rror ":"LEAK"}}]}',
        '{"choices":[{"message":{"content":"a","\\"role":"LEAK"}}]}',
    ],
)
def test_case_R1_a_key_written_twice_or_escaped_hides_nothing(raw):
    """What our parser does not see, no other parser sees either."""
    out, meter = body(OPENAI, raw.encode())
    assert (True, False) == (meter.finished, b"LEAK" in out)
    frame = raw.replace('"message":', '"delta":').encode()
    out, meter = stream(OPENAI, b"data: " + frame + b"\n\n")
    assert (None, False, True) == (meter.error, b"LEAK" in out, b'"content":"a"' in out)


@pytest.mark.parametrize("size", [1, 17, None])
@pytest.mark.parametrize(
    ("protocol", "before", "odd", "after"),
    [
        (OPENAI, WORD, f": {LEAK}\n\n", LAST), (OPENAI, WORD, f"id: {LEAK}\n\n", LAST),
        (OPENAI, WORD, f"retry: {LEAK}\n\n", LAST), (OPENAI, b"", f"\xef\xbb\xbf: {LEAK}\n\n", WORD),
        (OPENAI, WORD, f"event: log\ndata: {LEAK}\n\n", LAST),
        (OPENAI, WORD, f'event: log\ndata: {{"message":"{LEAK}"}}\n\n', LAST),
        (OPENAI, WORD, f"event: {LEAK}\n\n", LAST), (OPENAI, WORD, f":{LEAK}\r\r", LAST),
        (ANTHROPIC, START, f": {LEAK}\n\n", SAID),
        (ANTHROPIC, START, f'event: log\ndata: {{"type":"log","m":"{LEAK}"}}\n\n', SAID),
        (ANTHROPIC, START, f'data: {{"type":"log","m":"{LEAK}"}}\n\n', SAID),
        (ANTHROPIC, START, f"event: gpu-node-17\ndata: {LEAK}\n\n", SAID),
    ],
)  # fmt: skip
def test_case_R1_frames_that_are_no_part_of_the_answer_are_dropped(
    protocol, before, odd, after, size
):
    """Comments, ids, retries and events of unknown name go; the frames around them stay."""
    encoded = odd.encode("latin-1") if odd.startswith("\xef") else odd.encode()
    out, meter = stream(protocol, before + encoded + after, size)
    kept = out.removesuffix(DONE)
    assert (before + after, None) == (kept, meter.error)


@pytest.mark.parametrize("size", [1, 17, None])
@pytest.mark.parametrize(
    ("protocol", "odd"),
    [
        *((protocol, odd) for protocol in (OPENAI, ANTHROPIC) for odd in (
            f"data: Error {LEAK}\n\n", f"Error {LEAK}\n\n", f"data: {LEAK}\r\n\r\n",
            f'data: {{"detail":"{LEAK}"}}\n\n', f'data: {{"object":"error","message":"{LEAK}"}}\n\n',
            f"data: [1]\n\ndata: {LEAK}\n\n", f"<html>{LEAK}\n\n", f'{{"error":"{LEAK}"}}\n{{}}\n\n',
            f"event: error\ndata: {LEAK}\n\n", "event: error\n\n",
            f'event: upstream_error\ndata: {{"message":"{LEAK}"}}\n\n',
            f'data: {{"type":"error","message":"{LEAK}"}}\n\n',
        )),
        (OPENAI, f'data: {{"choices":[{{"error":{{"message":"{LEAK}"}}}}]}}\n\n'),
        (OPENAI, f'data: {{"choices":[{{"delta":{{"error":"{LEAK}"}}}}]}}\n\n'),
        (OPENAI, f'data: {{"x_groq":{{"error":"{LEAK}"}},"choices":[]}}\n\n'),
        (ANTHROPIC, f'data: {{"choices":[{{"delta":{{"content":"{LEAK}"}}}}]}}\n\n'),
    ],
)  # fmt: skip
def test_case_R1_a_frame_that_is_no_answer_ends_the_stream_as_a_fault(protocol, odd, size):
    """Plain text, HTML, errors in every dress: nothing of it passes, nor of what follows."""
    good = WORD if protocol is OPENAI else START + SAID
    out, meter = stream(protocol, good + odd.encode() + good + DONE, size)
    assert (good, True, False) == (out, meter.error is not None, meter.finished)
    assert "gpu-node" not in repr(meter.error)


HOOKS = {"id": "trace", "object": "hook_results", "hook_results": {"content": LEAK, "error": None}}


@pytest.mark.parametrize("size", [1, 17, None])
@pytest.mark.parametrize(
    "odd",
    [HOOKS, {}, {"usage": None, "node": LEAK}, {"choices": None, "id": "", "usage": {}},
     {"error": None, "x_groq": {"id": LEAK}}, {"base_resp": {"status_code": 0, "status_msg": ""}}],
)  # fmt: skip
def test_case_R1_a_frame_of_metadata_is_dropped_and_the_stream_goes_on(odd, size):
    """Other gateways' frames without choices, usage or error: none of it passes, none counts."""
    plain, typed = data(odd), data({"type": "hook_results", **odd})
    usage = data({"choices": [], "usage": USAGE})
    for raw in (
        plain + WORD + LAST + usage + DONE,
        WORD + plain + LAST + usage + DONE,
        WORD + LAST + usage + plain + DONE,
        WORD + LAST + usage + plain,
    ):
        out, meter = stream(OPENAI, raw, size)
        assert (WORD + LAST + usage + DONE, None, True) == (out, meter.error, meter.finished)
        assert (10, UsageSource.UPSTREAM) == (meter.usage[Unit.INPUT], meter.usage_source)
    # Without a finish reason, the last event is the answer's end as long as text came behind.
    out, meter = stream(OPENAI, WORD + plain + WORD + DONE, size)
    assert (WORD + WORD + DONE, 2) == (out, meter.output_units)
    if "choices" not in odd:
        for frame in (plain, typed):
            out, meter = stream(ANTHROPIC, START + frame + SAID + STOP + frame + END, size)
            assert (START + SAID + STOP + END, True) == (out, meter.finished)


@pytest.mark.parametrize("size", [1, 17, None])
@pytest.mark.parametrize("frame", [data(HOOKS), data({})])
def test_case_R1_metadata_completes_no_answer(frame, size):
    """No choice at all, or none that ended before the last word was metadata: never complete."""
    usage = data({"choices": [], "usage": {**USAGE, "completion_tokens": 0}})
    for raw in (frame, frame + DONE, frame + usage + DONE, WORD + frame + DONE, WORD + frame):
        out, meter = stream(OPENAI, raw, size)
        assert (False, False) == (meter.finished, DONE in out)
        assert (DONE in raw, False) == (meter.error is not None, meter.is_failure_told)
    for raw in (frame, frame + END, START + SAID + frame + END):
        out, meter = stream(ANTHROPIC, raw, size)
        assert (False, False) == (meter.finished, END in out)


@pytest.mark.parametrize(
    "told",
    [{"message": LEAK}, {"error_code": 7}, {"code": "Arrearage"}, {"type": "server_error"},
     {"type": "insufficient_quota"}, {"object": "failure", "node": LEAK}, {"status": "failed"},
     {"base_resp": {"status_code": 1008, "status_msg": LEAK}}, {"choices": LEAK},
     {"choices": [LEAK]}],
)  # fmt: skip
def test_case_R1_metadata_that_tells_of_an_error_ends_the_stream(told):
    """Whatever name a vendor gives to its error: the answer does not go on behind it."""
    out, meter = stream(OPENAI, WORD + data({"id": "trace", **told}) + WORD + DONE)
    assert (WORD, True, False) == (out, meter.error is not None, meter.finished)
    # Nor does an answer of no known kind, with a report of what it used.
    assert stream(ANTHROPIC, START + data({"usage": USAGE}) + SAID)[1].error is not None


@pytest.mark.parametrize(
    ("protocol", "frame", "passed"),
    [
        (OPENAI, b'id: 7\nevent: x\ndata: {"choices": []}\n\n', b'data: {"choices":[]}\n\n'),
        (OPENAI, b'data: {"choices":[],\ndata: "id":"a"}\n\n', b'data: {"choices":[],"id":"a"}\n\n'),
        (OPENAI, b'data:{"choices":[]}\n\n', b'data: {"choices":[]}\n\n'),
        (OPENAI, b'data: data: {"choices":[]}\n\n', b'data: {"choices":[]}\n\n'),
        (OPENAI, b'data: {"choices":[],"host":"x"}\nError\n\n', b'data: {"choices":[]}\n\n'),
        (OPENAI, b'data: {"choices":[{"delta":{"content":"\\ud83d"}}]}\n\n',
         b'data: {"choices":[{"delta":{"content":"\\ud83d"}}]}\n\n'),
        (OPENAI, b'data: {"choices":[{"delta":{"content":"a\xff"}}]}\n\n',
         'data: {"choices":[{"delta":{"content":"a\ufffd"}}]}\n\n'.encode()),
        (ANTHROPIC, b'data: {"type":"ping"}\n\n', b'event: ping\ndata: {"type":"ping"}\n\n'),
        (ANTHROPIC, b"event: ping\ndata: {}\n\n", b'event: ping\ndata: {"type":"ping"}\n\n'),
        (ANTHROPIC, b'event: x\ndata: {"type":"ping","m":"x"}\n\n',
         b'event: ping\ndata: {"type":"ping"}\n\n'),
    ],
)  # fmt: skip
def test_case_R1_an_oddly_written_frame_is_written_anew(protocol, frame, passed):
    """A part of the answer in odd dress stays a part of the answer, and nothing else of it."""
    out, meter = stream(protocol, frame)
    assert (passed, None) == (out, meter.error)


def test_case_R1_what_is_free_in_form_passes_whole_byte_for_byte():
    """Tool arguments and inputs, results of server tools, log probabilities, citations, parts."""
    anything = {"error": {"detail": LEAK}, "host:8000": [1, {"type": "error"}], ": x": " : "}
    openai = [
        data(chunk(": a")), data(chunk('say " : " and \\":')), data(chunk("é : \\")),
        data({"choices": [{"index": 0, "delta": {"tool_calls": [
            {"index": 0, "id": "t", "type": "function",
             "function": {"name": "f", "arguments": json.dumps(anything)}}]}}]}),
        data({"choices": [{"index": 1, "delta": {"content": [{"type": "thinking", **anything}]},
                           "logprobs": {"content": [{"token": "a", "x": anything}]}}]}),
        data({"choices": [], "citations": [LEAK], "search_results": [anything]}),
    ]  # fmt: skip
    block = {"type": "web_search_tool_result", "tool_use_id": "a", "content": [anything]}
    call = {"type": "tool_use", "id": "a", "name": "f", "input": anything}
    delta = {"type": "citations_delta", "citation": anything}
    anthropic = [START, event("content_block_start", index=0, content_block=block),
                 event("content_block_start", index=0, content_block=call),
                 event("content_block_delta", index=0, delta=delta), SAID]  # fmt: skip
    for protocol, frames in ((OPENAI, openai), (ANTHROPIC, anthropic)):
        for raw in (b"".join(frames), *frames):
            out, meter = stream(protocol, raw, strip_usage=True)
            assert (raw, None) == (out, meter.error)


@pytest.mark.parametrize(
    "end",
    [b"data: [DONE]\n\n", b"data:  [DONE]\n\n", b"data:[DONE]\n\n", b"data:\t[DONE] \n\n", b"data: [DONE]",
     b"data: [DONE]\r\r", b"data: [DONE]\r\n\r\n", b"id: 1\nevent: x\ndata: [DONE]\n\n",
     b": x\r\ndata: [DONE]\r\n\r\n", b"data: data: [DONE]\n\n", b"data:\ndata: [DONE]\n\n"],
)  # fmt: skip
@pytest.mark.parametrize("size", [1, 7, None])
def test_case_R3_the_end_of_a_stream_is_found_however_it_is_written(end, size):
    """One detector: the end passes in its canonical form, and nothing after it."""
    out, meter = stream(OPENAI, WORD + LAST + end, size)
    assert (WORD + LAST + DONE, True, None) == (out, meter.finished, meter.error)
    if end.endswith((b"\n\n", b"\r\r", b"\r\n\r\n")):
        assert len(WORD) == sse.end_of(WORD + end + WORD, OPENAI.end)


def test_case_R3_a_text_that_speaks_of_the_end_is_no_end():
    """[DONE] and message_stop inside of words are words."""
    said = data(chunk("data: [DONE]\n\ndata:[DONE]")), data(chunk("[DONE]"))
    assert [-1, -1] == [sse.end_of(frame, OPENAI.end) for frame in said]
    delta = {"type": "text_delta", "text": "event: message_stop\n\n"}
    said = event("content_block_delta", index=0, delta=delta)
    assert (-1, len(said)) == (
        sse.end_of(said, ANTHROPIC.end),
        sse.end_of(said + END, ANTHROPIC.end),
    )


def test_case_P2_a_stream_without_its_last_event_is_complete_when_all_choices_ended():
    """Deltas, finish_reason, usage, a clean end: the protocol's last event is supplied."""
    usage = data({"choices": [], "usage": USAGE})
    for raw in (
        WORD + LAST,
        WORD + LAST + usage,
        WORD + LAST.removesuffix(b"\n"),
        WORD + LAST[:-2],
    ):
        out, meter = stream(OPENAI, raw, 7)
        assert (True, None, True) == (meter.finished, meter.error, out.endswith(b"}\n\n" + DONE))
    other = data({"choices": [{"index": 1, "delta": {"content": "b"}}]})
    for raw in (WORD, WORD + usage, usage, b"", LAST + other, other + LAST, WORD + LAST[:-9]):
        out, meter = stream(OPENAI, raw, 7)
        assert (False, False) == (meter.finished, DONE in out)
    out, meter = stream(ANTHROPIC, START + SAID + STOP, 7)
    assert (START + SAID + STOP + END, True, 5) == (out, meter.finished, meter.usage[Unit.OUTPUT])
    for raw in (START + SAID, START + event("message_delta", delta={}, usage={"output_tokens": 5})):
        assert not stream(ANTHROPIC, raw)[1].finished


def test_case_P2_a_choice_that_never_began_has_not_ended():
    """Of two that were asked for, one was answered when the stream closed: that is no answer."""
    other = data({"choices": [{"index": 1, "delta": {"content": "b"}, "finish_reason": "stop"}]})
    usage = data({"choices": [], "usage": USAGE})
    for raw in (WORD + LAST, other, WORD + other, WORD + other + usage):
        out, meter = stream(OPENAI, raw, 7, choices=2)
        assert (raw, False, False) == (out, meter.finished, meter.has_final_usage)
    # An upstream that knows no `n` says by its last event, or by the report behind all choices,
    # that there is no more; whatever else it tells of between.
    trace = data({"id": "trace", "object": "hook_results"})
    for raw in (
        WORD + LAST + other, other + LAST, WORD + LAST + usage + DONE, WORD + LAST + usage,
        WORD + LAST + usage + trace + DONE,
    ):  # fmt: skip
        out, meter = stream(OPENAI, raw, 7, choices=2)
        assert (True, True) == (meter.finished, out.endswith(DONE))


@pytest.mark.parametrize(
    "place",
    [
        {"choices": [{"index": 0, "delta": {}, "finish_reason": "stop", "usage": USAGE}]},
        {"choices": [{"index": 0, "delta": {}, "finish_reason": "stop"}], "x_groq": {"usage": USAGE}},
        {"choices": [{"index": 0, "delta": {}, "finish_reason": "stop"}], "usage": USAGE},
        {"choices": [{"index": 0, "delta": {"usage": USAGE}, "finish_reason": "stop"}]},
        {"choices": [{"index": 0, "delta": {}, "finish_reason": "stop", "usage": USAGE}], "usage": {}},
        {"usage": USAGE}, {"choices": None, "usage": USAGE}, {"choices": [], "usage": USAGE},
        {"choices": [], "usage": {"input_tokens": 10, "output_tokens": 2}},
    ],
)  # fmt: skip
def test_case_M11_usage_is_read_wherever_vendors_put_it(place):
    """Moonshot in the choice, Groq in x_groq, others at the top: 10 in, 2 out are charged."""
    _, meter = stream(OPENAI, WORD + LAST + data(place) + DONE)
    assert (Usage.of(input_tokens=10, output_tokens=2), UsageSource.UPSTREAM) == (
        meter.usage, meter.usage_source
    )  # fmt: skip
    assert (True, True) == (meter.produced, meter.has_final_usage)


def test_the_facts_that_a_charge_needs():
    """Whether anything was produced, and whether the report covers all of it."""
    _, meter = stream(OPENAI, data({"choices": [{"delta": {"role": "assistant"}}]}))
    assert (False, False) == (meter.produced, meter.has_final_usage)
    for said in ({"reasoning": "a"}, {"reasoning_content": "a"}, {"tool_calls": [
            {"index": 0, "function": {"arguments": "{"}}]}):  # fmt: skip
        _, meter = stream(OPENAI, data({"choices": [{"delta": said}]}))
        assert (True, False) == (meter.produced, meter.has_final_usage)
    # A running report is not the final one.
    _, meter = stream(OPENAI, data(chunk(usage=USAGE)))
    assert (True, False) == (meter.produced, meter.has_final_usage)
    _, meter = stream(ANTHROPIC, START + SAID)
    assert (True, False) == (meter.produced, meter.has_final_usage)
    _, meter = stream(ANTHROPIC, START + SAID + STOP)
    assert (True, True) == (meter.produced, meter.has_final_usage)


def test_case_P3_a_json_error_where_a_stream_was_asked_for_is_described():
    """A 200 whose whole body is an error: no stream, its reason scrubbed and kept."""
    said = {"error": {"message": f"prompt is too long, {LEAK}", "type": "invalid_request_error"}}
    for raw in (json.dumps(said), json.dumps(said, indent=1), json.dumps(said["error"])):
        out, meter = stream(OPENAI, raw.encode())
        assert (b"", 400) == (out, meter.error.http_status)
        assert meter.error.message.startswith("prompt is too long, Error at [redacted]")
