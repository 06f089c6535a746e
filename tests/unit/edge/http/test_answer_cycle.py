import asyncio
import logging

import pytest
from hypothesis import given
from hypothesis import strategies as st
from uvicorn.protocols.http.flow_control import FlowControl
from uvicorn.protocols.http.httptools_impl import RequestResponseCycle

from tollgate_edge.http.answer_cycle import AnswerCycle

WORDS = st.binary(max_size=12).map(lambda some: some.hex().encode())
FIELDS = st.lists(st.tuples(WORDS.map(lambda word: b"x-" + word), WORDS), max_size=5)
FRAMINGS = st.lists(
    st.sampled_from(
        [(b"content-length", b"4"), (b"connection", b"close"), (b"connection", b"x, Close")]
    ),
    max_size=2,
    unique_by=lambda field: field[0],
)
LOG = logging.getLogger("not used")


class Written(asyncio.Transport):
    """What an answer writes, and whether it closes."""

    def __init__(self) -> None:
        super().__init__()
        self.data = b""
        self.closed = False

    def write(self, data):
        self.data += data

    def close(self):
        self.closed = True


def answered(cycle_type, method, fields, *, keep_alive, status=200):
    """What is written of one answer, and how the connection is left."""
    written = Written()
    cycle = cycle_type(
        scope={"type": "http", "method": method},
        transport=written,
        flow=FlowControl(written),
        logger=LOG,
        access_logger=LOG,
        access_log=False,
        default_headers=[(b"date", b"today")],
        message_event=asyncio.Event(),
        expect_100_continue=True,
        keep_alive=keep_alive,
        on_response=lambda: None,
    )

    async def answer():
        await cycle.send({"type": "http.response.start", "status": status, "headers": fields})
        await cycle.send({"type": "http.response.body", "body": b"four", "more_body": False})

    asyncio.run(answer())
    return written.data, written.closed, cycle.keep_alive, cycle.waiting_for_100_continue


@given(FIELDS, FRAMINGS, st.sampled_from(["POST", "GET", "HEAD"]), st.booleans())
def test_an_answer_is_the_same_bytes_as_uvicorns(fields, framings, method, keep_alive):
    """Written in one step or field by field: the same head, body and end of the connection."""
    ours, theirs = (
        answered(kind, method, [*fields, *framings], keep_alive=keep_alive)
        for kind in (AnswerCycle, RequestResponseCycle)
    )
    assert theirs == ours


@pytest.mark.parametrize("forged", [b"a\r\nset-cookie: b", b"a\nb", b"a\0b", b"\x7f"])
def test_a_forged_field_is_never_written(forged):
    """A value, or a name, that would end its line early ends the answer."""
    length = (b"content-length", b"4")
    for field in ((b"x-name", forged), (b"x-" + forged, b"value")):
        with pytest.raises(RuntimeError):
            answered(AnswerCycle, "POST", [field, length], keep_alive=True)
