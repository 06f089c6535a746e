"""The scrubber and what is said of a refused call."""

import base64
import json
import re
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tollgate_dialects.answer import upstream_error
from tollgate_dialects.common.protocol import Protocol
from tollgate_dialects.common.scrub import MAX_CHARACTERS, scrub
from tollgate_dialects.registry import DIALECTS

OPENAI = DIALECTS[Protocol.OPENAI_CHAT].answer.error_codes
ANTHROPIC = DIALECTS[Protocol.ANTHROPIC_MESSAGES].answer.error_codes


@pytest.mark.parametrize(
    "text",
    [
        "prompt is too long: 210000 tokens > 200000 maximum",
        "This model's maximum context length is 8192 tokens. However, your messages resulted in 9001",
        "Please reduce the length of the messages.",
        "Unsupported parameter: 'max_tokens'. Use 'max_completion_tokens' instead.",
        "The model `claude-sonnet-4-5-20250929` does not exist",
        "Qwen/Qwen3-Coder-480B-A35B-Instruct, meta-llama/Llama-3.3-70B-Instruct-Turbo, gpt-4.1",
        "messages.0.content.0.image.source.base64: image exceeds 5 MB: 6000000 bytes > 5242880",
        "The input token count (1200000) exceeds the maximum number of tokens allowed (1048576).",
        "Expected thinking or redacted_thinking, but found tool_use",
        "tool_choice.disable_parallel_tool_use must be a boolean; text/event-stream and/or user_id",
        "Supported levels: high, low, max, medium; context_length_exceeded; request_too_large",
        "Rate limit reached for gpt-4o: Limit 30000, Used 28000, Requested 5000. Try again in 6.1s",
        "tokens:8000 limit:4096 line:12 column:1200; status:400; code:1210; max_tokens:4096",
        "anthropic.claude-3-haiku-20240307-v1:0, llama3:70b, gpt-oss:120b, qwen2.5-coder:32b-q4_0",
        "deepseek-r1-distill-llama-70b, mixtral-8x7b-instruct-v0.1, gemini-2.0-flash-thinking-exp",
        "claude-3-5-sonnet-20241022 and chatgpt-4o-latest at 2026-11-26T12:30:00Z, 10:30 or 1:2",
        "wait... then retry; n must be below 2**31; messages[3].content[0]: field required",
        "The server had an error; the host is busy; no worker, node or instance is free. Use pods.",
        "text-embedding-3-small, nvidia-llama31-turbo, command-r7b-12-2024, o1-2024-12-17-preview",
    ],
)
def test_promise_13_the_words_that_clients_match_on_stay(text):
    """Recovery code reads these words: they come through unchanged."""
    assert text == scrub(text)


LEAKS = [
    "sk-proj-abc123", "sk-ant-api03-Zz9", "sk-abc***xyz", "AIzaSyA1b2C3d4", "AKIAIOSFODNN7EXAMPLE",
    "LTAI5tAbCdEfGhIj", "ghp_abcdefgh1234", "xoxb-1-2-abc", "gsk_abcdef", "hf_AbCdEf",
    "Bearer abc.def", "Basic dXNlcjpwYXNz", "api_key=hunter2", "x-api-key: hunter2",
    "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxIn0.c2ln", "0123456789abcdef01234567",
    "Zm9vYmFyYmF6cXV4cXV1eGNvcmdl", "https://user:pw@host.example/v1?key=1", "wss://a.b/c",
    "api.openai.com", "vault.internal:8200", "my-res.openai.azure.com", "localhost:11434",
    "10.1.2.3", "192.168.0.1:8080", "fe80::1", "2001:db8::8a2e:370:7334", "[::1]:80",
    "ops@corp.example", "org-AbCdEf123456", "acct_1A2b3C4d", "proj_AbCd1234", "user-9f8e7d",
    "req_011CYabcdef", "request id: 8f1c-aa", "Request ID 8f1c2d3e", "chatcmpl-9AbC", "msg_01AbC",
    "arn:aws:bedrock:us-east-1:123456789012:model/x", "123456789012", "deployment 'prod-gpt4'",
    'resource "contoso-ai"', "workspace wrkspc_01Ab", "projects/my-proj-1/locations/us",
    "/subscriptions/abc/resourceGroups/rg", "/etc/ssl/private", "C:\\keys\\a.pem",
    "/ho" + "me/ops/.aws/credentials", "8f14e45f-ceea-467f-a0e6-1b2c3d4e5f60",
    "tenant 9f8e7d6c", "sk-\u200bproj-hidden99", "sk-canary-7Q2mVx9LtR4bKd8WfZ3nHc5Y",
]  # fmt: skip


