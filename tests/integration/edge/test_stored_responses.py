"""Stored responses at the edge: who may ask what, what a call that goes on reserves, what is told."""

import asyncio

import pytest

from tests.fakes.edge import KEY, OTHER_KEY, data, end, head, play, route, running
from tollgate.audit.v1 import audit_pb2
from tollgate.authz.v1 import authz_pb2
from tollgate.budget.v1 import budget_pb2
from tollgate.router.v1 import router_pb2

pb = router_pb2
PATH, ONE = "/v1/responses", "/v1/responses/resp_1"
FOUND = pb.FindStoredResponse(context_tokens=4_321)
TOLD = pb.AskStoredResponse(data=b'{"id":"resp_1"}', reason=pb.END_REASON_COMPLETED)
ANSWERED = play(route(), head(), data(b'{"object":"response"}'), end())


async def ask(edge, method: str, path: str = ONE, *, key: str = KEY, **more):
    headers = {"authorization": f"Bearer {key}", **more.pop("headers", {})}
    return await edge.client.request(method, edge.url + path, headers=headers, **more)


async def go_on(edge, *, model: str = "m-responses", **fields):
    return await edge.post(PATH, model=model, max_tokens=None, messages=None, input="hi", **fields)


async def test_each_request_is_passed_on_for_its_key(edge):
    """Method and path say what is asked; tenant, key and its models come from the key."""
    edge.router.told = TOLD
    edge.authz.grant(OTHER_KEY, tenant_id="t2", key_id="k2", allowed_models=["m-both"])
    for method, path, action, query in (
        ("GET", ONE, "RETRIEVE", ""),
        ("GET", f"{ONE}?include[]=a.b&stream=false", "RETRIEVE", "include%5B%5D=a.b"),
        ("GET", "/responses/resp_1/input_items?limit=2", "INPUT_ITEMS", "limit=2"),
        ("POST", f"{ONE}/cancel", "CANCEL", ""),
        ("DELETE", f"/v1{ONE}/", "DELETE", ""),
    ):  # fmt: skip
        answer = await ask(edge, method, path, key=OTHER_KEY)
        assert (200, TOLD.data) == (answer.status_code, answer.content)
        assert answer.headers["x-tollgate-trace-id"] == edge.router.asked[-1].trace_id
        asked = edge.router.asked[-1]
        assert ("t2", "k2", ["m-both"], "resp_1") == (
            asked.tenant_id, asked.key_id, list(asked.allowed_models), asked.response_id,
        )  # fmt: skip
        assert (f"STORED_ACTION_{action}", query) == (
            pb.StoredAction.Name(asked.action), asked.query,
        )  # fmt: skip
    assert b"" == (await ask(edge, "HEAD")).content
    # Nothing is reserved, and edge has nothing to record.
    assert ([], 0) == (edge.budget.asked, len(edge.router.requests))


async def test_none_is_told_in_the_same_words_whoever_asks(edge):
    """OpenAI's: an unknown one, another tenant's and one of a model off the list are one answer."""
    answers = [await ask(edge, method) for method in ("GET", "DELETE")]
    answers.append(await ask(edge, "GET", key=OTHER_KEY))
    answers.append(await ask(edge, "POST", f"{ONE}/cancel"))
    for answer in answers:
        error = answer.json()["error"]
        assert (404, "invalid_request_error", "Response with id 'resp_1' not found.") == (
            answer.status_code, error["type"], error["message"],
        )  # fmt: skip
        assert "false" == answer.headers["x-should-retry"]
        del error["trace_id"]
    assert 1 == len({str(answer.json()["error"] | {"trace_id": ""}) for answer in answers})


async def test_what_cannot_be_asked_reaches_nobody(edge):
    """Wrong keys, methods, ids and parameters: router hears of none of them."""
    edge.authz.deny(OTHER_KEY, authz_pb2.DENIAL_REASON_REVOKED)
    assert 401 == (await ask(edge, "GET", key=OTHER_KEY)).status_code
    assert 401 == (await edge.client.get(edge.url + ONE)).status_code
    for method, path, status, code in (
        ("POST", ONE, 405, "method_not_allowed"),
        ("PUT", ONE, 405, "method_not_allowed"),
        ("GET", f"{ONE}/cancel", 405, "method_not_allowed"),
        ("GET", f"{ONE}/other", 404, "route_not_found"),
        ("GET", f"{PATH}/msg_1", 400, "invalid_value"),
        ("GET", f"{PATH}/resp_%2e%2e%2fx", 404, "route_not_found"),
        ("DELETE", f"{PATH}/resp_%0d%0ax", 400, "invalid_value"),
        ("GET", f"{ONE}?stream=true", 400, "unsupported_parameter"),
        ("GET", f"{ONE}?starting_after=3", 400, "unsupported_parameter"),
        ("GET", f"{ONE}/input_items?limit=1000", 400, "invalid_value"),
        ("GET", f"{ONE}?api_key=x", 401, "api_key_in_url"),
    ):
        answer = await ask(edge, method, path)
        assert (status, code) == (answer.status_code, answer.json()["error"]["code"]), path
    assert "DELETE, GET, HEAD" == (await ask(edge, "PUT")).headers["allow"]
    assert [] == edge.router.asked


