"""Requests to Vault over HTTPS, and what each answer means.

Promises: nothing but the configured authority is trusted; a request ends within REQUEST_SECONDS
and an answer within ANSWER_BYTES_MAX; no word of an answer, and nothing of a request, is in a fault
or a log line. The services' own, over httpx: hvac is synchronous (docs/adr/0043).
"""

import asyncio
import base64
import ssl
from dataclasses import dataclass
from email.utils import parsedate_to_datetime
from http import HTTPStatus
from pathlib import Path
from typing import Any

import httpx
import orjson

from tollgate_kit.clock import Clock
from tollgate_kit.keyring.base import KeyringAway, KeyringFault
from tollgate_kit.keyring.vault.measures import VaultMeasures
from tollgate_kit.keyring.vault.server_state import Condition, ServerState
from tollgate_kit.secret import Secret

# Longer than a slow Vault takes: what is in use is asked for ahead, so that no call waits for it.
REQUEST_SECONDS = 8.0
CONNECT_SECONDS = 2.0
# An answer that took longer is late: worth a line before answers stop to come in time.
SLOW_SECONDS = 1.0
ANSWER_BYTES_MAX = 8 * 1024 * 1024
_CONNECTIONS_MAX = 16
# An exchange ends by its own bounds well before; a connect, with its handshake, always does.
_EXCHANGE_SECONDS_MAX = REQUEST_SECONDS + 3 * CONNECT_SECONDS
# What uses something up. All else is asked once more: a connection that stood idle may have ended.
_ONCE = frozenset({"unwrap", "login"})
_KEEPALIVE_SECONDS = 60.0

# A standby that does not pass on, a replica that lags, one of disaster recovery.
_STANDBY = frozenset({307, 412, 472, 473})
# A 503 without it is of what stands before Vault; "sealed" is what /sys/health says.
_SEALED = b"sealed"
# A 500, and yet the answer to what was asked: the key has no such version to sign with.
_NOT_THIS_VERSION = b"requested version for signing"


class VaultAway(KeyringAway):
    """Vault gave no answer that could be used."""

    def __init__(self, condition: Condition) -> None:
        super().__init__(f"Vault is {condition.value}")
        self.condition = condition


class VaultRefused(KeyringAway):
    """403: the token is no good, or its policies do not allow this."""


@dataclass(frozen=True, slots=True, repr=False)
class Answer:
    """What Vault answered: 2xx, or what it found wrong with the request."""

    status: int
    document: dict[str, Any]
    # Vault's own wall clock.
    unix_s: float | None

    @property
    def is_ok(self) -> bool:
        return self.status < HTTPStatus.MULTIPLE_CHOICES

    def part(self, *names: str) -> dict[str, Any]:
        """A member of a member that is an object; empty where it is not there."""
        found: object = self.document
        for name in names:
            found = found.get(name) if isinstance(found, dict) else None
        return found if isinstance(found, dict) else {}

    def says(self, words: str) -> bool:
        """Whether one of its errors has these words."""
        errors = self.document.get("errors")
        return isinstance(errors, list) and any(words in str(error) for error in errors)


