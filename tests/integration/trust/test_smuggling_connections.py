"""Lines, hosts, versions, ends and segments: RFC 9112 on the public listener, over raw sockets."""

import contextlib

import pytest

from tests.fakes.edge import CHAT
from tests.integration.trust.fronts import (
    fresh,
    no_tail_is_served,
    others_get_their_own,
    served,
    usable,
)
from tests.integration.trust.raw_http import NoAnswerError, Wire
from tests.integration.trust.smuggling_cases import H2C, TAIL_MARKER, call, chunked

# ---- lines, targets, hosts -----------------------------------------------------------------------


@pytest.mark.parametrize(
    ("section", "change"),
    [
        ("RFC 9112 5.2", lambda text: text.replace(b"Host: x", b"X-A: a\r\n b\r\nHost: x", 1)),
        ("RFC 9112 2.2", lambda text: text.replace(b"\r\n", b"\n")),
        ("RFC 9112 2.2", lambda text: text.replace(b"Host: x\r\n", b"Host: x\nX-A: b\r\n", 1)),
        ("RFC 9112 3", lambda text: text.replace(b" /", b"  /", 1)),
        ("RFC 9112 3", lambda text: text.replace(b" HTTP/1.1", b"  HTTP/1.1", 1)),
    ],
    ids=["obs-fold", "bare LF everywhere", "one bare LF", "two spaces", "two more spaces"],
)
def test_what_a_recipient_may_take_or_refuse(port, section, change):
    """Folds, bare LFs, more spaces: 400 and the end, or served like any other; one answer."""
    marker = fresh()
    with Wire(port) as wire:
        answer = wire.send(change(call(marker))).answer()
        if answer.status == 200:
            assert marker == answer.marker, section
            usable(wire)
        else:
            assert (400, True) == (answer.status, wire.is_closed()), section


@pytest.mark.parametrize("scheme", ["http", "https", "HTTP"])
def test_an_absolute_target_wins_over_host(port, scheme):
    """RFC 9112 §3.2.2: an origin server takes the absolute form, and ignores Host for it."""
    marker = fresh()
    with Wire(port) as wire:
        target = f"{scheme}://elsewhere.example:81{CHAT}"
        served(wire.send(call(marker, path=target, host=b"another.example")), marker)
        usable(wire)


def test_the_asterisk_form_gets_one_answer(port):
    """RFC 9112 §3.2.4: `OPTIONS *` is about the server: one answer, whatever it says."""
    with Wire(port) as wire:
        wire.send(b"OPTIONS * HTTP/1.1\r\nHost: x\r\n\r\n")
        if not wire.answer().closes:
            usable(wire)


@pytest.mark.parametrize("host", [b"", b"x:1", b"[::1]:80", b"a.example"])
def test_a_host_that_is_one(port, host):
    """RFC 9112 §3.2: names, addresses, ports, and the empty one of a target without authority."""
    marker = fresh()
    with Wire(port) as wire:
        served(wire.send(call(marker, host=host)), marker)


def test_an_empty_line_before_a_request_is_passed_over(port):
    """RFC 9112 §2.2: at least one empty line before a request line is ignored."""
    marker = fresh()
    with Wire(port) as wire:
        served(wire.send(b"\r\n" + call(marker)), marker)
        served(wire.send(b"\r\n" + call(marker)), marker)


# ---- connections ---------------------------------------------------------------------------------


@pytest.mark.parametrize("stream", [False, True], ids=["unary", "stream"])
def test_pipelined_calls_are_answered_in_order(port, stream):
    """RFC 9112 §9.3.2: three calls in one segment: three answers, in their order."""
    markers = [fresh() for _ in range(3)]
    with Wire(port) as wire:
        wire.send(b"".join(call(marker, stream=stream) for marker in markers))
        for marker in markers:
            served(wire, marker)
        usable(wire)


@pytest.mark.parametrize("stream", [False, True], ids=["unary", "stream"])
def test_what_is_malformed_is_not_the_answer_to_what_came_before(port, stream):
    """RFC 9112 §9.3.2: a good call and nonsense in one segment: its own answer first, then the 400."""
    marker = fresh()
    with Wire(port) as wire:
        served(wire.send(call(marker, stream=stream) + b"nonsense\r\n\r\n"), marker)
        assert (400, True) == (wire.answer().status, wire.is_closed())


def test_what_is_malformed_is_not_written_into_a_stream(port):
    """RFC 9112 §9.3.2: nonsense that comes while a stream is on its way does not stand in it."""
    marker = f"slow-{fresh()}"
    with Wire(port) as wire:
        wire.send(call(marker, stream=True), b"nonsense\r\n\r\n", pause_s=0.15)
        answer = served(wire, marker)
        assert answer.body.endswith(b"data: [DONE]\n\n")
        assert (400, True) == (wire.answer().status, wire.is_closed())


def test_close_ends_the_connection_after_its_answer(edge, port):
    """RFC 9112 §9.6: after `Connection: close` nothing that follows is served."""
    marker = fresh()
    with no_tail_is_served(edge), Wire(port) as wire:
        wire.send(call(marker, b"Connection: close") + call(TAIL_MARKER))
        assert served(wire, marker).closes
        assert wire.is_closed()


