"""The demo provider, as its own process: it tells the truth, and misbehaves as named.

Whatever it does, it does on every protocol.
"""

import asyncio
import json
import re
import subprocess
import sys
import time

import httpx
import pytest

from tests import demo
from tests.demo import WIRES
from tollgate_cli.demo_provider.failures import CANARY, FAILURES
from tollgate_cli.demo_provider.speech.protocols import PROTOCOLS
from tollgate_dialects.answer import upstream_error
from tollgate_dialects.answer.meter import BodyMeter, StreamMeter
from tollgate_dialects.pricing.units import Unit
from tollgate_dialects.pricing.usage import UsageSource
from tollgate_dialects.registry import UPSTREAM_DIALECTS

KEY = "sk-demo-provider-0123456789abcdef"
EIGHT_WORDS = "Hello from the demo provider of Tollgate. Every"
EACH = pytest.mark.parametrize("protocol", WIRES)
BOTH_WAYS = pytest.mark.parametrize("stream", [False, True], ids=["unary", "stream"])


@pytest.fixture(scope="module")
def provider(tmp_path_factory):
    """Base URL of a running provider."""
    folder = tmp_path_factory.mktemp("demo")
    (folder / "key").write_text(KEY + "\n")
    with demo.running(folder / "key", "--state", str(folder / "state.json")) as url:
        yield url
    assert (folder / "state.json").exists()


@pytest.fixture
def client(provider):
    with httpx.Client(base_url=provider, timeout=5, headers={"x-api-key": KEY}) as one:
        yield one


def ask(client, protocol, model, *, trace="", stream=False, limit=8):
    wire = WIRES[protocol]
    return client.post(
        wire.path(model, stream),
        json=wire.body(model, limit, stream),
        headers={**(wire.streams if stream else {}), **({"x-request-id": trace} if trace else {})},
    )


def text_of(answer, protocol, *, stream):
    wire = WIRES[protocol]
    if not stream:
        return wire.whole(answer.json())
    return "".join(wire.event(event) for event in wire.events(answer.content))


def stats(client):
    return client.get("/_demo/stats").json()


def metered(answer, protocol, *, stream):
    make = StreamMeter if stream else BodyMeter
    meter = make(UPSTREAM_DIALECTS[WIRES[protocol].dialect].answer, secrets=[KEY])
    passed = meter.feed(answer.content) + meter.finish()
    return meter, passed


@EACH
@BOTH_WAYS
@pytest.mark.parametrize("model", ["demo-gpt", "demo-cache", "demo-usage-last", "demo-gzip",
                                   "demo-slow-5", "demo-drip-1", "demo-unknown-name"])  # fmt: skip
def test_what_is_reported_is_what_was_billed(client, protocol, stream, model):
    """Usage in the answer, as our meter reads it, equals the provider's own record of the call."""
    trace = f"t-{protocol}-{stream}-{model}"
    answer = ask(client, protocol, model, trace=trace, stream=stream)
    meter, _ = metered(answer, protocol, stream=stream)
    truth = stats(client)["calls"][trace]
    assert (truth["input_tokens"], truth["output_tokens"], UsageSource.UPSTREAM) == (
        meter.usage.total_input_tokens, meter.usage[Unit.OUTPUT], meter.usage_source
    )  # fmt: skip
    assert 8 == truth["output_tokens"]
    assert (model == "demo-cache") is (meter.usage[Unit.CACHE_READ] > 0)


@EACH
@BOTH_WAYS
@pytest.mark.parametrize(
    ("model", "source", "flag"),
    [
        ("demo-no-usage", UsageSource.ESTIMATED, ""),
        ("demo-zero-usage", UsageSource.UPSTREAM, ""),
        ("demo-wrong-usage-negative", UsageSource.ESTIMATED, "implausible"),
        ("demo-wrong-usage-huge", UsageSource.ESTIMATED, "implausible"),
    ],
)
def test_untrue_usage_is_seen_through(client, protocol, stream, model, source, flag):
    """What cannot be true is not charged."""
    answer = ask(client, protocol, model, stream=stream)
    meter, _ = metered(answer, protocol, stream=stream)
    assert (source, flag) == (meter.usage_source, meter.flag)


