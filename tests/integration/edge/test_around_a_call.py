"""What stands around a call at the real edge: keys, bodies, routes, bounds, the stop, the log."""

import asyncio

import httpx
import pytest

from tests.fakes.edge import (
    CHAT,
    KEY,
    OPENAI_EVENTS,
    OTHER_KEY,
    data,
    end,
    head,
    play,
    route,
    running,
)
from tollgate.audit.v1 import audit_pb2
from tollgate.authz.v1 import authz_pb2
from tollgate.router.v1 import router_pb2
from tollgate_edge.config import LimitsConfig

ADMITTED = audit_pb2.ENTRY_KIND_CALL_ADMITTED
FINISHED = audit_pb2.ENTRY_KIND_CALL_FINISHED
DENIED = audit_pb2.ENTRY_KIND_CALL_DENIED


async def test_keys(edge):
    """401 for a bad key only; 503 when authz cannot be asked; no RPC for a mistyped one."""
    asked = len(edge.authz.checks)
    mistyped = KEY[:-1] + ("0" if KEY[-1] != "0" else "1")
    answers = [
        await edge.post(key=None),
        await edge.post(key=mistyped),
        await edge.post(headers={"x-api-key": OTHER_KEY}),
        await edge.post(CHAT + "?api%5Fkey=" + KEY),
    ]
    assert [401] * 4 == [a.status_code for a in answers]
    assert (asked, True) == (len(edge.authz.checks), all(KEY not in a.text for a in answers))
    # A key of ours beside another service's is found.
    assert 200 == (await edge.post(headers={"x-api-key": "sk-ant-other"})).status_code
    reasons = {
        authz_pb2.DENIAL_REASON_REVOKED: 401,
        authz_pb2.DENIAL_REASON_IP_NOT_ALLOWED: 403,
        authz_pb2.DENIAL_REASON_TENANT_SUSPENDED: 403,
    }
    for reason, status in reasons.items():
        edge.authz.deny(OTHER_KEY, reason)
        assert status == (await edge.post(key=OTHER_KEY)).status_code
    edge.authz.gate.clear()
    answer = await edge.post(key=OTHER_KEY)
    edge.authz.gate.set()
    assert 503 == answer.status_code


async def test_one_question_a_key_and_none_while_revocations_are_heard(edge):
    """Parallel calls of one key ask once; a revocation drops the decision at once."""
    await asyncio.gather(*(edge.post() for _ in range(10)))
    assert 1 == len(edge.authz.checks)
    edge.authz.deny(KEY, authz_pb2.DENIAL_REASON_REVOKED)
    assert 200 == (await edge.post()).status_code
    await edge.authz.changes.put(
        authz_pb2.WatchRevocationsResponse(key_ids=["k1"], through_revision=2)
    )
    async with asyncio.timeout(1):
        while (await edge.post()).status_code == 200:
            await asyncio.sleep(0.01)
    assert 401 == (await edge.post()).status_code


async def test_models_by_key(edge):
    """A key's list is its own, in its client's shape; other models are not found, equally."""
    edge.authz.grant(OTHER_KEY, tenant_id="t2", key_id="k2", allowed_models=["m-both"])
    url = f"{edge.url}/v1/models"
    openai = (await edge.client.get(url, headers={"authorization": f"Bearer {KEY}"})).json()
    anthropic = (
        await edge.client.get(
            url, headers={"x-api-key": OTHER_KEY, "anthropic-version": "2023-06-01"}
        )
    ).json()
    assert ["m-anthropic", "m-both", "m-gemini", "m-openai", "m-responses"] == [
        m["id"] for m in openai["data"]
    ]
    assert (["m-both"], "model") == (
        [m["id"] for m in anthropic["data"]], anthropic["data"][0]["type"],
    )  # fmt: skip
    unknown = await edge.post(key=OTHER_KEY, model="no-such-model")
    foreign = await edge.post(key=OTHER_KEY, model="m-openai")
    for answer in (unknown, foreign):
        assert 404 == answer.status_code
    assert unknown.json()["error"]["message"] == foreign.json()["error"]["message"]
    assert 200 == (await edge.post(model="m-anthropic")).status_code


