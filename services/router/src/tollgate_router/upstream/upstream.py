"""The HTTP client to providers: one pool, bounded in time and size, that says nothing.

Owns egress. Promises: no redirect, no cookie, no proxy from the environment, no decoding; every
phase has a time-out; a name is resolved by us and must point where providers may be; what goes
wrong is an UpstreamFault with one word, never a URL, a header or the upstream's text.
"""

import asyncio
import enum
from collections.abc import AsyncIterator
from dataclasses import dataclass
from itertools import chain

import aiohttp
from aiohttp.http import HttpProcessingError
from multidict import CIMultiDict, CIMultiDictProxy
from yarl import URL

from tollgate_router.upstream.address import GuardedResolver

HEADER_BYTES_MAX = 64 * 1024
HEADER_LINE_MAX = 16 * 1024
HEADERS_MAX = 128
READ_BUFFER_BYTES = 64 * 1024
# aiohttp writes a larger body in one piece, which would hold up the loop.
WHOLE_BODY_MAX = 1024 * 1024
# A unary answer travels in one RPC message, which the kit bounds at 40 MB.
ANSWER_BYTES_LIMIT = 38 * 1024 * 1024
# An error's body is read for its message; the rest of a longer one is of no interest.
ERROR_BODY_MAX = 64 * 1024


# After a bad chunk the library closes the connection without waking the reader: so we look.
LOOK_SECONDS = 1.0


class Fault(enum.Enum):
    """What went wrong on the way to or from an upstream."""

    # Nothing was sent.
    CONNECT = "connect"
    TIMEOUT = "timeout"
    # Reset, cut short, or not HTTP.
    BROKEN = "broken"
    # Compressed although identity was asked for.
    ENCODED = "encoded"
    OVERSIZE = "oversize"


class UpstreamFault(Exception):  # noqa: N818 - it is what happened
    """An attempt failed without an answer to pass on. Holds one word."""

    def __init__(self, fault: Fault) -> None:
        super().__init__(fault.value)
        self.fault = fault


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


class Answer:
    """An upstream's answer: its head is here, its body is read on request."""

    def __init__(
        self, response: aiohttp.ClientResponse, config: UpstreamConfig, until: float
    ) -> None:
        self._response = response
        self._config = config
        self._until = until
        self._loop = asyncio.get_running_loop()
        self.status = response.status
        self.headers: CIMultiDictProxy[str] = response.headers

    async def read(self) -> bytes:
        """What has arrived, waiting for something; empty at the end. Raises UpstreamFault.

        Safe to cancel: what was not returned is returned by the next read.
        """
        content = self._response.content
        if not content.is_eof():
            return await self._wait()
        try:
            return content.read_nowait(-1)
        except (aiohttp.ClientError, HttpProcessingError, OSError):
            pass
        # Raised out here, so that it has no context: the library's exceptions carry the URL.
        raise UpstreamFault(Fault.BROKEN)

    async def _wait(self) -> bytes:
        until = min(self._until, self._loop.time() + self._config.idle_ms / 1000)
        fault: Fault | None = None
        while fault is None:
            try:
                async with asyncio.timeout_at(min(until, self._loop.time() + LOOK_SECONDS)):
                    return await self._response.content.readany()
            except TimeoutError:
                if self._is_dead:
                    fault = Fault.BROKEN
                elif self._loop.time() >= until:
                    fault = Fault.TIMEOUT
            except (aiohttp.ClientError, HttpProcessingError, OSError, RuntimeError):
                # RuntimeError is how the library says that the connection was closed already.
                fault = Fault.BROKEN
        raise UpstreamFault(fault)

    @property
    def _is_dead(self) -> bool:
        connection = self._response.connection
        if connection is None:
            return False
        return connection.protocol is None or not connection.protocol.connected

    async def read_all(self, limit: int) -> bytes:
        """The whole body. Raises UpstreamFault, OVERSIZE when it is larger than limit."""
        parts: list[bytes] = []
        size = 0
        while part := await self.read():
            size += len(part)
            if size > limit:
                self.close()
                raise UpstreamFault(Fault.OVERSIZE)
            parts.append(part)
        return parts[0] if len(parts) == 1 else b"".join(parts)

    async def read_start(self, limit: int) -> bytes:
        """The beginning of the body, as far as it can be had: for an error's message."""
        start = b""
        try:
            while len(start) < limit and (part := await self.read()):
                start += part
        except UpstreamFault:
            self.close()
        return start[:limit]

    @property
    def is_read(self) -> bool:
        """True when the body was read whole."""
        return self._response.content.at_eof()

    def close(self) -> None:
        """Give the answer up. The connection is used again only if the body was read whole."""
        if self.is_read:
            self._response.release()
        else:
            self._response.close()


class Upstream:
    """Sends calls to providers. Made and closed inside the running loop."""

    def __init__(self, config: UpstreamConfig, *, allow_private: bool) -> None:
        self._config = config
        self._session = aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(
                limit=config.connections_max,
                limit_per_host=config.connections_per_provider_max,
                resolver=GuardedResolver(allow_private=allow_private),
                ttl_dns_cache=30,
            ),
            cookie_jar=aiohttp.DummyCookieJar(),
            auto_decompress=False,
            trust_env=False,
            raise_for_status=False,
            read_bufsize=READ_BUFFER_BYTES,
            max_line_size=HEADER_LINE_MAX,
            max_field_size=HEADER_LINE_MAX,
            max_headers=HEADERS_MAX,
            # The waits after the connection are timed per phase, below and in Answer.
            timeout=aiohttp.ClientTimeout(
                total=None,
                connect=config.connect_ms / 1000,
                sock_connect=config.connect_ms / 1000,
                sock_read=None,
            ),
        )

    async def close(self) -> None:
        """Close every connection."""
        await self._session.close()

    async def send(self, url: URL, headers: CIMultiDict[str], body: bytes) -> Answer:
        """POST a body; the answer once its head is here. Raises UpstreamFault."""
        began = asyncio.get_running_loop().time()
        config = self._config
        data: bytes | AsyncIterator[bytes] = body
        if len(body) > WHOLE_BODY_MAX:
            headers = headers.copy()
            headers["Content-Length"] = str(len(body))
            data = _pieces(body)
        fault = Fault.BROKEN
        try:
            async with asyncio.timeout_at(began + config.first_byte_ms / 1000):
                response = await self._session.post(
                    url, data=data, headers=headers, allow_redirects=False
                )
        except (aiohttp.ClientConnectorError, aiohttp.ConnectionTimeoutError):
            fault = Fault.CONNECT
        except TimeoutError:
            fault = Fault.TIMEOUT
        except (aiohttp.ClientError, HttpProcessingError, OSError):
            pass
        else:
            found = _refusal(response)
            if found is None:
                return Answer(response, config, began + config.total_ms / 1000)
            response.close()
            fault = found
        # Raised out here, so that it has no context: the library's exceptions carry the URL.
        raise UpstreamFault(fault)


def _refusal(response: aiohttp.ClientResponse) -> Fault | None:
    """Why an answer is not even looked at. The body of a refusal is not needed to know it."""
    size = sum(map(len, chain.from_iterable(response.raw_headers)))
    if size > HEADER_BYTES_MAX:
        return Fault.OVERSIZE
    encoding = response.headers.get("Content-Encoding", "identity")
    if not response.ok:
        return None
    return None if encoding.strip().lower() in ("", "identity") else Fault.ENCODED


async def _pieces(body: bytes) -> AsyncIterator[bytes]:
    step = 64 * 1024
    for start in range(0, len(body), step):
        yield body[start : start + step]
