"""Edges of the protocol: what is stored, what has another price, what vendors refuse or leave out."""

from typing import Any

import orjson
import pytest

from tests.unit.dialects.openai_responses import sdk
from tollgate_dialects.common import sse
from tollgate_dialects.common.refusal import BadRequest
from tollgate_dialects.conversation import carrier
from tollgate_dialects.conversation.answer import Answer, Ending, Started, Stop
from tollgate_dialects.conversation.machine import Machine
from tollgate_dialects.conversation.parts import (
    FunctionTool,
    Opaque,
    Origin,
    Seal,
    Text,
    Thinking,
    ToolCall,
    ToolResult,
)
from tollgate_dialects.conversation.request import Reasoning, Request, Turn
from tollgate_dialects.conversation.translation import Target
from tollgate_dialects.openai_responses.dialect import OPENAI_RESPONSES
from tollgate_dialects.openai_responses.translate.translation import TRANSLATION
from tollgate_dialects.pricing.usage import NOTHING
from tollgate_dialects.request import request as requests

BLOCK = Opaque(Origin.OPENAI, Seal.ENCRYPTED, "ENCRYPTED", "rs_1")
MESSAGE = {
    "type": "message",
    "role": "assistant",
    "content": [
        {"type": "output_text", "text": "one", "annotations": []},
        {"type": "output_text", "text": "two", "annotations": []},
    ],
}
CALL = {"type": "function_call", "call_id": "c", "name": "f", "arguments": '{"a":1}'}


def facts(**members: Any) -> requests.RequestFacts:
    body = orjson.dumps({"model": "m", "input": "Hi", **members})
    return requests.read(body, OPENAI_RESPONSES.request)


def read(*items: dict[str, Any], **members: Any) -> Request:
    return TRANSLATION.read_request({"model": "m", "input": list(items), **members})


def written(request: Request, model: str = "gpt-5.6"):
    return TRANSLATION.write_request(request, Target(model, None))


def asked(*turns: Turn, **members: Any) -> Request:
    return Request(model="m", turns=turns or (Turn("user", (Text("Hi"),)),), **members)


def told(*documents: dict[str, Any]) -> Answer:
    reader, machine = TRANSLATION.event_reader(), Machine()
    for document in ({"type": "response.created", "response": {}}, *documents):
        frame = b"event: %b\ndata: %b\n\n" % (document["type"].encode(), orjson.dumps(document))
        for event in reader.read(sse.parse(frame)):
            machine.check(event)
    return machine.answer()


def end(*output: dict[str, Any]) -> dict[str, Any]:
    return {
        "type": "response.completed",
        "response": {"status": "completed", "output": list(output)},
    }


@pytest.mark.parametrize(
    "item",
    [
        {"type": "item_reference", "id": "msg_1"},
        {"id": "msg_1"},
        {"type": None, "id": "msg_1"},
        {"role": None, "id": "msg_1"},
    ],
)
def test_nobody_names_what_is_stored(item):
    """However a reference to a stored item is written, it is refused: many share the account."""
    with pytest.raises(BadRequest) as refused:
        facts(input=[item])
    words = "Stored items cannot be named here; send them whole, with store: false."
    assert (words, "input") == (refused.value.message, refused.value.param)


@pytest.mark.parametrize("name", ["background", "conversation", "prompt"])
def test_no_state_of_a_vendor_is_used(name):
    """What the vendor would look up is refused by its name, with the reason."""
    with pytest.raises(BadRequest) as refused:
        facts(**{name: "stored"})
    assert name == refused.value.param
    assert "kept at the vendor" in refused.value.message


@pytest.mark.parametrize("limit", [0, 15, 10**9])
def test_a_limit_out_of_range_is_told_with_the_range(limit):
    """What OpenAI takes at least, and the most that is taken here."""
    with pytest.raises(BadRequest, match="from 16 to 100000000") as refused:
        facts(max_output_tokens=limit)
    assert "max_output_tokens" == refused.value.param


def test_thinking_in_another_mode_is_refused():
    """A mode that thinks several times over has no price; the standard one passes."""
    with pytest.raises(BadRequest) as refused:
        facts(reasoning={"mode": "pro"})
    assert "reasoning" == refused.value.param
    assert not facts(reasoning={"mode": "standard", "effort": "low"}).sheds


def test_hosted_tools_are_left_out_unless_they_are_forced():
    """Declared anywhere, they are shed; where nothing else may be called, it is refused."""
    hosted = {"type": "code_interpreter"}
    added = {"type": "additional_tools", "role": "developer", "tools": [hosted]}
    assert facts(tools=[hosted]).sheds
    # With a setting that nobody here has looked at, a search may cost anything.
    assert facts(tools=[{"type": "web_search", "budget": "unlimited"}]).sheds
    assert facts(input=[added]).sheds
    assert not facts(tools=[{"type": "namespace", "name": "n", "tools": []}]).sheds
    for choice in ("required", {"type": "code_interpreter"}):
        with pytest.raises(BadRequest):
            facts(tools=[hosted], tool_choice=choice)


def test_what_we_have_wrapped_is_written_anew():
    """A block that only we can unwrap never goes to a vendor as it is."""
    block = {"type": "reasoning", "summary": [], "encrypted_content": "tg1:google:signature:c:x"}
    assert facts(input=[block]).sheds


def test_thinking_goes_back_with_what_followed_it_alone():
    """OpenAI refuses thinking that nothing follows: it is left out, and named."""
    thought = Thinking("", BLOCK)
    whole = written(asked(Turn("assistant", (thought, Text("x")))))
    assert ["reasoning", "message"] == [item["type"] for item in whole.document["input"]]
    assert "thinking" not in whole.dropped
    cut = written(asked(Turn("assistant", (Text("x"), thought))))
    assert ["message"] == [item["type"] for item in cut.document["input"]]
    assert "thinking" in cut.dropped


