"""Steady load on a suite from a thread of its own, remembering what each call saw."""

import asyncio
import dataclasses
import itertools
import threading
import time
from collections.abc import Sequence

import httpx

from tests.live import OPENAI, PATHS


@dataclasses.dataclass
class Seen:
    """What one client saw of one call."""

    started: float
    status: int = 0  # 0: no answer at all
    trace_id: str = ""
    got_bytes: bool = False
    complete: bool = False


class Load:
    """Closed-loop clients; half of the calls are streams. Stops on leaving the block."""

    def __init__(self, urls: Sequence[str], key: str, model: str, *, clients: int = 8) -> None:
        self._urls = itertools.cycle(urls)
        self._key = key
        self._model = model
        self._clients = clients
        self._stop = threading.Event()
        self._thread = threading.Thread(target=lambda: asyncio.run(self._run()))
        self.seen: list[Seen] = []

    def __enter__(self) -> "Load":  # noqa: PYI034 - not meant to be subclassed
        self._thread.start()
        return self

    def __exit__(self, *exc: object) -> None:
        self._stop.set()
        self._thread.join(60)
        assert not self._thread.is_alive(), "a call never ended"

    def good_since(self, moment: float) -> bool:
        """True when a call that started after the moment went well."""
        return any(s.complete and s.status == 200 and s.started > moment for s in self.seen[-500:])

    async def _run(self) -> None:
        limits = httpx.Limits(max_connections=None, max_keepalive_connections=20)
        async with httpx.AsyncClient(timeout=20, limits=limits) as client:
            await asyncio.gather(*(self._client(client, n) for n in range(self._clients)))

    async def _client(self, client: httpx.AsyncClient, number: int) -> None:
        for turn in itertools.count():
            if self._stop.is_set():
                return
            seen = Seen(time.monotonic())
            self.seen.append(seen)
            try:
                await self._call(client, seen, stream=(turn + number) % 2 == 0)
            except httpx.HTTPError:
                await asyncio.sleep(0.05)
            if seen.status >= 500:
                await asyncio.sleep(0.05)

    async def _call(self, client: httpx.AsyncClient, seen: Seen, *, stream: bool) -> None:
        body = {"model": self._model, "stream": stream, "max_tokens": 20,
                "messages": [{"role": "user", "content": "hello"}]}  # fmt: skip
        async with client.stream(
            "POST",
            next(self._urls) + PATHS[OPENAI],
            json=body,
            headers={"authorization": f"Bearer {self._key}"},
        ) as answer:
            seen.status = answer.status_code
            seen.trace_id = answer.headers.get("x-request-id", "")
            whole = b""
            async for part in answer.aiter_raw():
                seen.got_bytes = seen.got_bytes or bool(part)
                whole += part
            seen.complete = not stream or b"[DONE]" in whole
