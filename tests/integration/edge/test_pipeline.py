"""The life of a call through the real edge, with scripted services behind it."""

import asyncio
import json

import httpx
import pytest

from tests.fakes.edge import (
    ANSWER,
    ANTHROPIC_EVENTS,
    CHAT,
    KEY,
    MESSAGES,
    OPENAI_EVENTS,
    OTHER_KEY,
    data,
    end,
    head,
    play,
    route,
    running,
    stream_of,
)
from tollgate.audit.v1 import audit_pb2
from tollgate.budget.v1 import budget_pb2
from tollgate.router.v1 import router_pb2
from tollgate_edge.config import LimitsConfig
from tollgate_kit.rpc.failure import Failure, overloaded, session_broken, store_unavailable

ADMITTED = audit_pb2.ENTRY_KIND_CALL_ADMITTED
FINISHED = audit_pb2.ENTRY_KIND_CALL_FINISHED
DENIED = audit_pb2.ENTRY_KIND_CALL_DENIED


async def test_a_unary_call_is_charged_recorded_and_told(edge):
    """The answer passes unchanged; cost, usage, route, remaining and receipt stand in headers."""
    answer = await edge.post()
    await edge.quiet()
    assert (200, ANSWER) == (answer.status_code, answer.content)
    told = {name: answer.headers[f"x-tollgate-{name}"] for name in (
        "cost-usd", "usage-input-tokens", "usage-output-tokens", "budget-remaining-usd", "route",
    )}  # fmt: skip
    assert {
        "cost-usd": "0.00003",
        "usage-input-tokens": "10",
        "usage-output-tokens": "10",
        "budget-remaining-usd": "4.99997",
        "route": "demo",
    } == told
    assert [[30_000]] == edge.budget.charges()
    (admitted,), (finished,) = edge.audit.of(ADMITTED), edge.audit.of(FINISHED)
    (reservation,) = edge.budget.reserved.values()
    assert {
        "reservation_id": reservation.reservation_id,
        "account_ids": ["key:k1", "tenant:t1"],
        "amount_nano_usd": reservation.amount_nano_usd,
        "model": "m-openai",
        "protocol": "openai.chat",
        "stream": False,
        "price_version": 3,
        "time_unix_ms": admitted["time_unix_ms"],
    } == admitted
    assert (30_000, True, "completed", "upstream", 200, "demo") == (
        finished["cost_nano_usd"], finished["charged"], finished["charge_reason"],
        finished["usage_source"], finished["http_status"], finished["route"],
    )  # fmt: skip
    # The log so far: the edge began (0), the call was admitted (1), and finished (2).
    assert "2" == answer.headers["x-tollgate-receipt"]
    (request,) = edge.router.requests
    assert (b"token of " + reservation.reservation_id.encode(), 16, 3) == (
        request.reservation_token, request.max_output_tokens, request.price_version,
    )  # fmt: skip


async def test_a_receipt_is_the_tenants_own(edge):
    """A receipt tells the recorded facts to the key's tenant; to another it does not exist."""
    answer = await edge.post()
    url = f"{edge.url}/v1/receipts/{answer.headers['x-request-id']}"
    mine = await edge.client.get(url, headers={"x-api-key": KEY})
    other = await edge.client.get(url, headers={"x-api-key": OTHER_KEY})
    nobody = await edge.client.get(url)
    assert [200, 404, 401] == [a.status_code for a in (mine, other, nobody)]
    receipt = mine.json()
    assert (30_000, "0.00003", "completed", 2, "finished") == (
        receipt["cost_nano_usd"], receipt["cost_usd"], receipt["charge_reason"],
        receipt["audit_index"], receipt["state"],
    )  # fmt: skip


@pytest.mark.parametrize(("path", "events"), [(CHAT, OPENAI_EVENTS), (MESSAGES, ANTHROPIC_EVENTS)])
async def test_a_stream_passes_with_its_facts_before_the_terminal_event(edge, path, events):
    """Events arrive unchanged; a comment with cost and receipt stands before the last one."""
    edge.script(stream_of(events))
    answer = await edge.post(path, stream=True)
    lines = answer.content.split(b"\n")
    comments = [line for line in lines if line.startswith(b": tollgate ")]
    without = b"\n".join(line for line in lines if not line.startswith(b": "))
    assert b"".join(events) == without
    facts = json.loads(comments[0].removeprefix(b": tollgate "))
    assert ("0.00003", "2") == (facts["cost_usd"], facts["receipt"])
    assert answer.content.index(b": tollgate") < answer.content.index(events[-1])
    assert answer.headers["content-type"].startswith("text/event-stream")