def test_case_P11_a_client_of_http_1_0(edge, port):
    """RFC 9112 §9.3, §6.1: a length and the end of the connection; nothing after it is served."""
    for host in (b"x", None):
        marker = fresh()
        with no_tail_is_served(edge), Wire(port) as wire:
            wire.send(call(marker, version="1.0", host=host) + call(TAIL_MARKER))
            answer = served(wire, marker)
            assert ("length", True) == (answer.framing, wire.is_closed())


def test_chunked_in_http_1_0_ends_the_connection(edge, port):
    """RFC 9112 §6.1: its framing is faulty: refused or answered once, and then the end."""
    for line in ((), (b"Connection: keep-alive",)):
        marker = fresh()
        with no_tail_is_served(edge), Wire(port) as wire:
            request = chunked(marker, *line, version="1.0")
            assert wire.send(request + call(TAIL_MARKER)).answer().status in (200, 400)
            assert wire.is_closed()


@pytest.mark.parametrize("line", [(), (b"Connection: keep-alive",)], ids=["plain", "keep-alive"])
def test_case_P11_a_stream_to_a_client_of_http_1_0(port, line):
    """RFC 9112 §6.1, §6.3: no chunked coding for HTTP/1.0: the end of the connection ends it."""
    marker = fresh()
    with Wire(port) as wire:
        answer = served(wire.send(call(marker, *line, version="1.0", stream=True)), marker)
        assert ("close", True) == (answer.framing, answer.body.endswith(b"data: [DONE]\n\n"))


def test_case_P11_keep_alive_of_http_1_0_is_kept_only_if_said(port):
    """RFC 9112 §9.3, appendix C.2.2: it persists when the answer says keep-alive, else it ends."""
    marker = fresh()
    with Wire(port) as wire:
        answer = served(wire.send(call(marker, b"Connection: keep-alive", version="1.0")), marker)
        if "keep-alive" in answer.headers.get("connection", "").lower():
            usable(wire)
        else:
            assert wire.is_closed()


@pytest.mark.parametrize("stream", [False, True], ids=["unary", "stream"])
def test_case_P19_a_half_closed_client_is_answered_in_full(port, stream):
    """RFC 9112 §9.6: a client that will send nothing more still reads; fifty times out of fifty."""
    for _ in range(50):
        marker = fresh()
        with Wire(port) as wire:
            answer = served(wire.send(call(marker, stream=stream)).half_close(), marker)
            assert not stream or answer.body.endswith(b"data: [DONE]\n\n")
            assert wire.is_closed()


def test_case_P19_a_half_closed_client_in_other_states(port):
    """RFC 9112 §9.6, §8: after three pipelined calls, three answers; in the middle of one, an end."""
    markers = [fresh() for _ in range(3)]
    with Wire(port) as wire:
        wire.send(b"".join(map(call, markers))).half_close()
        for marker in markers:
            served(wire, marker)
        assert wire.is_closed()
    whole = call(fresh())
    for cut in (0, 1, 40, whole.index(b"\r\n\r\n") + 4, len(whole) - 1):
        with Wire(port) as wire:
            rest, ended = wire.send(whole[:cut]).half_close().rest()
            assert ended
            assert b" 200 " not in rest


def test_case_P19_half_closed_clients_behind_a_proxy(proxy):
    """RFC 9112 §9.6: the same through nginx, which may hang up; nobody gets another's answer."""
    for _ in range(10):
        marker = fresh()
        with Wire(proxy) as wire, contextlib.suppress(NoAnswerError):
            served(wire.send(call(marker)).half_close(), marker)
        others_get_their_own(proxy)


# ---- segments ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "make",
    [
        call,
        lambda marker: chunked(marker, b"Trailer: x"),
        lambda marker: call(marker, *H2C),
    ],
    ids=["length", "chunked", "h2c"],
)
def test_a_request_may_be_cut_anywhere(port, make):
    """RFC 9112 §2: a request is octets, not segments: every cut in two, on one connection."""
    with Wire(port) as wire:
        for cut in range(1, len(make("marker-0000"))):
            marker = f"marker-{cut:04d}"
            whole = make(marker)
            served(wire.send(whole[:cut], whole[cut:], pause_s=0.0005), marker)


def test_a_request_may_come_byte_by_byte(port):
    """RFC 9112 §2: the same, and no byte of the next one is lost."""
    with Wire(port) as wire:
        for make in (call, chunked):
            one, two = fresh(), fresh()
            whole = make(one) + make(two)
            wire.send(*(bytes([byte]) for byte in whole), pause_s=0.0002)
            served(wire, one)
            served(wire, two)


def test_a_reset_client_leaves_nothing_behind(proxy):
    """RFC 9112 §9.5: a client that resets in the middle of its body spoils nobody's answer."""
    whole = call(fresh())
    for cut in (40, len(whole) - 5, len(whole)):
        with Wire(proxy) as wire:
            wire.send(whole[:cut]).reset()
        others_get_their_own(proxy)
