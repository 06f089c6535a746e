"""Signatures travel through the clients' protocols, and come back to the part they were on."""

import base64
import json

import orjson
import pytest

from tests.unit.dialects.gemini import sdk
from tollgate_dialects.anthropic.dialect import ANTHROPIC_MESSAGES
from tollgate_dialects.conversation.answer import Answer, Ending, Stop
from tollgate_dialects.conversation.machine import events_of
from tollgate_dialects.conversation.parts import (
    Opaque,
    Origin,
    Seal,
    Text,
    Thinking,
    ToolCall,
)
from tollgate_dialects.conversation.request import Request, Turn
from tollgate_dialects.conversation.translation import Target
from tollgate_dialects.gemini import signatures
from tollgate_dialects.gemini.dialect import GEMINI
from tollgate_dialects.gemini.translate.translation import TRANSLATION
from tollgate_dialects.openai_chat.dialect import OPENAI_CHAT
from tollgate_dialects.openai_responses.dialect import OPENAI_RESPONSES
from tollgate_dialects.pricing.usage import NOTHING
from tollgate_dialects.request import request as requests
from tollgate_dialects.request.rules import Told

SIGNATURES = [base64.b64encode(bytes([n, 251, 255] * 9)).decode() for n in range(3)]
TOLD = Told("gemini-3-flash", stream=False)
PARTS = {
    "a text": [{"text": "Four.", "thoughtSignature": SIGNATURES[0]}],
    "a text behind thinking": [
        {"text": "Two and two.", "thought": True},
        {"text": "Four.", "thoughtSignature": SIGNATURES[0]},
    ],
    "a call": [
        {
            "functionCall": {"id": "c1", "name": "add", "args": {"a": 2}},
            "thoughtSignature": SIGNATURES[0],
        }
    ],
    "the first of two calls": [
        {
            "functionCall": {"id": "c1", "name": "add", "args": {"a": 2}},
            "thoughtSignature": SIGNATURES[0],
        },
        {"functionCall": {"id": "c2", "name": "add", "args": {"a": 3}}},
    ],
    "a text and a call behind it": [
        {"text": "I add.", "thoughtSignature": SIGNATURES[0]},
        {
            "functionCall": {"id": "c1", "name": "add", "args": {}},
            "thoughtSignature": SIGNATURES[1],
        },
    ],
    "a text and no call behind it": [
        {"text": "I add.", "thoughtSignature": SIGNATURES[0]},
        {"functionCall": {"id": "c1", "name": "add", "args": {}}},
    ],
    "a thought": [
        {"text": "Two and two.", "thought": True, "thoughtSignature": SIGNATURES[2]},
        {"text": "Four."},
    ],
}


def chat(answer, request):
    message = OPENAI_CHAT.translation.write_answer(answer, NOTHING, sdk.context(request))
    said = message["choices"][0]["message"]
    return {"messages": [{"role": "user", "content": "Add."}, said]}


def messages(answer, request):
    said = ANTHROPIC_MESSAGES.translation.write_answer(answer, NOTHING, sdk.context(request))
    return {
        "messages": [
            {"role": "user", "content": "Add."},
            {"role": "assistant", "content": said["content"]},
        ]
    }


def responses(answer, request):
    said = OPENAI_RESPONSES.translation.write_answer(answer, NOTHING, sdk.context(request))
    return {"input": [{"role": "user", "content": "Add."}, *said["output"]]}


CLIENTS = {
    "chat": (OPENAI_CHAT, chat),
    "messages": (ANTHROPIC_MESSAGES, messages),
    "Responses": (OPENAI_RESPONSES, responses),
}


@pytest.mark.parametrize("client", CLIENTS)
@pytest.mark.parametrize("parts", PARTS)
def test_a_signature_comes_back_to_its_part(client, parts):
    """What Google said is sent back as it was, but for thoughts that nothing vouches for.

    To clients of messages an answer ends with its words: what Google signs of the last ones, and
    does not insist on, would stand behind them, and Claude Code would print nothing.
    """
    dialect, goes_on = CLIENTS[client]
    answer = TRANSLATION.read_answer(
        {"candidates": [{"content": {"parts": PARTS[parts]}, "finishReason": "STOP"}]}
    )
    document = goes_on(answer, Request(model="m", turns=()))
    again = dialect.translation.read_request(json.loads(json.dumps(document)))
    written = TRANSLATION.write_request(again, Target("gemini-2.5-flash", 100))
    vouched = [one for one in PARTS[parts] if not one.get("thought") or "thoughtSignature" in one]
    vouched = [_without_id(one) for one in vouched]
    if client == "messages" and "text" in vouched[-1]:
        vouched[-1] = {"text": vouched[-1]["text"]}
        assert "text" == document["messages"][1]["content"][-1]["type"]
    assert written.document["contents"][1] == {"role": "model", "parts": vouched}
    assert ("thinking" in written.dropped) is (len(vouched) < len(PARTS[parts]))


