"""What the public listener answers to everything that is not a call in good order.

A clear error of the table for each; nothing reserved, nothing charged, no upstream asked. And the
headers that an answer has, on every kind of answer.
"""

import json
import re
import socket

import httpx
import pytest

from tests import observe
from tests.live import ANTHROPIC, OPENAI, PATHS, Key, Live

BOTH = pytest.mark.parametrize("protocol", [OPENAI, ANTHROPIC], ids=["openai", "anthropic"])
BODY_BYTES_MAX = 32 * 1024 * 1024


@pytest.fixture(scope="module")
def key(live: Live) -> Key:
    return live.key(live.tenant())


@pytest.fixture(scope="module")
def models(live: Live) -> dict[int, str]:
    return {OPENAI: live.model("demo-gpt", OPENAI), ANTHROPIC: live.model("demo-claude", ANTHROPIC)}


def good(model: str, **changes: object) -> dict[str, object]:
    messages = [{"role": "user", "content": "hi"}]
    return {"model": model, "max_tokens": 8, "messages": messages, **changes}


def post(
    live: Live, key: Key, protocol: int, content: bytes, headers: dict[str, str] | None = None
) -> httpx.Response:
    sent = {"authorization": f"Bearer {key.text}", "content-type": "application/json"}
    return httpx.post(
        live.api_urls[0] + PATHS[protocol],
        content=content,
        headers={**sent, **(headers or {})},
        timeout=60,
    )


# ---- bodies --------------------------------------------------------------------------------------


def bodies(model: str) -> dict[str, tuple[int, str, bytes]]:
    """name → (status, code, body)."""
    whole = json.dumps(good(model))
    name = json.dumps(model)
    return {
        "empty": (400, "invalid_json", b""),
        "no JSON": (400, "invalid_json", b"{"),
        "an array": (400, "invalid_json", b"[]"),
        "a string": (400, "invalid_json", b'"x"'),
        "NaN": (400, "invalid_json", whole[:-1].encode() + b', "temperature": NaN}'),
        "a lone surrogate": (400, "invalid_json", whole[:-1].encode() + b', "user": "\\ud800"}'),
        "a byte order mark": (400, "invalid_json", b"\xef\xbb\xbf" + whole.encode()),
        "no UTF-8": (400, "invalid_json", whole[:-1].encode() + b', "user": "\xff"}'),
        "two documents": (400, "invalid_json", whole.encode() * 2),
        "model twice": (400, "duplicate_key", f'{{"model": "x", {whole[1:]}'.encode()),
        "model twice, escaped": (
            400, "duplicate_key", f'{{"\\u006dodel": "x", {whole[1:]}'.encode(),
        ),
        "limit twice": (400, "duplicate_key", f'{{"max_tokens": 1, {whole[1:]}'.encode()),
        "stream twice": (
            400, "duplicate_key", f'{{"stream": true, "stream": false, {whole[1:]}'.encode(),
        ),
        "another case": (400, "ambiguous_key", f'{{"Max_Tokens": 9000, {whole[1:]}'.encode()),
        "no model": (400, "missing_model", b'{"max_tokens": 5, "messages": []}'),
        "model a number": (400, "invalid_type", b'{"model": 7, "max_tokens": 5, "messages": []}'),
        "negative limit": (400, "invalid_value", json.dumps(good(model, max_tokens=-1)).encode()),
        "limit a float": (400, "invalid_type", json.dumps(good(model, max_tokens=1.5)).encode()),
        "limit a huge number": (
            400, "", f'{{"model": {name}, "messages": [], "max_tokens": {"9" * 5000}}}'.encode(),
        ),
        "too deep": (400, "too_deep", b'{"model":' + name.encode() + b',"a":' + b"[" * 200 + b"]" * 200 + b"}"),
        "unknown model": (404, "model_not_found", json.dumps(good("no-such-model")).encode()),
    }  # fmt: skip


@BOTH
@pytest.mark.parametrize("case", bodies("m"))
def test_a_bad_body_is_refused_and_moves_nothing(live: Live, key, models, protocol, case):
    """Each kind of bad body: its own status and code, nothing reserved, charged or sent on."""
    status, code, content = bodies(models[protocol])[case]
    with observe.nothing_happens(live, key):
        answer = post(live, key, protocol, content)
    error = observe.error_of(answer)
    assert (status, "false") == (answer.status_code, answer.headers["x-should-retry"])
    assert code in ("", error["code"])
    assert "0" == answer.headers["x-tollgate-cost-usd"]


