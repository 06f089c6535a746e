"""The reader of events: what is read in one step is what is read line by line."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tollgate_dialects.common import sse

# Lines of frames as vendors write them, and as nobody should.
LINES = st.sampled_from(
    [
        b"id:1",
        b"id: 1",
        b"event:result",
        b"event: message_stop",
        b"event:  padded ",
        b"event:",
        b": comment",
        b":HTTP_STATUS/200",
        b"retry: 3",
        b"data",
        b"data:",
        b"data: ",
        b'data: {"a":1}',
        b'data:{"a":1}',
        b'data:  {"a":1} ',
        b"data: data: twice",
        b"data:data: twice",
        b"data:\x0b data:twice",
        b'{"error":{}}',
        b"\xef\xbb\xbfdata: x",
    ]
)
FRAMES = st.lists(LINES, min_size=1, max_size=5).map(lambda lines: b"\n".join(lines) + b"\n\n")


@given(FRAMES)
def test_an_event_is_the_same_whatever_ends_its_lines(frame):
    """Frames with LF may be read in one step, those with CRLF are always read line by line."""
    assert sse.parse(frame.replace(b"\n", b"\r\n")) == sse.parse(frame)


@given(st.lists(FRAMES | st.sampled_from([b"\n", b"\r\n", b"\n\n\n"]), max_size=4).map(b"".join))
def test_events_are_those_of_the_frames_one_by_one(frames):
    """Each frame has its event, in order, and what is between frames has none."""
    found, position = [], 0
    while position < len(frames):
        start, position = sse.frame_at(frames, position)
        if start < position:
            found.append(sse.parse(frames[start:position]))
    assert found == list(sse.events(frames))


@pytest.mark.parametrize(
    ("frame", "is_simple"),
    [
        (b"data: x\n\n", True),
        (b"event: message\ndata: x\n\n", True),
        (b"event:message\ndata: x\n\n", False),
        (b"data:x\n\n", False),
        (b"id:1\ndata: x\n\n", False),
        (b": comment\ndata: x\n\n", False),
    ],
)
def test_a_simple_frame_is_its_name_and_its_data(frame, is_simple):
    """With anything else in it, or without the blanks that are always written, it is none."""
    event = sse.parse(frame)
    assert (b"x", is_simple) == (event.data, event.is_simple)


@pytest.mark.parametrize("blank", [b"\n\n", b"\r\n\r\n", b"\r\r", b"\n\r\n", b"\r\n\n"])
def test_a_frame_ends_at_its_first_blank_line_however_that_is_written(blank):
    """A later frame with LF does not hide the end of an earlier one."""
    frames = b"data: a" + blank + b"data: b\n\n"
    assert [b"a", b"b"] == [event.data for event in sse.events(frames)]