# R2: machines without a domain, and keys that somebody has masked.
MACHINES = [
    "gpu-node-17:8000", "vllm-7f9c6d5b8-x2x9k", "vllm:8000", "db01:5432", "my_service_1:80",
    "model-server-5d4f8c7b9-abc1e:9000", "llm-gateway-prod:443", "ip-10-0-3-17", "redis:6379",
    "gke-pool-1-3f2a9c1e-x2x9", "aks-nodepool1-12345678-vmss000001", "i-0abc123def4567890",
    "gpu-node-17", "worker-3", "h100-node-2", "sk-...abcd", "sk-****abcd", "xx**yy", "****-key",
    "********", "abcd1...wxyz", "AbC...9xYz", "\u2022\u2022\u2022\u2022abcd", "XXXXXXXXabcd", "ab***",
    "7f...9c", "vllm-prod-6b8d9f7c5d-kzq2x", "a1b2\u2026c3d4", "token-a***b",
]  # fmt: skip


@pytest.mark.parametrize("leak", MACHINES)
@pytest.mark.parametrize(
    "around", ["error for {} now", "({})", "'{}'", "upstream {}: refused", "{}", "at {}, retry"]
)
def test_case_R2_a_machine_or_a_masked_key_is_gone(leak, around):
    """Bare names with a port, pods, nodes, and what is left of a masked key: nothing stays."""
    text = scrub(around.format(leak))
    assert (False, True) == (leak in text, "[redacted]" in text)
    assert not any(part in text for part in re.split(r"[*.\u2022\u2026:]+", leak) if len(part) > 3)


@pytest.mark.parametrize("said", ["host gpu-a1", "pod 'vllm-x-9'", "node: edge-b7", "key ending in a9Zk",
                                  "server llm-7 is down", "API key ends with abcd"])  # fmt: skip
def test_case_R2_what_is_called_a_machine_is_gone(said):
    """A name that follows the word for what it is."""
    assert "[redacted]" in scrub(f"error on {said}, try later")
    assert not re.search(r"gpu-a1|vllm|edge-b7|a9Zk|llm-7|abcd", scrub(f"error on {said}, later"))


@pytest.mark.parametrize("leak", LEAKS)
@pytest.mark.parametrize(
    "around", ["error for {} now", "({})", "'{}'", "key={},", "{}", "密钥{}无效"]
)
def test_red_line_3_what_names_an_upstream_is_gone(leak, around):
    """Keys, hosts, addresses, ids, paths: none of their telling words is left."""
    text = scrub(around.format(leak))
    plain = leak.replace("\u200b", "")
    telling = max(re.split(r"[\s:='\"/]+", plain), key=len)
    assert telling not in text
    assert "[redacted]" in text


@pytest.mark.parametrize("run", ["a.", "/a", "A", "a-", "1:", "sk-", "a@", "organization ", "eyJ",
                                 "a*", "**", "a1-", "ab:1", "x", "host ", "a...", "key ", "1.", "node-"])  # fmt: skip
def test_a_hostile_text_is_not_slow(run):
    """No pattern is quadratic: a text made to be slow is scrubbed in well under a second."""
    start = time.thread_time()  # of this thread alone: other work of the machine does not count
    scrub(run * 4_000)
    assert time.thread_time() - start < 0.5


@given(st.text(min_size=4, max_size=40), st.text(max_size=60), st.text(max_size=60))
def test_red_line_3_a_given_secret_never_survives(secret, before, after):
    """Whatever it looks like, plain, percent-encoded or in base64."""
    secret = "k" + re.sub(r"[^\x21-\x7e]", "x", secret)
    encoded = base64.b64encode(secret.encode()).decode().rstrip("=")
    said = scrub(f"{before} {secret} {encoded} {after}", [secret])
    # A secret that is part of our own placeholder says nothing.
    if secret not in "[redacted]":
        assert secret not in said.replace("[redacted]", "")


@given(st.text(max_size=6000))
def test_a_scrubbed_text_is_short_and_printable(text):
    """At most 500 characters, no control characters, no line breaks."""
    said = scrub(text)
    assert len(said) <= MAX_CHARACTERS
    assert not re.search(r"[\x00-\x1f\x7f-\x9f\u2028\u2029\u200b\u202e]", said)


def body(message, **error):
    return json.dumps({"error": {"message": message, **error}}).encode()


