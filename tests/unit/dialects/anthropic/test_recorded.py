"""Recorded messages through the one form and back: the SDK sees what it saw before."""

import dataclasses
from collections import Counter

import orjson
import pytest
from anthropic import types
from jiter import from_json
from pydantic import TypeAdapter

from tests.unit.dialects.anthropic import sdk
from tests.unit.dialects.corpus import CORPUS, exchanges, stream_of
from tollgate_dialects.answer.meter import BodyMeter, StreamMeter
from tollgate_dialects.anthropic.dialect import ANTHROPIC_MESSAGES as DIALECT
from tollgate_dialects.anthropic.translate.translation import TRANSLATION
from tollgate_dialects.common import sse
from tollgate_dialects.common.protocol import Protocol
from tollgate_dialects.conversation.machine import Machine
from tollgate_dialects.conversation.parts import FunctionTool, Text, Thinking, ToolCall, ToolResult
from tollgate_dialects.conversation.request import Request, Turn
from tollgate_dialects.conversation.stream import StreamTranslator
from tollgate_dialects.conversation.translation import Target, Untranslatable
from tollgate_dialects.request.content import object_in

BLOCK = TypeAdapter(types.ContentBlockParam)


def recorded(*, stream: bool):
    found = [
        one
        for one in exchanges("anthropic.messages")
        if one["status"] == 200 and one["stream"] is stream and "resp_text" in one
    ]
    assert len(found) > 50
    return found


def settled(request: Request) -> Request:
    """A request as its writer arranges it: turns of one side joined, results of tools first.

    Nothing is taken away but what holds nothing, and what the writer names.
    """
    turns: list[Turn] = []
    for turn in request.turns:
        parts = tuple(
            dataclasses.replace(part, citations=()) if isinstance(part, Text) else part
            for part in turn.parts
            if not isinstance(part, Text) or part.text.strip()
        )
        if parts and turns and turns[-1].role == turn.role:
            turns[-1] = Turn(turn.role, turns[-1].parts + parts)
        elif parts:
            turns.append(Turn(turn.role, parts))
    ordered = tuple(
        Turn(
            turn.role, tuple(sorted(turn.parts, key=lambda part: not isinstance(part, ToolResult)))
        )
        for turn in turns
    )
    return dataclasses.replace(request, turns=ordered, unheld=frozenset())


# What a writer may name of a request that was made for the same protocol.
NAMED = {
    "temperature": "temperature",
    "top_p": "top_p",
    "top_k": "top_k",
    "reasoning": "reasoning",
    "output_format": "output_format",
}


def test_requests_read_back_as_they_were():
    """Each recorded request, written and read again, is the same; what is not is named."""
    seen = Counter()
    for exchange in exchanges("anthropic.messages"):
        document = exchange.get("req")
        if exchange["status"] != 200 or not isinstance(document, dict):
            continue
        request = TRANSLATION.read_request(document)
        target = Target(request.model, request.max_output_tokens)
        try:
            written = TRANSLATION.write_request(request, target)
        except Untranslatable as refusal:
            seen["untranslatable", refusal.param] += 1
            continue
        again = TRANSLATION.read_request(orjson.loads(orjson.dumps(written.document)))
        before, after = settled(request), settled(again)
        hosted = {name for name in written.dropped if name.startswith("tools.")}
        extras = before.extra.keys() - after.extra.keys()
        assert extras <= written.dropped
        after = dataclasses.replace(after, extra=before.extra)
        for name, field in NAMED.items():
            if any(one.split(".")[0] == name for one in written.dropped):
                seen["named", name] += 1
                after = dataclasses.replace(after, **{field: getattr(before, field)})
                if name == "output_format":
                    # It became words of the system prompt.
                    after = dataclasses.replace(after, turns=before.turns)
        if before.reasoning and not before.reasoning.mode:
            # Where only an effort was asked, thinking is asked for with it.
            seen["effort alone"] += 1
            after = dataclasses.replace(after, reasoning=before.reasoning)
        assert before == after, exchange["id"]
        assert (
            not {tool.kind for tool in request.tools if not isinstance(tool, FunctionTool)}
            - {tool.kind for tool in again.tools if not isinstance(tool, FunctionTool)}
            - {name.removeprefix("tools.") for name in hosted}
        )
        seen["equal"] += 1
        for name in request.unheld:
            seen["unheld", name] += 1
        for message in written.document["messages"]:
            for block in message["content"]:
                BLOCK.validate_python(block)
    for line in sorted(seen.items(), key=str):
        print(line)
    assert seen["equal"] > 150


