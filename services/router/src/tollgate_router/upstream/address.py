"""Name resolution for egress: a provider's name must resolve to where providers may be."""

import ipaddress
import socket

from aiohttp.abc import AbstractResolver, ResolveResult
from aiohttp.resolver import ThreadedResolver

from tollgate_router.providers import base_url


class GuardedResolver(AbstractResolver):
    """Resolves by the system and drops every address that base_url does not allow.

    The check and the connection use the same answer, so that a name cannot be moved in between.
    """

    def __init__(self, *, allow_private: bool) -> None:
        self._allow_private = allow_private
        self._system = ThreadedResolver()

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_INET
    ) -> list[ResolveResult]:
        found = await self._system.resolve(host, port, family)
        allowed = [
            answer
            for answer in found
            if base_url.may_connect(
                ipaddress.ip_address(answer["host"].partition("%")[0]),
                allow_private=self._allow_private,
            )
        ]
        if not allowed:
            raise OSError(None, "no address of the name is allowed")
        return allowed

    async def close(self) -> None:
        await self._system.close()
