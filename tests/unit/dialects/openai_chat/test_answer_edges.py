"""Answers of chats at the edges: calls, arguments and ends as vendors write them."""

import json

import pytest

from tollgate_dialects.common.protocol import Protocol
from tollgate_dialects.conversation.machine import Machine
from tollgate_dialects.conversation.parts import (
    Opaque,
    Origin,
    Seal,
    Text,
    ToolCall,
)
from tollgate_dialects.conversation.request import Request, Turn
from tollgate_dialects.conversation.stream import StreamTranslator
from tollgate_dialects.conversation.translation import Context, Target
from tollgate_dialects.openai_chat.translate.translation import TRANSLATION
from tollgate_dialects.registry import DIALECTS

CHAT, MESSAGES = DIALECTS[Protocol.OPENAI_CHAT], DIALECTS[Protocol.ANTHROPIC_MESSAGES]


HELLO = Turn("user", (Text("hi"),))


SIGNED = Opaque(Origin.ANTHROPIC, Seal.SIGNATURE, "sig==")


def written(*turns, model="gpt-4o", limit=None, **members):
    return TRANSLATION.write_request(
        Request(model="m", turns=turns or (HELLO,), **members), Target(model, limit)
    )


def roles(document):
    return [(one["role"], one.get("tool_call_id", "")) for one in document["messages"]]


def context():
    request = Request(model="m", turns=(HELLO,))
    return Context(request=request, trace="0" * 32, created_s=1, estimated_input_tokens=777)


def call(call_id="c1", name="f", arguments="{}"):
    return ToolCall(call_id, name, arguments)


def chunks(*deltas, reason="stop", answer_id="x"):
    frames = [{"id": answer_id, "choices": [{"index": 0, "delta": delta}]} for delta in deltas]
    frames.append(
        {"id": answer_id, "choices": [{"index": 0, "delta": {}, "finish_reason": reason}]}
    )
    return b"".join(b"data: %b\n\n" % json.dumps(one).encode() for one in frames) + (
        b"data: [DONE]\n\n"
    )


def messages_of(frames):
    translator = StreamTranslator(
        TRANSLATION.event_reader(), MESSAGES.translation.event_writer(context())
    )
    told = translator.feed(frames, None).decode()
    return [json.loads(line[6:]) for line in told.split("\n") if line.startswith("data: ")]


def test_calls_that_come_in_turns_are_told_one_after_another():
    """Fragments of two calls, mixed: two blocks, each with its own arguments (ccNexus)."""

    def fragment(index, **members):
        return {"tool_calls": [{"index": index, **members}]}

    events = messages_of(
        chunks(
            {"content": "see"},
            fragment(0, id="a", function={"name": "f", "arguments": '{"x"'}),
            fragment(1, id="b", function={"name": "g", "arguments": '{"y"'}),
            fragment(0, function={"arguments": ":1}"}),
            fragment(1, function={"arguments": ":2}"}),
            reason="tool_calls",
        )
    )
    starts = [one for one in events if one["type"] == "content_block_start"]
    assert [("text", 0), ("tool_use", 1), ("tool_use", 2)] == [
        (one["content_block"]["type"], one["index"]) for one in starts
    ]
    told = ["", "", ""]
    for one in events:
        if one["type"] == "content_block_delta":
            told[one["index"]] += one["delta"].get("partial_json", one["delta"].get("text", ""))
    assert ["see", '{"x":1}', '{"y":2}'] == told
    assert 777 == events[0]["message"]["usage"]["input_tokens"]


def test_a_call_without_an_id_gets_one_that_no_other_answer_has():
    """The same id twice in a conversation is refused (langchain)."""
    ids = [
        one["content_block"]["id"]
        for answer_id in ("x", "y")
        for one in messages_of(
            chunks(
                {"tool_calls": [{"function": {"name": "f", "arguments": "{}"}}]},
                answer_id=answer_id,
            )
        )
        if one["type"] == "content_block_start"
    ]
    assert 2 == len(set(ids))


