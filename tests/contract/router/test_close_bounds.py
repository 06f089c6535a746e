"""A grant by tokens: router counts again, and takes no edge's word for it."""

import json

import pytest

from tests.contract.router import harness as h
from tests.contract.router.harness import fake_upstream, harness
from tollgate.router.v1 import router_pb2 as pb
from tollgate_dialects.common.protocol import Protocol
from tollgate_dialects.registry import DIALECTS
from tollgate_dialects.request import close_bound
from tollgate_dialects.tokens import calibration
from tollgate_kit.rpc.failure import Failure

WORDS = "Every call has a price before it is made. "


def body_of(repeats: int) -> bytes:
    messages = [{"role": "user", "content": WORDS * repeats}]
    return json.dumps({"model": "m", "max_tokens": 100, "messages": messages}).encode()


def counted(body: bytes) -> int:
    rules = DIALECTS[Protocol.OPENAI_CHAT].request
    return close_bound.count(body, rules, calibration.BY_WORD["gpt-4o"]).tokens


@pytest.mark.parametrize("repeats", [100, 2_000])
async def test_a_grant_that_covers_the_count_is_taken_and_no_smaller_one(tmp_path, repeats):
    """Counted at once where it is short, in a thread where it is long; a token less is refused."""
    async with fake_upstream() as up, harness(tmp_path) as router:
        up.scripts["gpt-4o"] = h.answer()
        await router.provide(up.url, upstream_model="gpt-4o", input_pico_usd=5_000_000)
        body = body_of(repeats)
        tokens = counted(body)
        assert tokens * 3 < len(body)
        with pytest.raises(Failure) as refused:
            await router.call(body=body, reservation_token=router.token(input_tokens=tokens - 1))
        assert ("RESERVATION_REFUSED", 0) == (refused.value.reason, up.connections)
        token = router.token(input_tokens=tokens)
        (message,) = await router.call(body=body, reservation_token=token)
        assert pb.END_REASON_COMPLETED == message.end.reason


async def test_a_model_whose_upstream_is_not_known_is_bounded_by_bytes(tmp_path):
    """Whatever clients call it."""
    async with fake_upstream() as up, harness(tmp_path) as router:
        await router.provide(up.url, models=("gpt-4o",), upstream_model="llama-3")
        body = body_of(100).replace(b'"m"', b'"gpt-4o"')
        with pytest.raises(Failure) as refused:
            token = router.token(model="gpt-4o", input_tokens=len(body) - 1)
            await router.call(body=body, model="gpt-4o", reservation_token=token)
        assert ("RESERVATION_REFUSED", 0) == (refused.value.reason, up.connections)


async def test_a_picture_that_the_upstream_fetches_is_granted_by_the_largest_it_takes(tmp_path):
    """No bytes bound it: the model's own limit does where the upstream's model is not known."""
    async with fake_upstream() as up, harness(tmp_path) as router:
        up.scripts["gpt-4o"] = h.answer()
        await router.provide(up.url, upstream_model="gpt-4o", input_pico_usd=5_000_000)
        picture = {"type": "image_url", "image_url": {"url": "https://p.example/1.png"}}
        body = json.loads(body_of(1))
        body["messages"][0]["content"] = [picture]
        text = json.dumps(body).encode()
        tokens = counted(text)
        assert 1_445 <= tokens < 1_500
        with pytest.raises(Failure) as refused:
            await router.call(body=text, reservation_token=router.token(input_tokens=tokens - 1))
        assert ("RESERVATION_REFUSED", 0) == (refused.value.reason, up.connections)
        token = router.token(input_tokens=tokens)
        (message,) = await router.call(body=text, reservation_token=token)
        assert pb.END_REASON_COMPLETED == message.end.reason
