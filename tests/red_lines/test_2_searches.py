"""Red line 2, calls that a vendor makes itself: searches of the web are reserved, counted and posted.

An honest vendor keeps to the limit that it was told; one that does not is posted as it reports, and
then nothing more is spent.
"""

import json
from collections.abc import Iterator

import httpx
import pytest

from tests import upstream
from tests.live import ANTHROPIC, Key, Live
from tollgate.router.v1 import router_pb2

RESPONSES = router_pb2.CLIENT_PROTOCOL_OPENAI_RESPONSES
SEARCH = {"type": "web_search_20250305", "name": "web_search"}
SEARCH_NANO_USD = 10_000_000
# $1 a million tokens in, $2 out, $10 a thousand searches.
PRICED = {"web_search_pico_usd": SEARCH_NANO_USD * 1_000}
READ, WRITTEN = 9_000, 300
TOKENS_NANO_USD = READ * 1_000 + WRITTEN * 2_000
# Beside the first reading: five of all that the model takes, six answers, five searches.
LEAST_NANO_USD = 5 * 100_000_000 + 6 * 16 * 2_000 + 5 * SEARCH_NANO_USD
REPORTED = {"honest": 5, "greedy": 500, "unpriced": 1}


def answer(searches: int) -> bytes:
    usage = {"input_tokens": READ, "output_tokens": WRITTEN,
             "server_tool_use": {"web_search_requests": searches}}  # fmt: skip
    message = {"id": "m", "type": "message", "role": "assistant", "model": "m",
               "content": [{"type": "text", "text": "found"}], "stop_reason": "end_turn",
               "usage": usage}  # fmt: skip
    return upstream.whole(json.dumps(message).encode())


@pytest.fixture(scope="module")
def scripted() -> Iterator[upstream.Upstream]:
    with upstream.running() as found:
        found.scripts = {name: [answer(searches)] for name, searches in REPORTED.items()}
        yield found


@pytest.fixture(scope="module")
def models(live: Live, scripted: upstream.Upstream) -> dict[str, str]:
    def made(*names: str, **price: int) -> dict[str, str]:
        return live.models(
            {name: name for name in names}, ANTHROPIC,
            base_url=scripted.url, secret="sk-search-0123456789", price=price,
        )  # fmt: skip

    return made("honest", "greedy", **PRICED) | made("unpriced")


def reserved_nano_usd(live: Live, key: Key, answer: httpx.Response) -> int:
    receipt = live.receipt(key, answer.headers["x-request-id"]).json()
    amount: int = receipt["reservation"]["amount_nano_usd"]
    return amount


def test_searches_are_reserved_charged_and_in_the_receipt(live: Live, models, scripted):
    """What is held covers every search and reading; what is posted is what the vendor reports."""
    key = live.key(live.tenant())
    told = live.call(key, models["honest"], ANTHROPIC, tools=[SEARCH])
    assert 200 == told.status_code, told.text
    assert 5 == json.loads(scripted.last())["tools"][0]["max_uses"]
    cost = TOKENS_NANO_USD + 5 * SEARCH_NANO_USD
    account = live.settled(f"tenant:{key.tenant_id}")
    assert cost == account.posted_nano_usd
    receipt = live.receipt(key, told.headers["x-request-id"]).json()
    assert (5, cost) == (receipt["usage"]["web_search_requests"], receipt["cost_nano_usd"])
    assert reserved_nano_usd(live, key, told) >= cost


