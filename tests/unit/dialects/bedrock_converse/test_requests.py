"""Requests as they are written for Converse: what Bedrock refuses is never sent."""

import base64
from collections import Counter

import orjson
import pytest

from tests.unit.dialects.bedrock_converse import aws
from tests.unit.dialects.bedrock_converse.written import (
    ADAPTIVE,
    CALLED,
    CLAUDE,
    HELLO,
    LLAMA,
    NOVA,
    OLD,
    OSS,
    PNG,
    SIGNED,
    TOOL,
    answered,
    contents,
    write,
)
from tests.unit.dialects.corpus import exchanges
from tollgate_dialects.common.protocol import Protocol
from tollgate_dialects.common.refusal import BadRequest
from tollgate_dialects.conversation.parts import (
    FunctionTool,
    HostedTool,
    Media,
    Opaque,
    Origin,
    Seal,
    Text,
    Thinking,
    ToolCall,
    ToolResult,
)
from tollgate_dialects.conversation.request import (
    ToolChoice,
    Turn,
)
from tollgate_dialects.conversation.translation import Target, Untranslatable
from tollgate_dialects.registry import DIALECTS

# ---- recorded requests of the clients' protocols --------------------------------------------------

APIS = {
    "openai.chat": Protocol.OPENAI_CHAT,
    "anthropic.messages": Protocol.ANTHROPIC_MESSAGES,
    "openai.responses": Protocol.OPENAI_RESPONSES,
    "gemini.generatecontent": Protocol.GEMINI,
}


@pytest.mark.parametrize("model", [CLAUDE, OLD, NOVA, LLAMA])
@pytest.mark.parametrize("api", APIS)
def test_recorded_requests_are_what_the_sdk_takes(api, model):
    """Each request of a client, written for Bedrock, is of the SDK's shape, words and patterns."""
    seen = Counter()
    for exchange in exchanges(api):
        document = exchange.get("req")
        if exchange["status"] != 200 or not isinstance(document, dict):
            continue
        try:
            request = DIALECTS[APIS[api]].translation.read_request(document)
            written = aws.TRANSLATION.write_request(request, Target(model, 1_000))
        except (BadRequest, Untranslatable) as refusal:
            seen["refused", refusal.param] += 1
            continue
        aws.check_request(orjson.loads(orjson.dumps(written.document)))
        seen["written"] += 1
        for turn in request.turns:
            for part in turn.parts:
                if isinstance(part, Text) and turn.role != "assistant" and part.text.strip():
                    assert orjson.dumps(part.text) in orjson.dumps(written.document)
    print(dict(seen))
    assert seen["written"] > 100


# ---- what is said ---------------------------------------------------------------------------------


def test_nothing_empty_is_sent():
    """Empty texts are refused, in messages, in system prompts and in results of tools."""
    blank = Turn("user", (Text(" \n"),))
    said = [*CALLED, Turn("user", (ToolResult("c", (Text(""),)),)), blank]
    written = write(Turn("system", (Text(""),)), *said)
    assert "system" not in written.document
    assert [{"toolResult": {"toolUseId": "c", "content": [{"json": {}}]}}] == (
        written.document["messages"][-1]["content"]
    )


def test_results_come_first_each_with_its_mark():
    """In the message behind the calls, before what the user says; marks stay where they belong."""
    result = ToolResult("c", (Text("r", cache="5m"),))
    assert ["toolResult", "cachePoint", "text"] == [
        next(iter(block)) for block in answered(Text("and"), result)
    ]


def test_results_that_come_late_follow_their_calls():
    """Responses let words stand between (camel#3954, "Expected toolResult blocks at").

    Where nothing follows, the words are not the beginning of the answer that is asked for.
    """
    said = [
        HELLO,
        Turn("assistant", (ToolCall("a", "f", "{}"), ToolCall("b", "f", "{}"))),
        Turn("user", (ToolResult("a", (Text("1"),)),)),
        Turn("assistant", (Text("wait"),)),
        Turn("user", (ToolResult("b", (Text("2"),)),)),
    ]
    told = contents(*said, Turn("user", (Text("go on"),)))
    assert ["user", "assistant", "user", "assistant", "user"] == [role for role, _ in told]
    assert ["a", "b"] == [block["toolResult"]["toolUseId"] for block in told[2][1]]
    told = contents(*said)
    assert ["user", "assistant", "user"] == [role for role, _ in told]
    assert ["text", "toolUse", "toolUse"] == [next(iter(block)) for block in told[1][1]]
    assert ["a", "b"] == [block["toolResult"]["toolUseId"] for block in told[2][1]]


