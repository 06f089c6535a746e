"""Connections to upstreams, kept for the next call: bounded in all and for each origin."""

import asyncio
import contextlib
import os
import socket
import ssl
from collections import deque

import aiohappyeyeballs

from tollgate_router.providers.request_head import Origin
from tollgate_router.upstream.address import Addresses, AddressInfo, NotAllowed
from tollgate_router.upstream.connection import Connection
from tollgate_router.upstream.fault import Fault, Unreached, UpstreamFault

# Shorter than what vendors keep one for. Whoever ends one sooner is seen to (is_quiet), but for an
# end that is on its way while the request is.
KEEP_IDLE_SECONDS = 15.0
# RFC 8305: between two addresses of a name.
HAPPY_EYEBALLS_SECONDS = 0.25


# The first that fits; all but ValueError are OSErrors.
_UNREACHED = (
    (ssl.SSLCertVerificationError, Unreached.CERTIFICATE),
    (ssl.SSLError, Unreached.TLS),
    (socket.gaierror, Unreached.NAME),
    (NotAllowed, Unreached.NOT_ALLOWED),
    (ConnectionRefusedError, Unreached.REFUSED),
    (TimeoutError, Unreached.TIMEOUT),
    (ConnectionError, Unreached.CLOSED),
    (ValueError, Unreached.NAME),  # one that cannot be asked for
)
_NO_WAY = Unreached.UNREACHABLE


class _Turns(asyncio.Semaphore):
    """One that need not be awaited where it is free."""

    def take_now(self) -> bool:
        """Take a turn that is free and that nobody waits for; False: it must be acquired."""
        if self._value == 0 or self._waiters:
            return False
        self._value -= 1
        return True


class _Place:
    """The connections of one origin. Newest first: the others come of age."""

    def __init__(self, connections_max: int) -> None:
        self.turns = _Turns(connections_max)
        self.idle: deque[Connection] = deque()


