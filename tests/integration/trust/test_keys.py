"""Presented keys: what a key's answer tells, where a key may stand, and from where."""

import base64
import contextlib
import statistics
import subprocess
import sys
import time
import tomllib
from collections.abc import Iterator
from urllib.parse import quote

import httpx
import pytest

from tests import observe
from tests.live import OPENAI, PATHS, Key, Live, wait_until
from tollgate_cli.deployment import toml_text
from tollgate_cli.suite.processes.ports import free_port
from tollgate_kit import virtual_key
from tollgate_kit.clock import SystemClock
from tollgate_kit.ids import Ids
from tollgate_kit.secret import Secret

IDS = Ids(SystemClock())
ROUNDS = 250


@pytest.fixture(scope="module")
def key(live: Live) -> Key:
    return live.key(live.tenant())


@pytest.fixture(scope="module")
def model(live: Live) -> str:
    return live.model("demo-gpt")


def well_formed(public_id: str) -> str:
    """A key with a good checksum and a secret of ours."""
    secret = Secret(IDS.base62(virtual_key.SECRET_LENGTH))
    return virtual_key.make("test", public_id, secret).reveal()


# ---- what an answer tells ------------------------------------------------------------------------


def test_trust_01_bad_keys_cannot_be_told_apart(live: Live, key: Key):
    """No checksum, unknown, known with another secret, revoked with another secret.

    The answers are equal in all but their ids. The medians of time are printed, not judged.
    """
    revoked = live.key(key.tenant_id)
    live.revoke(revoked)
    known, gone = (virtual_key.parse(k.text) for k in (key, revoked))
    assert known
    assert gone
    classes = {
        "checksum": lambda: key.text[:-1] + ("A" if key.text[-1] != "A" else "B"),
        "unknown": lambda: well_formed(IDS.base62(virtual_key.PUBLIC_ID_LENGTH)),
        "known": lambda: well_formed(known.public_id),
        "revoked": lambda: well_formed(gone.public_id),
    }
    seconds: dict[str, list[float]] = {name: [] for name in classes}
    answers = set()
    with httpx.Client(base_url=live.api_urls[0], timeout=10) as client:
        for _ in range(ROUNDS):
            for name, make in classes.items():
                headers = {"authorization": f"Bearer {make()}", "x-request-id": "same"}
                began = time.perf_counter()
                answer = client.get("/v1/models", headers=headers)
                seconds[name].append(time.perf_counter() - began)
                answers.add(shape(answer))
    assert 1 == len(answers)
    for name, times in seconds.items():
        print(f"{name}: median {statistics.median(times) * 1e6:.0f} us")
    print(f"known or unknown, Mann-Whitney: z = {z(seconds['known'], seconds['unknown']):.2f}")


def shape(answer: httpx.Response) -> tuple[object, ...]:
    """All of an answer but what is new in each: the trace id, twice, and the date."""
    trace_id = answer.headers["x-tollgate-trace-id"]
    headers = {n: v.replace(trace_id, "") for n, v in answer.headers.items() if n != "date"}
    return (answer.status_code, answer.text.replace(trace_id, ""), tuple(sorted(headers.items())))


def z(left: list[float], right: list[float]) -> float:
    """Mann-Whitney's U as a standard score."""
    ranked = sorted((value, side) for side, values in enumerate((left, right)) for value in values)
    ranks = sum(rank for rank, (_, side) in enumerate(ranked, start=1) if side == 0)
    n, m = len(left), len(right)
    u = ranks - n * (n + 1) / 2
    return (u - n * m / 2) / (n * m * (n + m + 1) / 12) ** 0.5


# ---- where it may stand --------------------------------------------------------------------------


