"""What users of other gateways complained of, one test for each, where it is translation's part.

Items 1-14 are those of the notes on protocols, promises 15-17 those on opaque blocks, streams and
cache marks. What they touch beside: promises 6-8 in `answer/test_meter.py`, item 6 with a client in
`tests/e2e/test_sdks.py` (case P18), item 7 on the wire, item 13 and the close of item 14 in
`tests/contract/router/`.
"""

import orjson
import pytest

from tests.unit.dialects.conversation import across
from tests.unit.dialects.conversation.across import CHAT, MESSAGES, PAIRS, PROTOCOLS, RESPONSES
from tollgate_dialects.answer import upstream_error
from tollgate_dialects.answer.meter import StreamMeter
from tollgate_dialects.common.protocol import Protocol
from tollgate_dialects.conversation.answer import Stop
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
from tollgate_dialects.pricing.units import Unit
from tollgate_dialects.pricing.usage import Usage
from tollgate_dialects.registry import DIALECTS, UPSTREAM_DIALECTS
from tollgate_dialects.request import request, rewrite

SIGNED = Opaque(Origin.ANTHROPIC, Seal.SIGNATURE, "EqQB+/w==")
HELLO = Turn("user", (Text("hi"),))
CLAUDE = Target("claude-sonnet-4-5", 99)


def blocks_of(out):
    """The type of each block of a message's stream, and of the deltas in it."""
    found = []
    for one in across.events(out):
        if one["type"] == "content_block_start":
            found.append((one["index"], one["content_block"]["type"], set()))
        elif one["type"] == "content_block_delta":
            assert one["index"] == found[-1][0]
            # A signature ends its thinking.
            found[-1][2].update({one["delta"]["type"]} - {"signature_delta"})
    return found


def asks_again(client, answer):
    """What a client says next: the answer as it was given, with the results of its calls."""
    document = DIALECTS[client].translation.write_answer(answer, across.USAGE, across.context())
    results = [part.call_id for part in answer.parts if isinstance(part, ToolCall)]
    if client is MESSAGES:
        said = [{"role": "assistant", "content": document["content"]}]
        given = [{"type": "tool_result", "tool_use_id": one, "content": "r"} for one in results]
        return {
            "model": "m",
            "max_tokens": 9,
            "messages": [*said, {"role": "user", "content": given}],
        }
    if client is CHAT:
        given = [{"role": "tool", "tool_call_id": one, "content": "r"} for one in results]
        return {"model": "m", "messages": [document["choices"][0]["message"], *given]}
    given = [{"type": "function_call_output", "call_id": one, "output": "r"} for one in results]
    return {"model": "m", "input": [*document["output"], *given]}


def test_protocols_item_1_a_new_block_for_each_kind_and_one_start():
    """Thinking in a block of text shows Claude Code nothing (litellm#32357, #29600)."""
    answer = across.answered(Thinking("hm"), "a", Thinking("ah"), ToolCall("c", "f", "{}"))
    out, _ = across.told(CHAT, MESSAGES, across.frames(CHAT, answer))
    kinds = [(kind, deltas) for _, kind, deltas in blocks_of(out)]
    assert [
        ("thinking", {"thinking_delta"}), ("text", {"text_delta"}), ("thinking", {"thinking_delta"}),
        ("tool_use", {"input_json_delta"}),
    ] == kinds  # fmt: skip
    assert 1 == out.count(b"event: message_start\n")


@pytest.mark.parametrize("source", [CHAT, RESPONSES])
def test_protocols_item_2_each_call_has_its_own_index(source):
    """Two under one stop Claude Code (ccNexus#89)."""
    calls = [ToolCall(f"c{n}", "f", "{}") for n in range(3)]
    out, _ = across.told(source, MESSAGES, across.frames(source, across.answered(*calls)))
    assert [0, 1, 2] == [index for index, *_ in blocks_of(out)]


