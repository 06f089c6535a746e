"""The reservation token: what router must see before it calls an upstream.

Promises: the same reservation has the same token, byte for byte, however often it is asked for, as
long as the key is not rotated.
Never does: verify; router holds the same key and its own code for that.
"""

from collections.abc import Mapping

from tollgate.budget.v1 import budget_pb2
from tollgate_budget.ledger.ledger import Transfer
from tollgate_kit.hmac_key import HmacKey
from tollgate_kit.secret import Secret


class TokenMaker:
    """Makes tokens under the newest version of the MAC key that budget and router share."""

    def __init__(self, by_version: Mapping[int, Secret]) -> None:
        self.take(by_version)

    def take(self, by_version: Mapping[int, Secret]) -> None:
        """Make tokens with these keys from now on."""
        self._key = HmacKey(by_version[max(by_version)].reveal_bytes())

    def token(self, transfer: Transfer) -> bytes:
        """A serialised ReservationToken for a reservation."""
        claims = budget_pb2.ReservationClaims(
            reservation_id=transfer.id,
            tenant_id=transfer.tenant_id,
            model=transfer.model,
            amount_nano_usd=transfer.reserved,
            expire_unix_ms=transfer.expire_ms,
            input_tokens=transfer.terms.input_tokens,
            max_output_tokens=transfer.terms.max_output_tokens,
            price_version=transfer.terms.price_version,
        ).SerializeToString()
        mac = self._key.digest(claims)
        return budget_pb2.ReservationToken(claims=claims, mac=mac).SerializeToString()
