"""One request, one answer, to whom it belongs: RFC 9112 and RFC 9110 on the public listener.

Black box, over raw sockets: the edge as in production before services that echo, spoken to directly
and through nginx with one kept-alive connection, where what a client leaves over meets the next.
"""

import contextlib

import pytest

from tests.fakes.edge import OTHER_KEY
from tests.integration.trust.fronts import (
    fresh,
    no_tail_is_served,
    others_get_their_own,
    served,
    usable,
)
from tests.integration.trust.raw_http import NoAnswerError, Wire
from tests.integration.trust.smuggling_cases import (
    H2C,
    REFUSED,
    TAIL_MARKER,
    WEBSOCKET,
    Case,
    asks,
    call,
    chunked,
    chunks,
)
from tollgate_edge.http.protocol import PIPELINED_MAX

OFFERS = pytest.mark.parametrize(
    "offer",
    [H2C, WEBSOCKET, (b"Upgrade: h2c",), (b"Connection: upgrade", b"Upgrade: TLS/1.0, h2c")],
    ids=["h2c", "websocket", "without Connection", "a list"],
)

# ---- what is refused -----------------------------------------------------------------------------


@pytest.mark.parametrize("case", REFUSED, ids=lambda case: case.name)
def test_what_can_be_read_in_two_ways_is_refused_once(edge, port, case: Case):
    """Two readers could differ (the section stands with the case): one error, then the end."""
    with no_tail_is_served(edge), Wire(port) as wire:
        answer = wire.send(case.request).answer()
        assert 400 <= answer.status < 600, case.section
        assert wire.is_closed(), case.section


@pytest.mark.parametrize("case", REFUSED, ids=lambda case: case.name)
def test_no_client_behind_a_proxy_gets_anothers_answer(edge, proxy, case: Case):
    """RFC 9112 §11.2: the same inputs through nginx; whoever comes next is answered his own."""
    with Wire(proxy) as wire, contextlib.suppress(NoAnswerError):
        first = wire.send(case.request).answer()
        assert first.marker in ("", "attack")
    others_get_their_own(proxy)


# ---- offers to change the protocol ---------------------------------------------------------------


@OFFERS
def test_case_P1_an_offered_upgrade_is_ignored(port, offer):
    """RFC 9110 §7.8: stock JDK clients offer h2c on every call; the body in the same segment."""
    marker = fresh()
    with Wire(port) as wire:
        served(wire.send(call(marker, *offer)), marker)
        usable(wire)
        assert (b"", False) == wire.rest(0.05)


@OFFERS
def test_case_P1_an_offered_upgrade_with_its_body_in_a_later_segment(edge, port, offer):
    """RFC 9110 §7.8: the body that comes later is this request's, even if it looks like another."""
    marker = fresh()
    with no_tail_is_served(edge), Wire(port) as wire:
        whole = call(marker, *offer)
        head, end, body = whole.partition(b"\r\n\r\n")
        served(wire.send(head + end, body, pause_s=0.02), marker)
        usable(wire)
        wire.send(call("x", *offer, body=call(TAIL_MARKER)).partition(b"\r\n\r\n")[0] + end)
        wire.send(b"", call(TAIL_MARKER), pause_s=0.02)
        assert 400 == wire.answer().status
        usable(wire)


@OFFERS
def test_case_P1_an_offered_upgrade_in_every_shape(port, offer):
    """RFC 9110 §7.8: chunked, streamed, pipelined, without a body, refused: one answer each."""
    one, two, three = fresh(), fresh(), fresh()
    with Wire(port) as wire:
        served(wire.send(chunked(one, *offer)), one)
        served(wire.send(call(two, *offer, stream=True)), two)
        wire.send(call(one, *offer) + call(two, *offer) + call(three))
        for marker in (one, two, three):
            served(wire, marker)
        wire.send(call("", *offer, method="GET", path="/v1/models", body=b"", length=False))
        assert 200 == wire.answer().status
        assert 401 == wire.send(call("", *offer, key="")).answer().status
        usable(wire)


def test_case_P1_a_full_pipeline_of_offers_in_one_segment(port):
    """RFC 9110 §7.8, RFC 9112 §9.3.2: as many answers, in order; what is left is answered too."""
    count = 1 + PIPELINED_MAX
    with Wire(port) as wire:
        probe = b"GET /health/live HTTP/1.1\r\nHost: x\r\nX-Request-Id: n%d\r\n%b\r\n\r\n"
        wire.send(b"".join(probe % (number, b"\r\n".join(H2C[:2])) for number in range(count)))
        for number in range(count):
            answer = wire.answer()
            assert (200, f"n{number}") == (answer.status, answer.headers["x-request-id"])
        usable(wire)


@OFFERS
def test_case_P1_an_offered_upgrade_behind_a_proxy(proxy, offer):
    """RFC 9110 §7.8, RFC 9112 §11.2: through nginx every client gets its own answer, and only that."""
    for _ in range(5):
        marker = fresh()
        with Wire(proxy) as wire:
            served(wire.send(call(marker, *offer)), marker)
        with Wire(proxy) as wire:
            head, end, body = call(marker, *offer).partition(b"\r\n\r\n")
            served(wire.send(head + end, body, pause_s=0.02), marker)
        others_get_their_own(proxy)


