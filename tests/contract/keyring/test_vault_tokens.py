"""The life of a token at a real Vault: got once, renewed, lost, got anew, revoked.

What goes wrong with it is said in one line, and ends without a restart.
"""

import asyncio

import hvac
import pytest

from tests.contract.keyring.vault_world import CANARY, CONTEXT, NAME
from tollgate_kit.keyring.base import KeyringAway, KeyringFault
from tollgate_kit.keyring.vault import keyring
from tollgate_kit.keyring.vault.client import VaultRefused
from tollgate_kit.secret import Secret


async def works(ring, ciphertext) -> bool:
    """Whether it decrypts."""
    try:
        return Secret(CANARY) == await ring.decrypt(NAME, CONTEXT, ciphertext)
    except KeyringAway:
        return False


async def test_a_start_uses_the_wrapped_secret_id_once_and_removes_it(world, ciphertext):
    """The token has the role's policy alone, lives minutes, and the file is gone."""
    async with world.keyring() as ring:
        assert not world.file("reader.secret-id").exists()
        (token,) = world.accessors()
        assert [world.policy("reader")] == token["policies"]
        assert 890 < world.gauge("vault_token_ttl_seconds") <= 900
        assert await works(ring, ciphertext)
    assert [] == world.accessors()


@pytest.mark.parametrize("spoil", ["unwrapped", "other_role", "long", "not_wrapped", "nonsense"])
async def test_a_start_refuses_a_secret_id_that_is_not_as_it_must_be(world, spoil):
    """Somebody else was first, it is another's, or it is good for too long: no login, and why."""
    match spoil:
        case "unwrapped":
            world.server.client(world.deliver()).sys.unwrap()
            why = "somebody else has unwrapped it"
        case "other_role":
            world.deliver(of="writer")
            why = "was not made by auth/.*/role/reader/secret-id"
        case "long":
            world.deliver(ttl_s=3600)
            why = "good for longer than 300 seconds"
        case "not_wrapped":
            world.deliver_bare()
            why = "somebody else has unwrapped it"
        case "nonsense":
            world.deliver()
            path = world.file("reader.secret-id")
            path.chmod(0o600)
            path.write_text("hvs.nonsense")
            why = "somebody else has unwrapped it"
    with pytest.raises(KeyringFault, match=why):
        async with world.reopened():
            pass
    assert [] == world.accessors()


async def test_a_start_lists_all_that_is_wrong_with_its_files(world):
    """One start shows everything: ids, authority, wrapped keys."""
    world.file("reader.role-id").unlink()
    with pytest.raises(KeyringFault) as caught:
        async with world.reopened(
            ca_file=world.file("ca.pem"), wrapped={"pepper": world.file("p")}
        ):
            pass
    for name in ("reader.role-id", "reader.secret-id", "ca.pem", "/p: "):
        assert name in str(caught.value)


async def test_a_secret_id_that_others_can_read_is_refused(world):
    """A file with a mode for others is a finding, not an input."""
    world.deliver()
    world.file("reader.secret-id").chmod(0o444)
    with pytest.raises(KeyringFault, match="can be read by others"):
        async with world.reopened():
            pass


async def test_a_token_is_renewed_at_two_thirds_of_its_life(world):
    """Not before, and then to its whole life."""
    async with world.keyring() as ring:
        world.clock.ahead = 595
        await ring.tick()
        assert 0 == world.requests("renew")
        world.clock.ahead = 605
        await ring.tick()
        assert 1 == world.requests("renew")
        assert ring.ttl_seconds() > 890


async def test_a_revoked_token(world, ciphertext):
    """One more login with what there is; else no decryption, until a secret-id is delivered."""
    async with world.keyring() as ring:
        world.deliver()
        world.revoke()
        assert await works(ring, ciphertext)
        assert not world.file("reader.secret-id").exists()
        world.revoke()
        assert not await works(ring, ciphertext)
        assert not await works(ring, ciphertext)
        assert (0, 2) == (ring.ttl_seconds(), world.requests("login"))
        world.deliver()
        await ring.tick()
        assert await works(ring, ciphertext)
    assert [
        "vault.logged_in",
        "vault.token_refused",
        "vault.logged_in",
        "vault.token_refused",
        "vault.logged_in",
    ] == world.events()


async def test_a_fresh_secret_id_is_taken_up_before_the_last_end(world, ciphertext):
    """Delivered while all is well, it replaces the token at once; the one before is revoked."""
    async with world.keyring() as ring:
        (first,) = world.accessors()
        world.deliver()
        await ring.tick()
        (second,) = world.accessors()
        assert first["accessor"] != second["accessor"]
        assert await works(ring, ciphertext)


async def test_the_last_end_of_a_token_is_said_ahead(world, ciphertext):
    """When a renewal gives no whole life any more, the operator is told that a secret-id is needed."""
    world.make_role("reader", token_ttl="30s", token_explicit_max_ttl="31s")
    async with world.keyring() as ring:
        await asyncio.sleep(5)
        world.clock.ahead = 20
        await ring.tick()
        await ring.tick()
        assert ["vault.logged_in", "vault.secret_id_needed"] == world.events()
        world.clock.ahead = 60
        await ring.tick()
        assert not await works(ring, ciphertext)
        assert ("vault.token_expired", 0) == (world.events()[-1], ring.ttl_seconds())
        world.deliver()
        await ring.tick()
        assert await works(ring, ciphertext)


