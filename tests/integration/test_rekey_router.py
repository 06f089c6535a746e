"""`rekey` of router: upstream keys go from the file to Vault and back, whatever ends a run."""

import asyncio
import signal
import sys

import psycopg
import pytest

from tests.integration.rekey_world import CANARY, CONTEXT, NAME, Rekeyed, texts
from tollgate_kit.secret import Secret


@pytest.fixture
async def world(vault, postgres_dsn, tmp_path):
    return await Rekeyed.make(tmp_path, vault, postgres_dsn())


async def test_keys_go_to_vault_and_back(world):
    """By router's own two logins; every key opens to what it was, there and back, and nowhere is read."""
    rows = await world.fill(texts(150))
    code, said = await world.rekey("file", "vault")
    assert 0 == code, said
    assert rows == world.opened_by_vault()
    assert ("upstream keys [" + "#" * 30 + "] 150/150\n" in said, '"moved":150' in said) == (
        True,
        True,
    ), said
    code, back = await world.rekey("vault", "file")
    assert 0 == code, back
    assert rows == await world.opened()
    audited = "".join(path.read_text() for path in world.vault.audit_files)
    written = "".join(path.read_text() for path in world.directory.iterdir())
    assert [] == [n for n, s in enumerate((said, back, audited, written)) if CANARY in s]


async def test_a_second_run_moves_nothing(world):
    """What is there already is left as it is: not one ciphertext changes."""
    await world.fill(texts(3))
    await world.rekey("file", "vault")
    before = world.rows()
    code, said = await world.rekey("file", "vault")
    assert (0, before, True) == (code, world.rows(), '"moved":0' in said), said


async def test_a_run_that_was_killed_is_begun_again(world):
    """kill -9 in the middle: then a second run moves the rest, and touches nothing that is there."""
    rows = await world.fill(texts(600))
    process = await world.spawn("file", "vault")
    async with asyncio.timeout(60):
        while not (moved := _moved(world)):
            await asyncio.sleep(0.01)
    process.send_signal(signal.SIGKILL)
    await process.wait()
    moved = _moved(world)
    assert 0 < len(moved) < len(rows)
    code, said = await world.rekey("file", "vault")
    assert 0 == code, said
    assert rows == world.opened_by_vault()
    assert moved == {key_id: sealed for key_id, sealed in world.rows().items() if key_id in moved}


async def test_a_row_that_nothing_opens_stays_and_is_named(world):
    """Nothing is moved and it is named; or, if that was said, all others are, and it is as it was."""
    rows = await world.fill(texts(2))
    spoilt = await world.ring.encrypt(NAME, CONTEXT.format("other"), Secret(CANARY))
    with psycopg.connect(world.dsn) as connection:
        world.insert(connection, "spoilt", spoilt, 50)
    before = world.rows()
    for step in ("rekey-check", "rekey"):
        code, said = await world.rekey("file", "vault", step)
        assert (1, True) == (code, "spoilt is opened by neither keyring" in said), said
        assert before == world.rows()
    code, said = await world.rekey("file", "vault", "rekey-rest")
    assert (0, True) == (code, "spoilt is opened by neither keyring" in said), said
    assert (set(rows), spoilt) == (set(_moved(world)), world.rows()["spoilt"])
    assert (CANARY in said, spoilt in said) == (False, False)


async def test_an_address_that_is_none_keeps_no_other_row_back(world):
    """Its key is bound to nothing, is named, and stays; those that are asked with it are moved."""
    rows = await world.fill(texts(3))
    code, said = await world.rekey("file", "vault")
    assert 0 == code, said
    with psycopg.connect(world.dsn) as connection:
        connection.execute(
            "insert into provider (name, protocol, base_url, enabled, create_revision,"
            " create_unix_ms) values ('q', 'openai.chat', 'no address', true, 3, 1)"
        )
        world.insert(connection, "lost", next(iter(world.rows().values())), 50)
        connection.execute("update provider_key set provider = 'q' where key_id = 'lost'")
    code, said = await world.rekey("vault", "file", "rekey-rest")
    assert (0, True) == (code, "lost is opened by neither keyring" in said), said
    with psycopg.connect(world.dsn) as connection:
        connection.execute("delete from provider_key where key_id = 'lost'")
    assert rows == await world.opened()


@pytest.mark.parametrize(
    ("beside", "why"),
    [("router", "router is connected to its database: stop it first"), (None, "already")],
)
async def test_it_is_alone(world, beside, why):
    """It refuses while router runs, or another rekey; nothing is changed."""
    await world.fill(texts(1))
    before = world.rows()
    with psycopg.connect(world.dsn, autocommit=True, application_name=beside or "x") as other:
        if beside is None:
            other.execute("select pg_advisory_lock(%s)", (0x616C6F6E65,))
        code, said = await world.rekey("file", "vault")
    assert (1, True, before) == (code, why in said, world.rows()), said


async def test_it_wants_the_former_configuration(world):
    """Without --from it says so, and does nothing."""
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "tollgate_router", "--config", "x.toml", "rekey"),
        stderr=asyncio.subprocess.PIPE,
    )
    _, said = await process.communicate()
    assert (2, True) == (process.returncode, b"rekey wants --from FILE" in said)


def _moved(world: Rekeyed) -> dict[str, str]:
    return {key_id: text for key_id, text in world.rows().items() if text.startswith("vault:")}