@EACH
@BOTH_WAYS
@pytest.mark.parametrize("model", ["demo-gpt", "demo-long-9", "demo-early-done-3", "demo-drip-1",
                                   "demo-gzip", "demo-no-usage", "demo-unknown"])  # fmt: skip
def test_the_same_script_is_told_on_every_protocol(client, protocol, stream, model):
    """The words are the same whatever the protocol, whole or in pieces, cut at the limit."""
    answer = ask(client, protocol, model, stream=stream)
    assert EIGHT_WORDS == text_of(answer, protocol, stream=stream)
    assert not stream or WIRES[protocol].end in answer.content


@EACH
@BOTH_WAYS
def test_an_answer_has_as_many_words_as_its_script(client, protocol, stream):
    """Without a limit in the way, `demo-long-20` says twenty words."""
    answer = ask(client, protocol, "demo-long-20", stream=stream, limit=1_000)
    assert 20 == len(text_of(answer, protocol, stream=stream).split())


@EACH
@BOTH_WAYS
@pytest.mark.parametrize(("model", "pause_s"), [("demo-slow-200", 0.2), ("demo-drip-30", 0.2)])
def test_pauses(client, protocol, stream, model, pause_s):
    """A pause before the answer, and one before each word."""
    began = time.monotonic()
    assert 200 == ask(client, protocol, model, stream=stream).status_code
    assert pause_s <= time.monotonic() - began < pause_s + 2


@EACH
@BOTH_WAYS
@pytest.mark.parametrize("model", ["demo-reset", "demo-reset-mid", "demo-giant-header"])
def test_what_no_client_reads_to_its_end(client, protocol, stream, model):
    """Resets are resets, and no client takes a head of 512 KB."""
    with pytest.raises(httpx.TransportError):
        ask(client, protocol, model, stream=stream)


@EACH
@BOTH_WAYS
@pytest.mark.parametrize("model", ["demo-hang", "demo-hang-mid", "demo-endless"])
def test_what_never_ends(client, protocol, stream, model):
    """Hangs are hangs; whoever leaves is counted, and nothing stays open."""
    before = stats(client)["aborted_by_peer"]
    with pytest.raises(httpx.TimeoutException), client.stream(
        "POST", WIRES[protocol].path(model, stream), timeout=0.2,
        json=WIRES[protocol].body(model, 8, stream),
        headers=WIRES[protocol].streams if stream else {},
    ) as answer:  # fmt: skip
        deadline = time.monotonic() + 0.3
        for _ in answer.iter_raw():
            if time.monotonic() > deadline:
                raise httpx.ReadTimeout("endless, as promised")
    deadline = time.monotonic() + 5
    while stats(client)["aborted_by_peer"] == before and time.monotonic() < deadline:
        time.sleep(0.02)
    after = stats(client)
    assert (before + 1, 0, 0) == (
        after["aborted_by_peer"], after["open_streams"], after["open_calls"]
    )  # fmt: skip


@EACH
@BOTH_WAYS
def test_an_error_in_the_middle(client, protocol, stream):
    """Some words, then the protocol's own error with the key in it; whole, it is a 500."""
    answer = ask(client, protocol, "demo-error-mid-2", stream=stream)
    assert (500 if not stream else 200, True) == (answer.status_code, KEY in answer.text)
    if stream:
        assert "Hello from" == text_of(answer, protocol, stream=True)
        assert WIRES[protocol].error in answer.content


@EACH
@BOTH_WAYS
def test_broken_json(client, protocol, stream):
    """JSON that is none, in a whole answer and as one event among good ones."""
    answer = ask(client, protocol, "demo-bad-json", stream=stream)
    assert b",," in answer.content
    if not stream:
        with pytest.raises(ValueError):
            answer.json()


