"""The edge's api role, wired as in production, in front of scripted services."""

import asyncio
import contextlib
import io
import json
import logging
import socket
import struct
from collections.abc import AsyncIterator, Sequence

import httpx

from tests.fakes.services import ANY_CALLER, FakeAudit, FakeAuthz, FakeBudget, FakeRouter
from tests.mesh import Mesh
from tollgate.audit.v1 import audit_pb2_grpc
from tollgate.authz.v1 import authz_pb2_grpc
from tollgate.budget.v1 import budget_pb2_grpc
from tollgate.router.v1 import router_pb2, router_pb2_grpc
from tollgate_cli.suite.processes.ports import free_port
from tollgate_edge import api_role
from tollgate_edge.config import (
    CrossOriginConfig,
    EdgeApiConfig,
    EvidenceConfig,
    LimitsConfig,
    ListenConfig,
    SettleConfig,
)
from tollgate_kit import virtual_key
from tollgate_kit.config import MetricsConfig, PeerConfig
from tollgate_kit.lifecycle import Lifecycle
from tollgate_kit.logs import Log, capture_standard_library
from tollgate_kit.secret import Secret

KEY = virtual_key.make("dev", "A" * 12, Secret("B" * 32)).reveal()
OTHER_KEY = virtual_key.make("dev", "C" * 12, Secret("D" * 32)).reveal()
CHAT, MESSAGES = "/v1/chat/completions", "/v1/messages"


def route(attempt: int = 1) -> router_pb2.ExecuteResponse:
    return router_pb2.ExecuteResponse(
        route=router_pb2.Route(provider="demo", upstream_model="u", attempt=attempt)
    )


def head(content_type: str = "application/json") -> router_pb2.ExecuteResponse:
    return router_pb2.ExecuteResponse(
        head=router_pb2.Head(http_status=200, content_type=content_type)
    )


def data(chunk: bytes) -> router_pb2.ExecuteResponse:
    return router_pb2.ExecuteResponse(data=chunk)


def end(
    reason: int = router_pb2.END_REASON_COMPLETED, *, cost: int = 30_000, **error: object
) -> router_pb2.ExecuteResponse:
    message = router_pb2.End(
        reason=reason,
        usage=router_pb2.Usage(input_tokens=10, output_tokens=10),
        cost_nano_usd=cost,
        usage_source=router_pb2.USAGE_SOURCE_UPSTREAM,
        price_version=3,
        attempts=1,
    )
    if error:
        message.upstream_error.CopyFrom(router_pb2.UpstreamError(**error))
    return router_pb2.ExecuteResponse(end=message)


def play(*messages: router_pb2.ExecuteResponse):
    """A script that sends these and ends."""

    async def script(request):
        for message in messages:
            yield message

    return script


ANSWER = b'{"choices":[]}'
OPENAI_EVENTS = [b'data: {"a":1}\n\n', b'data: {"a":2}\n\n', b"data: [DONE]\n\n"]
ANTHROPIC_EVENTS = [
    b'event: message_start\ndata: {"type":"message_start"}\n\n',
    b'event: message_stop\ndata: {"type":"message_stop"}\n\n',
]
UNARY = play(route(), head(), data(ANSWER), end())


def stream_of(events: Sequence[bytes]):
    return play(route(), head("text/event-stream"), *(data(e) for e in events), end())


class Wire:
    """One connection, read as the bytes come."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader = reader
        self._writer = writer
        self.got = b""

    async def until(self, text: bytes, seconds: float = 3.0) -> bytes:
        """Read until this text has arrived."""
        async with asyncio.timeout(seconds):
            while text not in self.got:
                piece = await self._reader.read(65536)
                assert piece, f"closed after {self.got!r}"
                self.got += piece
        return self.got

    async def silence(self, seconds: float = 0.3) -> bytes:
        """Everything there is after listening for so long."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                while piece := await self._reader.read(65536):
                    self.got += piece
        return self.got

    def write(self, data: bytes) -> None:
        """Send more of the request."""
        self._writer.write(data)

    def abort(self) -> None:
        """End the connection as most clients do, which looks like the end of what they send."""
        self._writer.transport.abort()

    def reset(self) -> None:
        """End it with RST."""
        linger = struct.pack("ii", 1, 0)
        self._writer.get_extra_info("socket").setsockopt(
            socket.SOL_SOCKET, socket.SO_LINGER, linger
        )
        self.abort()


