"""The open connections: each client address within its share, and idle ones make way.

Owns who is let in. Promises: one address never has more than its share to call with; at its limit
the connection that has been idle for the longest leaves the share for the new one, so that idle
sockets keep nobody out. What has left is closed a moment later, or at once for somebody who needs
the room: who opens closed sockets again and again does so at a pace that costs little. A trusted
proxy speaks for many clients and has no share.
"""

import resource
from collections.abc import Callable, Sequence
from typing import Protocol, TypeAlias

from tollgate_edge.headers import client_address
from tollgate_edge.limits.fair_shares import Full, Shares

# For how long a connection without a share may stay, and how far the ends of many are apart.
LEAVE_SECONDS = 1.0
_SPREAD = 16
# Files that are no client's connection: sessions, engines' sockets, logs.
_OTHER_FILES = 256


# Calls something so many seconds later.
Later: TypeAlias = Callable[[float, Callable[[], None]], object]


class Abortable(Protocol):
    """A connection, as far as this module needs it."""

    def abort(self) -> None:
        """Close it now."""


class Connections:
    """Every connection of the listener, from its accept to its end."""

    def __init__(
        self, shares: Shares, trusted_proxies: Sequence[client_address.Network], later: Later
    ) -> None:
        self._shares = shares
        self._trusted = trusted_proxies
        self._later = later
        self._holders: dict[Abortable, tuple[str, ...]] = {}
        # Without a request in hand, the longest idle first: all, and by holder.
        self._idle: dict[Abortable, None] = {}
        self._idle_of: dict[tuple[str, ...], dict[Abortable, None]] = {}
        # Idle and out of their holder's share: counted in the total alone.
        self._leaving: dict[Abortable, tuple[str, ...]] = {}
        # The number of its leave: one that came back and leaves again has its time again.
        self._leave_of: dict[Abortable, int] = {}
        self._left = 0

    def __len__(self) -> int:
        return len(self._holders)

    def opened(self, connection: Abortable, peer: str) -> bool:
        """Let it in, idle; False: there is no room, close it."""
        holders = self._holders_of(peer)
        if not self._enter(holders):
            return False
        self._holders[connection] = holders
        self.idle(connection)
        return True

    def busy(self, connection: Abortable) -> bool:
        """The head of a request has come; False: there is no room any more, close it."""
        if connection in self._leaving:
            holders = self._leaving[connection]
            self.closed(connection)
            if not self._enter(holders):
                return False
            self._holders[connection] = holders
        else:
            self._forget_idle(connection)
        return True

    def idle(self, connection: Abortable) -> None:
        """Everything that came has been answered."""
        holders = self._holders.get(connection)
        if holders is not None and connection not in self._leaving:
            self._idle[connection] = None
            self._idle_of.setdefault(holders, {})[connection] = None

    def closed(self, connection: Abortable) -> None:
        """It is gone; said more than once, it counts once."""
        self._forget_idle(connection)
        self._leaving.pop(connection, None)
        self._leave_of.pop(connection, None)
        holders = self._holders.pop(connection, None)
        if holders is not None:
            self._shares.give(holders)

    def _enter(self, holders: tuple[str, ...]) -> bool:
        """Take a place, for which others that are idle make way."""
        while (full := self._shares.take(holders)) is not None:
            idle = (
                self._idle_of.get(holders, {}) if full is Full.OWN else self._leaving or self._idle
            )
            oldest = next(iter(idle), None)
            if oldest is None:
                return False
            if full is Full.OWN:
                self._leave(oldest)
            else:
                self._drop(oldest)
        return True

    def _leave(self, connection: Abortable) -> None:
        holders = self._holders[connection]
        self.closed(connection)
        full = self._shares.take(())
        assert full is None, "its own place was given back"
        self._holders[connection] = ()
        self._leaving[connection] = holders
        self._left += 1
        number = self._leave_of[connection] = self._left
        seconds = LEAVE_SECONDS * (1 + self._left % _SPREAD / _SPREAD)
        self._later(seconds, lambda: self._end(connection, number))

    def _end(self, connection: Abortable, number: int) -> None:
        if self._leave_of.get(connection) == number:
            self._drop(connection)

    def _drop(self, connection: Abortable) -> None:
        self.closed(connection)
        connection.abort()

    def _forget_idle(self, connection: Abortable) -> None:
        if connection in self._idle:
            del self._idle[connection]
            holders = self._holders[connection]
            of_holder = self._idle_of[holders]
            del of_holder[connection]
            if not of_holder:
                del self._idle_of[holders]

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
