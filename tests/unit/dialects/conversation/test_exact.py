"""What a model wrote arrives as it wrote it: long numbers, and what is no character."""

import pytest

from tests.unit.dialects.conversation import across
from tests.unit.dialects.conversation.across import CHAT, DASHSCOPE, MESSAGES, PAIRS, RESPONSES
from tollgate_dialects.common import documents
from tollgate_dialects.conversation.parts import ToolCall
from tollgate_dialects.conversation.translation import Target
from tollgate_dialects.registry import DIALECTS

LONG = "123456789012345678901234567890"
ARGUMENTS = f'{{"id":{LONG},"negative":-{LONG}}}'
BOTH = pytest.mark.parametrize(("source", "target"), PAIRS, ids=lambda protocol: protocol.value)


def asking(protocol):
    """A conversation in which a tool was called with a long number."""
    if protocol is MESSAGES:
        block = f'{{"type":"tool_use","id":"c","name":"f","input":{ARGUMENTS}}}'
        items = f'"max_tokens":9,"messages":[{{"role":"assistant","content":[{block}]}}]'
    elif protocol in (CHAT, DASHSCOPE):
        function = documents.written({"name": "f", "arguments": ARGUMENTS}).decode()
        call = f'{{"id":"c","type":"function","function":{function}}}'
        items = f'"messages":[{{"role":"assistant","tool_calls":[{call}]}}]'
        if protocol is DASHSCOPE:
            items = f'"input":{{{items}}}'
    else:
        call = {"type": "function_call", "call_id": "c", "name": "f", "arguments": ARGUMENTS}
        items = f'"input":[{documents.written(call).decode()}]'
    return f'{{"model":"m",{items}}}'.encode()


@BOTH
def test_a_requests_numbers_keep_their_digits(source, target):
    """Calls of earlier turns, where arguments are text and where they are an object."""
    request = DIALECTS[source].translation.read_request(documents.exact(asking(source)))
    written = DIALECTS[target].translation.write_request(request, Target("m", 99))
    sent = documents.written(written.document)
    assert LONG.encode() in sent
    assert f"-{LONG}".encode() in sent


@BOTH
def test_a_streams_numbers_keep_their_digits(source, target):
    """Fragments pass as they are."""
    answer = across.answered(ToolCall("c", "f", ARGUMENTS))
    out, _ = across.told(source, target, across.frames(source, answer))
    (call,) = across.added_up(target, out).parts
    assert ARGUMENTS == call.arguments


@BOTH
def test_a_whole_answers_numbers_keep_their_digits(source, target):
    """Also where the meter has to write the body anew, for it has what no client is shown."""
    call = ToolCall("c", "f", ARGUMENTS)
    writer = DIALECTS[source].translation.write_answer
    document = writer(across.answered(call), across.USAGE, across.context())
    raw = documents.written({**document, "secret": 1})
    told = documents.written(across.whole(source, target, raw))
    assert LONG.encode() in told


def test_arguments_that_came_as_an_object_keep_their_digits():
    """Some vendors write an object where a chat has text, or all of it in a block's start."""
    chat = (
        b'data: {"choices":[{"index":0,"delta":{"tool_calls":[{"index":0,"id":"c","type":'
        b'"function","function":{"name":"f","arguments":%b}}]}}]}\n\ndata: {"choices":[{"index":0,'
        b'"delta":{},"finish_reason":"tool_calls"}]}\n\ndata: [DONE]\n\n' % ARGUMENTS.encode()
    )
    out, _ = across.told(CHAT, MESSAGES, chat)
    assert ARGUMENTS == across.added_up(MESSAGES, out).parts[0].arguments
    frames = across.frames(MESSAGES, across.answered(ToolCall("c", "f", "{}")))
    frames = frames.replace(b'"partial_json":"{}"', b'"partial_json":""')
    frames = frames.replace(b'"input":{}', b'"input":' + ARGUMENTS.encode())
    out, _ = across.told(MESSAGES, RESPONSES, frames)
    assert ARGUMENTS == across.added_up(RESPONSES, out).parts[0].arguments


@BOTH
def test_half_of_a_pair_ends_no_stream(source, target):
    """It becomes U+FFFD; what follows it is told as ever."""
    raw = across.frames(source, across.answered("a HALF b")).replace(b"HALF", rb"\ud83d")
    out, finished = across.told(source, target, raw)
    assert finished
    assert "a \ufffd b" == across.added_up(target, out).parts[0].text


@BOTH
def test_half_of_a_pair_spoils_no_whole_answer(source, target):
    """The same in one piece."""
    writer = DIALECTS[source].translation.write_answer
    document = writer(across.answered("a HALF b"), across.USAGE, across.context())
    raw = documents.written(document).replace(b"HALF", rb"\ude00")
    assert "a \ufffd b" in documents.written(across.whole(source, target, raw)).decode()
