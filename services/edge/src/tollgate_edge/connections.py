"""The open connections: each client address within its share, and idle ones make way.

Owns who is let in. Promises: one address never holds more than its share, however it uses it; at
a limit the connection that has been idle for the longest is closed for the new one, so that idle
sockets keep nobody out. A trusted proxy speaks for many clients and has no share.
"""

import resource
from collections.abc import Sequence
from typing import Protocol

from tollgate_edge import client_address
from tollgate_edge.fair_shares import Full, Shares

# Files that are no client's connection: sessions, engines' sockets, logs.
_OTHER_FILES = 256


class Abortable(Protocol):
    """A connection, as far as this module needs it."""

    def abort(self) -> None:
        """Close it now."""


class Connections:
    """Every connection of the listener, from its accept to its end."""

    def __init__(self, shares: Shares, trusted_proxies: Sequence[client_address.Network]) -> None:
        self._shares = shares
        self._trusted = trusted_proxies
        self._holders: dict[Abortable, tuple[str, ...]] = {}
        # Without a request in hand, the longest idle first: all, and by holder.
        self._idle: dict[Abortable, None] = {}
        self._idle_of: dict[tuple[str, ...], dict[Abortable, None]] = {}

    def __len__(self) -> int:
        return len(self._holders)

    def opened(self, connection: Abortable, peer: str) -> bool:
        """Let it in, idle; False: there is no room, close it."""
        holders = self._holders_of(peer)
        while (full := self._shares.take(holders)) is not None:
            idle = self._idle if full is Full.ALL else self._idle_of.get(holders, {})
            oldest = next(iter(idle), None)
            if oldest is None:
                return False
            self.closed(oldest)
            oldest.abort()
        self._holders[connection] = holders
        self.idle(connection)
        return True

    def busy(self, connection: Abortable) -> None:
        """The head of a request has come."""
        if connection in self._idle:
            del self._idle[connection]
            holders = self._holders[connection]
            of_holder = self._idle_of[holders]
            del of_holder[connection]
            if not of_holder:
                del self._idle_of[holders]

    def idle(self, connection: Abortable) -> None:
        """Everything that came has been answered."""
        holders = self._holders.get(connection)
        if holders is not None:
            self._idle[connection] = None
            self._idle_of.setdefault(holders, {})[connection] = None

    def closed(self, connection: Abortable) -> None:
        """It is gone; said more than once, it counts once."""
        self.busy(connection)
        holders = self._holders.pop(connection, None)
        if holders is not None:
            self._shares.give(holders)

    def _holders_of(self, peer: str) -> tuple[str, ...]:
        if client_address.is_trusted(peer, self._trusted):
            return ()
        return (client_address.holder(peer),)


def possible(wanted: int) -> int:
    """So many connections this process can have, of those wanted: it asks for the files."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft != resource.RLIM_INFINITY and soft < wanted + _OTHER_FILES:
        soft = hard if hard != resource.RLIM_INFINITY else wanted + _OTHER_FILES
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    if soft == resource.RLIM_INFINITY:
        return wanted
    return max(1, min(wanted, soft - _OTHER_FILES))
