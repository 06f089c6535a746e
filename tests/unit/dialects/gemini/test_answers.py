"""Answers of Google's, read; and those of others, written for its clients."""

import orjson
import pytest

from tests.unit.dialects.conversation import across
from tests.unit.dialects.gemini import sdk
from tollgate_dialects.common.protocol import Protocol
from tollgate_dialects.common.shapes import ShapeError
from tollgate_dialects.conversation.answer import Answer, Ending, Stop
from tollgate_dialects.conversation.machine import IllegalEventError
from tollgate_dialects.conversation.parts import Text, Thinking, ToolCall
from tollgate_dialects.gemini.translate.arguments import PartialArguments
from tollgate_dialects.gemini.translate.translation import TRANSLATION
from tollgate_dialects.pricing.usage import NOTHING, Usage


def answered(*parts, reason="STOP", **members):
    return TRANSLATION.read_answer(
        {"candidates": [{"content": {"parts": list(parts)}, "finishReason": reason, **members}]}
    )


@pytest.mark.parametrize(
    ("reason", "stop", "category"),
    [
        ("STOP", Stop.END, ""),
        ("MAX_TOKENS", Stop.LENGTH, ""),
        ("SAFETY", Stop.REFUSAL, "safety"),
        ("PROHIBITED_CONTENT", Stop.REFUSAL, "prohibited_content"),
        ("A_NEW_ONE", Stop.END, ""),
    ],
)
def test_why_an_answer_ended(reason, stop, category):
    """What is not known is a plain end."""
    answer = answered({"text": "Hm."}, reason=reason, finishMessage="why")
    assert answer.ending.stop is stop
    assert answer.ending.category == category
    assert answer.ending.explanation == ("why" if category else "")


@pytest.mark.parametrize("reason", ["MALFORMED_FUNCTION_CALL", "UNEXPECTED_TOOL_CALL"])
def test_a_call_that_is_none_is_a_failure(reason):
    """Told as an end, it ends a client's work with nothing (hermes-agent#83869, sub2api#7081)."""
    with pytest.raises(IllegalEventError):
        answered({"text": "I call."}, reason=reason)
    with pytest.raises(IllegalEventError):
        streamed({"candidates": [{"finishReason": reason}]})


def test_a_call_ends_in_calls():
    """Google says STOP of it; a limit that was met is told before."""
    call = {"functionCall": {"name": "f", "args": {"a": 1}}}
    assert answered(call).ending == Ending(Stop.TOOL_CALLS)
    assert answered(call, reason="MAX_TOKENS").ending == Ending(Stop.LENGTH)


def test_a_blocked_prompt_is_a_refusal():
    """With its kind and why."""
    feedback = {"blockReason": "JAILBREAK", "blockReasonMessage": "No."}
    answer = TRANSLATION.read_answer({"promptFeedback": feedback})
    assert answer == Answer((), Ending(Stop.REFUSAL, "", "jailbreak", "No."))


def test_calls_without_ids_get_some():
    """Made of the answer's id: other answers of a conversation have others."""
    call = {"functionCall": {"name": "f"}}
    ids = []
    for response_id in ("a", "b"):
        document = {"candidates": [{"content": {"parts": [call, call]}}], "responseId": response_id}
        ids += [part.call_id for part in TRANSLATION.read_answer(document).parts]
    assert len(set(ids)) == 4


def test_what_runs_at_google_is_not_told():
    """Code and its result are no part of the conversation; other candidates neither."""
    hosted = [{"executableCode": {"code": "1"}}, {"codeExecutionResult": {"output": "1"}}]
    document = {
        "candidates": [
            {"content": {"parts": [{"text": "a"}, *hosted, {"text": "b"}]}, "finishReason": "STOP"},
            {"index": 1, "content": {"parts": [{"text": "c"}]}, "finishReason": "STOP"},
        ]
    }
    assert TRANSLATION.read_answer(document).parts == (Text("ab"),)


@pytest.mark.parametrize(
    "path",
    ["$.a[1]", "$.a[999999999]", "$[0]", "$", "", "a", "$..a", "$.a[", "$" + ".a" * 65, "$.t.x"],
)
def test_odd_paths_are_refused(path):
    """No list grows by more than was told, and no nesting is without bound."""
    pieces = PartialArguments()
    pieces.take({"jsonPath": "$.t", "stringValue": "x"})
    with pytest.raises(ShapeError):
        pieces.take({"jsonPath": path, "numberValue": 1})


