"""AuthzAdminService: an operator's changes to tenants, groups and keys.

Promises: every change is in the audit log before it is in force, and is answered after it, and its
revision, are durable; the same request_id is carried out once; a key's secret is in the first
answer alone and nowhere else. Audit entries and logs hold ids, never names or secrets.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

from google.protobuf.message import Message

from tollgate.audit.v1 import audit_pb2
from tollgate.authz.v1 import authz_pb2, authz_pb2_grpc
from tollgate_authz import fields, wire
from tollgate_authz.keys.key import Peppers
from tollgate_authz.keys.revocations import RevocationFeed
from tollgate_authz.tenants.directory import (
    AddGroup,
    AddKey,
    AddTenant,
    Change,
    ChangeDenied,
    Effect,
    Group,
    Key,
    KeyState,
    Missing,
    Revision,
    RevokedForGood,
    SetKeyState,
    SetTenantEnabled,
    Taken,
    Tenant,
    UnixMs,
)
from tollgate_authz.tenants.store import LIST_MAX, Store
from tollgate_kit import virtual_key
from tollgate_kit.changes.intent import Evidence, record_intent
from tollgate_kit.changes.request import Applied, ChangeRequest
from tollgate_kit.clock import Clock
from tollgate_kit.ids import Ids
from tollgate_kit.logs import Log
from tollgate_kit.rpc.failure import (
    Failure,
    already_exists,
    invalid_field,
    not_found,
    overloaded,
)
from tollgate_kit.rpc.server import caller
from tollgate_kit.secret import Secret

T = TypeVar("T")
A = TypeVar("A", bound=Message)
C = TypeVar(
    "C", authz_pb2.CreateTenantResponse, authz_pb2.CreateGroupResponse, authz_pb2.IssueKeyResponse
)
S = TypeVar(
    "S",
    authz_pb2.SetTenantEnabledResponse,
    authz_pb2.SetKeyEnabledResponse,
    authz_pb2.RevokeKeyResponse,
)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Entry:
    """What the audit log is told of a change."""

    kind: "audit_pb2.EntryKind.ValueType"
    tenant_id: str
    subject: str
    payload: dict[str, Any]


class AuthzAdminServicer(authz_pb2_grpc.AuthzAdminServiceServicer):
    """Answers operators."""

    def __init__(
        self,
        *,
        store: Store,
        peppers: Peppers,
        evidence: Evidence,
        feed: RevocationFeed,
        ids: Ids,
        clock: Clock,
        log: Log,
    ) -> None:
        self._store = store
        self._peppers = peppers
        self._evidence = evidence
        self._feed = feed
        self._ids = ids
        self._clock = clock
        self._log = log

    async def CreateTenant(
        self, request: authz_pb2.CreateTenantRequest, _context: Any
    ) -> authz_pb2.CreateTenantResponse:
        tenant = Tenant(
            tenant_id=self._ids.uuid7(),
            name=fields.name("name", request.name),
            enabled=True,
            create_unix_ms=self._now(),
        )
        answer = authz_pb2.CreateTenantResponse(tenant=wire.tenant(tenant))
        entry = _tenant_changed(tenant.tenant_id, "tenant_created")
        return await self._create(request, AddTenant(tenant), entry, answer)

    async def ListTenants(
        self, _request: authz_pb2.ListTenantsRequest, _context: Any
    ) -> authz_pb2.ListTenantsResponse:
        found = _whole(await self._store.tenants())
        return authz_pb2.ListTenantsResponse(tenants=[wire.tenant(record) for record in found])

    async def SetTenantEnabled(
        self, request: authz_pb2.SetTenantEnabledRequest, _context: Any
    ) -> authz_pb2.SetTenantEnabledResponse:
        tenant_id = fields.identifier("tenant_id", request.tenant_id)
        entry = _tenant_changed(
            tenant_id, "tenant_resumed" if request.enabled else "tenant_suspended"
        )
        effect = SetTenantEnabled(tenant_id=tenant_id, enabled=request.enabled)
        return await self._set(request, effect, entry, authz_pb2.SetTenantEnabledResponse)

    async def CreateGroup(
        self, request: authz_pb2.CreateGroupRequest, _context: Any
    ) -> authz_pb2.CreateGroupResponse:
        fields.not_a_cap("has_budget", request.has_budget, "group:<group_id>")
        group = Group(
            group_id=self._ids.uuid7(),
            tenant_id=fields.identifier("tenant_id", request.tenant_id),
            name=fields.name("name", request.name),
            create_unix_ms=self._now(),
        )
        entry = _Entry(
            kind=audit_pb2.ENTRY_KIND_TENANT_CHANGED,
            tenant_id=group.tenant_id,
            subject=f"group:{group.group_id}",
            payload={"change": "group_created", "group_id": group.group_id},
        )
        answer = authz_pb2.CreateGroupResponse(group=wire.group(group))
        return await self._create(request, AddGroup(group), entry, answer)

    async def ListGroups(
        self, request: authz_pb2.ListGroupsRequest, _context: Any
    ) -> authz_pb2.ListGroupsResponse:
        tenant_id = fields.identifier("tenant_id", request.tenant_id)
        found = _whole(await self._store.groups(tenant_id))
        return authz_pb2.ListGroupsResponse(groups=[wire.group(record) for record in found])

    async def IssueKey(
        self, request: authz_pb2.IssueKeyRequest, _context: Any
    ) -> authz_pb2.IssueKeyResponse:
        key = self._new_key(request)
        secret = Secret(self._ids.base62(virtual_key.SECRET_LENGTH))
        text = virtual_key.make(key.environment, key.public_id, secret)
        made = virtual_key.VirtualKey(key.environment, key.public_id, secret)
        effect = AddKey(key, self._peppers.mac(made))
        answer = authz_pb2.IssueKeyResponse(key=wire.key(key))
        stored = await self._create(request, effect, _issued(key), answer)
        if not stored.replayed:
            stored.secret = text.reveal()
        return stored

    async def GetKey(
        self, request: authz_pb2.GetKeyRequest, _context: Any
    ) -> authz_pb2.GetKeyResponse:
        return authz_pb2.GetKeyResponse(key=wire.key(await self._key(request.key_id)))

    async def ListKeys(
        self, request: authz_pb2.ListKeysRequest, _context: Any
    ) -> authz_pb2.ListKeysResponse:
        tenant_id = fields.identifier("tenant_id", request.tenant_id)
        found = _whole(await self._store.keys(tenant_id))
        return authz_pb2.ListKeysResponse(keys=[wire.key(record) for record in found])

    async def SetKeyEnabled(
        self, request: authz_pb2.SetKeyEnabledRequest, _context: Any
    ) -> authz_pb2.SetKeyEnabledResponse:
        state = KeyState.ENABLED if request.enabled else KeyState.DISABLED
        return await self._set_key_state(request, state, authz_pb2.SetKeyEnabledResponse)

    async def RevokeKey(
        self, request: authz_pb2.RevokeKeyRequest, _context: Any
    ) -> authz_pb2.RevokeKeyResponse:
        reason = fields.reason("reason", request.reason)
        return await self._set_key_state(
            request, KeyState.REVOKED, authz_pb2.RevokeKeyResponse, reason
        )

    async def _set_key_state(
        self, request: Any, state: KeyState, answer_type: type[S], reason: str = ""
    ) -> S:
        key = await self._key(request.key_id)
        revoked = state is KeyState.REVOKED
        entry = _Entry(
            kind=audit_pb2.ENTRY_KIND_KEY_REVOKED if revoked else audit_pb2.ENTRY_KIND_KEY_CHANGED,
            tenant_id=key.tenant_id,
            subject=f"key:{key.key_id}",
            payload={"change": f"key_{state.value}", "key_id": key.key_id},
        )
        effect = SetKeyState(key_id=key.key_id, state=state, reason=reason)
        return await self._set(request, effect, entry, answer_type)

    def _now(self) -> UnixMs:
        return UnixMs(self._clock.unix_ms())

    def _new_key(self, request: authz_pb2.IssueKeyRequest) -> Key:
        fields.not_a_cap("monthly_limit_nano_usd", request.monthly_limit_nano_usd, "key:<key_id>")
        now = self._now()
        expires = None
        if request.HasField("expire_time"):
            expires = fields.future("expire_time", request.expire_time, now=now)
        group_id = fields.identifier("group_id", request.group_id) if request.group_id else None
        return Key(
            key_id=self._ids.uuid7(),
            public_id=self._ids.base62(virtual_key.PUBLIC_ID_LENGTH),
            tenant_id=fields.identifier("tenant_id", request.tenant_id),
            group_id=group_id,
            name=fields.name("name", request.name),
            environment=fields.environment("environment", request.environment),
            allowed_models=fields.models("allowed_models", request.allowed_models),
            ip_allowlist=fields.ip_blocks("ip_allowlist", request.ip_allowlist),
            requests_per_minute=fields.per_minute(
                "requests_per_minute", request.requests_per_minute
            ),
            tokens_per_minute=fields.per_minute("tokens_per_minute", request.tokens_per_minute),
            state=KeyState.ENABLED,
            expire_unix_ms=expires,
            create_unix_ms=now,
        )

    async def _key(self, key_id: str) -> Key:
        found = await self._store.key(fields.identifier("key_id", key_id))
        if found is None:
            raise not_found("key", key_id)
        return found

    async def _create(self, request: Any, effect: Effect, entry: _Entry, answer: C) -> C:
        """Make something new; a repeat is answered with what was made first."""
        stored, replayed = await self._apply(request, effect, entry, type(answer), lambda _: answer)
        stored.replayed = replayed
        return stored

    async def _set(self, request: Any, effect: Effect, entry: _Entry, answer_type: type[S]) -> S:
        """Change what is there; answered with the head of the revision log after it."""
        answer, _ = await self._apply(
            request, effect, entry, answer_type, lambda head: answer_type(revision=head)
        )
        return answer

    async def _apply(
        self,
        request: Any,
        effect: Effect,
        entry: _Entry,
        answer_type: type[A],
        answer: Callable[[Revision], A],
    ) -> tuple[A, bool]:
        """Carry a change out: evidence, then effect, then the word to the watchers.

        What the request is answered with, and whether it had been answered before.
        """
        asked = ChangeRequest.of_message(request)
        change = Change(
            request=asked,
            effect=effect,
            answer=lambda head: answer(head).SerializeToString(deterministic=True),
            create_unix_ms=self._now(),
        )

        async def record() -> int:
            return await record_intent(
                self._evidence,
                entry.kind,
                entry.payload,
                tenant_id=entry.tenant_id,
                subject=entry.subject,
                request_id=asked.request_id,
                time_unix_ms=change.create_unix_ms,
            )

        outcome = await self._store.apply(change, record)
        self._log.info(
            "authz.change",
            change=entry.payload["change"],
            outcome=type(outcome).__name__,
            replayed=isinstance(outcome, Applied) and outcome.replayed,
            subject=entry.subject,
            tenant_id=entry.tenant_id,
            request_id=asked.request_id,
            actor=caller(),
        )
        if not isinstance(outcome, Applied):
            raise _refused(outcome)
        self._feed.changed()
        return answer_type.FromString(outcome.answer), outcome.replayed


def _tenant_changed(tenant_id: str, change: str) -> _Entry:
    return _Entry(
        kind=audit_pb2.ENTRY_KIND_TENANT_CHANGED,
        tenant_id=tenant_id,
        subject=f"tenant:{tenant_id}",
        payload={"change": change},
    )


def _issued(key: Key) -> _Entry:
    return _Entry(
        kind=audit_pb2.ENTRY_KIND_KEY_ISSUED,
        tenant_id=key.tenant_id,
        subject=f"key:{key.key_id}",
        payload={
            "change": "key_issued",
            "key_id": key.key_id,
            "group_id": key.group_id,
            "environment": key.environment,
            "allowed_models": list(key.allowed_models),
            "ip_allowlist": list(key.ip_allowlist),
            "requests_per_minute": key.requests_per_minute,
            "tokens_per_minute": key.tokens_per_minute,
            "expire_unix_ms": key.expire_unix_ms,
        },
    )


def _refused(denied: ChangeDenied) -> Failure:
    match denied:
        case Missing(kind=kind, identifier=identifier):
            return not_found(kind, identifier)
        case Taken(kind=kind):
            # The name stays out of the failure, which is logged; the operator knows it.
            return already_exists(kind, "name")
        case RevokedForGood():
            return invalid_field("key_id", "a revoked key stays revoked; issue another")


def _whole(found: Sequence[T]) -> Sequence[T]:
    """The list, if it is all of it: a list that was cut must not pass for a whole one."""
    if len(found) > LIST_MAX:
        raise overloaded("list")
    return found
