"""`renew-keys` of router: upstream keys leave an older version while router has its database open."""

import asyncio
import signal

import psycopg
import pytest

from tests.integration.rekey_world import CANARY, CONTEXT, NAME, Rekeyed, texts
from tollgate_kit.config import KeyringConfig
from tollgate_kit.keyring import file as keyring_file
from tollgate_kit.secret import Secret

UNLOCK = Secret("correct horse")


@pytest.fixture
async def world(vault, postgres_dsn, tmp_path):
    return await Rekeyed.make(tmp_path, vault, postgres_dsn())


@pytest.fixture(params=["file", "vault"])
async def rotated(request, world):
    """A world whose rows are of an older version; its keyring, and how the newest one's begin."""
    world.written = await world.fill(texts(200))
    if request.param == "file":
        path = world.directory / "ring.json"
        keyring_file.change(path, UNLOCK, add={f"{NAME}-2": ("aes256", Secret(b"2" * 32))})
        world.ring.take_over(world.ring.anew(KeyringConfig(path, world.directory / "unlock")))
        return world, "file", "tg2.2."
    code, said = await world.rekey("file", "vault")
    assert 0 == code, said
    transit = world.vault.root().secrets.transit
    transit.rotate_key(NAME)
    return world, "vault", f"vault:v{transit.read_key(NAME)['data']['latest_version']}:"


async def renewed(world, keyring):
    process = await world.start(keyring, "renew-keys")
    said, _ = await process.communicate()
    return process.returncode, said.decode()


async def opened(world, keyring):
    return await world.opened() if keyring == "file" else world.opened_by_vault()


def under(world, begins):
    return {key_id: text for key_id, text in world.rows().items() if text.startswith(begins)}


async def test_kill_9_in_the_middle_and_once_more(rotated):
    """Beside a router; the rest is moved, what was is left alone; routers are told; nowhere is read."""
    world, keyring, begins = rotated
    with psycopg.connect(world.dsn, autocommit=True, application_name="router") as router:
        process = await world.start(keyring, "renew-keys")
        async with asyncio.timeout(60):
            while not under(world, begins):
                await asyncio.sleep(0.01)
        process.send_signal(signal.SIGKILL)
        await process.wait()
        there = under(world, begins)
        assert 0 < len(there) < len(world.written)
        (before,) = router.execute("select revision from catalogue_revision").fetchone()
        code, said = await renewed(world, keyring)
        assert 0 == code, said
        assert router.execute("select revision from catalogue_revision").fetchone() > (before,)
    assert world.rows() == under(world, begins)
    assert there == {key_id: world.rows()[key_id] for key_id in there}
    assert world.written == await opened(world, keyring)
    audited = "".join(path.read_text() for path in world.vault.audit_files)
    assert [] == [text[:40] for text in (said, audited) if CANARY in text]
    code, said = await renewed(world, keyring)
    assert (0, True) == (code, '"renewed":0' in said), said


async def test_a_change_that_began_before_is_waited_for(world):
    """A key that router has encrypted with the old version and not yet stored is not left behind."""
    sealed = await world.ring.encrypt(NAME, CONTEXT.format("late"), Secret(CANARY))
    path = world.directory / "ring.json"
    keyring_file.change(path, UNLOCK, add={f"{NAME}-2": ("aes256", Secret(b"2" * 32))})
    with psycopg.connect(world.dsn) as router:
        router.execute("update catalogue_revision set revision = revision + 1")
        renewing = asyncio.create_task(renewed(world, "file"))
        await asyncio.sleep(2)
        assert not renewing.done()
        world.insert(router, "late", sealed, 70)
        router.commit()
    code, said = await renewing
    assert 0 == code, said
    assert ["late"] == list(under(world, "tg2.2."))


async def test_a_row_that_does_not_open_is_named(world):
    """By its id alone, with exit code 1; all others are renewed."""
    await world.fill(texts(2))
    spoilt = await world.ring.encrypt(NAME, CONTEXT.format("other"), Secret(CANARY))
    with psycopg.connect(world.dsn) as connection:
        world.insert(connection, "spoilt", spoilt, 50)
    path = world.directory / "ring.json"
    keyring_file.change(path, UNLOCK, add={f"{NAME}-2": ("aes256", Secret(b"2" * 32))})
    code, said = await renewed(world, "file")
    assert (1, True) == (code, "spoilt is opened by no version of its key" in said), said
    assert (2, False) == (len(under(world, "tg2.2.")), spoilt in said)