@BOTH
def test_a_model_of_the_other_protocol_is_answered_in_the_clients(
    live: Live, key, models, protocol
):
    """A model that is served only on the other protocol: an answer of the client's own."""
    other = ANTHROPIC if protocol == OPENAI else OPENAI
    answer = post(live, key, protocol, json.dumps(good(models[other])).encode())
    kind = "object" if protocol == OPENAI else "type"
    wanted = "chat.completion" if protocol == OPENAI else "message"
    assert (200, wanted, models[other]) == (
        answer.status_code, answer.json()[kind], answer.json()["model"]
    )  # fmt: skip


def padded(model: str, size: int) -> bytes:
    body = json.dumps(good(model, user="")).encode()
    return body.replace(b'"user": ""', b'"user": "' + b"x" * (size - len(body)) + b'"')


@BOTH
@pytest.mark.parametrize("chunked", [False, True], ids=["content-length", "chunked"])
def test_33_megabytes_are_too_many(live: Live, key, models, protocol, chunked):
    """A body over 32 MB: 413, announced or not, and nothing moved."""
    body = padded(models[protocol], 33 * 1024 * 1024)

    def pieces():
        for start in range(0, len(body), 1 << 20):
            yield body[start : start + (1 << 20)]

    sent = {"authorization": f"Bearer {key.text}"}
    with observe.nothing_happens(live, key):
        try:
            answer = httpx.post(
                live.api_urls[0] + PATHS[protocol],
                content=pieces() if chunked else body,
                headers=sent,
                timeout=60,
            )
        except httpx.WriteError:
            # The connection was closed while we still sent: as good a refusal, if it is one.
            answer = None
    if answer is not None:
        assert (413, "request_too_large") == (answer.status_code, observe.error_of(answer)["code"])


def test_32_megabytes_are_not_too_many(live: Live, key, models):
    """A body of exactly the limit is read, priced at its size, and refused only for money."""
    body = padded(models[OPENAI], BODY_BYTES_MAX)
    assert BODY_BYTES_MAX == len(body)
    answer = post(live, live.key(live.tenant(0.001)), OPENAI, body)
    assert 402 == answer.status_code
    observe.error_of(answer)


@BOTH
@pytest.mark.parametrize(
    "encoding", ["gzip", "br", "zstd", "deflate", "GZIP", "identity, gzip", "x"]
)
def test_an_encoded_body_is_refused(live: Live, key, models, protocol, encoding):
    """Content-Encoding: 415, whatever it says, and nothing moved."""
    body = json.dumps(good(models[protocol])).encode()
    with observe.nothing_happens(live, key):
        answer = post(live, key, protocol, body, {"content-encoding": encoding})
    assert 415 == answer.status_code
    assert "content_encoding_refused" == observe.error_of(answer)["code"]


# ---- keys ----------------------------------------------------------------------------------------


def without_key(live: Live, key: Key) -> dict[str, tuple[str, dict[str, str], str]]:
    """name → (code, headers, query)."""
    flipped = key.text[:-1] + ("A" if key.text[-1] != "A" else "B")
    revoked = live.key(key.tenant_id)
    live.revoke(revoked)
    return {
        "none": ("missing_api_key", {}, ""),
        "empty": ("missing_api_key", {"authorization": "Bearer"}, ""),
        "basic": ("missing_api_key", {"authorization": "Basic eDp5"}, ""),
        "nonsense": ("invalid_api_key", {"authorization": "Bearer sk-nonsense"}, ""),
        "mistyped": ("invalid_api_key", {"x-api-key": flipped}, ""),
        "revoked": ("api_key_revoked", {"x-api-key": revoked.text}, ""),
        "in the query": ("api_key_in_url", {}, f"?key={key.text}"),
        "two": (
            "ambiguous_api_key",
            {"x-api-key": key.text, "authorization": f"Bearer {live.key(key.tenant_id).text}"},
            "",
        ),
    }


@BOTH
def test_a_call_without_a_good_key_is_401_and_moves_nothing(live: Live, key, models, protocol):
    """Missing, malformed, revoked, ambiguous or misplaced key: 401, nothing moved, key not shown."""
    for name, (code, headers, query) in without_key(live, key).items():
        with observe.nothing_happens(live, key):
            answer = httpx.post(
                live.api_urls[0] + PATHS[protocol] + query,
                json=good(models[protocol]),
                headers=headers,
            )
        assert (name, 401, code) == (name, answer.status_code, observe.error_of(answer)["code"])
        assert key.text not in answer.text + str(answer.headers)


