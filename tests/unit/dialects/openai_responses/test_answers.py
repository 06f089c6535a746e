"""Answers of every kind, written as responses and read from them."""

import json
import time

import pytest

from tests.unit.dialects.openai_responses import sdk
from tollgate_dialects.common import sse
from tollgate_dialects.conversation.answer import Answer, Ending, Stop
from tollgate_dialects.conversation.machine import Machine, events_of
from tollgate_dialects.conversation.parts import (
    Citation,
    Opaque,
    Origin,
    Seal,
    Text,
    Thinking,
    ToolCall,
)
from tollgate_dialects.openai_responses.translate.translation import TRANSLATION
from tollgate_dialects.pricing.usage import NOTHING, Usage

SIGNED = Opaque(Origin.ANTHROPIC, Seal.SIGNATURE, "S:1")
GOOGLE = Opaque(Origin.GOOGLE, Seal.SIGNATURE, "G")


def stream(answer: Answer, usage: Usage = NOTHING) -> bytes:
    writer = TRANSLATION.event_writer(sdk.context())
    return b"".join(writer.write(event, usage) for event in events_of(answer))


def kinds(answer: Answer) -> list[str]:
    return [one["type"].removeprefix("response.") for one in sdk.frames_of(stream(answer))]


def output(answer: Answer) -> list[dict]:
    whole = TRANSLATION.write_answer(answer, NOTHING, sdk.context())
    last = sdk.frames_of(stream(answer))[-1]["response"]
    assert whole == last
    return whole["output"]


def heard(*events: dict) -> Answer:
    """What a reader makes of a stream."""
    reader, machine = TRANSLATION.event_reader(), Machine()
    for event in events:
        data = json.dumps(event).encode()
        for told in reader.read(sse.Event(b"", data, is_simple=True, is_event=True)):
            machine.check(told)
    return machine.answer()


def test_a_text_is_told_in_the_order_of_the_protocol():
    """From the response's creation to its end, without a [DONE]."""
    answer = Answer((Text("Hi"),), Ending(Stop.END))
    assert [
        "created", "in_progress", "output_item.added", "content_part.added", "output_text.delta",
        "output_text.done", "content_part.done", "output_item.done", "completed",
    ] == kinds(answer)  # fmt: skip
    assert b"[DONE]" not in stream(answer)


def test_thinking_is_a_reasoning_item():
    """Its text is a summary, its block stands in encrypted_content, in our wrapping."""
    answer = Answer((Thinking("T", SIGNED), Text("Hi")), Ending(Stop.END))
    assert [
        "output_item.added", "reasoning_summary_part.added", "reasoning_summary_text.delta",
        "reasoning_summary_text.done", "reasoning_summary_part.done", "output_item.done",
    ] == kinds(answer)[2:8]  # fmt: skip
    item = output(answer)[0]
    assert "tg1:anthropic:signature::S:1" == item["encrypted_content"]
    assert f"rs_{sdk.TRACE}_0" == item["id"]


def test_thinking_that_nobody_sealed_has_encrypted_content():
    """Clients throw away thinking without it, which vendors of chats want back; it says nothing."""
    items = output(Answer((Thinking("T"), Text("Hi")), Ending(Stop.END)))
    assert items[0]["encrypted_content"]
    request = TRANSLATION.read_request({"model": "m", "input": items})
    assert (Thinking("T"), Text("Hi")) == request.turns[0].parts


def test_thinking_that_is_not_shown_is_told():
    """A block without text is an item all the same: the vendor wants it back."""
    (item,) = output(Answer((Thinking("", SIGNED),), Ending(Stop.END)))
    assert [] == item["summary"]
    assert item["encrypted_content"]


def test_calls_are_items_of_their_own():
    """Each with its place; one in a group names it, one of free text has events of its own."""
    answer = Answer(
        (ToolCall("a", "f", '{"x":1}', "n"), ToolCall("b", "g", "free", takes_text=True)),
        Ending(Stop.TOOL_CALLS),
    )
    assert [
        "output_item.added", "function_call_arguments.delta", "function_call_arguments.done",
        "output_item.done", "output_item.added", "custom_tool_call_input.delta",
        "custom_tool_call_input.done", "output_item.done", "completed",
    ] == kinds(answer)[2:]  # fmt: skip
    first, second = output(answer)
    assert ("a", "f", "n") == (first["call_id"], first["name"], first["namespace"])
    assert ("custom_tool_call", "free") == (second["type"], second["input"])
    assert answer.parts == TRANSLATION.read_answer({"output": [first, second]}).parts