def test_no_id_is_sent_twice():
    """Bedrock refuses two calls or two results of one id (litellm#20047)."""
    calls = (ToolCall("e", "a", "{}"), ToolCall("e", "b", "{}"))
    results = tuple(ToolResult("e", (Text(words),)) for words in ("1", "2", "2", "3"))
    (_, asked), (_, told) = contents(HELLO, Turn("assistant", calls), Turn("user", results))[1:]
    assert ["e", "e_2"] == [block["toolUse"]["toolUseId"] for block in asked]
    assert [("e", ["1"]), ("e_2", ["2", "3"])] == [
        (result["toolUseId"], [part["text"] for part in result["content"]])
        for result in (block["toolResult"] for block in told)
    ]


def test_no_side_speaks_twice_in_a_row_and_the_user_begins():
    """Turns of one side are one message; a conversation that the model began is refused."""
    assert [("user", [{"text": "hi"}, {"text": "hi"}])] == contents(HELLO, HELLO)
    with pytest.raises(Untranslatable, match="user to speak first"):
        write(Turn("assistant", (Text("a"),)), HELLO)
    with pytest.raises(Untranslatable):
        write(Turn("user", (Text(" "),)))


def test_a_late_system_turn_stays_where_it_is_taken():
    """Where the model takes it; elsewhere it is the user's words, which is named."""
    late = (HELLO, Turn("system", (Text("s"),)))
    assert ["user", "system"] == [role for role, _ in contents(*late, model=ADAPTIVE)]
    written = write(*late)
    assert ["user"] == [message["role"] for message in written.document["messages"]]
    assert {"system"} == written.dropped


def test_ids_and_names_are_in_bedrocks_letters():
    """What is fit stays; the rest becomes the same word wherever it stands."""
    odd = ToolCall("call/" + "x" * 80, "a tool", '{"a":1}')
    result = ToolResult(odd.call_id, (Text("r"),))
    written = write(HELLO, Turn("assistant", (odd,)), Turn("user", (result,)))
    call = written.document["messages"][1]["content"][0]["toolUse"]
    told = written.document["messages"][2]["content"][0]["toolResult"]
    assert call["toolUseId"] == told["toolUseId"] != odd.call_id
    assert call["input"] == {"a": 1}
    assert (
        "tooluse_a.b:c-1"
        == answered(ToolResult("tooluse_a.b:c-1", ()))[0]["toolResult"]["toolUseId"]
    )


@pytest.mark.parametrize("arguments", ["", "{", "[1]", "null", "7"])
def test_arguments_are_an_object(arguments):
    """Whatever a model once wrote: what is none is wrapped."""
    content = contents(HELLO, Turn("assistant", (ToolCall("c", "f", arguments),)), HELLO)[1][1]
    assert isinstance(content[0]["toolUse"]["input"], dict)


def test_thinking_goes_back_to_claude_as_it_came():
    """Signature and redacted block as Bedrock has them; nobody else is told what was thought."""
    secret = Opaque(Origin.ANTHROPIC, Seal.ENCRYPTED, "EtkE")
    turns = (HELLO, Turn("assistant", (Thinking("t", SIGNED), Thinking("", secret), Text("a"))))
    blocks = contents(*turns, HELLO)[1][1]
    assert [
        {"reasoningContent": {"reasoningText": {"text": "t", "signature": "sig=="}}},
        {"reasoningContent": {"redactedContent": base64.b64encode(b"EtkE").decode()}},
        {"text": "a"},
    ] == blocks
    for other in (NOVA, OSS, LLAMA):
        written = write(*turns, HELLO, model=other)
        assert [{"text": "a"}] == written.document["messages"][1]["content"]
        assert {"thinking"} == written.dropped