def test_pieces_of_all_kinds_come_together():
    """Texts in several pieces, numbers, truth, nothing, names in brackets."""
    pieces = PartialArguments()
    for piece in (
        {"jsonPath": "$.a", "stringValue": "x", "willContinue": True},
        {"jsonPath": "$.a", "stringValue": "y"},
        {"jsonPath": "$.b[0].c", "numberValue": 0.5},
        {"jsonPath": "$.b[1]", "boolValue": False},
        {"jsonPath": "$['d e']", "nullValue": "NULL_VALUE"},
        {"jsonPath": '$.b[2]["f"]', "stringValue": ""},
    ):
        pieces.take(piece)
    assert pieces.whole() == {"a": "xy", "b": [{"c": 0.5}, False, {"f": ""}], "d e": None}


@pytest.mark.parametrize(
    ("stop", "reason"),
    [
        (Stop.END, "STOP"),
        (Stop.TOOL_CALLS, "STOP"),
        (Stop.STOP_SEQUENCE, "STOP"),
        (Stop.LENGTH, "MAX_TOKENS"),
        (Stop.CONTEXT_FULL, "MAX_TOKENS"),
        (Stop.REFUSAL, "SAFETY"),
    ],
)
def test_an_end_is_told_in_googles_words(stop, reason):
    """Each has one."""
    answer = Answer((Text("Hi"),), Ending(stop, explanation="why"))
    document = TRANSLATION.write_answer(answer, NOTHING, sdk.context())
    assert sdk.gist(document)["reason"] == reason


@pytest.mark.parametrize(
    ("arguments", "told"),
    [('{"a":1}', {"a": 1}), ("", {}), ("[1]", {"arguments": "[1]"}), ("{", {"arguments": "{"})],
)
def test_arguments_are_an_object(arguments, told):
    """What is none is wrapped in one."""
    answer = Answer((ToolCall("c", "f", arguments),), Ending(Stop.TOOL_CALLS))
    document = TRANSLATION.write_answer(answer, NOTHING, sdk.context())
    assert sdk.gist(document)["said"] == [("call", "f", told)]


def test_usage_is_told_as_google_tells_it():
    """Thoughts beside the candidates, the cache within the prompt."""
    usage = Usage.of(
        input_tokens=40, cache_read_tokens=50, cache_write_5m_tokens=10, output_tokens=30,
        reasoning_tokens=20,
    )  # fmt: skip
    answer = Answer((Thinking("Hm."), Text("Hi")), Ending(Stop.END))
    document = TRANSLATION.write_answer(answer, usage, sdk.context())
    assert document["usageMetadata"] == {
        "promptTokenCount": 100,
        "candidatesTokenCount": 10,
        "thoughtsTokenCount": 20,
        "cachedContentTokenCount": 50,
        "totalTokenCount": 130,
    }
    assert document["modelVersion"] == "asked-model"


@pytest.mark.timeout(20)
def test_many_texts_take_time_in_proportion():
    """An answer in many small parts is one text."""
    answer = Answer(tuple(Text("x" * 100) for _ in range(20_000)), Ending(Stop.END))
    document = TRANSLATION.write_answer(answer, NOTHING, sdk.context())
    (part,) = document["candidates"][0]["content"]["parts"]
    assert part == {"text": "x" * 2_000_000}


def streamed(*documents, size=1 << 20):
    """What a client of chats is told of a stream: its words, and its last chunk's reason."""
    raw = b"".join(b"data: %b\n\n" % orjson.dumps(one) for one in documents)
    out, finished = across.told(Protocol.GEMINI, Protocol.OPENAI_CHAT, raw, size=size)
    choices = [one for event in across.events(out) for one in event["choices"]]
    words = "".join(one["delta"].get("content") or "" for one in choices)
    return words, choices[-1]["finish_reason"], finished


@pytest.mark.parametrize("size", [1, 1 << 20])
def test_what_comes_behind_a_reason_is_told(size):
    """Some give a reason in every chunk, or in a first empty one (one-api#1477, kelivo#1003)."""

    def chunk(text, reason="STOP"):
        return {"candidates": [{"content": {"parts": [{"text": text}]}, "finishReason": reason}]}

    assert streamed(chunk("Hello "), chunk("world"), size=size) == ("Hello world", "stop", True)
    assert streamed(chunk(""), chunk("Hi"), {"usageMetadata": {}}) == ("Hi", "stop", True)
    assert streamed(chunk("Hi"), chunk("!", "MAX_TOKENS")) == ("Hi!", "length", True)
