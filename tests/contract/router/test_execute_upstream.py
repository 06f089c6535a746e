"""Router's calls against a real HTTP upstream on loopback."""

import asyncio
import json
from dataclasses import replace

import pytest

from tests.contract.router import harness as h
from tests.contract.router.harness import end_of, fake_upstream, harness
from tollgate.router.v1 import router_pb2

pb = router_pb2


async def test_unary_is_one_message(tmp_path):
    """A unary call is answered with exactly one message: route, head, body, end and true cost."""
    async with fake_upstream() as up, harness(tmp_path) as router:
        up.scripts["m"] = h.answer()
        await router.provide(up.url)
        messages = await router.call()
    assert 1 == len(messages)
    (message,) = messages
    assert h.ANSWER == json.loads(message.data)
    assert ("p0", "m", "pk-0-0", 1) == (
        message.route.provider,
        message.route.upstream_model,
        message.route.provider_key_id,
        message.route.attempt,
    )
    assert (200, "application/json") == (message.head.http_status, message.head.content_type)
    assert pb.END_REASON_COMPLETED == message.end.reason
    assert (10, 5) == (message.end.usage.input_tokens, message.end.usage.output_tokens)
    assert 10 * 1_000 + 5 * 2_000 == message.end.cost_nano_usd
    assert pb.USAGE_SOURCE_UPSTREAM == message.end.usage_source
    (seen,) = up.seen
    assert "/v1/chat/completions" == seen.path
    assert f"Bearer {h.KEY}-0-0" == seen.headers["authorization"]
    assert "identity" == seen.headers["accept-encoding"]
    assert "tollgate/0.1" == seen.headers["user-agent"]
    assert 100 == json.loads(seen.body)["max_tokens"]


async def test_stream_passes_and_strips_usage(tmp_path):
    """A stream passes frame by frame; the usage we asked for is metered and not passed."""
    async with fake_upstream() as up, harness(tmp_path) as router:
        up.scripts["m"] = [
            h.sse_head() + h.chunk(h.openai_frame("one")),
            h.Pause(0.02),
            h.chunk(h.openai_frame("two")),
            h.Pause(0.02),
            h.chunk(h.USAGE_FRAME + h.DONE),
            h.END_CHUNK,
        ]
        await router.provide(up.url)
        messages = await router.call(stream=True)
        data = b"".join(message.data for message in messages)
        assert h.openai_frame("one") + h.openai_frame("two") + h.DONE == data
        assert messages[0].HasField("route")
        assert messages[0].HasField("head")
        assert h.DONE == messages[-1].data
        assert pb.END_REASON_COMPLETED == end_of(messages).reason
        assert 20_000 == end_of(messages).cost_nano_usd
        assert {"include_usage": True} == json.loads(up.seen[0].body)["stream_options"]
        # The connection is used again.
        await router.call(stream=True)
        assert 1 == up.connections


@pytest.mark.parametrize("status", [500, 503, 429, 401, 403])
async def test_failover_before_the_first_byte(tmp_path, status):
    """5xx, 429 and a bad key are tried again at the next provider; the client sees one answer."""
    async with fake_upstream() as bad, fake_upstream() as good, harness(tmp_path) as router:
        bad.scripts["m"] = h.answer({"error": {"message": f"no {h.KEY}"}}, status)
        good.scripts["m"] = h.answer()
        await router.provide(bad.url, good.url)
        messages = await router.call()
        assert (1, 1) == (len(bad.seen), len(good.seen))
        assert ("p1", 2) == (messages[0].route.provider, messages[0].route.attempt)
        assert (pb.END_REASON_COMPLETED, 2) == (end_of(messages).reason, end_of(messages).attempts)
        # The failed key rests: the next call goes to the good one at once.
        await router.call()
        assert (1, 2) == (len(bad.seen), len(good.seen))


async def test_failover_when_nobody_listens(tmp_path):
    """A connection that cannot be made is tried at the next provider."""
    async with fake_upstream() as good, harness(tmp_path) as router:
        good.scripts["m"] = h.answer()
        await router.provide("http://127.0.0.1:1/v1", good.url)
        messages = await router.call()
        assert pb.END_REASON_COMPLETED == end_of(messages).reason
        assert 2 == end_of(messages).attempts