# ---- routes --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("method", "path", "status", "allow"),
    [
        ("GET", "/nope", 404, ""),
        ("POST", "/v1/images/generations", 404, ""),
        ("POST", "/v1/audio/speech", 404, ""),
        ("POST", "/v1/responses/x", 405, "DELETE, GET, HEAD"),
        ("GET", "/v1/responses", 405, "POST"),
        ("POST", "/v1/batches", 404, ""),
        ("POST", "/v1/../v1/chat/completions/x", 404, ""),
        ("POST", "/other/v1/chat/completions", 404, ""),
        ("GET", "/docs", 404, ""),
        ("GET", "/redoc", 404, ""),
        ("GET", "/openapi.json", 404, ""),
        ("GET", "/metrics", 404, ""),
        ("POST", "/", 405, "GET, HEAD"),
        ("GET", "/v1/chat/completions", 405, "POST"),
        ("PUT", "/v1/chat/completions", 405, "POST"),
        ("DELETE", "/v1/messages", 405, "POST"),
        ("OPTIONS", "/v1/messages", 405, "POST"),
        ("POST", "/v1/models", 405, "GET, HEAD"),
        ("DELETE", "/v1/receipts/x", 405, "GET, HEAD"),
        ("POST", "/health/live", 405, "GET, HEAD"),
    ],
)
def test_what_is_no_route_is_refused(live: Live, key, models, method, path, status, allow):
    """Unknown paths and wrong methods: 404 or 405 with allow; no documentation; nothing moved."""
    with observe.nothing_happens(live, key):
        answer = httpx.request(
            method,
            live.api_urls[0] + path,
            json=good(models[OPENAI]),
            headers={"authorization": f"Bearer {key.text}"},
        )
    code = "route_not_found" if status == 404 else "method_not_allowed"
    assert (status, allow, code) == (
        answer.status_code, answer.headers.get("allow", ""), observe.error_of(answer)["code"],
    )  # fmt: skip


def test_probes_need_no_key(live: Live):
    """/ and the health endpoints answer anybody, and tell nothing of what runs here.

    Who opens the address in a browser reads what it is and which paths there are.
    """
    for edge in live.api_urls:
        head = httpx.head(edge + "/")
        alive, ready = httpx.get(edge + "/health/live"), httpx.get(edge + "/health/ready")
        assert (200, b"") == (head.status_code, head.content)
        root = httpx.get(edge + "/")
        assert (200, {"service", "paths"}) == (root.status_code, set(root.json()))
        assert "/v1/chat/completions" in root.json()["paths"]
        assert (200, {"status": "live"}) == (alive.status_code, alive.json())
        assert (200, {"status": "ready"}) == (ready.status_code, ready.json())
        for answer in (head, alive, ready):
            assert "server" not in answer.headers
            assert answer.headers["x-request-id"] == answer.headers["x-tollgate-trace-id"]


