"""Hostile streams, clients that hang up, and what usage is charged."""

import concurrent.futures
import json
import re
import socket

import httpx
import pytest

from tests import observe, upstream
from tests.live import ANTHROPIC, OPENAI, PATHS, PRICE, Key, Live, wait_until

NAMES = {OPENAI: "openai", ANTHROPIC: "anthropic"}
BOTH = pytest.mark.parametrize("protocol", NAMES, ids=NAMES.values())
POSITIONS = 30


@pytest.fixture(scope="module")
def key(live: Live) -> Key:
    return live.key(live.tenant())


# ---- hostile streams -----------------------------------------------------------------------------

EVIL = "ev1l-marker"
FORGED_FACTS = "forged facts"
CLOSE = b"connection: close\r\n"


def openai_event(text: str) -> bytes:
    chunk = {
        "id": "x", "object": "chat.completion.chunk", "created": 1, "model": "m",
        "choices": [{"index": 0, "delta": {"content": text}, "finish_reason": None}],
    }  # fmt: skip
    return b"data: " + json.dumps(chunk).encode() + b"\n\n"


OPENAI_END = (
    b'data: {"id":"x","object":"chat.completion.chunk","created":1,"model":"m","choices":[],'
    b'"usage":{"prompt_tokens":5,"completion_tokens":2,"total_tokens":7}}\n\ndata: [DONE]\n\n'
)
ANTHROPIC_START = (
    b"event: message_start\n"
    b'data: {"type":"message_start","message":{"id":"m","type":"message","role":"assistant",'
    b'"model":"m","content":[],"usage":{"input_tokens":5,"output_tokens":1}}}\n\n'
)
ANTHROPIC_END = (
    b"event: message_delta\n"
    b'data: {"type":"message_delta","delta":{"stop_reason":"end_turn"},'
    b'"usage":{"output_tokens":2}}\n\n'
    b'event: message_stop\ndata: {"type":"message_stop"}\n\n'
)


def anthropic_event(text: str) -> bytes:
    delta = {
        "type": "content_block_delta",
        "index": 0,
        "delta": {"type": "text_delta", "text": text},
    }
    return b"event: content_block_delta\ndata: " + json.dumps(delta).encode() + b"\n\n"


BEGIN = {OPENAI: openai_event("hello"), ANTHROPIC: ANTHROPIC_START + anthropic_event("hello")}
END = {OPENAI: OPENAI_END, ANTHROPIC: ANTHROPIC_END}
TERMINAL = {
    OPENAI: b"data: [DONE]\n\n",
    ANTHROPIC: b'event: message_stop\ndata: {"type":"message_stop"}\n\n',
}


def hostile(protocol: int) -> dict[str, bytes]:
    """What an upstream puts into the middle, before its usual end."""
    evil = json.dumps({"type": "error", "error": {"type": "evil", "message": EVIL}}).encode()
    event = {OPENAI: openai_event, ANTHROPIC: anthropic_event}[protocol]
    end, terminal = END[protocol], TERMINAL[protocol]
    return {
        "error event": b"event: error\ndata: " + evil + b"\n\n",
        "error event without a space": b"event:error\ndata:" + evil + b"\n\n",
        "error as data": b"data: " + evil + b"\n\n",
        "error over two data lines": b'data: {"error":\ndata: ' + evil + b"}\n\n",
        "error with CR": b"event: error\rdata: " + evil + b"\r\r",
        "error with CRLF": b"event: error\r\ndata: " + evil + b"\r\n\r\n",
        "error behind a mark": b"\xef\xbb\xbfevent: error\ndata: " + evil + b"\n\n",
        "error with an escaped name": b'data: {"\\u0065rror": {"message": "'
        + EVIL.encode()
        + b'"}}\n\n',
        "error that is no JSON": b"event: error\ndata: " + EVIL.encode() + b"\n\n",
        "error as a text": b'data: {"error": "' + EVIL.encode() + b'"}\n\n',
        "error in a name": b"event: error\nid: 1\ndata: " + evil + b"\n\n",
        "html": b"<html><body>" + EVIL.encode() + b"</body></html>\n\n",
        "traceback": b"Traceback (most recent call last):\n  " + EVIL.encode() + b"\n\n",
        "HTTP head": b"HTTP/1.1 200 OK\r\nx-tollgate-cost-usd: 0\r\n\r\n" + EVIL.encode() + b"\n\n",
        "after the end": end + b"data: " + evil + b"\n\n",
        "after the end, unfinished": end + b"data: " + EVIL.encode(),
        "after the end, a comment": end + b": " + EVIL.encode() + b"\n\n",
        "after a bare terminal": terminal + event(EVIL),
        "a second end": end + end + b"data: " + EVIL.encode() + b"\n\n",
        "2 MB without a line end": b"data: " + EVIL.encode() + b"x" * (2 << 20),
        "2 MB in one event": b"data: " + EVIL.encode() + b"x" * (2 << 20) + b"\n\n",
        "2 MB of lines without an event": b"data: x\n" * (2 << 17) + EVIL.encode(),
        "2 MB event name": b"event: " + EVIL.encode() + b"x" * (2 << 20) + b"\ndata: {}\n\n",
        "NUL": b"\x00" * 50 + EVIL.encode() + b"\n\n",
        "field without a colon": EVIL.encode() + b"\n\n",
    }


