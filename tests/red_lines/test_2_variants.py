"""Red line 2, other ways of serving: the dearest that may be served is reserved, what is told is paid.

The money is worked out by hand: $1 a million tokens in, $2 out, times the factor.
"""

import json
from collections.abc import Iterator
from typing import Any

import httpx
import pytest

from tests import upstream
from tests.live import ANTHROPIC, OPENAI, RESPONSES, Key, Live

SECRET = "sk-variant-0123456789"
FACTORS = {"flex_permille": 500, "priority_permille": 1_700, "fast_permille": 6_000,
           "us_permille": 1_100}  # fmt: skip
READ, WRITTEN = 9, 3
TOKENS_NANO_USD = READ * 1_000 + WRITTEN * 2_000
# What is asked for, what the vendor tells, and what the ledger is to hold.
SERVED = [
    (OPENAI, {"service_tier": "flex"}, {"service_tier": "flex"}, 7_500),
    (OPENAI, {"service_tier": "priority"}, {"service_tier": "priority"}, 25_500),
    (OPENAI, {"service_tier": "priority"}, {"service_tier": "default"}, 15_000),
    (OPENAI, {"service_tier": "fast"}, {}, 25_500),
    (RESPONSES, {"service_tier": "fast"}, {"service_tier": "fast"}, 25_500),
    (RESPONSES, {"service_tier": "flex"}, {"service_tier": "default"}, 15_000),
    (ANTHROPIC, {"speed": "fast"}, {"speed": "fast"}, 90_000),
    (ANTHROPIC, {"speed": "fast"}, {"speed": "standard"}, 15_000),
    (ANTHROPIC, {"inference_geo": "us"}, {"inference_geo": "us"}, 16_500),
    (ANTHROPIC, {"speed": "fast", "inference_geo": "us"},
     {"speed": "fast", "inference_geo": "us"}, 99_000),
    (ANTHROPIC, {"service_tier": "auto"}, {"service_tier": "priority"}, 15_000),
]  # fmt: skip
NAMES = {OPENAI: "chat", RESPONSES: "response", ANTHROPIC: "message"}


def document(protocol: int, told: dict[str, str]) -> dict[str, Any]:
    """An answer that tells how it was served, where its vendor tells it."""
    usage = {"input_tokens": READ, "output_tokens": WRITTEN}
    if protocol == ANTHROPIC:
        return {"id": "m", "type": "message", "role": "assistant", "model": "m",
                "content": [{"type": "text", "text": "hi"}], "stop_reason": "end_turn",
                "usage": {**usage, **told}}  # fmt: skip
    if protocol == RESPONSES:
        return {"id": "r", "object": "response", "created_at": 1, "model": "m", "output": [],
                "status": "completed", "usage": usage, **told}  # fmt: skip
    said = {"role": "assistant", "content": "hi"}
    choice = {"index": 0, "message": said, "finish_reason": "stop"}
    counts = {"prompt_tokens": READ, "completion_tokens": WRITTEN}
    return {"id": "c", "object": "chat.completion", "model": "m", "choices": [choice],
            "usage": counts, **told}  # fmt: skip


@pytest.fixture(scope="module")
def scripted() -> Iterator[upstream.Upstream]:
    with upstream.running() as found:
        yield found


@pytest.fixture(scope="module")
def models(live: Live, scripted: upstream.Upstream) -> dict[tuple[int, bool], str]:
    """By protocol and whether its variants have factors."""
    return {
        (protocol, priced): live.model(
            f"{name}-{priced}", protocol, base_url=scripted.url, secret=SECRET,
            price=FACTORS if priced else {},
        )
        for protocol, name in NAMES.items()
        for priced in (True, False)
    }  # fmt: skip


def ask(live: Live, key: Key, model: str, protocol: int, **members: Any) -> httpx.Response:
    if protocol == RESPONSES:
        body = {"model": model, "input": "Say hello.", "max_output_tokens": 16, **members}
        return live.post(key, "/v1/responses", body, {})
    return live.call(key, model, protocol, **members)