async def test_no_failover_after_the_first_byte(tmp_path):
    """A stream that breaks after its first byte ends there: no second upstream is asked."""
    async with fake_upstream() as bad, fake_upstream() as good, harness(tmp_path) as router:
        bad.scripts["m"] = [
            h.sse_head() + h.chunk(h.openai_frame("some text that was produced already")),
            h.Pause(0.05),
            h.Reset(),
        ]
        good.scripts["m"] = h.answer()
        await router.provide(bad.url, good.url)
        messages = await router.call(stream=True)
        assert [] == good.seen
        assert pb.END_REASON_UPSTREAM_ERROR == end_of(messages).reason
        assert pb.USAGE_SOURCE_ESTIMATED == end_of(messages).usage_source
        assert end_of(messages).is_unknown


@pytest.mark.parametrize("piece", [h.Reset(), h.Close(), h.Pause(3)], ids=["rst", "fin", "hang"])
async def test_a_taken_request_is_not_sent_twice(tmp_path, piece):
    """An upstream that took the request and then went silent may have billed it: no retry."""
    async with fake_upstream() as bad, fake_upstream() as good, harness(tmp_path) as router:
        bad.scripts["m"] = [piece]
        good.scripts["m"] = h.answer()
        await router.provide(bad.url, good.url)
        messages = await router.call()
        assert [] == good.seen
        wanted = (
            pb.END_REASON_UPSTREAM_TIMEOUT
            if isinstance(piece, h.Pause)
            else pb.END_REASON_UPSTREAM_ERROR
        )
        assert (wanted, 0) == (end_of(messages).reason, end_of(messages).cost_nano_usd)
        assert pb.USAGE_SOURCE_NONE == end_of(messages).usage_source


async def test_attempts_are_bounded(tmp_path):
    """At most three attempts, whatever the number of keys."""
    async with fake_upstream() as bad, harness(tmp_path) as router:
        bad.scripts["m"] = h.answer({}, 500)
        await router.provide(bad.url, keys_each=6)
        messages = await router.call()
        assert (3, 3) == (len(bad.seen), end_of(messages).attempts)
        assert 500 == end_of(messages).upstream_error.http_status
        assert not messages[0].HasField("head")


async def test_no_redirect_is_followed(tmp_path):
    """A redirect is a refusal; the key is not sent to where it points."""
    async with fake_upstream() as bad, fake_upstream() as trap, harness(tmp_path) as router:
        bad.scripts["m"] = [h.http(307, b"{}", extra=f"location: {trap.url}/x\r\n")]
        await router.provide(bad.url)
        messages = await router.call()
        assert (1, 0, 0) == (len(bad.seen), len(trap.seen), trap.connections)
        assert 307 == end_of(messages).upstream_error.http_status


async def test_retry_after_is_honoured(tmp_path):
    """A key that its upstream asked to leave alone is not asked again until then."""
    async with fake_upstream() as up, harness(tmp_path) as router:
        up.scripts["m"] = h.answer(
            {"error": {"message": "slow down", "code": "rate_limit_exceeded"}},
            429,
            extra="retry-after: 7\r\n",
        )
        await router.provide(up.url)
        first = end_of(await router.call())
        assert (429, "slow down") == (
            first.upstream_error.http_status,
            first.upstream_error.scrubbed_message,
        )
        assert 7 == first.upstream_error.retry_after.seconds
        second = end_of(await router.call())
        assert (1, 0) == (len(up.seen), second.attempts)
        assert 429 == second.upstream_error.http_status
        assert 6 <= second.upstream_error.retry_after.seconds <= 7


async def test_refused_request_keeps_its_words(tmp_path):
    """A 400's message reaches the edge scrubbed; another key is not tried."""
    async with fake_upstream() as up, harness(tmp_path) as router:
        text = f"prompt is too long, key {h.KEY}-0-0"
        up.scripts["m"] = h.answer(
            {"error": {"message": text, "code": "context_length_exceeded", "param": "messages"}},
            400,
        )
        await router.provide(up.url, keys_each=2)
        messages = await router.call()
        error = end_of(messages).upstream_error
        assert 1 == len(up.seen)
        assert error.scrubbed_message.startswith("prompt is too long")
        assert h.KEY not in error.scrubbed_message
        assert ("context_length_exceeded", "messages") == (error.code, error.param)


