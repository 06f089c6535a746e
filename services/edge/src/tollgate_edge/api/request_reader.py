"""The strict reading of bodies: small ones here, large ones in a process of their own.

Owns that process. Promises: the event loop never stands still for a large body (orjson and re hold
the GIL, so a thread would not help); one large body is read at a time, the smallest first; a
reader that died is replaced, and a body that kills it is not read. Ends with its parent.
"""

import asyncio
import contextlib
import heapq
import itertools
import os
import pickle
import struct
import subprocess
import sys
import threading
from collections.abc import AsyncIterator, Callable
from typing import IO, TypeAlias, TypeVar

import orjson

from tollgate_dialects.common.protocol import Protocol
from tollgate_dialects.registry import DIALECTS
from tollgate_dialects.request import close_bound
from tollgate_dialects.request import request as requests
from tollgate_dialects.request.close_bound import CloseBound
from tollgate_dialects.request.rules import IN_THE_BODY, RequestRules, Told
from tollgate_dialects.tokens import calibration as calibrations
from tollgate_dialects.tokens.calibration import Calibration

# Read in under a millisecond (docs/adr/0021); above it the way to the other process is cheaper.
LARGE_BYTES = 256 * 1024
# Tokens are counted in under a millisecond.
LARGE_TEXT_BYTES = 8 * 1024
# Above what the largest body takes on a busy machine.
READ_SECONDS = 10.0
# The bytes of what is known beside a body and of the body; its protocol, what is to be done.
_HEAD = struct.Struct("<QQBB")
_LENGTH = struct.Struct("<Q")
_PROTOCOLS = tuple(Protocol)
T = TypeVar("T")
Work: TypeAlias = Callable[..., T]


def _read_body(body: bytes, rules: RequestRules, *told: str | bool | None) -> requests.RequestFacts:
    return requests.read(body, rules, Told(*told))  # type: ignore[arg-type]


def _count_body(body: bytes, rules: RequestRules, *told: str | bool | None) -> requests.Count:
    return requests.count(body, rules, Told(*told))  # type: ignore[arg-type]


def _count_tokens(body: bytes, rules: RequestRules, word: str) -> CloseBound:
    return close_bound.count(body, rules, calibrations.BY_WORD[word])


_WORK = (_read_body, _count_body, _count_tokens)


class ReaderLost(Exception):  # noqa: N818 - it is what happened
    """The process that reads large bodies gave no answer."""


