"""Hostile bodies: bombs, strange JSON, and two readers of one body."""

import concurrent.futures
import gzip
import json
import time
import zlib
from collections.abc import Callable
from pathlib import Path

import httpx
import pytest

from tests import observe, upstream
from tests.live import OPENAI, PATHS, PRICE, Key, Live

RSS_BYTES_MAX = 8 * 1024 * 1024
MEGABYTE = 1024 * 1024


@pytest.fixture(scope="module")
def key(live: Live) -> Key:
    return live.key(live.tenant(1000))


def post(live: Live, key: Key, body: bytes, **headers: str) -> httpx.Response:
    sent = {"authorization": f"Bearer {key.text}", "content-type": "application/json"}
    return httpx.post(
        live.api_urls[0] + PATHS[OPENAI], content=body, headers={**sent, **headers}, timeout=60
    )


def rss_bytes(live: Live, name: str) -> int:
    """Resident memory of a process of the suite."""
    pages = int(Path(f"/proc/{live.suite.pid(name)}/statm").read_text().split()[1])
    return pages * 4096


# ---- bombs ---------------------------------------------------------------------------------------


def bombs() -> dict[str, bytes]:
    """About 100 KB that unpack to 100 MB."""
    plain = b'{"model": "m", "messages": [], "user": "' + b"x" * (100 * MEGABYTE) + b'"}'
    return {"gzip": gzip.compress(plain), "deflate": zlib.compress(plain)}


def test_trust_07_a_bomb_from_a_client_is_not_unpacked(live: Live, key: Key):
    """100 KB that would be 100 MB: 415 in every encoding, edge's memory stays."""
    model = live.model("demo-gpt")
    assert 200 == live.call(key, model).status_code
    made = {**bombs(), "br": b"\x0b" * 100_000, "zstd": b"\x28\xb5\x2f\xfd" * 25_000}
    before = rss_bytes(live, "edge-api")
    with observe.nothing_happens(live, key):
        for encoding, body in made.items():
            for value in (encoding, encoding.upper(), f"identity, {encoding}", f"x-{encoding}"):
                answer = post(live, key, body, **{"content-encoding": value})
                assert (415, "content_encoding_refused") == (
                    answer.status_code, observe.error_of(answer)["code"],
                )  # fmt: skip
    assert rss_bytes(live, "edge-api") - before < RSS_BYTES_MAX


@pytest.mark.parametrize("stream", [False, True], ids=["unary", "stream"])
def test_trust_07_a_bomb_from_an_upstream_is_not_unpacked(
    live: Live, key: Key, scripted: upstream.Upstream, publish, stream: bool
):
    """An upstream that encodes although it was asked not to: 502, nothing unpacked."""
    models = publish("bomb-gzip", "bomb-deflate")
    content_type = b"text/event-stream" if stream else b"application/json"
    for encoding, bomb in bombs().items():
        scripted.scripts[f"bomb-{encoding}"] = [
            b"HTTP/1.1 200 OK\r\ncontent-type: %b\r\ncontent-encoding: %b\r\ncontent-length: %d"
            b"\r\n\r\n%b" % (content_type, encoding.encode(), len(bomb), bomb)
        ]
    before = {name: rss_bytes(live, name) for name in ("edge-api", "router")}
    for model in models.values():
        answer = live.call(key, model, stream=stream)
        assert (502, "upstream_error") == (answer.status_code, observe.error_of(answer)["code"])
    for name, size in before.items():
        assert rss_bytes(live, name) - size < RSS_BYTES_MAX


# ---- strange JSON --------------------------------------------------------------------------------


