"""RouterService: verifies the reservation, then lets the executor make the call."""

import asyncio
import contextlib
from collections.abc import AsyncGenerator, AsyncIterator
from functools import partial
from typing import Any, NamedTuple

from google.protobuf.message import DecodeError

from tollgate.budget.v1 import budget_pb2
from tollgate.router.v1 import router_pb2, router_pb2_grpc
from tollgate_dialects.conversation.translation import NO_TRANSLATION
from tollgate_dialects.dialect import Dialect
from tollgate_dialects.pricing import bound as bounds
from tollgate_dialects.pricing.bound import worst_case
from tollgate_dialects.pricing.price import Price
from tollgate_dialects.pricing.priced import at_price, without_searches
from tollgate_dialects.registry import DIALECTS
from tollgate_dialects.request import close_bound
from tollgate_dialects.request import request as requests
from tollgate_dialects.request.rules import RequestFacts, RequestRules
from tollgate_dialects.tokens.calibration import Calibration
from tollgate_dialects.upstreams import at_upstreams
from tollgate_kit.clock import Clock
from tollgate_kit.hmac_key import HmacKeys
from tollgate_kit.logs import Log
from tollgate_kit.metrics import Metrics
from tollgate_kit.rpc.failure import Failure, invalid_field, overloaded
from tollgate_kit.rpc.session_server import SessionServer
from tollgate_router import messages, reservation
from tollgate_router.call import Account, UpstreamCall
from tollgate_router.execute import Executor
from tollgate_router.providers.catalogue import ListedModel
from tollgate_router.providers.catalogue_watch import CatalogueWatch
from tollgate_router.reservation import Claims, TokenDenial, UsedReservations
from tollgate_router.stored.requests import Asker, StoredRequests
from tollgate_router.stored.response import Denial

TRACE_ID_MAX = 128
OUTPUT_TOKENS_MAX = 100_000_000
# Its tokens are counted in under a millisecond.
LARGE_TEXT_BYTES = 8 * 1024


class _Read(NamedTuple):
    """A call whose token and body were read, and what they are worth was not yet."""

    dialect: Dialect
    claims: Claims
    price: Price
    asked: RequestFacts
    # Each look at a message's bytes copies them.
    body: bytes
    # What can be called of the model; None: nothing any more.
    listed: ListedModel | None
    # Who keeps what it goes on from.
    account: Account | None = None


