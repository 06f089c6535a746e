"""Tools that run at the vendor: what router sends of them, what it charges, what it refuses."""

import json

import pytest

from tests.contract.router import harness as h
from tests.contract.router.harness import end_of, fake_upstream, harness
from tollgate.router.v1 import router_pb2
from tollgate_dialects.common.protocol import Protocol
from tollgate_kit.rpc.failure import Failure

pb = router_pb2
MESSAGES = {
    "client_protocol": pb.CLIENT_PROTOCOL_ANTHROPIC_MESSAGES, "client_wants_usage": True,
}  # fmt: skip
RESPONSES = {
    "client_protocol": pb.CLIENT_PROTOCOL_OPENAI_RESPONSES, "client_wants_usage": True,
}  # fmt: skip
# $10 for a thousand searches.
PRICED = {"web_search_pico_usd": 10_000_000_000}
SEARCH_NANO_USD = 10_000_000
MESSAGE = {
    "id": "msg_1", "type": "message", "role": "assistant", "model": "m",
    "content": [{"type": "text", "text": "found"}], "stop_reason": "end_turn",
    "usage": {"input_tokens": 10, "output_tokens": 5, "server_tool_use": {"web_search_requests": 2}},
}  # fmt: skip
RESPONSE = {
    "id": "resp_1", "object": "response", "created_at": 1, "model": "m", "status": "completed",
    "output": [{"type": "message", "id": "msg_1", "role": "assistant", "status": "completed",
                "content": [{"type": "output_text", "text": "found", "annotations": []}]}],
    "usage": {"input_tokens": 10, "output_tokens": 5, "total_tokens": 15},
    "tool_usage": {"web_search": {"num_requests": 2}},
}  # fmt: skip
# 10 x 1 in, 5 x 2 out, in micro-USD.
TOKENS_NANO_USD = 20_000


def message(**changes: object) -> bytes:
    tool = {"type": "web_search_20250305", "name": "web_search"}
    body = {"model": "m", "max_tokens": 100, "tools": [tool],
            "messages": [{"role": "user", "content": "hi"}]}  # fmt: skip
    return json.dumps({**body, **changes}).encode()


def response(**changes: object) -> bytes:
    tools = [{"type": "web_search"}, {"type": "function", "name": "f", "parameters": {}}]
    body = {"model": "m", "max_output_tokens": 100, "input": "hi", "tools": tools}
    return json.dumps({**body, **changes}).encode()


async def test_a_priced_search_is_sent_with_its_limit_and_charged(tmp_path):
    """The vendor gets the client's tools and a limit, the ledger each search that it reports."""
    async with fake_upstream() as up, harness(tmp_path) as router:
        up.scripts["m"] = h.answer(RESPONSE)
        await router.provide(up.url, protocol=Protocol.OPENAI_RESPONSES, **PRICED)
        messages = await router.call(**RESPONSES, body=response())
        sent = json.loads(up.seen[-1].body)
        assert json.loads(response())["tools"] == sent["tools"]
        assert 5 == sent["max_tool_calls"]
        end = end_of(messages)
        assert 2 == end.usage.web_search_requests
        assert TOKENS_NANO_USD + 2 * SEARCH_NANO_USD == end.cost_nano_usd
        assert not messages[0].head.dropped
        up.scripts["m"] = h.answer(MESSAGE)
        await router.provide(up.url, protocol=Protocol.ANTHROPIC_MESSAGES, **PRICED)
        end = end_of(await router.call(**MESSAGES, body=message()))
        assert 5 == json.loads(up.seen[-1].body)["tools"][0]["max_uses"]
        assert TOKENS_NANO_USD + 2 * SEARCH_NANO_USD == end.cost_nano_usd


async def test_a_search_without_a_price_is_left_out_and_named(tmp_path):
    """Codex declares it in every request: the vendor is not told of it."""
    async with fake_upstream() as up, harness(tmp_path) as router:
        up.scripts["m"] = h.answer({**RESPONSE, "tool_usage": {"web_search": {"num_requests": 0}}})
        await router.provide(up.url, protocol=Protocol.OPENAI_RESPONSES)
        messages = await router.call(**RESPONSES, body=response())
        assert ["function"] == [t["type"] for t in json.loads(up.seen[-1].body)["tools"]]
        assert ["tools.web_search"] == list(messages[0].head.dropped)
        assert TOKENS_NANO_USD == end_of(messages).cost_nano_usd


