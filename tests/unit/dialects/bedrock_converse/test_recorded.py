"""Recorded traffic of Converse, judged by AWS's own SDK."""

import base64
from collections import Counter

import orjson
import pytest

from tests.unit.dialects.bedrock_converse import aws
from tests.unit.dialects.corpus import exchanges
from tollgate_dialects.answer import upstream_error
from tollgate_dialects.conversation.parts import Origin, Seal, Text, Thinking, ToolCall
from tollgate_dialects.pricing.units import Unit
from tollgate_dialects.pricing.usage import UsageSource


def bodies():
    """Whole answers; those written by hand, the SDK would not read."""
    found = [
        one
        for one in exchanges("bedrock.converse")
        if one["status"] == 200 and one["source"] != "vercel-ai"
    ]
    assert len(found) > 100
    return found


def streams():
    """The recorded bytes and their events; those written by hand, the SDK would not read."""
    for one in exchanges("bedrock.converse-stream"):
        if one.get("resp_b64"):
            raw = base64.b64decode(one["resp_b64"])
            yield one, raw, aws.parsed_stream(raw)
            continue
        events = [orjson.loads(line) for line in one["resp_text"].splitlines() if line]
        named = [pair for event in events for pair in event.items()]
        yield one, b"".join(aws.event(name, **said) for name, said in named), events


def pieces_of(content):
    """What the SDK's blocks say, in our own words."""
    found = []
    for block in content:
        if call := block.get("toolUse"):
            if call.get("type") != "server_tool_use":
                found.append(("call", call["toolUseId"], call["name"], call["input"]))
        elif thought := block.get("reasoningContent"):
            inner = thought.get("reasoningText", {})
            seal = inner.get("signature") or thought.get("redactedContent", b"").decode()
            found.append(("thinking", inner.get("text", ""), seal))
        elif cited := block.get("citationsContent"):
            words = "".join(piece["text"] for piece in cited.get("content", ()))
            found.append(("text", words)) if words else None
        elif block.get("text"):
            found.append(("text", block["text"]))
    return found


def of_ours(answer):
    found = []
    for part in answer.parts:
        match part:
            case ToolCall():
                found.append(("call", part.call_id, part.name, orjson.loads(part.arguments)))
            case Thinking():
                found.append(("thinking", part.text, part.opaque.data if part.opaque else ""))
            case Text():
                found.append(("text", part.text))
    return found


def counts_of(usage):
    written = usage[Unit.CACHE_WRITE_5M] + usage[Unit.CACHE_WRITE_1H]
    return usage[Unit.INPUT], usage[Unit.OUTPUT], usage[Unit.CACHE_READ], written


def counts_of_the_sdk(usage):
    names = ("inputTokens", "outputTokens", "cacheReadInputTokens", "cacheWriteInputTokens")
    return tuple(usage.get(name, 0) for name in names)


STOPS = {
    "end_turn": "end",
    "tool_use": "tool_calls",
    "max_tokens": "length",
    "guardrail_intervened": "refusal",
}


def test_whole_answers_are_what_the_sdk_reads():
    """Each recorded answer: words, calls, thinking with its seal, end and usage."""
    seen = Counter()
    for exchange in bodies():
        body = exchange["resp_text"].encode()
        original = aws.parsed_body(body)
        meter, passed = aws.metered_body(body)
        assert meter.finished, exchange["id"]
        answer = aws.TRANSLATION.read_answer(orjson.loads(passed))
        content = original["output"]["message"]["content"]
        assert pieces_of(content) == of_ours(answer), exchange["id"]
        assert STOPS[original["stopReason"]] == answer.ending.stop.value
        usage = original["usage"]
        assert (counts_of_the_sdk(usage), UsageSource.UPSTREAM) == (
            counts_of(meter.usage),
            meter.usage_source,
        )
        # What the total says is what the classes add up to: none is a part of another.
        assert usage["totalTokens"] == sum(counts_of(meter.usage)), exchange["id"]
        seen["equal"] += 1
        for part in answer.parts:
            seen[type(part).__name__] += 1
            seen["cited"] += isinstance(part, Text) and bool(part.citations)
            if isinstance(part, Thinking) and part.opaque:
                seen[part.opaque.seal.value] += 1
                assert Origin.ANTHROPIC is part.opaque.origin
                if part.opaque.seal is Seal.ENCRYPTED:
                    # Anthropic's own text, as its API gives it.
                    assert base64.b64decode(part.opaque.data)
    print(dict(seen))
    assert seen["equal"] > 100
    assert seen["ToolCall"] > 20
    assert seen["signature"] > 5
    assert seen["encrypted"]
    assert seen["cited"]