STREAM = b'{"model":"m-openai","stream":true,"messages":[]}'
UNARY_BODY = b'{"model":"m-openai","messages":[]}'


@pytest.mark.parametrize("body", [STREAM, UNARY_BODY])
async def test_no_byte_before_admitted_is_durable(edge, body):
    """Red line 1: while CALL_ADMITTED is not acknowledged not one byte leaves."""
    edge.script(stream_of(OPENAI_EVENTS))
    edge.audit.hold = {ADMITTED}
    wire = await edge.send(body)
    assert b"" == await wire.silence()
    assert 1 == len(edge.router.requests)
    edge.audit.release()
    assert b"200 OK" in await wire.until(b"[DONE]")
    wire.abort()


async def test_the_last_byte_waits_for_finished(edge):
    """Red line 1: the terminal event is held back until CALL_FINISHED is durable."""
    edge.script(stream_of(OPENAI_EVENTS))
    edge.audit.hold = {FINISHED}
    wire = await edge.send(STREAM)
    await wire.until(b'"a":2')
    got = await wire.silence()
    assert (False, False) == (b"[DONE]" in got, b": tollgate" in got)
    edge.audit.release()
    await wire.until(b"[DONE]")
    wire.abort()


async def test_a_unary_answer_waits_for_finished(edge):
    """Red line 1: of a body that is sent whole, nothing leaves before CALL_FINISHED is durable."""
    edge.audit.hold = {FINISHED}
    wire = await edge.send(UNARY_BODY)
    assert b"" == await wire.silence()
    edge.audit.release()
    await wire.until(ANSWER)
    wire.abort()


@pytest.mark.parametrize("stream", [False, True])
async def test_without_audit_no_model_byte_leaves_and_the_cost_is_settled(mesh, stream):
    """ADMITTED not durable: 503, no byte of the answer; the cost is settled when the log knows."""
    async with running(mesh, durable_ms=200) as edge:
        edge.script(stream_of(OPENAI_EVENTS) if stream else play(head(), data(ANSWER), end()))
        edge.audit.hold = {ADMITTED}
        answer = await edge.post(stream=stream)
        assert (503, "audit_not_durable") == (answer.status_code, answer.json()["error"]["code"])
        assert b'"a":' not in answer.content
        # Should this process be killed now, nothing is charged that the log does not know.
        await asyncio.sleep(0.2)
        assert [[]] == edge.budget.charges()
        # While the entry is overdue, no further call reaches an upstream.
        assert 503 == (await edge.post(stream=stream)).status_code
        assert 1 == len(edge.router.requests)
        edge.audit.release()
        async with asyncio.timeout(3):
            while (await edge.post(stream=stream)).status_code != 200:
                await asyncio.sleep(0.02)
        await edge.quiet()
        assert [30_000] == edge.budget.charges()[0]


async def test_a_stop_waits_for_the_entries_that_money_waits_for(mesh):
    """SIGTERM while the log lags: what was held back is settled before the process ends."""
    async with running(mesh, durable_ms=200) as edge:
        edge.script(play(head(), data(ANSWER), end()))
        edge.audit.hold = {ADMITTED}
        assert 503 == (await edge.post()).status_code
        asyncio.get_running_loop().call_later(0.5, edge.audit.release)
    assert [[30_000]] == edge.budget.charges()