@pytest.mark.parametrize(("protocol", "members", "told", "cost"), SERVED)
def test_what_was_served_is_charged_and_in_receipt_header_and_log(
    live: Live, models, scripted, protocol, members, told, cost
):
    """The account, the receipt from the log and the header agree with the sum done by hand."""
    scripted.scripts[f"{NAMES[protocol]}-True"] = [
        upstream.whole(json.dumps(document(protocol, told)).encode())
    ]
    key = live.key(live.tenant())
    answer = ask(live, key, models[protocol, True], protocol, **members)
    assert 200 == answer.status_code, answer.text
    assert members.items() <= json.loads(scripted.last()).items()
    assert cost == live.settled(f"tenant:{key.tenant_id}").posted_nano_usd
    receipt = live.receipt(key, answer.headers["x-request-id"]).json()
    assert cost == receipt["cost_nano_usd"] <= receipt["reservation"]["amount_nano_usd"]
    factor_ppm = receipt["usage"]["factor_ppm"]
    assert cost * 1_000_000 == TOKENS_NANO_USD * (factor_ppm or 1_000_000)
    assert cost == round(float(answer.headers["x-tollgate-cost-usd"]) * 1e9)


@pytest.mark.parametrize(("protocol", "members"), [(p, m) for p, m, _, _ in SERVED[:-1]])
def test_a_variant_without_a_factor_is_refused_by_name(
    live: Live, models, scripted, protocol, members
):
    """No factor, no upstream: the refusal names what has no price, and how it gets one."""
    key = live.key(live.tenant())
    before = len(scripted.bodies)
    refused = ask(live, key, models[protocol, False], protocol, **members)
    error = refused.json()["error"]
    assert (400, True) == (refused.status_code, "has no price for this model" in error["message"])
    assert "tollgate price set MODEL --" in error["message"]
    assert before == len(scripted.bodies)
    assert 0 == live.settled(f"tenant:{key.tenant_id}").posted_nano_usd


def test_what_the_dearest_way_costs_has_to_be_there(live: Live, models, scripted):
    """Fast mode reserves six times as much: a cap that pays for the ordinary is not enough."""
    scripted.scripts["message-True"] = [
        upstream.whole(json.dumps(document(ANTHROPIC, {"speed": "fast"})).encode())
    ]
    model = models[ANTHROPIC, True]
    rich = live.key(live.tenant())

    def reserved(**members: str) -> int:
        told = live.call(rich, model, ANTHROPIC, **members)
        receipt = live.receipt(rich, told.headers["x-request-id"]).json()
        amount: int = receipt["reservation"]["amount_nano_usd"]
        return amount

    worst = reserved(speed="fast")
    assert 5 * reserved() < worst
    before = len(scripted.bodies)
    poor = live.key(live.tenant(limit_usd=(worst - 1) / 1e9))
    assert 402 == live.call(poor, model, ANTHROPIC, speed="fast").status_code
    assert before == len(scripted.bodies)
    enough = live.key(live.tenant(limit_usd=worst / 1e9))
    assert 200 == live.call(enough, model, ANTHROPIC, speed="fast").status_code


def test_a_prediction_is_reserved_as_output_and_charged_as_told(live: Live, models, scripted):
    """What was predicted in vain is in the completion's count: reserved beside the limit, and paid."""
    predicted = "x" * 4_000
    told = document(OPENAI, {})
    told["usage"] = {"prompt_tokens": READ, "completion_tokens": 1_016, "completion_tokens_details":
                     {"accepted_prediction_tokens": 0, "rejected_prediction_tokens": 1_000}}  # fmt: skip
    scripted.scripts["chat-False"] = [upstream.whole(json.dumps(told).encode())]
    key = live.key(live.tenant())
    prediction = {"type": "content", "content": predicted}
    answer = ask(live, key, models[OPENAI, False], OPENAI, prediction=prediction)
    assert 200 == answer.status_code, answer.text
    cost = READ * 1_000 + 1_016 * 2_000
    assert cost == live.settled(f"tenant:{key.tenant_id}").posted_nano_usd
    receipt = live.receipt(key, answer.headers["x-request-id"]).json()
    assert cost == receipt["cost_nano_usd"]
    assert receipt["reservation"]["amount_nano_usd"] >= (16 + len(predicted)) * 2_000
