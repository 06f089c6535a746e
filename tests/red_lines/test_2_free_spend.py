"""Red line 2, the other side: what a broken upstream did is never free, and nothing else is charged.

Each kind of broken upstream is called until the cap refuses. An honest provider bills what it read
and what it produced, whatever became of the answer on its way; what Tollgate counts is never less.
"""

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import pytest

from tests import upstream
from tests.live import ANTHROPIC, OPENAI, Live, own_suite
from tests.upstream import JSON_HEAD, RESET, STREAM_HEAD, Piece

CALLS = 15
CAP_USD = 0.003
MAX_TOKENS = 30
DEAR = {"input_pico_usd": 3_000_000, "output_pico_usd": 15_000_000}
READ_TOKENS = 20  # of "Say hello." and what stands around it
WORDS = 24  # each one token
TEXT = "word " * WORDS
HANG_S = 2.5
NAMES = {OPENAI: "openai", ANTHROPIC: "anthropic"}


@dataclass(frozen=True)
class Kind:
    """One way to break; what an honest provider bills for each contact, in tokens."""

    script: Sequence[Piece]
    read: int = READ_TOKENS
    produced: int = 0


def honest_nano_usd(kind: Kind) -> int:
    return kind.read * 3_000 + kind.produced * 15_000


def _body(protocol: int, *, usage: bool = True, text: str = TEXT) -> bytes:
    if protocol == OPENAI:
        answer: dict = {
            "id": "c", "object": "chat.completion", "created": 1, "model": "m",
            "choices": [{"index": 0, "finish_reason": "stop",
                         "message": {"role": "assistant", "content": text}}],
        }  # fmt: skip
        if usage:
            answer["usage"] = {"prompt_tokens": READ_TOKENS, "completion_tokens": WORDS,
                               "total_tokens": READ_TOKENS + WORDS}  # fmt: skip
    else:
        answer = {
            "id": "m", "type": "message", "role": "assistant", "model": "m",
            "content": [{"type": "text", "text": text}], "stop_reason": "end_turn",
            "usage": {"input_tokens": READ_TOKENS, "output_tokens": WORDS} if usage else None,
        }  # fmt: skip
    return json.dumps(answer).encode()