@pytest.mark.parametrize(
    "opaque",
    [None, Opaque(Origin.OPENAI, Seal.ENCRYPTED, "x"), Opaque(Origin.GOOGLE, Seal.SIGNATURE, "x")],
)
def test_unsealed_thinking_is_never_sent(opaque):
    """Neither as thinking, which is refused, nor as words."""
    written = write(HELLO, Turn("assistant", (Thinking("secret", opaque), Text("a"))), HELLO)
    assert b"secret" not in orjson.dumps(written.document)
    assert {"thinking"} == written.dropped


# ---- files ----------------------------------------------------------------------------------------


def test_pictures_are_sent_by_their_bytes():
    """The kind is the bytes' own; an address or a stored file is refused: nobody here fetches it."""
    image = Media("image", "image/jpeg", data=PNG, detail="high")
    written = write(Turn("user", (image,)))
    picture = written.document["messages"][0]["content"][0]["image"]
    assert {"format": "png", "source": {"bytes": PNG}} == picture
    assert {"image.detail"} == written.dropped
    for other in (Media("image", url="https://p"), Media("image", file_id="file_1"),
                  Media("image", "image/bmp", data="Qk0="), Media("audio", data="x"),
                  Media("video", data="x"), Media("document", "application/zip", data="UEsDBP8="),
                  Media("document", "application/pdf", data="https://p")):  # fmt: skip
        with pytest.raises(Untranslatable):
            write(Turn("user", (other,)))


def test_documents_have_names_of_their_own_and_words_beside_them():
    """In letters that Bedrock takes, no two alike; without words Bedrock refuses a document."""
    pdf = Media("document", "application/pdf", data="JVBERg==", name="Q3  report/final.pdf")
    note = Media("document", text="plain", name="")
    content = contents(Turn("user", (pdf, pdf, note)))[0][1]
    documents = [block["document"] for block in content if "document" in block]
    assert ["Q3 report final pdf", "Q3 report final pdf 2", "document"] == [
        document["name"] for document in documents
    ]
    assert ["pdf", "pdf", "txt"] == [document["format"] for document in documents]
    assert b"plain" == base64.b64decode(documents[2]["source"]["bytes"])
    assert {"text"} == content[-1].keys()
    assert 2 == len(contents(Turn("user", (note, Text("what is it?"))))[0][1])


def test_kinds_of_documents_are_told_by_type_then_name():
    """A media type counts; without one, the name's ending; text is text whatever it is called."""
    kinds = [
        Media("document", "text/csv", data="YSxi"),
        Media("document", data="UEs=", name="a.DOCX"),
        Media("document", "application/json", data="e30="),
        Media("document", data="JVBERg=="),
    ]
    content = contents(Turn("user", (*kinds, Text("?"))))[0][1]
    assert ["csv", "docx", "txt", "pdf"] == [
        block["document"]["format"] for block in content if "document" in block
    ]


# ---- cache ----------------------------------------------------------------------------------------


def test_marks_become_points_behind_what_they_mark():
    """Four at most, the last ones; an hour where the model has it."""
    tool = FunctionTool("f", cache="5m")
    turns = [Turn("system", (Text("s", cache="1h"),))]
    for words in "abc":
        turns.append(Turn("user", (Text(words, cache="5m"),)))
        turns.append(Turn("assistant", (Text(words),)))
    written = write(*turns, HELLO, tools=(tool,))
    assert {"cache"} == written.dropped
    assert 1 == len(written.document["toolConfig"]["tools"])
    assert {"cachePoint": {"type": "default", "ttl": "1h"}} == written.document["system"][1]
    five = Turn("user", (Text("a", cache="5m"),))
    assert {"cachePoint": {"type": "default"}} == contents(five)[0][1][1]


def test_marks_are_only_for_models_that_take_them():
    """Others refuse them; Nova takes none behind its tools, and an hour is not for all."""
    marked = Turn("user", (Text("a", cache="1h"),))
    for model in (OLD, LLAMA, OSS):
        written = write(marked, model=model)
        assert [{"text": "a"}] == written.document["messages"][0]["content"]
        assert {"cache"} == written.dropped
    written = write(marked, model=NOVA, tools=(FunctionTool("f", cache="5m"),))
    assert {"cachePoint": {"type": "default"}} == written.document["messages"][0]["content"][1]
    assert 1 == len(written.document["toolConfig"]["tools"])