# ---- framing -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "lines",
    [(b"Content-Length: %d", b"Content-Length: %d"), (b"Content-Length: %d, %d",)],
    ids=["two lines", "a list"],
)
def test_the_same_length_twice(port, lines):
    """RFC 9110 §8.6: the same length twice is refused or taken once; never two answers."""
    marker = fresh()
    size = len(asks(marker))
    made = (line % ((size,) * line.count(b"%d")) for line in lines)
    with Wire(port) as wire:
        answer = wire.send(call(marker, *made, length=False)).answer()
        if answer.status == 200:
            usable(wire)
        else:
            assert (400, True) == (answer.status, wire.is_closed())


def test_chunks_and_their_extensions(port):
    """RFC 9112 §7.1, §7.1.1: unknown extensions are ignored, whatever the sizes of the chunks."""
    marker = fresh()
    body = asks(marker)
    shapes = [
        chunks(body),
        chunks(*(bytes([byte]) for byte in body)),
        b'%X;a=b;c="d;e"\r\n%b\r\n0;last\r\n\r\n' % (len(body), body),
        b"000%x;name\r\n%b\r\n000\r\n\r\n" % (len(body), body),
    ]  # fmt: skip
    with Wire(port) as wire:
        for shape in shapes:
            served(wire.send(chunked(marker, body=shape)), marker)


def test_an_extension_without_a_name_ends_nothing(port):
    """RFC 9112 §7.1.1: `5;` is refused or its extension ignored; one answer either way."""
    marker = fresh()
    body = asks(marker)
    with Wire(port) as wire:
        coded = b"%x;\r\n%b\r\n0;\r\n\r\n" % (len(body), body)
        answer = wire.send(chunked(marker, body=coded)).answer()
        if answer.status == 200:
            usable(wire)
        else:
            assert (400, True) == (answer.status, wire.is_closed())


@pytest.mark.parametrize("whole", [True, False], ids=["one segment", "two segments"])
def test_trailers_are_not_headers(edge, port, whole):
    """RFC 9110 §6.5.1: a trailer is no header: it brings no key, no id, no length, no coding."""
    marker = fresh()
    trailers = b"".join(
        name + b": " + value + b"\r\n"
        for name, value in {
            b"Authorization": b"Bearer " + OTHER_KEY.encode(),
            b"X-Api-Key": OTHER_KEY.encode(),
            b"X-Request-Id": b"from-a-trailer",
            b"Content-Encoding": b"gzip",
        }.items()
    )
    coded = chunks(asks(marker), last=b"0\r\n" + trailers + b"\r\n")
    with Wire(port) as wire:
        for _ in range(2):
            request = chunked(marker, body=coded)
            cut = request.index(b"0\r\n" + trailers)
            segments = [request] if whole else [request[:cut], request[cut:]]
            answer = served(wire.send(*segments, pause_s=0.02), marker)
            assert "from-a-trailer" != answer.headers["x-request-id"]
            assert "t1" == edge.router.requests[-1].tenant_id
        wire.send(chunked(marker, body=coded, key=""))
        assert "missing_api_key" == wire.answer().code
        usable(wire)


def test_the_body_of_a_refused_request_is_no_request(edge, port):
    """RFC 9112 §9.3: what is refused by its head alone has a body all the same, in any segment."""
    hidden = call(TAIL_MARKER)
    refused = {
        401: call("x", body=hidden, key=""),
        404: call("x", body=hidden, path="/nowhere"),
        405: call("x", body=hidden, method="PUT"),
        415: call("x", b"Content-Encoding: gzip", body=hidden),
        200: call("x", body=hidden, method="GET", path="/v1/models"),
    }
    for status, request in refused.items():
        cut = len(request) - len(hidden)
        for segments in ([request], [request[:cut], request[cut:]]):
            with no_tail_is_served(edge), Wire(port) as wire:
                answer = wire.send(*segments, pause_s=0.02).answer()
                assert status == answer.status
                if answer.closes:
                    assert wire.is_closed()
                else:
                    usable(wire)


def test_a_client_that_waits_for_100_is_told_to_go_on(port):
    """RFC 9110 §10.1.1: one 100, then the answer; with a refusal no 100, and nothing left over."""
    marker = fresh()
    head, end, body = call(marker, b"Expect: 100-continue").partition(b"\r\n\r\n")
    with Wire(port) as wire:
        wire.send(head + end)
        assert (b"HTTP/1.1 100 Continue\r\n\r\n", False) == wire.rest(0.2)
        served(wire.send(body), marker)
        usable(wire)
    head, end, body = call("x", b"Expect: 100-continue", key="").partition(b"\r\n\r\n")
    with Wire(port) as wire:
        answer = wire.send(head + end).answer()
        assert 401 == answer.status
        if not answer.closes:
            wire.send(body)
            usable(wire)
