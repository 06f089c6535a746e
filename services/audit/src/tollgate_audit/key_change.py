"""Goes over to another key of the log while the log goes on, and tells verifiers.

Promises: the change is an entry, and the checkpoint over it has the signatures of both keys;
verifiers get the new key's line only when the newest checkpoint has its signature; a reload is done
when that is so, and when no entry waits whose mark hangs on a key that may go next.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable
from pathlib import Path

from tollgate_audit.config import AuditConfig
from tollgate_audit.log.entry import PreparedEntry, build_leaf
from tollgate_audit.log.entry_mac import EntryMac
from tollgate_audit.log.sequencer import Appended, AppendOutcome, Submission
from tollgate_audit.log.signer import KEYRING_KEY, Signer
from tollgate_audit.log.store_postgres import CommitUnknown, PostgresStore, StoreUnavailable
from tollgate_audit.worm.base import Worm, WormFault
from tollgate_kit import canonical
from tollgate_kit.clock import Clock
from tollgate_kit.ids import Ids
from tollgate_kit.keyring.base import Keyring
from tollgate_kit.logs import Log
from tollgate_kit.work_queue import Full
from tollgate_tlog import checkpoint, ed25519
from tollgate_tlog.checkpoint import Checkpoint
from tollgate_tlog.note import VerifierKey

KIND = "LOG_KEY_CHANGED"  # audit's own: nobody may append it
_POLL_SECONDS = 0.05
_START_SECONDS = 10.0
_RELOAD_SECONDS = 25.0  # less than a reload has


class KeyLost(Exception):  # noqa: N818 - it is what was found
    """The configuration lacks a key that is still needed: which, and what to do."""


class NotPublished(Exception):  # noqa: N818 - it is what happened
    """The change is not published yet: a further SIGHUP waits for it again."""


async def signer_of(keyring: Keyring, config: AuditConfig) -> Signer:
    """The signer that a configuration says. Raises KeyringFault, NoteError."""
    versions = config.keyring.versions_of(KEYRING_KEY)
    former = config.log.known_formerly()
    return await Signer.open(keyring, config.log.origin, former, versions=versions)


class KeyChange:
    """Changes the keys of one process's signer and marks."""

    def __init__(
        self,
        signer: Signer,
        mac: EntryMac,
        store: PostgresStore,
        submit: Callable[[Submission], asyncio.Future[AppendOutcome]],
        worm: Worm,
        *,
        clock: Clock,
        log: Log,
    ) -> None:
        self._signer = signer
        self._mac = mac
        self._store = store
        self._submit = submit
        self._worm = worm
        self._ids = Ids(clock)
        self._clock = clock
        self._log = log
        # The signer has a newest key that the log does not know of.
        self._is_untold = False

    async def begin(self, path: Path) -> None:
        """At the start: a key that signed nothing yet came by `rekey`, or a rotation was cut off.

        Never raises for what a SIGHUP can do later. Raises OSError.
        """
        if await self._newest(self._signer.known_keys[1:]) is None or await self._is_signed():
            await asyncio.to_thread(_show, path, self._signer.known_keys)
            return
        try:
            async with _bounded(_START_SECONDS):
                await self._told(path)
        except NotPublished as error:
            self._log.warning("log_key.not_told", error=error)

    async def take(self, keyring: Keyring, config: AuditConfig) -> None:
        """At SIGHUP. Raises KeyLost with nothing changed, KeyringFault, NotPublished, OSError."""
        anew = await signer_of(keyring, config)
        # What is not published yet was marked under it.
        if self._signer.verifier_key not in anew.signing_keys:
            raise self._refused("the newest key must stay beside a newer one until that has signed")
        lost = [key for key in self._signer.known_keys if key not in anew.known_keys]
        if lost:
            told = ", ".join(map(str, lost))
            raise self._refused(f"former_keys must have what signed before: {told}")
        mac = EntryMac(*await anew.secrets())
        async with _bounded(_RELOAD_SECONDS):
            if len(anew.signing_keys) < len(self._signer.signing_keys):
                # What waits may have its mark under the key that goes.
                await self._published(await self._store.size())
            self._is_untold |= anew.verifier_key != self._signer.verifier_key
            self._mac.take(mac)
            self._signer.take(anew)
            await self._told(config.log.verifier_key_path)

    def _refused(self, why: str) -> KeyLost:
        """Say it in the log, where the failed reload has its kind alone."""
        self._log.error("log_key.refused", why=why)
        return KeyLost(why)

    async def _told(self, path: Path) -> None:
        if self._is_untold or not await self._is_signed():
            # Batches are committed one after the other: behind it, none has an older mark.
            await self._append()
            self._is_untold = False
        await self._published(await self._store.size())
        await asyncio.to_thread(_show, path, self._signer.known_keys)

    async def _append(self) -> None:
        key, *others = self._signer.known_keys
        payload = canonical.dumps(
            {
                "former_keys": [str(other) for other in others],
                "time_unix_ms": self._clock.unix_ms(),
                "verifier_key": str(key),
            }
        )
        # A producer for each change: whether an earlier one of the same was appended is no matter.
        producer = f"audit/{self._ids.uuid7()}"
        leaf = build_leaf(
            kind=KIND,
            payload=payload,
            producer=producer,
            sequence=1,
            subject="",
            tenant_id="",
            trace_id="",
        )
        outcome = await self._submit(Submission(producer, 1, (PreparedEntry("", "", leaf),)))
        if not isinstance(outcome, Appended):
            raise NotPublished(outcome.refusal.value)
        self._log.info("log_key.changed", key=str(key), index=outcome.indices[0])

    async def _published(self, size: int) -> None:
        """Until the newest checkpoint has the newest key's signature, and so many entries."""
        while True:
            head = await self._newest((self._signer.verifier_key,))
            if head is not None and head.size >= size:
                return
            await asyncio.sleep(_POLL_SECONDS)

    async def _is_signed(self) -> bool:
        return await self._newest((self._signer.verifier_key,)) is not None

    async def _newest(self, keys: tuple[VerifierKey, ...]) -> Checkpoint | None:
        """The newest checkpoint; None if none of these keys signed it. Raises WormFault."""
        data = await self._worm.get(checkpoint.LATEST_PATH)
        try:
            head, _ = await asyncio.to_thread(
                checkpoint.open_checkpoint, data or b"", keys, ed25519.verify
            )
        except checkpoint.CheckpointError:
            return None
        return head


@contextlib.asynccontextmanager
async def _bounded(seconds: float) -> AsyncIterator[None]:
    """Raises NotPublished for every reason for which a later try may do."""
    try:
        async with asyncio.timeout(seconds):
            yield
    except (TimeoutError, StoreUnavailable, CommitUnknown, Full, WormFault) as error:
        raise NotPublished(type(error).__name__) from error


def _show(path: Path, keys: tuple[VerifierKey, ...]) -> None:
    """Write the verifier keys for auditors; one that stands there is left alone (a full disk).

    By rename, for somebody may read it at any time.
    """
    text = "".join(f"{key}\n" for key in keys)
    if path.exists() and path.read_text(encoding="utf-8") == text:
        return
    fresh = path.with_name(f".{path.name}.new")
    fresh.write_text(text, encoding="utf-8")
    fresh.replace(path)
