"""Keeps the newest catalogue in memory, so that the hot path does no SQL.

Promises: a change made by any replica is used here within POLL_SECONDS and one read; when the
store is away the last snapshot stays in use (providers and prices do not change without it).
"""

import asyncio

from tollgate_dialects.tokens import vocabulary
from tollgate_kit.logs import Log
from tollgate_kit.metrics import Metrics
from tollgate_router.providers import catalogue
from tollgate_router.providers.catalogue import Snapshot
from tollgate_router.providers.provider_keys import ProviderKeys
from tollgate_router.providers.store_postgres import PostgresStore
from tollgate_router.routing.routing import KeyHealth

POLL_SECONDS = 0.5


class CatalogueWatch:
    """Holds the snapshot and renews it."""

    def __init__(
        self,
        store: PostgresStore,
        keys: ProviderKeys,
        health: KeyHealth,
        allow_private: bool,  # noqa: FBT001 - the composition root names it
        *,
        log: Log,
        metrics: Metrics,
    ) -> None:
        self._store = store
        self._keys = keys
        self._health = health
        self._allow_private = allow_private
        self._log = log
        self._one_at_a_time = asyncio.Lock()
        self._away = False
        self._revision = metrics.gauge("catalogue_revision", "Revision of the catalogue in use.")
        self.snapshot: Snapshot = catalogue.build(
            revision=0, providers=(), prices=(), allow_private=allow_private
        )

    async def refresh(self) -> None:
        """Read the catalogue if it changed. Raises Failure STORE_UNAVAILABLE."""
        async with self._one_at_a_time:
            if await self._store.revision() == self.snapshot.revision:
                return
            rows = await self._store.load()
            snapshot = catalogue.build(
                revision=rows.revision,
                providers=rows.providers,
                prices=rows.prices,
                allow_private=self._allow_private,
            )
            for name in snapshot.barred:
                self._log.warning("provider.address_not_allowed", provider=name)
            if any(listed.calibration for listed in snapshot.models):
                vocabulary.load()
            self.snapshot = snapshot
            self._health.keep_only(snapshot.key_ids)
            self._keys.follow(snapshot.key_contexts)
            self._revision.set(snapshot.revision)
            self._log.info("catalogue.loaded", revision=snapshot.revision)

    async def run(self) -> None:
        """Poll until cancelled; also drops opened keys whose minute is over."""
        while True:
            await asyncio.sleep(POLL_SECONDS)
            self._keys.sweep()
            try:
                await self.refresh()
            except Exception as error:  # noqa: BLE001 - the poll outlives whatever is wrong
                if not self._away:
                    self._log.exception("catalogue.not_renewed", error)
                self._away = True
            else:
                self._away = False