def _without_id(part):
    if call := part.get("functionCall"):
        return {**part, "functionCall": {"name": call["name"], "args": call["args"]}}
    return part


def anthropics() -> Answer:
    signed = Opaque(Origin.ANTHROPIC, Seal.SIGNATURE, "EqQ+/w==")
    sealed = Opaque(Origin.ANTHROPIC, Seal.ENCRYPTED, "red:acted")
    return Answer(
        (
            Thinking("Two and two.", signed),
            Thinking("", sealed),
            Text("I add."),
            ToolCall("toolu_1", "add", '{"a":2}'),
        ),
        Ending(Stop.TOOL_CALLS),
    )


@pytest.mark.parametrize("is_stream", [True, False])
def test_blocks_of_other_makers_come_back_through_the_sdk(is_stream):
    """Anthropic's thinking goes through the SDK's chat, which writes base64 its own way."""
    if is_stream:
        writer = TRANSLATION.event_writer(sdk.context())
        stream = b"".join(writer.write(event, NOTHING) for event in events_of(anthropics()))
        contents = sdk.history(stream)
    else:
        document = TRANSLATION.write_answer(anthropics(), NOTHING, sdk.context())
        taken = sdk.taken(document).candidates
        assert taken
        contents = [sdk.sent(taken[0].content)]
    contents = [{"role": "user", "parts": [{"text": "Add."}]}, *contents]
    request = TRANSLATION.read_request({"contents": contents})
    assert request.turns[1].parts == anthropics().parts
    facts = requests.read(orjson.dumps({"contents": contents}), GEMINI.request, TOLD)
    assert facts.is_written_anew


def test_what_is_foreign_never_goes_to_google():
    """A conversation that others have answered is written anew, and its calls are marked."""
    document = TRANSLATION.write_answer(anthropics(), NOTHING, sdk.context())
    result = {"functionResponse": {"name": "add", "response": {"output": "4"}}}
    contents = [
        {"role": "user", "parts": [{"text": "Add."}]},
        document["candidates"][0]["content"],
        {"role": "user", "parts": [result]},
    ]
    request = TRANSLATION.read_request({"contents": contents})
    for model, is_marked in (("gemini-3-pro", True), ("gemini-2.5-flash", False)):
        written = TRANSLATION.write_request(request, Target(model, 100))
        assert "thinking" in written.dropped
        text, call = written.document["contents"][1]["parts"]
        assert text == {"text": "I add."}
        assert call.get("thoughtSignature") == (signatures.FOREIGN_CALL if is_marked else None)
        answered = written.document["contents"][2]["parts"][0]["functionResponse"]
        assert answered == {"name": "add", "response": {"output": "4"}}


def test_only_the_turn_that_goes_on_is_marked():
    """Calls before the user's last words need no signature."""
    call = ToolCall("c1", "add", "{}")
    request = Request(
        model="m",
        turns=(
            Turn("user", (Text("Add."),)),
            Turn("assistant", (call,)),
            Turn("user", (Text("Thanks. Again."),)),
            Turn("assistant", (call, call)),
        ),
    )
    contents = TRANSLATION.write_request(request, Target("gemini-3-pro", 100)).document["contents"]
    assert "thoughtSignature" not in contents[1]["parts"][0]
    assert [len(part) for part in contents[3]["parts"]] == [2, 1]


@pytest.mark.parametrize("data", ["no base64 at all", "system", "a+-b", "\ud83d", "é"])
def test_a_signature_that_is_no_base64_is_carried(data):
    """The SDK would fail on it; it comes back as it was."""
    odd = Opaque(Origin.GOOGLE, Seal.SIGNATURE, data)
    answer = Answer((Thinking("Hm.", odd), Text("Four.")), Ending(Stop.END))
    document = TRANSLATION.write_answer(answer, NOTHING, sdk.context())
    taken = sdk.taken(document).candidates
    assert taken
    again = TRANSLATION.read_request({"contents": [sdk.sent(taken[0].content)]})
    assert again.turns[0].parts == answer.parts


def test_a_texts_signature_is_not_that_of_the_thought_before_it():
    """A stream of Google's may end so: thoughts, and a last part that signs the text."""
    parts = [{"text": "Hm.", "thought": True}, {"text": "", "thoughtSignature": SIGNATURES[0]}]
    request = TRANSLATION.read_request({"contents": [{"role": "model", "parts": parts}]})
    named = Opaque(Origin.GOOGLE, Seal.SIGNATURE, SIGNATURES[0], signatures.OF_TEXT)
    assert request.turns[0].parts == (Thinking("Hm."), Thinking("", named))