def test_thinking_before_what_is_not_held_goes_with_it():
    """The item that followed is left out, and so is the thinking that belongs to it."""
    thought = {"type": "reasoning", "id": "rs_1", "summary": [], "encrypted_content": "E"}
    search = {"type": "web_search_call", "id": "ws_1", "status": "completed"}
    found = written(read(thought, search, {"role": "assistant", "content": "x"}))
    assert ["message"] == [item["type"] for item in found.document["input"]]
    assert found.dropped >= {"thinking", "web_search_call"}


def test_a_long_name_of_a_user_is_told_by_its_hash():
    """Claude Code's is a JSON text; OpenAI takes 64 characters, always the same for the same."""
    first, second = (written(asked(user="u" * 200)).document["safety_identifier"] for _ in range(2))
    assert first == second
    assert 64 == len(first)
    assert "u" * 64 == written(asked(user="u" * 64)).document["safety_identifier"]


def test_metadata_is_texts():
    """Other metadata than OpenAI takes is left out, and named."""
    assert {"a": "b"} == written(asked(metadata={"a": "b"})).document["metadata"]
    found = written(asked(metadata={"a": 1}))
    assert "metadata" not in found.document
    assert "metadata" in found.dropped


@pytest.mark.parametrize(
    ("model", "effort"), [("gpt-5.6", "none"), ("gpt-5.1", "none"), ("gpt-5-mini", "minimal")]
)
def test_no_thinking_is_as_little_as_the_model_can(model, effort):
    """Each has its own word for it; some have none, then it is named."""
    quiet = asked(reasoning=Reasoning("off"))
    assert {"effort": effort} == written(quiet, model).document["reasoning"]
    found = written(quiet, "o3")
    assert "reasoning" not in found.document
    assert "reasoning" in found.dropped


def test_a_tool_that_is_found_twice_is_declared_once():
    """A search of tools gives what may be declared already: two of one name are refused."""
    tool = {"type": "function", "name": "f", "parameters": {"type": "object"}}
    found = {"type": "tool_search_output", "call_id": "c", "tools": [tool, tool]}
    request = read({"role": "user", "content": "x"}, found, tools=[tool])
    assert ["f"] == [tool["name"] for tool in written(request).document["tools"]]


def test_a_choice_among_hosted_tools_alone_is_none():
    """Where none of the tools that may be called is left, none is called."""
    choice = {"type": "allowed_tools", "mode": "auto", "tools": [{"type": "web_search"}]}
    tools = [{"type": "web_search"}, {"type": "function", "name": "f"}]
    request = read({"role": "user", "content": "x"}, tools=tools, tool_choice=choice)
    assert "none" == written(request).document["tool_choice"]


@pytest.mark.parametrize("call_id", ["a:b", "a%3Ab", ":", "\u00e4 b/c"])
def test_a_block_is_found_again_whatever_its_calls_id_is(call_id):
    """Bedrock's ids may have colons: the block comes back whole, to its call."""
    block = Opaque(Origin.GOOGLE, Seal.SIGNATURE, "SIG:NA%3ATURE")
    call = ToolCall(call_id, "f", "{}", opaque=block)
    answer = Answer((call,), Ending(Stop.TOOL_CALLS))
    document = TRANSLATION.write_answer(answer, NOTHING, sdk.context())
    assert call == read(*document["output"]).turns[0].parts[0]
    named = Opaque(Origin.GOOGLE, Seal.SIGNATURE, "D:A", call_id)
    text = carrier.carried(named, Origin.OPENAI)
    assert named == carrier.restored(text, Origin.OPENAI, Seal.ENCRYPTED)


def test_frames_stay_small_however_many_tools_there_are():
    """What a client declared is repeated only while a frame stays far below the longest."""
    many = tuple(FunctionTool(f"f{n}", "d" * 10_000) for n in range(120))
    writer = TRANSLATION.event_writer(sdk.context(asked(tools=many)))
    frames = writer.write(Started(), None)
    assert len(frames) < sse.MAX_FRAME_BYTES // 2
    assert [] == sdk.frames_of(frames)[0]["response"]["tools"]


def test_a_part_that_only_its_items_end_has_is_told():
    """Some tell the pieces of a message's first part and the second with the item alone."""
    answer = told(
        {
            "type": "response.output_item.added",
            "output_index": 0,
            "item": {**MESSAGE, "content": []},
        },
        {
            "type": "response.output_text.delta",
            "output_index": 0,
            "content_index": 0,
            "delta": "one",
        },
        {"type": "response.output_item.done", "output_index": 0, "item": MESSAGE},
        end(MESSAGE),
    )
    assert (Text("one"), Text("two")) == answer.parts


def test_an_item_that_only_the_last_event_ends_is_told_whole():
    """A call whose end did not come has its arguments from the response."""
    begun = {"type": "response.output_item.added", "output_index": 0}
    answer = told({**begun, "item": {**CALL, "arguments": ""}}, end(CALL))
    assert (ToolCall("c", "f", '{"a":1}'),) == answer.parts


def test_calls_that_share_an_id_are_told_apart():
    """A second output of one id is refused as a duplicate (hermes-agent#111443)."""
    turn = Turn("assistant", (ToolCall("search:0", "f", "{}"),))
    results = [Turn("user", (ToolResult("search:0", (Text(said),)),)) for said in "ab"]
    items = written(asked(turn, results[0], turn, results[1])).document["input"]
    assert ["search:0", "search:0", "search:0_2", "search:0_2"] == [one["call_id"] for one in items]
    assert ["a", "b"] == [one["output"] for one in items[1::2]]
