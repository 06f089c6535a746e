"""The split of a stream into what may leave and its terminal event."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tollgate_dialects.common import sse
from tollgate_edge.api.call.event_tail import EventTail
from tollgate_edge.api.faces.anthropic_api import FACE as ANTHROPIC
from tollgate_edge.api.faces.openai_api import FACE as OPENAI

STREAMS = [
    (OPENAI, [b'data: {"a":1}\n\n', b": ping\n\n", b'data: {"b":"[DONE]"}\n\n'],
     b"data: [DONE]\n\n"),
    (OPENAI, [b'data: {"a":1}\r\n\r\n'], b"data: [DONE]\r\n\r\n"),
    (OPENAI, [b'id: 1\ndata: {"a":1}\n\n'], b"id: 2\ndata:[DONE]\n\n"),
    (ANTHROPIC, [b'event: message_start\ndata: {"x":"event: message_stop"}\n\n',
                 b"event: ping\ndata: {}\n\n"],
     b'event: message_stop\ndata: {"type":"message_stop"}\n\n'),
]  # fmt: skip


@given(st.sampled_from(STREAMS), st.data())
def test_however_it_is_cut_only_the_terminal_event_is_held(stream, draw):
    """Any split of the bytes into reads: all but the terminal event leaves, unchanged, in order."""
    face, events, terminal = stream
    whole = b"".join(events) + terminal
    cuts = sorted(draw.draw(st.lists(st.integers(0, len(whole)), max_size=12)))
    tail = EventTail(face.dialect.answer.end)
    sent = b""
    for start, stop in zip([0, *cuts], [*cuts, len(whole)], strict=True):
        sent += tail.feed(whole[start:stop])
        assert b"".join(events).startswith(sent)
    assert (b"".join(events), terminal, b"") == (sent, tail.held, tail.part)


@pytest.mark.parametrize(("face", "events", "terminal"), STREAMS)
def test_a_whole_event_never_waits(face, events, terminal):
    """No event but the terminal one is delayed by even one read."""
    tail = EventTail(face.dialect.answer.end)
    for event in events:
        assert event == tail.feed(event)


def test_what_comes_after_the_terminal_event_is_dropped():
    """An upstream cannot send on after its end."""
    tail = EventTail(OPENAI.dialect.answer.end)
    assert b"" == tail.feed(b"data: [DONE]\n\ndata: more\n\n")
    assert b"" == tail.feed(b"data: yet more\n\n")
    assert b"data: [DONE]\n\n" == tail.held


def test_a_stream_without_terminal_event_ends_with_its_part():
    """What was begun and never ended is told apart, so that an error can replace it."""
    tail = EventTail(OPENAI.dialect.answer.end)
    assert b"data: 1\n\n" == tail.feed(b"data: 1\n\ndata: {half")
    assert (b"", b"data: {half") == (tail.held, tail.part)


@pytest.mark.parametrize(
    "end",
    [b"data:  [DONE]\n\n", b"data:\t[DONE]\n\n", b"data:[DONE]\r\r", b"\xef\xbb\xbfdata: [DONE]\n\n",
     b": x\ndata: [DONE] \r\n\r\n", b"event: x\ndata: data: [DONE]\n\n"],
)  # fmt: skip
@pytest.mark.parametrize("size", [1, 5, 1000])
def test_case_R3_no_spelling_of_the_end_leaves_before_the_record(end, size):
    """Spaces, tabs, CR line ends, other fields: what a client may take for the end is held."""
    whole = b"data: 1\n\n" + end + b"data: 2\n\n"
    tail = EventTail(OPENAI.dialect.answer.end)
    sent = b"".join(tail.feed(whole[at : at + size]) for at in range(0, len(whole), size))
    assert (b"data: 1\n\n", end) == (sent, tail.held)


def test_an_oversized_event_is_refused():
    """Router passes no event above the bound: memory stays bounded here too."""
    tail = EventTail(OPENAI.dialect.answer.end)
    with pytest.raises(sse.FrameTooLongError):
        tail.feed(b"data: " + b"x" * (sse.MAX_FRAME_BYTES + 10))


def test_without_a_last_event_all_from_the_end_of_the_answer_on_is_held():
    """A protocol whose last document is like any other: nothing of its end leaves early."""
    end = sse.StreamEnd(
        frame=b"",
        marker=b'"why"',
        is_last=lambda event: b'"why":"' in event.data,
        is_document=True,
        waits=True,
    )
    tail = EventTail(end)
    sent = tail.feed(b'data: {"why":null}\n\ndata: {"why":"x"}\n\n') + tail.feed(b"data: {}\n\n")
    assert (b'data: {"why":null}\n\n', b'data: {"why":"x"}\n\ndata: {}\n\n') == (sent, tail.held)
    with pytest.raises(sse.FrameTooLongError):
        for _ in range(3):
            tail.feed(b"data: " + b"x" * (sse.MAX_FRAME_BYTES // 2) + b"\n\n")