async def test_failures_are_those_of_the_table(edge):
    """The upstream's own refusal, an account that is gone, a store that is away."""
    for told, status, code in (
        (pb.AskStoredResponse(
            reason=pb.END_REASON_UPSTREAM_ERROR,
            upstream_error=pb.UpstreamError(
                http_status=400, scrubbed_message="Cannot cancel a synchronous response.", code="x"
            ),
        ), 400, "invalid_request"),
        (pb.AskStoredResponse(
            reason=pb.END_REASON_UPSTREAM_ERROR, upstream_error=pb.UpstreamError(http_status=401)
        ), 502, "provider_unavailable"),
        (pb.AskStoredResponse(reason=pb.END_REASON_UPSTREAM_TIMEOUT), 504, "upstream_timeout"),
        (pb.AskStoredResponse(denial=pb.STORED_DENIAL_KEY_GONE), 502, "provider_unavailable"),
    ):  # fmt: skip
        edge.router.told = told
        answer = await ask(edge, "POST", f"{ONE}/cancel")
        assert (status, code) == (answer.status_code, answer.json()["error"]["code"])


async def test_a_call_that_goes_on_reserves_what_it_reads_again(edge):
    """What was said before is asked for, and set aside on top of the new words."""
    edge.script(ANSWERED)
    assert 200 == (await go_on(edge)).status_code
    edge.router.found = FOUND
    assert 200 == (await go_on(edge, previous_response_id="resp_1")).status_code
    first, second = edge.budget.reserved.values()
    new_words = len('"previous_response_id": "resp_1", ')
    assert first.input_tokens + FOUND.context_tokens + new_words == second.input_tokens
    assert second.amount_nano_usd >= first.amount_nano_usd + 1_250 * FOUND.context_tokens
    (asked,) = edge.router.asked
    assert ("t1", "resp_1", "m-responses") == (asked.tenant_id, asked.response_id, asked.model)
    assert "k1" == edge.router.requests[-1].key_id
    edge.router.found = pb.FindStoredResponse()  # of a length that nobody knows
    assert 200 == (await go_on(edge, previous_response_id="resp_1")).status_code
    assert 100_000 == list(edge.budget.reserved.values())[-1].input_tokens
    await edge.quiet()


@pytest.mark.parametrize(
    ("denial", "code", "words"),
    [
        ("NOT_FOUND", "previous_response_not_found", "Previous response with id 'resp_1' not"),
        ("KEY_GONE", "unsupported_parameter", "is not in use here now. Send the whole"),
        ("MODEL_ELSEWHERE", "unsupported_parameter", "not served by the provider account"),
    ],
)
async def test_a_call_that_cannot_go_on_is_refused_before_money(edge, denial, code, words):
    """400 with OpenAI's parameter, and a reason; nothing is reserved."""
    edge.router.found = pb.FindStoredResponse(denial=f"STORED_DENIAL_{denial}")
    answer = await go_on(edge, previous_response_id="resp_1")
    error = answer.json()["error"]
    assert (400, code, "previous_response_id") == (
        answer.status_code,
        error["code"],
        error["param"],
    )
    assert words in error["message"]
    assert ([], []) == (edge.budget.asked, edge.router.requests)
    async with asyncio.timeout(3):
        while not edge.audit.of(audit_pb2.ENTRY_KIND_CALL_DENIED):
            await asyncio.sleep(0.01)


async def test_a_model_without_responses_says_so(edge):
    """Nobody keeps its answers: router is not even asked."""
    answer = await go_on(edge, model="m-openai", previous_response_id="resp_1")
    error = answer.json()["error"]
    assert (400, "previous_response_id") == (answer.status_code, error["param"])
    assert "No provider of this model keeps responses." in error["message"]
    assert [] == edge.router.asked


async def test_a_key_without_money_may_still_read_and_delete(mesh):
    """Nothing is charged for it."""
    async with running(mesh) as edge:
        edge.budget.denial = budget_pb2.Denial(
            reason=budget_pb2.DENIAL_REASON_BUDGET_EXHAUSTED, subject="key:k1", remaining=0
        )
        edge.router.told = TOLD
        assert 402 == (await go_on(edge)).status_code
        for method in ("GET", "DELETE"):
            assert 200 == (await ask(edge, method)).status_code


async def test_a_router_that_cannot_answer_is_ours(edge):
    """Never "not found": a client would take that for the end of its conversation."""
    edge.router.found = edge.router.told = None  # no answer is a failure
    for answer in (await ask(edge, "GET"), await go_on(edge, previous_response_id="resp_1")):
        assert (500, "internal_error") == (answer.status_code, answer.json()["error"]["code"])
