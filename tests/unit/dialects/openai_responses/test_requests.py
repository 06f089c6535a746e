"""What a client may write, and what is made of it for others."""

import pytest

from tollgate_dialects.anthropic.dialect import ANTHROPIC_MESSAGES
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
    OutputFormat,
    Reasoning,
    Request,
    ToolChoice,
    Turn,
)
from tollgate_dialects.conversation.translation import Target, Untranslatable
from tollgate_dialects.openai_chat.dialect import OPENAI_CHAT
from tollgate_dialects.openai_responses.translate.translation import TRANSLATION

FUNCTION = {"type": "function", "name": "f", "parameters": {"type": "object", "properties": {}}}


def read(*items, **members) -> Request:
    return TRANSLATION.read_request({"model": "m", "input": list(items), **members})


def written(request: Request, model: str = "gpt-5.6", limit: int | None = None):
    return TRANSLATION.write_request(request, Target(model, limit))


def asked(**members) -> Request:
    return Request(**{"model": "m", "turns": (Turn("user", (Text("Hi"),)),), **members})


def test_instructions_are_the_first_turn():
    """They are a system prompt, and go back as one; developers' words stay where they were."""
    request = read(
        {"role": "developer", "content": "D"}, {"role": "user", "content": "U"}, instructions="S"
    )
    assert ["system", "developer", "user"] == [turn.role for turn in request.turns]
    document = written(request).document
    assert "S" == document["instructions"]
    assert ["developer", "user"] == [item["role"] for item in document["input"]]


def test_a_text_is_a_users_turn():
    """An input may be one text."""
    request = TRANSLATION.read_request({"model": "m", "input": "Hi"})
    assert (Turn("user", (Text("Hi"),)),) == request.turns


def test_what_a_model_says_in_one_go_is_one_turn():
    """Thinking, words and calls are one turn, and the results of all calls the next."""
    request = read(
        {"type": "reasoning", "id": "rs_1", "encrypted_content": "E",
         "summary": [{"type": "summary_text", "text": "A"}, {"type": "summary_text", "text": "B"}]},
        {"type": "message", "role": "assistant", "phase": "commentary",
         "content": [{"type": "output_text", "text": "T"}, {"type": "refusal", "refusal": "R"}]},
        {"type": "function_call", "call_id": "1", "name": "f", "arguments": "{}", "namespace": "n"},
        {"type": "custom_tool_call", "call_id": "2", "name": "g", "input": "x"},
        {"type": "function_call_output", "call_id": "1", "output": "one"},
        {"type": "custom_tool_call_output", "call_id": "2",
         "output": [{"type": "input_image", "image_url": "data:image/png;base64,QQ=="}]},
    )  # fmt: skip
    model, results = request.turns
    assert (
        Thinking("A\n\nB", Opaque(Origin.OPENAI, Seal.ENCRYPTED, "E", "rs_1")),
        Text("T", phase="commentary"),
        Text("R", is_refusal=True, phase="commentary"),
        ToolCall("1", "f", "{}", "n"),
        ToolCall("2", "g", "x", takes_text=True),
    ) == model.parts
    assert (
        ToolResult("1", (Text("one"),)),
        ToolResult("2", (Media("image", "image/png", data="QQ=="),)),
    ) == results.parts
    kinds = [item["type"] for item in written(request).document["input"]]
    assert ["reasoning", "message", "function_call", "custom_tool_call"] == kinds[:4]
    assert ["function_call_output", "custom_tool_call_output"] == kinds[4:]


def test_thinking_goes_back_to_its_maker_alone():
    """A carried block is given back byte for byte to who made it, and to nobody else."""
    signed = {"type": "reasoning", "id": "rs_x", "encrypted_content": "tg1:anthropic:signature::S:g",
              "summary": [{"type": "summary_text", "text": "T"}]}  # fmt: skip
    request = read({"role": "user", "content": "U"}, signed, {"role": "assistant", "content": "A"})
    there = ANTHROPIC_MESSAGES.translation.write_request(
        request, Target("claude-sonnet-4-5", 4_000)
    ).document
    block = {"type": "thinking", "thinking": "T", "signature": "S:g"}
    assert block == there["messages"][1]["content"][0]
    here = written(request)
    assert "thinking" in here.dropped
    assert "T" not in str(here.document["input"])