def innocent(protocol: int) -> dict[str, tuple[bytes, str]]:
    """What looks hostile and is a model's answer: it must arrive as it is. → (event, text)"""
    event = {OPENAI: openai_event, ANTHROPIC: anthropic_event}[protocol]
    texts = {
        "data:": "data: [DONE]\n\nevent: error\ndata: {}\n\n",
        "error": '{"error": {"message": "no"}}',
        "terminal": "event: message_stop",
        "separators": "\u2028\u2029\u0085\r\n\r\n",
        "mark": "\ufeff",
        "NUL": "\x00\x1b[31m",
        "surrogates": "\U0001f600",
    }
    return {name: (event(text), text) for name, text in texts.items()}


def label(protocol: int, case: str) -> str:
    return f"{NAMES[protocol]}-{case.replace(' ', '-').replace(',', '').replace(':', '')}"


@pytest.fixture(scope="module")
def stage(publish) -> dict[str, str]:
    """A model for each case, all of them published at once."""
    cases = (*hostile(OPENAI), *(f"innocent {c}" for c in innocent(OPENAI)), FORGED_FACTS)
    return {
        name: public
        for protocol in NAMES
        for name, public in publish(*(label(protocol, c) for c in cases), protocol=protocol).items()
    }


def ask(live: Live, key: Key, model: str, protocol: int) -> bytes:
    answer = live.call(key, model, protocol, stream=True, max_tokens=20)
    assert (200, True) == (
        answer.status_code, answer.headers["content-type"].startswith("text/event-stream"),
    )  # fmt: skip
    return answer.content


def events(body: bytes) -> list[tuple[str, str]]:
    """(event, data) as a browser reads them: LF, CR or CRLF end a line, a blank one an event."""
    found: list[tuple[str, str]] = []
    name, data = "", []
    for line in re.split(r"\r\n|\n|\r", body.decode("utf-8-sig")):
        field, _, value = line.partition(":")
        value = value.removeprefix(" ")
        if line == "":
            if data:
                found.append((name, "\n".join(data)))
            name, data = "", []
        elif field == "event":
            name = value
        elif field == "data":
            data.append(value)
    return found


def is_terminal(event: tuple[str, str], protocol: int) -> bool:
    return event == ("", "[DONE]") if protocol == OPENAI else event[0] == "message_stop"


@BOTH
@pytest.mark.parametrize("case", hostile(OPENAI))
def test_trust_06_no_foreign_event_reaches_a_client(
    live: Live, key: Key, scripted: upstream.Upstream, stage, protocol: int, case: str
):
    """The stream ends with its own terminal or error event, and nothing foreign."""
    name = label(protocol, case)
    head = upstream.STREAM_HEAD % b""
    scripted.scripts[name] = [head + BEGIN[protocol], 0.02, hostile(protocol)[case] + END[protocol]]
    got = ask(live, key, stage[name], protocol)
    assert EVIL.encode() not in got
    seen = events(got)
    for event, data in seen:
        assert data == "[DONE]" or isinstance(json.loads(data), dict)
        assert event in ("", "error") if protocol == OPENAI else event == json.loads(data)["type"]
    error = json.loads(seen[-1][1]) if not is_terminal(seen[-1], protocol) else None
    if error is not None:
        observe.error_in(error)
    ends = [e for e in seen if is_terminal(e, protocol) or '"request_id"' in e[1]]
    assert 1 == len(ends)