class Pool:
    """Lends connections. Made and closed inside the running loop."""

    def __init__(
        self,
        addresses: Addresses,
        *,
        connections_max: int,
        connections_per_origin_max: int,
        connect_s: float,
    ) -> None:
        self._addresses = addresses
        self._loop = asyncio.get_running_loop()
        self._connections_max = connections_max
        self._per_origin_max = connections_per_origin_max
        self._connect_s = connect_s
        self._turns = _Turns(connections_max)
        # As many as providers have had origins since the start.
        self._places: dict[Origin, _Place] = {}
        self._open: dict[Connection, _Place] = {}
        self._connecting = 0
        self._closed = False
        self._sweep: asyncio.TimerHandle | None = None
        self._tls = _trust()

    def close(self) -> None:
        """Close every connection."""
        self._closed = True
        self._addresses.close()
        if self._sweep is not None:
            self._sweep.cancel()
        for connection in list(self._open):
            connection.abort()

    async def take(self, origin: Origin) -> Connection:
        """A connection for one request. Raises UpstreamFault, CONNECT: nothing was sent."""
        if self._closed:
            raise UpstreamFault(Fault.CONNECT)
        place = self._places.get(origin)
        if place is None:
            place = self._places[origin] = _Place(self._per_origin_max)
        if place.idle and place.turns.take_now():
            if self._turns.take_now():
                connection = self._newest(place)
                if connection is not None:
                    return connection
                self._turns.release()
            place.turns.release()
        try:
            async with asyncio.timeout(self._connect_s):
                return await self._wait(origin, place)
        except (OSError, ValueError) as error:
            unreached = _unreached(error)
        # Out here, so that the error is no part of it.
        raise UpstreamFault(Fault.CONNECT, unreached)

    async def _wait(self, origin: Origin, place: _Place) -> Connection:
        await place.turns.acquire()
        try:
            await self._turns.acquire()
        except BaseException:
            place.turns.release()
            raise
        try:
            return self._newest(place) or await self._connect(origin, place)
        except BaseException:
            self._give_turn_back(place)
            raise

    def _newest(self, place: _Place) -> Connection | None:
        """A connection that was idle; None when there is none that can be used."""
        oldest = self._loop.time() - KEEP_IDLE_SECONDS
        while place.idle:
            connection = place.idle.pop()
            if connection.idle_since > oldest and connection.is_quiet:
                return connection
            connection.abort()
        return None

    async def _connect(self, origin: Origin, place: _Place) -> Connection:
        found = await self._addresses.resolve(origin.host, origin.port)
        while len(self._open) + self._connecting >= self._connections_max and self._close_oldest():
            pass
        self._connecting += 1
        try:
            connection = await self._connected(origin, found)
        except BaseException:
            self._addresses.forget(origin.host, origin.port)  # it may have moved
            raise
        finally:
            self._connecting -= 1
        self._open[connection] = place
        if self._closed or not connection.is_reusable:
            # Who speaks before anything was asked for is no HTTP server.
            connection.abort()
            raise ConnectionAbortedError
        return connection

    async def _connected(self, origin: Origin, found: list[AddressInfo]) -> Connection:
        sock: socket.socket = await aiohappyeyeballs.start_connection(
            found, happy_eyeballs_delay=HAPPY_EYEBALLS_SECONDS, interleave=1, loop=self._loop
        )
        # The socket is the transport's from here on, also if this is cancelled.
        _, connection = await self._loop.create_connection(
            lambda: Connection(self._loop, done=self._done, lost=self._lost),
            sock=sock,
            ssl=self._tls if origin.scheme == "https" else None,
            server_hostname=origin.host if origin.scheme == "https" else None,
        )
        return connection

    def _close_oldest(self) -> bool:
        idle = [place.idle for place in self._places.values() if place.idle]
        if not idle:
            return False
        oldest = min(idle, key=lambda connections: connections[0].idle_since).popleft()
        self._open.pop(oldest, None)
        oldest.abort()
        return True

    def _done(self, connection: Connection) -> None:
        """A request's turn is over: the next may have its connection."""
        place = self._open.get(connection)
        if place is None:
            return
        if connection.is_reusable:
            connection.idle_since = self._loop.time()
            place.idle.append(connection)
            if self._sweep is None:
                self._sweep = self._loop.call_later(KEEP_IDLE_SECONDS, self._close_idle)
        else:
            connection.abort()
        self._give_turn_back(place)

    def _lost(self, connection: Connection) -> None:
        place = self._open.pop(connection, None)
        if place is not None:
            with contextlib.suppress(ValueError):
                place.idle.remove(connection)

    def _give_turn_back(self, place: _Place) -> None:
        self._turns.release()
        place.turns.release()

    def _close_idle(self) -> None:
        """Close what has been idle for too long; again while there is any."""
        self._sweep = None
        oldest = self._loop.time() - KEEP_IDLE_SECONDS
        for place in self._places.values():
            while place.idle and place.idle[0].idle_since <= oldest:
                place.idle.popleft().abort()
        if any(place.idle for place in self._places.values()):
            self._sweep = self._loop.call_later(KEEP_IDLE_SECONDS, self._close_idle)


def _unreached(error: Exception) -> Unreached:
    """The word for it. Nothing else of the error is told: it may quote the other side."""
    return next((word for kind, word in _UNREACHED if isinstance(error, kind)), _NO_WAY)


def _trust() -> ssl.SSLContext:
    """TLS to upstreams: the system's authorities, or those of SSL_CERT_FILE and SSL_CERT_DIR.

    Raises OSError for a file that holds none: OpenSSL alone says nothing, and then trusts nobody.
    """
    context = ssl.create_default_context()
    context.set_alpn_protocols(["http/1.1"])
    file = os.environ.get("SSL_CERT_FILE")
    if file is not None:
        try:
            context.load_verify_locations(cafile=file)
        except OSError as error:
            raise OSError(f"SSL_CERT_FILE ({file!r}) holds no certificate: {error}") from None
    return context
