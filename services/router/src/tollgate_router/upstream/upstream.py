"""The HTTP client to providers: one pool, bounded in time and size, that says nothing.

Owns egress. Promises: no redirect, no cookie, no proxy from the environment, no decoding; every
phase has a time-out; a name is resolved by us and must point where providers may be; what goes
wrong is an UpstreamFault with one word, never a URL, a header or the upstream's text. ADR 0034
says why it is ours.
"""

import asyncio
from dataclasses import dataclass

from tollgate_router.providers.request_head import RequestHead
from tollgate_router.upstream.address import Addresses
from tollgate_router.upstream.answer import Answer
from tollgate_router.upstream.fault import Fault, UpstreamFault
from tollgate_router.upstream.pool import Pool

# A unary answer travels in one RPC message, which the kit bounds at 40 MB.
ANSWER_BYTES_LIMIT = 38 * 1024 * 1024
# An error's body is read for its message; the rest of a longer one is of no interest.
ERROR_BODY_MAX = 64 * 1024


@dataclass(frozen=True)
class UpstreamConfig:
    """Bounds of the hop to providers."""

    connections_max: int = 2000
    connections_per_provider_max: int = 1000
    connect_ms: int = 5_000
    first_byte_ms: int = 300_000
    idle_ms: int = 120_000
    total_ms: int = 900_000
    # Largest unary answer; must fit one RPC message (40 MB) with its frame.
    answer_bytes_max: int = 32 * 1024 * 1024
    # Largest stream, comments and pings included.
    stream_bytes_max: int = 256 * 1024 * 1024

    def __post_init__(self) -> None:
        for name, value in vars(self).items():
            if value <= 0:
                raise ValueError(f"{name} must be positive")
        if self.answer_bytes_max > ANSWER_BYTES_LIMIT:
            raise ValueError(
                f"answer_bytes_max must be at most {ANSWER_BYTES_LIMIT}: one RPC message"
            )


class Upstream:
    """Sends calls to providers. Made and closed inside the running loop."""

    def __init__(self, config: UpstreamConfig, *, allow_private: bool) -> None:
        self._loop = asyncio.get_running_loop()
        self._first_byte_s = min(config.first_byte_ms, config.total_ms) / 1000
        self._idle_s = config.idle_ms / 1000
        self._total_s = config.total_ms / 1000
        self._pool = Pool(
            Addresses(allow_private=allow_private),
            connections_max=config.connections_max,
            connections_per_origin_max=config.connections_per_provider_max,
            connect_s=config.connect_ms / 1000,
        )

    async def close(self) -> None:
        """Close every connection."""
        self._pool.close()

    async def send(self, head: RequestHead, body: bytes) -> Answer:
        """Send a request; the answer once its head is here. Raises UpstreamFault."""
        began = self._loop.time()
        connection = await self._pool.take(head.origin)
        answer = Answer(connection, self._loop, until=began + self._total_s, idle_s=self._idle_s)
        try:
            await connection.send(answer, head.encode(len(body)), body, began + self._first_byte_s)
        except BaseException:
            answer.close()
            raise
        if _is_encoded(answer):
            answer.close()
            raise UpstreamFault(Fault.ENCODED)
        return answer


def _is_encoded(answer: Answer) -> bool:
    """Whether an answer's bytes are not what they mean. A refusal's are only read for words."""
    if answer.status >= 400:  # noqa: PLR2004 - RFC 9110 section 15
        return False
    encoding = answer.headers.get("content-encoding")
    return encoding is not None and encoding.strip().lower() not in ("", "identity")
