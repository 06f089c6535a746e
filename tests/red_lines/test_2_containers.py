"""Red line 2, code that a vendor runs: its container is reserved, charged and told, or refused."""

import json
from collections.abc import Iterator
from typing import Any

import pytest

from tests import upstream
from tests.live import ANTHROPIC, Live

CODE = {"type": "code_execution_20250825", "name": "code_execution"}
FETCH = {"type": "web_fetch_20260209", "name": "web_fetch"}
# $1 a million tokens in, $2 out, 5 cents for a container.
PRICED = {"container_pico_usd": 50_000_000_000}
CONTAINER_NANO_USD = 50_000_000
READ, WRITTEN = 9_000, 300
TOKENS_NANO_USD = READ * 1_000 + WRITTEN * 2_000


def answer(*, ran: bool) -> bytes:
    container = {"id": "container_1", "expires_at": "2026-11-27T00:00:00Z"} if ran else None
    message = {"id": "m", "type": "message", "role": "assistant", "model": "m",
               "content": [{"type": "text", "text": "42"}], "stop_reason": "end_turn",
               "container": container,
               "usage": {"input_tokens": READ, "output_tokens": WRITTEN}}  # fmt: skip
    return upstream.whole(json.dumps(message).encode())


@pytest.fixture(scope="module")
def scripted() -> Iterator[upstream.Upstream]:
    with upstream.running() as found:
        found.scripts = {name: [answer(ran=name != "idle")] for name in ("ran", "idle", "unpriced")}
        yield found


@pytest.fixture(scope="module")
def models(live: Live, scripted: upstream.Upstream) -> dict[str, str]:
    def made(*names: str, **price: int) -> dict[str, str]:
        return live.models(
            {name: name for name in names}, ANTHROPIC,
            base_url=scripted.url, secret="sk-container-0123456789", price=price,
        )  # fmt: skip

    return made("ran", "idle", **PRICED) | made("unpriced")


@pytest.mark.parametrize(
    ("name", "tools", "sessions"), [("ran", [CODE], 1), ("idle", [CODE], 0), ("ran", [CODE, FETCH], 0)]
)  # fmt: skip
def test_a_container_is_charged_and_in_receipt_header_and_log(  # one that was used, and is not free
    live: Live, models: dict[str, str], name: str, tools: list[Any], sessions: int
) -> None:
    """The account, the receipt from the log and the header agree with the sum done by hand."""
    key = live.key(live.tenant())
    told = live.call(key, models[name], ANTHROPIC, tools=tools)
    assert 200 == told.status_code, told.text
    cost = TOKENS_NANO_USD + sessions * CONTAINER_NANO_USD
    assert cost == live.settled(f"tenant:{key.tenant_id}").posted_nano_usd
    receipt = live.receipt(key, told.headers["x-request-id"]).json()
    assert (sessions, cost) == (receipt["usage"]["container_sessions"], receipt["cost_nano_usd"])
    assert cost == round(float(told.headers["x-tollgate-cost-usd"]) * 1e9)
    # Ten readings, nine of all that the model takes, ten answers, and the container.
    reserved = receipt["reservation"]["amount_nano_usd"]
    least = 9 * 100_000_000 + 10 * 16 * 2_000 + CONTAINER_NANO_USD * (FETCH not in tools)
    assert least < reserved < least + 10_000_000


def test_a_container_without_a_price_is_refused_by_name(live: Live, models, scripted) -> None:
    """Nothing is asked, nothing charged; nor is anybody's container by its id."""
    key = live.key(live.tenant())
    before = len(scripted.bodies)
    refused = live.call(key, models["unpriced"], ANTHROPIC, tools=[CODE])
    message = refused.json()["error"]["message"]
    assert (400, True) == (refused.status_code, "price set MODEL --container" in message)
    other = live.call(key, models["ran"], ANTHROPIC, tools=[CODE], container="container_1")
    assert (400, before) == (other.status_code, len(scripted.bodies))
    assert 0 == live.settled(f"tenant:{key.tenant_id}").posted_nano_usd