class VaultClient:
    """One Vault, for all logins of this process."""

    def __init__(
        self,
        address: str,
        ca_file: Path,
        *,
        clock: Clock,
        measures: VaultMeasures,
        state: ServerState,
    ) -> None:
        """Raises KeyringFault for an address or an authority that is none."""
        self._address = address
        self._authority = _read(ca_file)
        self._http = self._opened(ca_file)
        self._ending: set[asyncio.Task[None]] = set()
        self._free = asyncio.Semaphore(_CONNECTIONS_MAX)
        self._under_way: set[asyncio.Task[Answer | Condition | None]] = set()
        self._clock = clock
        self._measures = measures
        self.state = state

    def trust(self, ca_file: Path) -> None:
        """Believe what stands in the file now, from the next request on. Raises KeyringFault."""
        authority = _read(ca_file)
        if authority == self._authority:
            return
        former, self._http, self._authority = self._http, self._opened(ca_file), authority
        ending = asyncio.get_running_loop().create_task(_end(former))
        self._ending.add(ending)
        ending.add_done_callback(self._ending.discard)

    def _opened(self, ca_file: Path) -> httpx.AsyncClient:
        try:
            trusted = ssl.create_default_context(cafile=str(ca_file))
            return httpx.AsyncClient(
                base_url=f"{self._address.rstrip('/')}/v1/",
                verify=trusted,
                trust_env=False,
                # Shorter than the whole: a handshake that is cancelled leaves its socket open.
                timeout=httpx.Timeout(REQUEST_SECONDS, connect=CONNECT_SECONDS),
                limits=httpx.Limits(
                    max_connections=_CONNECTIONS_MAX, keepalive_expiry=_KEEPALIVE_SECONDS
                ),
            )
        except OSError as error:
            raise KeyringFault(f"{ca_file}: {type(error).__name__}") from None
        except httpx.InvalidURL:
            raise KeyringFault("the address of Vault is no URL") from None

    async def request(
        self,
        operation: str,
        method: str,
        path: str,
        *,
        token: Secret | None = None,
        body: dict[str, Any] | None = None,
    ) -> Answer:
        """Ask once. Raises VaultAway, VaultRefused; another 4xx is an answer."""
        headers = {"X-Vault-Request": "true"}
        if token is not None:
            headers["X-Vault-Token"] = token.reveal()
        content = None if body is None else orjson.dumps(body)
        began = self._clock.monotonic()
        met: Condition | Answer | None
        try:
            async with asyncio.timeout(REQUEST_SECONDS):
                await self._free.acquire()
                met = await asyncio.shield(self._begun(operation, method, path, headers, content))
        except TimeoutError:
            met = Condition.SLOW
        # Raised out here: an exception of httpx, which holds the request, is no part of it.
        seconds = self._clock.monotonic() - began
        return self._judged(operation, seconds, met or Condition.UNREACHABLE)

    def _begun(
        self, operation: str, method: str, path: str, headers: dict[str, str], content: bytes | None
    ) -> asyncio.Task[Answer | Condition | None]:
        """An exchange that goes on though who wanted it leaves.

        Cancelled, it may leave a connection behind that httpx neither uses nor closes, and that
        counts among those that it may have.
        """
        work = self._asked(method, path, headers, content, is_once=operation in _ONCE)
        task = asyncio.get_running_loop().create_task(work)
        self._under_way.add(task)
        task.add_done_callback(self._ended)
        return task

    def _ended(self, task: asyncio.Task[Answer | Condition | None]) -> None:
        self._under_way.discard(task)
        self._free.release()
        if not task.cancelled():
            task.exception()  # who waited for it was told

    async def _asked(
        self,
        method: str,
        path: str,
        headers: dict[str, str],
        content: bytes | None,
        *,
        is_once: bool,
    ) -> Answer | Condition | None:
        """Ask, and once more where the connection broke; bounded, whoever waits for it."""
        loop = asyncio.get_running_loop()
        until = loop.time() + REQUEST_SECONDS
        try:
            async with asyncio.timeout(_EXCHANGE_SECONDS_MAX):
                met = await self._exchanged(method, path, headers, content)
                if met is None and not is_once and loop.time() < until:
                    met = await self._exchanged(method, path, headers, content)
        except TimeoutError:
            return Condition.SLOW
        return met

    async def _exchanged(
        self, method: str, path: str, headers: dict[str, str], content: bytes | None
    ) -> Answer | Condition | None:
        """None: the connection broke, or there is none to be had."""
        try:
            return await self._answered(method, path, headers, content)
        except httpx.ConnectTimeout:
            return Condition.UNREACHABLE
        except httpx.TimeoutException:
            return Condition.SLOW
        except httpx.HTTPError:
            return None

    async def _answered(
        self, method: str, path: str, headers: dict[str, str], content: bytes | None
    ) -> Answer | Condition:
        async with self._http.stream(method, path, headers=headers, content=content) as got:
            data = bytearray()
            async for chunk in got.aiter_bytes():
                data += chunk
                if len(data) > ANSWER_BYTES_MAX:
                    return Condition.FAILING
            condition = _condition(got.status_code, data)
            if condition is not None:
                return condition
            try:
                document = orjson.loads(data) if data else {}
            except orjson.JSONDecodeError:
                return Condition.FAILING
            if not isinstance(document, dict):
                return Condition.FAILING
            return Answer(got.status_code, document, _unix_s(got.headers.get("date", "")))

    def _judged(self, operation: str, seconds: float, met: Answer | Condition) -> Answer:
        """Count and tell what a request met. Raises VaultAway, VaultRefused."""
        self._measures.seconds.labels(operation).observe(seconds)
        if isinstance(met, Condition):
            self._measures.requests.labels(operation, met.value).inc()
            self.state.saw(met)
            raise VaultAway(met)
        self.state.saw(Condition.SLOW if seconds > SLOW_SECONDS else Condition.UP)
        if met.status == HTTPStatus.FORBIDDEN:
            self._measures.requests.labels(operation, "refused").inc()
            raise VaultRefused("Vault does not allow this")
        self._measures.requests.labels(operation, "ok" if met.is_ok else "rejected").inc()
        return met

    async def close(self) -> None:
        """Close every connection; nobody waits for an answer any more."""
        tasks = (*self._under_way, *self._ending)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        await self._http.aclose()


def _read(ca_file: Path) -> bytes:
    try:
        return ca_file.read_bytes()
    except OSError as error:
        raise KeyringFault(f"{ca_file}: {type(error).__name__}") from None


async def _end(former: httpx.AsyncClient) -> None:
    """Close it once the last request that was given to it has ended; at once if cancelled."""
    try:
        await asyncio.sleep(REQUEST_SECONDS)
    finally:
        await former.aclose()


def encoded(data: bytes) -> str:
    """Base64, as Vault has it."""
    return base64.b64encode(data).decode()


def _condition(status: int, data: bytearray) -> Condition | None:
    """What an answer says of Vault itself; None: it answered the request."""
    if status == HTTPStatus.SERVICE_UNAVAILABLE and _SEALED in data:
        return Condition.SEALED
    if status in _STANDBY:
        return Condition.STANDBY
    if status == HTTPStatus.TOO_MANY_REQUESTS:
        return Condition.BUSY
    is_asked = HTTPStatus.BAD_REQUEST <= status < HTTPStatus.INTERNAL_SERVER_ERROR
    is_asked |= status == HTTPStatus.INTERNAL_SERVER_ERROR and _NOT_THIS_VERSION in data
    return None if is_asked or status < HTTPStatus.MULTIPLE_CHOICES else Condition.FAILING


def _unix_s(date: str) -> float | None:
    """An HTTP date; None where it is none."""
    try:
        return parsedate_to_datetime(date).timestamp()
    except (ValueError, OverflowError):
        return None
