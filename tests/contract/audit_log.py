"""A real audit log for tests: Postgres, a directory, a keyring; and the process that is killed.

As a command it publishes what is sequenced and kills itself (SIGKILL) before the N-th write:
python -m tests.contract.audit_log DSN DIRECTORY N
"""

import asyncio
import contextlib
import io
import os
import signal
import sys
from collections.abc import AsyncIterator
from pathlib import Path

from psycopg_pool import AsyncConnectionPool

from tollgate_audit.log.entry import PreparedEntry, build_leaf
from tollgate_audit.log.entry_mac import EntryMac
from tollgate_audit.log.publish_right import PublishRights
from tollgate_audit.log.publisher import Publisher
from tollgate_audit.log.sequencer import Submission
from tollgate_audit.log.signer import Signer
from tollgate_audit.log.store_postgres import PostgresStore
from tollgate_audit.worm.directory import LocalWorm
from tollgate_kit.clock import SystemClock
from tollgate_kit.config import PostgresConfig
from tollgate_kit.keyring.file import FileKeyring
from tollgate_kit.logs import Log
from tollgate_kit.metrics import Metrics
from tollgate_kit.postgres.pool import open_pool
from tollgate_kit.secret import Secret
from tollgate_tlog import fsck

ORIGIN = "tollgate.test/log"
KEYS = FileKeyring(
    {"tlog": ("ed25519", Secret(bytes(32))), "subject-keys": ("aes256", Secret(bytes(32)))}
)


MAC = EntryMac(bytes(32))


def quiet_log() -> Log:
    return Log("audit", out=io.StringIO())


async def pool_of(dsn: str) -> AsyncConnectionPool:
    return await open_pool(PostgresConfig(dsn=Secret(dsn), pool_min=1, pool_max=8), name="test")


@contextlib.asynccontextmanager
async def store_of(
    pool: AsyncConnectionPool, unpublished_max: int = 100_000
) -> AsyncIterator[PostgresStore]:
    """The store on a pool; closed at the end, as the composition root does."""
    store = PostgresStore(pool, mac=MAC, unpublished_max=unpublished_max)
    try:
        yield store
    finally:
        await store.close()


def submission(producer: str, first: int, count: int, salt: str = "") -> Submission:
    return Submission(
        producer,
        first,
        tuple(
            PreparedEntry(
                "T1",
                f"trace-{producer}-{sequence}",
                build_leaf(
                    kind="LOGIN",
                    payload=b'{"n":"%s"}' % salt.encode(),
                    producer=producer,
                    sequence=sequence,
                    subject="",
                    tenant_id="T1",
                    trace_id=f"trace-{producer}-{sequence}",
                ),
            )
            for sequence in range(first, first + count)
        ),
    )


async def publisher_of(
    pool: AsyncConnectionPool, worm: LocalWorm, interval_s: float = 0.02
) -> Publisher:
    await worm.open()
    return Publisher(
        PublishRights(pool, MAC),
        worm,
        await Signer.open(KEYS, ORIGIN),
        interval_s=interval_s,
        clock=SystemClock(),
        metrics=Metrics("audit"),
        log=quiet_log(),
    )


async def publish(pool: AsyncConnectionPool, worm: LocalWorm) -> Publisher:
    """Publish everything that is sequenced, as a process does at its stop."""
    publisher = await publisher_of(pool, worm)
    publisher.start()
    await publisher.stop()
    return publisher


async def verify(directory: Path) -> fsck.Report:
    signer = await Signer.open(KEYS, ORIGIN)
    return fsck.check(directory, [signer.verifier_key], now_unix_ms=0)


class KilledWorm(LocalWorm):
    """Dies before its N-th write."""

    def __init__(self, root: Path, writes: int) -> None:
        super().__init__(root)
        self._writes = writes

    def _spend(self) -> None:
        self._writes -= 1
        if self._writes < 0:
            os.kill(os.getpid(), signal.SIGKILL)

    def _write_scratch(self, data: bytes, mode: int) -> Path:
        self._spend()
        scratch = super()._write_scratch(data, mode)
        self._spend()  # the bytes are there, the name is not
        return scratch


async def _main(dsn: str, directory: str, writes: int) -> None:
    pool = await pool_of(dsn)
    await publish(pool, KilledWorm(Path(directory), writes))
    await pool.close()


if __name__ == "__main__":
    asyncio.run(_main(sys.argv[1], sys.argv[2], int(sys.argv[3])))