class Edge:
    """A running edge and the services it talks to."""

    def __init__(self, mesh: Mesh) -> None:
        self.mesh = mesh
        self.authz = FakeAuthz()
        self.authz.grant(KEY)
        self.authz.grant(OTHER_KEY, tenant_id="t2", key_id="k2")
        self.budget = FakeBudget()
        self.routers = [FakeRouter(UNARY)]
        self.audit = FakeAudit()
        self.log = io.StringIO()
        self.life = Lifecycle(Log("edge-api", out=self.log))
        self.url = ""
        self.metrics_url = ""
        self.client = httpx.AsyncClient()

    @property
    def router(self) -> FakeRouter:
        return self.routers[0]

    def script(self, script) -> None:
        for router in self.routers:
            router.script = script

    async def post(
        self, path: str = CHAT, *, key: str | None = KEY, headers=None, content=None, **fields
    ) -> httpx.Response:
        """A call, whole."""
        name = "m-openai" if path == CHAT else "m-anthropic"
        body = {
            "model": name,
            "max_tokens": 16,
            "messages": [{"role": "user", "content": "hi"}],
            **fields,
        }
        sent = {"authorization": f"Bearer {key}"} if key else {}
        return await self.client.post(
            self.url + path,
            content=json.dumps(body) if content is None else content,
            headers={**sent, **(headers or {})},
        )

    async def send(self, body: bytes, *, length: int | None = None) -> "Wire":
        """A call over a socket of its own; `length` if the head is to say another one."""
        reader, writer = await asyncio.open_connection(
            "127.0.0.1", int(self.url.rpartition(":")[2])
        )
        head = f"POST {CHAT} HTTP/1.1\r\nhost: x\r\nx-api-key: {KEY}\r\n"
        head += f"content-length: {len(body) if length is None else length}\r\n\r\n"
        writer.write(head.encode() + body)
        return Wire(reader, writer)

    async def quiet(self, seconds: float = 5.0) -> None:
        """Wait until every reservation that can be settled is, and every entry is durable."""
        async with asyncio.timeout(seconds):
            while len(self.budget.settled) < len(self.budget.reserved):
                await asyncio.sleep(0.01)

    def lines(self) -> list[dict]:
        return [json.loads(line) for line in self.log.getvalue().splitlines()]

    async def stop(self) -> None:
        self.life.stopping.set()
        await self.life.stop()


async def connect(edge: Edge) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    """A raw connection to the edge's listener."""
    return await asyncio.open_connection("127.0.0.1", int(edge.url.rpartition(":")[2]))


@contextlib.asynccontextmanager
async def running(
    mesh: Mesh, *, routers: int = 1, limits: LimitsConfig | None = None, durable_ms: int = 5000,
    lag_ms: int = 2000,
    header_seconds: int = 10, write_seconds: int = 60, origins: tuple[str, ...] = (),
) -> AsyncIterator[Edge]:  # fmt: skip
    """An edge that serves."""
    edge = Edge(mesh)
    edge.routers = [FakeRouter(UNARY) for _ in range(routers)]
    port, metrics_port = free_port(), free_port()
    async with contextlib.AsyncExitStack() as stack:
        addresses: dict[str, list[str]] = {}
        for identity, servicer, *services in (
            ("authz", edge.authz, ("tollgate.authz.v1.AuthzService",
             authz_pb2_grpc.add_AuthzServiceServicer_to_server)),
            ("budget", edge.budget, ("tollgate.budget.v1.BudgetService",
             budget_pb2_grpc.add_BudgetServiceServicer_to_server)),
            ("audit", edge.audit, ("tollgate.audit.v1.AuditService",
             audit_pb2_grpc.add_AuditServiceServicer_to_server),
             ("tollgate.audit.v1.AuditReceiptService",
             audit_pb2_grpc.add_AuditReceiptServiceServicer_to_server)),
            *(("router", router, ("tollgate.router.v1.RouterService",
             router_pb2_grpc.add_RouterServiceServicer_to_server)) for router in edge.routers),
        ):  # fmt: skip
            allow = {name: ANY_CALLER for name, _ in services}
            pairs = [(register, servicer) for _, register in services]
            address = await stack.enter_async_context(mesh.server(identity, allow, *pairs))
            addresses.setdefault(identity, []).append(address)
        config = EdgeApiConfig(
            tls=mesh.tls("edge-api"),
            api=ListenConfig(
                f"127.0.0.1:{port}", stop_seconds=3,
                header_seconds=header_seconds, write_seconds=write_seconds,
            ),
            metrics=MetricsConfig(f"127.0.0.1:{metrics_port}"),
            limits=limits or LimitsConfig(),
            cross_origin=CrossOriginConfig(origins),
            evidence=EvidenceConfig(durable_ms=durable_ms, lag_ms=lag_ms),
            settle=SettleConfig(stop_seconds=2),
            **{
                name: PeerConfig(tuple(addresses[name]), name, timeout_ms=2000)
                for name in ("authz", "budget", "router", "audit")
            },
        )  # fmt: skip
        edge.url, edge.metrics_url = f"http://127.0.0.1:{port}", f"http://127.0.0.1:{metrics_port}"
        log = Log("edge-api", out=edge.log)
        # As lifecycle.run does for a process; here the process is pytest's.
        root = logging.getLogger()
        stack.callback(setattr, root, "handlers", root.handlers)
        stack.callback(root.setLevel, root.level)
        capture_standard_library(log)
        serving = asyncio.ensure_future(api_role.serve(config, edge.life, log))
        stack.push_async_callback(edge.client.aclose)
        try:
            await _ready(edge, serving)
            yield edge
        finally:
            await edge.stop()
            await serving


async def _ready(edge: Edge, serving: "asyncio.Future[None]") -> None:
    async with asyncio.timeout(10):
        while True:
            if serving.done():
                serving.result()
            with contextlib.suppress(httpx.TransportError):
                if (await edge.client.get(f"{edge.url}/health/ready")).status_code == 200:
                    return
            await asyncio.sleep(0.02)
