"""The gRPC server of a service: mutual TLS, allow-list, deadlines, errors, metrics, health.

An allow-list names, for each gRPC service, the identities that may call it; the identity is
the certificate's DNS name <identity>.tollgate.internal, nothing a caller can write itself.
Default deny: a service without a list answers nobody, and a list for a service that is not
served fails the start (letsencrypt/boulder's rule).
"""

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from typing import Any

import grpc
from grpc_health.v1 import health, health_pb2, health_pb2_grpc

from tollgate_kit.config import RpcConfig
from tollgate_kit.lifecycle import Readiness
from tollgate_kit.logs import Log
from tollgate_kit.metrics import Metrics
from tollgate_kit.rpc import errors as rpc_errors
from tollgate_kit.rpc.context import caller, set_caller
from tollgate_kit.rpc.failure import Failure, from_exception
from tollgate_kit.rpc.identity import Identity
from tollgate_kit.rpc.measures import UNKNOWN_METHOD, RpcMeasures

__all__ = ["IDENTITY_SUFFIX", "SERVER_OPTIONS", "RpcServer", "caller"]

IDENTITY_SUFFIX = ".tollgate.internal"
HEALTH_SERVICE = "grpc.health.v1.Health"
# A call that has less time left than this is refused at once: the caller that knows the
# story reports the time-out, not we after having begun (boulder's "not enough time left").
DEADLINE_SECONDS_MIN = 0.02
MESSAGE_BYTES_MAX = 40 * 1024 * 1024  # a 32 MB body and its frame
SERVER_OPTIONS: tuple[tuple[str, int], ...] = (
    ("grpc.max_receive_message_length", MESSAGE_BYTES_MAX),
    ("grpc.max_send_message_length", MESSAGE_BYTES_MAX),
    ("grpc.max_concurrent_streams", 1000),
    ("grpc.keepalive_time_ms", 20_000),
    ("grpc.keepalive_timeout_ms", 5_000),
    ("grpc.http2.min_ping_interval_without_data_ms", 5_000),
    ("grpc.keepalive_permit_without_calls", 1),
    ("grpc.so_reuseport", 0),
)
Behaviour = Callable[[Any, Any], Any]


class StartRefused(Exception):  # noqa: N818 - it is what happened
    """The server's configuration cannot be served."""


class RpcServer:
    """Collects servicers, then serves them until it is stopped."""

    def __init__(self, config: RpcConfig, *, metrics: Metrics, log: Log) -> None:
        self._config = config
        self._log = log
        self._guard = _Guard(config.allow, metrics, log)
        self._server = grpc.aio.server(interceptors=(self._guard,), options=SERVER_OPTIONS)
        self._health = health.aio.HealthServicer()
        self._telling: set[asyncio.Task[None]] = set()
        health_pb2_grpc.add_HealthServicer_to_server(self._health, self._server)

    def add(self, register: Callable[[Any, Any], None], servicer: object) -> None:
        """Serve a servicer; register is its generated add_XServicer_to_server."""
        register(servicer, _Names(self._server, self._guard.served))

    async def start(self) -> int:
        """Listen; the bound port. Raises StartRefused with every fault."""
        unknown = sorted(set(self._config.allow) - self._guard.served)
        if unknown:
            raise StartRefused(f"[rpc.allow] names services that are not served: {unknown}")
        credentials = Identity(self._config.tls).for_server()
        try:
            port = self._server.add_secure_port(self._config.listen, credentials)
        except RuntimeError as error:
            raise StartRefused(f"cannot listen on {self._config.listen}: port taken?") from error
        await self._server.start()
        return port

    async def set_ready(self, *, ready: bool) -> None:
        """What the health service answers."""
        state = health_pb2.HealthCheckResponse
        await self._health.set("", state.SERVING if ready else state.NOT_SERVING)

    def follow(self, readiness: Readiness) -> None:
        """Answer the health service with what readiness says, from now on; the process lives on."""

        def tell(is_ready: bool) -> None:  # noqa: FBT001 - what readiness calls
            telling = asyncio.get_running_loop().create_task(self.set_ready(ready=is_ready))
            self._telling.add(telling)
            telling.add_done_callback(self._telling.discard)

        readiness.follow(tell)

    async def stop(self, grace_s: float = 10.0) -> None:
        """Take no new calls, let those in flight finish for at most that long."""
        await self._health.enter_graceful_shutdown()
        await self._server.stop(grace_s)


