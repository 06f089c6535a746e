"""How one sees that a process is up: the gRPC health service over mTLS, or an HTTP answer."""

import http.client
import json
import re
import socket
from collections.abc import Mapping
from typing import Any

import grpc
from grpc_health.v1 import health_pb2, health_pb2_grpc

from tollgate_cli import certificates
from tollgate_cli.certificates import SUFFIX, Identity

_TIMEOUT_S = 2.0
_PORT_MAX = 65535


def rpc_ready(address: str, identity: str, own: Identity) -> bool:
    """True once the service that proves `identity` at `address` says that it serves."""
    if certificates.broken(own.ca, own.cert, own.key):
        return False
    credentials = grpc.ssl_channel_credentials(
        own.ca.read_bytes(), own.key.read_bytes(), own.cert.read_bytes()
    )
    options = [("grpc.ssl_target_name_override", identity + SUFFIX)]
    with grpc.secure_channel(address, credentials, options=options) as channel:
        stub: Any = health_pb2_grpc.HealthStub(channel)
        try:
            answer = stub.Check(health_pb2.HealthCheckRequest(), timeout=_TIMEOUT_S)
        except grpc.RpcError:
            return False
    return bool(answer.status == health_pb2.HealthCheckResponse.SERVING)


def http_ready(address: str, path: str) -> bool:
    """True once GET `path` is answered with 200."""
    host, _, port = address.rpartition(":")
    connection = http.client.HTTPConnection(host, int(port), timeout=_TIMEOUT_S)
    try:
        connection.request("GET", path)
        return connection.getresponse().status == http.HTTPStatus.OK
    except (OSError, http.client.HTTPException):
        return False
    finally:
        connection.close()


def metric(address: str, name: str, *, label: str = "") -> float | None:
    """The first sample of a metric that a process serves, with that label if one is named.

    None: no answer, or no such metric.
    """
    host, _, port = address.rpartition(":")
    connection = http.client.HTTPConnection(host, int(port), timeout=_TIMEOUT_S)
    try:
        connection.request("GET", "/metrics")
        text = connection.getresponse().read().decode("utf-8", "replace")
        labels = rf"\{{[^\n]*{re.escape(label)}[^\n]*\}}"
        pattern = rf"^{re.escape(name)}(?:{labels}){'' if label else '?'} (\S+)$"
        found = re.search(pattern, text, re.MULTILINE)
        return float(found[1]) if found else None
    except (OSError, http.client.HTTPException, ValueError):
        return None
    finally:
        connection.close()


# A list holds what its caller can call on the protocol that it speaks.
_SPEAKING: Mapping[str, Mapping[str, str]] = {
    "openai": {},
    "anthropic": {"anthropic-version": "2023-06-01"},
}


class KeyRefused(Exception):  # noqa: N818 - it is what happened
    """Whoever holds the key may call nothing: it is revoked, or its tenant suspended."""


def models(address: str, key: str) -> set[str]:
    """The models that a key may call there, on any protocol; none while there is no answer.

    Raises KeyRefused.
    """
    return {model for said in _SPEAKING.values() for model in _models(address, key, said)}


def _models(address: str, key: str, said: Mapping[str, str]) -> set[str]:
    host, _, port = address.rpartition(":")
    connection = http.client.HTTPConnection(host, int(port), timeout=_TIMEOUT_S)
    try:
        headers = {"authorization": f"Bearer {key}", **said}
        connection.request("GET", "/v1/models", headers=headers)
        response = connection.getresponse()
        if response.status in (http.HTTPStatus.UNAUTHORIZED, http.HTTPStatus.FORBIDDEN):
            raise KeyRefused
        answer = json.load(response)
        return {str(model["id"]) for model in answer["data"]}
    except (OSError, http.client.HTTPException, ValueError, KeyError, TypeError):
        return set()
    finally:
        connection.close()


def is_address(value: object) -> bool:
    """True for the text host:port."""
    if not isinstance(value, str):
        return False
    host, _, port = value.rpartition(":")
    return bool(host) and port.isdecimal() and port.isascii() and 0 < int(port) <= _PORT_MAX


def listens(address: str) -> bool:
    """True once something accepts connections."""
    host, _, port = address.rpartition(":")
    try:
        with socket.create_connection((host, int(port)), timeout=_TIMEOUT_S):
            return True
    except OSError:
        return False