@pytest.mark.parametrize("client", PROTOCOLS, ids=lambda one: one.value)
def test_protocols_item_3_a_signature_comes_back(client):
    """Through every client, also of thinking that is not shown (bifrost#1149, litellm#38809)."""
    for text in ("hm", ""):
        answer = across.answered(Thinking(text, SIGNED), ToolCall("c", "f", "{}"))
        asked = DIALECTS[client].translation.read_request(asks_again(client, answer))
        sent = DIALECTS[MESSAGES].translation.write_request(asked, CLAUDE).document
        block = sent["messages"][0]["content"][0]
        assert ("thinking", text, SIGNED.data) == (
            block["type"], block["thinking"], block["signature"]
        )  # fmt: skip


def test_protocols_item_4_cached_tokens_are_counted_once():
    """No class is negative or told twice, whoever counted (new-api#5003, litellm#9812)."""
    usage = Usage.of(input_tokens=56_322, cache_read_tokens=72_960, output_tokens=1)
    answer = across.answered("a")
    for source, target in PAIRS:
        document = DIALECTS[source].translation.write_answer(answer, usage, across.context())
        told = across.whole(source, target, document)["usage"]
        total = 56_322 + 72_960
        expected = 56_322 if target is MESSAGES else total
        assert expected == told.get("prompt_tokens", told.get("input_tokens"))
        assert usage[Unit.CACHE_READ] in (
            told.get("cache_read_input_tokens"),
            told.get("prompt_tokens_details", {}).get("cached_tokens"),
            told.get("input_tokens_details", {}).get("cached_tokens"),
        )


@pytest.mark.parametrize("source", [CHAT, RESPONSES])
def test_protocols_item_5_a_message_starts_with_an_estimate(source):
    """Zero breaks Claude Code's meter of its context; the end has the truth (CLIProxyAPI#1700)."""
    frames = across.frames(source, across.answered("a"))
    out, _ = across.told(source, MESSAGES, frames, size=64)
    found = {one["type"]: one for one in across.events(out)}
    assert 7 == found["message_start"]["message"]["usage"]["input_tokens"]
    assert across.USAGE[Unit.INPUT] == found["message_delta"]["usage"]["input_tokens"]


def test_protocols_item_6_tokens_of_any_model_are_counted():
    """Here, and not at a vendor that does not have the model (vercel/ai#17326)."""
    body = orjson.dumps({"model": "gpt-5", "messages": [{"role": "user", "content": "hi"}]})
    found = request.count(body, DIALECTS[MESSAGES].request)
    assert ("gpt-5", True) == (found.model, found.input_tokens > 0)


def test_protocols_item_7_betas_reach_nobody_else():
    """Others answer them with a 400 (claude-code#11672); Anthropic needs them (litellm#9016)."""
    sent = {"anthropic-beta": "context-management-2025-06-27", "anthropic-version": "2023-06-01"}
    for protocol, dialect in DIALECTS.items():
        passed = dialect.endpoint.passed_on(sent).kept
        assert (sent if protocol is MESSAGES else {}) == passed


GEMINI = Protocol.GEMINI


def test_protocols_item_8_gemini_gets_its_signature_and_a_schema_that_it_takes():
    """Gemini 3 refuses a call without, and Claude Code's schemas (llmgateway#1267, #1763)."""
    part = {"functionCall": {"name": "f", "args": {}}, "thoughtSignature": "c2ln"}
    gemini = DIALECTS[GEMINI].translation
    answer = gemini.read_answer(
        {"candidates": [{"content": {"role": "model", "parts": [part]}, "finishReason": "STOP"}]}
    )
    for client in PROTOCOLS:
        asked = DIALECTS[client].translation.read_request(asks_again(client, answer))
        sent = gemini.write_request(asked, Target("gemini-3-pro", 99)).document
        assert b'"thoughtSignature":"c2ln"' in orjson.dumps(sent)
    schema = {
        "$schema": "https://json-schema.org/draft/2020-12/schema", "type": "object",
        "properties": {"a": {"const": 1}, "b": {"exclusiveMinimum": 0, "type": "integer"}},
        "propertyNames": {"type": "string"}, "additionalProperties": False,
    }  # fmt: skip
    tools = (FunctionTool("f", schema=schema),)
    asked = Request(model="m", turns=(HELLO,), tools=tools)
    sent = gemini.write_request(asked, Target("gemini-3-pro", 99)).document
    (declared,) = sent["tools"][0]["functionDeclarations"]
    assert "parameters" not in declared or not {"$schema", "propertyNames"} & (
        declared["parameters"].keys()
    )