def test_a_call_without_arguments_has_an_empty_object():
    """Clients parse them."""
    (call,) = output(Answer((ToolCall("a", "f", ""),), Ending(Stop.TOOL_CALLS)))
    assert "{}" == call["arguments"]


def test_a_calls_block_stands_before_it_under_its_id():
    """From where the next request brings it back to the call."""
    answer = Answer((ToolCall("a", "f", "{}", opaque=GOOGLE),), Ending(Stop.TOOL_CALLS))
    history = output(answer)
    request = TRANSLATION.read_request({"model": "m", "input": history})
    assert answer.parts == request.turns[0].parts


def test_two_calls_never_share_an_id():
    """The SDK refuses a response with two."""
    answer = Answer((ToolCall("a", "f", "{}"), ToolCall("a", "f", "{}")), Ending(Stop.TOOL_CALLS))
    first, second = output(answer)
    assert "a" == first["call_id"] != second["call_id"]
    sdk.streamed(stream(answer))


def test_texts_of_one_phase_are_one_message():
    """Words, their sources and a refusal are parts of it; another phase is another message."""
    cited = Citation("https://x", "X", start=0, end=2)
    answer = Answer(
        (Text("Hi", (cited,)), Text("No", is_refusal=True), Text("End", phase="final_answer")),
        Ending(Stop.REFUSAL),
    )
    first, second = output(answer)
    assert ["output_text", "refusal"] == [part["type"] for part in first["content"]]
    assert "https://x" == first["content"][0]["annotations"][0]["url"]
    assert "final_answer" == second["phase"]
    assert answer == TRANSLATION.read_answer({"output": [first, second]})
    assert sdk.streamed(stream(answer)) == sdk.whole(
        TRANSLATION.write_answer(answer, NOTHING, sdk.context())
    )


@pytest.mark.parametrize(
    ("stop", "status", "why"),
    [
        (Stop.END, "completed", None),
        (Stop.TOOL_CALLS, "completed", None),
        (Stop.STOP_SEQUENCE, "completed", None),
        (Stop.PAUSE, "incomplete", "max_output_tokens"),
        (Stop.LENGTH, "incomplete", "max_output_tokens"),
        (Stop.CONTEXT_FULL, "incomplete", "max_output_tokens"),
        (Stop.REFUSAL, "incomplete", "content_filter"),
    ],
)
def test_how_an_answer_ended(stop, status, why):
    """In the word of the last event as in its response."""
    answer = Answer((Text("Hi"),), Ending(stop))
    assert f"{status}" == kinds(answer)[-1]
    gist = sdk.streamed(stream(answer))
    assert (status, why) == (gist["status"], gist["why"])


def test_words_of_a_refusal_are_an_answer():
    """They are there to be read: the response is complete."""
    answer = Answer((Text("No", is_refusal=True),), Ending(Stop.REFUSAL))
    assert "completed" == sdk.streamed(stream(answer))["status"]


def test_usage_is_told_with_the_end():
    """Cached and written tokens are a part of the input, reasoning of the output."""
    usage = Usage.of(
        input_tokens=30, cache_read_tokens=60, cache_write_5m_tokens=4, cache_write_1h_tokens=6,
        output_tokens=40, reasoning_tokens=30,
    )  # fmt: skip
    frames = sdk.frames_of(stream(Answer((), Ending(Stop.END)), usage))
    assert frames[0]["response"]["usage"] is None
    assert {
        "input_tokens": 100,
        "input_tokens_details": {"cached_tokens": 60, "cache_write_tokens": 10},
        "output_tokens": 40,
        "output_tokens_details": {"reasoning_tokens": 30},
        "total_tokens": 140,
    } == frames[-1]["response"]["usage"]


LAST = {"type": "response.completed", "response": {"id": "resp_1"}}


def test_items_at_the_same_time_are_told_one_after_another():
    """The events of the second wait for the end of the first."""

    def added(place: int, name: str) -> dict:
        item = {"type": "function_call", "call_id": name, "name": name, "arguments": ""}
        return {"type": "response.output_item.added", "output_index": place, "item": item}

    def delta(place: int, text: str) -> dict:
        kind = "response.function_call_arguments.delta"
        return {"type": kind, "output_index": place, "delta": text}

    def done(place: int, name: str) -> dict:
        item = {"type": "function_call", "call_id": name, "name": name, "arguments": "?"}
        return {"type": "response.output_item.done", "output_index": place, "item": item}

    answer = heard(
        added(0, "a"), added(1, "b"), delta(1, "{1"), delta(0, "{0"), done(1, "b"), delta(0, "}"),
        done(0, "a"), LAST,
    )  # fmt: skip
    assert [("a", "{0}"), ("b", "{1")] == [(part.name, part.arguments) for part in answer.parts]
    assert Ending(Stop.TOOL_CALLS) == answer.ending