async def test_bodies(mesh):
    """Too large, encoded, not JSON, twice the same key: a clear error, nothing reserved."""
    async with running(mesh, limits=LimitsConfig(body_bytes_max=1000)) as edge:

        async def chunks():
            for _ in range(20):
                yield b"x" * 100

        cases = [
            (413, {"content": b"x" * 2000}),
            (413, {"content": chunks()}),
            (415, {"headers": {"content-encoding": "gzip"}}),
            (400, {"content": b"{"}),
            (400, {"content": b'{"model":"m-openai","model":"m-both","messages":[]}'}),
            (400, {"content": b'{"messages":[]}'}),
        ]
        for status, fields in cases:
            answer = await edge.post(**fields)
            assert (status, True) == (answer.status_code, "error" in answer.json())
        # What is said to be too large is refused before it is read.
        wire = await edge.send(b"", length=2000)
        await wire.until(b" 413 ")
        wire.abort()
        assert {} == edge.budget.reserved


async def test_routes(edge):
    """Unknown paths, wrong methods, probes: JSON errors with allow; no documentation is served."""
    client, url = edge.client, edge.url
    cases = [
        ("GET", "/nope", 404, ""),
        ("GET", "/docs", 404, ""),
        ("GET", "/openapi.json", 404, ""),
        ("GET", CHAT, 405, "POST"),
        ("DELETE", "/v1/models", 405, "GET, HEAD"),
        ("POST", "/metrics", 404, ""),
    ]
    for method, path, status, allow in cases:
        answer = await client.request(method, url + path, headers={"x-api-key": KEY})
        assert (status, allow, "error") == (
            answer.status_code, answer.headers.get("allow", ""), answer.json()["type"],
        )  # fmt: skip
    assert (200, b"") == ((a := await client.head(url + "/")).status_code, a.content)
    assert 200 == (await client.get(url + "/health/live")).status_code
    assert "server" not in (await client.get(url + "/health/live")).headers


async def test_a_proper_request_id_is_echoed_and_the_trace_is_ours(edge):
    """x-request-id comes back when it is plain; the trace id never does come from outside."""
    answer = await edge.post(headers={"x-request-id": "mine-1"})
    assert ("mine-1", True) == (
        answer.headers["x-request-id"],
        answer.headers["x-tollgate-trace-id"] == edge.audit.entries[1].trace_id,
    )
    for bad in ("a b", "x" * 65, "é", "a,b"):
        answer = await edge.post(headers={"x-request-id": bad.encode("latin-1")})
        assert answer.headers["x-request-id"] == answer.headers["x-tollgate-trace-id"]


async def test_bounds_on_calls_and_streams(mesh):
    """Over the process's bound: 503 with retry-after; over the key's streams: 429."""
    gate = asyncio.Event()

    async def script(request):
        yield head("text/event-stream")
        await gate.wait()
        yield data(OPENAI_EVENTS[2])
        yield end()

    limits = LimitsConfig(
        calls_max=2, streams_per_key_max=1, key_share_percent=100, tenant_share_percent=100
    )
    async with running(mesh, limits=limits) as edge:
        edge.script(script)
        first = asyncio.ensure_future(edge.post(stream=True))
        while not edge.router.requests:
            await asyncio.sleep(0.01)
        second = await edge.post(stream=True)
        assert (429, "1") == (second.status_code, second.headers["retry-after"])
        third = asyncio.ensure_future(edge.post())
        while len(edge.router.requests) < 2:
            await asyncio.sleep(0.01)
        fourth = await edge.post()
        assert (503, "overloaded", "1") == (
            fourth.status_code, fourth.json()["error"]["code"], fourth.headers["retry-after"],
        )  # fmt: skip
        gate.set()
        assert [200, 200] == [(await call).status_code for call in (first, third)]


