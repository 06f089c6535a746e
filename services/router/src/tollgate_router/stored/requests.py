"""Requests about stored responses: found for their tenant, asked of the account that keeps them.

Promises: nobody is asked before the response was found to be the tenant's; a deletion is in the
audit log before its upstream is asked; what passes of an answer is what its list holds, under the
client's name of the model, and nothing where the upstream's key is in it; each has a time limit.
"""

import asyncio
import hashlib
from collections.abc import Collection
from dataclasses import replace
from typing import NamedTuple

from tollgate.audit.v1 import audit_pb2
from tollgate_dialects.answer.meter import BodyMeter
from tollgate_dialects.answer.renaming import Renaming
from tollgate_dialects.common.refusal import BadRequest
from tollgate_dialects.openai_responses import ids, stored
from tollgate_kit.changes.intent import Evidence
from tollgate_kit.clock import Clock
from tollgate_kit.rpc.failure import invalid_field
from tollgate_router.attempts import Attempts, NotOpened, Opened, broken_answer
from tollgate_router.charge import EndReason
from tollgate_router.providers.catalogue_watch import CatalogueWatch
from tollgate_router.stored.response import (
    Denial,
    GoesOn,
    StoredResponse,
    continued,
    visible,
)
from tollgate_router.stored.store_postgres import PostgresStoredResponses
from tollgate_router.upstream.fault import Fault, UpstreamFault
from tollgate_router.upstream.upstream import UpstreamConfig

# Nothing is thought about: it is only looked up.
ASK_SECONDS = 30.0


class Asker(NamedTuple):
    """Who asks, as the edge has identified it."""

    tenant_id: str
    key_id: str
    # Empty: every one.
    allowed_models: Collection[str]
    trace_id: str


class StoredRequests:
    """Finds and asks. Raises Failure STORE_UNAVAILABLE, INVALID_FIELD, AUDIT_NOT_DURABLE."""

    def __init__(
        self,
        store: PostgresStoredResponses,
        attempts: Attempts,
        watch: CatalogueWatch,
        evidence: Evidence,
        upstream: UpstreamConfig,
        clock: Clock,
    ) -> None:
        self._store = store
        self._attempts = attempts
        self._watch = watch
        self._evidence = evidence
        self._answer_bytes_max = upstream.answer_bytes_max
        self._clock = clock

    async def goes_on(
        self, tenant_id: str, response_id: str, model: str, allowed_models: Collection[str] = ()
    ) -> GoesOn | Denial:
        """What a call to a model keeps to that goes on from a response."""
        found = await self._visible(tenant_id, response_id, allowed_models)
        if isinstance(found, Denial):
            return found
        return continued(found, model, self._watch.snapshot)

    async def ask(
        self, asker: Asker, response_id: str, action: stored.Action, query: str
    ) -> bytes | NotOpened | Denial:
        """What the upstream answers, as it may pass."""
        try:
            query = action.query(query)
        except BadRequest:
            raise invalid_field("query") from None
        found = await self._visible(asker.tenant_id, response_id, asker.allowed_models)
        if isinstance(found, Denial):
            return found
        is_deletion = action is stored.ACTIONS["delete"]
        if is_deletion:
            await self._record_deletion(asker, found)
        answer = await self._answer(found, action, stored.below(action, response_id, query))
        if is_deletion and isinstance(answer, bytes):
            await self._store.delete(asker.tenant_id, response_id)
        return answer

    async def _visible(
        self, tenant_id: str, response_id: str, allowed_models: Collection[str]
    ) -> StoredResponse | Denial:
        if not tenant_id:
            raise invalid_field("tenant_id")
        if not ids.is_id(response_id):
            raise invalid_field("response_id")
        found = await self._store.find(tenant_id, response_id, now_ms=self._clock.unix_ms())
        return visible(found, allowed_models, self._watch.snapshot)

    async def _record_deletion(self, asker: Asker, found: StoredResponse) -> None:
        await self._evidence.append(
            audit_pb2.ENTRY_KIND_RESPONSE_DELETED,
            tenant_id=asker.tenant_id,
            trace_id=asker.trace_id,
            subject=f"key:{asker.key_id}",
            payload={
                "response_sha256": hashlib.sha256(found.response_id.encode()).hexdigest(),
                "provider": found.provider,
                "model": found.model,
                "time_unix_ms": self._clock.unix_ms(),
            },
        )

    async def _answer(
        self, found: StoredResponse, action: stored.Action, below: str
    ) -> bytes | NotOpened:
        way = self._watch.snapshot.ways.get(found.account)
        if way is None:  # it went while the log was written
            return NotOpened(EndReason.NO_ROUTE)
        try:
            async with asyncio.timeout(ASK_SECONDS):
                # One of the account's ways: how it stands with the response's own model counts.
                way = replace(way, upstream_model=found.upstream_model)
                opened = await self._attempts.ask(way, action.method, below)
                if isinstance(opened, NotOpened):
                    return opened
                return await self._read(opened, found, action)
        except TimeoutError:
            return NotOpened(EndReason.UPSTREAM_TIMEOUT)

    async def _read(
        self, opened: Opened, found: StoredResponse, action: stored.Action
    ) -> bytes | NotOpened:
        meter = BodyMeter(action.answer, secrets=opened.secrets.revealed())
        try:
            meter.feed(await opened.answer.read_all(self._answer_bytes_max))
        except UpstreamFault as fault:
            timed_out = fault.fault is Fault.TIMEOUT
            reason = EndReason.UPSTREAM_TIMEOUT if timed_out else EndReason.UPSTREAM_ERROR
            return NotOpened(reason)
        data = meter.finish()
        if opened.secrets.are_in(data):
            return NotOpened(EndReason.UPSTREAM_ERROR)
        if not meter.finished:
            return broken_answer(EndReason.UPSTREAM_ERROR, meter.error)
        if found.upstream_model != found.model:
            data = Renaming(action.answer.model_at, found.model).body(data)
        return data
