"""Channels and calls to other services. Raises Failure, never grpc.RpcError."""

import asyncio
import time
from collections.abc import AsyncIterator, Callable
from functools import partial
from typing import Any

import grpc

from tollgate_kit.config import PeerConfig, TlsConfig
from tollgate_kit.metrics import Metrics
from tollgate_kit.rpc import errors as rpc_errors
from tollgate_kit.rpc.failure import Failure
from tollgate_kit.rpc.identity import Identity
from tollgate_kit.rpc.measures import RpcMeasures
from tollgate_kit.rpc.server import IDENTITY_SUFFIX, MESSAGE_BYTES_MAX

# How often the files of the own certificate are looked at, and how long calls may take to end on a
# channel that showed another one.
LOOK_SECONDS = 1.0
RETIRE_SECONDS = 60.0
CHANNEL_OPTIONS: tuple[tuple[str, Any], ...] = (
    ("grpc.max_receive_message_length", MESSAGE_BYTES_MAX),
    ("grpc.max_send_message_length", MESSAGE_BYTES_MAX),
    ("grpc.keepalive_time_ms", 20_000),
    ("grpc.keepalive_timeout_ms", 5_000),
    ("grpc.keepalive_permit_without_calls", 1),
    ("grpc.http2.max_pings_without_data", 0),
    ("grpc.initial_reconnect_backoff_ms", 100),
    ("grpc.min_reconnect_backoff_ms", 100),
    ("grpc.max_reconnect_backoff_ms", 1_000),
    # Each channel has its own connection: a session must not share fate with another one.
    ("grpc.use_local_subchannel_pool", 1),
)


def open_channel(peer: PeerConfig, tls: TlsConfig) -> grpc.aio.Channel:
    """A channel over all replicas of a peer, round robin."""
    one = len(peer.addresses) == 1
    target = peer.addresses[0] if one else f"ipv4:{','.join(peer.addresses)}"
    extra = (("grpc.lb_policy_name", "round_robin"),)
    return _channel(target, peer.identity, Identity(tls), extra)


def open_replica_channel(peer: PeerConfig, address: str, own: Identity) -> grpc.aio.Channel:
    """A channel to one replica of a peer."""
    return _channel(address, peer.identity, own, ())


def _channel(
    target: str, identity: str, own: Identity, extra: tuple[tuple[str, Any], ...]
) -> grpc.aio.Channel:
    # The peer proves its role, not its address.
    name = (("grpc.ssl_target_name_override", identity + IDENTITY_SUFFIX),)
    options = CHANNEL_OPTIONS + name + extra
    return grpc.aio.secure_channel(target, own.for_channel(), options=options)


class CountedChannel:
    """Given to a stub in place of its channel: counts the unary calls, by the stub's names.

    When the files hold another certificate, calls go over a new channel, which shows it.
    """

    def __init__(self, peer: PeerConfig, tls: TlsConfig, metrics: Metrics) -> None:
        self._peer = peer
        self._tls = tls
        self._own = Identity(tls)
        self._measures = RpcMeasures(metrics, "client")
        self._channel = open_channel(peer, tls)
        self._look_at = time.monotonic() + LOOK_SECONDS
        self._retiring: set[asyncio.Task[None]] = set()

    async def close(self) -> None:
        for task in self._retiring:
            task.cancel()
        await self._channel.close()

    def unary_unary(self, path: str, **how: Any) -> Callable[..., Any]:
        rpc = self._newest("unary_unary", path, how)
        ended = partial(self._measures.ended, path[1:])

        async def counted(request: Any, *, timeout: float) -> Any:  # noqa: ASYNC109 - gRPC's name
            began = time.monotonic()
            code = "CANCELLED"
            try:
                answer = await rpc(request, timeout=timeout)
                code = "OK"
                return answer
            except grpc.aio.AioRpcError as error:
                code = error.code().name
                raise
            finally:
                ended(code, began)

        return counted

    def unary_stream(self, path: str, **how: Any) -> Callable[..., Any]:
        return self._newest("unary_stream", path, how)

    def stream_stream(self, path: str, **how: Any) -> Callable[..., Any]:
        return self._newest("stream_stream", path, how)

    def _newest(self, kind: str, path: str, how: dict[str, Any]) -> Callable[..., Any]:
        """Calls a method on the channel that is the newest then."""
        on: grpc.aio.Channel | None = None
        rpc: Any = None

        def begin(*request: Any, **options: Any) -> Any:
            nonlocal on, rpc
            channel = self._current()
            if channel is not on:
                on, rpc = channel, getattr(channel, kind)(path, **how)
            return rpc(*request, **options)

        return begin

    def _current(self) -> grpc.aio.Channel:
        now = time.monotonic()
        if now >= self._look_at:
            self._look_at = now + LOOK_SECONDS
            if self._own.is_new():
                closing = asyncio.get_running_loop().create_task(
                    self._channel.close(RETIRE_SECONDS)
                )
                self._retiring.add(closing)
                closing.add_done_callback(self._retiring.discard)
                self._channel = open_channel(self._peer, self._tls)
        return self._channel


async def call(rpc: Any, request: Any, timeout_s: float) -> Any:
    """Make a unary call with a deadline. Raises Failure."""
    try:
        return await rpc(request, timeout=timeout_s)
    except grpc.RpcError as error:
        raise rpc_errors.from_rpc_error(error) from None


async def stream(rpc: Any, request: Any, timeout_s: float | None) -> AsyncIterator[Any]:
    """Make a call with a stream of answers. Raises Failure."""
    try:
        async for answer in rpc(request, timeout=timeout_s):
            yield answer
    except grpc.RpcError as error:
        raise rpc_errors.from_rpc_error(error) from None
    except asyncio.CancelledError:
        task = asyncio.current_task()
        if task is None or task.cancelling():
            raise
        # Nobody cancelled this task: the call outlived its channel, which was retired.
        raise Failure(grpc.StatusCode.UNAVAILABLE, "SESSION_BROKEN") from None