def test_a_calls_block_comes_back_to_its_call():
    """What stands beside a call under the call's id is the call's own."""
    request = read(
        {"type": "reasoning", "id": "rs_x", "encrypted_content": "tg1:google:signature:c1:S",
         "summary": []},
        {"type": "function_call", "call_id": "c1", "name": "f", "arguments": "{}"},
    )  # fmt: skip
    (call,) = request.turns[0].parts
    assert Opaque(Origin.GOOGLE, Seal.SIGNATURE, "S") == call.opaque


def test_what_our_own_ids_name_is_not_asked_of_a_vendor():
    """The name of thinking that this gateway made is unknown to who encrypted it."""
    own = {"type": "reasoning", "id": f"rs_{'0' * 32}_1", "encrypted_content": "E", "summary": []}
    item, _ = written(read(own, {"role": "assistant", "content": "x"})).document["input"]
    assert {"type": "reasoning", "encrypted_content": "E", "summary": []} == item


@pytest.mark.parametrize("kind", ["item_reference", "compaction"])
def test_what_only_a_vendor_has_is_refused(kind):
    """A conversation that is stored elsewhere is never taken for an empty one."""
    with pytest.raises(BadRequest):
        read({"type": kind, "id": "x", "encrypted_content": "y"})


def test_what_tools_of_a_vendor_did_is_named():
    """Items without a place are named, by our own words alone."""
    request = read({"type": "web_search_call", "id": "w"}, {"type": "secret word", "id": "w"})
    assert {"web_search_call", "input.other"} == request.unheld
    assert request.unheld <= written(request).dropped


def test_groups_and_free_text_are_flattened_for_others():
    """A chat gets each tool of a group as a function of its own; here the groups stay."""
    group = {"type": "namespace", "name": "n", "description": "N", "tools": [FUNCTION]}
    custom = {"type": "custom", "name": "g",
              "format": {"type": "grammar", "syntax": "lark", "definition": "start: A"}}  # fmt: skip
    request = read({"role": "user", "content": "U"}, tools=[group, custom, {"type": "web_search"}])
    assert (
        FunctionTool("f", schema=FUNCTION["parameters"], namespace="n", namespace_description="N"),
        FunctionTool("g", takes_text=True, grammar={"syntax": "lark", "definition": "start: A"}),
        HostedTool("web_search", {"type": "web_search"}),
    ) == request.tools
    chat = OPENAI_CHAT.translation.write_request(request, Target("qwen3", None))
    assert ["n__f", "g"] == [tool["function"]["name"] for tool in chat.document["tools"]]
    assert "tools.web_search" in chat.dropped
    here = written(request)
    assert [{**group, "tools": [{**FUNCTION, "strict": False}]}, custom] == here.document["tools"]


@pytest.mark.parametrize(
    ("choice", "read_as"),
    [
        ("auto", ToolChoice("auto")),
        ("required", ToolChoice("required")),
        ({"type": "function", "name": "f"}, ToolChoice("required", ("f",))),
        (
            {"type": "allowed_tools", "mode": "auto", "tools": [{"type": "function", "name": "f"}]},
            ToolChoice("auto", ("f",)),
        ),
    ],
)
def test_choices_of_tools_come_back(choice, read_as):
    """Each form of a choice is read, and written as it was."""
    request = read({"role": "user", "content": "U"}, tools=[FUNCTION], tool_choice=choice)
    assert read_as == request.tool_choice
    assert choice == written(request).document["tool_choice"]


def test_a_hosted_tool_that_must_be_called_is_refused():
    """Where nothing else would do, leaving it out makes another request of it."""
    request = read(
        {"role": "user", "content": "U"},
        tools=[FUNCTION, {"type": "web_search"}],
        tool_choice={"type": "web_search"},
    )
    with pytest.raises(Untranslatable):
        written(request)


def test_nothing_is_asked_to_be_kept():
    """Whatever the client said: the gateway's clients share an account."""
    document = written(read({"role": "user", "content": "U"}, store=True)).document
    assert document["store"] is False
    assert ["reasoning.encrypted_content"] == document["include"]


