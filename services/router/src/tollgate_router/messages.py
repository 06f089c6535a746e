"""Between the wire and the core: protobuf messages to values and back. No decisions here."""

import grpc
from google.protobuf.duration_pb2 import Duration
from google.protobuf.timestamp_pb2 import Timestamp

from tollgate.router.v1 import router_pb2
from tollgate_dialects.common.protocol import Protocol
from tollgate_dialects.openai_responses import ids, stored
from tollgate_dialects.pricing.price import PRICE_FIELDS, Price
from tollgate_dialects.pricing.usage import UsageSource
from tollgate_kit.rpc.failure import Failure
from tollgate_router.attempts import NotOpened
from tollgate_router.call import UpstreamCall
from tollgate_router.charge import Charge, EndReason
from tollgate_router.providers.catalogue import ListedModel, Provider
from tollgate_router.stored.response import Denial

PROTOCOLS: dict[router_pb2.ClientProtocol.ValueType, Protocol] = {
    router_pb2.ClientProtocol.Value(f"CLIENT_PROTOCOL_{protocol.name}"): protocol
    for protocol in Protocol
}
_PROTOCOL_NUMBERS = {protocol: number for number, protocol in PROTOCOLS.items()}
_REASONS = {reason: getattr(router_pb2, f"END_REASON_{reason.name}") for reason in EndReason}
_SOURCES = {source: getattr(router_pb2, f"USAGE_SOURCE_{source.name}") for source in UsageSource}

DENIALS = {denial: getattr(router_pb2, f"STORED_DENIAL_{denial.name}") for denial in Denial}
ACTIONS: dict[int, stored.Action] = {
    getattr(router_pb2, f"STORED_ACTION_{name.upper()}"): action
    for name, action in stored.ACTIONS.items()
}


def route(call: UpstreamCall) -> router_pb2.Route | None:
    """Who answered, or was tried last; None when nobody was contacted."""
    if call.candidate is None:
        return None
    return router_pb2.Route(
        provider=call.candidate.provider,
        upstream_model=call.candidate.upstream_model,
        provider_key_id=call.candidate.key_id,
        attempt=call.attempts,
    )


def end(
    call: UpstreamCall, reason: EndReason, charge: Charge, failure: NotOpened | None = None
) -> router_pb2.End:
    """How a call ended, what it used and costs."""
    message = router_pb2.End(
        reason=_REASONS[reason],
        usage=router_pb2.Usage(**charge.usage.fields()),
        cost_nano_usd=charge.cost_nano_usd,
        usage_source=_SOURCES[charge.source],
        price_version=call.price.version,
        attempts=call.attempts,
        is_unknown=charge.is_unknown,
    )
    if failure is not None:
        message.upstream_error.CopyFrom(_upstream_error(failure))
    return message


def head(call: UpstreamCall, status: int) -> router_pb2.Head:
    """The head of an answer; the type is the protocol's, whatever the upstream calls it."""
    return router_pb2.Head(
        http_status=status,
        content_type="text/event-stream" if call.asked.stream else "application/json",
        dropped=sorted(call.dropped),
    )


def reservation_refused() -> Failure:
    """The token opens nothing; which rule it broke is in the log only."""
    return Failure(grpc.StatusCode.PERMISSION_DENIED, "RESERVATION_REFUSED")


def not_opened(
    call: UpstreamCall, failure: NotOpened, charge: Charge
) -> router_pb2.ExecuteResponse:
    """The only message of a call without an answer."""
    told = None if failure.reason is EndReason.NO_ROUTE else failure
    return router_pb2.ExecuteResponse(
        route=route(call), end=end(call, failure.reason, charge, told)
    )


def _upstream_error(failure: NotOpened) -> router_pb2.UpstreamError:
    wait_ms = failure.retry_after_ms
    return router_pb2.UpstreamError(
        http_status=failure.http_status,
        scrubbed_message=failure.message,
        code=failure.code,
        param=failure.param,
        retry_after=None
        if wait_ms is None
        else Duration(seconds=wait_ms // 1000, nanos=wait_ms % 1000 * 1_000_000),
    )


def not_found_any_more(response_id: str, price_version: int) -> router_pb2.ExecuteResponse:
    """The only message of a call whose response was found by the edge, and not here."""
    bad = ids.previous_not_found(response_id)
    return router_pb2.ExecuteResponse(
        end=router_pb2.End(
            reason=router_pb2.END_REASON_UPSTREAM_ERROR,
            usage_source=router_pb2.USAGE_SOURCE_NONE,
            price_version=price_version,
            upstream_error=router_pb2.UpstreamError(
                http_status=400, scrubbed_message=bad.message, code=bad.code, param=bad.param
            ),
        )
    )


def asked(answer: bytes | NotOpened | Denial) -> router_pb2.AskStoredResponse:
    """What came of a request about a stored response."""
    if isinstance(answer, Denial):
        return router_pb2.AskStoredResponse(denial=DENIALS[answer])
    if isinstance(answer, NotOpened):
        return router_pb2.AskStoredResponse(
            reason=_REASONS[answer.reason], upstream_error=_upstream_error(answer)
        )
    return router_pb2.AskStoredResponse(data=answer, reason=router_pb2.END_REASON_COMPLETED)


def price_message(price: Price) -> router_pb2.Price:
    """A price version on the wire."""
    return router_pb2.Price(**price.fields())


def price_from(message: router_pb2.Price, *, version: int, source: str) -> Price:
    """A price from the wire. Raises ValueError naming the field that makes no sense."""
    values = {name: getattr(message, name) for name in PRICE_FIELDS}
    return Price.of(**(values | {"version": version, "source": source}))


def provider_message(provider: Provider) -> router_pb2.Provider:
    """A provider without its encrypted keys."""
    return router_pb2.Provider(
        name=provider.name,
        protocol=_PROTOCOL_NUMBERS[provider.protocol],
        base_url=provider.base_url,
        models=[
            router_pb2.ProviderModel(model=served.model, upstream_model=served.upstream_model)
            for served in provider.models
        ],
        enabled=provider.enabled,
        key_ids=[key.key_id for key in provider.keys],
        without_include_usage=provider.without_include_usage,
    )


def model_message(listed: ListedModel, *, owned_by: str) -> router_pb2.Model:
    """A model that can be called."""
    born = Timestamp()
    born.FromMilliseconds(listed.create_unix_ms)
    return router_pb2.Model(
        model=listed.model,
        protocols=[_PROTOCOL_NUMBERS[protocol] for protocol in listed.protocols],
        price=price_message(listed.price),
        display_name=listed.model,
        owned_by=owned_by,
        create_time=born,
        calibration=listed.calibration.word if listed.calibration else "",
        upstreams=[
            router_pb2.ModelUpstream(
                protocol=_PROTOCOL_NUMBERS[each.words], upstream_model=each.model
            )
            for each in listed.upstreams
        ],
    )