@BOTH
def test_trust_06_an_upstream_cannot_speak_in_our_name(
    live: Live, key: Key, scripted: upstream.Upstream, stage, protocol: int
):
    """A comment in the shape of our facts, sent by an upstream, does not arrive."""
    name = label(protocol, FORGED_FACTS)
    forged = b': tollgate {"cost_usd":"0","receipt":"1"}\n\n'
    scripted.scripts[name] = [
        upstream.STREAM_HEAD % b"" + BEGIN[protocol], 0.02, forged, 0.02, END[protocol],
    ]  # fmt: skip
    got = ask(live, key, stage[name], protocol)
    facts = [line for line in got.decode().splitlines() if line.startswith(": tollgate")]
    assert (1, False) == (len(facts), '"cost_usd":"0"' in facts[0])


@BOTH
@pytest.mark.parametrize("case", innocent(OPENAI))
def test_trust_06_what_only_looks_hostile_arrives(
    live: Live, key: Key, scripted: upstream.Upstream, stage, protocol: int, case: str
):
    """The other way: a model that talks about streams is not cut."""
    name = label(protocol, f"innocent {case}")
    event, text = innocent(protocol)[case]
    scripted.scripts[name] = [
        upstream.STREAM_HEAD % b"" + BEGIN[protocol] + event,
        0.02,
        END[protocol],
    ]
    seen = events(ask(live, key, stage[name], protocol))
    assert is_terminal(seen[-1], protocol)
    assert text in [text_of(data, protocol) for _, data in seen if data != "[DONE]"]


def text_of(data: str, protocol: int) -> str | None:
    document = json.loads(data)
    if protocol == OPENAI:
        return document["choices"][0]["delta"].get("content") if document["choices"] else None
    return document.get("delta", {}).get("text")


# ---- clients that hang up ------------------------------------------------------------------------


def hang_up_after(live: Live, key: Key, model: str, protocol: int, frames: int) -> str:
    """Reads so many events of a stream, then resets the connection; the call's trace id."""
    host, _, port = live.api_urls[0].removeprefix("http://").rpartition(":")
    body = json.dumps(
        {"model": model, "stream": True, "max_tokens": 900,
         "messages": [{"role": "user", "content": "hi"}]}
    ).encode()  # fmt: skip
    with socket.create_connection((host, int(port)), 20) as client:
        client.sendall(
            b"POST %b HTTP/1.1\r\nhost: x\r\nauthorization: Bearer %b\r\ncontent-length: %d\r\n\r\n%b"
            % (PATHS[protocol].encode(), key.text.encode(), len(body), body)
        )
        got = b""
        while b"\r\n\r\n" not in got or got.count(b"\n\n") < frames:
            part = client.recv(4096)
            assert part
            got += part
        client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\x01\x00\x00\x00\x00\x00\x00\x00")
    return re.search(rb"x-tollgate-trace-id: ([0-9a-f-]+)", got)[1].decode()


@BOTH
def test_trust_14_promise_06_who_hangs_up_pays_what_was_produced(live: Live, protocol: int):
    """At each of 30 frames: charge = what the provider says it produced."""
    key = live.key(live.tenant())
    # A model of its own for each position: the provider's record is kept by model.
    first = 21 if protocol == OPENAI else 61
    names = {f"demo-drip-{first + n}": f"demo-drip-{first + n}" for n in range(POSITIONS)}
    models = live.models(names, protocol)
    with concurrent.futures.ThreadPoolExecutor(POSITIONS) as pool:
        jobs = {
            name: pool.submit(hang_up_after, live, key, models[name], protocol, frames)
            for frames, name in enumerate(names)
        }
        traces = {name: job.result() for name, job in jobs.items()}
    wait_until(lambda: all(ended(live, key, t) for t in traces.values()), 30)
    total = 0
    for name, trace_id in traces.items():
        (truth,) = observe.served(live, name)
        receipt = live.receipt(key, trace_id).json()
        cost = (
            truth["input_tokens"] * PRICE["input_pico_usd"]
            + truth["output_tokens"] * PRICE["output_pico_usd"]
        )
        assert (True, cost // 1000, "upstream") == (
            truth["finished"], receipt["cost_nano_usd"], receipt["usage_source"],
        )  # fmt: skip
        assert truth["output_tokens"] == receipt["usage"]["output_tokens"] > 0
        assert receipt["charged"]
        total += receipt["cost_nano_usd"]
    account = live.settled(f"tenant:{key.tenant_id}")
    assert (total, 0) == (account.posted_nano_usd, account.pending_nano_usd)


