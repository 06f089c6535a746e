"""The public HTTP/1.1 listener: uvicorn's server, with connections of our own.

Owns the listening socket. Promises: an answer in flight at the stop is finished, for as long as the
stop may last.
"""

import asyncio
import contextlib
import socket
from collections.abc import Callable, Iterator
from typing import Any

import orjson
import uvicorn

from tollgate_edge.api.exchange import refusal_headers
from tollgate_edge.api.faces import openai_api
from tollgate_edge.config import ListenConfig
from tollgate_edge.errors import public_errors
from tollgate_edge.headers import answer_headers
from tollgate_edge.headers.answer_headers import Facts
from tollgate_edge.http.connections import Connections
from tollgate_edge.http.protocol import limited
from tollgate_kit.lifecycle import core_task

BACKLOG = 2048


class ListenRefused(Exception):  # noqa: N818 - it is what happened
    """The listener cannot be started."""


class _Server(uvicorn.Server):
    """uvicorn's server without its signal handlers: signals are the process's lifecycle's."""

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield


class HttpListener:
    """Serves one ASGI application."""

    def __init__(
        self,
        app: Any,
        config: ListenConfig,
        *,
        body_seconds: int,
        malformed: Callable[[], bytes],
        connections: Connections,
    ) -> None:
        self._config = config
        protocol = limited(
            config, body_seconds=body_seconds, malformed=malformed, connections=connections
        )
        self._server = _Server(
            uvicorn.Config(
                app,
                http=protocol,
                ws="none",
                lifespan="off",
                log_config=None,
                access_log=False,
                server_header=False,
                proxy_headers=False,
                timeout_keep_alive=config.keep_alive_seconds,
                timeout_graceful_shutdown=config.stop_seconds,
            )
        )
        self._serving: asyncio.Task[None] | None = None

    async def start(self) -> int:
        """Listen; the bound port. Raises ListenRefused."""
        host, _, port = self._config.listen.rpartition(":")
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        listening = socket.socket(family, socket.SOCK_STREAM)
        listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            listening.bind((host.strip("[]"), int(port)))
            listening.listen(BACKLOG)
        except OSError as error:
            listening.close()
            raise ListenRefused(
                f"cannot listen on {self._config.listen}: {error.strerror}"
            ) from None
        listening.setblocking(False)
        bound: int = listening.getsockname()[1]
        self._serving = core_task("listener", self._server.serve(sockets=[listening]))
        while not self._server.started and not self._serving.done():  # noqa: ASYNC110 - no event
            await asyncio.sleep(0.01)
        return bound

    async def stop(self) -> None:
        """Accept nothing more, finish what is in flight within the stop's time, cut the rest."""
        self._server.should_exit = True
        if self._serving is not None:
            await asyncio.gather(self._serving, return_exceptions=True)
        cut = self._server.server_state.tasks
        if cut:
            await asyncio.wait(cut, timeout=1)


def malformed_answer(trace_id: str) -> bytes:
    """The whole answer to bytes that are not HTTP/1.1."""
    refusal = public_errors.own("HTTP_MALFORMED")
    kind = openai_api.FACE.dialect.errors.kind(refusal.status)
    body = orjson.dumps(
        public_errors.body(refusal, kind=kind, trace_id=trace_id, request_id=trace_id)
    )
    headers = refusal_headers(refusal, Facts(trace_id=trace_id, request_id=trace_id))
    headers += [answer_headers.CLOSE, (b"content-length", b"%d" % len(body))]
    lines = [b"HTTP/1.1 %d Bad Request" % refusal.status, *(b"%b: %b" % pair for pair in headers)]
    return b"\r\n".join([*lines, b"", body])