def test_a_search_that_does_not_fit_into_the_cap_is_never_made(live: Live, models, scripted):
    """A nano-USD less than the worst case: refused before the vendor hears of it."""
    rich = live.key(live.tenant())
    told = live.call(rich, models["honest"], ANTHROPIC, tools=[SEARCH])
    worst = reserved_nano_usd(live, rich, told)
    assert LEAST_NANO_USD < worst < LEAST_NANO_USD + 10_000_000
    before = len(scripted.bodies)
    poor = live.key(live.tenant(limit_usd=(worst - 1) / 1e9))
    refused = live.call(poor, models["honest"], ANTHROPIC, tools=[SEARCH])
    error = refused.json()["error"]
    assert (402, "max_uses") == (refused.status_code, error["param"])
    assert (
        "with up to 5 searches of the web; a smaller max_uses makes it cheaper" in error["message"]
    )
    assert before == len(scripted.bodies)
    enough = live.key(live.tenant(limit_usd=worst / 1e9))
    assert 200 == live.call(enough, models["honest"], ANTHROPIC, tools=[SEARCH]).status_code


def test_a_response_goes_on_without_a_search_that_there_is_no_money_for(live: Live, scripted):
    """Codex declares a search in each request: a small cap pays for the answer, and is kept."""
    response = {"id": "r", "object": "response", "created_at": 1, "model": "m", "output": [],
                "status": "completed", "usage": {"input_tokens": READ, "output_tokens": WRITTEN},
                "tool_usage": {"web_search": {"num_requests": 1}}}  # fmt: skip
    scripted.scripts["response"] = [upstream.whole(json.dumps(response).encode())]
    model = live.model(
        "response", RESPONSES, base_url=scripted.url, secret="sk-search-0123456789", price=PRICED
    )

    def ask(limit_usd: float, **more: object) -> httpx.Response:
        key = live.key(live.tenant(limit_usd))
        body = {"model": model, "input": "Say hello.", "tools": [{"type": "web_search"}], **more}
        return httpx.post(
            f"{live.api_urls[0]}/v1/responses", json=body, timeout=30,
            headers={"authorization": f"Bearer {key.text}"},
        )  # fmt: skip

    assert "x-tollgate-dropped" not in ask(limit_usd=10.0).headers
    assert 5 == json.loads(scripted.last())["max_tool_calls"]
    told = ask(limit_usd=0.1)
    assert (200, "tools.web_search") == (told.status_code, told.headers["x-tollgate-dropped"])
    assert not json.loads(scripted.last()).keys() & {"tools", "max_tool_calls"}
    before = len(scripted.bodies)
    assert 402 == ask(limit_usd=0.1, tool_choice="required").status_code
    assert before == len(scripted.bodies)


def test_a_search_without_a_price_is_refused_by_name(live: Live, models, scripted):
    """The refusal says what has no price and how it gets one; nothing is asked, nothing charged."""
    key = live.key(live.tenant())
    before = len(scripted.bodies)
    refused = live.call(key, models["unpriced"], ANTHROPIC, tools=[SEARCH])
    error = refused.json()["error"]
    assert (400, "unsupported_parameter") == (refused.status_code, error["code"])
    assert "Web search has no price" in error["message"]
    assert "tollgate price set MODEL --web-search" in error["message"]
    assert before == len(scripted.bodies)
    assert 0 == live.settled(f"tenant:{key.tenant_id}").posted_nano_usd
    plain = live.call(key, models["unpriced"], ANTHROPIC)
    assert 200 == plain.status_code


def test_a_vendor_that_searches_more_than_it_was_allowed_spends_once(live: Live, models, scripted):
    """500 searches where 5 were reserved: posted as reported, and the account is frozen."""
    key = live.key(live.tenant(limit_usd=1.0))
    told = live.call(key, models["greedy"], ANTHROPIC, tools=[SEARCH])
    assert 200 == told.status_code
    cost = TOKENS_NANO_USD + 500 * SEARCH_NANO_USD
    account = live.settled(f"tenant:{key.tenant_id}")
    assert (cost, True) == (account.posted_nano_usd, account.frozen)
    assert 402 == live.call(key, models["greedy"], ANTHROPIC).status_code
    receipt = live.receipt(key, told.headers["x-request-id"]).json()
    assert cost == receipt["cost_nano_usd"]
