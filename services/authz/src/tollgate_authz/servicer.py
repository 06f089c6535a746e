"""AuthzService: Check and WatchRevocations. At most one query a Check; a key is never logged."""

from collections.abc import AsyncIterator
from typing import Any, Final

from tollgate.authz.v1 import authz_pb2, authz_pb2_grpc
from tollgate_authz import fields, wire
from tollgate_authz.keys import policy
from tollgate_authz.keys.key import Peppers
from tollgate_authz.keys.revocations import RevocationFeed
from tollgate_authz.tenants.directory import KeyState, UnixMs
from tollgate_authz.tenants.store import Store
from tollgate_kit import virtual_key
from tollgate_kit.clock import Clock
from tollgate_kit.metrics import Metrics
from tollgate_kit.rpc.failure import invalid_field

# No revision was read: the text cannot be a key at any.
_NO_REVISION: Final = 0


class AuthzServicer(authz_pb2_grpc.AuthzServiceServicer):
    """Answers the data plane."""

    def __init__(
        self,
        *,
        store: Store,
        peppers: Peppers,
        feed: RevocationFeed,
        clock: Clock,
        metrics: Metrics,
    ) -> None:
        self._store = store
        self._peppers = peppers
        self._feed = feed
        self._clock = clock
        self._decisions = metrics.counter("decisions_total", "Decisions, by outcome.", ("outcome",))

    async def Check(
        self, request: authz_pb2.CheckRequest, _context: Any
    ) -> authz_pb2.CheckResponse:
        model = fields.model_asked("model", request.model)
        client_ip = fields.address("client_ip", request.client_ip)
        presented = virtual_key.parse(request.presented_key)
        subject, revision = None, _NO_REVISION
        if presented is not None:
            found = await self._store.find(presented.public_id)
            revision = found.revision
            stored = None if found.subject is None else found.subject.key_mac
            if found.subject is not None and found.subject.key.state is KeyState.REVOKED:
                # Its pepper may be gone with it: then it is like a key that never was.
                stored = self._peppers.known(stored)
            if self._peppers.proves(presented, stored):
                subject = found.subject
        now = UnixMs(self._clock.unix_ms())
        made = policy.decide(subject, model=model, client_ip=client_ip, now=now)
        refused = made.outcome if isinstance(made.outcome, policy.Reason) else None
        self._decisions.labels("granted" if refused is None else refused.value).inc()
        return wire.decision(made, revision=revision)

    async def WatchRevocations(
        self, request: authz_pb2.WatchRevocationsRequest, _context: Any
    ) -> AsyncIterator[authz_pb2.WatchRevocationsResponse]:
        if request.after_revision < 0:
            raise invalid_field("after_revision", "0 or more")
        async for found in self._feed.watch(after=request.after_revision):
            yield wire.revocations(found)