def test_bytes_that_are_not_http_get_one_error(live: Live):
    """What is no HTTP/1.1 request: one 400 in the usual shape, and the connection ends."""
    host, _, port = live.api_urls[0].removeprefix("http://").rpartition(":")
    with socket.create_connection((host, int(port)), 5) as client:
        client.sendall(b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\r\n\r\n")
        got = b""
        while part := client.recv(65536):
            got += part
    head, _, body = got.partition(b"\r\n\r\n")
    assert (1, True) == (got.count(b"HTTP/1.1 400"), head.startswith(b"HTTP/1.1"))
    assert b"connection: close" in head.lower()
    error = json.loads(body)["error"]
    headers = dict(line.split(b": ", 1) for line in head.lower().split(b"\r\n")[1:])
    assert ("malformed_request", b"false") == (error["code"], headers[b"x-should-retry"])
    trace = headers[b"x-tollgate-trace-id"].decode()
    assert (36, trace) == (len(trace), error["trace_id"])


# ---- models --------------------------------------------------------------------------------------


def test_the_models_list_in_the_shape_of_openai(live: Live, key, models):
    """GET /v1/models: object list; each with id, object, created and owned_by."""
    answer = httpx.get(
        live.api_urls[0] + "/v1/models", headers={"authorization": f"Bearer {key.text}"}
    )
    document = answer.json()
    assert ("list", {"object", "data"}) == (document["object"], set(document))
    ids = {m["id"] for m in document["data"]}
    assert {models[OPENAI], models[ANTHROPIC]} <= ids
    for model in document["data"]:
        assert {"id", "object", "created", "owned_by"} == set(model)
        assert ("model", int) == (model["object"], type(model["created"]))
        assert model["owned_by"]


def test_the_models_list_in_the_shape_of_anthropic(live: Live, key, models):
    """With anthropic-version: data of type model, and the fields of one page."""
    answer = httpx.get(
        live.api_urls[0] + "/v1/models",
        headers={"x-api-key": key.text, "anthropic-version": "2023-06-01"},
    )
    document = answer.json()
    assert {"data", "has_more", "first_id", "last_id"} == set(document)
    ids = [m["id"] for m in document["data"]]
    assert (False, ids[0], ids[-1]) == (
        document["has_more"], document["first_id"], document["last_id"],
    )  # fmt: skip
    assert {models[OPENAI], models[ANTHROPIC]} <= {*ids}
    for model in document["data"]:
        assert {"id", "type", "display_name", "created_at"} == set(model)
        assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ", model["created_at"])


def test_a_restricted_key_sees_and_calls_its_own_models_only(live: Live, models):
    """A key for one model lists one model; others answer as if they were not there."""
    one = live.key(live.tenant(), allowed_models=[models[OPENAI]])
    assert {models[OPENAI]} == live.listed(one)
    other = live.model("demo-gpt")
    foreign = live.call(one, other)
    unknown = live.call(one, "no-such-model")
    assert [404, 404] == [foreign.status_code, unknown.status_code]
    assert observe.error_of(foreign)["message"] == observe.error_of(unknown)["message"]


def test_lists_and_receipts_need_a_key(live: Live):
    """GET /v1/models and receipts without a key: 401 in the usual shape."""
    for path in ("/v1/models", "/v1/receipts/x"):
        answer = httpx.get(live.api_urls[0] + path)
        assert (401, "missing_api_key") == (answer.status_code, observe.error_of(answer)["code"])


# ---- headers -------------------------------------------------------------------------------------

ALL = (
    *observe.ALWAYS, *observe.FACTS,
    "x-tollgate-budget-remaining-usd", "x-tollgate-route", "x-tollgate-receipt",
)  # fmt: skip


@BOTH
def test_every_fact_stands_on_a_plain_answer(live: Live, key, models, protocol):
    """Cost, usage, remaining budget, route and receipt; the cost is the receipt's cost."""
    answer = live.call(key, models[protocol], protocol, headers={"x-request-id": "mine-42"})
    assert (200, []) == (answer.status_code, [n for n in ALL if n not in answer.headers])
    assert "mine-42" == answer.headers["x-request-id"] == answer.headers["request-id"]
    trace_id = answer.headers["x-tollgate-trace-id"]
    assert re.fullmatch(observe.UUID7, trace_id)
    receipt = live.receipt(key, trace_id).json()
    assert (receipt["cost_usd"], str(receipt["audit_index"])) == (
        answer.headers["x-tollgate-cost-usd"], answer.headers["x-tollgate-receipt"],
    )  # fmt: skip
    assert "no-store" == answer.headers["cache-control"]


@BOTH
def test_a_stream_tells_its_facts_before_its_last_event(live: Live, key, models, protocol):
    """What the head cannot know is in one comment line at the terminal event, receipt included."""
    answer = live.call(key, models[protocol], protocol, stream=True)
    known_at_once = ("x-tollgate-budget-remaining-usd", "x-tollgate-route", *observe.ALWAYS)
    assert [] == [name for name in known_at_once if name not in answer.headers]
    assert "x-tollgate-cost-usd" not in answer.headers
    lines = answer.text.splitlines()
    (comment,) = [line for line in lines if line.startswith(": tollgate ")]
    told = json.loads(comment.removeprefix(": tollgate "))
    receipt = live.receipt(key, answer.headers["x-tollgate-trace-id"]).json()
    assert (receipt["cost_usd"], str(receipt["audit_index"]), receipt["trace_id"]) == (
        told["cost_usd"], told["receipt"], told["trace_id"],
    )  # fmt: skip
    last = "data: [DONE]" if protocol == OPENAI else "event: message_stop"
    assert last == lines[lines.index(comment) + 1]


@BOTH
def test_every_fact_that_is_known_stands_on_an_error(live: Live, models, protocol):
    """An upstream's refusal after the reservation: cost 0, remaining budget, route, trace, receipt."""
    key = live.key(live.tenant())
    answer = live.call(key, live.model("demo-400", protocol), protocol)
    observe.error_of(answer)
    assert (400, []) == (answer.status_code, [n for n in ALL if n not in answer.headers])
    assert "0" == answer.headers["x-tollgate-cost-usd"]
    assert "100" == answer.headers["x-tollgate-budget-remaining-usd"]


@BOTH
def test_no_money_is_told_with_its_headers_and_moves_nothing(live: Live, models, protocol):
    """402: the facts, no retry, nothing reserved, no upstream asked; it is in the log as denied."""
    poor = live.key(live.tenant(0.000001))
    with observe.nothing_happens(live, poor):
        answer = live.call(poor, models[protocol], protocol)
    assert (402, "false") == (answer.status_code, answer.headers["x-should-retry"])
    trace_id = observe.error_of(answer)["trace_id"]
    observe.published(live)
    denied = [json.loads(e.leaf) for e in live.entries() if trace_id in e.leaf.decode()]
    assert ["CALL_DENIED"] == [leaf["kind"] for leaf in denied]
