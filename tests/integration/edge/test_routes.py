"""Paths, methods and lists of the public listener: cases P12, P13, P15 of the gateway's faults."""

import asyncio

import orjson
import pytest

from tests.fakes.edge import CHAT, KEY, MESSAGES, OTHER_KEY, running
from tests.fakes.services import model
from tollgate_dialects.common.protocol import Protocol
from tollgate_dialects.registry import DIALECTS
from tollgate_dialects.request import request

BEARER = {"authorization": f"Bearer {KEY}"}
ANTHROPIC = {"x-api-key": KEY, "anthropic-version": "2023-06-01"}
PAGE = "https://app.example:8443"
PREFLIGHT = {
    "origin": PAGE,
    "access-control-request-method": "POST",
    "access-control-request-headers": "authorization,content-type,x-stainless-lang",
}


async def ask(edge, method, path, **fields):
    """One request whose path stays as it is written."""
    return await edge.client.request(
        method, edge.url + path, follow_redirects=False, **{"headers": BEARER, **fields}
    )


# ---- P12 -----------------------------------------------------------------------------------------


async def test_case_P12_slashes_and_v1_of_a_base_url_do_not_matter(edge):
    """A slash or a /v1 too many or too few: the call is served as it stands, body and all."""
    for path in (
        CHAT, f"{CHAT}/", f"{CHAT}//", f"/{CHAT}", "/v1//chat/completions", "/v1/chat//completions",
        f"/v1{CHAT}", f"/v1/v1{CHAT}/", "/chat/completions", "//chat/completions/",
        "/v1%2Fchat/completions",
    ):  # fmt: skip
        answer = await edge.post(path, model="m-openai")
        assert (200, b'{"choices":[]}') == (answer.status_code, answer.content), path
    for path in (f"{MESSAGES}/", f"/{MESSAGES}", f"/v1{MESSAGES}", "/messages", "/messages//"):
        assert 200 == (await edge.post(path, model="m-anthropic")).status_code, path
    # Errors are in the words of the protocol that the path means.
    assert "not_found_error" == (await edge.post("/messages", model="x")).json()["error"]["type"]


async def test_case_P12_lists_receipts_and_probes_have_the_same_aliases(edge):
    """`/v1/models/` was a redirect to a Host that the client made up; it is the list."""
    right = (await ask(edge, "GET", "/v1/models")).content
    for path in ("/v1/models/", "//v1/models", "/v1/v1/models", "/models", "/models/"):
        answer = await ask(edge, "GET", path, headers={**BEARER, "host": "evil.example"})
        assert (200, right) == (answer.status_code, answer.content), path
        assert "location" not in answer.headers
    for path in ("/health/live/", "//health//ready"):
        assert 200 == (await ask(edge, "GET", path, headers={})).status_code
    trace = (await edge.post()).headers["x-tollgate-trace-id"]
    for path in (f"/v1/receipts/{trace}/", f"/receipts/{trace}", f"/v1//receipts//{trace}"):
        assert trace == (await ask(edge, "GET", path)).json()["trace_id"]


async def test_the_base_urls_of_other_vendors_keep_their_paths(edge):
    """Who called DashScope or Azure's v1 in a protocol we speak changes the host and the key alone."""
    for base in ("/compatible-mode/v1", "/compatible-mode", "/openai/v1", "/openai/v1/"):
        answer = await edge.post(f"{base}/chat/completions", model="m-openai")
        assert (200, b'{"choices":[]}') == (answer.status_code, answer.content), base
        listed = await ask(edge, "GET", f"{base}/models")
        assert listed.content == (await ask(edge, "GET", "/v1/models")).content
    for base in ("/apps/anthropic", "/apps/anthropic/v1", "/apps//anthropic/v1"):
        assert 200 == (await edge.post(f"{base}/messages", model="m-anthropic")).status_code, base
        listed = await ask(edge, "GET", f"{base}/models", headers=ANTHROPIC)
        assert listed.content == (await ask(edge, "GET", "/v1/models", headers=ANTHROPIC)).content
    for path in (
        "/compatible-mode",
        "/apps/anthropic",
        "/apps/v1/messages",
        "/compatible-mode/health/live",
    ):
        assert 404 == (await ask(edge, "GET", path)).status_code, path


async def test_azures_clients_name_their_model_in_the_path(edge):
    """A deployment is a model here, whatever the body calls it; the version of the API is theirs."""
    for place in ("/openai/deployments/m-openai", "//openai//deployments/m-openai/"):
        for named in ({}, {"model": "something"}):
            body = {"messages": [{"role": "user", "content": "hi"}], "max_tokens": 5, **named}
            answer = await ask(
                edge, "POST", f"{place}/chat/completions?api-version=2025-01-01", json=body,
                headers={"api-key": KEY},
            )  # fmt: skip
            assert (200, b'{"choices":[]}') == (answer.status_code, answer.content), place
            sent = edge.router.requests[-1]
            assert ("m-openai", "m-openai") == (sent.model, orjson.loads(sent.body)["model"])
            # What was set aside covers what is sent, whatever the client's body said.
            sent_facts = request.read(sent.body, DIALECTS[Protocol.OPENAI_CHAT].request)
            reserved = edge.budget.reserved[edge.budget.asked[-1]]
            assert sent_facts.input_token_bound <= reserved.input_tokens
    unknown = await ask(
        edge, "POST", "/openai/deployments/nobody/chat/completions", json={"messages": []}
    )
    assert (404, "model_not_found") == (
        unknown.status_code, unknown.json()["error"]["code"],
    )  # fmt: skip