async def test_a_client_that_leaves_is_metered_to_the_end(edge):
    """The client hangs up after the first event; the whole cost is settled once."""
    left, went_on = asyncio.Event(), asyncio.Event()

    async def script(request):
        yield route()
        yield head("text/event-stream")
        yield data(OPENAI_EVENTS[0])
        await left.wait()
        for _ in range(200):
            yield data(OPENAI_EVENTS[1])
        went_on.set()
        yield end(cost=77)

    edge.script(script)
    wire = await edge.send(STREAM)
    await wire.until(b'"a":1')
    wire.abort()
    await asyncio.sleep(0.05)
    left.set()
    async with asyncio.timeout(3):
        await went_on.wait()
    await edge.quiet()
    assert ([[77]], 0) == (edge.budget.charges(), edge.router.cancelled)
    async with asyncio.timeout(3):
        while not edge.audit.of(FINISHED):
            await asyncio.sleep(0.01)
    assert [77] == [entry["cost_nano_usd"] for entry in edge.audit.of(FINISHED)]


async def test_the_draining_for_a_client_that_left_is_bounded(mesh):
    """After drain_seconds the call is left: router is told, the amount stays counted."""

    async def script(request):
        yield head("text/event-stream")
        yield data(OPENAI_EVENTS[0])
        await asyncio.Event().wait()

    async with running(mesh, limits=LimitsConfig(drain_seconds=1)) as edge:
        edge.script(script)
        with pytest.raises(httpx.ReadTimeout):
            await edge.client.post(
                edge.url + CHAT,
                json={"model": "m-openai", "stream": True, "messages": []},
                headers={"x-api-key": KEY},
                timeout=httpx.Timeout(5, read=0.3),
            )
        async with asyncio.timeout(5):
            while not edge.audit.of(FINISHED) or not edge.router.cancelled:
                await asyncio.sleep(0.02)
        (finished,) = edge.audit.of(FINISHED)
        assert (False, "client_gone", "quarantined_client_gone") == (
            finished["charged"], finished["end_reason"], finished["charge_reason"],
        )  # fmt: skip
        await edge.quiet()
    assert [["quarantined"]] == edge.budget.charges()


@pytest.mark.parametrize("stream", [False, True])
async def test_router_lost_after_data_is_quarantined_not_repeated(edge, stream):
    """Nobody knows what the upstream did: no charge, no release, an error in the client's shape."""

    async def script(request):
        yield head("text/event-stream")
        yield data(OPENAI_EVENTS[0])
        raise session_broken("router")

    edge.script(script)
    answer = await edge.post(stream=stream)
    assert 1 == len(edge.router.requests)
    if stream:
        last = answer.content.rpartition(b"data: ")[2]
        assert (200, "call_interrupted") == (
            answer.status_code, json.loads(last)["error"]["code"],
        )  # fmt: skip
        assert b"[DONE]" not in answer.content
    else:
        assert (503, "call_interrupted") == (
            answer.status_code, answer.json()["error"]["code"],
        )  # fmt: skip
    (finished,) = edge.audit.of(FINISHED)
    assert ("router_lost", False) == (finished["end_reason"], finished["charged"])
    await edge.quiet()
    assert [["quarantined"]] == edge.budget.charges()


NOTHING_CALLED = [
    (overloaded("router"), 503, "overloaded"),
    (store_unavailable("router"), 503, "service_unavailable"),
]


@pytest.mark.parametrize(("failure", "status", "code"), NOTHING_CALLED)
async def test_a_refusal_by_router_releases_the_money(edge, failure, status, code):
    """Router called nobody: the reservation is released, once."""

    async def script(request):
        raise failure
        yield  # noqa: V201 - what makes it a generator

    edge.script(script)
    answer = await edge.post()
    await edge.quiet()
    assert (status, code) == (answer.status_code, answer.json()["error"]["code"])
    assert [[0]] == edge.budget.charges()
    assert ["not_executed"] == [entry["end_reason"] for entry in edge.audit.of(FINISHED)]


UPSTREAM = router_pb2.END_REASON_UPSTREAM_ERROR
ENDS = [
    (end(UPSTREAM, cost=0, http_status=500, scrubbed_message="boom"), 502, "upstream_error"),
    (end(UPSTREAM, cost=0, http_status=401), 502, "provider_unavailable"),
    (end(UPSTREAM, cost=0, http_status=403), 502, "provider_unavailable"),
    (
        end(
            UPSTREAM,
            cost=0,
            http_status=400,
            scrubbed_message="too long",
            code="context_length_exceeded",
        ),
        400,
        "context_length_exceeded",
    ),
    (end(UPSTREAM, cost=0, http_status=429), 429, "upstream_rate_limited"),
    (end(router_pb2.END_REASON_UPSTREAM_TIMEOUT, cost=0), 504, "upstream_timeout"),
    (end(router_pb2.END_REASON_NO_ROUTE, cost=0), 503, "no_route"),
    (end(router_pb2.END_REASON_COST_LIMIT, cost=9), 402, "cost_limit_reached"),
]


