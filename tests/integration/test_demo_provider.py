"""The demo provider, as its own process: it tells the truth, and misbehaves as named."""

import asyncio
import re
import subprocess
import sys
import time

import anthropic
import httpx
import openai
import pytest

from tollgate_cli.demo_provider.failures import ANTHROPIC, CANARY, FAILURES, OPENAI
from tollgate_dialects.answer import upstream_error
from tollgate_dialects.answer.meter import BodyMeter, StreamMeter
from tollgate_dialects.common.protocol import Protocol
from tollgate_dialects.pricing.units import Unit
from tollgate_dialects.pricing.usage import UsageSource
from tollgate_dialects.registry import DIALECTS

KEY = "sk-demo-provider-0123456789abcdef"
PATHS = {OPENAI: "/v1/chat/completions", ANTHROPIC: "/v1/messages"}
PROTOCOLS = {OPENAI: Protocol.OPENAI_CHAT, ANTHROPIC: Protocol.ANTHROPIC_MESSAGES}
BOTH = pytest.mark.parametrize("protocol", [OPENAI, ANTHROPIC])


@pytest.fixture(scope="module")
def provider(tmp_path_factory):
    """Base URL of a running provider."""
    folder = tmp_path_factory.mktemp("demo")
    (folder / "key").write_text(KEY + "\n")
    command = [sys.executable, "-m", "tollgate_cli.demo_provider", "--listen", "127.0.0.1:0"]
    process = subprocess.Popen(
        [*command, "--key-file", folder / "key", "--state", folder / "state.json"],
        stdout=subprocess.PIPE,
        text=True,
    )
    line = process.stdout.readline()
    yield "http://" + re.search(r"127\.0\.0\.1:\d+", line)[0]
    process.terminate()
    assert 0 == process.wait(10)
    process.stdout.close()
    assert (folder / "state.json").exists()


@pytest.fixture
def client(provider):
    with httpx.Client(base_url=provider, timeout=5, headers={"x-api-key": KEY}) as one:
        yield one


def ask(client, protocol, model, *, trace="", **changes):
    body = {"model": model, "max_tokens": 8, "messages": [{"role": "user", "content": "hi"}]}
    headers = {"x-request-id": trace} if trace else {}
    return client.post(PATHS[protocol], json={**body, **changes}, headers=headers)


def stats(client):
    return client.get("/_demo/stats").json()


def metered(answer, protocol, *, stream):
    make = StreamMeter if stream else BodyMeter
    meter = make(DIALECTS[PROTOCOLS[protocol]].answer, secrets=[KEY])
    passed = meter.feed(answer.content) + meter.finish()
    return meter, passed


@BOTH
@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize("model", ["demo-gpt", "demo-cache", "demo-usage-last", "demo-gzip",
                                   "demo-slow-5", "demo-drip-1", "demo-unknown-name"])  # fmt: skip
def test_what_is_reported_is_what_was_billed(client, protocol, stream, model):
    """Usage in the answer, as our meter reads it, equals the provider's own record of the call."""
    trace = f"t-{protocol}-{stream}-{model}"
    options = {"stream_options": {"include_usage": True}} if protocol == OPENAI else {}
    answer = ask(client, protocol, model, trace=trace, stream=stream, **options)
    meter, _ = metered(answer, protocol, stream=stream)
    truth = stats(client)["calls"][trace]
    assert (truth["input_tokens"], truth["output_tokens"], UsageSource.UPSTREAM) == (
        meter.usage.total_input_tokens, meter.usage[Unit.OUTPUT], meter.usage_source
    )  # fmt: skip
    assert 8 == truth["output_tokens"]
    assert (model == "demo-cache") is (meter.usage[Unit.CACHE_READ] > 0)


@BOTH
@pytest.mark.parametrize("stream", [False, True])
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
    options = {"stream_options": {"include_usage": True}} if protocol == OPENAI else {}
    answer = ask(client, protocol, model, stream=stream, **options)
    meter, _ = metered(answer, protocol, stream=stream)
    assert (source, flag) == (meter.usage_source, meter.flag)


@BOTH
def test_failures_that_break_the_connection(client, protocol):
    """Resets are resets, hangs are hangs, and each is counted."""
    for model in ("demo-reset", "demo-reset-mid"):
        for stream in (False, True):
            with pytest.raises(httpx.TransportError):
                ask(client, protocol, model, stream=stream)
    before = stats(client)["aborted_by_peer"]
    for model in ("demo-hang", "demo-hang-mid", "demo-endless"):
        with pytest.raises(httpx.TimeoutException), client.stream(
            "POST", PATHS[protocol], timeout=0.2,
            json={"model": model, "max_tokens": 8, "messages": [], "stream": True},
        ) as answer:  # fmt: skip
            deadline = time.monotonic() + 0.3
            for _ in answer.iter_raw():
                if time.monotonic() > deadline:
                    raise httpx.ReadTimeout("endless, as promised")
    deadline = time.monotonic() + 5
    while stats(client)["aborted_by_peer"] < before + 3 and time.monotonic() < deadline:
        time.sleep(0.02)
    after = stats(client)
    assert (before + 3, 0) == (after["aborted_by_peer"], after["open_streams"])