async def test_a_used_up_secret_id(world, ciphertext):
    """A login that Vault refuses leaves the token that there is, and the next delivery is taken."""
    async with world.keyring() as ring:
        world.deliver()
        for accessor in world.root.auth.approle.list_secret_id_accessors(
            "reader", mount_point=world.approle
        )["data"]["keys"]:
            world.root.auth.approle.destroy_secret_id_accessor(
                "reader", accessor, mount_point=world.approle
            )
        await ring.tick()
        assert await works(ring, ciphertext)
        (line,) = [line for line in world.lines() if line["event"] == "vault.not_logged_in"]
        assert "used up" in line["reason"]
        world.deliver()
        await ring.tick()
        assert 3 == world.requests("login") + world.requests("login", "rejected")
        assert await works(ring, ciphertext)


async def test_a_secret_id_that_was_stolen_on_its_way_is_said(world, ciphertext):
    """Somebody unwrapped it first: the process goes on, and the operator reads it once."""
    async with world.keyring() as ring:
        world.server.client(world.deliver()).sys.unwrap()
        for _ in range(3):
            await ring.tick()
        assert await works(ring, ciphertext)
    (line,) = [line for line in world.lines() if line["event"] == "vault.not_logged_in"]
    assert "somebody else has unwrapped it" in line["reason"]


async def test_a_right_taken_away_and_given_back(world, ciphertext):
    """The token is not at fault: no login is spent; each change is one line."""
    async with world.keyring() as ring:
        rights = world.rights("reader")
        world.allow("reader", {p: r for p, r in rights.items() if "decrypt" not in p})
        for _ in range(3):
            with pytest.raises(VaultRefused):
                await ring.decrypt(NAME, CONTEXT, ciphertext)
        assert world.requests("decrypt", "refused") >= 3
        world.allow("reader", rights)
        assert await works(ring, ciphertext)
        assert 1 == world.requests("login")
    assert ["vault.logged_in", "vault.denied", "vault.allowed"] == world.events()


async def test_a_whole_policy_taken_away_and_given_back(world, ciphertext):
    """It cannot be told from a revoked token; yet the token is tried until its end, and works again."""
    async with world.keyring() as ring:
        world.allow("reader", {})
        assert not await works(ring, ciphertext)
        await ring.tick()
        assert 0 == ring.ttl_seconds()
        world.allow("reader", world.rights("reader"))
        await ring.tick()
        assert await works(ring, ciphertext)
    assert ["vault.logged_in", "vault.token_refused", "vault.token_accepted"] == world.events()


@pytest.mark.parametrize("ahead", [-600.0, 600.0])
async def test_a_clock_that_is_off_by_ten_minutes(world, ciphertext, ahead):
    """Login, life and renewal go by durations and Vault's own clock; the operator is told."""
    world.clock.wall_ahead = ahead
    async with world.keyring() as ring:
        assert await works(ring, ciphertext)
        assert abs(world.gauge("vault_clock_skew_seconds") + ahead) < 5
        world.clock.wall_ahead = 0
        world.deliver()
        await ring.tick()
    events = [event for event in world.events() if event != "vault.logged_in"]
    assert ["vault.clock_off", "vault.clock_right"] == events


async def test_without_a_token_it_is_not_ready_within_a_minute(world, ciphertext, monkeypatch):
    """And ready again as soon as there is one: nothing is restarted for it."""
    async with world.keyring() as ring:
        ring.tell(world.readiness)
        world.revoke()
        assert not await works(ring, ciphertext)
        ring.tell(world.readiness)
        assert world.readiness.is_ready
        world.clock.ahead = keyring.LOST_SECONDS + 1
        ring.tell(world.readiness)
        assert not world.readiness.is_ready
        world.deliver()
        await ring.tick()
        ring.tell(world.readiness)
        assert world.readiness.is_ready


async def test_a_secret_id_that_serves_again_and_again(world, ciphertext):
    """Without an orchestrator: a private file, bound to addresses, read again at each login."""
    world.make_role("reader", secret_id_num_uses=0, secret_id_ttl="720h")
    world.deliver_bare()
    async with world.reopened(is_wrapped=False) as ring:
        world.revoke()
        assert await works(ring, ciphertext)
        await ring.tick()
        assert (2, True) == (world.requests("login"), world.file("reader.secret-id").exists())


async def test_two_identities_are_two_logins(world, ciphertext):
    """Who encrypts has a token of its own; when it is lost decryption goes on."""
    async with world.keyring(writer=world.writer()) as ring:
        assert 2 == len(world.accessors())
        for token in world.accessors():
            if token["policies"] == [world.policy("writer")]:
                world.root.auth.token.revoke_accessor(token["accessor"])
        with pytest.raises(KeyringAway):
            await ring.encrypt(NAME, CONTEXT, Secret(CANARY))
        assert await works(ring, ciphertext)
        ring.tell(world.readiness)
        assert (True, 0) == (world.readiness.is_ready, world.gauge("vault_token_ttl_seconds"))
        world.deliver("writer")
        await ring.tick()
        assert Secret(CANARY) == await ring.decrypt(
            NAME, CONTEXT, await ring.encrypt(NAME, CONTEXT, Secret(CANARY))
        )
    assert [] == world.accessors()