@pytest.mark.parametrize(
    ("name", "script"),
    [
        ("html", [h.http(200, b"<html>", "text/html")]),
        ("gzip", [h.http(200, b"\x1f\x8b" * 50, extra="content-encoding: gzip\r\n")]),
        ("headers", [b"HTTP/1.1 200 X\r\n" + b"x: " + b"y" * 70_000 + b"\r\n\r\n"]),
        (
            "many headers",
            [b"HTTP/1.1 200 X\r\n" + b"".join(b"x%d: %b\r\n" % (n, b"y" * 900) for n in range(100))
             + b"content-length: 2\r\n\r\n{}"],
        ),
        ("cut", [h.http(200, b"{}")[:-1] + b"", h.Close()]),
        ("error in 200", h.answer({"error": {"message": f"{h.KEY}"}})),
        ("not http", [b"SSH-2.0-OpenSSH\r\n\r\n", h.Close()]),
        ("array", h.answer([1])),
    ],
)  # fmt: skip
async def test_what_is_no_answer_costs_nothing(tmp_path, name, script):
    """Nonsense in place of an answer is an upstream error, is not passed on and is free."""
    async with fake_upstream() as up, harness(tmp_path) as router:
        up.scripts["m"] = script
        await router.provide(up.url)
        (message,) = await router.call()
        assert pb.END_REASON_UPSTREAM_ERROR == message.end.reason, name
        assert (0, pb.USAGE_SOURCE_NONE) == (message.end.cost_nano_usd, message.end.usage_source)
        assert b"" == message.data
        assert h.KEY not in str(message)


async def test_missing_usage_is_estimated(tmp_path):
    """A valid answer without usage passes and is charged by an estimate, marked as one."""
    async with fake_upstream() as up, harness(tmp_path) as router:
        up.scripts["m"] = h.answer({k: v for k, v in h.ANSWER.items() if k != "usage"})
        await router.provide(up.url)
        (message,) = await router.call()
        assert pb.END_REASON_COMPLETED == message.end.reason
        assert pb.USAGE_SOURCE_ESTIMATED == message.end.usage_source
        assert message.end.usage.input_tokens > 0
        assert message.end.cost_nano_usd > 0


async def test_estimates_stay_within_the_reservation(tmp_path):
    """What we guessed never costs more than was reserved."""
    async with fake_upstream() as up, harness(tmp_path) as router:
        long = {**h.ANSWER, "usage": None}
        long["choices"] = [{"message": {"content": "x" * 10_000}}]
        up.scripts["m"] = h.answer(long)
        await router.provide(up.url)
        (message,) = await router.call(reservation_token=router.token(amount_nano_usd=1_300_000))
        assert 1_300_000 == message.end.cost_nano_usd


async def test_upstream_zero_is_zero(tmp_path):
    """A usage of zero that an upstream reports is charged as zero, not replaced by a guess."""
    async with fake_upstream() as up, harness(tmp_path) as router:
        zero = {"prompt_tokens": 0, "completion_tokens": 0}
        up.scripts["m"] = h.answer({**h.ANSWER, "usage": zero})
        await router.provide(up.url)
        (message,) = await router.call()
        assert (0, pb.USAGE_SOURCE_UPSTREAM) == (
            message.end.cost_nano_usd,
            message.end.usage_source,
        )


async def test_endless_stream_is_cut_at_the_reserved_cost(tmp_path):
    """A stream that ignores its output limit is cut, and costs what was reserved at most."""
    async with fake_upstream() as up, harness(tmp_path) as router:
        up.scripts["m"] = lambda: (
            [h.sse_head()] + [h.chunk(h.openai_frame("word " * 40)) for _ in range(2000)]
        )
        await router.provide(up.url)
        messages = await router.call(
            stream=True, reservation_token=router.token(amount_nano_usd=1_300_000)
        )
        end = end_of(messages)
        assert pb.END_REASON_COST_LIMIT == end.reason
        assert 1_300_000 == end.cost_nano_usd
        assert len(b"".join(m.data for m in messages)) < 300_000


async def test_idle_stream_times_out(tmp_path):
    """A stream that falls silent ends as a time-out with what it produced."""
    async with fake_upstream() as up, harness(tmp_path) as router:
        up.scripts["m"] = [
            h.sse_head() + h.chunk(h.openai_frame("some text that was produced")),
            h.Pause(3),
        ]
        await router.provide(up.url)
        end = end_of(await router.call(stream=True))
        assert pb.END_REASON_UPSTREAM_TIMEOUT == end.reason
        assert pb.USAGE_SOURCE_ESTIMATED == end.usage_source
        assert end.is_unknown


