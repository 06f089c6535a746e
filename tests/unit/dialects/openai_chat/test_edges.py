"""What others got wrong between chats and other protocols, by the reports of their users."""

import json

import orjson
import pytest

from tests.unit.dialects.conversation.across import PROTOCOLS
from tollgate_dialects.common.protocol import Protocol
from tollgate_dialects.common.refusal import BadRequest
from tollgate_dialects.conversation.answer import Answer, Ending, Stop
from tollgate_dialects.conversation.machine import Machine
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
from tollgate_dialects.conversation.request import Reasoning, Request, Turn
from tollgate_dialects.conversation.stream import StreamTranslator
from tollgate_dialects.conversation.translation import Context, Target, Untranslatable
from tollgate_dialects.openai_chat import limits
from tollgate_dialects.openai_chat.translate.translation import TRANSLATION
from tollgate_dialects.pricing.usage import NOTHING
from tollgate_dialects.registry import DIALECTS
from tollgate_dialects.request import request, rewrite

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


@pytest.mark.parametrize(
    ("members", "beyond"),
    [
        ({}, 0), ({"model": "qwen-plus"}, 0), ({"model": "qwen3-235b-a22b-instruct"}, 0),
        ({"model": "qwen-plus", "enable_thinking": True}, None),
        ({"model": "qwen-plus", "enable_thinking": True, "thinking_budget": 500}, 510),
        ({"model": "qwen-plus", "thinking_budget": 0}, 10),
        ({"model": "qwen3.5-plus"}, None), ({"model": "Qwen/QwQ-32B"}, None),
        ({"model": "qwen3.5-plus", "enable_thinking": False}, 0),
        ({"model": "qwen3.5-plus", "max_completion_tokens": 100}, 10),
        ({"model": "qwq-plus", "enable_thinking": False}, None),
        ({"model": "qwen3-32b-thinking", "enable_thinking": False}, None),
        ({"model": "qwen3-32b-thinking", "thinking_budget": 0}, None),
        ({"model": "qwen3-32b-thinking", "thinking_budget": 50}, 60),
        ({"model": "deepseek-r1", "enable_thinking": False}, None),
        ({"model": "deepseek-r1"}, 0),
        ({"model": "qwen3-32b-thinking", "max_completion_tokens": 100}, None),
        ({"enable_thinking": True, "max_completion_tokens": 100}, None),
    ],
)  # fmt: skip
def test_alibabas_thinking_is_not_within_the_limit(members, beyond):
    """What Qwen thinks comes on top of max_tokens there, and is reserved as well."""
    body = {"model": "m", "messages": [], "max_tokens": 100, **members}
    if "max_completion_tokens" in members:
        del body["max_tokens"]
    facts = request.read(json.dumps(body).encode(), DIALECTS[Protocol.OPENAI_CHAT].request)
    assert beyond == facts.beyond_limit_tokens


@pytest.mark.parametrize(
    ("model", "is_said_twice"),
    [("qwen-plus", True), ("Qwen/QwQ-32B", True), ("qwen3.7-max", False), ("o3", False),
     ("mistral-large", False)],
)  # fmt: skip
def test_a_limit_that_a_qwen_may_not_know_is_said_under_both_names(model, is_said_twice):
    """The older ones know `max_tokens` alone: without it their answer has no end."""
    rules = DIALECTS[Protocol.OPENAI_CHAT].request
    body = json.dumps({"model": model, "messages": [], "max_completion_tokens": 7}).encode()
    facts = request.read(body, rules)
    sent = rewrite.upstream_body(body, rules, asked=facts, model=model, max_output_tokens=7)
    said = {"model": model, "messages": [], "max_completion_tokens": 7}
    assert said | ({"max_tokens": 7} if is_said_twice else {}) == json.loads(sent)


def test_results_stand_right_behind_their_calls():
    """A developer's or a user's words in between go behind them (cc-switch, opencodex)."""
    turns = (
        Turn("assistant", (call("c1"), call("c2"))),
        Turn("user", (ToolResult("c1", (Text("1"),)),)),
        Turn("developer", (Text("note"),)),
        Turn("user", (ToolResult("c2", (Text("2"),)),)),
    )
    found = roles(written(HELLO, *turns).document)
    assert [("user", ""), ("assistant", ""), ("tool", "c1"), ("tool", "c2")] == found[:4]


@pytest.mark.parametrize(("model", "role"), [("gpt-5", "developer"), ("deepseek-chat", "system")])
def test_developers_are_openais_word(model, role):
    """Other servers of the protocol refuse the role (9router, hermes-studio)."""
    document = written(Turn("developer", (Text("be brief"),)), HELLO, model=model).document
    assert role == document["messages"][0]["role"]


def test_a_schema_of_an_object_has_properties():
    """OpenAI refuses an object schema without (copilot-api)."""
    tool = FunctionTool("f", schema={"type": "object"})
    function = written(tools=(tool,)).document["tools"][0]["function"]
    assert {"type": "object", "properties": {}} == function["parameters"]