async def test_nothing_that_is_secret_is_told(world, ciphertext, caplog):
    """No key, token or secret-id in a line, a metric, a fault or a repr; nor in Vault's own audit log."""
    caplog.set_level("DEBUG")
    wrapping = world.deliver()
    secrets = [CANARY.decode(), "c2stY2FuYXJ5", wrapping]
    told = []
    async with world.reopened(wrapped={"pepper": world.wrap("pepper", b"p" * 32)}) as ring:
        token = ring._reader._token
        secrets.append(token.value.reveal())
        await ring.mac_key("pepper")
        secrets.append("cHBwcHBw")
        assert await works(ring, ciphertext)
        told += [repr(ring), repr(ring._reader), repr(token), repr(ring._macs), str(ring._batches)]
        world.revoke()
        for asked in (
            ring.decrypt(NAME, CONTEXT, ciphertext),
            ring.decrypt(NAME, CONTEXT, ciphertext),
            ring.sign("tlog", CANARY),
            ring.encrypt(NAME, CONTEXT, Secret(CANARY)),
        ):
            with pytest.raises(KeyringFault) as caught:
                await asked
            fault = caught.value
            while fault is not None:
                told += [str(fault), repr(fault), repr(vars(fault))]
                fault = fault.__context__
    told += [world.out.getvalue(), world.shown(), caplog.text]
    told += [path.read_text() for path in world.server.audit_files]
    assert {} == {name: n for name in secrets if (n := sum(name in text for text in told))}


async def test_the_policy_that_tests_use_is_enforced(world):
    """The roles of these tests are real ones: without a token nobody decrypts."""
    with pytest.raises(hvac.exceptions.VaultError):
        world.server.client().secrets.transit.decrypt_data(
            NAME, world.encrypted(NAME, b"x", "c"), context="Yw==", mount_point=world.transit
        )


async def test_many_that_are_refused_at_once_log_in_once(world, ciphertext):
    """A login for each would revoke the token of the one before."""
    world.make_role("reader", secret_id_num_uses=0, secret_id_ttl="720h")
    world.deliver_bare()
    async with world.reopened(is_wrapped=False) as ring:
        await ring.public_key("tlog")
        world.revoke()
        asked = [ring.sign("tlog", b"%d" % n) for n in range(20)]
        assert 20 == len(set(await asyncio.gather(*asked)))
        assert (2, 1) == (world.requests("login"), len(world.accessors()))


async def test_each_reason_is_said(world):
    """A second thing that is wrong with a delivery is not hidden by the first; nor is one repeated."""
    async with world.keyring() as ring:
        world.deliver()
        world.file("reader.secret-id").chmod(0o444)
        await ring.tick()
        await ring.tick()
        world.server.client(world.deliver()).sys.unwrap()
        await ring.tick()
        await ring.tick()
    first, second = (line for line in world.lines() if line["event"] == "vault.not_logged_in")
    assert "can be read by others" in first["reason"]
    assert "somebody else has unwrapped it" in second["reason"]


async def test_a_token_and_its_successor_are_revoked(world, monkeypatch):
    """Who met both dead is served by the next one; a token that never lives is given up."""
    world.make_role("reader", secret_id_num_uses=0, secret_id_ttl="720h")
    world.deliver_bare()
    async with world.reopened(is_wrapped=False) as ring:
        await ring.public_key("tlog")
        anew, lives = ring._reader._anew, 3

        async def unlucky(dead):
            fresh = await anew(dead)
            if world.requests("login") < lives:
                world.revoke()
            return fresh

        monkeypatch.setattr(ring._reader, "_anew", unlucky)
        world.revoke()
        assert 64 == len(await ring.sign("tlog", b"note"))
        assert 3 == world.requests("login")
        lives = 99
        world.revoke()
        with pytest.raises(KeyringAway, match="each at once"):
            await ring.sign("tlog", b"note")


async def test_who_comes_during_a_login_is_served_by_it(world, monkeypatch):
    """A revoked token refuses nobody for whom another is on its way."""
    async with world.keyring() as ring:
        await ring.public_key("tlog")
        world.revoke()
        world.deliver()
        took, take = asyncio.Event(), ring._reader._secret_ids.take

        async def slowly(**how):
            took.set()
            await asyncio.sleep(0.1)
            return await take(**how)

        monkeypatch.setattr(ring._reader._secret_ids, "take", slowly)
        first = asyncio.create_task(ring.sign("tlog", b"1"))
        await took.wait()
        others = [ring.sign("tlog", b"%d" % n) for n in range(20)]
        assert [64] * 21 == [len(one) for one in await asyncio.gather(first, *others)]
        assert 2 == world.requests("login")
