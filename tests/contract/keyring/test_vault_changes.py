"""What an operator changes, or gets wrong, at a real Vault while a process runs on it."""

import shutil

import pytest

from tests.contract.keyring.test_vault_tokens import works
from tests.contract.keyring.vault_world import CONTEXT, NAME
from tollgate_cli import certificates
from tollgate_kit.clock import SystemClock
from tollgate_kit.keyring.base import KeyringFault
from tollgate_kit.keyring.vault.secret_ids import SecretIdTaken

RENEW = "auth/token/renew-self"


@pytest.fixture
def ciphertext(world):
    return world.encrypted(NAME, b"sk-canary-9e07b1", CONTEXT)


async def test_a_spent_secret_id_is_taken_away(world):
    """Whoever used it up: who starts the service again then sees that it needs another."""
    world.server.client(world.deliver()).sys.unwrap()
    with pytest.raises(SecretIdTaken):
        async with world.reopened():
            pass
    assert not world.file("reader.secret-id").exists()


async def test_what_was_delivered_meanwhile_is_not_taken_away(world, ciphertext, monkeypatch):
    """A delivery while the one before it is judged stays, and is the next login."""
    async with world.keyring() as ring:
        ids = ring._reader._secret_ids
        judge = ids._check

        async def slowly(wrapping):
            world.deliver()
            await judge(wrapping)

        world.server.client(world.deliver()).sys.unwrap()
        monkeypatch.setattr(ids, "_check", slowly)
        await ring.tick()
        monkeypatch.undo()
        await ring.tick()
        assert 2 == world.requests("login")
        assert await works(ring, ciphertext)


async def test_a_secret_id_that_cannot_be_looked_for_leaves_the_token(world, ciphertext):
    """What the system says is said once, as a word; the process goes on, and takes the next one."""
    async with world.keyring() as ring:
        path = world.file("reader.secret-id")
        path.symlink_to("x" * 300)
        for _ in range(2):
            await ring.tick()
        assert await works(ring, ciphertext)
        path.unlink()
        world.deliver()
        await ring.tick()
        assert 2 == world.requests("login")
    (line,) = [line for line in world.lines() if line["event"] == "vault.not_logged_in"]
    assert line["reason"].endswith("reader.secret-id: OSError")


async def test_a_token_that_may_not_be_renewed_is_used_until_its_end(world, ciphertext):
    """It works, and is not thrown away; a secret-id is asked for ahead, and a delivered one taken."""
    rights = world.rights("reader")
    world.allow("reader", {path: right for path, right in rights.items() if path != RENEW})
    async with world.keyring() as ring:
        for ahead in (605, 607, 620, 890):
            world.clock.ahead = ahead
            await ring.tick()
            assert await works(ring, ciphertext)
        assert 3 == world.requests("renew", "refused"), "not at every tick"
        world.deliver()
        await ring.tick()
        assert ring.ttl_seconds() > 890
        world.allow("reader", rights)
        world.clock.ahead = 890 + 605
        await ring.tick()
        assert (1, True) == (world.requests("renew"), ring.ttl_seconds() > 890)
    assert ["vault.logged_in", "vault.renewal_denied", "vault.logged_in"] == world.events()


async def test_without_an_orchestrator_a_login_comes_before_that_end(world, ciphertext):
    """Where a secret-id serves again, a token that may not be renewed is replaced at once."""
    rights = world.rights("reader")
    world.allow("reader", {path: right for path, right in rights.items() if path != RENEW})
    world.make_role("reader", secret_id_num_uses=0, secret_id_ttl="720h")
    world.deliver_bare()
    async with world.reopened(is_wrapped=False) as ring:
        world.clock.ahead = 605
        await ring.tick()
        await ring.tick()
        assert (2, True) == (world.requests("login"), ring.ttl_seconds() > 890)
        assert await works(ring, ciphertext)


async def test_the_authority_of_vault_is_read_anew(world, ciphertext):
    """From then on only it is believed, by connections that stand too; one that is none changes nothing."""
    ca_file = world.file("ca.pem")
    shutil.copy(world.server.ca_file, ca_file)
    certificates.ensure(world.file("other"), (), SystemClock())
    async with world.keyring(ca_file=ca_file) as ring:
        assert await works(ring, ciphertext)
        for spoilt in ("no certificate", None):
            ca_file.unlink()
            if spoilt:
                ca_file.write_text(spoilt)
            with pytest.raises(KeyringFault, match=r"ca\.pem"):
                ring.read_anew(world.config(ca_file=ca_file))
            assert await works(ring, ciphertext)
        shutil.copy(world.file("other") / "ca.pem", ca_file)
        ring.read_anew(world.config(ca_file=ca_file))
        assert not await works(ring, ciphertext)
        shutil.copy(world.server.ca_file, ca_file)
        ring.read_anew(world.config(ca_file=ca_file))
        assert await works(ring, ciphertext)
