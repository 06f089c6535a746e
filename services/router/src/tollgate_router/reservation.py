"""Whether a reservation token lets a call reach an upstream.

Owns the rule: the MAC is budget's, the token is alive, it names this tenant and this model, it
covers the most that this very body may cost, and it is used for one upstream contact in this
process. Promises that a refused call contacts nothing. Never parses bytes whose MAC it has not
checked.
"""

import enum
from typing import NamedTuple

from tollgate_dialects.pricing.bound import Bound

# What budget's clock and ours may differ by, milliseconds.
SKEW_MS = 5_000


class TokenDenial(enum.Enum):
    """Why a token opens nothing. The word goes to the log, never to a client."""

    MISSING = "missing"
    FORGED = "forged"
    EXPIRED = "expired"
    OTHER_TENANT = "other_tenant"
    OTHER_MODEL = "other_model"
    USED = "used"
    OTHER_PRICE = "other_price"
    NOT_COVERED = "not_covered"


class Claims(NamedTuple):
    """What budget granted."""

    reservation_id: str
    tenant_id: str
    model: str
    amount_nano_usd: int
    expire_unix_ms: int
    input_tokens: int
    max_output_tokens: int
    price_version: int


def check(claims: Claims, *, tenant_id: str, model: str, now_unix_ms: int) -> TokenDenial | None:
    """Why these claims do not cover this call; None when they do."""
    if not claims.reservation_id or claims.amount_nano_usd < 0:
        return TokenDenial.FORGED
    if now_unix_ms > claims.expire_unix_ms + SKEW_MS:
        return TokenDenial.EXPIRED
    if not tenant_id or claims.tenant_id != tenant_id:
        return TokenDenial.OTHER_TENANT
    if not model or claims.model != model:
        return TokenDenial.OTHER_MODEL
    return None


def check_bound(claims: Claims, bound: Bound, *, price_version: int) -> TokenDenial | None:
    """Why the claims do not cover a call that is bounded like this; None when they do."""
    if claims.price_version != price_version:
        return TokenDenial.OTHER_PRICE
    covered = (
        bound.input_tokens <= claims.input_tokens
        and bound.max_output_tokens <= claims.max_output_tokens
        and bound.amount_nano_usd <= claims.amount_nano_usd
    )
    return None if covered else TokenDenial.NOT_COVERED


class UsedReservations:
    """Which reservations were presented to this process, until they expire by themselves.

    A reservation belongs to the trace that presented it first. The same trace may present it
    again (its session broke) until an upstream was contacted for it; nobody else ever may.
    """

    def __init__(self, *, limit: int) -> None:
        self._limit = limit
        self._trace: dict[str, str] = {}
        self._contacted: set[str] = set()
        # Ids by the second in which they may be forgotten.
        self._by_second: dict[int, list[str]] = {}
        self._swept_until = 0

    def __len__(self) -> int:
        return len(self._trace)

    def full(self, *, now_unix_ms: int) -> bool:
        """True when no more can be remembered, so that no more may be let through."""
        self._sweep(now_unix_ms // 1000)
        return len(self._trace) >= self._limit

    def admit(self, claims: Claims, *, trace_id: str) -> TokenDenial | None:
        """Note that a trace presents a reservation; USED when it may not."""
        reservation_id = claims.reservation_id
        first = self._trace.get(reservation_id)
        if first is None:
            self._trace[reservation_id] = trace_id
            second = (claims.expire_unix_ms + SKEW_MS) // 1000 + 1
            self._by_second.setdefault(second, []).append(reservation_id)
            return None
        if first != trace_id or reservation_id in self._contacted:
            return TokenDenial.USED
        return None

    def contact(self, reservation_id: str) -> bool:
        """Claim the one upstream contact of a reservation; False when it is taken."""
        if reservation_id not in self._trace or reservation_id in self._contacted:
            return False
        self._contacted.add(reservation_id)
        return True

    def _sweep(self, second: int) -> None:
        if second <= self._swept_until:
            return
        self._swept_until = second
        for due in [when for when in self._by_second if when < second]:
            for reservation_id in self._by_second.pop(due):
                del self._trace[reservation_id]
                self._contacted.discard(reservation_id)