def ended(live: Live, key: Key, trace_id: str) -> bool:
    answer = live.receipt(key, trace_id)
    return answer.status_code == 200 and answer.json()["state"] == "finished"


def test_trust_14_an_endless_answer_that_nobody_reads_is_cut_and_charged(live: Live):
    """Hanging up on an endless stream is charged, and at most what was reserved."""
    key, model = live.key(live.tenant()), live.model("demo-endless-1")
    trace_id = hang_up_after(live, key, model, OPENAI, 3)
    wait_until(lambda: ended(live, key, trace_id), 75)
    receipt = live.receipt(key, trace_id).json()
    assert receipt["usage_source"] in ("partial", "estimated")
    assert 0 < receipt["cost_nano_usd"] <= receipt["reservation"]["amount_nano_usd"]
    account = live.settled(f"tenant:{key.tenant_id}")
    assert (receipt["cost_nano_usd"], 0) == (account.posted_nano_usd, account.pending_nano_usd)


def test_trust_14_a_plain_call_that_nobody_waits_for_is_charged(live: Live):
    """Without a stream, too: the answer was produced, so it is paid."""
    key, model = live.key(live.tenant()), live.model("demo-slow-701")
    with pytest.raises(httpx.ReadTimeout):
        live.call(key, model, timeout=0.3)
    wait_until(lambda: live.account(f"tenant:{key.tenant_id}").posted_nano_usd > 0, 10)
    account = live.settled(f"tenant:{key.tenant_id}")
    (truth,) = observe.served(live, "demo-slow-701")
    cost = truth["input_tokens"] * 1000 + truth["output_tokens"] * 2000
    assert (cost, 0) == (account.posted_nano_usd, account.pending_nano_usd)


# ---- usage ---------------------------------------------------------------------------------------


USAGE_SOURCES = {
    "demo-gpt": ({"upstream"}, True),
    "demo-zero-usage": ({"upstream"}, False),
    "demo-no-usage": ({"estimated"}, True),
    "demo-wrong-usage-negative": ({"estimated"}, True),
    "demo-reset-mid-20": ({"partial", "estimated", "none"}, None),
    "demo-error-mid-2": ({"partial", "estimated", "none"}, None),
    "demo-400": ({"none"}, False),
    "demo-500": ({"none"}, False),
    "demo-html": ({"none"}, False),
}


@pytest.fixture(scope="module")
def sources(live: Live) -> dict[tuple[int, str], str]:
    names = {name: name for name in USAGE_SOURCES}
    return {
        (protocol, name): public
        for protocol in NAMES
        for name, public in live.models(names, protocol).items()
    }


@BOTH
@pytest.mark.parametrize("stream", [False, True], ids=["unary", "stream"])
@pytest.mark.parametrize("upstream_model", USAGE_SOURCES)
def test_promise_07_the_source_of_usage_is_recorded(
    live: Live, sources, protocol: int, stream: bool, upstream_model: str
):
    """Upstream zero is zero, an error is no usage, and the receipt says where it is from."""
    key = live.key(live.tenant())
    source, charged = USAGE_SOURCES[upstream_model]
    model = sources[protocol, upstream_model]
    answer = live.call(key, model, protocol, stream=stream, max_tokens=40)
    trace_id = answer.headers["x-tollgate-trace-id"]
    wait_until(lambda: ended(live, key, trace_id), 10)
    receipt = live.receipt(key, trace_id).json()
    assert receipt["usage_source"] in source
    assert charged in (None, receipt["charged"])
    assert receipt["charged"] == (receipt.get("cost_nano_usd", 0) > 0)
    assert receipt["charge_reason"]
    if not receipt["charged"] and source != {"upstream"}:
        assert not receipt.get("cost_nano_usd")
    account = live.settled(f"tenant:{key.tenant_id}")
    held = receipt.get("quarantined_nano_usd", 0)
    assert (receipt.get("cost_nano_usd", 0), held, held) == (
        account.posted_nano_usd, account.pending_nano_usd, account.quarantined_nano_usd,
    )  # fmt: skip
    assert bool(held) == ("cost_usd" not in receipt)
    assert bool(held) == receipt["charge_reason"].startswith("quarantined_")