async def test_case_P12_other_paths_are_not_found_and_never_redirected(edge):
    """What is near no path of ours is 404 in our shape, with a slash and without, key or none."""
    for path in (
        "/v1", "/v1/", "//", "/v1/chat", "/v1/chat/completions/x", "/v1/messages/x", "/v2/models",
        "/V1/models", "/v1/modelsx", "/xv1/models", "/v1/%2e%2e/v1/models/", "/health", "/health/live/x",
        "/v1/health/live", "/docs/", "/other/v1/chat/completions", "/v1/chat/completions%00",
        "/v1/receipts", "/v1/receipts/",
    ):  # fmt: skip
        for headers in (BEARER, {}):
            answer = await ask(edge, "GET", path, headers=headers)
            assert (404, "route_not_found") == (
                answer.status_code, answer.json()["error"]["code"],
            ), path  # fmt: skip
            assert "location" not in answer.headers


async def test_case_P12_without_a_key_nothing_is_told(edge):
    """Of models, receipts and calls: 401 first, whatever the spelling, the method or the model."""
    for method, path in (
        ("GET", "/v1/models"), ("GET", "/v1/models/"), ("GET", "/v1/models/m-openai"),
        ("GET", "/v1/models/none"), ("DELETE", "/v1/models"), ("POST", "/models/"), ("GET", CHAT),
        ("PUT", f"{MESSAGES}/"), ("POST", "/chat/completions"), ("GET", "/v1/receipts/x"),
        ("PATCH", "/v1/receipts/x"), ("HEAD", "/v1/models"), ("OPTIONS", CHAT),
    ):  # fmt: skip
        answer = await ask(edge, method, path, headers={})
        assert (401, "allow" in answer.headers) == (answer.status_code, False), (method, path)
    assert 405 == (await ask(edge, "DELETE", "/v1/models")).status_code


# ---- P13 -----------------------------------------------------------------------------------------


async def test_case_P13_one_model_in_both_shapes(edge):
    """GET /v1/models/{id} is the list's own entry, ids with slashes included."""
    edge.router.models += [model("org/m.1:free", 1), model("org/claude", 2)]
    edge.router.revision += 1
    async with asyncio.timeout(5):
        while "org/claude" not in (await ask(edge, "GET", "/v1/models", headers=ANTHROPIC)).text:
            await asyncio.sleep(0.05)
    names = {
        "m-openai",
        "m-anthropic",
        "m-both",
        "m-gemini",
        "m-responses",
        "org/m.1:free",
        "org/claude",
    }
    for headers in (BEARER, ANTHROPIC):
        listed = (await ask(edge, "GET", "/v1/models", headers=headers)).json()["data"]
        assert names == {entry["id"] for entry in listed}
        for entry in listed:
            for name in (entry["id"], entry["id"].replace("/", "%2F"), entry["id"] + "/"):
                answer = await ask(edge, "GET", f"/v1/models/{name}", headers=headers)
                assert (200, entry) == (answer.status_code, answer.json())


async def test_case_P13_a_model_that_cannot_be_called_is_not_found(edge):
    """404 in the caller's dialect; one that another key may use reads like one that is not there."""
    edge.authz.grant(OTHER_KEY, tenant_id="t2", key_id="k2", allowed_models=["m-both"])
    told = set()
    for name in ("none", "a/b", "m-openai", "m-both/x", "%C3%BC"):
        answer = await ask(
            edge, "GET", f"/v1/models/{name}", headers={"authorization": f"Bearer {OTHER_KEY}"}
        )
        error = answer.json()["error"]
        assert (404, "invalid_request_error", "model_not_found") == (
            answer.status_code, error["type"], error["code"],
        )  # fmt: skip
        told.add(error["message"])
    assert 1 == len(told)
    answer = await ask(edge, "GET", "/v1/models/none", headers=ANTHROPIC)
    assert (404, "not_found_error") == (answer.status_code, answer.json()["error"]["type"])


async def test_case_P13_the_api_key_header_of_azures_clients_is_a_credential(edge):
    """`api-key` is read like x-api-key: alone, beside the same key, never beside another."""
    assert 200 == (await edge.post(key=None, headers={"api-key": KEY})).status_code
    assert 200 == (await edge.post(headers={"api-key": KEY})).status_code
    both = await edge.post(headers={"api-key": OTHER_KEY})
    assert (401, "ambiguous_api_key") == (both.status_code, both.json()["error"]["code"])
    assert 401 == (await edge.post(key=None, headers={"api-key": "nonsense"})).status_code


