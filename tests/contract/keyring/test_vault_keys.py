"""What a keyring over a real Vault does with its keys."""

import asyncio

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from tests.contract.keyring.vault_world import NAME
from tollgate_kit.keyring.base import DecryptFailed, KeyMissing, KeyringFault
from tollgate_kit.secret import Secret

KEY = Secret("sk-canary-7f3a")
CONTEXT = "t1|k1|https://api.example:443"


async def test_what_the_writer_encrypts_the_reader_alone_decrypts(world):
    """Two identities: who decrypts may not encrypt; a moved row, another host and a cut text stay shut."""
    async with world.keyring(writer=world.writer()) as ring:
        ciphertext = await ring.encrypt(NAME, CONTEXT, KEY)
        assert KEY == await ring.decrypt(NAME, CONTEXT, ciphertext)
        for context, text in (
            ("t2|k1|https://api.example:443", ciphertext),
            ("t1|k1|https://evil.example:443", ciphertext),
            ("", ciphertext),
            (CONTEXT, ciphertext[:-5]),
            (CONTEXT, "tg1.a.b"),
            (CONTEXT, ""),
        ):
            with pytest.raises(DecryptFailed, match=r"^cannot decrypt with key upstream-keys$"):
                await ring.decrypt(NAME, context, text)
    async with world.keyring() as reader:
        with pytest.raises(KeyringFault):
            await reader.encrypt(NAME, CONTEXT, KEY)


async def test_decryptions_that_come_together_are_one_request(world):
    """A hundred at once are one batch; each has its own answer, and a bad one spoils no other."""
    texts = [world.encrypted(NAME, b"key %d" % n, f"c{n}") for n in range(100)]
    texts[7] = "vault:v1:" + "A" * 60
    async with world.keyring() as ring:
        asked = [ring.decrypt(NAME, f"c{n}", text) for n, text in enumerate(texts)]
        answers = await asyncio.gather(*asked, return_exceptions=True)
        sent = world.requests("decrypt") + world.requests("decrypt", "rejected")
    assert 1 == sent
    assert isinstance(answers.pop(7), DecryptFailed)
    assert [Secret(b"key %d" % n) for n in range(100) if n != 7] == answers


async def test_more_than_a_batch_goes_at_once(world):
    """What exceeds one batch is another, not a longer wait or a refusal."""
    text = world.encrypted(NAME, b"k", "c")
    async with world.keyring() as ring:
        answers = await asyncio.gather(*(ring.decrypt(NAME, "c", text) for _ in range(300)))
    assert ([Secret(b"k")] * 300, 3) == (answers, world.requests("decrypt"))


async def test_who_gives_up_does_not_disturb_a_batch(world):
    """A call that is cancelled while it waits leaves the others their answers."""
    text = world.encrypted(NAME, b"k", "c")
    async with world.keyring() as ring:
        leaving = asyncio.create_task(ring.decrypt(NAME, "c", text))
        staying = asyncio.create_task(ring.decrypt(NAME, "c", text))
        await asyncio.sleep(0)
        leaving.cancel()
        assert Secret(b"k") == await staying


async def test_a_signature_has_the_version_whose_public_key_was_given(world):
    """The log's key stays what it was for as long as a process lives, though it was rotated."""
    async with world.keyring() as ring:
        public = await ring.public_key("tlog")
        world.rotate("tlog")
        signature = await ring.sign("tlog", b"note")
        Ed25519PublicKey.from_public_bytes(public).verify(signature, b"note")
        assert (64, public) == (len(signature), await ring.public_key("tlog"))
    async with world.keyring() as later:
        assert public != await later.public_key("tlog")
    async with world.keyring(key_versions={"tlog": 1}) as pinned:
        assert (public, signature) == (
            await pinned.public_key("tlog"),
            await pinned.sign("tlog", b"note"),
        )


async def test_a_version_that_may_sign_no_more_is_told_as_that(world):
    """Not as a Vault that fails: what the key's setting is, and the command that undoes it."""
    async with world.keyring() as ring:
        await ring.public_key("tlog")
        world.rotate("tlog")
        world.set("tlog", min_encryption_version=2)
        setting = f"vault write {world.transit}/keys/tlog/config min_encryption_version=1"
        with pytest.raises(KeyMissing, match=f"version 1 of tlog.*; {setting} "):
            await ring.sign("tlog", b"note")
        world.set("tlog", min_encryption_version=1)
        assert await ring.sign("tlog", b"note")
    assert ["vault.logged_in"] == world.events()


async def test_a_key_for_hmac_is_unwrapped_once(world):
    """From the file that is named, by the key of its name without a number."""
    wrapped = {
        "reservation": world.wrap("reservation", b"r" * 32),
        "pepper-2": world.wrap("pepper-2", b"p" * 32, by="pepper"),
        "short": world.wrap("short", b"s", by="pepper"),
    }
    async with world.keyring(wrapped=wrapped) as ring:
        assert Secret(b"r" * 32) == await ring.mac_key("reservation")
        assert Secret(b"p" * 32) == await ring.mac_key("pepper-2")
        asked = world.requests("decrypt")
        assert (Secret(b"r" * 32), asked) == (
            await ring.mac_key("reservation"),
            world.requests("decrypt"),
        )
        with pytest.raises(KeyMissing, match="names no wrapped key pepper"):
            await ring.mac_key("pepper")
        wrapped["reservation"].write_text("vault:v1:AAAA")
        with pytest.raises(KeyringFault):
            await ring.mac_key("short")


@pytest.mark.parametrize(
    ("name", "kind", "why"),
    [
        ("upstream-keys", "aes256", None),
        ("tlog", "ed25519", None),
        ("reservation", "mac", None),
        ("subject-keys", "aes256", "Vault does not let reader use subject-keys"),
        ("gone", "aes256", "Vault has no key named gone"),
        ("upstream-keys", "ed25519", "Vault does not let reader use upstream-keys"),
        ("pepper", "mac", "the configuration names no wrapped key pepper"),
    ],
)
async def test_a_start_names_what_is_missing(world, name, kind, why):
    """A key that is not there, or that this identity may not use, is known before the first call."""
    world.allow("reader", world.rights("reader") | {f"{world.transit}/decrypt/gone": "update"})
    wrapped = {"reservation": world.wrap("reservation", b"r" * 32)}
    async with world.keyring(wrapped=wrapped) as ring:
        if why is None:
            await ring.check(name, kind)
            return
        with pytest.raises(KeyMissing, match=f"^{why}$"):
            await ring.check(name, kind)


async def test_a_writer_that_may_not_write_is_known_at_the_start(world):
    """AddProviderKey must not be the first to learn it."""
    rights = world.rights("writer")
    del rights[f"{world.transit}/encrypt/upstream-keys"]
    world.allow("writer", rights)
    async with world.keyring(writer=world.writer()) as ring:
        with pytest.raises(KeyMissing, match="use upstream-keys"):
            await ring.check(NAME, "aes256")
