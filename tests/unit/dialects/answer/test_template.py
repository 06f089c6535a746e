"""Shapes that streams of one upstream share: what one has taught, the next one passes unread."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tollgate_dialects.answer import schema as answer_schema
from tollgate_dialects.answer.meter import StreamMeter
from tollgate_dialects.answer.template import Shapes
from tollgate_dialects.common.protocol import Protocol
from tollgate_dialects.registry import DIALECTS

OPENAI = DIALECTS[Protocol.OPENAI_CHAT].answer


def text(index: int, word: str = "abc", **more: object) -> bytes:
    choice = {"index": index, "delta": {"content": word}, "finish_reason": None}
    return b"data: %b\n\n" % json.dumps({"id": "a", "choices": [choice], **more}).encode()


def last(index: int) -> bytes:
    choice = {"index": index, "delta": {}, "finish_reason": "stop"}
    return b"data: %b\n\n" % json.dumps({"id": "a", "choices": [choice]}).encode()


def taught(*frames: bytes) -> Shapes:
    shapes = Shapes()
    meter = StreamMeter(OPENAI, shapes=shapes)
    for frame in frames:
        assert frame == meter.feed(frame)
    return shapes


def test_what_one_stream_taught_passes_in_the_next():
    """Byte for byte, counted as text, and only where the shape is the same."""
    shapes = taught(text(0))
    assert shapes.match(text(0, "other words"), 0) is not None
    assert shapes.match(text(1), 0) is None
    assert shapes.match(text(0, choices=[]), 0) is None
    meter = StreamMeter(OPENAI, shapes=shapes)
    frames = text(0, "four") * 3
    assert frames == meter.feed(frames)
    assert (True, 4) == (meter.produced, meter.output_units)


def test_a_choice_of_a_known_shape_must_end_as_well():
    """One of two choices has ended: the stream that stops there is not complete."""
    shapes = taught(text(0), text(1))
    meter = StreamMeter(OPENAI, shapes=shapes)
    meter.feed(text(0) + text(1) + last(0))
    assert b"" == meter.finish()
    assert not meter.finished
    meter = StreamMeter(OPENAI, shapes=shapes)
    meter.feed(text(0) + last(0) + text(1))
    meter.finish()
    assert not meter.finished
    meter = StreamMeter(OPENAI, shapes=shapes)
    meter.feed(text(0) + text(1) + last(0) + last(1))
    meter.finish()
    assert meter.finished


def test_shapes_are_bounded_and_the_latest_are_kept():
    """An upstream that changes its frames for ever costs no memory and no patience."""
    shapes = Shapes()
    names = [f"x{'y' * count}" for count in range(40)]
    for name in names:
        shapes.learn(text(0, **{name: None}), OPENAI.vocabulary, [0])
    assert shapes.match(text(0, **{names[0]: None}), 0) is None
    assert shapes.match(text(0, **{names[-1]: None}), 0) is not None


@pytest.mark.parametrize("kind", [OPENAI.body, DIALECTS[Protocol.ANTHROPIC_MESSAGES].answer.body])
@given(data=st.data())
def test_what_is_kept_of_an_answer_is_kept_again(kind, data):
    """The quick look and the slow one agree: what was kept holds nothing to drop."""
    names = st.sampled_from(
        ["id", "choices", "delta", "content", "usage", "role", "index", "odd", "type", "tool_calls",
         "function", "name", "text", "reasoning", "citations"]
    )  # fmt: skip
    value = st.recursive(
        st.one_of(st.none(), st.integers(), st.text(max_size=3), st.booleans()),
        lambda inner: st.lists(inner, max_size=3) | st.dictionaries(names, inner, max_size=5),
        max_leaves=25,
    )
    document = data.draw(st.dictionaries(names, value, max_size=6))
    before = json.dumps(document)
    kept = answer_schema.kept(document, kind)
    assert before == json.dumps(document)
    assert kept is None or answer_schema.kept(kept, kind) is kept
    if kept is not document and kept is not None:
        assert kept != document or len(before) != len(json.dumps(kept))


@pytest.mark.parametrize(
    "odd",
    [
        b'{"choices":[{"index":0,"delta":{"content":"\\uZZZZ"}}],"created":1}',
        b'{"choices":[{"index":0,"delta":{"content":"\\ud83d"}}],"created":1}',
        b'{"choices":[{"index":0,"delta":{"content":"hi"}}],"created":007}',
        b'{"choices":[{"index":0,"delta":{"content":"\xed\xa0\xbd"}}],"created":1}',
    ],
    ids=["escape", "half", "number", "bytes"],
)
def test_what_is_no_json_is_never_of_a_known_shape(odd):
    """A frame that a reader would refuse or mend is read, whatever others have taught."""
    shapes = Shapes()
    plain = b'data: {"choices":[{"index":0,"delta":{"content":"hi"}}],"created":1}\n\n'
    shapes.learn(plain, OPENAI.vocabulary, [0])
    assert shapes.match(plain, 0) is not None
    assert shapes.match(b"data: %b\n\n" % odd, 0) is None


def chunk(
    index: int = 0, finish: str | None = None, usage: object = None, **delta: object
) -> bytes:
    choice = {"index": index, "delta": delta, "finish_reason": finish}
    document = {"id": "a", "created": 7, "choices": [choice], "usage": usage}
    return b"data: %b\n\n" % json.dumps(document, separators=(",", ":")).encode()


USED = {"prompt_tokens": 3, "completion_tokens": 4}
FRAMES = [
    chunk(role="assistant", content=""), chunk(content="some"), chunk(content="more words"),
    chunk(1, content="other"), chunk(reasoning_content="hm"), chunk(content='a "quoted" \n'),
    chunk(tool_calls=[{"index": 0, "function": {"arguments": "{}"}}]),
    chunk(tool_calls=[{"index": 1, "function": {"arguments": "{}"}}]),
    chunk(finish="stop"), chunk(1, "stop"), chunk(finish=""), chunk(usage=USED, content="x"),
    chunk(finish="stop", usage=USED), b'data: {"choices":[],"usage":%b}\n\n' % json.dumps(USED).encode(),
    b'data: {"choices":[],"usage":null}\n\n', b"data: [DONE]\n\n", b": beat\n\n", b"\n",
    b'data: {"error":{"message":"no"}}\n\n', b'data: {"object":"hook_results"}\n\n', chunk(content="x", secret_member="y"),
    b'data: {"choices":[{"index":0,"index":1,"delta":{"content":"twice"}}]}\n\n',
]  # fmt: skip


@given(
    st.lists(st.lists(st.sampled_from(FRAMES), max_size=8), max_size=6),
    st.lists(st.sampled_from(FRAMES), max_size=12),
    st.integers(1, 400),
    st.booleans(),
)
def test_a_stream_means_the_same_whatever_others_have_taught(earlier, frames, size, strip):
    """Bytes, end, error and usage are those of a stream that is read frame by frame."""
    shapes = Shapes()
    for stream in earlier:
        meter = StreamMeter(OPENAI, strip_usage=strip, shapes=shapes)
        meter.feed(b"".join(stream))
        meter.finish()

    def seen(shapes: Shapes | None):
        meter = StreamMeter(OPENAI, strip_usage=strip, shapes=shapes)
        raw = b"".join(frames)
        passed = b"".join(meter.feed(raw[at : at + size]) for at in range(0, len(raw), size))
        passed += meter.finish()
        return (
            passed, meter.finished, meter.error is None, meter.usage, meter.usage_source,
            meter.produced, meter.has_final_usage,
        )  # fmt: skip

    class Nothing(Shapes):
        def match(self, frames, position):
            return None

    assert seen(Nothing()) == seen(shapes)