@pytest.mark.parametrize("status", [200, 302, 401, 402, 403, 409, 500, 502, 503, 504, 529])
def test_red_line_3_of_other_statuses_nothing_is_said(status):
    """5xx, 401 and 403 have neither message nor code nor parameter."""
    said = upstream_error.describe(status, body("secret", code="x", param="y"), {}, OPENAI)
    assert ("", "", "") == said


def test_what_is_said_of_the_others():
    """400, 404, 413, 422 and 429: the scrubbed message, and plain words only."""
    said = upstream_error.describe(
        400, body("too long, key hunter2", code="context_length_exceeded", param="messages[0]"),
        {"Content-Type": "application/json"}, OPENAI, ["hunter2"],
    )  # fmt: skip
    assert ("too long, key [redacted]", "context_length_exceeded", "messages[0]") == said
    odd = body("m", code="Has Spaces", type="rate_limit_error", param="<x>")
    assert ("m", "rate_limit_error", "") == upstream_error.describe(429, odd, {}, OPENAI)
    secret = body("m", code="sk-abcdef123456", param="org-AbCd123456")
    assert ("m", "", "") == upstream_error.describe(422, secret, {}, OPENAI)


@pytest.mark.parametrize(
    ("raw", "message"),
    [
        (b'{"type":"error","error":{"type":"not_found_error","message":"no"}}', "no"),
        (b'[{"error":{"message":"no"}}]', "no"), (b'{"error":"no"}', "no"),
        (b'{"message":"no"}', "no"), (b'{"detail":"no"}', "no"), (b'{"detail":[1]}', ""),
        (b"<html>no</html>", ""), (b"", ""), (b"\xff", ""), (b"7", ""), (b"[]", ""),
    ],
)  # fmt: skip
def test_every_shape_of_an_error_body(raw, message):
    """Anthropic, Gemini, plain texts; what is no JSON says nothing."""
    assert message == upstream_error.describe(404, raw, {}, ANTHROPIC).message


DETAILS = [{"type": "missing", "loc": ["body", "messages", 0, "content"], "msg": "Field required"},
           {"loc": ["query"], "msg": "bad"}, {"msg": "no"}, 7]  # fmt: skip


@pytest.mark.parametrize(
    ("status", "document", "expected"),
    [
        (422, {"detail": DETAILS}, ("messages.0.content: Field required; query: bad; no", "",
                                    "messages.0.content")),
        (422, {"detail": [{"loc": ["body"], "msg": "bad key at gpu-node-17:8000"}]},
         ("bad key at [redacted]", "", "")),
        (404, {"error": {"code": "DeploymentNotFound", "message": "The deployment is missing"}},
         ("The deployment is missing", "DeploymentNotFound", "")),
        (400, {"error": {"code": 1210, "message": "bad parameter"}}, ("bad parameter", "1210", "")),
        (400, {"error": {"code": 400, "message": "bad", "type": "BadRequestError"}},
         ("bad", "BadRequestError", "")),
        (400, {"object": "error", "message": "too long", "type": "BadRequestError", "code": 400},
         ("too long", "BadRequestError", "")),
        (400, {"errors": [{"message": "no such model", "code": 7003}]},
         ("no such model", "7003", "")),
        (400, {"statusCode": 400, "error": "Bad Request", "message": "no tools"},
         ("no tools", "", "")),
        (400, {"title": "Bad request", "detail": "too many tools"}, ("too many tools", "", "")),
        (400, {"detail": {"message": "no", "code": "X"}}, ("no", "X", "")),
        (400, {"code": "InvalidParameter", "message": "url error", "request_id": "a"},
         ("url error", "InvalidParameter", "")),
        (400, {"error": {"message": "m", "code": "Has Spaces", "type": "http://10.0.0.1/x"}},
         ("m", "", "")),
    ],
)  # fmt: skip
def test_case_P8_the_reason_is_found_in_every_vendors_shape(status, document, expected):
    """Lists of details, codes with capitals, numbers: the reason is scrubbed and shown."""
    raw = json.dumps(document).encode()
    assert expected == tuple(upstream_error.describe(status, raw, {}, OPENAI))


def test_an_encoded_or_huge_body_says_nothing():
    """No decompression for the sake of an error."""
    encoded = {"Content-Encoding": "gzip"}
    assert "" == upstream_error.describe(400, body("no"), encoded, OPENAI).message
    assert "" == upstream_error.describe(400, body("n" * 300_000), {}, OPENAI).message


# 2026-10-21T07:28:00Z
NOW_MS = 1_792_567_680_000


def limits(**told):
    return {
        f"anthropic-ratelimit-{name}-{word}": str(value)
        for name, values in told.items()
        for word, value in zip(("remaining", "reset"), values, strict=True)
    }


