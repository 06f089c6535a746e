"""Consumes authz's revocation stream: drops cached grants, and says when it was last heard.

Promises: the cache is told of a heartbeat only when a message arrived; after a break the stream
resumes where it was, and whatever cannot be resumed empties the cache.
"""

import asyncio
from collections.abc import AsyncGenerator
from typing import Any, cast

from tollgate.authz.v1 import authz_pb2
from tollgate_edge.identity.decision_cache import DecisionCache
from tollgate_edge.identity.identity import KeyGrant
from tollgate_kit.clock import Clock
from tollgate_kit.lifecycle import core_task
from tollgate_kit.logs import Log
from tollgate_kit.rpc import client as rpc_client
from tollgate_kit.rpc.failure import Failure

BACKOFF_SECONDS = (0.05, 0.1, 0.25, 0.5, 1.0)
# Twice the staleness bound: a stream this silent is dead, whatever its transport believes.
SILENCE_SECONDS = 3.0


class RevocationWatch:
    """The client of authz's WatchRevocations."""

    def __init__(
        self, watch: Any, cache: DecisionCache[KeyGrant], *, clock: Clock, log: Log
    ) -> None:
        self._watch = watch
        self._cache = cache
        self._clock = clock
        self._log = log
        # 0: start at the current revision.
        self._revision = 0
        self._listener: asyncio.Task[None] | None = None

    async def start(self) -> None:
        """Begin listening."""
        self._listener = core_task("revocations", self._listen())

    async def close(self) -> None:
        """Stop listening; the cache goes stale by itself."""
        if self._listener is not None:
            self._listener.cancel()
            await asyncio.gather(self._listener, return_exceptions=True)

    async def _listen(self) -> None:
        failures = 0
        while True:
            try:
                heard = await self._follow()
            except (Failure, TimeoutError) as error:
                heard = False
                self._log.warning("revocations.broken", error=type(error).__name__)
            failures = 0 if heard else failures + 1
            await asyncio.sleep(BACKOFF_SECONDS[min(failures, len(BACKOFF_SECONDS) - 1)])

    async def _follow(self) -> bool:
        """Follow one stream to its end; True if it said anything."""
        heard = False
        request = authz_pb2.WatchRevocationsRequest(after_revision=self._revision)
        messages = cast("AsyncGenerator[Any, None]", rpc_client.stream(self._watch, request, None))
        try:
            while True:
                async with asyncio.timeout(SILENCE_SECONDS):
                    message = await anext(messages, None)
                if message is None:
                    return heard
                # A stream from the current revision on says nothing of what changed before it.
                self._apply(message, gap=not heard and not request.after_revision)
                heard = True
        finally:
            await messages.aclose()

    def _apply(self, message: Any, *, gap: bool) -> None:
        if message.drop_all or gap:
            self._cache.drop_all(message.through_revision)
        elif message.key_ids or message.tenant_ids:
            self._cache.drop(
                key_ids=message.key_ids,
                tenant_ids=message.tenant_ids,
                through_revision=message.through_revision,
            )
        self._revision = message.through_revision
        self._cache.heard(self._clock.monotonic())
