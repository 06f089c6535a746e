"""A real Vault that is sealed, stopped, silent, slow or out of order: what is said, and that it heals.

Each without a restart; the state is in a metric and in one line of the log, however many ask.
"""

import asyncio

import pytest

from tests.contract.keyring.vault_front import BODY, front
from tests.contract.keyring.vault_world import CANARY, CONTEXT, NAME, World
from tests.vault.server import vault_server
from tollgate_kit.keyring.base import KeyringAway, KeyringFault
from tollgate_kit.keyring.vault import client, keyring, server_state, session
from tollgate_kit.secret import Secret


@pytest.fixture
def own(vault_program, tmp_path, monkeypatch):
    """A Vault that a test may seal and stop, and short times."""
    monkeypatch.setattr(client, "REQUEST_SECONDS", 0.5)
    monkeypatch.setattr(client, "CONNECT_SECONDS", 0.3)
    monkeypatch.setattr(server_state, "SAY_SECONDS", 0.0)
    with vault_server(tmp_path) as server:
        yield World(server, tmp_path)


async def fails(ring, ciphertext, times=5):
    """Every decryption fails, all in the same words; these."""
    said = set()
    for _ in range(times):
        with pytest.raises(KeyringAway) as caught:
            await ring.decrypt(NAME, CONTEXT, ciphertext)
        said.add(str(caught.value))
    assert 1 == len(said), said
    return said.pop()


async def heals(ring, ciphertext):
    await ring.tick()
    assert Secret(CANARY) == await ring.decrypt(NAME, CONTEXT, ciphertext)


async def test_a_sealed_vault(own):
    """Said as sealed, and as back when it is unsealed."""
    ciphertext = own.encrypted(NAME, CANARY, CONTEXT)
    async with own.keyring() as ring:
        assert (1, 0) == (own.gauge("vault_up"), own.gauge("vault_sealed"))
        own.server.seal()
        assert "Vault is sealed" == await fails(ring, ciphertext)
        assert (0, 1) == (own.gauge("vault_up"), own.gauge("vault_sealed"))
        assert own.requests("decrypt", "sealed") >= 5
        own.server.unseal()
        await heals(ring, ciphertext)
        assert (1, 0) == (own.gauge("vault_up"), own.gauge("vault_sealed"))
    assert ["vault.logged_in", "vault.sealed", "vault.back"] == own.events()


async def test_a_stopped_vault(own):
    """Unreachable at once; when it runs again the same token goes on."""
    ciphertext = own.encrypted(NAME, CANARY, CONTEXT)
    async with own.keyring() as ring:
        own.server.stop()
        assert "Vault is unreachable" == await fails(ring, ciphertext)
        assert own.requests("decrypt", "unreachable") >= 5
        own.server.start()
        await heals(ring, ciphertext)
    assert ["vault.logged_in", "vault.unreachable", "vault.back"] == own.events()


async def test_a_silent_vault(own):
    """One that takes connections and answers nothing costs a call REQUEST_SECONDS, no more."""
    ciphertext = own.encrypted(NAME, CANARY, CONTEXT)
    async with own.keyring() as ring:
        own.server.pause()
        began = asyncio.get_running_loop().time()
        # The connection that there was, then a new one that nobody greets.
        assert "Vault is slow" == await fails(ring, ciphertext, times=1)
        assert "Vault is unreachable" == await fails(ring, ciphertext, times=1)
        assert asyncio.get_running_loop().time() - began < 2 * (client.REQUEST_SECONDS + 0.5)
        own.server.resume()
        await heals(ring, ciphertext)
    assert ["vault.logged_in", "vault.slow", "vault.unreachable", "vault.back"] == own.events()