@pytest.mark.parametrize(
    ("headers", "expected"),
    [
        ({"Retry-After": "2"}, 2_000), ({"retry-after": "0.5"}, 500),
        ({"retry-after-ms": "120", "retry-after": "9"}, 120), ({}, None),
        ({"retry-after": "-1"}, None), ({"retry-after": "1e9"}, None),
        ({"retry-after": "999999999"}, 86_400_000),
        # Dates of HTTP, by the clock that it was given.
        ({"retry-after": "Wed, 21 Oct 2026 07:30:00 GMT"}, 120_000),
        ({"retry-after": "Wednesday, 21-Oct-26 07:28:01 GMT"}, 1_000),
        ({"retry-after": "Wed Oct 21 07:28:01 2026"}, 1_000),
        ({"retry-after": "Wed, 21 Oct 2026 09:30:00 +0200"}, 120_000),
        ({"retry-after": "Wed, 21 Oct 2026 07:00:00 GMT"}, 0),
        ({"retry-after": "Wed, 21 Oct 2099 07:28:00 GMT"}, 86_400_000),
        ({"retry-after": "Wed, 21 Oct 99999 07:28:00 GMT"}, None),
        ({"retry-after": "Wed, 41 Oct 2026 07:28:00 GMT"}, None),
        ({"retry-after": "soon"}, None), ({"retry-after": "2026-10-21"}, None),
        # Anthropic's limits: the last of those that are used up.
        (limits(requests=(0, "2026-10-21T07:28:40Z")), 40_000),
        (limits(tokens=(0, "2026-10-21T07:28:40.5Z"), requests=(0, "2026-10-21T07:28:10Z")), 40_000),
        (limits(tokens=(9, "2026-10-21T07:28:40Z")), None),
        (limits(tokens=(0, "2026-10-21T07:00:00Z")), 0),
        (limits(tokens=(0, "2026-10-21T09:29:00+01:30")), 1_860_000),
        (limits(tokens=(0, "2026-10-21T05:59:00-01:30")), 60_000),
        (limits(tokens=(0, "2026-13-21T05:59:00Z")), None),
        (limits(tokens=(0, "2099-10-21T07:00:00+02:00")), 86_400_000),
        (limits(tokens=(0, "2026-10-21T07:28:40")), None), (limits(tokens=(0, "40")), None),
        ({"anthropic-ratelimit-tokens-remaining": "0"}, None),
        ({**limits(tokens=(0, "2026-10-21T07:28:40Z")), "retry-after": "7"}, 7_000),
    ],
)  # fmt: skip
def test_retry_after(headers, expected):
    """Seconds, milliseconds, dates and limits that are used up, bounded; nonsense is ignored."""
    assert expected == upstream_error.retry_after_ms(headers, now_unix_ms=NOW_MS)
    of_another = upstream_error.retry_after_ms(headers, now_unix_ms=NOW_MS, is_rate=False)
    assert (expected if "retry" in str(headers).lower() else None) == of_another


@given(st.text(max_size=40), st.integers(0, 10**15))
def test_retry_after_is_bounded_whatever_is_written(text, now_ms):
    """No date, number or clock makes it fail, or longer than a day."""
    for headers in ({"retry-after": text}, limits(requests=(0, text))):
        found = upstream_error.retry_after_ms(headers, now_unix_ms=now_ms)
        assert found is None or 0 <= found <= 86_400_000


@pytest.mark.parametrize(
    ("delay", "expected"),
    [("34.4s", 34_400), ("7s", 7_000), ("0.25s", 250), ("x", None), (7, None), ("-1s", None)],
)
def test_google_says_in_its_error_when_to_try_again(delay, expected):
    """RetryInfo, wherever it stands among the details, in an array or not; a header goes first."""
    info = {"@type": "type.googleapis.com/google.rpc.RetryInfo", "retryDelay": delay}
    told = {"error": {"code": 429, "details": [1, {"@type": "x"}, info]}}
    for document in (told, [told]):
        raw = json.dumps(document).encode()
        assert expected == upstream_error.retry_after_ms({}, raw, now_unix_ms=NOW_MS)
        header = {"retry-after": "2"}
        assert 2_000 == upstream_error.retry_after_ms(header, raw, now_unix_ms=NOW_MS)
    for raw in (b'{"retryDelay"', b'"retryDelay"', b'{"error":{"details":{"retryDelay":"1s"}}}'):
        assert upstream_error.retry_after_ms({}, raw, now_unix_ms=NOW_MS) is None
