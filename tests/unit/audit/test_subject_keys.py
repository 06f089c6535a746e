"""The tenants' pseudonym keys outlive a keyring that is away for less than their time."""

import asyncio

import pytest

from tollgate_audit import subject_keys
from tollgate_audit.subject_keys import KEYRING_KEY, SubjectKeys
from tollgate_kit.clock import ManualClock
from tollgate_kit.ids import Ids
from tollgate_kit.keyring.base import KeyringAway
from tollgate_kit.keyring.file import FileKeyring
from tollgate_kit.secret import Secret


class Remote(FileKeyring):
    """A keyring that may be away; counts what it is asked."""

    def __init__(self) -> None:
        super().__init__({KEYRING_KEY: ("aes256", Secret(b"s" * 32))})
        self.is_away = False
        self.asked = 0

    async def decrypt(self, name, context, ciphertext):
        self.asked += 1
        if self.is_away:
            raise KeyringAway("Vault is sealed")
        return await super().decrypt(name, context, ciphertext)


class Rows(dict):
    """The store's two methods over a dict."""

    async def subject_key(self, tenant_id):
        return self.get(tenant_id)

    async def add_subject_key(self, tenant_id, encrypted):
        return self.setdefault(tenant_id, encrypted)


class World:
    def __init__(self) -> None:
        self.keyring, self.rows, self.clock = Remote(), Rows(), ManualClock()
        self.keys = SubjectKeys(self.rows, self.keyring, ids=Ids(self.clock), clock=self.clock)

    async def key(self, tenant: str = "t1") -> bytes:
        key = await self.keys.key(tenant)
        for _ in range(5):
            await asyncio.sleep(0)
        return key


async def test_a_key_in_use_is_served_to_its_end_while_the_keyring_is_away():
    """Not one use fails before; asked for once a second at most; afterwards it is a fault."""
    world = World()
    key = await world.key()
    world.keyring.is_away = True
    for _ in range(4 * int(subject_keys._CACHE_SECONDS) - 1):
        world.clock.advance(0.25)
        assert key == await world.key()
    assert 100 < world.keyring.asked < 210
    world.clock.advance(2)
    with pytest.raises(KeyringAway):
        await world.key()
    world.keyring.is_away = False
    assert key == await world.key()


async def test_a_key_in_use_is_decrypted_anew_ahead():
    """Then an outage finds most of its time left."""
    world = World()
    key = await world.key()
    for _ in range(5):
        world.clock.advance(subject_keys._REFRESH_SECONDS + 1)
        assert key == await world.key()
    assert 6 == world.keyring.asked


async def test_a_key_that_was_deleted_is_not_used_on():
    """Deleting the row unlinks the tenant's pseudonyms, though the key is in use."""
    world = World()
    key = await world.key()
    world.rows.clear()
    world.clock.advance(subject_keys._REFRESH_SECONDS + 1)
    assert key == await world.key()
    assert key != await world.key()


async def test_without_a_keyring_nothing_stays():
    """What readiness says is enough: the next use asks the keyring."""
    world = World()
    key = await world.key()
    world.keys.ready(True)
    await world.key()
    assert 1 == world.keyring.asked
    world.keys.ready(False)
    assert (key, 2) == (await world.key(), world.keyring.asked)


async def test_who_waits_for_what_was_encrypted_knows_that_it_is_stored():
    """settled() ends when the store has answered for each key that was being added, however it did."""
    world, stored = World(), asyncio.Event()
    add = world.rows.add_subject_key

    async def slow(tenant_id, encrypted):
        await stored.wait()
        if tenant_id == "t2":
            raise KeyringAway("the store is away")
        return await add(tenant_id, encrypted)

    world.rows.add_subject_key = slow
    await world.keys.settled()
    adding = [asyncio.create_task(world.key(tenant)) for tenant in ("t1", "t2")]
    settled = asyncio.create_task(world.keys.settled())
    for _ in range(9):
        await asyncio.sleep(0)
    assert not settled.done()
    stored.set()
    await settled
    assert {"t1"} == set(world.rows)
    await asyncio.gather(*adding, return_exceptions=True)
    await world.keys.settled()