class RequestReader:
    """Reads bodies, one large one at a time."""

    def __init__(self) -> None:
        self._child: subprocess.Popen[bytes] | None = None
        self._pipes = threading.Lock()
        self._busy = False
        self._waiting: list[tuple[int, int, asyncio.Future[None]]] = []
        self._numbers = itertools.count()

    async def read(
        self, body: bytes, protocol: Protocol, told: Told = IN_THE_BODY
    ) -> requests.RequestFacts:
        """As tollgate_dialects.request.request.read. Raises BadRequest, ReaderLost."""
        if len(body) <= LARGE_BYTES:
            return requests.read(body, DIALECTS[protocol].request, told)
        return await self._elsewhere(_read_body, body, protocol, told)

    async def count(
        self, body: bytes, protocol: Protocol, told: Told = IN_THE_BODY
    ) -> requests.Count:
        """As tollgate_dialects.request.request.count. Raises BadRequest, ReaderLost."""
        if len(body) <= LARGE_BYTES:
            return requests.count(body, DIALECTS[protocol].request, told)
        return await self._elsewhere(_count_body, body, protocol, told)

    async def close_bound(
        self, body: bytes, protocol: Protocol, calibration: Calibration
    ) -> CloseBound:
        """As tollgate_dialects.request.close_bound.count. Raises ReaderLost."""
        if len(body) <= LARGE_TEXT_BYTES:
            return close_bound.count(body, DIALECTS[protocol].request, calibration)
        return await self._elsewhere(_count_tokens, body, protocol, (calibration.word,))

    async def _elsewhere(
        self, work: Work[T], body: bytes, protocol: Protocol, beside: tuple[str | bool | None, ...]
    ) -> T:
        async with self._turn(len(body)):
            try:
                async with asyncio.timeout(READ_SECONDS):
                    result = await asyncio.to_thread(self._ask, work, body, protocol, beside)
            except (OSError, EOFError):  # a TimeoutError is an OSError
                self.close()
                raise ReaderLost from None
        if isinstance(result, requests.BadRequest):
            raise result
        return result

    def close(self) -> None:
        """End the process; the next large body starts another."""
        child, self._child = self._child, None
        if child is not None:
            child.kill()
            with self._pipes:  # who uses them sees their end now
                _end(child)

    @contextlib.asynccontextmanager
    async def _turn(self, size: int) -> AsyncIterator[None]:
        """Wait for the reader. How many may wait is bounded by the bytes that bodies may have."""
        if self._busy:
            turn = asyncio.get_running_loop().create_future()
            heapq.heappush(self._waiting, (size, next(self._numbers), turn))
            try:
                await turn
            except asyncio.CancelledError:
                if turn.done() and not turn.cancelled():
                    self._next()
                raise
        self._busy = True
        try:
            yield
        finally:
            self._next()

    def _next(self) -> None:
        while self._waiting:
            _, _, turn = heapq.heappop(self._waiting)
            if not turn.done():
                turn.set_result(None)  # the reader stays busy for it
                return
        self._busy = False

    def _ask(
        self, work: Work[T], body: bytes, protocol: Protocol, beside: tuple[str | bool | None, ...]
    ) -> T | requests.BadRequest:
        """In a thread: whole writes and reads let the loop run. Raises OSError, EOFError."""
        with self._pipes:
            child = self._child
            if child is not None and child.poll() is not None:
                _end(child)
                child = None
            if child is None:
                child = self._child = _start()
            assert child.stdin is not None
            assert child.stdout is not None
            known = orjson.dumps(list(beside))
            numbers = _PROTOCOLS.index(protocol), _WORK.index(work)
            _write(child.stdin, _HEAD.pack(len(known), len(body), *numbers) + known)
            _write(child.stdin, body)
            answer = _read(child.stdout, *_LENGTH.unpack(_read(child.stdout, _LENGTH.size)))
        result: T | None
        result, arguments, state = pickle.loads(answer)  # noqa: S301 - our own process wrote it
        if result is not None:
            return result
        bad = requests.BadRequest.__new__(requests.BadRequest, *arguments)
        vars(bad).update(state)
        return bad


def _start() -> "subprocess.Popen[bytes]":
    # A session of its own: signals of a terminal are its parent's to act on.
    return subprocess.Popen(
        (sys.executable, "-m", "tollgate_edge.api.request_reader"),
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        bufsize=0,
        start_new_session=True,
    )


def _end(child: "subprocess.Popen[bytes]") -> None:
    child.wait()
    for pipe in (child.stdin, child.stdout):
        if pipe is not None:
            pipe.close()


def _write(pipe: IO[bytes], data: bytes) -> None:
    left = memoryview(data)
    while left:
        left = left[os.write(pipe.fileno(), left) :]


def _read(pipe: IO[bytes], count: int) -> bytes:
    """So many bytes. Raises EOFError when the other side has gone."""
    data = bytearray()
    while len(data) < count:
        part = os.read(pipe.fileno(), count - len(data))
        if not part:
            raise EOFError
        data += part
    return bytes(data)


def serve(bodies: IO[bytes], answers: IO[bytes]) -> None:
    """The other process: bodies in, facts out, until the parent is gone."""
    with contextlib.suppress(BrokenPipeError):
        while len(head := bodies.read(_HEAD.size)) == _HEAD.size:
            known_length, length, protocol, work = _HEAD.unpack(head)
            known = bodies.read(known_length)
            body = bodies.read(length)
            if len(body) < length:
                return
            rules = DIALECTS[_PROTOCOLS[protocol]].request
            try:
                result = _WORK[work](body, rules, *orjson.loads(known))
                data = pickle.dumps((result, (), {}))
            except requests.BadRequest as bad:
                data = pickle.dumps((None, bad.args, vars(bad)))
            del body
            _write(answers, _LENGTH.pack(len(data)) + data)


if __name__ == "__main__":
    serve(sys.stdin.buffer, sys.stdout.buffer)