@pytest.mark.parametrize(("asked", "body"), [(MESSAGES, message()), (RESPONSES, response())])
async def test_a_reservation_without_the_searches_opens_nothing(tmp_path, asked, body):
    """An edge is not believed: what was reserved must cover five searches, read six times."""
    protocol = Protocol.ANTHROPIC_MESSAGES if asked is MESSAGES else Protocol.OPENAI_RESPONSES
    async with fake_upstream() as up, harness(tmp_path) as router:
        up.scripts["m"] = h.answer(MESSAGE if asked is MESSAGES else RESPONSE)
        await router.provide(up.url, protocol=protocol, **PRICED)
        for short in ({"amount_nano_usd": 5 * SEARCH_NANO_USD}, {"input_tokens": 100_000}):
            token = router.token(**short)
            with pytest.raises(Failure, match="RESERVATION_REFUSED"):
                await router.call(**asked, body=body, reservation_token=token)
        assert not up.seen
        assert await router.call(**asked, body=body)


async def test_searches_that_nobody_can_pay_for_are_left_out(tmp_path):
    """Reserved without them, a response goes on without; a message makes no sense so."""
    async with fake_upstream() as up, harness(tmp_path) as router:
        up.scripts["m"] = h.answer(RESPONSE)
        await router.provide(up.url, protocol=Protocol.OPENAI_RESPONSES, **PRICED)
        token = router.token(input_tokens=20_000)
        messages = await router.call(
            **RESPONSES, body=response(), reservation_token=token, without_searches=True
        )
        assert ["tools.web_search"] == list(messages[0].head.dropped)
        sent = json.loads(up.seen[-1].body)
        assert (["function"], None) == (
            [tool["type"] for tool in sent["tools"]], sent.get("max_tool_calls"),
        )  # fmt: skip
        await router.provide(up.url, protocol=Protocol.ANTHROPIC_MESSAGES, **PRICED)
        short = router.token(input_tokens=20_000)
        with pytest.raises(Failure, match="RESERVATION_REFUSED"):
            await router.call(
                **MESSAGES, body=message(), reservation_token=short, without_searches=True
            )


async def test_more_searches_than_reserved_are_charged_as_reported(tmp_path):
    """The truth is posted: budget counts the overrun and freezes what is above its limit."""
    async with fake_upstream() as up, harness(tmp_path) as router:
        usage = {**MESSAGE["usage"], "server_tool_use": {"web_search_requests": 500}}
        up.scripts["m"] = h.answer({**MESSAGE, "usage": usage})
        await router.provide(up.url, protocol=Protocol.ANTHROPIC_MESSAGES, **PRICED)
        end = end_of(await router.call(**MESSAGES, body=message()))
        assert TOKENS_NANO_USD + 500 * SEARCH_NANO_USD == end.cost_nano_usd


async def test_nobody_else_is_asked_to_run_a_vendors_tools(tmp_path):
    """A message that wants to search finds no other vendor; a response goes on without."""
    async with fake_upstream() as up, harness(tmp_path) as router:
        up.scripts["m"] = h.answer()
        await router.provide(up.url, **PRICED)
        with pytest.raises(Failure):
            await router.call(**MESSAGES, body=message())
        assert not up.seen
        messages = await router.call(**RESPONSES, body=response())
        assert ["tools.web_search"] == list(messages[0].head.dropped)
        # Somebody who speaks it is there, but fails: the others are not asked in its stead.
        up.scripts["m"] = h.answer({"type": "error"}, 503)
        await router.provide(up.url, protocol=Protocol.ANTHROPIC_MESSAGES, keep=True, **PRICED)
        up.seen.clear()
        await router.call(**MESSAGES, body=message())
        assert {"/v1/messages"} == {request.path for request in up.seen}
