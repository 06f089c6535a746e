"""count_tokens at the edge (case P18): free, local, and as strict about keys and bodies as a call."""

import pytest

from tests.fakes.edge import KEY, MESSAGES, OTHER_KEY, running
from tollgate.authz.v1 import authz_pb2
from tollgate.budget.v1 import budget_pb2

COUNT = f"{MESSAGES}/count_tokens"
NO_MONEY = budget_pb2.Denial(
    reason=budget_pb2.DENIAL_REASON_BUDGET_EXHAUSTED, subject="key:k1", remaining=0
)


async def test_case_P18_count_tokens_is_served_and_free(edge):
    """An answer at once; nothing is reserved, called or recorded, and it says no cost."""
    asked, called = len(edge.budget.asked), len(edge.router.requests)
    recorded = len(edge.audit.entries)
    for path in (COUNT, f"{COUNT}?beta=true", f"{COUNT}/", "/messages/count_tokens", f"/v1{COUNT}"):
        answer = await edge.post(path)
        assert (200, ["input_tokens"]) == (answer.status_code, list(answer.json())), path
        assert 5 <= answer.json()["input_tokens"] <= 40
        assert answer.headers["x-tollgate-trace-id"]
    assert (asked, called) == (len(edge.budget.asked), len(edge.router.requests))
    assert recorded == len(edge.audit.entries)


async def test_a_response_is_counted_where_openais_clients_ask(edge):
    """Free and at once, in the shape of OpenAI's answer; more text has more tokens."""
    called = len(edge.router.requests)
    counts = []
    for text in ("hi", "hello there " * 50):
        answer = await edge.post("/v1/responses/input_tokens", model="m-openai", input=text)
        assert (200, "response.input_tokens") == (answer.status_code, answer.json()["object"])
        counts.append(answer.json()["input_tokens"])
    assert counts[0] < 20
    assert 100 < counts[1] < 200
    assert called == len(edge.router.requests)


async def test_case_P18_a_key_without_money_may_ask(mesh):
    """Also right after a refusal for money, which a call is then told without being read."""
    async with running(mesh) as edge:
        edge.budget.denial = NO_MONEY
        assert 402 == (await edge.post(MESSAGES)).status_code
        big = [{"role": "user", "content": "x " * 10_000}]
        assert 402 == (await edge.post(MESSAGES, messages=big)).status_code
        answer = await edge.post(COUNT, messages=big)
        assert (200, True) == (answer.status_code, answer.json()["input_tokens"] > 3_000)


async def test_case_P18_refusals_are_those_of_a_call(edge):
    """Keys, models and bodies, in the words of the protocol."""
    assert 401 == (await edge.post(COUNT, key=None)).status_code
    edge.authz.deny(OTHER_KEY, authz_pb2.DENIAL_REASON_REVOKED)
    assert 401 == (await edge.post(COUNT, key=OTHER_KEY)).status_code
    for fields, status, code in (
        ({"model": "none"}, 404, "model_not_found"),
        ({"content": b"{"}, 400, "invalid_json"),
        ({"content": b'{"model":"a","model":"b"}'}, 400, None),
        ({"tools": [1]}, 400, None),
    ):
        answer = await edge.post(COUNT, **fields)
        error = answer.json()
        assert (status, "error") == (answer.status_code, error["type"]), fields
        assert code in (None, error["error"].get("code")), error
    answer = await edge.client.get(edge.url + COUNT, headers={"authorization": f"Bearer {KEY}"})
    assert (405, "POST") == (answer.status_code, answer.headers["allow"])


async def test_case_P18_a_large_body_is_counted_elsewhere(edge):
    """Megabytes are read by the process that reads them for calls."""
    answer = await edge.post(
        COUNT, messages=[{"role": "user", "content": "lorem ipsum " * 200_000}]
    )
    assert 300_000 < answer.json()["input_tokens"] < 700_000


@pytest.mark.parametrize("path", ["/v1/chat/completions/count_tokens", f"{COUNT}/x"])
async def test_case_P18_only_where_the_protocol_has_it(edge, path):
    """OpenAI's chat has no such route."""
    assert 404 == (await edge.post(path)).status_code
