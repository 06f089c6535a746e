"""Channels and calls to other services. Raises Failure, never grpc.RpcError."""

import time
from collections.abc import AsyncIterator, Callable
from functools import partial
from typing import Any

import grpc

from tollgate_kit.config import PeerConfig, TlsConfig
from tollgate_kit.metrics import Metrics
from tollgate_kit.rpc import errors as rpc_errors
from tollgate_kit.rpc.measures import RpcMeasures
from tollgate_kit.rpc.server import IDENTITY_SUFFIX, MESSAGE_BYTES_MAX

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
    return _channel(target, peer.identity, tls, (("grpc.lb_policy_name", "round_robin"),))


def open_replica_channel(peer: PeerConfig, address: str, tls: TlsConfig) -> grpc.aio.Channel:
    """A channel to one replica of a peer."""
    return _channel(address, peer.identity, tls, ())


def _channel(
    target: str, identity: str, tls: TlsConfig, extra: tuple[tuple[str, Any], ...]
) -> grpc.aio.Channel:
    credentials = grpc.ssl_channel_credentials(
        root_certificates=tls.ca.read_bytes(),
        private_key=tls.key.read_bytes(),
        certificate_chain=tls.cert.read_bytes(),
    )
    # The peer proves its role, not its address.
    name = (("grpc.ssl_target_name_override", identity + IDENTITY_SUFFIX),)
    return grpc.aio.secure_channel(target, credentials, options=CHANNEL_OPTIONS + name + extra)


class CountedChannel:
    """Given to a stub in place of its channel: counts the unary calls, by the stub's names."""

    def __init__(self, channel: grpc.aio.Channel, metrics: Metrics) -> None:
        self._channel = channel
        self._measures = RpcMeasures(metrics, "client")
        self.unary_stream = channel.unary_stream
        self.stream_stream = channel.stream_stream

    def unary_unary(self, path: str, **how: Any) -> Callable[..., Any]:
        rpc: Any = self._channel.unary_unary(path, **how)
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
