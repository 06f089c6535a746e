"""Answers of Converse, read: which events make which parts."""

import base64

import orjson
import pytest

from tests.unit.dialects.bedrock_converse import aws
from tollgate_dialects.conversation.answer import PartEnded, PartStarted
from tollgate_dialects.conversation.parts import (
    Citation,
    Opaque,
    Origin,
    Seal,
    Text,
    Thinking,
    ToolCall,
)


def delta(index=0, **members):
    return aws.event("contentBlockDelta", contentBlockIndex=index, delta=members)


def start(index=0, **members):
    return aws.event("contentBlockStart", contentBlockIndex=index, start=members)


def stop(index=0):
    return aws.event("contentBlockStop", contentBlockIndex=index)


def call(index, **members):
    return start(index, toolUse={"toolUseId": "c", "name": "f", **members})


def thought(index=0, **members):
    return delta(index, reasoningContent=members)


def parts(*frames, reason="end_turn"):
    meter, passed = aws.metered(b"".join(frames) + aws.end(reason), size=17)
    assert meter.finished
    return aws.answer_in(passed).parts


def test_only_calls_are_announced():
    """Text and thinking begin with their first piece; an empty piece begins nothing."""
    found = parts(
        aws.event("messageStart", role="assistant"),
        aws.text("", 0), stop(0),
        thought(1, text="think"), thought(1, signature="si"), thought(1, signature="g"), stop(1),
        aws.text("a", 2), aws.text("b", 2), stop(2),
        call(3), delta(3, toolUse={"input": '{"x":'}), delta(3, toolUse={"input": "1}"}), stop(3),
    )  # fmt: skip
    assert (
        Thinking("think", Opaque(Origin.ANTHROPIC, Seal.SIGNATURE, "sig")),
        Text("ab"),
        ToolCall("c", "f", '{"x":1}'),
    ) == found


def test_an_answer_of_nothing_but_calls():
    """It is one; without pieces, a call has no arguments."""
    assert (ToolCall("c", "f", "{}"),) == parts(call(0), stop(0), reason="tool_use")


def test_blocks_end_where_the_next_begins():
    """Some leave the end of a block out."""
    found = parts(aws.text("a", 0), call(1), delta(1, toolUse={"input": "{}"}), aws.text("b", 2))
    assert (Text("a"), ToolCall("c", "f", "{}"), Text("b")) == found


def test_redacted_thinking_is_anthropics_own_text():
    """Bedrock has its bytes in base64; pieces of one block are one; another's is none of ours."""
    whole = base64.b64encode(b"EtkE-redacted").decode()
    sealed = Opaque(Origin.ANTHROPIC, Seal.ENCRYPTED, "EtkE-redacted")
    assert (Thinking("", sealed), Text("a")) == parts(
        thought(0, redactedContent=whole), stop(0), aws.text("a", 1)
    )
    pieces = [base64.b64encode(piece).decode() for piece in (b"EtkE-", b"redacted")]
    assert (Thinking("", sealed),) == parts(*(thought(0, redactedContent=one) for one in pieces))
    for other in (base64.b64encode(b"\xff\xfe").decode(), "no base64!"):
        assert (Text("a"),) == parts(thought(0, redactedContent=other), stop(0), aws.text("a", 1))


def test_a_signature_alone_is_a_thinking():
    """Where its text is not shown, the block is wanted back all the same."""
    assert (Thinking("", Opaque(Origin.ANTHROPIC, Seal.SIGNATURE, "sig")),) == parts(
        thought(0, signature="sig"), stop(0)
    )


def test_tools_of_the_vendors_pass_unseen():
    """Their calls and results are no part of the conversation."""
    found = parts(
        call(0, type="server_tool_use"), delta(0, toolUse={"input": "{}"}), stop(0),
        start(1, toolResult={"toolUseId": "c", "status": "success"}),
        delta(1, toolResult=[{"text": "hidden"}]), stop(1),
        aws.text("seen", 2),
    )  # fmt: skip
    assert (Text("seen"),) == found


def test_a_citation_is_of_the_text_before_it():
    """Whether it stands in the text's block or in its own."""
    web = {"location": {"web": {"url": "https://r", "domain": "r"}}}
    search = {"title": "t", "source": "s", "sourceContent": [{"text": "q"}, {"text": "r"}]}
    found = parts(
        delta(0, citation=web), aws.text("a", 0), stop(0), delta(1, citation=web), stop(1),
        aws.text("b", 2), delta(2, citation=search), stop(2), delta(3, citation=web), stop(3),
    )  # fmt: skip
    cited = Citation(url="https://r")
    assert (
        Text("a", (cited,)),
        Text("b", (Citation("s", "t", "qr"), cited)),
    ) == found


def test_a_whole_answer_reads_like_its_stream():
    """Blocks with citations inside, and behind."""
    web = {"location": {"web": {"url": "https://r"}}}
    content = [
        {"reasoningContent": {"reasoningText": {"text": "t", "signature": "s"}}},
        {"text": "a"},
        {"citationsContent": {"citations": [web]}},
        {"citationsContent": {"content": [{"text": "b"}], "citations": [web]}},
        {"toolUse": {"toolUseId": "c", "name": "f", "input": {"x": 1}, "type": "tool_use"}},
        {"toolUse": {"toolUseId": "d", "name": "g", "input": {}, "type": "server_tool_use"}},
        {"toolResult": {"toolUseId": "d", "content": [{"text": "hidden"}]}},
        {"image": {}},
    ]
    document = {"output": {"message": {"content": content}}, "stopReason": "tool_use"}
    _, passed = aws.metered_body(orjson.dumps({**document, "usage": {}}))
    found = aws.TRANSLATION.read_answer(orjson.loads(passed)).parts
    cited = (Citation(url="https://r"),)
    assert (
        Thinking("t", Opaque(Origin.ANTHROPIC, Seal.SIGNATURE, "s")),
        Text("a", cited),
        Text("b", cited),
        ToolCall("c", "f", '{"x":1}'),
    ) == found


@pytest.mark.parametrize(
    "frames",
    [
        delta(0, toolUse={"input": "{}"}),
        aws.text("a", 0) + delta(0, toolUse={"input": "{}"}),
        aws.event("contentBlockDelta", delta={"text": "a"}),
        aws.event("contentBlockStop", contentBlockIndex="0"),
        delta(0, text=7),
        start(0, toolUse={"toolUseId": 7}),
        aws.event("contentBlockDelta", contentBlockIndex=True, delta={"text": "a"}),
    ],
)
def test_what_makes_no_sense_is_an_error(frames):
    """Arguments of no call, pieces without a place, words that are none."""
    _, passed = aws.metered(frames + aws.end())
    with pytest.raises((ValueError, KeyError, TypeError)):
        aws.answer_in(passed)


def test_text_is_told_as_it_comes():
    """A piece waits for nothing; the end of a text waits for what may yet cite it."""
    reader = aws.TRANSLATION.event_reader()
    told = reader.told({"contentBlockDelta": {"contentBlockIndex": 0, "delta": {"text": "a"}}})
    assert PartStarted(Text("")) in told
    assert 3 == len(told)
    assert [] == reader.told({"contentBlockStop": {"contentBlockIndex": 0}})
    told = reader.told({"contentBlockDelta": {"contentBlockIndex": 1, "delta": {"text": "b"}}})
    assert PartEnded() == told[0]