def test_the_key_is_checked(client, provider):
    """A wrong key is 401 in both protocols, and for the list of models."""
    for path in (*PATHS.values(), "/v1/models"):
        method = "GET" if path == "/v1/models" else "POST"
        answer = httpx.request(method, provider + path, headers={"x-api-key": "wrong"}, json={})
        assert 401 == answer.status_code
    assert ["demo-gpt", "demo-claude"] == [m["id"] for m in client.get("/v1/models").json()["data"]]


def test_a_request_that_is_none_is_not_called_too_long(client):
    """SDKs shorten their history on context_length_exceeded: a missing list is another matter."""
    refused = client.post(PATHS["openai"], json={"model": "demo-gpt"})
    assert (400, "invalid_value") == (refused.status_code, refused.json()["error"]["code"])


@pytest.mark.parametrize("status", [400, 401, 403, 404, 413, 422, 429, 503])
@BOTH
def test_refusals_are_said_with_their_words_and_without_their_secrets(client, protocol, status):
    """The refusal holds key, URL and organisation; what we would say of it holds none."""
    answer = ask(client, protocol, f"demo-{status}-2" if status == 429 else f"demo-{status}")
    assert (status, True) == (answer.status_code, KEY in answer.text)
    codes = DIALECTS[PROTOCOLS[protocol]].answer.error_codes
    said = upstream_error.describe(status, answer.content, answer.headers, codes, [KEY])
    for leak in (KEY, "org-Demo", "internal.provider", "req_011"):
        assert leak not in " ".join(said)
    assert (status in upstream_error.DESCRIBED_STATUSES) is bool(said.message)
    if status == 400:
        words = {OPENAI: "maximum context length is 8192 tokens",
                 ANTHROPIC: "prompt is too long: 210000 tokens > 200000 maximum"}  # fmt: skip
        assert words[protocol] in said.message
    if status == 429:
        assert 2_000 == upstream_error.retry_after_ms(answer.headers)


def test_there_are_enough_failures():
    """At least 60, each with its own name, in both protocols."""
    assert len(FAILURES) == len({failure.name for failure in FAILURES}) >= 60
    assert {OPENAI, ANTHROPIC} == {failure.protocol for failure in FAILURES}


@pytest.mark.parametrize("failure", FAILURES, ids=lambda failure: failure.name)
def test_red_line_3_no_failure_says_key_or_canary_after_metering(provider, failure):
    """Each failure shows both on the wire, and neither in what we pass on or say."""
    host, port = provider.removeprefix("http://").split(":")
    stream = b',"stream":true' if failure.stream else b""
    body = b'{"model":"%b","max_tokens":8,"messages":[]%b}' % (failure.name.encode(), stream)

    async def raw_answer() -> bytes:
        reader, writer = await asyncio.open_connection(host, int(port))
        writer.write(
            b"POST %b HTTP/1.1\r\nhost: x\r\nx-api-key: %b\r\ncontent-length: %d\r\n"
            b"connection: close\r\n\r\n%b"
            % (PATHS[failure.protocol].encode(), KEY.encode(), len(body), body)
        )
        received = b""
        try:
            while piece := await asyncio.wait_for(reader.read(65536), 5):
                received += piece
        except ConnectionError:
            pass
        writer.close()
        return received

    wire = asyncio.run(raw_answer())
    assert KEY.encode() in wire
    assert CANARY.encode() in wire
    _, _, payload = wire.partition(b"\r\n\r\n")
    rules = DIALECTS[PROTOCOLS[failure.protocol]].answer
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


def test_the_official_sdks_speak_to_it(provider):
    """openai and anthropic, unchanged, streaming and not."""
    messages = [{"role": "user", "content": "hi"}]
    with openai.OpenAI(base_url=provider + "/v1", api_key=KEY, max_retries=0) as oai:
        options = {"model": "demo-gpt", "messages": messages, "max_tokens": 3}
        whole = oai.chat.completions.create(**options)
        assert ("Hello from the", "length", 3) == (
            whole.choices[0].message.content, whole.choices[0].finish_reason,
            whole.usage.completion_tokens,
        )  # fmt: skip
        chunks = oai.chat.completions.create(**options, stream=True)
        text = "".join(c.choices[0].delta.content or "" for c in chunks if c.choices)
        assert "Hello from the" == text
        with pytest.raises(openai.BadRequestError, match="maximum context length"):
            oai.chat.completions.create(**{**options, "model": "demo-400"})
    with anthropic.Anthropic(base_url=provider, api_key=KEY, max_retries=0) as ant:
        options = {"model": "demo-claude", "messages": messages, "max_tokens": 3}
        assert "Hello from the" == ant.messages.create(**options).content[0].text
        with ant.messages.stream(**options) as stream:
            final = stream.get_final_message()
        assert ("max_tokens", 3) == (final.stop_reason, final.usage.output_tokens)
        with pytest.raises(anthropic.APIStatusError), ant.messages.stream(
            **{**options, "model": "demo-error-mid", "max_tokens": 9}
        ) as stream:  # fmt: skip
            stream.get_final_message()


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