@EACH
@BOTH_WAYS
@pytest.mark.parametrize(
    ("model", "status", "content_type"),
    [("demo-html", 200, "text/html"), ("demo-redirect", 302, "application/json"),
     ("demo-500-key", 500, "application/json")],
)  # fmt: skip
def test_what_is_no_answer(client, protocol, stream, model, status, content_type):
    """A page, a redirect and a refusal that shows the key everywhere."""
    answer = ask(client, protocol, model, stream=stream)
    assert (status, content_type) == (answer.status_code, answer.headers["content-type"])
    assert KEY in answer.text + str(answer.headers)


@EACH
def test_the_key_is_checked(client, provider, protocol):
    """A wrong key is 401 on each protocol, and for the list of models."""
    for method, path in (
        ("POST", WIRES[protocol].path("demo-any", False)),
        ("GET", "/v1/models"),
    ):
        answer = httpx.request(method, provider + path, headers={"x-api-key": "wrong"}, json={})
        assert 401 == answer.status_code
    models = [model["id"] for model in client.get("/v1/models").json()["data"]]
    assert PROTOCOLS[protocol].model in models


@EACH
@pytest.mark.parametrize("body", [b"{}", b"[]", b"nonsense", b"\xff"])
def test_a_request_that_is_none_is_not_called_too_long(client, protocol, body):
    """SDKs shorten their history on a context that is full: a bad shape is another matter."""
    refused = client.post(WIRES[protocol].path("demo-any", False), content=body)
    assert 400 == refused.status_code
    assert PROTOCOLS[protocol].too_long not in refused.text
    assert "context_length_exceeded" not in refused.text


def test_a_stream_of_gemini_without_sse_is_one_array(client):
    """Without `alt=sse` the same chunks are the elements of a JSON array, an error among them."""
    for model in ("demo-gpt", "demo-error-mid"):
        wire, body = WIRES["gemini"], WIRES["gemini"].body(model, 8, True)
        told = client.post(wire.path(model, True), json=body)
        array = client.post(wire.path(model, True).removesuffix("?alt=sse"), json=body)
        assert "application/json" == array.headers["content-type"]
        whole = array.text if model == "demo-gpt" else array.text + "]"
        assert wire.events(told.content) == json.loads(whole)


def test_the_other_shapes_of_dashscope(client):
    """Without `incremental_output` each event says all so far; content is a text or parts."""
    wire = WIRES["dashscope"]

    def told(of: str, **parameters: object) -> list[dict]:
        body = {**wire.body("demo-gpt", 3, True), "parameters": {"max_tokens": 3, **parameters}}
        path = wire.path("", True).replace("text-", f"{of}-")
        answer = client.post(path, json=body, headers={"accept": "text/event-stream"})
        return wire.events(answer.content)

    texts = [event["output"]["text"] for event in told("text", result_format="text")]
    assert ["Hello", "Hello from", "Hello from the", "Hello from the"] == texts
    choices = [event["output"]["choices"][0] for event in told("multimodal")]
    assert ["null", "null", "null", "length"] == [choice["finish_reason"] for choice in choices]
    assert [{"text": "Hello from the"}] == choices[-1]["message"]["content"]
    pieces = [
        event["output"]["choices"][0] for event in told("multimodal", incremental_output=True)
    ]
    assert [[{"text": " the"}], []] == [one["message"]["content"] for one in pieces[2:]]


def test_events_and_blocks_are_numbered(client):
    """From 0, one by one: events of Responses, blocks of messages and of Converse."""

    def events(protocol: str) -> list[dict]:
        answer = ask(client, protocol, "demo-thinking-2", stream=True)
        return WIRES[protocol].events(answer.content)

    numbers = [event["sequence_number"] for event in events("responses")]
    assert [*range(len(numbers))] == numbers
    stops = [e["index"] for e in events("anthropic") if e["type"] == "content_block_stop"]
    assert [0, 1] == stops
    places = [e["contentBlockIndex"] for e in events("bedrock") if "contentBlockIndex" in e]
    assert ([0, 1], sorted(places)) == (sorted(set(places)), places)


def test_no_protocol_is_forgotten():
    """Whatever the demo speaks is asked here."""
    assert PROTOCOLS.keys() == WIRES.keys()