def test_protocols_item_9_responses_end_and_their_tools_are_flat_elsewhere():
    """A last event and no [DONE] (CLIProxyAPI#5028); no namespace in a chat (litellm#27655)."""
    for source in (CHAT, MESSAGES):
        out, finished = across.told(source, RESPONSES, across.frames(source, across.answered("a")))
        assert finished
        assert "response.completed" == across.events(out)[-1]["type"]
        assert b"[DONE]" not in out
    group = {"type": "namespace", "name": "g", "tools": [{"type": "function", "name": "f"}]}
    tools = [group, {"type": "custom", "name": "patch"}]
    asked = DIALECTS[RESPONSES].translation.read_request(
        {"model": "m", "input": "hi", "tools": tools}
    )
    sent = DIALECTS[CHAT].translation.write_request(asked, Target("deepseek-chat", 9)).document
    assert ["function", "function"] == [tool["type"] for tool in sent["tools"]]
    call = ToolCall("c", "g__f", "{}")
    out, _ = across.told(
        CHAT, RESPONSES, across.frames(CHAT, across.answered(call)), tools=asked.tools
    )
    (item,) = across.events(out)[-1]["response"]["output"]
    assert ("g", "f") == (item["namespace"], item["name"])


def test_protocols_item_10_no_empty_text_goes_to_bedrock():
    """One makes it refuse the conversation for ever (hermes-agent#55092)."""
    turns = (
        HELLO,
        Turn("assistant", (Text(""), ToolCall("c", "f", "{}"))),
        Turn("user", (ToolResult("c", (Text(""),)), Text(" "))),
    )
    asked = Request(model="m", turns=turns, tools=(FunctionTool("f"),))
    bedrock = UPSTREAM_DIALECTS[Protocol.BEDROCK_CONVERSE].translation
    sent = orjson.dumps(
        bedrock.write_request(asked, Target("anthropic.claude-opus-4-8", 9)).document
    )
    assert b'"text":""' not in sent
    assert b'"text":" "' not in sent


def test_protocols_item_11_thinking_goes_back_and_efforts_are_known_words():
    """DeepSeek wants its reasoning back; three levels are all that others know (AIClient2API#598)."""
    turn = Turn("assistant", (Thinking("hm"), ToolCall("c", "f", "{}")))
    reasoning = Reasoning("adaptive", "xhigh")
    asked = Request(model="m", turns=(HELLO, turn), reasoning=reasoning)
    sent = DIALECTS[CHAT].translation.write_request(asked, Target("deepseek-chat", 9)).document
    assert "hm" == sent["messages"][1]["reasoning_content"]
    assert sent.get("reasoning_effort") in (None, "low", "medium", "high")


@pytest.mark.parametrize("stop", [Stop.PAUSE, Stop.CONTEXT_FULL])
def test_protocols_item_12_what_is_not_at_its_end_does_not_say_so(stop):
    """litellm says "stop" of both."""
    frames = across.frames(MESSAGES, across.answered("a", stop=stop))
    out, _ = across.told(MESSAGES, CHAT, frames)
    reasons = [one["choices"][0]["finish_reason"] for one in across.events(out) if one["choices"]]
    assert "length" == reasons[-1]
    out, _ = across.told(MESSAGES, RESPONSES, frames)
    assert "response.incomplete" == across.events(out)[-1]["type"]


def test_protocols_item_13_an_upstreams_words_and_its_kind_are_kept():
    """Claude Code recovers by the words; a kind that says "do not retry" stops its retries."""
    words = "prompt is too long: 5 tokens > 4 maximum"
    body = orjson.dumps(
        {"type": "error", "error": {"type": "invalid_request_error", "message": words}}
    )
    message, *_ = upstream_error.describe(400, body, {}, ("type",), [])
    assert words == message
    kinds = DIALECTS[MESSAGES].errors
    assert ("rate_limit_error", "overloaded_error", "api_error") == (
        kinds.kind(429), kinds.kind(503), kinds.kind(502)
    )  # fmt: skip