def test_long_names_of_users_and_calls_are_cut_to_what_openai_takes():
    """Claude Code's user is a JSON text of 123 characters; ids of others have 86."""
    document = written(
        Turn("assistant", (call("x" * 86),)),
        Turn("user", (ToolResult("x" * 86, (Text("r"),)),)),
        user="u" * 123,
    ).document
    assert 64 == len(document["user"])
    (asking, result) = document["messages"]
    assert asking["tool_calls"][0]["id"] == result["tool_call_id"]
    assert len(result["tool_call_id"]) <= 40


@pytest.mark.parametrize(
    ("model", "effort", "sent"),
    [
        ("gpt-5", "none", "minimal"), ("gpt-5.1", "none", "none"), ("o3", "none", ""),
        ("deepseek-chat", "none", ""), ("gpt-5", "max", "high"), ("gpt-5.2", "max", "xhigh"),
        ("kimi-k2", "xhigh", "high"), ("kimi-k2", "minimal", "low"), ("o3", "low", "low"),
    ],
)  # fmt: skip
def test_efforts_are_words_that_the_model_has(model, effort, sent):
    """A server that knows three levels refuses the others (codex-proxy, quotio)."""
    assert sent == limits.effort_for(model, effort)
    document = written(model=model, reasoning=Reasoning(effort=effort)).document
    assert sent == document.get("reasoning_effort", "")


def test_stop_sequences_are_not_sent_to_models_that_refuse_them():
    """OpenAI's reasoning models do (litellm, smolagents); elsewhere four go."""
    reasoning = written(model="o3", stop=("a",))
    assert ("stop" in reasoning.document, reasoning.dropped) == (False, {"stop"})
    assert ["a"] == written(stop=("a",)).document["stop"]


def test_what_has_another_price_is_not_carried():
    """Tiers, and members that another protocol's reader did not look at."""
    extra = {"speed": "fast", "store": True}
    sent = written(model="deepseek-chat", service_tier="priority", extra=extra)
    assert {"service_tier", "speed", "store"} <= sent.dropped
    assert not {"service_tier", "speed", "store"} & sent.document.keys()


@pytest.mark.parametrize("kind", ["web_search_20250305", "code_execution_20250825"])
def test_tools_that_run_at_anthropic_are_not_carried(kind):
    """A client of Responses that declares one by Anthropic's name reaches no unpriced search."""
    request = Request(model="m", turns=(HELLO,), tools=(HostedTool(kind, {"type": kind}),))
    sent = MESSAGES.translation.write_request(request, Target("claude-sonnet-4-5", 9))
    assert ("tools" in sent.document, sent.dropped) == (False, {f"tools.{kind}"})
    extra = Request(model="m", turns=(HELLO,), extra={"inference_geo": "us", "speed": "fast"})
    sent = MESSAGES.translation.write_request(extra, Target("claude-sonnet-4-5", 9))
    assert not {"inference_geo", "speed"} & sent.document.keys()


def test_a_chats_cache_mark_is_never_for_an_hour():
    """Its bound knows the price of minutes alone."""
    part = {"type": "text", "text": "a", "cache_control": {"type": "ephemeral", "ttl": "1h"}}
    request = TRANSLATION.read_request(
        {"model": "m", "messages": [{"role": "user", "content": [part]}]}
    )
    assert "5m" == request.turns[0].parts[0].cache


def test_thinking_goes_back_as_words_or_not_at_all():
    """DeepSeek wants its reasoning back, OpenAI refuses the member; it is never text."""
    turn = Turn("assistant", (Thinking("hm", SIGNED), call()))
    theirs = written(HELLO, turn, model="deepseek-chat")
    assert "hm" == theirs.document["messages"][1]["reasoning_content"]
    ours = written(HELLO, turn, model="o3")
    assert "thinking" in ours.dropped
    assert b"hm" not in json.dumps(ours.document).encode()


def test_pictures_of_results_follow_them():
    """A result holds words alone."""
    result = ToolResult("c1", (Media("image", "image/png", data="AAAA"),))
    document = written(HELLO, Turn("assistant", (call(),)), Turn("user", (result,))).document
    assert ["user", "assistant", "tool", "user"] == [one["role"] for one in document["messages"]]
    assert "image_url" == document["messages"][3]["content"][1]["type"]


def test_stored_conversations_are_refused():
    """Without what another vendor keeps the request is another one."""
    with pytest.raises(Untranslatable):
        written(extra={"previous_response_id": "resp_1"})


@pytest.mark.parametrize(
    ("stop", "calls", "reason"),
    [
        (Stop.END, (), "stop"), (Stop.END, (call(),), "tool_calls"),
        (Stop.TOOL_CALLS, (), "stop"), (Stop.CONTEXT_FULL, (), "length"),
        (Stop.PAUSE, (), "length"), (Stop.REFUSAL, (), "content_filter"),
    ],
)  # fmt: skip
def test_reasons_say_whether_there_are_calls(stop, calls, reason):
    """Clients look for calls where the reason says so, and nowhere else."""
    answer = Answer((Text("t"), *calls), Ending(stop))
    written_answer = TRANSLATION.write_answer(answer, NOTHING, context())
    assert reason == written_answer["choices"][0]["finish_reason"]


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


