"""A router without Postgres and gRPC around it, and an upstream that does as it is told.

The upstream is a raw HTTP/1.1 server on loopback: a test gives it, per upstream model, what to
write, in pieces, with pauses, resets and nonsense. It records what it was sent.
"""

import asyncio
import contextlib
import io
import json
import socket
import struct
from collections.abc import AsyncIterator, Callable, Collection
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import unquote

from tests.contract.router.stores import Evidence, MemoryStore, MemoryStored
from tollgate.budget.v1 import budget_pb2
from tollgate.router.v1 import router_pb2
from tollgate_dialects.common.protocol import Protocol
from tollgate_dialects.pricing.price import Price
from tollgate_kit.clock import SystemClock
from tollgate_kit.config import KeyringConfig
from tollgate_kit.hmac_key import HmacKeys
from tollgate_kit.keyring.file import FileKeyring, create
from tollgate_kit.lifecycle import MustFinish
from tollgate_kit.logs import Log
from tollgate_kit.metrics import Metrics
from tollgate_kit.secret import Secret
from tollgate_router.attempts import Attempts
from tollgate_router.config import ExecuteConfig
from tollgate_router.execute import Executor
from tollgate_router.providers import base_url
from tollgate_router.providers.catalogue import Provider, ProviderKey, ProviderModel
from tollgate_router.providers.catalogue_watch import CatalogueWatch
from tollgate_router.providers.provider_keys import ProviderKeys
from tollgate_router.providers.store_postgres import Rows
from tollgate_router.reservation import UsedReservations
from tollgate_router.routing.routing import CooldownRules
from tollgate_router.servicer import RouterServicer
from tollgate_router.stored.recorder import Recorder
from tollgate_router.stored.requests import StoredRequests
from tollgate_router.upstream.token_exchange import TokenExchange
from tollgate_router.upstream.upstream import Upstream, UpstreamConfig

KEY = "sk-upstream-canary-4f1d8a77c2"
TENANT = "tenant-1"
USAGE = {"prompt_tokens": 10, "completion_tokens": 5, "total_tokens": 15}
ANSWER = {
    "id": "chatcmpl-1",
    "object": "chat.completion",
    "choices": [
        {"index": 0, "message": {"role": "assistant", "content": "hi"}, "finish_reason": "stop"}
    ],
    "usage": USAGE,
}


@dataclass(frozen=True)
class Pause:
    seconds: float


class Reset:
    """Ends the connection with RST."""


class Close:
    """Ends the connection with FIN."""


Piece = bytes | Pause | Reset | Close
Script = list[Piece]


def http(
    status: int, body: bytes, content_type: str = "application/json", extra: str = ""
) -> bytes:
    head = f"HTTP/1.1 {status} X\r\ncontent-type: {content_type}\r\ncontent-length: {len(body)}\r\n"
    return (head + extra + "\r\n").encode() + body


def answer(document: object = ANSWER, status: int = 200, extra: str = "") -> Script:
    return [http(status, json.dumps(document).encode(), extra=extra)]


def sse_head() -> bytes:
    return (
        b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n"
    )


def chunk(data: bytes) -> bytes:
    return b"%x\r\n%b\r\n" % (len(data), data)


END_CHUNK = b"0\r\n\r\n"


def frame(document: object) -> bytes:
    return b"data: %b\n\n" % json.dumps(document).encode()


def openai_frame(text: str) -> bytes:
    return frame({"choices": [{"index": 0, "delta": {"content": text}}], "usage": None})


USAGE_FRAME = frame({"choices": [], "usage": USAGE})
DONE = b"data: [DONE]\n\n"


def named_in(path: str) -> str:
    """The model in a path: Google's is before a verb, Bedrock's before the name of a call."""
    steps = unquote(path).rpartition("/model/")[2].rsplit("/", 1)
    return steps[0] if "/model/" in path else steps[-1].partition(":")[0]


@dataclass
class Seen:
    path: str
    headers: dict[str, str]
    body: bytes
    method: str = "POST"