@pytest.mark.parametrize(("ending", "status", "code"), ENDS)
async def test_ends_without_an_answer(edge, ending, status, code):
    """Each end has its status; what was metered is charged, once; 5xx words stay inside."""
    edge.script(play(route(), ending))
    answer = await edge.post()
    await edge.quiet()
    error = answer.json()["error"]
    assert (status, code) == (answer.status_code, error["code"])
    assert [[ending.end.cost_nano_usd]] == edge.budget.charges()
    assert "boom" not in answer.text
    assert ("too long" == error["message"]) == (status == 400)


@pytest.mark.parametrize(("path", "events"), [(CHAT, OPENAI_EVENTS), (MESSAGES, ANTHROPIC_EVENTS)])
async def test_an_end_inside_a_stream_is_the_protocols_error_event(edge, path, events):
    """After the first event a failure is an error event, and no terminal event follows."""
    edge.script(
        play(
            route(), head("text/event-stream"), data(events[0] + b"data: {half"),
            end(UPSTREAM, cost=5),
        )
    )  # fmt: skip
    answer = await edge.post(path, stream=True)
    await edge.quiet()
    assert answer.content.startswith(events[0])
    last = answer.content.removeprefix(events[0])
    assert (path == MESSAGES) == last.startswith(b"event: error\n")
    assert "upstream_error" == json.loads(last.rpartition(b"data: ")[2])["error"]["code"]
    assert [[5]] == edge.budget.charges()


async def test_money_and_rates_are_refused_in_their_words(edge):
    """402 says what would fit and must not be retried; 429 says exactly when."""
    edge.budget.denial = budget_pb2.Denial(
        reason=budget_pb2.DENIAL_REASON_BUDGET_EXHAUSTED, remaining=1_500_000
    )
    answer = await edge.post(max_tokens=1000)
    error = answer.json()["error"]
    assert (402, "false", "max_tokens") == (
        answer.status_code, answer.headers["x-should-retry"], error["param"],
    )  # fmt: skip
    assert str(error["affordable_max_tokens"]) in error["message"]
    edge.budget.denial = budget_pb2.Denial(reason=budget_pb2.DENIAL_REASON_RATE_LIMITED)
    edge.budget.denial.retry_after.FromMilliseconds(1700)
    answer = await edge.post()
    assert (429, "true", "2") == (
        answer.status_code, answer.headers["x-should-retry"], answer.headers["retry-after"],
    )  # fmt: skip
    edge.budget.denial = None
    await edge.post()
    assert ["BUDGET_EXHAUSTED", "RATE_LIMITED"] == [e["reason"] for e in edge.audit.of(DENIED)]
    assert 1 == len(edge.router.requests)


async def test_an_unanswered_reservation_is_released(edge):
    """Budget fails twice: 503, nothing executed, and the id is released in case it was made."""
    edge.budget.failures = [store_unavailable("postgres"), store_unavailable("postgres")]
    answer = await edge.post()
    assert (503, 0) == (answer.status_code, len(edge.router.requests))
    async with asyncio.timeout(2):
        while not edge.budget.settled:
            await asyncio.sleep(0.01)
    # Both times under the same id, and that is the one released.
    assert (2, {edge.budget.asked[0]: [0]}) == (len(edge.budget.asked), edge.budget.settled)
    assert 1 == len(set(edge.budget.asked))


async def test_settlements_are_repeated_until_budget_answers(edge):
    """A settlement that budget did not answer is sent again; it is applied once."""
    edge.budget.settle_failures = [store_unavailable("postgres"), session_broken("budget")]
    await edge.post()
    await edge.quiet()
    assert [[30_000]] == edge.budget.charges()


def test_failures_used_here_are_failures():
    """The scripts above raise what services raise."""
    assert all(isinstance(case[0], Failure) for case in NOTHING_CALLED)