def added_up(events):
    """What the SDK's events of a stream add up to: blocks in their order, stop, usage."""
    blocks, stop, usage = {}, None, {}
    for event in events:
        ((name, said),) = event.items()
        if name == "contentBlockStart":
            blocks[said["contentBlockIndex"]] = {**said["start"]}
        elif name == "contentBlockDelta":
            block = blocks.setdefault(said["contentBlockIndex"], {})
            _add(block, said["delta"])
        elif name == "messageStop":
            stop = said["stopReason"]
        elif name == "metadata":
            usage = said.get("usage", {})
    for block in blocks.values():
        if call := block.get("toolUse"):
            call["input"] = orjson.loads(call.get("text") or "{}")
    return [block for _, block in sorted(blocks.items())], stop, usage


def _add(block, delta):
    if "toolUse" in delta:
        call = block["toolUse"]
        call["text"] = call.get("text", "") + delta["toolUse"]["input"]
    elif "reasoningContent" in delta:
        thought = block.setdefault("reasoningContent", {})
        for name, piece in delta["reasoningContent"].items():
            if name == "redactedContent":
                thought[name] = thought.get(name, b"") + piece
            else:
                inner = thought.setdefault("reasoningText", {"text": ""})
                inner[name] = inner.get(name, "") + piece
    elif "text" in delta:
        block["text"] = block.get("text", "") + delta["text"]


@pytest.mark.parametrize("size", [1, 7, 1_000, 1_000_000])
def test_streams_are_what_the_sdk_reads(size):
    """Each recorded stream, in chunks of any size: blocks, end and usage; nothing is left out."""
    seen = Counter()
    for exchange, raw, events in streams():
        content, stop, usage = added_up(events)
        meter, passed = aws.metered(raw, size)
        assert meter.finished, exchange["id"]
        answer = aws.answer_in(passed)
        assert pieces_of(content) == of_ours(answer), exchange["id"]
        assert STOPS[stop] == answer.ending.stop.value
        if usage:
            assert (counts_of_the_sdk(usage), UsageSource.UPSTREAM) == (
                counts_of(meter.usage),
                meter.usage_source,
            ), exchange["id"]
        else:
            assert UsageSource.ESTIMATED is meter.usage_source
        seen["equal"] += 1
        seen["cited"] += any(isinstance(p, Text) and bool(p.citations) for p in answer.parts)
    print(dict(seen))
    assert seen["equal"] >= 20
    assert seen["cited"]


def test_a_refusal_says_what_aws_said():
    """Recorded refusals: the words that clients match on stay, the code is the header's."""
    told = {}
    for exchange in exchanges("bedrock.converse"):
        if exchange["status"] != 200:
            body, headers = exchange["resp_text"].encode(), exchange["resp_headers"]
            codes = upstream_error.words(body, headers).codes
            described = upstream_error.describe(
                exchange["status"], body, headers, aws.RULES.error_codes
            )
            told[codes[0]] = described
    assert {"ValidationException", "UnrecognizedClientException"} == told.keys()
    assert "Input Tokens Exceeded" in told["ValidationException"].message
    assert "ValidationException" == told["ValidationException"].code
    assert "" == told["UnrecognizedClientException"].message
