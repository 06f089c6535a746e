"""Failure ⇄ google.rpc.Status with one ErrorInfo. The only user of google.rpc."""

from typing import Any

import grpc
from google.protobuf import any_pb2
from google.rpc import error_details_pb2, status_pb2

from tollgate_kit.rpc.failure import DOMAIN, Failure, deadline_exceeded, from_wire

_STATUS_KEY = "grpc-status-details-bin"
_BARE = {
    grpc.StatusCode.UNAVAILABLE: "SESSION_BROKEN",
    grpc.StatusCode.CANCELLED: "SESSION_BROKEN",
    grpc.StatusCode.PERMISSION_DENIED: "CALLER_NOT_ALLOWED",
    grpc.StatusCode.RESOURCE_EXHAUSTED: "OVERLOADED",
}


def to_trailers(failure: Failure) -> tuple[tuple[str, str | bytes], ...]:
    """Trailing metadata that carries the failure (the google.rpc.Status of grpc-status)."""
    detail = any_pb2.Any()
    detail.Pack(
        error_details_pb2.ErrorInfo(reason=failure.reason, domain=DOMAIN, metadata=failure.metadata)
    )
    status = status_pb2.Status(code=failure.code.value[0], message=failure.reason, details=[detail])
    return ((_STATUS_KEY, status.SerializeToString()),)


def from_rpc_error(error: grpc.RpcError) -> Failure:
    """The failure that a peer's error stands for; its free text is dropped."""
    if not isinstance(error, grpc.aio.AioRpcError):
        return Failure(grpc.StatusCode.UNKNOWN, "INTERNAL")
    code = error.code()
    trailers: Any = error.trailing_metadata()
    for key, value in trailers or ():
        if key == _STATUS_KEY and isinstance(value, bytes):
            status = status_pb2.Status.FromString(value)
            for detail in status.details:
                info = error_details_pb2.ErrorInfo()
                if detail.Unpack(info) and info.domain == DOMAIN:
                    return from_wire(code.value[0], info.reason, dict(info.metadata))
    if code is grpc.StatusCode.DEADLINE_EXCEEDED:
        return deadline_exceeded()
    return Failure(code, _BARE.get(code, "INTERNAL"))
