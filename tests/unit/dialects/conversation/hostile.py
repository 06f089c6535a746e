"""Hostile streams: what every protocol's have in common, and what has to become of one."""

import json
import pickle
import time

from tests.unit.dialects.conversation import across
from tollgate_dialects.answer.meter import StreamMeter
from tollgate_dialects.common import sse
from tollgate_dialects.common.protocol import Protocol
from tollgate_dialects.conversation.machine import IllegalEventError, Machine
from tollgate_dialects.conversation.stream import StreamTranslator
from tollgate_dialects.registry import DIALECTS, UPSTREAM_DIALECTS

TARGETS = (
    Protocol.OPENAI_CHAT, Protocol.OPENAI_RESPONSES, Protocol.ANTHROPIC_MESSAGES,
    Protocol.GEMINI, Protocol.DASHSCOPE,
)  # fmt: skip
EVIL = "ev1l-marker"
# Of what is kept of one stream, and of processor time that one may take.
STATE_BYTES_MAX = 6 << 20
SECONDS_MAX = 5.0
# How often what a vendor says once is said.
FLOOD = 1_000


def bytes_of_any(begin, end):
    """What no protocol has, and the beginning and end of one where it has them once."""
    evil = json.dumps({"type": "error", "error": {"type": "evil", "message": EVIL}}).encode()
    return {
        "error event": b"event: error\ndata: " + evil + b"\n\n",
        "error event without a space": b"event:error\ndata:" + evil + b"\n\n",
        "error as data": b"data: " + evil + b"\n\n",
        "error over two lines": b'data: {"error":\ndata: ' + evil + b"}\n\n",
        "error with CR": b"event: error\rdata: " + evil + b"\r\r",
        "error behind a mark": b"\xef\xbb\xbfevent: error\ndata: " + evil + b"\n\n",
        "error that is no JSON": b"event: error\ndata: " + EVIL.encode() + b"\n\n",
        "html": b"<html><body>" + EVIL.encode() + b"</body></html>\n\n",
        "HTTP head": b"HTTP/1.1 200 OK\r\n\r\n" + EVIL.encode() + b"\n\n",
        "after the end": end + b"data: " + evil + b"\n\n",
        "a second end": end * 2,
        "2 MB without a line end": b"data: " + EVIL.encode() + b"x" * (2 << 20),
        "2 MB in one event": b"data: " + EVIL.encode() + b"x" * (2 << 20) + b"\n\n",
        "2 MB event name": b"event: " + EVIL.encode() + b"x" * (2 << 20) + b"\ndata: {}\n\n",
        "NUL": b"\x00" * 50 + EVIL.encode() + b"\n\n",
        "field without a colon": EVIL.encode() + b"\n\n",
        "no object": b"data: [1]\n\ndata: 1\n\ndata: null\n\n",
        "nested 5000 deep": b"data: " + b'{"a":' * 5_000 + b"1" + b"}" * 5_000 + b"\n\n",
        "another beginning": begin,
        "no UTF-8": b'data: {"a":"\xff\xfe"}\n\n',
    }


def assert_legal(target, out, *, finished):
    """Whole frames, in the order of the protocol, with one end or none."""
    reader, machine, position = DIALECTS[target].translation.event_reader(), Machine(), 0
    assert not out or out.endswith(b"\n\n")
    while position < len(out):
        start, position = sse.frame_at(out, position)
        for told in reader.read(sse.parse(out[start:position])):
            machine.check(told)
    for told in reader.close():
        machine.check(told)
    assert finished is machine.finished


def tell(source, target, raw):
    """Whether a stream came to the client's legal end; it is told in order or cut before any."""
    dialect = UPSTREAM_DIALECTS[source]
    meter = StreamMeter(dialect.answer)
    translator = StreamTranslator(
        dialect.translation.event_reader(),
        DIALECTS[target].translation.event_writer(across.context()),
    )
    told, at = b"", 0
    began = time.process_time()
    try:
        while at < len(raw):
            told += translator.feed(meter.feed(raw[at : at + 65_536]), meter.usage)
            at += 65_536
        told += translator.feed(meter.finish(), meter.usage)
    except IllegalEventError:
        assert not translator.finished
    assert time.process_time() - began < SECONDS_MAX
    assert EVIL.encode() not in told
    assert len(pickle.dumps(vars(translator))) < STATE_BYTES_MAX
    assert_legal(target, told, finished=translator.finished)
    return translator.finished
