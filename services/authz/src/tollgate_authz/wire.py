"""Between the directory's records and the messages of authz.proto. Decides nothing."""

from typing import Final

from google.protobuf import timestamp_pb2

from tollgate.authz.v1 import authz_pb2
from tollgate_authz.keys import policy
from tollgate_authz.tenants.directory import Group, Key, KeyState, Revocations, Tenant, UnixMs
from tollgate_kit import virtual_key

_REASONS: Final = {
    reason: authz_pb2.DenialReason.Value(f"DENIAL_REASON_{reason.name}") for reason in policy.Reason
}
_UNITS: Final = {
    unit: authz_pb2.RateUnit.Value(f"RATE_UNIT_{unit.name}") for unit in policy.RateUnit
}
_STATES: Final = {state: authz_pb2.KeyState.Value(f"KEY_STATE_{state.name}") for state in KeyState}


def decision(made: policy.Decision, *, revision: int) -> authz_pb2.CheckResponse:
    response = authz_pb2.CheckResponse(revision=revision)
    response.max_age.FromMilliseconds(made.max_age_ms)
    if isinstance(made.outcome, policy.Reason):
        response.decision.denial.reason = _REASONS[made.outcome]
        return response
    grant = made.outcome
    response.decision.grant.CopyFrom(
        authz_pb2.Grant(
            tenant_id=grant.tenant_id,
            key_id=grant.key_id,
            budget_account_ids=grant.budget_account_ids,
            rate_limits=[_rate_limit(limit) for limit in grant.rate_limits],
            allowed_models=grant.allowed_models,
        )
    )
    return response


def _rate_limit(limit: policy.RateLimit) -> authz_pb2.RateLimit:
    return authz_pb2.RateLimit(
        bucket=limit.bucket,
        unit=_UNITS[limit.unit],
        burst=limit.burst,
        count=limit.count,
        period_ms=limit.period_ms,
    )


def revocations(found: Revocations) -> authz_pb2.WatchRevocationsResponse:
    return authz_pb2.WatchRevocationsResponse(
        key_ids=found.key_ids,
        tenant_ids=found.tenant_ids,
        through_revision=found.through_revision,
        drop_all=not found.resumable,
    )


def tenant(record: Tenant) -> authz_pb2.Tenant:
    return authz_pb2.Tenant(
        tenant_id=record.tenant_id,
        name=record.name,
        enabled=record.enabled,
        create_time=_timestamp(record.create_unix_ms),
    )


def group(record: Group) -> authz_pb2.Group:
    return authz_pb2.Group(
        group_id=record.group_id,
        tenant_id=record.tenant_id,
        name=record.name,
        create_time=_timestamp(record.create_unix_ms),
    )


def key(record: Key) -> authz_pb2.Key:
    expires = record.expire_unix_ms
    return authz_pb2.Key(
        key_id=record.key_id,
        tenant_id=record.tenant_id,
        group_id=record.group_id or "",
        name=record.name,
        public_prefix=virtual_key.public_prefix(record.environment, record.public_id),
        allowed_models=record.allowed_models,
        ip_allowlist=record.ip_allowlist,
        requests_per_minute=record.requests_per_minute,
        tokens_per_minute=record.tokens_per_minute,
        state=_STATES[record.state],
        expire_time=None if expires is None else _timestamp(expires),
        create_time=_timestamp(record.create_unix_ms),
    )


def _timestamp(unix_ms: UnixMs) -> timestamp_pb2.Timestamp:
    timestamp = timestamp_pb2.Timestamp()
    timestamp.FromMilliseconds(unix_ms)
    return timestamp