def places(text: str, model: str) -> list[dict[str, object]]:
    """Requests that carry a key where none belongs."""
    body = {"model": model, "max_tokens": 5, "messages": [{"role": "user", "content": "hi"}]}
    chat = PATHS[OPENAI]
    return [
        *({"url": f"{chat}?{name}={text}"} for name in (
            "key", "api_key", "apikey", "api-key", "x-api-key", "KEY", "Key", "access_token",
            "token", "authorization", "%6bey", "k%65y", "a=1&key", "a=1;key", "key%20", "+key",
        )),
        {"url": f"{chat}?key={quote(text)}&alt=sse"},
        {"url": f"/v1/models?key={text}", "method": "GET"},
        {"url": f"/v1/{text}/chat/completions"},
        {"url": f"/{text}"},
        {"url": f"/v1/receipts/{text}", "method": "GET"},
        {"url": f"{chat}#{text}"},
        {"headers": {"cookie": f"key={text}"}},
        {"headers": {"authorization": f"Basic {base64.b64encode(text.encode()).decode()}"}},
        {"headers": {"authorization": f"Token {text}"}},
        {"headers": {"user-agent": text}},
        {"headers": {"referer": f"https://x.example/?key={text}"}},
        {"headers": {"x-forwarded-for": text}},
        {"headers": {"anthropic-version": text, "anthropic-beta": text}},
        {"headers": {"content-type": text}},
        {"headers": {text: "x"}},
        {"method": text.replace("_", "-")},
        {"headers": {"x-api-key": text[:-1]}},
        {"auth": True, "headers": {"x-api-key": text[:-1]}},
        {"auth": True, "headers": {"x-request-id": text}},
        {"auth": True, "json": {**body, "model": text}},
        {"auth": True, "json": {**body, "user": text, "metadata": {text: text}}},
        {"auth": True, "json": {**body, text: 1}},
        {"auth": True, "json": {**body, "messages": text}},
        {"auth": True, "json": {**body, "service_tier": text}},
        {"auth": True, "json": {**body, "stream": text}},
        {"auth": True, "content": f'{{"model": "{text}"'.encode()},
    ]  # fmt: skip


def test_trust_03_a_key_in_the_wrong_place_is_nowhere(live: Live, model: str):
    """A key in URL, path, cookie, method, body or any header: refused, kept nowhere."""
    canary = live.key(live.tenant())
    caller = live.key(live.tenant())
    plain = {"model": model, "max_tokens": 5, "messages": [{"role": "user", "content": "hi"}]}
    parts = virtual_key.parse(canary.text)
    assert parts
    for place in places(canary.text, model):
        headers: dict[str, str] = dict(place.get("headers", {}))  # type: ignore[call-overload]
        if place.get("auth"):
            headers["authorization"] = f"Bearer {caller.text}"
        sent = (
            {"content": place["content"]}
            if "content" in place
            else {"json": place.get("json", plain)}
        )
        url = str(place.get("url", PATHS[OPENAI]))
        untouched = (
            contextlib.nullcontext() if place.get("auth") else observe.nothing_happens(live, canary)
        )
        with untouched:
            answer = httpx.request(
                str(place.get("method", "POST")), live.api_urls[0] + url, headers=headers, **sent
            )
        if "?" in url:
            assert (401, "api_key_in_url") == (
                answer.status_code, observe.error_of(answer)["code"],
            )  # fmt: skip
        # Its own id is what a client gets back, whatever it chose.
        if "x-request-id" not in headers:
            assert parts.secret.reveal() not in answer.text + str(answer.headers)
    needles = {"the key": canary.text, "its secret": parts.secret.reveal()}
    assert [] == observe.holding(live, needles)


# ---- from where ----------------------------------------------------------------------------------