@dataclass
class FakeUpstream:
    scripts: dict[str, Callable[[], Script] | Script] = field(default_factory=dict)
    seen: list[Seen] = field(default_factory=list)
    closed_by_peer: int = 0
    connections: int = 0
    port: int = 0

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}/v1"

    def script(self, path: str, body: bytes) -> Callable[[], Script] | Script:
        # Of a request without a body, by its path.
        if not body:
            return self.scripts[path.partition("?")[0]]
        return self.scripts[json.loads(body).get("model") or named_in(path)]

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        try:
            while await self._one(reader, writer):
                pass
        except (ConnectionError, asyncio.IncompleteReadError):
            self.closed_by_peer += 1
        finally:
            writer.close()

    async def _one(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bool:
        head = (await reader.readuntil(b"\r\n\r\n")).decode().split("\r\n")
        headers = dict(line.lower().split(": ", 1) for line in head[1:] if line)
        raw = {line.split(": ", 1)[0].lower(): line.split(": ", 1)[1] for line in head[1:] if line}
        body = await reader.readexactly(int(headers["content-length"]))
        method, path, _ = head[0].split(" ")
        self.seen.append(Seen(path, raw, body, method))
        script = self.script(path, body)
        for piece in script() if callable(script) else script:
            if isinstance(piece, Pause):
                await asyncio.sleep(piece.seconds)
            elif isinstance(piece, Close):
                return False
            elif isinstance(piece, Reset):
                sock = writer.get_extra_info("socket")
                sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
                return False
            else:
                writer.write(piece)
                await writer.drain()
        return True


@contextlib.asynccontextmanager
async def fake_upstream(fake: FakeUpstream | None = None) -> AsyncIterator[Any]:
    fake = fake or FakeUpstream()
    server = await asyncio.start_server(fake.serve, "127.0.0.1", 0)
    fake.port = server.sockets[0].getsockname()[1]
    try:
        yield fake
    finally:
        server.close()
        server.close_clients() if hasattr(server, "close_clients") else None


def price(model: str, **changes: int) -> Price:
    values = {
        "input_pico_usd": 1_000_000,
        "output_pico_usd": 2_000_000,
        "cache_read_pico_usd": 100_000,
        "cache_write_5m_pico_usd": 1_250_000,
        "cache_write_1h_pico_usd": 2_000_000,
        "max_input_tokens": 100_000,
        "max_output_tokens": 4_096,
    }
    return Price.of(model=model, version=1, source="seed", **(values | changes))


class Harness:
    """One router process's insides, wired as __main__ does, minus stores and sockets."""

    def __init__(
        self,
        keyring: FileKeyring,
        upstream: UpstreamConfig,
        drain_seconds: int,
        log_calls: bool,
        token_uris: Collection[str],
        stored: Any,
    ) -> None:
        self.out = io.StringIO()
        self.log = Log("router", out=self.out)
        self.metrics = Metrics("router")
        self.clock = SystemClock()
        common: Any = {"clock": self.clock, "log": self.log, "metrics": self.metrics}
        self.keyring = keyring
        self.store: Any = MemoryStore()
        self.upstream = Upstream(upstream, allow_private=True)
        self.token_uris = token_uris
        self.keys = self._provider_keys()
        self.reservations = UsedReservations(limit=1_000_000)
        self.attempts = Attempts(
            upstream=self.upstream,
            keys=self.keys,
            reservations=self.reservations,
            rules=CooldownRules(),
            **common,
        )
        self.watch = CatalogueWatch(
            self.store, self.keys, self.attempts.health, True, log=self.log, metrics=self.metrics
        )
        self.must_finish = MustFinish(self.log)
        self.stored = stored
        self.recorder = Recorder(stored, **common)
        self.recorder.start()
        self.evidence: Any = Evidence()
        self.executor = Executor(
            records=self.recorder,
            attempts=self.attempts,
            watch=self.watch,
            must_finish=self.must_finish,
            upstream=upstream,
            execute=ExecuteConfig(drain_seconds=drain_seconds, log_calls=log_calls),
            **common,
        )
        self.reservation_key = Secret(b"k" * 32)
        self.servicer = RouterServicer(
            executor=self.executor,
            watch=self.watch,
            reservations=self.reservations,
            signers=HmacKeys({1: self.reservation_key}),
            publishers={},
            stored=StoredRequests(
                stored, self.attempts, self.watch, self.evidence, upstream, self.clock
            ),
            **common,
        )
        self._serial = 0

    def _provider_keys(self) -> ProviderKeys:
        exchange = TokenExchange(
            self.upstream, self.token_uris, clock=self.clock, metrics=self.metrics
        )
        return ProviderKeys(self.keyring, exchange=exchange.token, clock=self.clock)

    async def provide(
        self,
        *urls: str,
        models: tuple[str, ...] = ("m",),
        protocol: Protocol = Protocol.OPENAI_CHAT,
        keys_each: int = 1,
        keep: bool = False,
        without_include_usage: bool = False,
        key: str = "",
        upstream_model: str = "",
        **price_changes: int,
    ) -> None:
        """Register providers p0, p1, ... at the urls."""
        providers = []
        for place, url in enumerate(urls):
            address = base_url.parse(url, allow_private=True)
            keys = []
            for number in range(keys_each):
                key_id = f"pk-{place}-{number}"
                secret = Secret(key or f"{KEY}-{place}-{number}")
                encrypted = await self.keys.encrypt("shared", key_id, address, secret)
                keys.append(ProviderKey(key_id, "shared", encrypted))
            served = tuple(ProviderModel(model, upstream_model or model) for model in models)
            providers.append(
                Provider(
                    f"p{place}", protocol, url, served, tuple(keys), True, 1, without_include_usage
                )
            )
        old = self.store.rows if keep else Rows(0, (), ())
        self.store.put(
            (*old.providers, *providers),
            (*old.prices, *(price(model, **price_changes) for model in models)),
        )
        await self.watch.refresh()

    def token(self, *, mac_key: bytes | None = None, **changes: object) -> bytes:
        self._serial += 1
        values: dict[str, object] = {
            "reservation_id": f"r{self._serial}",
            "tenant_id": TENANT,
            "model": "m",
            "amount_nano_usd": 1_000_000_000,
            "expire_unix_ms": self.clock.unix_ms() + 60_000,
            "input_tokens": 10**8,
            "max_output_tokens": 10**8,
            "price_version": 1,
        }
        claims = budget_pb2.ReservationClaims(**(values | changes)).SerializeToString()
        import hashlib
        import hmac

        mac = hmac.digest(mac_key or self.reservation_key.reveal_bytes(), claims, hashlib.sha256)
        return budget_pb2.ReservationToken(claims=claims, mac=mac).SerializeToString()

    def request(self, **changes: object) -> router_pb2.ExecuteRequest:
        model = changes.get("model", "m")
        stream = changes.get("stream", False)
        values: dict[str, object] = {
            "trace_id": f"t{self._serial}",
            "tenant_id": TENANT,
            "client_protocol": router_pb2.CLIENT_PROTOCOL_OPENAI_CHAT,
            "model": model,
            "max_output_tokens": 100,
            "price_version": 1,
            "body": json.dumps(
                {
                    "model": model,
                    "stream": stream,
                    "max_tokens": 100,
                    "messages": [{"role": "user", "content": "hi"}],
                }
            ).encode(),
        }
        if "reservation_token" not in changes:
            values["reservation_token"] = self.token(model=model)
        return router_pb2.ExecuteRequest(**(values | changes))

    async def call(self, **changes: object) -> list[router_pb2.ExecuteResponse]:
        return [message async for message in self.servicer.Execute(self.request(**changes), None)]

    def logged(self, event: str) -> list[dict[str, object]]:
        lines = [json.loads(line) for line in self.out.getvalue().splitlines()]
        return [line for line in lines if line["event"] == event]

    async def close(self) -> None:
        await self.must_finish.drain(5)
        await self.recorder.close()
        await self.upstream.close()


FAST = UpstreamConfig(connect_ms=2000, first_byte_ms=1500, idle_ms=500, total_ms=4000)


@contextlib.asynccontextmanager
async def harness(
    tmp_path,
    *,
    upstream: UpstreamConfig = FAST,
    drain_seconds: int = 1,
    log_calls: bool = True,
    token_uris: Collection[str] = (),
    stored: Any = None,
) -> AsyncIterator[Harness]:
    unlock = tmp_path / "unlock"
    unlock.write_bytes(b"open sesame")
    unlock.chmod(0o400)
    path = tmp_path / "keyring.json"
    create(path, Secret(b"open sesame"), {"upstream-keys": "aes256", "reservation": "mac"})
    made = Harness(
        FileKeyring.open(KeyringConfig(path, unlock)),
        upstream,
        drain_seconds,
        log_calls,
        token_uris,
        stored or MemoryStored(),
    )
    try:
        yield made
    finally:
        await made.close()


def end_of(messages: list[router_pb2.ExecuteResponse]) -> router_pb2.End:
    return messages[-1].end