def unary(protocol: int) -> dict[str, Kind]:
    whole, length = upstream.whole, len(_body(protocol))
    body, bad = _body(protocol), _body(protocol, text="x" * 33 * 1024 * 1024)
    cut = [JSON_HEAD % (length, b"connection: close\r\n") + body[: length // 2]]
    gzip = b"content-encoding: gzip\r\nconnection: close\r\n"
    chunked = (
        b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\nconnection: close\r\n"
        b"transfer-encoding: chunked\r\n\r\n10\r\n" + body[:16] + b"\r\nzz\r\n"
    )
    negative = body.replace(b": 20", b": -20").replace(b": 24", b": -24")
    close = b"connection: close\r\n"
    error = b'{"error": {"type": "server_error", "message": "overloaded"}}'
    return {
        "cut": Kind(cut, produced=WORDS),
        "reset-in-body": Kind([cut[0], 0.05, RESET], produced=WORDS),
        "reset-before-head": Kind([RESET], produced=WORDS),
        "gzip": Kind([whole(body, gzip)], produced=WORDS),
        "oversize": Kind([whole(bad, close)], produced=WORDS),
        "silent": Kind([HANG_S, RESET], produced=MAX_TOKENS),
        "html": Kind([whole(b"<html>busy</html>", close)], produced=WORDS),
        "other-json": Kind([whole(b"[]", close)], produced=WORDS),
        "empty": Kind([whole(b"", close)], produced=WORDS),
        "bad-chunk": Kind([chunked], produced=WORDS),
        "giant-header": Kind([whole(body, b"x-a: " + b"a" * 100_000 + b"\r\n" + close)],
                             produced=WORDS),
        "no-usage": Kind([whole(_body(protocol, usage=False), close)], produced=WORDS),
        "absurd-usage": Kind([whole(negative, close)], produced=WORDS),
        "ok-error": Kind([whole(error, close)], read=0),
        "status-500": Kind([whole(error, close).replace(b"200 OK", b"500 X")], read=0),
    }  # fmt: skip


def _event(protocol: int, text: str, *, reasoning: bool = False) -> bytes:
    if protocol == OPENAI:
        delta = {"reasoning_content" if reasoning else "content": text}
        data = {"id": "c", "object": "chat.completion.chunk", "created": 1, "model": "m",
                "choices": [{"index": 0, "delta": delta, "finish_reason": None}]}  # fmt: skip
        return b"data: " + json.dumps(data).encode() + b"\n\n"
    part = (
        {"type": "thinking_delta", "thinking": text}
        if reasoning
        else {"type": "text_delta", "text": text}
    )
    data = {"type": "content_block_delta", "index": 0, "delta": part}
    return b"event: content_block_delta\ndata: " + json.dumps(data).encode() + b"\n\n"


def _start(protocol: int) -> bytes:
    if protocol == OPENAI:
        return _event(protocol, "")
    message = {"type": "message_start", "message": {
        "id": "m", "type": "message", "role": "assistant", "model": "m", "content": [],
        "usage": {"input_tokens": READ_TOKENS, "output_tokens": 1}}}  # fmt: skip
    block = {"type": "content_block_start", "index": 0, "content_block": {
        "type": "text", "text": ""}}  # fmt: skip
    return b"".join(
        b"event: %b\ndata: %b\n\n" % (e["type"].encode(), json.dumps(e).encode())
        for e in (message, block)
    )


def _error(protocol: int) -> bytes:
    error = {"type": "error", "error": {"type": "overloaded_error", "message": "Overloaded"}}
    name = b"" if protocol == OPENAI else b"event: error\n"
    return name + b"data: " + json.dumps(error).encode() + b"\n\n"


def _end_without_usage(protocol: int) -> bytes:
    if protocol == OPENAI:
        last = {"id": "c", "object": "chat.completion.chunk", "created": 1, "model": "m",
                "choices": [{"index": 0, "delta": {}, "finish_reason": "stop"}]}  # fmt: skip
        return b"data: " + json.dumps(last).encode() + b"\n\ndata: [DONE]\n\n"
    delta = {"type": "message_delta", "delta": {"stop_reason": "end_turn"}}
    return (
        b"event: message_delta\ndata: " + json.dumps(delta).encode() + b"\n\n"
        b'event: message_stop\ndata: {"type": "message_stop"}\n\n'
    )


def streams(protocol: int) -> dict[str, Kind]:
    head = STREAM_HEAD % b""
    words = _start(protocol) + b"".join(_event(protocol, "word ") for _ in range(WORDS))
    thoughts = _start(protocol) + _event(protocol, TEXT, reasoning=True)
    chunked = head.replace(b"\r\n\r\n", b"\r\ntransfer-encoding: chunked\r\n\r\n")
    gzip = STREAM_HEAD % b"content-encoding: gzip\r\n"
    close = b"connection: close\r\n"
    status = upstream.whole(b'{"error": {"message": "x"}}', close).replace(b"200 OK", b"500 X")
    return {
        "cut": Kind([head + words], produced=WORDS),
        "reset": Kind([head + words, 0.05, RESET], produced=WORDS),
        "reset-before-head": Kind([RESET], produced=WORDS),
        "reset-after-head": Kind([head, 0.05, RESET], produced=WORDS),
        "gzip": Kind([gzip + words], produced=WORDS),
        "giant-frame": Kind([head + b"data: " + b"x" * 2 * 1024 * 1024], produced=WORDS),
        "silent": Kind([HANG_S, RESET], produced=MAX_TOKENS),
        "silent-after-head": Kind([head, HANG_S, RESET], produced=MAX_TOKENS),
        "silent-in-the-middle": Kind([head + words, HANG_S, RESET], produced=MAX_TOKENS),
        "reasoning-only": Kind([head + thoughts, 0.05, RESET], produced=WORDS),
        "html": Kind([upstream.whole(b"<html>busy</html>", close)], produced=WORDS),
        "empty": Kind([head], produced=WORDS),
        "bad-chunk": Kind([chunked + b"5\r\ndata:\r\nzz\r\n"], produced=WORDS),
        "no-usage": Kind([head + words + _end_without_usage(protocol)], produced=WORDS),
        "error-after-words": Kind([head + words + _error(protocol)], produced=WORDS),
        "error-at-once": Kind([head + _error(protocol)], read=0),
        "status-500": Kind([status], read=0),
    }  # fmt: skip


KINDS = {
    (protocol, stream, name): kind
    for protocol in NAMES
    for stream, kinds in ((False, unary(protocol)), (True, streams(protocol)))
    for name, kind in kinds.items()
}


@pytest.fixture(scope="module")
def impatient(tmp_path_factory) -> Iterator[Live]:
    """A suite whose router waits two seconds for an upstream, not minutes."""
    with own_suite(tmp_path_factory.mktemp("free-spend") / "home") as live:
        config = live.suite.home.config / "router.toml"
        config.write_text(
            config.read_text() + "\n[upstream]\nfirst_byte_ms = 1500\nidle_ms = 1000\n"
        )
        live.suite.restart("router")
        yield live


@pytest.fixture(scope="module")
def models(impatient: Live) -> Iterator[dict]:
    with upstream.running() as scripted:
        found: dict = {"upstream": scripted}
        for protocol, spoken in NAMES.items():
            labels = {}
            for (of, stream, name), kind in KINDS.items():
                if of == protocol:
                    label = f"{spoken}-{'stream' if stream else 'unary'}-{name}"
                    scripted.scripts[label] = kind.script
                    labels[label] = label
            found |= impatient.models(
                labels, protocol, base_url=scripted.url, secret="sk-broken-0123456789", price=DEAR
            )
        yield found


@pytest.mark.parametrize(
    ("protocol", "stream", "name"),
    [pytest.param(*key, id=f"{NAMES[key[0]]}-{'stream' if key[1] else 'unary'}-{key[2]}")
     for key in KINDS],
)  # fmt: skip
def test_case_M1_broken_upstreams_are_never_free(impatient: Live, models, protocol, stream, name):
    """posted + quarantined covers what an honest provider bills for every contact, within the cap."""
    live, kind = impatient, KINDS[protocol, stream, name]
    label = f"{NAMES[protocol]}-{'stream' if stream else 'unary'}-{name}"
    key = live.key(live.tenant(CAP_USD))
    before = len(models["upstream"].bodies)
    statuses = []
    for _ in range(CALLS):
        answer = live.call(
            key, models[label], protocol, stream=stream, max_tokens=MAX_TOKENS, timeout=30
        )
        statuses.append(answer.status_code)
        if answer.status_code == 402:
            break
    contacts = len(models["upstream"].bodies) - before
    account = live.settled(f"tenant:{key.tenant_id}")
    counted = account.posted_nano_usd + account.quarantined_nano_usd
    assert contacts, statuses
    assert counted >= contacts * honest_nano_usd(kind), (statuses, contacts)
    assert counted <= account.limit_nano_usd
    if not honest_nano_usd(kind):
        assert 0 == counted


def test_case_M1_nothing_is_charged_where_nothing_was_contacted(impatient: Live):
    """A provider that refuses the connection: released, nothing posted, nothing held."""
    live = impatient
    model = live.model("m", base_url="http://127.0.0.1:9/v1", secret="sk-nowhere-0123456789")
    key = live.key(live.tenant(CAP_USD))
    for _ in range(3):
        assert live.call(key, model, max_tokens=MAX_TOKENS).status_code in (502, 503)
    account = live.settled(f"tenant:{key.tenant_id}")
    assert (0, 0, 0) == (
        account.posted_nano_usd, account.pending_nano_usd, account.quarantined_nano_usd,
    )  # fmt: skip