async def test_bad_chunk_ends_soon(tmp_path):
    """A stream with a broken chunk ends as an error at once, not when its silence times out."""
    slow = replace(h.FAST, idle_ms=30_000, total_ms=60_000)
    async with fake_upstream() as up, harness(tmp_path, upstream=slow) as router:
        up.scripts["m"] = [
            h.sse_head() + h.chunk(h.openai_frame("hi")),
            h.Pause(0.1),
            b"zz\r\nabc",
            h.Pause(0.1),
        ]
        await router.provide(up.url)
        async with asyncio.timeout(5):
            messages = await router.call(stream=True)
        assert h.openai_frame("hi") == messages[0].data
        assert pb.END_REASON_UPSTREAM_ERROR == end_of(messages).reason


async def test_error_event_is_not_passed(tmp_path):
    """An error inside a stream ends it; its text does not pass, and a start alone is free."""
    async with fake_upstream() as up, harness(tmp_path) as router:
        up.scripts["m"] = [
            h.sse_head()
            + h.chunk(
                b'data: {"error":{"message":"%b","code":"server_error"}}\n\n' % h.KEY.encode()
            )
            + h.END_CHUNK
        ]
        await router.provide(up.url)
        messages = await router.call(stream=True)
        assert h.KEY not in str(messages)
        assert (pb.END_REASON_UPSTREAM_ERROR, 0) == (
            end_of(messages).reason,
            end_of(messages).cost_nano_usd,
        )


async def test_stream_with_wrong_type_is_refused(tmp_path):
    """A stream answered with something else is an upstream error."""
    async with fake_upstream() as up, harness(tmp_path) as router:
        up.scripts["m"] = h.answer()
        await router.provide(up.url)
        (message,) = await router.call(stream=True)
        assert pb.END_REASON_UPSTREAM_ERROR == message.end.reason


@pytest.mark.parametrize("position", range(1, 31))
async def test_vanished_edge_is_metered(tmp_path, position):
    """The edge dies at any of 30 frames: the router drains the stream and logs what it cost."""
    async with fake_upstream() as up, harness(tmp_path) as router:
        frames = [h.chunk(h.openai_frame(f"word {n}")) for n in range(31)]
        script: h.Script = [h.sse_head()]
        for frame in frames:
            script += [frame, h.Pause(0.003)]
        up.scripts["m"] = [*script, h.chunk(h.USAGE_FRAME + h.DONE) + h.END_CHUNK]
        await router.provide(up.url)
        answers = router.servicer.Execute(router.request(stream=True), None)
        for _ in range(position):
            await anext(answers)
        await answers.aclose()
        await router.must_finish.drain(3)
        (line,) = router.logged("call.orphaned")
        assert 20_000 == line["cost_nano_usd"]
        assert "USAGE_SOURCE_UPSTREAM" == line["usage_source"]


@pytest.mark.parametrize("stream", [False, True])
async def test_vanished_edge_before_the_first_byte(tmp_path, stream):
    """The edge dies while the upstream thinks: the answer is still read and metered."""
    async with fake_upstream() as up, harness(tmp_path) as router:
        up.scripts["m"] = [h.Pause(0.2), *h.answer()]
        if stream:
            body = h.chunk(h.openai_frame("hi")) + h.chunk(h.USAGE_FRAME + h.DONE) + h.END_CHUNK
            up.scripts["m"] = [h.Pause(0.2), h.sse_head() + body]
        await router.provide(up.url)
        calls = router.servicer.Execute(router.request(stream=stream), None)
        task = asyncio.ensure_future(anext(calls))
        await asyncio.sleep(0.1)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        await router.must_finish.drain(3)
        (line,) = router.logged("call.orphaned")
        assert 20_000 == line["cost_nano_usd"]


async def test_drain_is_bounded(tmp_path):
    """An orphan's upstream that does not end is cut off; what it produced is counted."""
    async with fake_upstream() as up, harness(tmp_path, drain_seconds=1) as router:
        up.scripts["m"] = lambda: [
            h.sse_head(),
            *[x for n in range(200) for x in (h.chunk(h.openai_frame("word " * 3)), h.Pause(0.05))],
        ]
        await router.provide(up.url)
        calls = router.servicer.Execute(router.request(stream=True), None)
        await anext(calls)
        await calls.aclose()
        await router.must_finish.drain(3)
        (line,) = router.logged("call.orphaned")
        assert "USAGE_SOURCE_ESTIMATED" == line["usage_source"]
        assert 0 < line["cost_nano_usd"]
        await asyncio.sleep(0.2)
        assert 1 == up.closed_by_peer
