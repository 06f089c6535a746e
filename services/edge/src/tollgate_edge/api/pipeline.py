"""THE order of a call, readable from top to bottom.

Promises: nothing reaches an upstream unreserved or unrecorded; no byte of an answer leaves before
its admission is durable, and not the last before its end is; every reservation ends once, whatever
the client, router or this process do. What a step knows how to do lives in that step's module.
"""

import contextlib
import dataclasses
from typing import Any

from tollgate.router.v1 import router_pb2
from tollgate_dialects.pricing import bound as bounds
from tollgate_dialects.request import request as requests
from tollgate_dialects.request import rewrite
from tollgate_edge.api import bounding
from tollgate_edge.api.admission import NOT_RECORDED, Admission
from tollgate_edge.api.call import outcome
from tollgate_edge.api.call.answer import Answer, StreamAnswer, UnaryAnswer
from tollgate_edge.api.call.call import Call
from tollgate_edge.api.call.call_evidence import CallEvidence, PendingEntry
from tollgate_edge.api.call.execution import Execution
from tollgate_edge.api.call.ledger import Ledger, Reservation
from tollgate_edge.api.catalogue import WIRE_PROTOCOLS, Catalogue, Model
from tollgate_edge.api.exchange import Exchange
from tollgate_edge.api.observation import Observation
from tollgate_edge.api.request_reader import ReaderLost, RequestReader
from tollgate_edge.api.stored_responses import StoredResponses
from tollgate_edge.config import LimitsConfig
from tollgate_edge.errors import public_errors
from tollgate_edge.errors.public_errors import Refusal
from tollgate_edge.headers import client_address
from tollgate_edge.headers.answer_headers import Facts
from tollgate_edge.identity.identity import Identity, KeyGrant
from tollgate_edge.limits.fair_shares import Held
from tollgate_edge.limits.pace import Pace
from tollgate_kit.clock import Clock
from tollgate_kit.logs import Log
from tollgate_kit.rpc.failure import Failure
from tollgate_kit.rpc.session_client import SessionPool

# Those who ask are no clients, even if they share an address with some.
PROBES = frozenset(("/health/live", "/health/ready"))


