"""Rows 19 and 20 of the threat model: nothing that a tenant names is fetched, or called back.

Files that requests name are the vendor's to fetch: neither edge nor router asks for one, looks its
host up by trying it, or follows where it leads. A listener on loopback would hear of it.
"""

import concurrent.futures
import contextlib
import itertools
import socket
import threading
from collections import Counter
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from tests.demo import WIRES
from tests.live import ANTHROPIC, BEDROCK, DASHSCOPE, GEMINI, OPENAI, RESPONSES, Live

# Ways to write this machine: decimal, octal, hexadecimal, short, mapped, translated, behind a user.
HOSTS = (
    "127.0.0.1", "127.1", "2130706433", "017700000001", "0x7f000001", "0177.0.0.1", "0x7f.0.0.1",
    "0.0.0.0", "0", "localhost", "LOCALHOST.", "\uff4cocalhost", "127\u30020\u30020\u30021", "[::1]",
    "[::]", "[::ffff:127.0.0.1]", "[::ffff:7f00:1]", "[64:ff9b::7f00:1]", "vendor.example@127.0.0.1",
    "127.0.0.1%23@vendor.example", "xn--localhost-.localhost",
)  # fmt: skip
SCHEMES = ("http", "https", "ftp", "gopher")
CALLED_BACK = (
    "callback", "callback_url", "notification_url", "webhook", "webhook_url", "webhooks",
    "result_url", "status_callback",
)  # fmt: skip


class Canary:
    """Listens on both loopbacks, on one port, and counts who comes."""

    def __init__(self) -> None:
        first = socket.create_server(("127.0.0.1", 0))
        self.port: int = first.getsockname()[1]
        self.listeners = [first]
        if socket.has_ipv6:
            with contextlib.suppress(OSError):
                self.listeners.append(
                    socket.create_server(("::1", self.port), family=socket.AF_INET6)
                )
        self.heard = 0
        for listener in self.listeners:
            threading.Thread(target=self._listen, args=(listener,), daemon=True).start()

    def _listen(self, listener: socket.socket) -> None:
        with contextlib.suppress(OSError):
            while True:
                listener.accept()[0].close()
                self.heard += 1

    def urls(self) -> list[str]:
        return [
            f"{scheme}://{host}:{self.port}/a.png"
            for scheme, host in itertools.product(SCHEMES, HOSTS)
        ]


@pytest.fixture(scope="module")
def canary() -> Iterator[Canary]:
    listening = Canary()
    yield listening
    # It would have heard: whoever comes is counted.
    before = listening.heard
    for listener in listening.listeners:
        socket.create_connection(listener.getsockname()[:2], 5).close()
    waited = threading.Event()
    for _ in range(100):
        if listening.heard == before + len(listening.listeners):
            break
        waited.wait(0.05)
    assert before + len(listening.listeners) == listening.heard
    for listener in listening.listeners:
        listener.close()


def chat(url: str) -> list[dict[str, Any]]:
    words = {"type": "text", "text": "Look."}
    return [
        {"messages": [{"role": "user", "content": [words, part]}]}
        for part in (
            {"type": "image_url", "image_url": {"url": url}},
            {"type": "file", "file": {"file_data": url, "filename": "a.pdf"}},
            {"type": "video_url", "video_url": {"url": url}},
            {"type": "input_audio", "input_audio": {"data": url, "format": "wav"}},
        )
    ]


def message(url: str) -> list[dict[str, Any]]:
    return [
        {"messages": [{"role": "user", "content": [{"type": kind, "source": source}]}]}
        for kind in ("image", "document")
        for source in ({"type": "url", "url": url},)
    ]


def response(url: str) -> list[dict[str, Any]]:
    return [
        {"input": [{"role": "user", "content": [part]}]}
        for part in (
            {"type": "input_image", "image_url": url},
            {"type": "input_file", "file_url": url},
        )
    ]


def gemini(url: str) -> list[dict[str, Any]]:
    part = {"fileData": {"fileUri": url, "mimeType": "image/png"}}
    return [{"contents": [{"role": "user", "parts": [{"text": "Look."}, part]}]}]


def dashscope(url: str) -> list[dict[str, Any]]:
    return [
        {"input": {"messages": [{"role": "user", "content": [{kind: url}, {"text": "Look."}]}]}}
        for kind in ("image", "audio", "video")
    ]


FILES: dict[str, Callable[[str], list[dict[str, Any]]]] = {
    "openai": chat, "anthropic": message, "responses": response, "gemini": gemini,
    "dashscope": dashscope,
}  # fmt: skip
OWN = {
    "openai": OPENAI, "anthropic": ANTHROPIC, "responses": RESPONSES, "gemini": GEMINI,
    "dashscope": DASHSCOPE,
}  # fmt: skip


def statuses(live: Live, model: str, client: str, bodies: list[dict[str, Any]]) -> Counter[int]:
    """How often each was answered; every body is what its protocol needs beside."""
    key = live.key(live.tenant(1_000_000), requests_per_minute=1_000_000)
    wire = WIRES[client]
    needed = wire.body(model, 16, False)
    headers = {"anthropic-version": "2023-06-01"} if client == "anthropic" else {}
    with concurrent.futures.ThreadPoolExecutor(4) as pool:
        return Counter(
            answer.status_code
            for answer in pool.map(
                lambda body: live.post(key, wire.path(model, False), needed | body, headers), bodies
            )
        )


@pytest.mark.parametrize("client", FILES)
def test_trust_19_no_file_that_a_request_names_is_fetched(live: Live, canary: Canary, client: str):
    """84 URLs in each place of a protocol, and some of them at other upstreams: nobody comes."""
    for upstream in (OWN[client], BEDROCK, GEMINI if client == "openai" else OPENAI):
        model = live.model("demo-gpt", upstream)
        urls = canary.urls() if upstream == OWN[client] else canary.urls()[::9]
        bodies = [body for url in urls for body in FILES[client](url)]
        found = statuses(live, model, client, bodies)
        assert set(found) <= {200, 400}, (upstream, found)
        if upstream == OWN[client]:
            assert found[200], "none of them came to an upstream"
    assert 0 == canary.heard


@pytest.mark.parametrize("client", FILES)
def test_trust_20_nobody_is_called_back(live: Live, canary: Canary, client: str):
    """Members by which other services are told where to call back: refused, or the vendor's."""
    model = live.model("demo-gpt", OWN[client])
    bodies: list[dict[str, Any]] = []
    for url, name in itertools.product(canary.urls()[::17], CALLED_BACK):
        bodies += [{name: url}, {name: {"url": url}}, {"metadata": {name: url}}]
    found = statuses(live, model, client, bodies)
    assert set(found) <= {200, 400}, found
    assert 0 == canary.heard
