"""Google's clients at the edge: their paths, their header, their words."""

import asyncio
import json

import pytest

from tests.fakes.edge import KEY, data, end, head, play, route, running, stream_of
from tollgate.audit.v1 import audit_pb2
from tollgate.router.v1 import router_pb2
from tollgate_edge.config import LimitsConfig

FINISHED = audit_pb2.ENTRY_KIND_CALL_FINISHED
BASE = "/v1beta/models/m-gemini"
HEADERS = {"x-goog-api-key": KEY}
BODY = {"contents": [{"role": "user", "parts": [{"text": "hi"}]}]}
ANSWER = b'{"candidates":[{"content":{"parts":[{"text":"hi"}]},"finishReason":"STOP"}]}'
EVENTS = [
    b'data: {"candidates":[{"content":{"parts":[{"text":"hi"}]}}]}\n\n',
    b'data: {"candidates":[{"content":{"parts":[{"text":"!"}]},"finishReason":"STOP"}]}\n\n',
    b'data: {"usageMetadata":{"promptTokenCount":1,"totalTokenCount":1}}\n\n',
]


async def ask(edge, path, body=BODY, method="POST", **fields):
    content = None if method == "GET" else json.dumps(body)
    sent = {"headers": HEADERS, **fields}
    return await edge.client.request(method, edge.url + path, content=content, **sent)


async def test_a_call_is_served_under_every_base_url(edge):
    """The path names the model and whether it streams; router is told both."""
    edge.script(play(route(), head(), data(ANSWER), end()))
    for base in ("/v1beta", "/v1", "/v1beta/", "/v1beta1/publishers/google"):
        for name in ("m-gemini", "m-gemini/"):
            path = f"{base}/models/{name.strip('/')}:generateContent"
            answer = await ask(edge, path)
            assert (200, ANSWER) == (answer.status_code, answer.content), path
    asked = edge.router.requests[-1]
    assert ("m-gemini", False, router_pb2.CLIENT_PROTOCOL_GEMINI) == (
        asked.model, asked.stream, asked.client_protocol,
    )  # fmt: skip
    assert BODY["contents"] == json.loads(asked.body)["contents"]
    for headers in ({"authorization": f"Bearer {KEY}"}, {"x-api-key": KEY}):
        assert 200 == (await ask(edge, f"{BASE}:generateContent", headers=headers)).status_code


async def test_a_stream_holds_nothing_but_data(mesh):
    """No comment and no beat, however silent it is: Google's SDK fails on them."""
    async with running(mesh, limits=LimitsConfig(beat_seconds=1)) as edge:

        async def script(request):
            assert request.stream
            yield head("text/event-stream")
            await asyncio.sleep(1.6)
            for event in EVENTS:
                yield data(event)
            yield end()

        edge.script(script)
        answer = await ask(edge, f"{BASE}:streamGenerateContent?alt=sse")
        assert b"".join(EVENTS) == answer.content
        assert answer.headers["content-type"].startswith("text/event-stream")


async def test_the_end_waits_for_the_record(edge):
    """From the chunk that says why on, nothing is told before the record is durable."""
    edge.script(stream_of(EVENTS))
    edge.audit.hold = {FINISHED}
    asked = asyncio.ensure_future(ask(edge, f"{BASE}:streamGenerateContent?alt=sse", timeout=10))
    done, _ = await asyncio.wait({asked}, timeout=0.5)
    assert not done
    edge.audit.release()
    assert b"".join(EVENTS) == (await asked).content


async def test_errors_are_googles(edge):
    """Status, code and words as Google writes them, whatever is wrong."""
    for path, body, status, word, reason in (
        (f"{BASE}:generateContent", {}, 400, "INVALID_ARGUMENT", "MISSING_PARAMETER"),
        (f"{BASE}:generateContent", [], 400, "INVALID_ARGUMENT", "INVALID_JSON"),
        ("/v1beta/models/none:generateContent", BODY, 404, "NOT_FOUND", "MODEL_NOT_FOUND"),
        (f"{BASE}:generateContent?key=x", BODY, 401, "UNAUTHENTICATED", "API_KEY_IN_URL"),
        (f"{BASE}:countTokens", {}, 400, "INVALID_ARGUMENT", "MISSING_PARAMETER"),
    ):
        answer = await ask(edge, path, body)
        error = answer.json()["error"]
        assert (status, status, word) == (answer.status_code, error["code"], error["status"]), path
        assert reason == error["details"][0]["reason"]
        assert ["error"] == list(answer.json())
    answer = await ask(edge, f"{BASE}:generateContent", headers={})
    assert (401, "UNAUTHENTICATED") == (answer.status_code, answer.json()["error"]["status"])
    assert "x-goog-api-key" in answer.json()["error"]["message"]
    answer = await ask(edge, f"{BASE}:generateContent", method="GET")
    assert (405, "POST") == (answer.status_code, answer.headers["allow"])


async def test_lists_are_googles(edge):
    """Below /v1beta for everybody; below /v1 for who sends Google's header."""
    bearer = {"authorization": f"Bearer {KEY}"}
    for path, headers in (("/v1beta/models", bearer), ("/v1/models", HEADERS),
                          ("/v1beta/models?pageSize=9", HEADERS)):  # fmt: skip
        listed = (await ask(edge, path, method="GET", headers=headers)).json()
        assert {"models/m-gemini", "models/m-openai"} <= {one["name"] for one in listed["models"]}
    one = (await ask(edge, BASE, method="GET")).json()
    assert ("models/m-gemini", 100_000, 1_000) == (
        one["name"], one["inputTokenLimit"], one["outputTokenLimit"],
    )  # fmt: skip
    assert "data" in (await ask(edge, "/v1/models", method="GET", headers=bearer)).json()
    missing = await ask(edge, "/v1beta/models/none", method="GET", headers=bearer)
    assert (404, "NOT_FOUND") == (missing.status_code, missing.json()["error"]["status"])


@pytest.mark.parametrize("model", ["m-gemini", "m-openai"])
async def test_counting_is_free_and_local(edge, model):
    """In Google's shape; nothing is reserved, and no upstream is asked."""
    called = len(edge.router.requests)
    answer = await ask(edge, f"/v1beta/models/{model}:countTokens")
    assert (200, ["totalTokens"]) == (answer.status_code, list(answer.json()))
    assert called == len(edge.router.requests)