def test_arguments_that_are_an_object_are_not_lost():
    """Some servers write an object where a chat has its text: never a call with nothing."""
    document = {
        "object": "chat.completion",
        "choices": [
            {
                "index": 0,
                "finish_reason": "tool_calls",
                "message": {
                    "role": "assistant",
                    "tool_calls": [{"id": "c", "function": {"name": "f", "arguments": {"a": 1}}}],
                },
            }
        ],
    }
    (found,) = TRANSLATION.read_answer(document).parts
    assert {"a": 1} == json.loads(found.arguments)


@pytest.mark.parametrize("reason", ["error", "network_error", "insufficient_system_resource"])
def test_an_answer_that_its_vendor_cut_is_no_whole_one(reason):
    """DeepSeek, Zhipu and OpenRouter say so in the reason."""
    with pytest.raises(ValueError, match="finish_reason"):
        TRANSLATION.read_answer(
            {"choices": [{"message": {"content": "half"}, "finish_reason": reason}]}
        )


@pytest.mark.parametrize("index", [{}, {"index": 0}])
def test_calls_with_one_id_in_a_whole_answer_are_two(index):
    """Some servers give all calls the same id: each stands by itself, under its own."""
    calls = [
        {**index, "id": "c", "function": {"name": name, "arguments": f'{{"n":"{name}"}}'}}
        for name in ("f", "g")
    ]
    message = {"role": "assistant", "tool_calls": calls}
    parts = TRANSLATION.read_answer({"choices": [{"message": message}]}).parts
    assert [("f", '{"n":"f"}'), ("g", '{"n":"g"}')] == [(one.name, one.arguments) for one in parts]
    assert 2 == len({one.call_id for one in parts})


DEEP = '{"a":' + "[" * 300 + "]" * 300 + "}"


def heard(*fragments, source=Protocol.OPENAI_CHAT):
    """The calls that fragments of one call come to."""
    reader, machine = DIALECTS[source].translation.event_reader(), Machine()
    for at, fragment in enumerate(fragments):
        call = {"index": 0, "function": {"arguments": fragment}}
        if not at:
            call |= {
                "id": "c",
                "type": "function",
                "function": {"name": "f", "arguments": fragment},
            }
        chunk = {"choices": [{"index": 0, "delta": {"tool_calls": [call]}}]}
        for event in reader.take(chunk):
            machine.check(event)
    for event in reader.finish():
        machine.check(event)
    return [part.arguments for part in machine.answer().parts]


@pytest.mark.parametrize(
    "fragments",
    [
        # As OpenAI does; Qianfan and MiMo; GLM and Mistral; who begins with an empty object.
        ('{"a"', ":[1,", '{"b":2}]}'),
        ("{", '{"a":', '{"a":[1,{"b":2}]}'),
        ('{"a":[1,{"b":2}]}', '{"a":[1,{"b":2}]}'),
        ('{"a":[1,', '{"b":2}]}', '{"a":[1,{"b":2}]}'),
        ("{}", '{"a":[1,', '{"b":2}]}'),
        ("", '{"a":[1,{"b":2}]}', ""),
        ("", '{"a', '{"a":[1,', '{"a":[1,{"b":2}]}', '{"a":[1,{"b":2}]}'),
    ],
)
def test_arguments_that_are_repeated_are_said_once(fragments):
    """All of them so far in each fragment, or the whole once more (hermes-agent, vercel/ai)."""
    assert ['{"a":[1,{"b":2}]}'] == heard(*fragments)


@pytest.mark.parametrize(
    "fragments",
    [
        ('{"a":', '{"a":', '{"a":', "1}}}"),
        ('{"a":"', '{"', "a", '"}'),
        ("{}",),
        ("{", "}"),
        ('"text"', '"text"'),
        ("[", "[", "1]]"),
    ],
)
def test_arguments_that_only_look_repeated_are_all_said(fragments):
    """An object may begin like the one that it is in."""
    assert ["".join(fragments)] == heard(*fragments)