def texts_in(value) -> Counter:
    """Every text that a message's blocks show to a model."""
    found = Counter()
    if isinstance(value, str):
        found[value] += 1
    for block in value if isinstance(value, list) else ():
        kind = block.get("type")
        if kind in ("text", "thinking"):
            found[block[kind]] += 1
        elif kind == "tool_reference":
            found[block["tool_name"]] += 1
        elif kind == "tool_result":
            found += texts_in(block.get("content"))
    return found


def test_requests_keep_every_word():
    """Model, words, calls, tools and schemas of recorded requests are there, byte for byte."""
    for exchange in exchanges("anthropic.messages"):
        document = exchange.get("req")
        if exchange["status"] != 200 or not isinstance(document, dict):
            continue
        request = TRANSLATION.read_request(document)
        try:
            written = TRANSLATION.write_request(request, Target(request.model, 7))
        except Untranslatable:
            continue
        out = written.document
        assert (document["model"], 7) == (out["model"], out["max_tokens"])
        before = texts_in(document.get("system"))
        after = texts_in(out.get("system"))
        for message in document["messages"]:
            before += texts_in(message["content"])
        for message in out["messages"]:
            after += texts_in(message["content"])
        before = Counter({text: count for text, count in before.items() if text.strip()})
        if "output_format" not in written.dropped and "search_result" not in str(document):
            last = document["messages"][-1]
            if last["role"] != "assistant":
                assert before == after, exchange["id"]
        declared = {tool["name"]: tool for tool in document.get("tools") or ()}
        for tool in out.get("tools", ()):
            kept = {
                name: value
                for name, value in declared[tool["name"]].items()
                if value and (name not in ("defer_loading", "type") or tool.get("type"))
            }
            if "input_schema" in kept:
                kept["input_schema"] = {"type": "object", **kept["input_schema"]}
            assert tool.items() >= {k: v for k, v in kept.items() if k in tool}.items()
            assert {"name"} <= kept.keys() <= tool.keys() | {"strict"}


def metered_body(exchange):
    meter = BodyMeter(DIALECT.answer)
    meter.feed(exchange["resp_text"].encode())
    out = meter.finish()
    return None if meter.error else (orjson.loads(out), meter.usage)


def test_whole_answers_are_the_same_to_the_sdk():
    """Each recorded answer, read and written again, is what the SDK read in the original."""
    seen = Counter()
    for exchange in recorded(stream=False):
        metered = metered_body(exchange)
        if metered is None:
            seen["no answer"] += 1
            continue
        document, usage = metered
        answer = TRANSLATION.read_answer(document)
        written = TRANSLATION.write_answer(answer, usage, sdk.context())
        original = sdk.gist(types.Message.construct(**document).to_dict(warnings=False))
        after = sdk.gist(sdk.message(written))
        if original["stop_reason"] is None:
            original["stop_reason"] = after["stop_reason"]
            seen["no stop reason"] += 1
        if original["stop_reason"] == "end_turn" and after["stop_reason"] == "tool_use":
            assert any(block["type"] == "tool_use" for block in document["content"])
            original["stop_reason"] = "tool_use"
            seen["calls that end a turn"] += 1
        assert original == after, exchange["id"]
        assert "asked-model" == written["model"]
        seen["equal"] += 1
        seen["hosted blocks"] += any(
            block["type"] not in ("text", "thinking", "redacted_thinking", "tool_use")
            for block in document["content"]
        )
    print(dict(seen))
    assert seen["equal"] > 150


def last_message(raw: bytes) -> bytes:
    """Some recordings hold several streams one after another: the first one."""
    end = raw.find(b'"message_stop"')
    blank = raw.find(b"\n\n", end)
    return raw if -1 in (end, blank) else raw[: blank + 2]


