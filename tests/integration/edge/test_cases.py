"""Inputs that once failed, through the real edge with scripted services behind it."""

import asyncio

import grpc
import pytest

from tests.fakes.edge import ANSWER, KEY, OPENAI_EVENTS, data, end, head, play, running
from tollgate.audit.v1 import audit_pb2
from tollgate.authz.v1 import authz_pb2
from tollgate.budget.v1 import budget_pb2
from tollgate_edge.config import LimitsConfig
from tollgate_kit.rpc.failure import Failure, session_broken

ADMITTED = audit_pb2.ENTRY_KIND_CALL_ADMITTED


async def test_case_M2_a_call_that_may_have_reached_an_upstream_is_not_sent_again(mesh):
    """Its replica died after taking it: one request, its hold quarantined, the client told so."""
    async with running(mesh, routers=2) as edge:
        tries = []

        async def script(request):
            tries.append(request.trace_id)
            raise session_broken("router")
            yield  # noqa: V201 - what makes it a generator

        edge.script(script)
        answer = await edge.post()
        await edge.quiet()
        error = answer.json()["error"]
        assert (503, "unknown", 1) == (
            answer.status_code, error["charge"], len(tries),
        )  # fmt: skip
        assert "not known" in error["message"]
        assert [["quarantined"]] == edge.budget.charges()


async def test_case_M2_a_call_that_provably_reached_nobody_is_sent_to_another_replica(mesh):
    """A replica that takes no more calls said so: the same ids go to the next one."""
    async with running(mesh, routers=2) as edge:
        tries = []

        async def script(request):
            tries.append((request.trace_id, request.reservation_token))
            if len(tries) == 1:
                raise Failure(grpc.StatusCode.UNAVAILABLE, "DRAINING")
            yield head()
            yield data(ANSWER)
            yield end()

        edge.script(script)
        answer = await edge.post()
        await edge.quiet()
        assert (200, 2, 1) == (answer.status_code, len(tries), len(set(tries)))
        assert [[30_000]] == edge.budget.charges()


@pytest.mark.parametrize("stream", [False, True])
async def test_case_M6_a_call_that_could_not_be_recorded_is_told_the_truth(mesh, stream):
    """It was made and is charged: the client reads that, with the trace id, and no invitation."""
    async with running(mesh, durable_ms=200) as edge:

        async def script(request):
            yield head("text/event-stream" if stream else "application/json")
            for event in OPENAI_EVENTS if stream else (ANSWER,):
                yield data(event)
            yield end()

        edge.script(script)
        edge.audit.hold = {ADMITTED}
        answer = await edge.post(stream=stream)
        error = answer.json()["error"]
        assert (503, "audit_not_durable", "false") == (
            answer.status_code, error["code"], answer.headers["x-should-retry"],
        )  # fmt: skip
        assert "was made" in error["message"]
        assert error["trace_id"] == answer.headers["x-tollgate-trace-id"]
        await asyncio.sleep(0.2)
        assert [[]] == edge.budget.charges()  # held, until the log knows of the call
        edge.audit.release()
        await edge.quiet()
        assert [[30_000]] == edge.budget.charges()


async def test_case_M6_a_lagging_log_stops_calls_before_they_are_made(mesh):
    """An entry that has waited too long: refused with "not made", which then is true."""
    async with running(mesh, durable_ms=60_000, lag_ms=50) as edge:
        going = asyncio.Event()

        async def script(request):
            yield head()
            await going.wait()
            yield data(ANSWER)
            yield end()

        edge.script(script)
        edge.audit.hold = {ADMITTED}
        first = asyncio.ensure_future(edge.post())
        while not edge.router.requests:
            await asyncio.sleep(0.01)
        await asyncio.sleep(0.2)
        refused = await edge.post()
        assert (503, "true", 1) == (
            refused.status_code, refused.headers["x-should-retry"], len(edge.router.requests),
        )  # fmt: skip
        assert "was not made" in refused.json()["error"]["message"]
        edge.audit.release()
        going.set()
        assert 200 == (await first).status_code


async def test_case_P16_a_silent_stream_beats_and_keeps_its_barrier(mesh):
    """Comments come before the first byte and between events, and none before the admission."""
    limits = LimitsConfig(beat_seconds=1)
    async with running(mesh, limits=limits) as edge:
        first, last = asyncio.Event(), asyncio.Event()

        async def script(request):
            yield head("text/event-stream")
            await first.wait()
            yield data(OPENAI_EVENTS[0])
            await last.wait()
            for event in OPENAI_EVENTS[1:]:
                yield data(event)
            yield end()

        edge.script(script)
        edge.audit.hold = {ADMITTED}
        wire = await edge.send(b'{"model":"m-openai","stream":true,"messages":[]}')
        while not edge.router.requests:
            await asyncio.sleep(0.01)
        await asyncio.sleep(1.3)
        assert b"" == await wire.silence()
        edge.audit.release()
        await wire.until(b": keep-alive\n")
        first.set()
        await wire.until(OPENAI_EVENTS[0])
        await wire.until(b": keep-alive\n")
        last.set()
        await wire.until(b"[DONE]")
        wire.abort()


async def test_case_M9_an_injected_limit_fits_the_token_rate(mesh):
    """A call without max_tokens asks for what the rate allows, and gives back what it did not use."""
    async with running(mesh) as edge:
        rate = authz_pb2.RateLimit(
            bucket="key:k1:tokens", unit=authz_pb2.RATE_UNIT_TOKENS, burst=1_000, count=1_000,
            period_ms=60_000,
        )  # fmt: skip
        edge.authz.grant(KEY, rate_limits=[rate])
        edge.script(play(head(), data(ANSWER), end()))
        answer = await edge.post(max_tokens=None)
        await edge.quiet()
        assert 200 == answer.status_code
        (request,) = edge.budget.reserved.values()
        (asked,) = request.rate_costs
        assert 1_000 == asked.cost
        assert edge.router.requests[0].max_output_tokens == request.max_output_tokens < 1_000
        (given_back,) = edge.budget.unused
        used = int(answer.headers["x-tollgate-usage-input-tokens"]) + int(
            answer.headers["x-tollgate-usage-output-tokens"]
        )
        assert 1_000 - used == given_back.cost


async def test_case_M8_held_money_is_answered_with_a_time_to_come_back(mesh):
    """402 with its own code, retryable, retry-after, and how much is held."""
    async with running(mesh) as edge:
        edge.budget.denial = budget_pb2.Denial(
            reason=budget_pb2.DENIAL_REASON_BUDGET_HELD, subject="key:k1", remaining=5_000,
            held_nano_usd=7_000_000,
        )  # fmt: skip
        answer = await edge.post()
        error = answer.json()["error"]
        assert (402, "budget_held", "true", "1") == (
            answer.status_code, error["code"], answer.headers["x-should-retry"],
            answer.headers["retry-after"],
        )  # fmt: skip
        assert ("key:k1", "0.000005", "0.007") == (
            error["account"], error["remaining_usd"], error["held_usd"],
        )  # fmt: skip