def test_what_is_said_with_the_end_alone_is_said():
    """Servers that tell of nothing before an item's end, or before the last event."""
    item = {"type": "message", "role": "assistant",
            "content": [{"type": "output_text", "text": "Hi"}]}  # fmt: skip
    late = heard({"type": "response.output_item.done", "output_index": 0, "item": item}, LAST)
    last = heard({**LAST, "response": {"output": [item]}})
    assert (Text("Hi"),) == late.parts == last.parts


TEXT = {"type": "response.output_text.delta", "content_index": 0}
CALL = {"type": "function_call", "id": "fc_1", "call_id": "c", "name": "f", "arguments": '{"a":1}'}
MESSAGE = {"type": "message", "id": "msg_1", "role": "assistant",
           "content": [{"type": "output_text", "text": "Hi"}]}  # fmt: skip
PLACES = pytest.mark.parametrize(
    "place", [{}, {"output_index": 0}, {"item_id": "msg_1"}, {"output_index": 0, "item_id": "x"}]
)


@PLACES
def test_a_call_that_stands_with_the_last_event_alone_is_told(place):
    """Servers that stream words and nothing of calls, with or without the names of items."""
    answer = heard(
        {**TEXT, **place, "delta": "H"},
        {**TEXT, **place, "delta": "i"},
        {**LAST, "response": {"output": [MESSAGE, CALL]}},
    )
    assert (Text("Hi"), ToolCall("c", "f", '{"a":1}')) == answer.parts
    assert Ending(Stop.TOOL_CALLS) == answer.ending


@PLACES
def test_nothing_is_told_twice(place):
    """The last event repeats what was streamed, under whatever names."""
    named = {name: value for name, value in place.items() if name != "item_id"}
    answer = heard(
        {"type": "response.output_item.added", **named, "item": {**MESSAGE, "content": []}},
        {**TEXT, **place, "delta": "Hi"},
        {"type": "response.output_item.done", **named, "item": MESSAGE},
        {"type": "response.output_item.done", "item": {**CALL, "id": "other"}},
        {**LAST, "response": {"output": [{**MESSAGE, "id": "msg_2"}, CALL]}},
    )
    assert (Text("Hi"), ToolCall("c", "f", '{"a":1}')) == answer.parts


def test_items_without_a_place_are_told_apart():
    """By their names, or by their order; and where all have one place."""
    for place in ({}, {"output_index": 0}):
        answer = heard(
            *(
                {"type": f"response.output_item.{what}", **place, "item": {**CALL, **names}}
                for names in ({"id": "1", "call_id": "1"}, {"id": "2", "call_id": "2"})
                for what in ("added", "done")
            ),
            LAST,
        )
        assert ["1", "2"] == [call.call_id for call in answer.parts]


def test_many_items_take_no_more_time_each():
    """What was told is forgotten; far more items than any answer has are refused."""
    reader = TRANSLATION.event_reader()

    def seconds(places: range) -> float:
        began = time.process_time()
        for place in places:
            item = {**CALL, "id": f"fc_{place}", "call_id": f"c{place}"}
            for what in ("added", "done"):
                event = {"type": f"response.output_item.{what}", "output_index": place}
                data = json.dumps({**event, "item": item}).encode()
                reader.read(sse.Event(b"", data, is_simple=True, is_event=True))
        return time.process_time() - began

    first = seconds(range(1_000))
    assert seconds(range(1_000, 8_000)) < 7 * first * 4
    with pytest.raises(ValueError):
        seconds(range(8_000, 12_000))


def test_the_other_words_of_servers_are_understood():
    """response.done ends a stream, [DONE] behind it says nothing, open models think aloud."""
    reader = TRANSLATION.event_reader()
    assert [] == reader.read(sse.Event(b"", b"[DONE]", is_simple=True, is_event=True))
    answer = heard(
        {"type": "response.output_item.added", "output_index": 0, "item": {"type": "reasoning"}},
        {"type": "response.reasoning_text.delta", "output_index": 0, "content_index": 0,
         "delta": "T"},
        {"type": "response.done", "response": {}},
    )  # fmt: skip
    assert (Thinking("T"),) == answer.parts


def test_a_failure_is_no_answer():
    """Neither word for it is read as one."""
    for kind in ("error", "response.failed"):
        with pytest.raises(ValueError, match="failure"):
            heard({"type": kind})
