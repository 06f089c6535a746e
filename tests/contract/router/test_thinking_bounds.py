"""What a model thinks beyond an answer's limit is granted for, whatever the clients call it."""

import json

import pytest

from tests.contract.router import harness as h
from tests.contract.router.harness import end_of, fake_upstream, harness
from tollgate.router.v1 import router_pb2 as pb
from tollgate_dialects.common.protocol import Protocol
from tollgate_kit.rpc.failure import Failure

CHAT, NATIVE = Protocol.OPENAI_CHAT, Protocol.DASHSCOPE
MESSAGES = pb.CLIENT_PROTOCOL_ANTHROPIC_MESSAGES
# Output alone costs something here: $1 a million.
FREE_INPUT = {
    "input_pico_usd": 0, "cache_read_pico_usd": 0, "cache_write_5m_pico_usd": 0,
    "cache_write_1h_pico_usd": 0, "output_pico_usd": 1_000_000,
}  # fmt: skip
NANO_USD = 1_000
LIMIT, MODEL_MAX, MARGIN = 100, 4_096, 10
GENERATION = {
    "request_id": "r",
    "output": {"choices": [
        {"finish_reason": "stop", "message": {"role": "assistant", "content": "hi"}}
    ]},
    "usage": {"input_tokens": 1, "output_tokens": 1, "total_tokens": 2},
}  # fmt: skip


def body(**changes: object) -> bytes:
    messages = [{"role": "user", "content": "hi"}]
    return json.dumps({"model": "m", "max_tokens": LIMIT, "messages": messages} | changes).encode()


def native(**parameters: object) -> bytes:
    asked = {"messages": [{"role": "user", "content": "hi"}]}
    parameters = {"max_tokens": LIMIT, **parameters}
    return json.dumps({"model": "m", "input": asked, "parameters": parameters}).encode()


@pytest.mark.parametrize(
    ("upstream_model", "told", "beyond"),
    [
        ("qwen3.5-plus", {}, MODEL_MAX),
        ("qwen3-32b-thinking", {"thinking_budget": 500}, 500 + MARGIN),
        ("qwen3-32b-thinking", {"enable_thinking": False}, MODEL_MAX),
        ("Qwen/QwQ-32B", {"enable_thinking": False}, MODEL_MAX),
        ("qwen-plus", {}, 0),
        ("gpt-4o", {}, 0),
    ],
)
async def test_an_alias_is_granted_for_what_its_upstreams_model_thinks(
    tmp_path, upstream_model, told, beyond
):
    """`m` says nothing of it: a token less is refused, and no upstream is asked."""
    async with fake_upstream() as up, harness(tmp_path) as router:
        up.scripts[upstream_model] = h.answer()
        await router.provide(up.url, upstream_model=upstream_model, **FREE_INPUT)
        amount = (LIMIT + beyond) * NANO_USD
        with pytest.raises(Failure) as refused:
            short = router.token(amount_nano_usd=amount - 1)
            await router.call(body=body(**told), reservation_token=short)
        assert ("RESERVATION_REFUSED", 0) == (refused.value.reason, up.connections)
        token = router.token(amount_nano_usd=amount)
        messages = await router.call(body=body(**told), reservation_token=token)
        assert pb.END_REASON_COMPLETED == end_of(messages).reason


async def test_the_dearest_of_several_upstreams_decides(tmp_path):
    """The first would not think; whoever comes behind it may be asked as well."""
    async with fake_upstream() as up, harness(tmp_path) as router:
        await router.provide(up.url, up.url, upstream_model="qwq-plus", **FREE_INPUT)
        await router.provide(up.url, upstream_model="gpt-4o", keep=True, **FREE_INPUT)
        known = [each.model for each in router.watch.snapshot.listed("m").upstreams]
        assert ["gpt-4o", "qwq-plus"] == known
        with pytest.raises(Failure):
            short = router.token(amount_nano_usd=(LIMIT + MODEL_MAX) * NANO_USD - 1)
            await router.call(body=body(), reservation_token=short)
        assert 0 == up.connections


@pytest.mark.parametrize(
    ("upstream_model", "told", "beyond"),
    [
        ("qwq-plus", {"enable_thinking": False}, MODEL_MAX),
        ("deepseek-r1", {"thinking_budget": 50}, MODEL_MAX),
        ("qwen-plus", {"thinking_budget": 50}, 50 + MARGIN),
        ("qwen-plus", {"enable_thinking": False}, MARGIN),
    ],
)
async def test_a_generation_is_granted_by_the_upstreams_model(
    tmp_path, upstream_model, told, beyond
):
    """Some think whatever they are told, and take no budget."""
    async with fake_upstream() as up, harness(tmp_path) as router:
        up.scripts[upstream_model] = h.answer(GENERATION)
        url = up.url.replace("/v1", "/api/v1")
        await router.provide(url, protocol=NATIVE, upstream_model=upstream_model, **FREE_INPUT)
        call = {
            "client_protocol": pb.CLIENT_PROTOCOL_DASHSCOPE, "client_wants_usage": True,
            "body": native(**told),
        }  # fmt: skip
        amount = (LIMIT + beyond) * NANO_USD
        with pytest.raises(Failure) as refused:
            await router.call(**call, reservation_token=router.token(amount_nano_usd=amount - 1))
        assert ("RESERVATION_REFUSED", 0) == (refused.value.reason, up.connections)
        token = router.token(amount_nano_usd=amount)
        messages = await router.call(**call, reservation_token=token)
        assert pb.END_REASON_COMPLETED == end_of(messages).reason


@pytest.mark.parametrize(
    ("protocol", "upstream_model", "beyond"),
    [
        (NATIVE, "qwq-plus", MODEL_MAX),
        (NATIVE, "qvq-max", MODEL_MAX),
        (NATIVE, "deepseek-r1", MODEL_MAX),
        # Told a budget, or limited as a whole.
        (NATIVE, "qwen3-32b-thinking", MARGIN),
        (NATIVE, "qwen3.5-plus", MARGIN),
        (NATIVE, "qwen-plus", MARGIN),
        # A chat's words have no budget.
        (CHAT, "qwen3.5-plus", MODEL_MAX),
        (CHAT, "Qwen/QwQ-32B", MODEL_MAX),
        (CHAT, "deepseek-reasoner", MARGIN),
        (CHAT, "gpt-4o", MARGIN),
    ],
)
async def test_a_translated_call_is_granted_for_what_the_model_thinks(
    tmp_path, protocol, upstream_model, beyond
):
    """A message's limit is for all of it; what the upstream's does not end is granted as well."""
    async with fake_upstream() as up, harness(tmp_path) as router:
        up.scripts[upstream_model] = h.answer(GENERATION if protocol is NATIVE else h.ANSWER)
        url = up.url.replace("/v1", "/api/v1") if protocol is NATIVE else up.url
        await router.provide(url, protocol=protocol, upstream_model=upstream_model, **FREE_INPUT)
        call = {"client_protocol": MESSAGES, "client_wants_usage": True, "body": body()}
        amount = (LIMIT + beyond) * NANO_USD
        short = router.token(amount_nano_usd=amount - 1)
        messages = await router.call(**call, reservation_token=short)
        assert (pb.END_REASON_NO_ROUTE, 0) == (end_of(messages).reason, up.connections)
        token = router.token(amount_nano_usd=amount)
        messages = await router.call(**call, reservation_token=token)
        assert pb.END_REASON_COMPLETED == end_of(messages).reason
