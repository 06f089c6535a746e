"""What router refuses to send, and what it never says: against a real HTTP upstream."""

import asyncio
import json
from dataclasses import replace

import pytest
from prometheus_client import generate_latest

from tests.contract.router import harness as h
from tests.contract.router.harness import end_of, fake_upstream, harness
from tollgate.router.v1 import router_pb2
from tollgate_dialects.common.protocol import Protocol
from tollgate_kit.rpc.failure import Failure

pb = router_pb2
PLANTED = f"{h.KEY}-0-0"


REFUSED = {
    "missing": lambda r: {"reservation_token": b""},
    "garbage": lambda r: {"reservation_token": b"\xff\xff\xff"},
    "forged": lambda r: {"reservation_token": r.token(mac_key=b"x" * 32)},
    "expired": lambda r: {"reservation_token": r.token(expire_unix_ms=r.clock.unix_ms() - 6_000)},
    "other_tenant": lambda r: {"reservation_token": r.token(tenant_id="tenant-2")},
    "other_model": lambda r: {"reservation_token": r.token(model="n")},
    "no_id": lambda r: {"reservation_token": r.token(reservation_id="")},
}


@pytest.mark.parametrize("case", sorted(REFUSED))
async def test_refused_token_contacts_nothing(tmp_path, case):
    """Without a token for this very call no upstream is contacted."""
    async with fake_upstream() as up, harness(tmp_path) as router:
        up.scripts["m"] = h.answer()
        await router.provide(up.url)
        with pytest.raises(Failure) as refused:
            await router.call(**REFUSED[case](router))
        assert "RESERVATION_REFUSED" == refused.value.reason
        assert ([], 0) == (up.seen, up.connections)


async def test_token_is_used_once(tmp_path):
    """A token reaches an upstream once, by the same trace or another."""
    async with fake_upstream() as up, harness(tmp_path) as router:
        up.scripts["m"] = h.answer()
        await router.provide(up.url)
        token = router.token()
        await router.call(reservation_token=token, trace_id="a")
        for trace_id in ("a", "b"):
            with pytest.raises(Failure) as refused:
                await router.call(reservation_token=token, trace_id=trace_id)
            assert "RESERVATION_REFUSED" == refused.value.reason
        assert 1 == len(up.seen)


async def test_parallel_twins_contact_once(tmp_path):
    """The same call presented twice at the same time reaches one upstream once."""
    async with fake_upstream() as up, harness(tmp_path) as router:
        up.scripts["m"] = [h.Pause(0.05), *h.answer()]
        await router.provide(up.url)
        token = router.token()
        outcomes = await asyncio.gather(
            *(router.call(reservation_token=token, trace_id="a") for _ in range(5)),
            return_exceptions=True,
        )
        assert 1 == len(up.seen)
        assert 4 == sum(isinstance(outcome, Failure) for outcome in outcomes)


async def test_unknown_price_version_contacts_nothing(tmp_path):
    """A call is not made under a price that does not exist."""
    async with fake_upstream() as up, harness(tmp_path) as router:
        await router.provide(up.url)
        with pytest.raises(Failure) as refused:
            await router.call(price_version=2)
        assert ("INVALID_FIELD", 0) == (refused.value.reason, up.connections)


async def test_moved_address_gets_no_key(tmp_path):
    """A provider whose host was changed in the store: its key does not open, nothing is sent."""
    async with fake_upstream() as up, fake_upstream() as thief, harness(tmp_path) as router:
        await router.provide(up.url)
        (provider,) = router.store.rows.providers
        router.store.put((replace(provider, base_url=thief.url),), router.store.rows.prices)
        await router.watch.refresh()
        end = end_of(await router.call())
        assert (pb.END_REASON_NO_ROUTE, 0) == (end.reason, end.attempts)
        assert (0, 0) == (up.connections, thief.connections)


async def test_keys_are_dropped_after_a_minute(tmp_path):
    """An opened key is dropped when its minute is over."""
    async with fake_upstream() as up, harness(tmp_path) as router:
        up.scripts["m"] = h.answer()
        await router.provide(up.url)
        await router.call()
        assert 1 == len(router.keys)
        await router.provide()
        assert 0 == len(router.keys)


