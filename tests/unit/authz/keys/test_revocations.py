"""The fan-out of the revision log: heartbeats out of reads only, nothing lost, nobody waited for."""

import asyncio
import contextlib
import io

import pytest

from tests.authz_records import change, filled, nothing
from tollgate_authz.keys import revocations
from tollgate_authz.keys.revocations import RevocationFeed
from tollgate_authz.tenants.directory import KeyState, SetKeyState, SetTenantEnabled
from tollgate_authz.tenants.store_memory import MemoryStore
from tollgate_kit.clock import SystemClock
from tollgate_kit.logs import Log
from tollgate_kit.metrics import Metrics
from tollgate_kit.rpc.failure import Failure, store_unavailable


class StoppableStore(MemoryStore):
    """The memory store, with a read of the log that can fail or hang."""

    def __init__(self, **fields) -> None:
        super().__init__(**fields)
        self.away = False
        self.stuck = False
        self.unstuck = asyncio.Event()

    async def revocations(self, *, after, limit):
        if self.stuck:
            await self.unstuck.wait()
        if self.away:
            raise store_unavailable("test")
        return await super().revocations(after=after, limit=limit)


def new_feed(store):
    return RevocationFeed(
        store, clock=SystemClock(), metrics=Metrics("test"), log=Log("test", out=io.StringIO())
    )


@pytest.fixture(autouse=True)
def fast(monkeypatch):
    """The same ratios, ten times as fast."""
    monkeypatch.setattr(revocations, "READ_SECONDS", 0.02)
    monkeypatch.setattr(revocations, "HEARTBEAT_SECONDS", 0.05)
    monkeypatch.setattr(revocations, "READ_TIMEOUT_SECONDS", 0.1)


@pytest.fixture
async def running():
    """A store and a feed that reads it."""
    store = StoppableStore()
    feed = new_feed(store)
    reader = asyncio.ensure_future(feed.run())
    yield store, feed
    assert not reader.done()
    reader.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await reader


async def soon(stream, seconds=0.5):
    async with asyncio.timeout(seconds):
        return await anext(stream)


async def disable(store, key_id):
    effect = SetKeyState(key_id=key_id, state=KeyState.DISABLED, reason="")
    return await store.apply(change(effect), nothing)


async def change_among(stream):
    """The next message that is not a heartbeat."""
    while True:
        found = await soon(stream)
        if found.key_ids or found.tenant_ids or not found.resumable:
            return found


async def test_a_change_reaches_every_watcher(running):
    """Keys and tenants that lost something are sent to all who watch, once."""
    store, feed = running
    made, issued = await filled(store)
    streams = [feed.watch(after=0) for _ in range(3)]
    for stream in streams:
        assert 1 == (await soon(stream)).through_revision
    await disable(store, issued.key_id)
    for stream in streams:
        found = await change_among(stream)
        assert ([issued.key_id], 2) == (list(found.key_ids), found.through_revision)
    await store.apply(change(SetTenantEnabled(tenant_id=made.tenant_id, enabled=False)), nothing)
    for stream in streams:
        found = await change_among(stream)
        assert ([made.tenant_id], 3) == (list(found.tenant_ids), found.through_revision)
        await stream.aclose()


async def test_a_cursor_resumes(running):
    """Who comes back with a cursor gets what it missed first, whatever the reader has read."""
    store, feed = running
    _, issued = await filled(store)
    await disable(store, issued.key_id)
    await asyncio.sleep(0.05)
    await disable(store, issued.key_id)
    stream = feed.watch(after=1)
    found = await soon(stream)
    assert (2, 3) == (len(found.key_ids), found.through_revision)
    assert [3, 3] == [(await soon(stream)).through_revision for _ in range(2)]


@pytest.mark.parametrize("cursor", [1, 99])
async def test_a_cursor_that_is_not_of_the_log_drops_all(cursor):
    """Too old or from another log: everything must be dropped."""
    store = StoppableStore(revisions_kept=1)
    _, issued = await filled(store)
    for _ in range(3):
        await disable(store, issued.key_id)
    found = await soon(new_feed(store).watch(after=cursor))
    assert (False, 4) == (found.resumable, found.through_revision)


async def test_a_long_backlog_comes_in_pages(monkeypatch):
    """A watcher far behind is sent everything, in pages, before it follows the reader."""
    monkeypatch.setattr(revocations, "REVISIONS_PER_READ", 4)
    store = StoppableStore()
    _, issued = await filled(store)
    for _ in range(10):
        await disable(store, issued.key_id)
    stream = new_feed(store).watch(after=1)
    assert [5, 9, 11] == [(await soon(stream)).through_revision for _ in range(3)]


@pytest.mark.parametrize("fault", ["away", "stuck"])
async def test_no_heartbeat_without_a_read(running, fault):
    """A store that fails or hangs means silence; when it is back, so are heartbeats and changes."""
    store, feed = running
    _, issued = await filled(store)
    received = []

    async def collect():
        stream = feed.watch(after=0)
        while True:
            received.append(await anext(stream))

    async def received_in(seconds):
        before = len(received)
        await asyncio.sleep(seconds)
        return received[before:]

    collector = asyncio.ensure_future(collect())
    assert 4 <= len(await received_in(0.4)) <= 12
    setattr(store, fault, True)
    await received_in(0.05)
    assert [] == await received_in(0.4)
    await disable(store, issued.key_id)
    setattr(store, fault, False)
    told = [key_id for found in await received_in(0.4) for key_id in found.key_ids]
    assert [issued.key_id] == told
    assert 2 <= len(await received_in(0.3))
    collector.cancel()


async def test_a_watcher_of_a_stuck_store_is_refused():
    """The first read of a new watcher fails as the store's fault, not as a denial."""
    store = StoppableStore()
    store.stuck = True
    with pytest.raises(Failure) as caught:
        await soon(new_feed(store).watch(after=0))
    assert "STORE_UNAVAILABLE" == caught.value.reason


async def test_a_slow_watcher_is_dropped(running, monkeypatch):
    """A watcher that does not read is told to come again; the others are not held up."""
    monkeypatch.setattr(revocations, "WAITING_MAX", 3)
    store, feed = running
    _, issued = await filled(store)
    slow, quick = feed.watch(after=0), feed.watch(after=0)
    await soon(slow)
    await soon(quick)
    for _ in range(8):
        await disable(store, issued.key_id)
        assert [issued.key_id] == list((await change_among(quick)).key_ids)
    with pytest.raises(Failure) as caught:
        await soon(slow)
    assert "OVERLOADED" == caught.value.reason


async def test_too_many_watchers_are_refused(running, monkeypatch):
    """The number of streams is bounded, and one that ends makes room."""
    monkeypatch.setattr(revocations, "WATCHERS_MAX", 1)
    _, feed = running
    first, second = feed.watch(after=0), feed.watch(after=0)
    await soon(first)
    with pytest.raises(Failure) as caught:
        await soon(second)
    assert "OVERLOADED" == caught.value.reason
    await first.aclose()
    await soon(feed.watch(after=0))


async def test_close_ends_every_stream(running):
    """At the stop each watcher is told at once, and no new one is taken."""
    _, feed = running
    stream = feed.watch(after=0)
    await soon(stream)
    await feed.close()
    for ended in (stream, feed.watch(after=0)):
        with pytest.raises(Failure) as caught:
            await soon(ended)
        assert "DRAINING" == caught.value.reason


async def test_the_reader_dies_of_a_bug():
    """What is not an outage is a bug: the reader ends, and the process with it."""

    class Broken(MemoryStore):
        async def revocations(self, *, after, limit):
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        await new_feed(Broken()).run()