DEEP = '{"a":' + "[" * 300 + "]" * 300 + "}"


def test_arguments_that_nest_too_deeply_are_wrapped():
    """They can be read and not be written: no exception leaves, the text is kept."""
    sent = MESSAGES.translation.write_request(
        Request(model="m", turns=(HELLO, Turn("assistant", (call(arguments=DEEP),)))),
        Target("claude-sonnet-4-5", 9),
    )
    (block,) = sent.document["messages"][1]["content"]
    assert {"arguments": DEEP} == block["input"]
    answer = Answer((call(arguments=DEEP),), Ending(Stop.TOOL_CALLS))
    told = MESSAGES.translation.write_answer(answer, NOTHING, context())
    assert {"arguments": DEEP} == told["content"][0]["input"]


@pytest.mark.parametrize(
    ("protocol", "document"),
    [
        (Protocol.OPENAI_RESPONSES, {"model": "m", "input": "x", "tool_choice": {"type": []}}),
        (Protocol.ANTHROPIC_MESSAGES,
         {"model": "m", "max_tokens": 9, "messages": [{"role": [], "content": "x"}]}),
    ],
)  # fmt: skip
def test_words_that_are_no_words_are_refused(protocol, document):
    """An array where a word belongs is the client's fault, and no bug of ours."""
    dialect = DIALECTS[protocol]
    with pytest.raises(BadRequest):
        request.read(json.dumps(document).encode(), dialect.request)
        dialect.translation.read_request(document)


def test_older_models_of_openai_get_no_word_that_they_refuse():
    """gpt-4o takes no effort and no reasoning of others."""
    turn = Turn("assistant", (Thinking("hm", SIGNED), call()))
    sent = written(HELLO, turn, model="gpt-4o", reasoning=Reasoning("on", budget_tokens=2_000))
    assert "reasoning_effort" not in sent.document
    assert "reasoning_content" not in sent.document["messages"][1]
    assert {"reasoning", "thinking"} <= sent.dropped


def test_old_functions_are_told_apart():
    """Their calls have no ids: the second of a name gets another one, and so does its result."""

    def asking(name):
        call = {"name": name, "arguments": "{}"}
        return {"role": "assistant", "content": None, "function_call": call}

    def answering(name, text):
        return {"role": "function", "name": name, "content": text}

    turns = [asking("f"), answering("f", "1"), asking("f"), answering("f", "2")]
    turns += [asking("g"), {"role": "tool", "content": "3"}]
    request = TRANSLATION.read_request({"model": "m", "messages": turns})
    parts = [part for turn in request.turns for part in turn.parts]
    assert ["f", "f", "f_2", "f_2", "g", "g"] == [part.call_id for part in parts]


@pytest.mark.parametrize("protocol", PROTOCOLS, ids=lambda protocol: protocol.value)
def test_logprobs_are_named_where_they_are_not_told(protocol):
    """No upstream of another protocol is asked for what its client would not be told."""
    request = Request(model="m", turns=(HELLO,), logprobs=True, top_logprobs=3)
    sent = DIALECTS[protocol].translation.write_request(request, Target("gpt-4o", 99))
    assert {"logprobs", "top_logprobs"} <= sent.dropped
    assert b"logprobs" not in orjson.dumps(sent.document)


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


def test_names_of_caches_are_cut_to_what_openai_takes():
    """64 characters, as those of users: the same name is the same cache."""
    for protocol in (Protocol.OPENAI_CHAT, Protocol.OPENAI_RESPONSES):
        request = Request(model="m", turns=(HELLO,), cache_key="k" * 80, user="u" * 300)
        sent = DIALECTS[protocol].translation.write_request(request, Target("gpt-5", 99))
        assert 64 == len(sent.document["prompt_cache_key"])
    assert 64 == len(
        MESSAGES.translation.write_request(request, Target("claude-sonnet-4-5", 9)).document[
            "metadata"
        ]["user_id"]
    )


@pytest.mark.parametrize(
    ("model", "expected", "dropped"),
    [
        ("gpt-5", ["system", "developer", "user", "developer", "user"], set()),
        ("qwen3-coder", ["system", "user", "user", "user"], {"system"}),
    ],
)
def test_the_system_speaks_once_and_first_where_templates_want_it(model, expected, dropped):
    """Templates of Qwen and others answer a second or late system message with a 400 (vLLM)."""
    late = Turn("developer", (Text("now"),))
    turns = (Turn("system", (Text("a"),)), Turn("developer", (Text("b"),)), HELLO, late, HELLO)
    sent = written(*turns, model=model)
    assert expected == [one["role"] for one in sent.document["messages"]]
    assert dropped == sent.dropped
    if dropped:
        assert ["a\n\nb", "now"] == [sent.document["messages"][at]["content"] for at in (0, 2)]