async def test_large_body_passes(tmp_path):
    """A body of several megabytes reaches the upstream whole, in pieces, without chunked coding."""
    async with fake_upstream() as up, harness(tmp_path) as router:
        up.scripts["m"] = h.answer()
        await router.provide(up.url)
        body = json.dumps({"model": "m", "messages": [{"content": "x" * 3_000_000}]}).encode()
        (message,) = await router.call(body=body)
        assert pb.END_REASON_COMPLETED == message.end.reason
        assert 3_000_000 < len(up.seen[0].body)
        assert "transfer-encoding" not in up.seen[0].headers


async def test_oversized_answer_is_refused(tmp_path):
    """An answer beyond the bound is not collected in memory."""
    async with (
        fake_upstream() as up,
        harness(tmp_path, upstream=replace(h.FAST, answer_bytes_max=1000)) as router,
    ):
        up.scripts["m"] = [h.http(200, b'{"a":"' + b"x" * 5000 + b'"}')]
        await router.provide(up.url)
        (message,) = await router.call()
        assert (pb.END_REASON_UPSTREAM_ERROR, b"") == (message.end.reason, message.data)


async def test_anthropic_headers(tmp_path):
    """Anthropic upstreams get x-api-key, a version, and the client's well-formed betas only."""
    usage = {"input_tokens": 3, "output_tokens": 4}
    async with fake_upstream() as up, harness(tmp_path) as router:
        up.scripts["m"] = h.answer({"type": "message", "content": [], "usage": usage})
        await router.provide(up.url, protocol=Protocol.ANTHROPIC_MESSAGES)
        for headers in (
            {},
            {"anthropic-version": "2024-01-02", "anthropic-beta": "a-1,context-1m-2025,b-2"},
            {"anthropic-version": "2024\r\nx: y", "anthropic-beta": "a\r\nb"},
        ):
            (message,) = await router.call(
                client_protocol=pb.CLIENT_PROTOCOL_ANTHROPIC_MESSAGES,
                protocol_headers=headers,
                client_wants_usage=True,
            )
            assert 3 * 1_000 + 4 * 2_000 == message.end.cost_nano_usd
        plain, asked, hostile = (seen.headers for seen in up.seen)
        assert "/v1/messages" == up.seen[0].path
        assert f"{h.KEY}-0-0" == plain["x-api-key"]
        assert "authorization" not in plain
        assert "2023-06-01" == plain["anthropic-version"]
        assert ("2024-01-02", "a-1,b-2") == (asked["anthropic-version"], asked["anthropic-beta"])
        assert ("2023-06-01", None) == (
            hostile["anthropic-version"],
            hostile.get("anthropic-beta"),
        )


async def test_key_is_nowhere(tmp_path):
    """After every kind of failure the key is in no log line, message, exception or metric."""
    scripts: list[h.Script] = [
        h.answer({"error": {"message": PLANTED, "code": PLANTED, "param": PLANTED}}, status,
                 extra=f"x-echo: {PLANTED}\r\n")
        for status in (400, 401, 403, 404, 413, 422, 429, 500, 502, 529)
    ] + [
        [b"HTTP/1.1 500 " + PLANTED.encode() + b"\r\ncontent-length: 0\r\n\r\n"],
        [b"HTTP/1.1 200 X\r\n" + PLANTED.encode() + b"\r\n\r\n", h.Close()],
        [h.http(200, PLANTED.encode())],
        [h.Reset()],
        h.answer({**h.ANSWER, "echo": PLANTED}),
        [h.sse_head() + h.chunk(h.openai_frame(PLANTED) + h.USAGE_FRAME + h.DONE) + h.END_CHUNK],
        [h.sse_head() + h.chunk(b"data: " + PLANTED.encode() + b"\n\n") + h.END_CHUNK],
    ]  # fmt: skip
    async with fake_upstream() as up, harness(tmp_path) as router:
        said = ""
        for number, script in enumerate(scripts):
            up.scripts[f"m{number}"] = script
        await router.provide(up.url, models=tuple(up.scripts))
        for model in list(up.scripts):
            for stream in (False, True):
                said += str(await router.call(model=model, stream=stream))
        await router.must_finish.drain(2)
        said += router.out.getvalue() + generate_latest(router.metrics.registry).decode()
        assert "call.executed" in said
        assert "canary" not in said
        assert str(up.port) not in said