def strange(model: str) -> dict[str, bytes]:
    """Bodies that readers disagree about, or that cost a careless one dearly."""
    head = json.dumps({"model": model, "max_tokens": 5})[:-1].encode()
    tail = b', "messages": []}'
    values = {
        "129 deep": b"[" * 129 + b"]" * 129,
        "a million deep": b"[" * 1_000_000,
        "a million deep, objects": b'{"a":' * 1_000_000,
        "NaN": b"NaN",
        "Infinity": b"-Infinity",
        "a lone surrogate": b'"\\ud800"',
        "half a pair": b'"\\udc00\\ud800"',
        "an overlong form": b'"\xc0\xaf"',
        "a surrogate in UTF-8": b'"\xed\xa0\x80"',
        "a NUL": b'"\x00"',
        "a control character": b'"\x1b[31m"',
        "hexadecimal": b"0x10",
        "leading zero": b"010",
        "a comment": b"1 /* x */",
        "single quotes": b"'x'",
        "a trailing comma": b"[1,]",
    }
    bodies = {name: head + b', "x": ' + value + tail for name, value in values.items()}
    return {
        **bodies,
        "UTF-16": (head + tail).decode().encode("utf-16"),
        "UTF-16 without a mark": (head + tail).decode().encode("utf-16-le"),
        "a mark": b"\xef\xbb\xbf" + head + tail,
        "a huge limit": head.replace(b"5", b"9" * 100_000) + tail,
        "a limit in floating point": head.replace(b"5", b"1e308") + tail,
        "a limit below zero": head.replace(b"5", b"-1") + tail,
    }


@pytest.mark.parametrize("case", strange("m"))
def test_trust_08_strange_json_is_400(live: Live, key: Key, case: str):
    """Depth, NaN, surrogates, encodings, huge numbers: 400 quickly, nothing moved."""
    body = strange(live.model("demo-gpt"))[case]
    with observe.nothing_happens(live, key):
        began = time.monotonic()
        answer = post(live, key, body)
        seconds = time.monotonic() - began
    assert 400 == answer.status_code
    observe.error_of(answer)
    assert seconds < 2


def test_trust_08_only_a_good_key_makes_us_parse(live: Live):
    """Parsing comes after identifying: nonsense without a key is 401, not 400."""
    answer = httpx.post(live.api_urls[0] + PATHS[OPENAI], content=b"[" * MEGABYTE)
    assert 401 == answer.status_code


def test_trust_08_a_neighbour_does_not_feel_it(live: Live, key: Key):
    """While one tenant sends 8 MB nonsense, another's slowest call stays bearable."""
    model = live.model("demo-gpt")
    other = live.key(live.tenant())
    nonsense = b'{"model": "m", "messages": [' + b'{"a": 1},' * 900_000 + b"]}"
    stop = time.monotonic() + 2.5

    def flood() -> None:
        while time.monotonic() < stop:
            assert post(live, key, nonsense).status_code in (400, 413, 503)

    seconds = []
    with concurrent.futures.ThreadPoolExecutor(2) as pool:
        floods = [pool.submit(flood) for _ in range(2)]
        while time.monotonic() < stop:
            began = time.monotonic()
            assert 200 == live.call(other, model).status_code
            seconds.append(time.monotonic() - began)
        for each in floods:
            each.result()
    seconds.sort()
    print(f"neighbour: median {seconds[len(seconds) // 2]:.3f} s, worst {seconds[-1]:.3f} s")
    assert seconds[-1] < 2


# ---- two readers ---------------------------------------------------------------------------------

Pairs = list[tuple[str, object]]


def first(pairs: Pairs) -> dict[str, object]:
    return dict(reversed(pairs))


def case_first(pairs: Pairs) -> dict[str, object]:
    return first([(name.lower(), value) for name, value in pairs])


def case_last(pairs: Pairs) -> dict[str, object]:
    return {name.lower(): value for name, value in pairs}


def folded(pairs: Pairs) -> dict[str, object]:
    """As readers do that match camelCase and letters that fold to ASCII."""
    return {n.casefold().replace("_", "").replace("-", ""): value for n, value in pairs}


READERS: dict[str, Callable[[Pairs], dict[str, object]]] = {
    "first": first,
    "last": dict,
    "case, first": case_first,
    "case, last": case_last,
    "folded": folded,
}


