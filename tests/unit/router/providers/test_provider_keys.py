"""Keys in use are decrypted anew ahead of their end: calls neither wait for the keyring nor fail with it."""

import asyncio
from dataclasses import replace

import pytest

from tollgate_dialects.common.protocol import Protocol
from tollgate_kit.clock import ManualClock
from tollgate_kit.keyring.base import KeyringAway
from tollgate_kit.keyring.file import FileKeyring
from tollgate_kit.secret import Secret
from tollgate_router.providers import base_url, provider_keys
from tollgate_router.providers.catalogue import Candidate, ProviderKey, encryption_context
from tollgate_router.providers.provider_keys import KEYRING_KEY, ProviderKeys

ADDRESS = base_url.parse("https://api.example.com/v1", allow_private=False)
CONTEXT = encryption_context("shared", "k1", ADDRESS)


class Remote(FileKeyring):
    """A keyring that may be away, or slow until it is let go; counts what it is asked."""

    def __init__(self) -> None:
        super().__init__({KEYRING_KEY: ("aes256", Secret(b"u" * 32))})
        self.is_away = False
        self.asked = 0
        self.answers = asyncio.Event()
        self.answers.set()

    async def decrypt(self, name, context, ciphertext):
        self.asked += 1
        await self.answers.wait()
        if self.is_away:
            raise KeyringAway("Vault is sealed")
        return await super().decrypt(name, context, ciphertext)


async def no_exchange(_account):
    raise AssertionError("this key is no account")


class World:
    """ProviderKeys over it, with one key."""

    def __init__(self) -> None:
        self.keyring, self.clock = Remote(), ManualClock()
        self.keys = ProviderKeys(self.keyring, exchange=no_exchange, clock=self.clock)

    async def candidate(self, key: str = "sk-one-0123456789abcdef") -> Candidate:
        encrypted = await self.keyring.encrypt(KEYRING_KEY, CONTEXT, Secret(key))
        stored = ProviderKey("k1", "shared", encrypted)
        return Candidate("p", Protocol.OPENAI_CHAT, ADDRESS, stored, "m", CONTEXT)

    async def use(self, candidate: Candidate):
        """As attempts does."""
        return self.keys.at_hand(candidate) or await self.keys.open(candidate)


async def idle() -> None:
    for _ in range(5):
        await asyncio.sleep(0)


async def test_a_key_in_use_is_decrypted_anew_while_calls_go_on():
    """The call that finds it old has it at once; one decryption serves however many calls."""
    world = World()
    candidate = await world.candidate()
    first = await world.use(candidate)
    world.clock.advance(provider_keys.REFRESH_SECONDS + 1)
    world.keyring.answers.clear()
    assert world.keys.at_hand(candidate) is None
    for _ in range(50):
        async with asyncio.timeout(0.5):
            assert await world.use(candidate) is first
    await idle()
    assert 2 == world.keyring.asked
    world.keyring.answers.set()
    await idle()
    second = world.keys.at_hand(candidate)
    assert second is not None
    assert second is not first
    world.clock.advance(provider_keys.REFRESH_SECONDS - 1)
    assert world.keys.at_hand(candidate) is second


async def test_a_key_that_is_not_used_is_not_kept():
    """Nothing decrypts it anew by itself; at its end it is gone."""
    world = World()
    candidate = await world.candidate()
    await world.use(candidate)
    world.clock.advance(provider_keys.KEEP_SECONDS - 1)
    world.keys.sweep()
    assert 1 == len(world.keys)
    world.clock.advance(1)
    world.keys.sweep()
    assert (0, 1) == (len(world.keys), world.keyring.asked)


async def test_a_keyring_that_is_away_fails_no_call_before_the_keys_end():
    """Served to the last moment of its minute, asked for once a second; then a fault, then back."""
    world = World()
    candidate = await world.candidate()
    first = await world.use(candidate)
    world.keyring.is_away = True
    for _ in range(59 * 4):
        world.clock.advance(0.25)
        assert await world.use(candidate) is first
        await idle()
    assert 30 < world.keyring.asked < 45
    world.clock.advance(1)
    with pytest.raises(KeyringAway):
        await world.use(candidate)
    world.keyring.is_away = False
    assert await world.use(candidate) is not first


async def test_a_key_in_use_whose_keyring_comes_back_in_time_never_failed():
    """An outage shorter than what is left leaves no trace."""
    world = World()
    candidate = await world.candidate()
    await world.use(candidate)
    for second in range(300):
        world.keyring.is_away = second % 60 > 25
        world.clock.advance(1)
        assert await world.use(candidate)
        await idle()


async def test_a_changed_key_is_not_answered_with_the_one_before():
    """The ciphertext is part of what is asked for: after a rotation nobody gets the old key."""
    world = World()
    old, new = await world.candidate(), await world.candidate("sk-two-0123456789abcdef")
    await world.use(old)
    world.clock.advance(provider_keys.REFRESH_SECONDS + 1)
    opened = await world.use(new)
    assert opened.secrets.are_in(b"sk-two-0123456789abcdef")
    assert world.keys.at_hand(old) is None


async def test_without_a_keyring_nothing_stays():
    """What readiness says is enough: no key is left, though its minute is not over."""
    world = World()
    candidate = await world.candidate()
    await world.use(candidate)
    world.keys.ready(True)
    assert 1 == len(world.keys)
    world.keys.ready(False)
    assert (0, None) == (len(world.keys), world.keys.at_hand(candidate))


async def test_a_call_that_began_before_a_key_was_encrypted_anew_opens_what_is_stored_now():
    """The ciphertext that it has may open no more; one that is not in the catalogue is its own."""
    world = World()
    began = await world.candidate()
    anew = (await world.candidate()).key.encrypted
    world.keys.follow({CONTEXT: anew})
    used = replace(began, key=replace(began.key, encrypted="opens no more"))
    assert await world.use(used) is await world.use(began)
    assert 1 == world.keyring.asked
    world.keys.follow({})
    assert await world.use(began)