def test_settings_are_read_and_written():
    """Each under its own name; what only tells how to answer is understood in silence."""
    members = {
        "text": {"verbosity": "low", "format": {
            "type": "json_schema", "name": "n", "schema": {"type": "object"}, "strict": True}},
        "reasoning": {"effort": "low", "summary": "auto"},
        "max_output_tokens": 50,
        "prompt_cache_key": "k",
        "safety_identifier": "u",
        "metadata": {"a": "b"},
        "parallel_tool_calls": False,
        "service_tier": "auto",
        "truncation": "auto",
        "client_metadata": {"x": "y"},
        "stream_options": {"include_obfuscation": False},
    }  # fmt: skip
    request = read({"role": "user", "content": "U"}, tools=[FUNCTION], **members)
    assert OutputFormat("json_schema", "n", "", {"type": "object"}, True) == request.output_format
    assert Reasoning("", "low", summary="auto") == request.reasoning
    assert not request.extra
    result = written(request, limit=50)
    assert not result.dropped
    for name in set(members) - {"truncation", "client_metadata", "stream_options"}:
        assert members[name] == result.document[name]


def test_a_model_that_thinks_is_not_told_a_temperature():
    """It would refuse the request; others take it, and refuse to be told how to think."""
    request = asked(temperature=0.5, top_p=1.0, reasoning=Reasoning("on", budget_tokens=2_000))
    thinks = written(request, "gpt-5.6")
    assert {"temperature"} == thinks.dropped
    assert {"effort": "medium", "summary": "auto"} == thinks.document["reasoning"]
    plain = written(request, "gpt-4o")
    assert {"reasoning"} == plain.dropped
    assert (0.5, 1.0) == (plain.document["temperature"], plain.document["top_p"])


@pytest.mark.parametrize("name", ["top_k", "seed", "presence_penalty", "frequency_penalty"])
def test_what_a_response_cannot_be_told_is_named(name):
    """Nothing is lost in silence."""
    assert name in written(asked(**{name: 1})).dropped


def test_stop_sequences_are_named_and_choices_refused():
    """Without a stop the answer is longer, without choices it is another one."""
    assert "stop" in written(asked(stop=("x",))).dropped
    with pytest.raises(Untranslatable):
        written(asked(choices=2))


def test_a_limit_that_the_vendor_does_not_take_is_refused():
    """OpenAI takes 16 and more; a higher one than was asked for is not covered by the reserve."""
    with pytest.raises(Untranslatable):
        written(asked(), limit=3)


def test_a_long_id_is_the_same_for_call_and_result():
    """OpenAI takes ids of 64 characters."""
    long = "x" * 100
    request = asked(
        turns=(
            Turn("assistant", (ToolCall(long, "f", ""),)),
            Turn("user", (ToolResult(long, (Text("r"),)),)),
        )
    )
    call, result = written(request).document["input"]
    assert call["call_id"] == result["call_id"]
    assert len(call["call_id"]) <= 64
    assert "{}" == call["arguments"]


def test_breakpoints_of_the_cache_go_to_models_that_know_them():
    """GPT-5.6 and later; for others they are named as dropped."""
    part = {"type": "input_text", "text": "T", "prompt_cache_breakpoint": {"mode": "explicit"}}
    request = read({"type": "message", "role": "user", "content": [part]})
    assert [part] == written(request, "gpt-5.6").document["input"][0]["content"]
    assert {"cache"} == written(request, "gpt-5.1").dropped


def test_sound_is_refused():
    """There is no place for it."""
    request = asked(turns=(Turn("user", (Media("audio", "audio/wav", data="QQ=="),)),))
    with pytest.raises(Untranslatable):
        written(request)


@pytest.mark.parametrize("block", ["anthropic:encrypted", "google:encrypted", "openai:signature"])
def test_no_block_of_another_vendor_is_sent_as_encrypted_content(block):
    """OpenAI would refuse the request."""
    item = {"type": "reasoning", "encrypted_content": f"tg1:{block}::D", "summary": []}
    result = written(read({"role": "user", "content": "U"}, item))
    assert 1 == len(result.document["input"])
    assert {"thinking"} == result.dropped