async def test_a_stop_finishes_what_is_in_flight(mesh):
    """SIGTERM: a stream in flight is answered, settled and recorded; then the process is gone."""
    gate = asyncio.Event()

    async def script(request):
        yield head("text/event-stream")
        yield data(OPENAI_EVENTS[0])
        await gate.wait()
        yield data(OPENAI_EVENTS[2])
        yield end()

    async with running(mesh) as edge:
        edge.script(script)
        call = asyncio.ensure_future(edge.post(stream=True))
        while not edge.router.requests:
            await asyncio.sleep(0.01)
        stopping = asyncio.ensure_future(edge.stop())
        await asyncio.sleep(0.5)
        gate.set()
        answer = await call
        await stopping
        assert answer.content.endswith(b"data: [DONE]\n\n")
        assert ([[30_000]], 1) == (edge.budget.charges(), len(edge.audit.of(FINISHED)))


async def test_a_call_cut_at_the_stop_is_recorded_and_quarantined(mesh):
    """A call that outlives the stop's time leaves CALL_FINISHED and a quarantined reservation."""

    async def script(request):
        yield head("text/event-stream")
        yield data(OPENAI_EVENTS[0])
        await asyncio.Event().wait()

    async with running(mesh) as edge:
        edge.script(script)
        call = asyncio.ensure_future(edge.post(stream=True))
        while not edge.router.requests:
            await asyncio.sleep(0.01)
        await edge.stop()
        with pytest.raises(httpx.TransportError):
            await call
        (finished,) = edge.audit.of(FINISHED)
        assert ("edge_stopped", False) == (finished["end_reason"], finished["charged"])
        assert [["quarantined"]] == edge.budget.charges()


async def test_slow_heads_and_bodies_are_cut(mesh):
    """A head or a body that does not come in time ends its connection."""
    async with running(mesh, header_seconds=1, limits=LimitsConfig(body_seconds=1)) as edge:
        port = int(edge.url.rpartition(":")[2])
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(b"POST /v1/chat/comple")
        async with asyncio.timeout(3):
            with pytest.raises((ConnectionResetError, asyncio.IncompleteReadError)):
                await reader.readexactly(1)
        writer.transport.abort()
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(
            b"POST /v1/chat/completions HTTP/1.1\r\nhost: x\r\nx-api-key: "
            + KEY.encode() + b"\r\ncontent-length: 100\r\n\r\n{"
        )  # fmt: skip
        async with asyncio.timeout(3):
            assert b"408" in await reader.readline()
        writer.transport.abort()


async def test_what_is_not_http_gets_one_json_answer(edge):
    """A parse error is answered once, in our shape, and the connection ends."""
    reader, writer = await asyncio.open_connection("127.0.0.1", int(edge.url.rpartition(":")[2]))
    writer.write(b"BROKEN\x00 / HTTP/9\r\n\r\nGET / HTTP/1.1\r\n\r\n")
    async with asyncio.timeout(3):
        answer = await reader.read()
    writer.close()
    assert (1, True) == (answer.count(b"HTTP/1.1 400"), b'"malformed_request"' in answer)
    assert "BROKEN" not in edge.log.getvalue()


async def test_the_log_has_one_line_a_call_and_no_secret(edge):
    """One canonical line per call; neither key nor prompt nor upstream text is in it."""
    edge.script(
        play(
            end(
                router_pb2.END_REASON_UPSTREAM_ERROR,
                cost=0,
                http_status=500,
                scrubbed_message="canary-upstream",
            )
        )
    )
    await edge.post(messages=[{"role": "user", "content": "canary-prompt"}])
    calls = [line for line in edge.lines() if line["event"] == "call"]
    assert [("upstream_error", 502, "m-openai")] == [
        (line["outcome"], line["status"], line["model"]) for line in calls
    ]
    for word in (KEY, "canary-prompt", "canary-upstream"):
        assert word not in edge.log.getvalue()
    metrics = (await edge.client.get(edge.metrics_url + "/metrics")).text
    assert 'outcome="upstream_error",protocol="openai.chat",service="edge-api"' in metrics


async def test_a_bug_is_500_and_money_is_not_lost(edge):
    """An unclassified failure of router: 500, unknown end, the reservation stays counted."""

    async def script(request):
        yield route()
        raise RuntimeError("canary-bug")

    edge.script(script)
    answer = await edge.post()
    assert (500, False) == (answer.status_code, "canary" in answer.text)
    assert [["quarantined"]] == edge.budget.charges()
