"""Who is calling: a presented key becomes a grant, from the cache or by asking authz.

Promises: a mistyped key costs no RPC; one question per key is in flight at a time, and of one
client address no more than its share; when authz cannot be asked the answer is 503, never 401.
Keeps no raw key.
"""

import asyncio
from dataclasses import dataclass
from typing import Any

from tollgate.authz.v1 import authz_pb2
from tollgate_edge.errors import public_errors
from tollgate_edge.errors.public_errors import Refusal
from tollgate_edge.headers import client_address
from tollgate_edge.identity.decision_cache import DecisionCache
from tollgate_edge.limits.fair_shares import Full, Held, Shares
from tollgate_kit import virtual_key
from tollgate_kit.clock import Clock
from tollgate_kit.rpc import client as rpc_client
from tollgate_kit.rpc.failure import Failure

_REASONS = {
    value: name.removeprefix("DENIAL_REASON_") for name, value in authz_pb2.DenialReason.items()
}

_FULL = {Full.OWN: "CHECKS_OF_ADDRESS_AT_LIMIT", Full.ALL: "CALLS_AT_LIMIT"}
_PERIODS = {1_000: "second", 60_000: "minute", 3_600_000: "hour", 86_400_000: "day"}


@dataclass(frozen=True, slots=True)
class RateBucket:
    """One rate limit of a key, as budget wants it told."""

    bucket: str
    counts_tokens: bool
    burst: int
    count: int
    period_ms: int

    @property
    def words(self) -> str:
        """The limit as its owner would say it."""
        unit = "tokens" if self.counts_tokens else "requests"
        period = _PERIODS.get(self.period_ms, f"{self.period_ms} ms")
        return f"{self.count} {unit} per {period}"


@dataclass(frozen=True, slots=True)
class KeyGrant:
    """What authz granted to a key."""

    tenant_id: str
    key_id: str
    account_ids: tuple[str, ...]
    rates: tuple[RateBucket, ...]
    # Empty: every model.
    allowed_models: frozenset[str]

    @property
    def holders(self) -> tuple[str, str]:
        """Whose shares a call of it takes, the narrowest first."""
        return self.key_id, self.tenant_id

    @property
    def subject(self) -> str:
        """Whom the evidence is about."""
        return f"key:{self.key_id}"

    def allows(self, model: str) -> bool:
        """True when the key may call the model."""
        return not self.allowed_models or model in self.allowed_models


class Identity:
    """Turns credentials into a grant or a refusal."""

    def __init__(
        self,
        check: Any,
        cache: DecisionCache[KeyGrant],
        *,
        checks: Shares,
        clock: Clock,
        timeout_s: float,
    ) -> None:
        self._check = check
        self._cache = cache
        # By client address: whose key it is, is not known yet.
        self._checks = checks
        self._clock = clock
        self._timeout_s = timeout_s
        self._asking: dict[bytes, asyncio.Future[KeyGrant | Refusal]] = {}

    async def identify(self, credentials: list[str], client_ip: str) -> KeyGrant | Refusal:
        """The grant of the one well-formed key among what was presented."""
        if len(credentials) == 1:
            # What was granted is well formed: it need not be looked at again.
            digest = self._cache.digest(credentials[0], client_ip)
            grant = self._cache.get(digest, self._clock.monotonic())
            if grant is not None:
                return grant
        presented = _well_formed(credentials)
        if isinstance(presented, Refusal):
            return presented
        digest = self._cache.digest(presented, client_ip)
        grant = self._cache.get(digest, self._clock.monotonic())
        if grant is not None:
            return grant
        asking = self._asking.get(digest)
        if asking is not None:
            return await asyncio.shield(asking)
        with Held((client_address.holder(client_ip),)) as held:
            full = held.take(self._checks)
            if full is not None:
                return public_errors.own(_FULL[full])
            return await self._ask(digest, presented, client_ip)

    async def _ask(self, digest: bytes, presented: str, client_ip: str) -> KeyGrant | Refusal:
        asking = self._asking[digest] = asyncio.get_running_loop().create_future()
        answer: KeyGrant | Refusal = public_errors.own("AUTHZ_UNREACHABLE")
        try:
            answer = await self._decide(digest, presented, client_ip)
        finally:
            # Also when this call was cancelled: those who wait for its answer get one.
            del self._asking[digest]
            asking.set_result(answer)
        return answer

    async def _decide(self, digest: bytes, presented: str, client_ip: str) -> KeyGrant | Refusal:
        sent_at = self._clock.monotonic()
        # The model is not known before the body is read; the grant says which are allowed.
        request = authz_pb2.CheckRequest(presented_key=presented, client_ip=client_ip)
        try:
            answer = await rpc_client.call(self._check, request, self._timeout_s)
        except Failure:
            return public_errors.own("AUTHZ_UNREACHABLE")
        if not answer.decision.HasField("grant"):
            return public_errors.authz_denial(_REASONS.get(answer.decision.denial.reason, ""))
        grant = _grant(answer.decision.grant)
        self._cache.put(
            digest,
            grant,
            key_id=grant.key_id,
            tenant_id=grant.tenant_id,
            revision=answer.revision,
            sent_at=sent_at,
            max_age_s=answer.max_age.seconds + answer.max_age.nanos / 1e9,
        )
        return grant


def _well_formed(credentials: list[str]) -> str | Refusal:
    """Clients that know two schemes may send another service's key beside ours."""
    if not credentials:
        return public_errors.own("KEY_MISSING")
    keys = [text for text in credentials if virtual_key.parse(text) is not None]
    if not keys:
        return public_errors.own("KEY_MALFORMED")
    return keys[0] if len(keys) == 1 else public_errors.own("KEY_AMBIGUOUS")


def _grant(grant: Any) -> KeyGrant:
    return KeyGrant(
        tenant_id=grant.tenant_id,
        key_id=grant.key_id,
        account_ids=tuple(grant.budget_account_ids),
        rates=tuple(
            RateBucket(
                bucket=limit.bucket,
                counts_tokens=limit.unit == authz_pb2.RATE_UNIT_TOKENS,
                burst=limit.burst,
                count=limit.count,
                period_ms=limit.period_ms,
            )
            for limit in grant.rate_limits
        ),
        allowed_models=frozenset(grant.allowed_models),
    )