async def test_a_late_vault(world, monkeypatch):
    """Late answers are taken, and said to be late; nothing fails."""
    monkeypatch.setattr(client, "SLOW_SECONDS", 0.3)
    monkeypatch.setattr(server_state, "SAY_SECONDS", 0.0)
    ciphertext = world.encrypted(NAME, CANARY, CONTEXT)
    async with front(world.server) as before:
        world.address = before.address
        async with world.keyring() as ring:
            before.delay_s = 0.5
            asked = [ring.decrypt(NAME, CONTEXT, ciphertext) for _ in range(20)]
            assert [Secret(CANARY)] * 20 == await asyncio.gather(*asked)
            assert 0 == world.gauge("vault_up")
            before.delay_s = 0.0
            await heals(ring, ciphertext)
            assert 1 == world.gauge("vault_up")
    assert ["vault.logged_in", "vault.slow", "vault.back"] == world.events()


async def test_a_vault_that_answers_500(world, monkeypatch):
    """Said as failing; no word of its answer is in a fault or a line."""
    monkeypatch.setattr(server_state, "SAY_SECONDS", 0.0)
    ciphertext = world.encrypted(NAME, CANARY, CONTEXT)
    async with front(world.server) as before:
        world.address = before.address
        async with world.keyring() as ring:
            before.fail(is_failing=True)
            assert "Vault is failing" == await fails(ring, ciphertext)
            assert (0, 5) == (world.gauge("vault_up"), world.requests("decrypt", "failing"))
            before.fail(is_failing=False)
            await heals(ring, ciphertext)
    assert ["vault.logged_in", "vault.failing", "vault.back"] == world.events()
    assert BODY[12:-3].decode() not in world.out.getvalue()


async def test_a_state_that_comes_and_goes_is_not_a_line_for_each_request(world):
    """Under load half of the answers may be errors: a line a second is what that costs."""
    ciphertext = world.encrypted(NAME, CANARY, CONTEXT)
    async with front(world.server) as before:
        world.address = before.address
        async with world.keyring() as ring:
            for turn in range(20):
                before.fail(is_failing=turn % 2 == 0)
                await asyncio.gather(
                    ring.decrypt(NAME, CONTEXT, ciphertext), return_exceptions=True
                )
            world.clock.ahead += 2
            before.fail(is_failing=False)
            await heals(ring, ciphertext)
    changes = [event for event in world.events() if event != "vault.logged_in"]
    assert "vault.back" == changes[-1]
    assert 2 <= len(changes) <= 4, changes


async def test_a_start_waits_for_a_vault_that_is_away(own, monkeypatch):
    """A secret-id is not used up by a Vault that cannot answer; a start without Vault ends, bounded."""
    monkeypatch.setattr(session, "START_RETRY_SECONDS", 0.2)
    own.deliver()
    own.server.seal()
    monkeypatch.setattr(session, "START_ATTEMPTS", 2)
    with pytest.raises(KeyringAway, match="Vault is sealed"):
        async with own.reopened():
            pass
    assert own.file("reader.secret-id").exists()
    monkeypatch.setattr(session, "START_ATTEMPTS", 20)
    unsealing = asyncio.get_running_loop().run_in_executor(None, own.server.unseal)
    async with own.reopened() as ring:
        assert ring.ttl_seconds() > 800
    await unsealing


async def test_only_the_operators_authority_is_trusted(own, vault, tmp_path):
    """Whoever has another certificate gets no token and no secret-id."""
    own.deliver()
    with pytest.raises(KeyringFault, match="Vault is unreachable"):
        async with own.reopened(ca_file=vault.ca_file):
            pass
    assert own.file("reader.secret-id").exists()


async def test_the_loop_brings_it_back_though_nobody_asks(own, monkeypatch):
    """The gauge tells the truth without calls: the process looks at a Vault that was not well."""
    monkeypatch.setattr(keyring, "TICK_SECONDS", 0.05)
    ciphertext = own.encrypted(NAME, CANARY, CONTEXT)
    async with own.keyring() as ring:
        running = asyncio.create_task(ring.run(own.readiness, own.log))
        own.server.seal()
        await fails(ring, ciphertext, times=1)
        await asyncio.to_thread(own.server.unseal)
        async with asyncio.timeout(10):
            while own.gauge("vault_up") == 0:
                await asyncio.sleep(0.05)
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)
    assert "vault.back" == own.events()[-1]