class RouterServicer(router_pb2_grpc.RouterServiceServicer):
    """Serves edges; no call is made before `_claims` took its token."""

    def __init__(
        self,
        *,
        executor: Executor,
        watch: CatalogueWatch,
        reservations: UsedReservations,
        signers: HmacKeys,
        publishers: dict[str, str],
        stored: StoredRequests,
        clock: Clock,
        log: Log,
        metrics: Metrics,
    ) -> None:
        self._executor = executor
        self._watch = watch
        self._reservations = reservations
        self._signers = signers
        self._publishers = publishers
        self._stored = stored
        self._clock = clock
        self._log = log
        self._refused = metrics.counter(
            "reservations_refused_total", "Calls refused for their token.", ("why",)
        )
        # One long text at a time: the loop shares the interpreter with one thread at most.
        self._counting = asyncio.Lock()
        self._sessions = SessionServer(
            self,
            router_pb2.DESCRIPTOR.services_by_name["RouterService"],
            router_pb2.SessionResponse,
            metrics=metrics,
            log=log,
        )

    def Execute(
        self, request: router_pb2.ExecuteRequest, context: Any
    ) -> AsyncIterator[router_pb2.ExecuteResponse]:
        """One model call; see the proto for the order of parts.

        The executor's generator itself is returned, so that closing it is closing the call.
        """
        del context
        read = self._read(request)
        return self._run_on(request, read) if read.asked.previous_id else self._run(request, read)

    async def ListModels(
        self, request: router_pb2.ListModelsRequest, context: Any
    ) -> router_pb2.ListModelsResponse:
        """What can be called now, with prices."""
        del context
        snapshot = self._watch.snapshot
        if 0 < snapshot.revision <= request.if_newer_than_revision:
            return router_pb2.ListModelsResponse(revision=snapshot.revision)
        return router_pb2.ListModelsResponse(
            revision=snapshot.revision,
            models=[
                messages.model_message(listed, owned_by=self._publishers.get(listed.model, ""))
                for listed in snapshot.models
            ],
        )

    async def FindStored(
        self, request: router_pb2.FindStoredRequest, context: Any
    ) -> router_pb2.FindStoredResponse:
        """What a call has to read that goes on from a response."""
        del context
        found = await self._stored.goes_on(
            request.tenant_id, request.response_id, request.model, request.allowed_models
        )
        if isinstance(found, Denial):
            return router_pb2.FindStoredResponse(denial=messages.DENIALS[found])
        return router_pb2.FindStoredResponse(context_tokens=found.context_tokens)

    async def AskStored(
        self, request: router_pb2.AskStoredRequest, context: Any
    ) -> router_pb2.AskStoredResponse:
        """What the upstream says of a response that it keeps."""
        del context
        action = messages.ACTIONS.get(request.action)
        if action is None:
            raise invalid_field("action")
        if not 0 < len(request.trace_id) <= TRACE_ID_MAX:
            raise invalid_field("trace_id")
        asker = Asker(request.tenant_id, request.key_id, request.allowed_models, request.trace_id)
        return messages.asked(
            await self._stored.ask(asker, request.response_id, action, request.query)
        )

    def Session(self, request_iterator: Any, context: Any) -> Any:
        """Execute calls, coalesced."""
        return self._sessions.serve(request_iterator, context)

    async def drain(self, seconds: float) -> None:
        """Take no new calls in sessions and wait for those in flight."""
        await self._sessions.drain(seconds)

    def _read(self, request: router_pb2.ExecuteRequest) -> _Read:
        protocol = messages.PROTOCOLS.get(request.client_protocol)
        if protocol is None or protocol not in DIALECTS:
            raise invalid_field("client_protocol")
        dialect = DIALECTS[protocol]
        if not 0 < len(request.trace_id) <= TRACE_ID_MAX:
            raise invalid_field("trace_id")
        if not 0 <= request.max_output_tokens <= OUTPUT_TOKENS_MAX:
            raise invalid_field("max_output_tokens")
        body = request.body
        if not body:
            raise invalid_field("body")
        claims = self._claims(request)
        snapshot = self._watch.snapshot
        price = snapshot.price(claims.model, request.price_version)
        if price is None:
            raise invalid_field("price_version")
        asked = _asked(request, body, dialect.request)
        listed = snapshot.listed(claims.model)
        try:
            asked = at_price(
                asked, price, is_spoken=listed is not None and protocol in listed.protocols
            )
            asked = at_upstreams(asked, dialect, listed.upstreams if listed else ())
        except requests.BadRequest:
            raise invalid_field("body") from None
        if request.without_searches:
            asked = without_searches(asked)
        return _Read(dialect, claims, price, asked, body, listed)

    def _calibration(self, request: router_pb2.ExecuteRequest, read: _Read) -> Calibration | None:
        """What to count the input by; None: its bytes are covered, or no count would cover it."""
        claims, price = read.claims, read.price
        calibration = read.listed.calibration if read.listed else None
        if calibration is None or not bounds.is_worth_counting(read.asked, price):
            return None
        most = read.asked
        if self._watch.snapshot.is_translated(read.dialect.protocol, claims.model):
            most = most.translated()
        bound = worst_case(most, price, output_cap=request.max_output_tokens or None)
        refusal = reservation.check_bound(claims, bound, price_version=request.price_version)
        return None if refusal is None else calibration

    def _run(
        self, request: router_pb2.ExecuteRequest, read: _Read
    ) -> AsyncGenerator[router_pb2.ExecuteResponse, None]:
        calibration = self._calibration(request, read)
        if calibration is None:
            return self._executor.run(self._call(request, read))
        return self._run_counted(request, read, calibration)

    async def _run_on(
        self, request: router_pb2.ExecuteRequest, read: _Read
    ) -> AsyncGenerator[router_pb2.ExecuteResponse, None]:
        """A call that goes on from a response: the edge has looked it up, and is not believed."""
        claims, previous_id = read.claims, read.asked.previous_id
        found = await self._stored.goes_on(claims.tenant_id, previous_id, claims.model)
        if isinstance(found, Denial):
            yield messages.not_found_any_more(previous_id, claims.price_version)
            return
        asked = read.asked.going_on(found.context_tokens)
        run = self._run(request, read._replace(asked=asked, account=found.account))
        async with contextlib.aclosing(run) as parts:
            async for part in parts:
                yield part

    async def _run_counted(
        self, request: router_pb2.ExecuteRequest, read: _Read, calibration: Calibration
    ) -> AsyncGenerator[router_pb2.ExecuteResponse, None]:
        """A call that was granted by a count of its tokens: they are counted again."""
        count = partial(close_bound.count, read.body, read.dialect.request, calibration)
        if len(read.body) <= LARGE_TEXT_BYTES:
            close = count()
        else:
            async with self._counting:
                close = await asyncio.to_thread(count)
        call = self._call(request, read._replace(asked=close.of(read.asked)))
        async with contextlib.aclosing(self._executor.run(call)) as parts:
            async for part in parts:
                yield part

    def _call(self, request: router_pb2.ExecuteRequest, read: _Read) -> UpstreamCall:
        dialect, claims, price, asked, body, _, account = read
        # The most that the call may cost, worked out from its body: an edge is not believed.
        bound = worst_case(asked, price, output_cap=request.max_output_tokens or None)
        refusal = reservation.check_bound(claims, bound, price_version=request.price_version)
        if refusal is not None:
            raise self._refuse(request, refusal)
        may_be_translated = (
            account is None
            and dialect.translation is not NO_TRANSLATION
            and self._watch.snapshot.is_translated(dialect.protocol, claims.model)
            and _covers_translation(claims, asked, price, request)
        )
        refusal = self._reservations.admit(claims, trace_id=request.trace_id)
        if refusal is not None:
            raise self._refuse(request, refusal)
        return UpstreamCall(
            trace_id=request.trace_id,
            reservation_id=claims.reservation_id,
            dialect=dialect,
            model=claims.model,
            asked=asked,
            max_output_tokens=bound.sent_max_output_tokens,
            price=price,
            reserved_nano_usd=claims.amount_nano_usd,
            may_be_translated=may_be_translated,
            body=body,
            protocol_headers=request.protocol_headers,
            began=self._clock.monotonic(),
            created_s=self._clock.unix_ms() // 1000,
            tenant_id=claims.tenant_id,
            client_key_id=request.key_id,
            account=account,
        )

    def _claims(self, request: router_pb2.ExecuteRequest) -> Claims:
        """What budget granted for this call. Raises RESERVATION_REFUSED, or OVERLOADED."""
        if not request.reservation_token:
            raise self._refuse(request, TokenDenial.MISSING)
        try:
            token = budget_pb2.ReservationToken.FromString(request.reservation_token)
            if not self._signers.match(token.claims, token.mac):
                raise self._refuse(request, TokenDenial.FORGED)
            granted = budget_pb2.ReservationClaims.FromString(token.claims)
        except DecodeError:
            raise self._refuse(request, TokenDenial.FORGED) from None
        claims = Claims(
            granted.reservation_id,
            granted.tenant_id,
            granted.model,
            granted.amount_nano_usd,
            granted.expire_unix_ms,
            granted.input_tokens,
            granted.max_output_tokens,
            granted.price_version,
        )
        now_unix_ms = self._clock.unix_ms()
        refusal = reservation.check(
            claims, tenant_id=request.tenant_id, model=request.model, now_unix_ms=now_unix_ms
        )
        if refusal is not None:
            raise self._refuse(request, refusal)
        if self._reservations.full(now_unix_ms=now_unix_ms) or self._executor.full:
            raise overloaded("router")
        return claims

    def _refuse(self, request: router_pb2.ExecuteRequest, refusal: TokenDenial) -> Failure:
        self._refused.labels(refusal.value).inc()
        self._log.warning(
            "reservation.refused", trace_id=request.trace_id[:TRACE_ID_MAX], why=refusal.value
        )
        return messages.reservation_refused()


def _covers_translation(
    claims: Claims, asked: RequestFacts, price: Price, request: router_pb2.ExecuteRequest
) -> bool:
    """Whether what was granted covers the call at an upstream of another protocol, too."""
    bound = worst_case(asked.translated(), price, output_cap=request.max_output_tokens or None)
    price_version = request.price_version
    return reservation.check_bound(claims, bound, price_version=price_version) is None


def _asked(request: router_pb2.ExecuteRequest, body: bytes, rules: RequestRules) -> RequestFacts:
    """Read the body. Raises INVALID_FIELD if the request's own fields contradict it."""
    try:
        told = rules.told(request.model, stream=request.stream)
        asked = requests.read(body, rules, told)
    except requests.BadRequest:
        raise invalid_field("body") from None
    if asked.stream is not request.stream:
        raise invalid_field("stream")
    if asked.wants_usage is not request.client_wants_usage:
        raise invalid_field("client_wants_usage")
    return asked