@pytest.mark.parametrize("size", [7, 1_000_000])
def test_streams_are_the_same_to_the_sdk(size):
    """Each recorded stream, through meter, reader and writer, adds up to what the original does.

    And each frame is of the SDK's own types, however the bytes were cut.
    """
    seen = Counter()
    for exchange in recorded(stream=True):
        raw = stream_of(Protocol.ANTHROPIC_MESSAGES, exchange).replace(b"\r\n", b"\n")
        raw = last_message(raw).rstrip(b"\n") + b"\n\n"
        meter = StreamMeter(DIALECT.answer, strip_usage=False)
        translator = StreamTranslator(
            TRANSLATION.event_reader(), TRANSLATION.event_writer(sdk.context())
        )
        out = b""
        for at in range(0, len(raw), size):
            out += translator.feed(meter.feed(raw[at : at + size]), meter.usage)
        out += translator.feed(meter.finish(), meter.usage)
        if meter.error:
            seen["error"] += 1
            assert not translator.finished
            continue
        assert translator.finished, exchange["id"]
        documents = sdk.strict_events(out)
        starts = [one for one in documents if one["type"] == "content_block_start"]
        assert list(range(len(starts))) == [one["index"] for one in starts]
        assert ["message_start"] == [d["type"] for d in documents if d["type"] == "message_start"]
        original, after = sdk.gist(sdk.accumulated(raw)), sdk.gist(sdk.accumulated(out))
        assert original["content"] == after["content"], exchange["id"]
        if original["usage"] != after["usage"]:
            seen["usage that the SDK merges otherwise"] += 1
            original["usage"] = after["usage"]
        assert original == after, exchange["id"]
        seen["equal"] += 1
    print(dict(seen))
    assert seen["equal"] > 40


def test_a_stream_reads_like_the_whole_answer():
    """What a recorded stream adds up to is what the same answer says in one piece."""
    seen = 0
    for exchange in recorded(stream=True):
        raw = last_message(stream_of(Protocol.ANTHROPIC_MESSAGES, exchange).replace(b"\r\n", b"\n"))
        if b"event: error" in raw or not raw.strip():
            continue
        reader, machine = TRANSLATION.event_reader(), Machine()
        position = 0
        while position < len(raw):
            start, position = sse.frame_at(raw, position)
            if raw[start:position].strip() and b"data:" in raw[start:position]:
                for event in reader.read(sse.parse(raw[start:position])):
                    machine.check(event)
        if not machine.finished:
            continue
        whole = TRANSLATION.read_answer(sdk.accumulated(raw))
        assert parsed(whole) == parsed(machine.answer()), exchange["id"]
        seen += 1
    print(seen)
    assert seen > 40


def parsed(answer):
    """Arguments as values: the spaces between them are the stream's own."""
    return dataclasses.replace(
        answer,
        parts=tuple(
            (part.call_id, part.name, from_json(part.arguments.encode(), partial_mode=True))
            if isinstance(part, ToolCall)
            else part
            for part in answer.parts
        ),
    )


def test_claude_code_loses_nothing():
    """A request as Claude Code makes it goes through the one form unchanged."""
    document = claude_code()
    request = TRANSLATION.read_request(document)
    written = TRANSLATION.write_request(request, Target(document["model"], document["max_tokens"]))
    assert document == orjson.loads(orjson.dumps(written.document))
    assert frozenset() == written.dropped
    kinds = {type(part) for turn in request.turns for part in turn.parts}
    assert {Text, Thinking, ToolCall, ToolResult} == kinds


def claude_code():
    """The captured shape, and a second round of it with thinking and a tool's result."""
    path = CORPUS / "captured-clients" / "claude-code-2.1.197.request-shape.json"
    if not path.exists():
        pytest.skip("no captured clients: set TOLLGATE_CORPUS to the corpus folder")
    document = orjson.loads(path.read_bytes())["body"]
    document["metadata"]["user_id"] = orjson.dumps({"device_id": "d", "session_id": "s"}).decode()
    document["messages"] += [
        {
            "role": "assistant",
            "content": [
                {"type": "thinking", "thinking": "Look first.", "signature": "c2lnbmF0dXJl"},
                {"type": "text", "text": "I look."},
                {
                    "type": "tool_use",
                    "id": "toolu_01",
                    "name": "Bash",
                    "input": {"command": "ls", "timeout": 5},
                },
            ],
        },
        {
            "role": "user",
            "content": [
                {
                    "type": "tool_result",
                    "tool_use_id": "toolu_01",
                    "content": [{"type": "text", "text": "a.py"}],
                    "is_error": True,
                    "cache_control": {"type": "ephemeral"},
                },
                {"type": "text", "text": "Go on."},
            ],
        },
    ]
    assert object_in(document, "thinking")
    return document