async def test_case_P13_head_is_get_without_a_body(edge):
    """RFC 9110 §9.3.2: same status, same length, no body; the connection goes on."""
    for path, headers in (
        ("/health/live", {}), ("/health/ready", {}), ("/v1/models", BEARER),
        ("/v1/models/m-both", BEARER), ("/v1/models/none", BEARER), ("/v1/models", {}),
        ("/nowhere", {}),
    ):  # fmt: skip
        got = await ask(edge, "GET", path, headers=headers)
        head = await ask(edge, "HEAD", path, headers=headers)
        assert (got.status_code, b"") == (head.status_code, head.content), path
        assert got.headers["content-length"] == head.headers["content-length"]
    assert 200 == (await ask(edge, "HEAD", "/health/live", headers={})).status_code


async def test_case_P13_cross_origin_use_is_off_and_says_so(edge):
    """Without origins in the configuration: a preflight is told why, and no answer lets one in."""
    for path in (CHAT, "/v1/models", "/nowhere", "/"):
        answer = await ask(edge, "OPTIONS", path, headers=PREFLIGHT)
        error = answer.json()["error"]
        assert (403, "cross_origin_off") == (answer.status_code, error["code"])
        assert "cross_origin.origins" in error["message"]
        assert not [name for name in answer.headers if name.startswith("access-control")]
    answer = await edge.post(headers={"origin": PAGE})
    assert (200, False) == (answer.status_code, "access-control-allow-origin" in answer.headers)
    plain = await ask(edge, "OPTIONS", CHAT)
    assert (405, "POST") == (plain.status_code, plain.headers["allow"])


async def test_case_P13_an_origin_of_the_list_may_call(mesh):
    """Its preflight and every answer name it exactly; any other origin is named nowhere."""
    async with running(mesh, origins=("https://other.example", PAGE)) as edge:
        asked = await ask(edge, "OPTIONS", CHAT, headers=PREFLIGHT)
        assert (204, b"") == (asked.status_code, asked.content)
        assert (
            PREFLIGHT["access-control-request-headers"]
            == (asked.headers["access-control-allow-headers"])
        )
        assert "POST" in asked.headers["access-control-allow-methods"]
        answers = [
            asked,
            await edge.post(headers={"origin": PAGE}),
            await edge.post(headers={"origin": PAGE}, stream=True),
            await edge.post(key=None, headers={"origin": PAGE}),
            await ask(edge, "GET", "/v1/models", headers={**BEARER, "origin": PAGE}),
            await ask(edge, "GET", "/nowhere", headers={"origin": PAGE}),
        ]
        assert [204, 200, 200, 401, 200, 404] == [answer.status_code for answer in answers]
        for answer in answers:
            assert PAGE == answer.headers["access-control-allow-origin"]
            assert "Origin" == answer.headers["vary"]
            assert "access-control-allow-credentials" not in answer.headers
            assert "x-tollgate-cost-usd" in answer.headers["access-control-expose-headers"]
        for origin in (f"{PAGE}0", PAGE.upper(), "https://app.example", "null", "*", f"{PAGE}, x"):
            refused = await ask(edge, "OPTIONS", CHAT, headers={**PREFLIGHT, "origin": origin})
            assert (403, "origin_not_allowed") == (
                refused.status_code, refused.json()["error"]["code"],
            )  # fmt: skip
            called = await edge.post(headers={"origin": origin})
            assert "access-control-allow-origin" not in {**refused.headers, **called.headers}
            assert "Origin" == called.headers["vary"]


@pytest.mark.parametrize("asked", ["a\x01b", "a(b", "x" * 2049])
async def test_case_P13_what_a_preflight_asks_for_is_told_back_only_as_names(mesh, asked):
    """Nothing but header names of a client's stands in an answer."""
    async with running(mesh, origins=(PAGE,)) as edge:
        sent = {**PREFLIGHT, "access-control-request-headers": asked.encode("latin-1")}
        answer = await ask(edge, "OPTIONS", CHAT, headers=sent)
        assert "access-control-allow-headers" not in answer.headers


# ---- P15 -----------------------------------------------------------------------------------------


async def test_case_P15_the_list_is_what_this_caller_can_call(edge):
    """Every model answers on every protocol, so each is listed to each client; each is served."""
    for headers, path in ((BEARER, CHAT), (ANTHROPIC, MESSAGES)):
        listed = (await ask(edge, "GET", "/v1/models", headers=headers)).json()["data"]
        assert ["m-anthropic", "m-both", "m-gemini", "m-openai", "m-responses"] == [
            entry["id"] for entry in listed
        ]
        for entry in listed:
            assert 200 == (await edge.post(path, model=entry["id"])).status_code
