"""The split of a stream into what may leave and its terminal event."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tollgate_edge.anthropic_api import FACE as ANTHROPIC
from tollgate_edge.event_tail import PART_BYTES_MAX, EventTail
from tollgate_edge.openai_api import FACE as OPENAI

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
    tail = EventTail(face.terminal_lines)
    sent = b""
    for start, stop in zip([0, *cuts], [*cuts, len(whole)], strict=True):
        sent += tail.feed(whole[start:stop])
        assert b"".join(events).startswith(sent)
    assert (b"".join(events), terminal, b"") == (sent, tail.held, tail.part)


@pytest.mark.parametrize(("face", "events", "terminal"), STREAMS)
def test_a_whole_event_never_waits(face, events, terminal):
    """No event but the terminal one is delayed by even one read."""
    tail = EventTail(face.terminal_lines)
    for event in events:
        assert event == tail.feed(event)


def test_what_comes_after_the_terminal_event_is_dropped():
    """An upstream cannot send on after its end."""
    tail = EventTail(OPENAI.terminal_lines)
    assert b"" == tail.feed(b"data: [DONE]\n\ndata: more\n\n")
    assert b"" == tail.feed(b"data: yet more\n\n")
    assert b"data: [DONE]\n\n" == tail.held


def test_a_stream_without_terminal_event_ends_with_its_part():
    """What was begun and never ended is told apart, so that an error can replace it."""
    tail = EventTail(OPENAI.terminal_lines)
    assert b"data: 1\n\n" == tail.feed(b"data: 1\n\ndata: {half")
    assert (b"", b"data: {half") == (tail.held, tail.part)


@given(st.integers(1, 5), st.integers(0, 4))
def test_an_oversized_event_passes_and_the_terminal_one_is_still_found(reads, shift):
    """A line above the bound is let through as it comes; memory stays bounded."""
    tail = EventTail(OPENAI.terminal_lines)
    big = b"data: " + b"x" * (PART_BYTES_MAX + 10) + b"\n\n"
    whole = big + b"data: 2\n\ndata: [DONE]\n\n"
    cut = len(big) - shift
    sent = tail.feed(whole[: PART_BYTES_MAX + 8])
    assert len(sent) > PART_BYTES_MAX
    sent += tail.feed(whole[PART_BYTES_MAX + 8 : cut])
    for start in range(cut, len(whole), reads):
        sent += tail.feed(whole[start : start + reads])
        assert len(tail.part) <= PART_BYTES_MAX
    assert (big + b"data: 2\n\n", b"data: [DONE]\n\n") == (sent, tail.held)