class _Names:
    """Stands in for the server at registration, to learn which services are served."""

    def __init__(self, server: grpc.aio.Server, served: set[str]) -> None:
        self._server = server
        self._served = served

    def add_generic_rpc_handlers(self, handlers: tuple[grpc.GenericRpcHandler, ...]) -> None:
        for handler in handlers:
            assert isinstance(handler, grpc.ServiceRpcHandler)
            self._served.add(handler.service_name())
        self._server.add_generic_rpc_handlers(handlers)

    def add_registered_method_handlers(self, service: str, handlers: Mapping[str, Any]) -> None:
        self._served.add(service)
        self._server.add_registered_method_handlers(service, handlers)


class _Guard(grpc.aio.ServerInterceptor):
    """Around every handler: metrics, then the allow-list, then the deadline, then errors."""

    def __init__(self, allow: Mapping[str, tuple[str, ...]], metrics: Metrics, log: Log) -> None:
        self._allow = {service: frozenset(callers) for service, callers in allow.items()}
        self._log = log
        self.served: set[str] = set()
        self._measures = RpcMeasures(metrics, "server")

    async def intercept_service(
        self,
        continuation: Callable[[grpc.HandlerCallDetails], Awaitable[Any]],
        details: grpc.HandlerCallDetails,
    ) -> Any:
        handler = await continuation(details)
        if handler is None:
            self._measures.ended(UNKNOWN_METHOD, "UNIMPLEMENTED", time.monotonic())
            return None
        method = details.method[1:]
        wrap = self._wrap_stream if handler.response_streaming else self._wrap_unary
        make = {
            (False, False): grpc.unary_unary_rpc_method_handler,
            (False, True): grpc.unary_stream_rpc_method_handler,
            (True, True): grpc.stream_stream_rpc_method_handler,
        }[handler.request_streaming, handler.response_streaming]
        inner = handler.unary_unary or handler.unary_stream or handler.stream_stream
        return make(
            wrap(method, inner),
            request_deserializer=handler.request_deserializer,
            response_serializer=handler.response_serializer,
        )

    def _admit(self, method: str, context: Any) -> None:
        service = method.partition("/")[0]
        identity = _identity(context.auth_context())
        if service != HEALTH_SERVICE and identity not in self._allow.get(service, frozenset()):
            self._log.warning("rpc.caller_refused", method=method, caller=identity)
            raise Failure(grpc.StatusCode.PERMISSION_DENIED, "CALLER_NOT_ALLOWED")
        set_caller(identity)
        left = context.time_remaining()
        if left is not None and left < DEADLINE_SECONDS_MIN:
            raise Failure(grpc.StatusCode.DEADLINE_EXCEEDED, "DEADLINE_TOO_SHORT")

    @contextlib.asynccontextmanager
    async def _handling(self, method: str, context: Any) -> AsyncIterator[None]:
        """Around one RPC: admit it, tell its caller how it failed, count its end."""
        began = time.monotonic()
        code = "OK"
        try:
            self._admit(method, context)
            yield
        except asyncio.CancelledError:
            code = "CANCELLED"
            raise
        except Exception as error:  # noqa: BLE001 - classified below
            failure = from_exception(error, method, self._log)
            code = failure.code.name
            await context.abort(failure.code, failure.reason, rpc_errors.to_trailers(failure))
        finally:
            self._measures.ended(method, code, began)

    def _wrap_unary(self, method: str, inner: Behaviour) -> Behaviour:
        async def handle(request: Any, context: Any) -> Any:
            async with self._handling(method, context):
                return await inner(request, context)

        return handle

    def _wrap_stream(self, method: str, inner: Behaviour) -> Behaviour:
        async def handle(request: Any, context: Any) -> None:
            async with self._handling(method, context):
                answers = inner(request, context)
                if hasattr(answers, "__aiter__"):
                    async for answer in answers:
                        await context.write(answer)
                else:
                    await answers

        return handle


def _identity(auth: Mapping[str, Any]) -> str:
    """The caller's name from its verified certificate; empty when there is none of ours."""
    for san in auth.get("x509_subject_alternative_name", ()):
        name: str = san.decode("ascii", "replace")
        if name.endswith(IDENTITY_SUFFIX):
            return name.removesuffix(IDENTITY_SUFFIX)
    return ""
