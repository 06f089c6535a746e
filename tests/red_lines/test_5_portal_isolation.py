"""Red line 5: identities, not networks, decide who may call what.

The matrix is made from the descriptors, so that a new RPC is in it on the day it is written.
"""

import grpc
import pytest
from google.protobuf.message_factory import GetMessageClass

from tests.live import Live
from tollgate.audit.v1 import audit_pb2
from tollgate.authz.v1 import authz_pb2
from tollgate.budget.v1 import budget_pb2
from tollgate.router.v1 import router_pb2

SERVICES = {
    "authz": authz_pb2.DESCRIPTOR,
    "budget": budget_pb2.DESCRIPTOR,
    "router": router_pb2.DESCRIPTOR,
    "audit": audit_pb2.DESCRIPTOR,
}
IDENTITIES = (
    "authz", "budget", "router", "audit", "edge-api", "edge-portal", "edge-console", "operator",
)  # fmt: skip
# Who may call what: the promise, written a second time on purpose.
MAY = {
    "tollgate.authz.v1.AuthzService": {"edge-api"},
    "tollgate.authz.v1.AuthzAdminService": {"operator"},
    "tollgate.budget.v1.BudgetService": {"edge-api"},
    "tollgate.budget.v1.BudgetReadService": {"operator"},
    "tollgate.budget.v1.BudgetAdminService": {"operator"},
    "tollgate.router.v1.RouterService": {"edge-api"},
    "tollgate.router.v1.RouterAdminService": {"operator"},
    "tollgate.audit.v1.AuditService": set(IDENTITIES) - {"audit", "operator"},
    "tollgate.audit.v1.AuditReceiptService": {"edge-api"},
    "tollgate.audit.v1.AuditReadService": {"operator"},
}
METHODS = [
    (where, service.full_name, method)
    for where, file in SERVICES.items()
    for service in file.services_by_name.values()
    for method in service.methods
]


def call(channel: grpc.Channel, service: str, method) -> grpc.StatusCode:
    """The status of an empty call of a method."""
    path = f"/{service}/{method.name}"
    request = GetMessageClass(method.input_type)()
    make = {
        (False, False): channel.unary_unary,
        (False, True): channel.unary_stream,
        (True, True): channel.stream_stream,
    }[method.client_streaming, method.server_streaming]
    rpc = make(
        path,
        request_serializer=lambda m: m.SerializeToString(),
        response_deserializer=GetMessageClass(method.output_type).FromString,
    )
    given = iter([request]) if method.client_streaming else request
    try:
        answer = rpc(given, timeout=3)
        if method.server_streaming:
            next(answer, None)
            answer.cancel()
    except grpc.RpcError as error:
        return error.code()
    return grpc.StatusCode.OK


def test_every_service_has_a_promise():
    """A gRPC service that nobody listed here fails this test before it ships."""
    assert set(MAY) == {service for _, service, _ in METHODS}


@pytest.mark.parametrize("identity", IDENTITIES)
def test_trust_45_no_identity_can_call_what_is_not_its_own(live: Live, identity: str):
    """Every RPC of the suite, tried with this certificate, is refused unless listed."""
    for where, service, method in METHODS:
        if identity not in MAY[service]:
            code = call(live.channel(identity, where), service, method)
            assert (service, method.name, grpc.StatusCode.PERMISSION_DENIED) == (
                service, method.name, code,
            )  # fmt: skip


def test_trust_45_the_api_certificate_reaches_no_admin_rpc(live: Live):
    """The acceptance line by itself: edge-api gets PERMISSION_DENIED from each admin RPC."""
    admin = [(w, s, m) for w, s, m in METHODS if "Admin" in s or "Read" in s]
    codes = {call(live.channel("edge-api", w), s, m) for w, s, m in admin}
    assert (True, {grpc.StatusCode.PERMISSION_DENIED}) == (len(admin) > 15, codes)


@pytest.mark.parametrize("identity", ["edge-portal", "edge-console"])
def test_trust_30_a_portal_process_cannot_call_an_operator_rpc(live: Live, identity: str):
    """As far as built: the portals' certificates open no admin and no data plane."""
    for where, service, method in METHODS:
        if service != "tollgate.audit.v1.AuditService":
            assert grpc.StatusCode.PERMISSION_DENIED == call(
                live.channel(identity, where), service, method
            )


@pytest.mark.parametrize("where", SERVICES)
def test_trust_60_reflection_is_off_and_identity_is_not_metadata(live: Live, where: str):
    """No reflection, and metadata that claims to be the operator changes nothing."""
    channel = live.channel("edge-portal", where)
    reflect = channel.stream_stream(
        "/grpc.reflection.v1alpha.ServerReflection/ServerReflectionInfo",
        request_serializer=lambda b: b,
        response_deserializer=lambda b: b,
    )
    with pytest.raises(grpc.RpcError) as caught:
        next(reflect(iter([b""]), timeout=3))
    assert grpc.StatusCode.UNIMPLEMENTED == caught.value.code()
    service = next(s for w, s, _ in METHODS if w == where and ("Admin" in s or "Read" in s))
    method = next(m for _, s, m in METHODS if s == service)
    rpc = channel.unary_unary(
        f"/{service}/{method.name}",
        request_serializer=lambda m: m.SerializeToString(),
        response_deserializer=lambda b: b,
    )
    spoof = (
        ("x-caller", "operator"),
        ("x509_common_name", "operator"),
        ("authorization", "operator"),
    )
    with pytest.raises(grpc.RpcError) as caught:
        rpc(GetMessageClass(method.input_type)(), timeout=3, metadata=spoof)
    assert grpc.StatusCode.PERMISSION_DENIED == caught.value.code()


@pytest.mark.parametrize("where", SERVICES)
def test_trust_60_an_oversized_message_is_refused(live: Live, where: str):
    """A message over the bound is refused, and the service lives on."""
    channel = live.channel("edge-api", where)
    rpc = channel.unary_unary(
        f"/{next(s for w, s, _ in METHODS if w == where)}/X",
        request_serializer=lambda b: b,
        response_deserializer=lambda b: b,
    )
    with pytest.raises(grpc.RpcError) as caught:
        rpc(b"\x00" * (64 * 1024 * 1024), timeout=10)
    assert caught.value.code() in (
        grpc.StatusCode.RESOURCE_EXHAUSTED, grpc.StatusCode.UNIMPLEMENTED,
    )  # fmt: skip
    assert live.suite.pid(where)