@pytest.mark.parametrize("protocol", PROTOCOLS, ids=lambda one: one.value)
def test_protocols_item_14_the_last_event_is_the_end(protocol):
    """Whatever the upstream's connection does then (VaalaCat/ai-gateway#11)."""
    meter = StreamMeter(DIALECTS[protocol].answer)
    frames = across.frames(protocol, across.answered("a"))
    assert not (meter.feed(frames[:-2]) and meter.finished)
    meter.feed(frames[-2:])
    assert meter.finished


@pytest.mark.parametrize("client", PROTOCOLS, ids=lambda one: one.value)
def test_promise_15_blocks_of_another_maker_never_reach_anthropic(client):
    """They are stripped by rule in the middle of a conversation, whoever asks (litellm#32357)."""
    sealed = Opaque(Origin.OPENAI, Seal.ENCRYPTED, "gAAA-secret", "rs_1")
    answer = across.answered(Thinking("hm", sealed), "a", ToolCall("c", "f", "{}"))
    document = asks_again(client, answer)
    dialect = DIALECTS[client]
    if client is MESSAGES:
        sent, dropped = DIALECTS[MESSAGES].request.shed(document, CLAUDE.model)
    else:
        asked = dialect.translation.read_request(document)
        sent, dropped = DIALECTS[MESSAGES].translation.write_request(asked, CLAUDE)
    assert b"gAAA-secret" not in orjson.dumps(sent)
    assert "thinking" in dropped
    # Its maker gets it back.
    asked = dialect.translation.read_request(document)
    again = DIALECTS[RESPONSES].translation.write_request(asked, Target("gpt-5", 99)).document
    assert "gAAA-secret" == again["input"][0]["encrypted_content"]


def test_promise_16_arguments_order_and_the_chunk_of_usage():
    """Arguments whole, the protocol's order, usage in a chunk without choices (litellm#28735)."""
    arguments = '{"a":"\\u00e9 \\"quoted\\"","b":[1,2]}'
    answer = across.answered("a", ToolCall("c", "f", arguments))
    for source, target in PAIRS:
        for size in (7, 1 << 20):
            out, finished = across.told(source, target, across.frames(source, answer), size=size)
            assert finished
            assert arguments == across.added_up(target, out).parts[-1].arguments
            if target is CHAT:
                assert [] == across.events(out)[-1]["choices"]
                assert across.events(out)[-1]["usage"]


def test_promise_17_cache_marks_stay_where_they_were():
    """Bytes in the same protocol; through the one form on tools, results and text (bifrost#1935)."""
    mark = {"type": "ephemeral"}
    body = {
        "model": "m", "max_tokens": 9,
        "tools": [{"name": "f", "input_schema": {"type": "object"}, "cache_control": mark}],
        "messages": [
            {"role": "user", "content": [{"type": "text", "text": "a", "cache_control": mark}]},
            {"role": "assistant",
             "content": [{"type": "tool_use", "id": "c", "name": "f", "input": {}}]},
            {"role": "user", "content": [{"type": "tool_result", "tool_use_id": "c",
             "content": [{"type": "text", "text": "r"}], "cache_control": {**mark, "ttl": "1h"}}]},
        ],
    }  # fmt: skip
    raw = orjson.dumps(body)
    messages = DIALECTS[MESSAGES]
    facts = request.read(raw, messages.request)
    sent = rewrite.upstream_body(
        raw, messages.request, asked=facts, model="other", max_output_tokens=None
    )
    assert {**body, "model": "other"} == orjson.loads(sent)
    written = messages.translation.write_request(
        messages.translation.read_request(body), Target("m", 9)
    )
    assert body["tools"] == written.document["tools"]
    assert body["messages"] == written.document["messages"]
    assert "cache" not in written.dropped
