"""Whether a call may begin, and the reading of its body: each key within its share of the edge.

Owns the shares of calls, of bodies on their way and of their bytes, and the memory of recent
denials. Promises: a key that holds its share is told so and takes nothing from the others; no
body is read for a key that has no money or no rate left.
"""

from tollgate_edge.api.exchange import Exchange
from tollgate_edge.config import LimitsConfig
from tollgate_edge.errors import public_errors
from tollgate_edge.errors.public_errors import Refusal
from tollgate_edge.identity.identity import KeyGrant
from tollgate_edge.identity.recent_denials import RecentDenials
from tollgate_edge.limits.fair_shares import Full, Held
from tollgate_kit.clock import Clock

# Up to here a body is read before the key's recent denials are looked at.
SMALL_BODY_BYTES = 4096

# What a key is refused for its share, or for the lack of room, says nothing about the key: it is
# counted, not recorded, as a flood of it would be a flood of the log.
NOT_RECORDED = frozenset(("CALLS_OF_KEY_AT_LIMIT", "BYTES_OF_KEY_AT_LIMIT", "CALLS_AT_LIMIT"))

_OVERLOADED = public_errors.own("CALLS_AT_LIMIT")
_CALLS = {Full.OWN: public_errors.own("CALLS_OF_KEY_AT_LIMIT"), Full.ALL: _OVERLOADED}
_BYTES = {Full.OWN: public_errors.own("BYTES_OF_KEY_AT_LIMIT"), Full.ALL: _OVERLOADED}
_STREAMS = {Full.OWN: public_errors.own("STREAMS_AT_LIMIT"), Full.ALL: _OVERLOADED}


class Admission:
    """Hands out what a call needs of the process; a call's `Held` gives it back."""

    def __init__(self, limits: LimitsConfig, *, clock: Clock) -> None:
        self._limits = limits
        self._clock = clock
        self._denials = RecentDenials()
        self.calls = limits.shares(limits.calls_max)
        # Requests whose bodies are still to come: in nobody's way but their key's and tenant's.
        self.arriving = limits.shares(limits.connections_max, of=limits.calls_max)
        self.bytes = limits.shares(limits.bodies_bytes_max, least=limits.body_bytes_max)
        self.streams = limits.streams()

    async def body(
        self, exchange: Exchange, grant: KeyGrant, held: Held, *, free: bool = False
    ) -> bytes | Refusal:
        """The body of a call that may begin, or why there is none; money is no matter if `free`."""
        whole, length = exchange.connection.whole, exchange.headers.content_length
        small = length is not None and length <= SMALL_BODY_BYTES
        denied = self._denials.find(grant, self._clock.monotonic(), small=small)
        if denied is not None and not free:
            return denied
        if whole:
            full = held.take(self.calls)
            return await self._read(exchange, held) if full is None else _CALLS[full]
        full = self.calls.full(held.holders) or held.take(self.arriving)
        if full is not None:
            return _CALLS[full]
        body = await self._read(exchange, held)
        held.give(self.arriving)
        if isinstance(body, Refusal):
            return body
        full = held.take(self.calls)
        return body if full is None else _CALLS[full]

    def answered(self, grant: KeyGrant, answer: object) -> None:
        """What budget said: a refusal that stands for others is remembered."""
        if isinstance(answer, Refusal):
            self._denials.remember(grant, answer, self._clock.monotonic())
        else:
            self._denials.forget(grant.key_id)

    def stream(self, held: Held) -> Refusal | None:
        """Take one of the key's streams."""
        full = held.take(self.streams)
        return None if full is None else _STREAMS[full]

    def body_sent(self, held: Held) -> None:
        """Nobody needs the body any more."""
        held.give(self.bytes)

    async def _read(self, exchange: Exchange, held: Held) -> bytes | Refusal:
        def room(count: int) -> Refusal | None:
            full = held.take(self.bytes, count)
            return None if full is None else _BYTES[full]

        return await exchange.body(self._limits, room)
