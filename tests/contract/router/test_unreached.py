"""Why an upstream was not reached: one word of a closed list, for the operator alone."""

import socket
import ssl

import pytest

from tests.contract.router.test_upstream_tls import HERE, server_tls
from tests.contract.router.upstream_server import FAST, Peer, running
from tollgate_router.providers.request_head import RequestHead
from tollgate_router.upstream import pool
from tollgate_router.upstream.fault import Unreached, UpstreamFault
from tollgate_router.upstream.upstream import Upstream


async def why(upstream: Upstream, head: RequestHead) -> Unreached | None:
    with pytest.raises(UpstreamFault) as raised:
        await upstream.send(head, b"{}")
    assert raised.value.__context__ is None
    return raised.value.unreached


@pytest.mark.parametrize(
    ("url", "allow_private", "word"),
    [
        ("http://127.0.0.1:1/v1", True, Unreached.REFUSED),
        ("http://localhost:1/v1", False, Unreached.NOT_ALLOWED),
        ("https://nowhere.invalid/v1", True, Unreached.NAME),
    ],
)
async def test_before_there_is_a_connection(url, allow_private, word):
    """Nobody listens; the name leads inside; there is no such name."""
    upstream = Upstream(FAST, allow_private=allow_private)
    assert word is await why(upstream, RequestHead.post(url, {}))
    await upstream.close()


async def test_a_server_without_tls_and_one_that_is_not_trusted(tmp_path):
    """https where http is spoken; a certificate of nobody's."""

    async def speaks_http(peer: Peer) -> None:
        await peer.reader.read(1)
        await peer.say(b"HTTP/1.1 400 Bad Request\r\n\r\n")

    async with running(speaks_http) as (upstream, head, _):
        secure = RequestHead.post(f"https://127.0.0.1:{head.origin.port}/v1", {})
        assert Unreached.TLS is await why(upstream, secure)
    async with running(speaks_http, tls=server_tls(tmp_path, HERE)) as (upstream, head, _):
        assert Unreached.CERTIFICATE is await why(upstream, head)


@pytest.mark.parametrize(
    ("error", "word"),
    [
        (TimeoutError(), Unreached.TIMEOUT),
        (OSError(113, "No route to host"), Unreached.UNREACHABLE),
        (OSError("Multiple exceptions: ..."), Unreached.UNREACHABLE),
        (ConnectionResetError(), Unreached.CLOSED),
        (ConnectionAbortedError(), Unreached.CLOSED),
        (socket.gaierror(-3, "Temporary failure"), Unreached.NAME),
        (UnicodeError(), Unreached.NAME),
        (ssl.SSLError(1, "text of the other side"), Unreached.TLS),
    ],
)
def test_each_error_has_its_word(error, word):
    """What loopback cannot show."""
    assert word is pool._unreached(error)
