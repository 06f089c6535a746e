"""Name resolution for egress: a provider's name must resolve to where providers may be."""

import asyncio
import ipaddress
import socket
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import Any

from tollgate_router.providers import base_url

# As long as a name's addresses are believed; providers move behind names with short lives.
KEEP_SECONDS = 30.0

# Names asked for at once, one thread each: one provider's slow name does not hold up the others'.
NAMES_AT_ONCE = 32


class NotAllowed(OSError):  # noqa: N818 - it is what it is
    """No provider may be at any of a name's addresses."""


# What getaddrinfo gives, and aiohappyeyeballs takes.
AddressInfo = tuple[int, int, int, str, tuple[Any, ...]]


class Addresses:
    """Resolves by the system and drops every address that base_url does not allow.

    The check and the connection use the same answer, so that a name cannot be moved in between.
    """

    def __init__(self, *, allow_private: bool) -> None:
        self._allow_private = allow_private
        # Names and ports of providers: as many as they have had since the start.
        self._known: dict[tuple[str, int], tuple[float, list[AddressInfo]]] = {}
        self._threads = ThreadPoolExecutor(NAMES_AT_ONCE, "resolve")
        self._asking: dict[tuple[str, int], asyncio.Task[list[AddressInfo]]] = {}

    async def resolve(self, host: str, port: int) -> list[AddressInfo]:
        """Where a name's server may be reached. Raises OSError; OSError, too, if nowhere."""
        loop = asyncio.get_running_loop()
        known = self._known.get((host, port))
        if known is not None and known[0] > loop.time():
            return known[1]
        asking = self._asking.get((host, port))
        if asking is None:
            asking = self._asking[host, port] = loop.create_task(self._ask(host, port))
        # Shared by all who come meanwhile: who leaves does not end it for the others.
        return await asyncio.shield(asking)

    async def _ask(self, host: str, port: int) -> list[AddressInfo]:
        loop = asyncio.get_running_loop()
        try:
            ask = partial(socket.getaddrinfo, host, port, type=socket.SOCK_STREAM)
            found = await loop.run_in_executor(self._threads, ask)
            allowed: list[AddressInfo] = [
                (family, kind, proto, "", where)
                for family, kind, proto, _, where in found
                if base_url.may_connect(
                    ipaddress.ip_address(str(where[0]).partition("%")[0]),
                    allow_private=self._allow_private,
                )
            ]
            if not allowed:
                raise NotAllowed
            self._known[host, port] = (loop.time() + KEEP_SECONDS, allowed)
            return allowed
        finally:
            del self._asking[host, port]

    def forget(self, host: str, port: int) -> None:
        """Ask again next time."""
        self._known.pop((host, port), None)

    def close(self) -> None:
        """Ask nothing more; does not wait for answers."""
        self._threads.shutdown(wait=False, cancel_futures=True)
