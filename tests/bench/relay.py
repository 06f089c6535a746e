"""A bare relay on the edge's HTTP stack: uvicorn, uvloop, httptools, raw ASGI, aiohttp.

`python -m tests.bench.relay --port N --upstream URL`. It governs nothing: what the suite costs
beyond this row is the price of the red lines (and of the processes that keep them apart).
"""

import argparse
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any

import aiohttp
import uvicorn

_Message = MutableMapping[str, Any]
_HEADERS = {"content-type": "application/json", "authorization": "Bearer upstream-key"}


class Relay:
    """An ASGI application that sends a POST on and its answer back."""

    def __init__(self, upstream: str) -> None:
        self._upstream = upstream
        self._session: aiohttp.ClientSession | None = None

    async def __call__(
        self,
        scope: _Message,
        receive: Callable[[], Awaitable[_Message]],
        send: Callable[[_Message], Awaitable[None]],
    ) -> None:
        body = await _read(receive)
        async with self._client().post(
            self._upstream + scope["path"], data=body, headers=_HEADERS
        ) as answer:
            kind = answer.headers.get("content-type", "")
            headers = [(b"content-type", kind.encode())]
            start = {"type": "http.response.start", "status": answer.status, "headers": headers}
            if not kind.startswith("text/event-stream"):
                whole = await answer.read()
                headers.append((b"content-length", b"%d" % len(whole)))
                await send(start)
                await send({"type": "http.response.body", "body": whole})
                return
            await send(start)
            async for part in answer.content.iter_any():
                await send({"type": "http.response.body", "body": part, "more_body": True})
            await send({"type": "http.response.body", "body": b""})

    def _client(self) -> aiohttp.ClientSession:
        # Made on the first call: a session belongs to the loop that runs.
        if self._session is None:
            self._session = aiohttp.ClientSession(
                connector=aiohttp.TCPConnector(limit=0),
                timeout=aiohttp.ClientTimeout(total=60),
                cookie_jar=aiohttp.DummyCookieJar(),
                auto_decompress=False,
            )
        return self._session


async def _read(receive: Callable[[], Awaitable[_Message]]) -> bytes:
    parts = []
    while True:
        message = await receive()
        parts.append(message.get("body", b""))
        if not message.get("more_body"):
            return b"".join(parts)


def _serve(port: int, upstream: str) -> None:
    uvicorn.run(
        Relay(upstream),
        host="127.0.0.1",
        port=port,
        loop="uvloop",
        http="httptools",
        ws="none",
        lifespan="off",
        access_log=False,
        log_level="warning",
    )


if __name__ == "__main__":
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("--port", type=int, required=True)
    arguments.add_argument("--upstream", required=True)
    given = arguments.parse_args()
    _serve(given.port, given.upstream)
