"""Clients of every protocol, each on an upstream of another: those that leave, and giant events."""

import concurrent.futures
import itertools
import json
import re
import socket
import struct

import httpx
import pytest

from tests import observe, upstream
from tests.demo import WIRES, event
from tests.failing import ask, documents, error_of
from tests.live import (
    ANTHROPIC,
    BASE_PATHS,
    BEDROCK,
    DASHSCOPE,
    GEMINI,
    OPENAI,
    RESPONSES,
    Key,
    Live,
    wait_until,
)
from tests.unit.dialects.bedrock_converse import aws

CLIENTS = ("openai", "anthropic", "responses", "gemini", "dashscope")
UPSTREAMS = {
    "openai": OPENAI, "anthropic": ANTHROPIC, "responses": RESPONSES, "gemini": GEMINI,
    "dashscope": DASHSCOPE, "bedrock": BEDROCK,
}  # fmt: skip
# For each client another upstream, the one that comes five places behind its own.
PAIRS = dict(zip(CLIENTS, ("bedrock", "gemini", "dashscope", "anthropic", "openai"), strict=True))
# How a client leaves: its connection closed or reset after some events, or before any answer.
WAYS = ("closed", "reset", "unanswered")
RESET = struct.pack("ii", 1, 0)
EVIL = b"ev1l-marker"


def leave(live: Live, key: Key, model: str, client: str, way: str) -> None:
    """A call, and off."""
    wire, stream = WIRES[client], way != "unanswered"
    body = json.dumps(wire.body(model, 900, stream)).encode()
    address = live.api_urls[0].removeprefix("http://")
    lines = [
        f"POST {wire.path(model, stream)} HTTP/1.1", "host: x", f"x-api-key: {key.text}",
        f"content-length: {len(body)}", *(f"{n}: {v}" for n, v in wire.streams.items() if stream),
    ]  # fmt: skip
    host, _, port = address.rpartition(":")
    with socket.create_connection((host, int(port)), 20) as line:
        line.sendall("\r\n".join(lines).encode() + b"\r\n\r\n" + body)
        got = b""
        while stream and got.count(b"\n\n") < 3:
            part = line.recv(4096)
            assert part, got
            got += part
        if way == "reset":
            line.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET)
        elif way == "unanswered":
            wait_until(lambda: live.transfers(f"key:{key.key_id}"))


def test_trust_14_promise_06_whoever_leaves_pays_what_was_produced(live: Live):
    """Each client's way to leave, on each protocol: the charge is what the provider produced.

    The receipt says so, and nothing is left of the calls: no reservation, no call in any service.
    """
    cases = dict(enumerate(itertools.product(CLIENTS, WAYS), 111))
    models = {}
    for upstream_name in set(PAIRS.values()):
        # A model of its own for each case: the provider's record is kept by model.
        names = {
            number: f"demo-{'slow-7' if way == 'unanswered' else 'drip-'}{number}"
            for number, (client, way) in cases.items()
            if PAIRS[client] == upstream_name
        }
        models |= {
            number: (names[number], public)
            for number, public in zip(
                names, live.models({n: n for n in names.values()}, UPSTREAMS[upstream_name]).values(),
                strict=True,
            )
        }  # fmt: skip
    tenant = live.tenant()
    keys = {number: live.key(tenant) for number in cases}
    with concurrent.futures.ThreadPoolExecutor(len(cases)) as pool:
        jobs = [
            pool.submit(leave, live, keys[number], models[number][1], *case)
            for number, case in cases.items()
        ]
        for job in jobs:
            job.result()
    account = live.settled(f"tenant:{tenant}", 30)
    total = 0
    for number, case in cases.items():
        (transfer,) = live.transfers(f"key:{keys[number].key_id}")
        (truth,) = observe.served(live, models[number][0])
        receipt = live.receipt(keys[number], transfer.trace_id).json()
        cost = truth["input_tokens"] * 1000 + truth["output_tokens"] * 2000
        assert (True, cost, "upstream", "completed", "finished", True) == (
            truth["finished"], receipt["cost_nano_usd"], receipt["usage_source"],
            receipt["charge_reason"], receipt["state"], receipt["charged"],
        ), case  # fmt: skip
        total += cost
    assert (total, 0, 0) == (
        account.posted_nano_usd, account.pending_nano_usd, account.quarantined_nano_usd,
    )  # fmt: skip
    assert (0, 0) == (observe.stats(live)["open_calls"], observe.stats(live)["open_streams"])
    found = dict(observe.sinks(live))
    kept = re.findall(
        rb"^tollgate_(?:calls_in_flight|settle_queue)(?:\{[^}]*\})? (\S+)$",
        b"\n".join(content for name, content in found.items() if name.startswith("metrics edge")),
        re.MULTILINE,
    )
    assert kept
    assert {0.0} == set(map(float, kept))


def giant(name: str) -> bytes:
    """An event of an upstream above every bound, of which nobody needs the rest."""
    text = EVIL.decode() + "x" * (2 << 20)
    return aws.text(text) if name == "bedrock" else event(name, text)


@pytest.mark.parametrize("name", UPSTREAMS)
def test_trust_06_no_client_gets_an_event_without_end(live: Live, name: str):
    """Of two megabytes in one event nothing passes: each client is told an error in its protocol."""
    key = live.key(live.tenant())
    with upstream.running() as up:
        up.scripts["giant"] = [upstream.STREAM_HEAD % b"", giant(name), 0.02, b"\n\n"]
        base = up.url.removesuffix("/v1") + BASE_PATHS.get(UPSTREAMS[name], "/v1")
        labels = dict.fromkeys(CLIENTS, "giant")
        models = live.models(labels, UPSTREAMS[name], base_url=base, secret="sk-giant-0123456789")
        with httpx.Client(timeout=30) as line:
            for client in CLIENTS:
                seen = ask(live, line, key, models[client], WIRES[client], stream=True)
                assert EVIL not in seen.body
                *_, last = documents(seen.body) if seen.status == 200 else [json.loads(seen.body)]
                _, message = error_of(last, client)
                assert message.startswith("The model provider failed to answer."), client
                assert len(seen.body) < 10_000