def differentials(model: str) -> dict[str, bytes]:
    """Bodies in which two readers may see two prices."""
    base = [("model", model), ("max_tokens", 5), ("messages", [{"role": "user", "content": "hi"}])]

    def body(*extra: tuple[str, object], before: bool = False) -> bytes:
        members = [*extra, *base] if before else [*base, *extra]
        return (
            "{" + ",".join(f"{json.dumps(n)}:{json.dumps(v)}" for n, v in members) + "}"
        ).encode()

    dear = {
        "max_tokens": 900, "Max_Tokens": 900, "MAX_TOKENS": 900, "maxTokens": 900,
        "max-tokens": 900, "max_token\u017f": 900, "max_completion_tokens": 900,
        "maxCompletionTokens": 900, "max_output_tokens": 900, "n": 64, "N": 64, "best_of": 64,
        "model": "dear-model", "Model": "dear-model", "MODEL": "dear-model", "mode\u217c": "x",
        "stream": True, "Stream": True, "stream_options": {"include_usage": True, "Include_Usage": False},
        "service_tier": "priority", "Service_Tier": "priority", "web_search_options": {},
        "prediction": {"type": "content", "content": "x"}, "models": ["dear-model"],
        "extra_body": {"max_tokens": 900}, "modalities": ["text", "audio"],
    }  # fmt: skip
    found = {}
    for name, value in dear.items():
        found[f"{name} after"] = body((name, value))
        found[f"{name} before"] = body((name, value), before=True)
    escaped = body(("max_tokens", 900)).replace(b'"max_tokens":900', b'"max\\u005ftokens":900')
    found["escaped name"] = escaped
    found["a mark"] = b"\xef\xbb\xbf" + body()
    found["a comment"] = body()[:-1] + b'/*,"max_tokens":900*/}'
    found["after the end"] = body() + b'{"max_tokens":900}'
    found["NUL after the end"] = body() + b"\x00"
    found["in order"] = body()
    return found


@pytest.mark.parametrize("case", differentials("m"))
def test_trust_09_no_reader_sees_more_than_was_reserved(
    live: Live, key: Key, scripted: upstream.Upstream, differential: str, case: str
):
    """Readers that take the first, the last or any case: reserved ≥ charged, or 400."""
    body = differentials(differential)[case]
    sent = len(scripted.bodies)
    live.settled(f"tenant:{key.tenant_id}")  # an earlier case's settlement may still be on its way
    before = live.transfers(f"tenant:{key.tenant_id}")
    answer = post(live, key, body)
    if len(scripted.bodies) == sent:
        assert 400 == answer.status_code
        observe.error_of(answer)
        assert before == live.transfers(f"tenant:{key.tenant_id}")
        return
    trace_id = answer.headers["x-tollgate-trace-id"]
    reserved = live.receipt(key, trace_id).json()["reservation"]["amount_nano_usd"]
    passed = scripted.last()
    decisive = set()
    for name, read in READERS.items():
        seen = json.loads(passed, object_pairs_hook=read)
        limit = max(
            (v for n, v in seen.items() if n.replace("_", "") in LIMITS and isinstance(v, int)),
            default=1000,
        )
        choices = seen.get("n") or seen.get("best_of") or 1
        # The dearest that an honest upstream could bill for what this reader sees.
        cost = len(passed) * PRICE["input_pico_usd"] + limit * choices * PRICE["output_pico_usd"]
        assert (name, True) == (name, reserved * 1000 >= cost)
        decisive.add((seen["model"], bool(seen.get("stream")), limit, choices))
    # They may not only not overspend: they all see the same call.
    assert (1, "differential") == (len(decisive), next(iter(decisive))[0])


LIMITS = ("maxtokens", "maxcompletiontokens", "maxoutputtokens")


@pytest.fixture(scope="module")
def differential(scripted: upstream.Upstream, publish) -> str:
    """A model whose upstream answers honestly."""
    answer = {
        "id": "x", "object": "chat.completion", "usage": {"prompt_tokens": 5, "completion_tokens": 5},
        "choices": [{"index": 0, "finish_reason": "stop",
                     "message": {"role": "assistant", "content": "hi"}}],
    }  # fmt: skip
    scripted.scripts["differential"] = [upstream.whole(json.dumps(answer).encode())]
    return publish("differential")["differential"]