@pytest.mark.parametrize("status", [400, 401, 403, 404, 413, 422, 429, 503])
@EACH
def test_refusals_are_said_with_their_words_and_without_their_secrets(client, protocol, status):
    """The refusal holds key, URL and organisation; what we would say of it holds none."""
    answer = ask(client, protocol, f"demo-{status}-2" if status == 429 else f"demo-{status}")
    assert (status, True) == (answer.status_code, KEY in answer.text)
    codes = UPSTREAM_DIALECTS[WIRES[protocol].dialect].answer.error_codes
    said = upstream_error.describe(status, answer.content, answer.headers, codes, [KEY])
    for leak in (KEY, "org-Demo", "internal.provider", "req_011"):
        assert leak not in " ".join(said)
    assert (status in upstream_error.DESCRIBED_STATUSES) is bool(said.message)
    if status == 400:
        assert said.message.startswith(PROTOCOLS[protocol].too_long)
    if status == 429:
        assert 2_000 == upstream_error.retry_after_ms(answer.headers, now_unix_ms=0)


def test_there_are_enough_failures():
    """At least 60 with those of each protocol, each with its own name."""
    assert len(FAILURES) == len({failure.name for failure in FAILURES})
    assert len(FAILURES) * len(PROTOCOLS) >= 60


@EACH
@pytest.mark.parametrize("failure", FAILURES, ids=lambda failure: failure.name)
def test_red_line_3_no_failure_says_key_or_canary_after_metering(provider, protocol, failure):
    """Each failure shows both on the wire, and neither in what we pass on or say."""
    wire = WIRES[protocol]
    host, port = provider.removeprefix("http://").split(":")
    body = json.dumps(wire.body(failure.name, 8, failure.stream)).encode()

    async def raw_answer() -> bytes:
        reader, writer = await asyncio.open_connection(host, int(port))
        path, streams = wire.path(failure.name, failure.stream), wire.streams.items()
        headers = "".join(f"{name}: {value}\r\n" for name, value in streams if failure.stream)
        writer.write(
            b"POST %b HTTP/1.1\r\nhost: x\r\n%bx-api-key: %b\r\ncontent-length: %d\r\n"
            b"connection: close\r\n\r\n%b"
            % (path.encode(), headers.encode(), KEY.encode(), len(body), body)
        )
        received = b""
        try:
            while piece := await asyncio.wait_for(reader.read(65536), 5):
                received += piece
        except ConnectionError:
            pass
        writer.close()
        return received

    heard = asyncio.run(raw_answer())
    assert KEY.encode() in heard
    assert CANARY.encode() in heard
    _, _, payload = heard.partition(b"\r\n\r\n")
    rules = UPSTREAM_DIALECTS[wire.dialect].answer
    if failure.stream and failure.status == 200:
        # What an HTTP client would hand over: the data of the chunks.
        data = re.sub(rb"(?:^|\r\n)[0-9a-f]+\r\n", b"", payload)
        meter = StreamMeter(rules, strip_usage=True, secrets=[KEY])
        shown = meter.feed(data) + meter.finish() + repr(meter.error).encode()
    elif failure.status == 200:
        meter = BodyMeter(rules, secrets=[KEY])
        meter.feed(payload)
        shown = meter.finish() + repr(meter.error).encode()
    else:
        said = upstream_error.describe(failure.status, payload, {}, rules.error_codes, [KEY])
        shown = " ".join(said).encode()
    assert KEY.encode() not in shown
    assert CANARY.encode() not in shown


def test_a_stop_with_idle_connections_says_nothing(tmp_path):
    """Ctrl-C of the suite shows no traceback: kept-alive connections end quietly."""
    (tmp_path / "key").write_text(KEY)
    command = [sys.executable, "-m", "tollgate_cli.demo_provider", "--listen", "127.0.0.1:0"]
    with subprocess.Popen(
        [*command, "--key-file", tmp_path / "key"],
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    ) as process:  # fmt: skip
        url = "http://" + re.search(r"127\.0\.0\.1:\d+", process.stdout.readline())[0]
        with httpx.Client(base_url=url, timeout=5) as idle:
            assert 200 == idle.get("/_demo/stats").status_code
            process.terminate()
            assert (0, "") == (process.wait(10), process.stderr.read())