class Pipeline:
    """Takes every call through the same steps."""

    def __init__(
        self,
        *,
        identity: Identity,
        admission: Admission,
        reader: RequestReader,
        catalogue: Catalogue,
        ledger: Ledger,
        router: SessionPool,
        responses: StoredResponses,
        evidence: CallEvidence,
        limits: LimitsConfig,
        observation: Observation,
        pace: Pace,
        clock: Clock,
        log: Log,
    ) -> None:
        self._identity = identity
        self._admission = admission
        self._reader = reader
        self._catalogue = catalogue
        self._ledger = ledger
        self._router = router
        self._responses = responses
        self._evidence = evidence
        self._limits = limits
        self._trusted_proxies = client_address.networks(limits.trusted_proxies)
        self._observation = observation
        self._pace = pace
        self._clock = clock
        self._log = log
        self.in_flight = 0
        self.stopping = False

    async def serve(self, exchange: Exchange) -> None:
        """Answer one call. Nothing of it leaves by an exception."""
        call = Call(exchange, self._clock.monotonic())
        self.in_flight += 1
        try:
            refusal = await self._run(call)
        except Exception as error:  # noqa: BLE001 - the last line of defence of a call
            self._log.exception("call.bug", error, trace_id=exchange.trace_id)
            refusal = public_errors.own("INTERNAL")
        finally:
            self.in_flight -= 1
        if refusal is not None:
            await self._refuse(call, refusal)
        self._observation.ended(call)

    async def identify(self, exchange: Exchange) -> KeyGrant | Refusal:
        """Step 1, which routes without a call share."""
        return await self._identity.identify(exchange.headers.credentials, self._address(exchange))

    async def keep_pace(self, exchange: Exchange, grant: KeyGrant | None = None) -> None:
        """Let a request that is no call, or will be none, wait for its turn."""
        if not self.stopping:
            holder = grant.key_id if grant else client_address.holder(self._address(exchange))
            if exchange.scope["path"] in PROBES:
                holder = f"probe {holder}"  # nobody's refusals delay who looks after us
            await exchange.pause(self._pace.wait(holder, self._clock.monotonic()))

    def _address(self, exchange: Exchange) -> str:
        peer = exchange.scope.get("client")
        return client_address.resolve(
            peer[0] if peer else "", exchange.headers.forwarded_for, self._trusted_proxies
        )

    async def _run(self, call: Call) -> Refusal | None:
        """The steps; a refusal when the client has still to be told something."""
        exchange = call.exchange
        if self.stopping:
            return public_errors.own("STOPPING")

        # 1. Identify.
        grant = await self.identify(exchange)
        if isinstance(grant, Refusal):
            return grant
        call.grant = grant

        with Held(grant.holders) as held:
            # 2. Parse.
            body = await self._admission.body(exchange, grant, held)
            if isinstance(body, Refusal):
                return body
            try:
                exchange.face.dialect.endpoint.check_headers(exchange.headers.protocol)
                call.request = await self._reader.read(body, exchange.face.protocol, exchange.told)
                if exchange.told.model and exchange.face.dialect.request.model_in_body:
                    # What goes on is the body with that model in it, and so is what is bounded.
                    body = rewrite.with_model(body, call.request)
                    call.request = await self._reader.read(body, exchange.face.protocol)
            except ReaderLost:
                return public_errors.own("READER_LOST")
            except requests.BadRequest as bad:
                return public_errors.bad_request(bad)
            call.body = body
            del body
            return await self._reserve(call, grant, held)

    async def _reserve(self, call: Call, grant: KeyGrant, held: Held) -> Refusal | None:
        """Steps 4 and 5; the rest with the money set aside."""
        assert call.request is not None
        # 4. Bound the cost.
        model = self._model(call, grant)
        if isinstance(model, Refusal):
            return model
        try:
            going_on = await self._responses.going_on(call.request, grant, model)
            if isinstance(going_on, Refusal):
                return going_on
            call.request = going_on
            call.request = await bounding.request_for(call, model, self._reader)
        except requests.BadRequest as bad:
            return public_errors.bad_request(bad)

        # No call is begun that could not be carried out, recorded and paid to its end.
        refusal = self._obstacle(call, held)
        if refusal is not None:
            return refusal
        # 5. Reserve money and rates.
        cap = bounding.cap_of_rates(grant, call.request, model)
        bound, reservation = await self._set_aside(call, grant, model, cap)
        if isinstance(reservation, Refusal) and bounding.leave_out(reservation, call):
            bound, reservation = await self._set_aside(call, grant, model, cap)
        if isinstance(reservation, Refusal):
            cap = bounding.cap_of_money(reservation, call.request, model, cap)
            if cap is not None:
                bound, reservation = await self._set_aside(call, grant, model, cap)
        self._admission.answered(grant, reservation)
        if isinstance(reservation, Refusal):
            return bounding.with_what_fits(reservation, call.request, model)
        async with reservation:
            return await self._make(call, grant, model, bound, reservation, held)

    async def _set_aside(
        self, call: Call, grant: KeyGrant, model: Model, cap: int | None
    ) -> tuple[bounds.Bound, Reservation | Refusal]:
        assert call.request is not None
        bound = bounds.worst_case(call.request, model.price, output_cap=cap)
        return bound, await self._ledger.reserve(
            grant,
            bound,
            price=model.price,
            choices=call.request.choices,
            trace_id=call.exchange.trace_id,
        )

    async def _make(
        self,
        call: Call,
        grant: KeyGrant,
        model: Model,
        bound: bounds.Bound,
        reservation: Reservation,
        held: Held,
    ) -> Refusal | None:
        """Steps 6 to 8, with the money set aside."""
        call.remaining_nano_usd = reservation.remaining_nano_usd(None)
        call.rates_left(reservation.rates, self._clock.unix_ms())
        # 6. Append CALL_ADMITTED. It travels while the model thinks; the first byte waits for it.
        try:
            admitted = self._append_admitted(call, grant, model, reservation)
        except Failure as failure:
            return public_errors.rpc_failure(failure.reason)

        # 7. Execute.
        answer = self._answer(call, admitted)
        request = _execute_request(call, grant, model, bound, reservation)
        call.body = b""
        execution = self._execution(call, request, answer, reservation, held)
        del request
        call.sent_at = self._clock.monotonic()
        try:
            await execution.run()
        except BaseException:
            # A bug, or the end of the process: the log learns that this call's end is unknown.
            call.outcome = outcome.unknown(outcome.EDGE_STOPPED)
            with contextlib.suppress(Failure):
                self._append_finished(call, grant, reservation, http_status=500)
            raise
        call.ended_at = self._clock.monotonic()

        # 8. Settle, append CALL_FINISHED, release the last byte when that is durable.
        call.outcome = came = execution.outcome()
        if came.known:
            reservation.settle(came.cost_nano_usd, used_tokens=came.total_tokens, entry=admitted)
            call.remaining_nano_usd = reservation.remaining_nano_usd(came.cost_nano_usd)
        else:
            reservation.quarantine()
        refusal = execution.refusal()
        try:
            await self._record(call, grant, reservation, admitted, execution, refusal)
        except Failure:
            refusal = refusal or public_errors.own("AUDIT_LATE")
        if refusal is not None or call.answered:
            # The call was made: whoever gets no answer is told what became of the money.
            return refusal and dataclasses.replace(refusal, charge=call.outcome.charge)
        await answer.finish(execution.status, call.facts())
        call.answered = True
        return None

    def _execution(
        self, call: Call, request: Any, answer: Answer, reservation: Reservation, held: Held
    ) -> Execution:
        return Execution(
            self._router,
            request,
            answer=answer,
            reservation=reservation,
            connection=call.exchange.connection,
            routed=call.routed,
            begun=call.begun,
            taken=lambda: self._admission.body_sent(held),
            refuse=lambda refusal: self._refuse(call, refusal),
            timeout_s=self._limits.execute_seconds,
            drain_seconds=self._limits.drain_seconds,
            beat_seconds=self._limits.beat_seconds,
        )

    async def _record(
        self,
        call: Call,
        grant: KeyGrant,
        reservation: Reservation,
        admitted: PendingEntry,
        execution: Execution,
        refusal: Refusal | None,
    ) -> None:
        """Append CALL_FINISHED and wait for it, if somebody waits for us. Raises Failure."""
        status = execution.status if refusal is None else refusal.status
        if call.exchange.started:
            status = call.exchange.status
        finished = self._append_finished(call, grant, reservation, http_status=status)
        if call.answered or call.exchange.connection.gone:
            return  # both entries are queued, and the queue is drained before the process ends
        # Entries of one process become durable in order, so the first wait is usually the only one.
        call.receipt = await self._evidence.durable(finished)
        await self._evidence.durable(admitted)

    def _model(self, call: Call, grant: KeyGrant) -> Model | Refusal:
        assert call.request is not None
        name = call.request.model
        call.is_model_known = self._catalogue.find(name) is not None
        model = self._catalogue.callable_by(grant, name)
        if isinstance(model, Model) and not model.is_served_on(call.exchange.face.dialect):
            return public_errors.own("MODEL_NOT_ON_PATH")
        return model

    def _obstacle(self, call: Call, held: Held) -> Refusal | None:
        assert call.request is not None
        if not self._evidence.takes_calls:
            return public_errors.rpc_failure("AUDIT_NOT_DURABLE")
        if not self._router.connected:
            return public_errors.own("ROUTER_UNREACHABLE")
        if call.exchange.connection.gone:
            return public_errors.own("BODY_INCOMPLETE")
        return self._admission.stream(held) if call.request.stream else None

    def _answer(self, call: Call, admitted: PendingEntry) -> Answer:
        assert call.request is not None
        if not call.request.stream:
            return UnaryAnswer(call.exchange, bytes_max=self._limits.answer_bytes_max)

        async def barrier() -> Facts:
            began_at = self._clock.monotonic()
            await self._evidence.durable(admitted)
            self._observation.first_byte_waited(self._clock.monotonic() - began_at)
            return call.head_facts()

        return StreamAnswer(call.exchange, admitted=barrier)

    def _append_admitted(
        self, call: Call, grant: KeyGrant, model: Model, reservation: Reservation
    ) -> PendingEntry:
        assert call.request is not None
        return self._evidence.admitted(
            grant,
            trace_id=call.exchange.trace_id,
            facts={
                "reservation_id": reservation.reservation_id,
                "account_ids": list(grant.account_ids),
                "amount_nano_usd": reservation.amount_nano_usd,
                "model": call.model,
                "protocol": call.exchange.face.protocol.value,
                "stream": call.request.stream,
                "price_version": model.price.version,
            },
        )

    def _append_finished(
        self, call: Call, grant: KeyGrant, reservation: Reservation, *, http_status: int
    ) -> PendingEntry:
        assert call.outcome is not None
        return self._evidence.finished(
            grant,
            call.outcome,
            trace_id=call.exchange.trace_id,
            reservation_id=reservation.reservation_id,
            reserved_nano_usd=reservation.amount_nano_usd,
            http_status=http_status,
            route=call.provider,
            model=call.model,
        )

    async def _refuse(self, call: Call, refusal: Refusal) -> None:
        """Tell the client, once; a call refused before its money was set aside is a denial."""
        call.refusal = refusal
        if call.answered:
            return
        call.answered = True
        call.rates_left(refusal.rates, self._clock.unix_ms())
        begun = call.outcome is not None or call.sent_at is not None
        if call.grant is not None and not begun and refusal.reason not in NOT_RECORDED:
            self._evidence.denied(
                call.grant,
                trace_id=call.exchange.trace_id,
                reason=refusal.reason,
                model=call.model,
                account_id=refusal.account_id,
            )
        if not begun:
            call.body = b""  # nobody needs it, and its share was given back
            await self.keep_pace(call.exchange, call.grant)
        await call.exchange.refuse(refusal, call.facts())


def _execute_request(
    call: Call, grant: KeyGrant, model: Model, bound: bounds.Bound, reservation: Reservation
) -> Any:
    assert call.request is not None
    exchange = call.exchange
    # Without the betas that change the price: the body that was priced does not show them.
    passed = exchange.face.dialect.endpoint.passed_on(exchange.headers.protocol)
    call.dropped_betas = passed.dropped
    return router_pb2.ExecuteRequest(
        trace_id=exchange.trace_id,
        tenant_id=grant.tenant_id,
        client_protocol=WIRE_PROTOCOLS[exchange.face.protocol],
        model=model.model,
        stream=call.request.stream,
        max_output_tokens=bound.sent_max_output_tokens or 0,
        reservation_token=reservation.token,
        body=call.body,
        price_version=model.price.version,
        client_wants_usage=call.request.wants_usage,
        protocol_headers=passed.kept,
        without_searches=call.without_searches,
        key_id=grant.key_id,
    )