INSIDE, OUTSIDE = "10.1.2.3", "203.0.113.9"
FORWARDED = {
    "none": [],
    "inside": [INSIDE],
    "inside, then outside": [f"{INSIDE}, {OUTSIDE}"],
    "outside, then inside": [f"{OUTSIDE}, {INSIDE}"],
    "two headers": [OUTSIDE, INSIDE],
    "two headers, the other way": [INSIDE, OUTSIDE],
    "with a port": [f"{INSIDE}:4711"],
    "IPv6 with a port": ["[::1]:80"],
    "mapped": [f"::ffff:{INSIDE}"],
    "nonsense": ["unknown"],
    "inside, nonsense": [f"{INSIDE}, unknown"],
    "nonsense, inside": [f"unknown, {INSIDE}"],
    "empty hops": [f", ,{INSIDE}"],
    "octal": ["012.1.2.3"],
    "forwarded by a trusted hop": [f"{INSIDE}, 127.0.0.1"],
    "many hops": [", ".join([INSIDE] * 40)],
}
# Behind a trusted proxy on loopback: the right-most hop that is none decides.
BELIEVED = (
    "inside", "outside, then inside", "two headers", "with a port", "mapped", "nonsense, inside",
    "empty hops", "forwarded by a trusted hop",
)  # fmt: skip


@pytest.fixture(scope="module")
def behind_a_proxy(live: Live, tmp_path_factory) -> Iterator[str]:
    """A third edge of the same suite that trusts proxies on loopback; its URL."""
    document = tomllib.loads((live.suite.home.config / "edge-api.toml").read_text())
    address = f"127.0.0.1:{free_port()}"
    document["api"]["listen"] = address
    document["metrics"]["listen"] = f"127.0.0.1:{free_port()}"
    document["limits"] = {"trusted_proxies": ["127.0.0.0/8"]}
    config = tmp_path_factory.mktemp("edge") / "edge.toml"
    config.write_text(toml_text.render(document))
    process = subprocess.Popen(
        [sys.executable, "-m", "tollgate_edge", "api", "--config", str(config)],
        stdout=subprocess.DEVNULL,
    )
    url = f"http://{address}"

    def ready() -> bool:
        with contextlib.suppress(httpx.HTTPError):
            return httpx.get(f"{url}/health/ready").status_code == 200
        return False

    try:
        wait_until(ready, 20)
        yield url
    finally:
        process.terminate()
        process.wait(30)


def listing(url: str, key: Key, hops: list[str]) -> httpx.Response:
    headers = [("authorization", f"Bearer {key.text}"), *(("x-forwarded-for", h) for h in hops)]
    return httpx.get(f"{url}/v1/models", headers=headers, timeout=10)


@pytest.mark.parametrize("case", FORWARDED)
def test_trust_21_without_trusted_proxies_the_header_means_nothing(live: Live, case: str):
    """Only the socket's peer counts: loopback is not 10.0.0.0/8, whatever is claimed."""
    tenant = live.tenant()
    inside = live.key(tenant, ip_allowlist=["10.0.0.0/8"])
    loopback = live.key(tenant, ip_allowlist=["127.0.0.0/8"])
    hops = FORWARDED[case]
    refused = listing(live.api_urls[0], inside, hops)
    assert (403, "address_not_allowed") == (refused.status_code, observe.error_of(refused)["code"])
    assert 200 == listing(live.api_urls[0], loopback, hops).status_code


@pytest.mark.parametrize("case", FORWARDED)
def test_trust_21_behind_a_trusted_proxy_the_right_most_other_hop_counts(
    live: Live, behind_a_proxy: str, case: str
):
    """What stands left of the first hop that is no proxy of ours is not believed."""
    inside = live.key(live.tenant(), ip_allowlist=["10.0.0.0/8"])
    hops = FORWARDED[case]
    expected = 200 if case in BELIEVED else 403
    assert expected == listing(behind_a_proxy, inside, hops).status_code


def test_trust_21_an_address_that_is_refused_moves_nothing(live: Live, model: str):
    """A call from elsewhere: 403, nothing reserved, no upstream asked."""
    far = live.key(live.tenant(), ip_allowlist=["192.0.2.0/24"])
    with observe.nothing_happens(live, far):
        answer = live.call(far, model, headers={"x-forwarded-for": "192.0.2.1"})
    assert 403 == answer.status_code
