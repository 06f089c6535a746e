"""The publisher on a real Postgres and a directory: what it publishes verifies, whatever kills it."""

import asyncio
import shutil
import signal
import sys

import pytest

from tests.contract import audit_log
from tests.contract.audit_log import submission
from tollgate_audit.log.publish_right import PublishRights
from tollgate_audit.worm.directory import LocalWorm
from tollgate_kit.config import PostgresConfig
from tollgate_kit.postgres.pool import migrate
from tollgate_kit.secret import Secret


@pytest.fixture
async def dsn(postgres_dsn) -> str:
    dsn = postgres_dsn()
    await migrate(PostgresConfig(dsn=Secret(dsn)), package="tollgate_audit")
    return dsn


@pytest.fixture
async def pool(dsn):
    pool = await audit_log.pool_of(dsn)
    yield pool
    await pool.close()


@pytest.fixture
async def store(pool):
    async with audit_log.store_of(pool) as store:
        yield store


async def published(pool) -> int:
    async with pool.connection() as connection:
        cursor = await connection.execute("select size from log_published")
        return (await cursor.fetchone())[0]


async def assert_verifies(directory, entries: int) -> None:
    report = await audit_log.verify(directory)
    assert (report.faults.kept, report.facts["entries"]) == ([], entries)


async def test_an_empty_log_verifies_from_the_start(pool, tmp_path):
    """Before the first entry there is a signed checkpoint of nothing."""
    await audit_log.publish(pool, LocalWorm(tmp_path))
    await assert_verifies(tmp_path, 0)


async def test_what_is_appended_is_published_within_the_interval_and_at_stop(pool, store, tmp_path):
    """A running publisher publishes soon; a stopping one publishes all that is left."""
    publisher = await audit_log.publisher_of(pool, LocalWorm(tmp_path))
    publisher.start()
    for first in range(1, 1200, 150):
        await store.append([submission("edge-api/1", first, 150)])
        await asyncio.sleep(0.01)
    async with asyncio.timeout(5):
        while await published(pool) < 1200:
            await asyncio.sleep(0.02)
    await store.append([submission("edge-api/1", 1201, 7)])
    await publisher.stop()
    assert await published(pool) == 1207
    await assert_verifies(tmp_path, 1207)
    # Partial tiles below a full one are gone, so storage does not grow with the pace of publishing.
    assert [path.name for path in (tmp_path / "tile/entries").glob("*.p")] == ["004.p"]


async def test_one_publisher_at_a_time(pool):
    """The second replica waits its turn; when the first lets go it publishes."""
    rights = PublishRights(pool, audit_log.MAC)
    async with rights.acquire() as first, rights.acquire() as second:
        assert first is not None
        assert second is None
    async with rights.acquire() as third:
        assert third is not None


async def test_two_publishers_together_publish_one_log(pool, store, tmp_path):
    """Replicas sharing the storage never fork it; the other takes over when one stops."""
    publishers = [await audit_log.publisher_of(pool, LocalWorm(tmp_path)) for _ in range(2)]
    for publisher in publishers:
        publisher.start()
    await store.append([submission("edge-api/1", 1, 300)])
    await asyncio.sleep(0.1)
    await publishers[0].stop()
    await store.append([submission("edge-api/1", 301, 300)])
    await publishers[1].stop()
    assert [publisher.halted for publisher in publishers] == [False, False]
    await assert_verifies(tmp_path, 600)


@pytest.mark.parametrize(
    "ruin",
    [
        "tile/entries/000",
        "tile/0/001.p/44",
        "checkpoints/300",
    ],
)
async def test_altered_evidence_halts_publishing(pool, store, tmp_path, ruin):
    """What is stored is checked before anything is signed on top of it."""
    await store.append([submission("edge-api/1", 1, 300)])
    await audit_log.publish(pool, LocalWorm(tmp_path))
    path = tmp_path / ruin
    data = bytearray(path.read_bytes())
    data[20] ^= 1
    path.chmod(0o644)
    path.write_bytes(data)
    await store.append([submission("edge-api/1", 301, 300)])
    publisher = await audit_log.publish(pool, LocalWorm(tmp_path))
    # An old full bundle is the verifier's to find, not the publisher's.
    if ruin != "tile/entries/000":
        assert publisher.halted
        assert not (tmp_path / "checkpoints/600").exists()
    assert (await audit_log.verify(tmp_path)).faults.total


async def test_a_database_restored_to_the_past_cannot_fork_the_log(
    postgres_dsn, pool, store, tmp_path
):
    """Other entries at published indices: publishing halts and signs nothing."""
    await store.append([submission("edge-api/1", 1, 30)])
    await audit_log.publish(pool, LocalWorm(tmp_path))
    for count in (20, 40):
        restored = postgres_dsn()
        await migrate(PostgresConfig(dsn=Secret(restored)), package="tollgate_audit")
        other_pool = await audit_log.pool_of(restored)
        async with audit_log.store_of(other_pool) as other:
            await other.append([submission("edge-api/2", 1, count)])
        publisher = await audit_log.publish(other_pool, LocalWorm(tmp_path))
        await other_pool.close()
        assert publisher.halted
    await assert_verifies(tmp_path, 30)


async def test_storage_that_lost_what_was_published_halts(pool, store, tmp_path):
    """An empty directory after entries were published is no fresh start."""
    await store.append([submission("edge-api/1", 1, 3)])
    await audit_log.publish(pool, LocalWorm(tmp_path / "a"))
    publisher = await audit_log.publish(pool, LocalWorm(tmp_path / "b"))
    assert publisher.halted
    assert not (tmp_path / "b/checkpoints").exists()


async def test_kill_9_before_any_write_then_publish_again(dsn, pool, store, tmp_path):
    """SIGKILL before the N-th write, for every N: the next publisher finishes, the log verifies."""
    await store.append([submission("edge-api/1", 1, 250)])
    await audit_log.publish(pool, LocalWorm(tmp_path / "base"))
    await store.append([submission("edge-api/1", 251, 10)])
    killed = 0
    for writes in range(64):
        directory = tmp_path / str(writes)
        shutil.copytree(tmp_path / "base", directory)
        async with pool.connection() as connection:
            # The database as it was before this publication: only a test may turn the clock back.
            await connection.execute("alter table log_published disable trigger user")
            await connection.execute("update log_published set size = 250")
            await connection.execute("alter table log_published enable trigger user")
        process = await asyncio.create_subprocess_exec(
            sys.executable, "-m", "tests.contract.audit_log", dsn, str(directory), str(writes)
        )
        code = await process.wait()
        if code == 0:
            break
        assert code == -signal.SIGKILL
        killed += 1
        assert (await audit_log.verify(directory)).faults.kept == []
        await store.append([submission("edge-api/1", 261 + killed - 1, 1)])
        publisher = await audit_log.publish(pool, LocalWorm(directory))
        assert not publisher.halted
        await assert_verifies(directory, 260 + killed)
    assert killed >= 10