def test_no_mark_stands_right_behind_a_document():
    """Bedrock refuses it there."""
    note = Media("document", text="plain", cache="5m")
    content = contents(Turn("user", (note, Text("?"))))[0][1]
    assert ["document", "text", "cachePoint", "text"] == [next(iter(block)) for block in content]


# ---- tools ----------------------------------------------------------------------------------------


def test_tools_are_declared_under_one_name():
    """Groups, free texts and odd names as everywhere; schemas are objects at the top."""
    odd = FunctionTool("f.x", schema={"anyOf": [{"properties": {"b": {}}}]}, strict=True)
    text = FunctionTool("patch", takes_text=True, namespace="files")
    written = write(tools=(TOOL, odd, text, HostedTool("web_search", {})))
    specs = [tool["toolSpec"] for tool in written.document["toolConfig"]["tools"]]
    assert ["f", "f_x_fe798201", "files__patch"] == [spec["name"] for spec in specs]
    assert ["object"] * 3 == [spec["inputSchema"]["json"]["type"] for spec in specs]
    assert specs[1]["strict"]
    assert {"tools.schema", "tools.web_search"} == written.dropped
    assert {"tools.strict", "tools.schema"} == write(tools=(odd,), model=LLAMA).dropped


@pytest.mark.parametrize(
    ("choice", "sent"),
    [
        (None, None),
        (ToolChoice("auto"), {"auto": {}}),
        (ToolChoice("required"), {"any": {}}),
        (ToolChoice("required", ("f",)), {"tool": {"name": "f"}}),
    ],
)
def test_choices_of_tools(choice, sent):
    """Bedrock's words for them."""
    config = write(tools=(TOOL,), tool_choice=choice).document["toolConfig"]
    assert sent == config.get("toolChoice")


def test_a_choice_among_several_leaves_the_others_out():
    """There is no word for it."""
    others = tuple(FunctionTool(name) for name in "ghi")
    choice = ToolChoice("required", ("f", "g"))
    config = write(tools=(TOOL, *others), tool_choice=choice).document["toolConfig"]
    assert ["f", "g"] == [tool["toolSpec"]["name"] for tool in config["tools"]]
    assert {"any": {}} == config["toolChoice"]


def test_no_tools_where_none_may_be_called():
    """Unless the conversation has calls in it: Bedrock refuses that without tools."""
    none = ToolChoice("none")
    written = write(tools=(TOOL,), tool_choice=none)
    assert "toolConfig" not in written.document
    assert frozenset() == written.dropped
    said = (*CALLED, Turn("user", (ToolResult("c", (Text("r"),)),)))
    written = write(*said, tools=(TOOL,), tool_choice=none)
    assert ["toolSpec"] == [next(iter(tool)) for tool in written.document["toolConfig"]["tools"]]
    assert {"tool_choice"} == written.dropped


def test_a_conversation_with_calls_has_tools():
    """Also where its client declares none any more."""
    config = write(*CALLED, Turn("user", (ToolResult("c", ()),))).document["toolConfig"]
    assert ["f"] == [tool["toolSpec"]["name"] for tool in config["tools"]]


@pytest.mark.parametrize(
    "members",
    [
        {"tool_choice": ToolChoice("required")},
        {"tools": (TOOL,), "tool_choice": ToolChoice("required", ("g",))},
        {"tools": (HostedTool("x", {}),), "tool_choice": ToolChoice("required", ("x",))},
        {"choices": 2},
        {"extra": {"previous_response_id": "r"}},
        {"limit": 0},
    ],
)
def test_what_makes_no_sense_without_is_refused(members):
    """Nobody is asked."""
    with pytest.raises(Untranslatable):
        write(**members)


def test_only_claude_and_nova_are_told_of_errors():
    """Others do not know the word."""
    result = ToolResult("c", (Text("r"),), is_error=True)
    assert "error" == answered(result)[0]["toolResult"]["status"]
    said = (*CALLED, Turn("user", (result,)))
    assert {"tool_result.is_error"} == write(*said, model=LLAMA).dropped
